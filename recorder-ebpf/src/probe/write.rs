//! Writes: the first one through an open file, and a summary when its last reference goes.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::{TaskId, flag};
use recorder_common::text::Tag;

use super::{exit_of, is_retry, pick, ran_at_entry, ran_at_exit};
use crate::maps::{OFFSETS, WRITES, Written};
use crate::read::{kernel, kernel_at, offset};
use crate::sample::{Sample, Urgency, claim, count_loss, release};
use crate::{atomic, files, task};

/// A mapping may be written to.
pub const PROT_WRITE: u64 = 2;
const MAP_SHARED: u64 = 1;
const MAP_ANONYMOUS: u64 = 0x20;
/// Superblock magic of proc.
const PROC: u64 = 0x9fa0;
const NR_WRITE: u64 = 1;
/// Descriptors of a process that are looked at when it ends or closes a range.
const DESCRIPTORS: u32 = 65_536;

/// Hook: `syscalls:sys_exit_write`, `pwrite64`, `writev`, `pwritev`, `pwritev2`, `sendfile64`, `splice`,
/// `copy_file_range`.
#[tracepoint]
pub fn write_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    written(&ctx);
    0
}

fn written(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    if call.returned == 0 || is_retry(call.returned) {
        return None;
    }
    let file = task::file_of(task::current(), pick(&task::arguments(), call.spec.fd) as u32);
    wrote(file, call.returned, 0, None)
}

/// Reports the first write through an open file, and every one that failed; adds the others up. `returned` is bytes
/// or minus errno, `marks` are flags of the event and of the summary, `who` is the writer when it is not the current task.
#[inline(always)]
pub fn wrote(file: u64, returned: i64, marks: u64, who: Option<&TaskId>) -> Option<()> {
    if file == 0 {
        return None;
    }
    let inode = files::inode_of(file);
    let failed = returned < 0;
    if !failed && add(file, inode, returned as u64, marks) {
        return None;
    }
    let takes_commands = marks & flag::COMMAND != 0 && files::is_character(files::mode_of(inode));
    if !files::holds_data(files::mode_of(inode)) && !takes_commands {
        return None;
    }
    if files::is_out_of_scope(inode) {
        return login_set(file, inode, returned);
    }
    if !failed {
        let (bytes, marks) = (returned as u64, marks as u32);
        let first = Written { bytes, calls: 1, inode, closer: 0, seen: 0, mapped: 0, marks };
        let _ = WRITES.insert(file, first, 0);
    }
    let mut sample = Sample::begin_for(Class::Files, Kind::FileWrite as u16, who)?;
    let body = sample.body();
    files::identify(inode, body);
    if failed {
        sample.header().result = returned as i32;
    } else {
        body.arg[0] = returned as u64;
        sample.add_flags(flag::FIRST);
    }
    sample.add_flags(marks);
    files::flag_memfd(file, &mut sample);
    sample.walked(Tag::Object, files::path_of(file));
    sample.send(Urgency::Batch);
    Some(())
}

/// Reports a write to `/proc/self/loginuid`, by which a login program says who logged in; a task has no other way.
#[inline(always)]
fn login_set(file: u64, inode: u64, returned: i64) -> Option<()> {
    let superblock: u64 = kernel(inode, &OFFSETS.inode_sb);
    if kernel::<u64>(superblock, &OFFSETS.sb_magic) != PROC {
        return None;
    }
    let dentry: u64 = kernel(files::path_of(file), &OFFSETS.path_dentry);
    let name: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_name)), &OFFSETS.qstr_name);
    if kernel_at::<[u8; 9]>(name) != *b"loginuid\0" {
        return None;
    }
    let failed = returned < 0;
    let class = if failed { Class::Files } else { Class::Critical };
    let sample = Sample::begin(class, Kind::SessionId as u16)?;
    sample.header().result = if failed { returned as i32 } else { 0 };
    sample.body().arg[3] = NR_WRITE;
    sample.send(if failed { Urgency::Soon } else { Urgency::Now });
    Some(())
}

