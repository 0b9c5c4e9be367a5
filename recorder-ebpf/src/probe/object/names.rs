//! Entries of directories that are made, removed and renamed: told by the kernel's own entry, with the outcome.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use recorder_common::text::Tag;

use super::{argument, asked_of, is_tried_again, outcome, pending_at, position};
use crate::files;
use crate::maps::{OFFSETS, PENDING, RENAMED, Renamed};
use crate::probe::Asked;
use crate::probe::named::{begin, finish};
use crate::read::{kernel, offset};
use crate::sample::Sample;

/// Hook: `mnt_want_write(mount)`: every call that changes names asks the mount first, which is the caller's.
#[fentry]
pub fn want_write(ctx: FEntryContext) -> i32 {
    ran_single!(want_write);
    note_mount(ctx.arg(0));
    0
}

/// Hook: `mnt_want_write_file(file)`, for calls that change attributes through an open file.
#[fentry]
pub fn want_write_file(ctx: FEntryContext) -> i32 {
    ran_single!(want_write_file);
    note_mount(kernel(files::path_of(ctx.arg(0)), &OFFSETS.path_mnt));
    0
}

/// Keeps the first mount: file systems that lie on others ask those as well.
#[inline(always)]
fn note_mount(mount: u64) -> Option<()> {
    let pending = PENDING.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a map value of this thread alone.
    unsafe {
        if (*pending).mount == 0 {
            (*pending).mount = mount;
        }
    }
    Some(())
}

/// A change of an entry that is to be told: what was asked, and the mount it was asked for.
struct Change {
    asked: Asked,
    mount: u64,
    result: i64,
}

/// Takes the telling of a change: `None` when another layer or the return of the call tells it, or nobody has to.
#[inline(always)]
fn take(dentry: u64, result: i64) -> Option<Change> {
    let pending = pending_at(dentry)?;
    if is_tried_again(result) {
        return None;
    }
    // SAFETY: a map value of this thread alone.
    let (asked, mount) = unsafe {
        (*pending).told = 1;
        (asked_of(pending)?, (*pending).mount)
    };
    if files::is_pseudo(kernel(kernel(dentry, &OFFSETS.dentry_sb), &OFFSETS.sb_magic)) {
        return None;
    }
    Some(Change { asked, mount, result })
}

/// Tells the entry at an argument of the hooked function.
#[inline(always)]
fn changed(ctx: &FExitContext, dentry: &u32) -> Option<()> {
    let dentry = argument(ctx, position(dentry));
    let change = take(dentry, outcome(ctx))?;
    let mut sample = begin(&change.asked, change.result)?;
    identify(dentry, &mut sample);
    sample.walked_entry(Tag::Object, change.mount, dentry, 0);
    finish(sample, &change.asked);
    Some(())
}

/// Writes who the object behind an entry is, when there is one.
#[inline(always)]
fn identify(dentry: u64, sample: &mut Sample) {
    let inode: u64 = kernel(dentry, &OFFSETS.dentry_inode);
    if inode != 0 {
        files::identify(inode, sample.body());
    }
}

/// Hook: `vfs_link(old_dentry, new_dentry)`.
#[fexit]
pub fn entry_linked(ctx: FExitContext) -> i32 {
    ran_single!(entry_linked);
    linked(&ctx);
    0
}

#[inline(always)]
fn linked(ctx: &FExitContext) -> Option<()> {
    let (old, new) = (argument(ctx, position(&OFFSETS.link_old)), argument(ctx, position(&OFFSETS.link_new)));
    let change = take(new, outcome(ctx))?;
    let mut sample = begin(&change.asked, change.result)?;
    identify(old, &mut sample);
    sample.walked_entry(Tag::Object, change.mount, old, 0);
    sample.walked_entry(Tag::ObjectTo, change.mount, new, 0);
    finish(sample, &change.asked);
    Some(())
}

/// Hook: `vfs_rename(data)`: afterwards the entry has its new name.
#[fentry]
pub fn entry_rename(ctx: FEntryContext) -> i32 {
    ran_single!(entry_rename);
    note_name(kernel(ctx.arg(0), &OFFSETS.rename_old));
    0
}

#[inline(always)]
fn note_name(dentry: u64) -> Option<()> {
    pending_at(dentry)?;
    let mut renamed = Renamed { parent: kernel(dentry, &OFFSETS.dentry_parent), name: [0; 256] };
    let name: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_name)), &OFFSETS.qstr_name);
    // SAFETY: the helper writes at most as many bytes as the array has.
    unsafe { bpf_probe_read_kernel_str(renamed.name.as_mut_ptr().cast(), 256, name as *const _) };
    let _ = RENAMED.insert(bpf_get_current_pid_tgid(), &renamed, 0);
    Some(())
}

/// Hook: `vfs_rename(data)`.
#[fexit]
pub fn entry_renamed(ctx: FExitContext) -> i32 {
    ran_single!(entry_renamed);
    renamed(&ctx);
    0
}

#[inline(always)]
fn renamed(ctx: &FExitContext) -> Option<()> {
    let data: u64 = ctx.arg(0);
    let old: u64 = kernel(data, &OFFSETS.rename_old);
    let change = take(old, outcome(ctx))?;
    let before = RENAMED.get_ptr_mut(bpf_get_current_pid_tgid())?;
    let mut sample = begin(&change.asked, change.result)?;
    identify(old, &mut sample);
    // SAFETY: a map value of this thread alone.
    let (parent, name) = unsafe { ((*before).parent, (&raw const (*before).name) as u64) };
    sample.walked_entry(Tag::Object, change.mount, parent, name);
    let after = if change.result == 0 { old } else { kernel(data, &OFFSETS.rename_new) };
    sample.walked_entry(Tag::ObjectTo, change.mount, after, 0);
    finish(sample, &change.asked);
    let _ = RENAMED.remove(bpf_get_current_pid_tgid());
    Some(())
}

/// Declares the program of one function that changes one entry.
macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident: $position:ident;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            ran_single!($name);
            changed(&ctx, &OFFSETS.$position);
            0
        }
    )*};
}

entries! {
    /// Hook: `vfs_unlink(dentry)`.
    entry_unlinked: unlink_dentry;
    /// Hook: `vfs_rmdir(dentry)`.
    entry_dir_removed: rmdir_dentry;
    /// Hook: `vfs_mkdir(dentry)`.
    entry_dir_made: mkdir_dentry;
    /// Hook: `vfs_mknod(dentry)`.
    entry_node_made: mknod_dentry;
    /// Hook: `vfs_create(dentry)`, for mknod of a regular file.
    entry_file_made: create_dentry;
    /// Hook: `vfs_symlink(dentry)`.
    entry_symlinked: symlink_dentry;
    /// Hook: `vfs_setxattr(dentry)`.
    entry_xattr_set: setxattr_dentry;
    /// Hook: `vfs_removexattr(dentry)`.
    entry_xattr_removed: removexattr_dentry;
    /// Hook: `vfs_set_acl(dentry)`, since 6.2.
    entry_acl_set: set_acl_dentry;
    /// Hook: `vfs_remove_acl(dentry)`, since 6.2.
    entry_acl_removed: remove_acl_dentry;
}
