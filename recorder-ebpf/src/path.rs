//! Walks from a directory entry to the root of its mount namespace, one component after the other, leaf first.
//!
//! No locks are held: a rename at the same moment can give a mixed path. User space puts the components together.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel_str};
use recorder_common::sample::SAMPLE_MAX;
use recorder_common::text::{TEXT_CUT, TEXT_DELETED, TEXT_HEADER, TEXT_MAX, TEXT_UNREACHABLE};

use crate::maps::OFFSETS;
use crate::read::{has, kernel, kernel_at, offset};
use crate::sample::state_of;

/// Components and mount crossings that are followed: more than a path of `PATH_MAX` can have.
const STEPS: u32 = 2100;
/// A component at or before this position ends inside the sample.
const LAST: u64 = (SAMPLE_MAX - COMPONENT as usize) as u64;
/// Longest component with its NUL.
const COMPONENT: u32 = 256;

/// A walk in progress; part of the state behind the sample.
#[repr(C)]
pub struct Walk {
    dentry: u64,
    mount: u64,
    /// Root entry of `mount`.
    mount_root: u64,
    /// Next byte to write.
    pub position: u64,
    /// Component bytes that may still come.
    room: u64,
    /// Text flags.
    pub flags: u64,
    steps: u64,
}

/// What a step gets: the one thing that the verifier must know is a pointer into the scratch space.
#[repr(C)]
struct Context {
    area: *mut u8,
}

/// Walks a `struct path` at `address` into the place of the sample's next text. Position and flags are in the state.
#[inline(always)]
pub fn walk(area: *mut u8, address: u64) {
    let (mount, dentry) = (kernel(address, &OFFSETS.path_mnt), kernel(address, &OFFSETS.path_dentry));
    walk_entry(area, mount, dentry, 0);
    if dentry != 0 && is_removed(dentry) {
        state_of(area).walk.flags |= TEXT_DELETED as u64;
    }
}

/// Walks a directory entry of a mount (`struct vfsmount *`). `leaf` is a name in kernel memory that stands below the
/// entry, or 0.
#[inline(always)]
pub fn walk_entry(area: *mut u8, vfsmount: u64, dentry: u64, leaf: u64) {
    let state = state_of(area);
    let walk = &mut state.walk;
    walk.position = state.position + TEXT_HEADER as u64;
    walk.flags = TEXT_UNREACHABLE as u64;
    walk.room = TEXT_MAX as u64 - COMPONENT as u64;
    walk.steps = 0;
    walk.dentry = dentry;
    walk.mount = vfsmount.wrapping_sub(offset(&OFFSETS.mount_mnt));
    walk.mount_root = kernel(vfsmount, &OFFSETS.vfsmount_root);
    if vfsmount == 0 || dentry == 0 {
        return;
    }
    if leaf != 0 {
        begin_with(area, leaf);
    }
    let mut context = Context { area };
    // SAFETY: `step` has the signature that bpf_loop calls, and `context` outlives the loop.
    unsafe { bpf_loop(STEPS, step as *mut _, (&raw mut context).cast(), 0) };
}

/// Writes the component that a walk begins with.
#[inline(always)]
fn begin_with(area: *mut u8, leaf: u64) {
    let walk = &mut state_of(area).walk;
    let at = walk.position & 0x7fff;
    if at > LAST {
        return;
    }
    // SAFETY: LAST + COMPONENT is inside the sample; the helper writes at most COMPONENT bytes.
    let length =
        unsafe { bpf_probe_read_kernel_str(area.add(at as usize).cast(), COMPONENT, leaf as *const _) };
    if length > 0 {
        let length = length as u64 & 0x1ff;
        walk.position += length;
        walk.room -= length;
        walk.steps = 1;
    }
}

/// `d_unlinked`: not in the hash, and not a root. An entry of a case-insensitive directory may not be in the hash from the
/// beginning: there only the file itself tells.
#[inline(always)]
fn is_removed(dentry: u64) -> bool {
    /// `S_CASEFOLD`.
    const CASEFOLD: u32 = 1 << 15;
    if !has(&OFFSETS.hash_pprev) {
        return false;
    }
    let pprev: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_hash)), &OFFSETS.hash_pprev);
    let parent: u64 = kernel(dentry, &OFFSETS.dentry_parent);
    if pprev != 0 || parent == dentry {
        return false;
    }
    let directory: u64 = kernel(parent, &OFFSETS.dentry_inode);
    let inode: u64 = kernel(dentry, &OFFSETS.dentry_inode);
    kernel::<u32>(directory, &OFFSETS.inode_flags) & CASEFOLD == 0
        || kernel::<u32>(inode, &OFFSETS.inode_nlink) == 0
}

/// One step upwards; 1 ends the walk.
unsafe extern "C" fn step(_index: u32, context: *mut Context) -> i64 {
    // SAFETY: bpf_loop hands over the context that `walk` gave it.
    let area = unsafe { (*context).area };
    let walk = &mut state_of(area).walk;
    if walk.dentry == walk.mount_root {
        return cross(walk);
    }
    let (parent, name) = parent_and_name(walk.dentry);
    let is_root = parent == walk.dentry || parent == 0;
    if is_root && walk.steps != 0 {
        return 1;
    }
    // The bound stands right before the call, where the verifier of 6.1 wants to see it.
    let at = walk.position & 0x7fff;
    if at > LAST {
        walk.flags = TEXT_CUT as u64;
        return 1;
    }
    // SAFETY: LAST + COMPONENT is inside the sample; the helper writes at most COMPONENT bytes.
    let length =
        unsafe { bpf_probe_read_kernel_str(area.add(at as usize).cast(), COMPONENT, name as *const _) };
    if length <= 0 {
        return 1;
    }
    let length = length as u64 & 0x1ff;
    walk.position += length;
    walk.steps = 1;
    walk.dentry = parent;
    if is_root {
        return 1;
    }
    if walk.room < length {
        walk.flags = TEXT_CUT as u64;
        return 1;
    }
    walk.room -= length;
    0
}

/// Leaves a mount for the one below it; 1 at the root of the namespace.
#[inline(always)]
fn cross(walk: &mut Walk) -> i64 {
    let parent: u64 = kernel(walk.mount, &OFFSETS.mount_parent);
    if parent == walk.mount || parent == 0 {
        let namespace: u64 = kernel(walk.mount, &OFFSETS.mount_ns);
        if namespace != 0 {
            walk.flags = 0;
        }
        return 1;
    }
    walk.dentry = kernel(walk.mount, &OFFSETS.mount_mountpoint);
    walk.mount = parent;
    walk.mount_root = kernel(parent.wrapping_add(offset(&OFFSETS.mount_mnt)), &OFFSETS.vfsmount_root);
    0
}

/// `d_parent` and `d_name.name` of an entry: one read where they stand 16 bytes apart, as in every kernel so far.
#[inline(always)]
fn parent_and_name(dentry: u64) -> (u64, u64) {
    let name = offset(&OFFSETS.dentry_name) + offset(&OFFSETS.qstr_name);
    if name == offset(&OFFSETS.dentry_parent) + 16 {
        let [parent, _hash_and_length, name]: [u64; 3] = kernel(dentry, &OFFSETS.dentry_parent);
        return (parent, name);
    }
    (kernel(dentry, &OFFSETS.dentry_parent), kernel_at(dentry.wrapping_add(name)))
}