/// Adds to what is known of an open file; false when this is its first write.
#[inline(always)]
fn add(file: u64, inode: u64, bytes: u64, marks: u64) -> bool {
    let Some(known) = WRITES.get_ptr_mut(file) else { return false };
    // SAFETY: a map value; the counters are touched only by atomic operations.
    unsafe {
        if (*known).inode != inode {
            return false;
        }
        atomic::fetch_add(&raw mut (*known).bytes, bytes);
        atomic::fetch_add(&raw mut (*known).calls, 1);
        if marks != 0 {
            (*known).marks |= marks as u32;
        }
    }
    true
}

/// Hook: `syscalls:sys_enter_close`: a descriptor is about to go.
#[tracepoint]
pub fn close_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    // SAFETY: the first argument, at 16, is inside the record.
    let descriptor = unsafe { ctx.as_ptr().cast::<u8>().add(16).cast::<u64>().read() };
    close(task::file_of(task::current(), descriptor as u32), 1);
    0
}

/// Hook: `syscalls:sys_enter_dup2(old, new)`, `sys_enter_dup3`: `new` is closed when it is open.
#[tracepoint]
pub fn dup_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    // SAFETY: the first two arguments, from 16 on, are inside the record.
    let [old, new] = unsafe { ctx.as_ptr().cast::<u8>().add(16).cast::<[u64; 2]>().read() };
    if old as u32 != new as u32 {
        close(task::file_of(task::current(), new as u32), 1);
    }
    0
}

/// Hook: `syscalls:sys_enter_close_range(first, last, flags)`.
#[tracepoint]
pub fn close_range_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    // SAFETY: the three arguments are inside the record.
    let [first, last, flags] = unsafe { ctx.as_ptr().cast::<u8>().add(16).cast::<[u64; 3]>().read() };
    // CLOSE_RANGE_CLOEXEC closes nothing now.
    if flags & 4 == 0 {
        close_all(task::current(), &OFFSETS.fdt_open_fds, first as u32, last as u32);
    }
    0
}

/// Reports an open file of which `going` references go now, when they are all there are.
#[inline(always)]
pub fn close(file: u64, going: u64) -> Option<()> {
    if file == 0 {
        return None;
    }
    let known = WRITES.get_ptr_mut(file)?;
    // SAFETY: a map value; a torn read of counters cannot happen on 64 bit.
    let written = unsafe { *known };
    if files::references(file) > going && !is_held_unseen(&written) {
        return None;
    }
    summary(file, &written, None)
}

/// Whether the count of references says nothing at a close: a mapping holds the file, or a ring, which lets go of a file
/// some time after the request.
#[inline(always)]
pub fn is_held_unseen(written: &Written) -> bool {
    written.mapped != 0 || written.marks as u64 & flag::IO_URING != 0
}

/// Reports an open file that nobody holds any more, unless that was done.
#[inline(always)]
pub fn close_last(file: u64) -> Option<()> {
    let known = WRITES.get_ptr_mut(file)?;
    // SAFETY: a map value; a torn read of counters cannot happen on 64 bit.
    let written = unsafe { *known };
    summary(file, &written, None)
}

/// Reports what was written through an open file, and forgets it; `who` as for [`wrote`].
#[inline(always)]
pub fn summary(file: u64, written: &Written, who: Option<&TaskId>) -> Option<()> {
    let inode = files::inode_of(file);
    let _ = WRITES.remove(file);
    if inode != written.inode {
        return None;
    }
    let mut sample = Sample::begin_for(Class::Files, Kind::FileWrite as u16, who)?;
    let body = sample.body();
    files::identify(inode, body);
    body.arg[0] = written.bytes;
    body.arg[1] = written.calls;
    sample.add_flags(flag::CLOSE | written.marks as u64);
    files::flag_memfd(file, &mut sample);
    sample.walked(Tag::Object, files::path_of(file));
    sample.send(Urgency::Batch);
    Some(())
}

/// A pass over the descriptors in use. It lives in scratch space for the reason that `sample::State` does.
#[repr(C)]
struct Pass {
    array: u64,
    bitmap: u64,
    /// Descriptors of the current word that are still to be visited.
    word: u64,
    /// Number of the first descriptor of the next word.
    next: u32,
    first: u32,
    last: u32,
    process: u32,
}

