//! `mprotect`: shared mappings of files that become writable after they were made.
//!
//! The kernel's own lookup finds the mappings before the call, when it still shows that they could not be written to.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_get_current_task_btf, bpf_loop};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;

use super::write::{PROT_WRITE, mapped_writable};
use super::{exit_of, is_retry};
use crate::maps::{MAPPINGS, OFFSETS, PROTECTED, Protected};
use crate::read::typed;
use crate::sample::{claim, count_loss, count_missing, release};
use crate::{files, task};

const VM_WRITE: u64 = 2;
/// Mapped `MAP_SHARED`; `VM_SHARED` is taken away when the file is not open for writing.
const VM_MAYSHARE: u64 = 0x80;
const PAGE_MASK: u64 = 4095;
const ENOENT: i64 = -2;

/// Hook: `syscalls:sys_enter_mprotect(start, length, protection)`, `sys_enter_pkey_mprotect`.
#[tracepoint]
pub fn protect_enter(_ctx: TracePointContext) -> u32 {
    let [start, length, protection, ..] = task::arguments();
    if protection & PROT_WRITE != 0 {
        look(start, start.wrapping_add(length.wrapping_add(PAGE_MASK) & !PAGE_MASK));
    }
    0
}

/// A mapping as the kernel's lookup shows it.
#[repr(C)]
struct Mapping {
    end: u64,
    flags: u64,
    file: u64,
}

/// Remembers the mappings between two addresses that are shared, of a file, and not writable.
#[inline(always)]
fn look(start: u64, end: u64) {
    let Some(area) = claim() else {
        count_loss(Class::Files);
        return;
    };
    // SAFETY: the area is larger than the list, 8-aligned, and claimed here.
    let found = unsafe { &mut *area.cast::<Protected>() };
    found.count = 0;
    let mut at = start;
    let mut step = 0;
    while step < MAPPINGS && at < end {
        let mut mapping = Mapping { end: 0, flags: 0, file: 0 };
        // SAFETY: `copy` has the signature that the helper calls, and `mapping` outlives the call.
        let outcome = unsafe {
            bpf_find_vma(bpf_get_current_task_btf(), at, copy as *mut _, (&raw mut mapping).cast(), 0)
        };
        if outcome == ENOENT {
            // A hole, where the call will end.
            at = end;
        } else if outcome != 0 {
            // Another thread is changing the mappings: what this call does can't be told.
            count_missing(Class::Files, 1);
            at = end;
        } else {
            keep(found, &mapping, at, end);
            at = mapping.end;
        }
        step += 1;
    }
    if at < end {
        count_missing(Class::Files, 1);
    }
    if found.count != 0 {
        let _ = PROTECTED.insert(bpf_get_current_pid_tgid(), &*found, 0);
    }
    release(area);
}

/// Adds a mapping to the list if the call makes a change of it.
#[inline(always)]
fn keep(found: &mut Protected, mapping: &Mapping, at: u64, end: u64) {
    if mapping.file == 0 || mapping.flags & (VM_MAYSHARE | VM_WRITE) != VM_MAYSHARE {
        return;
    }
    let index = (found.count & (MAPPINGS as u64 - 1)) as usize;
    let until = if mapping.end < end { mapping.end } else { end };
    // SAFETY: the mask keeps the index inside both arrays.
    unsafe {
        *found.files.get_unchecked_mut(index) = mapping.file;
        *found.bytes.get_unchecked_mut(index) = until.wrapping_sub(at);
    }
    found.count += 1;
}

/// Called by the kernel with the mapping that holds the address, under its lock.
unsafe extern "C" fn copy(_task: u64, vma: u64, mapping: *mut Mapping) -> i64 {
    // SAFETY: the helper hands over the context that `look` gave it.
    let mapping = unsafe { &mut *mapping };
    mapping.end = typed(vma, &OFFSETS.vma_end);
    mapping.flags = typed(vma, &OFFSETS.vma_flags);
    mapping.file = typed(vma, &OFFSETS.vma_file);
    0
}

/// Hook: `syscalls:sys_exit_mprotect`, `sys_exit_pkey_mprotect`.
#[tracepoint]
pub fn protect_exit(ctx: TracePointContext) -> u32 {
    protected(&ctx);
    0
}

/// What the loop over the mappings is given.
#[repr(C)]
struct Telling {
    found: *mut Protected,
    result: i64,
}

fn protected(ctx: &TracePointContext) -> Option<()> {
    let [_, _, protection, ..] = task::arguments();
    if protection & PROT_WRITE == 0 {
        return None;
    }
    let call = exit_of(ctx)?;
    let thread = bpf_get_current_pid_tgid();
    let found = PROTECTED.get_ptr_mut(thread)?;
    if !is_retry(call.returned) {
        let mut telling = Telling { found, result: call.returned };
        // SAFETY: a map value.
        let count = unsafe { (*found).count } as u32;
        let count = if count > MAPPINGS { MAPPINGS } else { count };
        // SAFETY: `tell` has the signature that bpf_loop calls, and `telling` outlives the loop.
        unsafe { bpf_loop(count, tell as *mut _, (&raw mut telling).cast(), 0) };
    }
    let _ = PROTECTED.remove(thread);
    Some(())
}

/// Reports one mapping.
unsafe extern "C" fn tell(index: u32, telling: *mut Telling) -> i64 {
    // SAFETY: bpf_loop hands over the context that `protected` gave it: a pointer to a map value.
    let (found, result) = unsafe { (&*(*telling).found, (*telling).result) };
    let index = (index & (MAPPINGS - 1)) as usize;
    // SAFETY: the mask keeps the index inside both arrays.
    let (file, bytes) = unsafe { (*found.files.get_unchecked(index), *found.bytes.get_unchecked(index)) };
    if !files::is_memory(file) {
        mapped_writable(file, bytes, result as i32);
    }
    0
}
