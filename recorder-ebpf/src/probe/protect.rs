//! `mprotect`: shared mappings of files that become writable after they were made.
//!
//! The mappings are looked at before the call, when they still show that they could not be written to. The kernel's own
//! lookup (`bpf_find_vma`) wants a lock, and gives up whenever another thread of the process holds it.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;

use super::write::{PROT_WRITE, mapped_writable};
use super::{exit_of, is_retry, ran_at_entry, ran_at_exit};
use crate::maps::{MAPPINGS, OFFSETS, PROTECTED, Protected};
use crate::read::{kernel, offset};
use crate::sample::{claim, count_loss, count_missing, release};
use crate::{files, task};

const VM_WRITE: u64 = 2;
/// Mapped `MAP_SHARED`; `VM_SHARED` is taken away when the file is not open for writing.
const VM_MAYSHARE: u64 = 0x80;
const PAGE_MASK: u64 = 4095;
/// Lookups for one call.
const LOOKS: u32 = 24;
/// Words of a node of the tree (`struct maple_node`).
const NODE: usize = 32;
/// Levels of the tree that are followed: far more than a process can have.
const LEVELS: u32 = 16;
/// `maple_leaf_64`: its slots are mappings. `maple_range_64`, between the two, has the same layout.
const LEAF: u64 = 1;
/// `maple_arange_64`: fewer slots, and the sizes of the gaps behind them.
const RANGE_WITH_GAPS: u64 = 3;

/// Hook: `syscalls:sys_enter_mprotect(start, length, protection)`, `sys_enter_pkey_mprotect`.
#[tracepoint]
pub fn protect_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    let [start, length, protection, ..] = task::arguments();
    looked([start, length, protection]);
    0
}

/// Looks at the mappings before a call that makes them writable: start, length, protection.
#[inline(always)]
pub fn looked([start, length, protection]: [u64; 3]) {
    if protection & PROT_WRITE != 0 {
        look(start, start.wrapping_add(length.wrapping_add(PAGE_MASK) & !PAGE_MASK));
    }
}

/// A search in the tree of the process's mappings, in scratch space.
#[repr(C)]
struct Search {
    found: Protected,
    /// Copy of the node that is looked at.
    node: [u64; NODE],
    /// Node that is to be looked at next; its kind is in the low bits.
    entry: u64,
    /// Address that is searched.
    at: u64,
    /// What lies there: a `struct vm_area_struct`, or 0.
    mapping: u64,
    /// Last address of the mapping as the tree has it; smaller than `at` where the node does not say.
    last: u64,
    /// The search came to an end.
    is_known: u64,
}

/// Remembers the mappings between two addresses that are shared, of a file, and not writable.
#[inline(always)]
fn look(start: u64, end: u64) {
    let Some(area) = claim() else {
        count_loss(Class::Files);
        return;
    };
    // SAFETY: the area is larger than a search, 8-aligned, and claimed here.
    let search = unsafe { &mut *area.cast::<Search>() };
    search.found.count = 0;
    search.at = start;
    let mut context = area;
    let mut step = 0;
    while step < LOOKS && search.at < end && search.found.count < MAPPINGS as u64 {
        find(search, &mut context);
        keep(search, end);
        step += 1;
    }
    if search.at < end {
        count_missing(Class::Files, 1);
    }
    if search.found.count != 0 {
        let _ = PROTECTED.insert(bpf_get_current_pid_tgid(), &search.found, 0);
    }
    release(area);
}

/// Finds the mapping at an address, as `mtree_load` does. No lock is held, but nodes that are replaced meanwhile stay
/// readable: tracepoints run where the kernel frees nothing of the kind.
#[inline(always)]
fn find(search: &mut Search, context: &mut *mut u8) {
    let mm: u64 = kernel(task::current(), &OFFSETS.task_mm);
    let tree = mm.wrapping_add(offset(&OFFSETS.mm_mt));
    search.entry = kernel(tree, &OFFSETS.mt_root);
    search.mapping = 0;
    search.is_known = 0;
    // SAFETY: `descend` has the signature that bpf_loop calls, and `context` outlives the loop.
    unsafe { bpf_loop(LEVELS, descend as *mut _, (context as *mut *mut u8).cast(), 0) };
}