/// Reports every written file whose last references are descriptors `first..=last` of the current process, of those
/// that the bitmap `bits` holds.
#[inline(always)]
pub fn close_all(task: u64, bits: &u32, first: u32, last: u32) {
    let (array, slots, bitmap) = task::descriptor_table(task, bits);
    let slots = if slots > DESCRIPTORS { DESCRIPTORS } else { slots };
    if array == 0 || bitmap == 0 || first >= slots {
        return;
    }
    let Some(area) = claim() else {
        count_loss(Class::Files);
        return;
    };
    let last = if last >= slots { slots - 1 } else { last };
    let pass = Pass { array, bitmap, word: 0, next: first & !63, first, last, process: task::tgid() };
    // SAFETY: the area is larger than a pass, 8-aligned, and claimed here.
    unsafe { area.cast::<Pass>().write(pass) };
    let mut context = area;
    // SAFETY: `visit` has the signature that bpf_loop calls, and `context` outlives the loop.
    unsafe { bpf_loop(slots + slots / 64 + 1, visit as *mut _, (&raw mut context).cast(), 0) };
    release(area);
}

/// Visits the next descriptor in use, or takes the next word of the bitmap.
unsafe extern "C" fn visit(_index: u32, context: *mut *mut u8) -> i64 {
    // SAFETY: bpf_loop hands over the context that `close_all` gave it: a pointer to the pass.
    let pass = unsafe { &mut *(*context).cast::<Pass>() };
    if pass.word == 0 {
        if pass.next > pass.last {
            return 1;
        }
        pass.word = kernel_at(pass.bitmap.wrapping_add(pass.next as u64 / 8));
        pass.next += 64;
        return 0;
    }
    let descriptor = pass.next.wrapping_sub(64).wrapping_add(pass.word.trailing_zeros());
    pass.word &= pass.word - 1;
    if descriptor >= pass.first && descriptor <= pass.last {
        let file: u64 = kernel_at(pass.array.wrapping_add(descriptor as u64 * 8));
        leave(file, pass.process);
    }
    0
}

/// One descriptor of `process` is going. Several may hold the same file: the last one visited closes it.
#[inline(always)]
fn leave(file: u64, process: u32) -> Option<()> {
    let known = WRITES.get_ptr_mut(file)?;
    // SAFETY: a map value; two processes that close at once can at worst lose a summary, never invent one.
    let seen = unsafe {
        if (*known).closer != process {
            (*known).closer = process;
            (*known).seen = 0;
        }
        (*known).seen += 1;
        (*known).seen
    };
    close(file, seen as u64)
}

/// Reports a shared writable mapping of a file, or the refusal of one.
#[inline(always)]
pub fn mapped_writable(file: u64, bytes: u64, result: i32) -> Option<()> {
    let inode = files::inode_of(file);
    if !files::holds_data(files::mode_of(inode)) || files::is_out_of_scope(inode) {
        return None;
    }
    let mut sample = Sample::begin(Class::Files, Kind::FileMapWrite as u16)?;
    sample.header().result = result;
    let body = sample.body();
    files::identify(inode, body);
    body.arg[0] = bytes;
    files::flag_memfd(file, &mut sample);
    sample.walked(Tag::Object, files::path_of(file));
    sample.send(Urgency::Batch);
    Some(())
}

/// Hook: `syscalls:sys_exit_mmap`: shared writable mappings of files, which change them without a write.
#[tracepoint]
pub fn mmap_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    let [_, length, protection, flags, descriptor, _] = task::arguments();
    if flags & MAP_ANONYMOUS == 0
        && let Some(call) = exit_of(&ctx)
    {
        let file = task::file_of(task::current(), descriptor as u32);
        mapped(file, length, (protection, flags), call.returned);
    }
    0
}

/// Reports a mapping that changes a file without a write; `returned` is its address or minus errno.
#[inline(always)]
pub fn mapped(file: u64, length: u64, (protection, flags): (u64, u64), returned: i64) -> Option<()> {
    if file == 0 || flags & MAP_ANONYMOUS != 0 || is_retry(returned) {
        return None;
    }
    let failed = returned < 0 && returned > -4096;
    if !failed && let Some(known) = WRITES.get_ptr_mut(file) {
        // SAFETY: a map value; a plain store of one word.
        unsafe { (*known).mapped = 1 };
    }
    if flags & MAP_SHARED == 0 || protection & PROT_WRITE == 0 {
        return None;
    }
    mapped_writable(file, length, if failed { returned as i32 } else { 0 })
}