/// Looks into one node; 1 ends the search.
unsafe extern "C" fn descend(_index: u32, context: *mut *mut u8) -> i64 {
    // SAFETY: bpf_loop hands over the context that `find` gave it: a pointer to the search.
    let search = unsafe { &mut *(*context).cast::<Search>() };
    let address = search.entry & !(size_of_val(&search.node) as u64 - 1);
    let kind = (search.entry >> 3) & 15;
    let slots = if kind == RANGE_WITH_GAPS { 10 } else { 16 };
    if address == 0 || kind == 0 || kind > RANGE_WITH_GAPS {
        return 1;
    }
    // SAFETY: the node has as many bytes as are read; the helper checks the source.
    if unsafe { bpf_probe_read_kernel((&raw mut search.node).cast(), NODE as u32 * 8, address as *const _) }
        != 0
    {
        return 1;
    }
    // Behind the parent stand the last address of each slot, 0 where there are no more, and then the slots.
    let mut slot = 0;
    while slot < 15 {
        let last = search.node[1 + slot];
        if slot + 1 == slots || last == 0 || last >= search.at {
            break;
        }
        slot += 1;
    }
    let value = search.node[(slots + slot) & (NODE - 1)];
    if kind != LEAF {
        search.entry = value;
        return 0;
    }
    search.mapping = value;
    search.last = if slot < 15 { search.node[1 + slot] } else { 0 };
    search.is_known = 1;
    1
}

/// Adds the mapping to the list if the call makes a change of it, and goes on behind it. Stays where it is when another
/// thread changed the tree in the same moment: then the next look tells.
#[inline(always)]
fn keep(search: &mut Search, end: u64) {
    if search.is_known == 0 {
        return;
    }
    if search.mapping == 0 {
        // A hole, where the call will end.
        search.at = end;
        return;
    }
    let at = search.at;
    let end_of_mapping: u64 = kernel(search.mapping, &OFFSETS.vma_end);
    // A mapping that is being split is shorter than the tree knows yet, for as long as the other thread takes.
    let until = if end_of_mapping > at { end_of_mapping } else { search.last.wrapping_add(1) };
    let flags: u64 = kernel(search.mapping, &OFFSETS.vma_flags);
    let file: u64 = kernel(search.mapping, &OFFSETS.vma_file);
    if until <= at {
        return;
    }
    search.at = until;
    if file == 0 || flags & (VM_MAYSHARE | VM_WRITE) != VM_MAYSHARE {
        return;
    }
    let found = &mut search.found;
    let index = (found.count & (MAPPINGS as u64 - 1)) as usize;
    let until = if until < end { until } else { end };
    // SAFETY: the mask keeps the index inside both arrays.
    unsafe {
        *found.files.get_unchecked_mut(index) = file;
        *found.bytes.get_unchecked_mut(index) = until.wrapping_sub(at);
    }
    found.count += 1;
}

/// Hook: `syscalls:sys_exit_mprotect`, `sys_exit_pkey_mprotect`.
#[tracepoint]
pub fn protect_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    let [_, _, protection, ..] = task::arguments();
    exit_of(&ctx).and_then(|call| protected(protection, call.returned));
    0
}

/// What the loop over the mappings is given.
#[repr(C)]
struct Telling {
    found: *mut Protected,
    result: i64,
}

/// Reports the mappings that a call made writable, or would have.
#[inline(always)]
pub fn protected(protection: u64, returned: i64) -> Option<()> {
    if protection & PROT_WRITE == 0 {
        return None;
    }
    let thread = bpf_get_current_pid_tgid();
    let found = PROTECTED.get_ptr_mut(thread)?;
    if !is_retry(returned) {
        let mut telling = Telling { found, result: returned };
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
