//! io_uring: what a request asks for is read at its submission, and told at its completion with its outcome.
//!
//! Names are copied at the submission, from where the kernel itself has just copied them. Directories are looked at when
//! the request is complete: the program can't know that yet, so what it refers to is still there.

mod ask;
mod operation;
mod tell;

use aya_ebpf::bindings::bpf_map_def;
use aya_ebpf::helpers::generated::bpf_for_each_map_elem;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use recorder_common::class::Class;
use recorder_common::sample::flag;

use self::ask::is_known_write;
use self::operation::{WRITES_DATA, group, group_of, is_command};
use super::is_retry;
use super::write::wrote;
use crate::maps::{Asked, NAMES, Names, OFFSETS, QUIET, REQUESTS, Request};
use crate::read::{kernel, offset};
use crate::sample::{claim, count_loss, release};

/// `REQ_F_CQE_SKIP`: nothing is told to the program, or to us, when the request succeeds.
const CQE_SKIP: u32 = 1 << 6;

/// Hook: `tp_btf/io_uring_submit_req(request)`, before Linux 6.4 `io_uring_submit_sqe`: the kernel took a request.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn uring_submit(ctx: BtfTracePointContext) -> i32 {
    ran_single!(uring_submit);
    submitted(ctx.arg(0));
    0
}

fn submitted(req: u64) -> Option<()> {
    let operation: u8 = kernel(req, &OFFSETS.req_opcode);
    let group = group_of(operation)?;
    let skips = kernel::<u32>(req, &OFFSETS.req_flags) & CQE_SKIP != 0;
    if group == WRITES_DATA && !skips && is_known_write(req) {
        return None;
    }
    let _ = QUIET.remove(req);
    let Some(area) = claim() else {
        count_loss(Class::Files);
        return None;
    };
    // SAFETY: the area is larger than what is asked, 8-aligned, and claimed here.
    let asked = unsafe { &mut *area.cast::<Asked>() };
    let has_names = asked.read(req, operation);
    // What was here before was not completed in any way that could be seen.
    if let Some(old) = REQUESTS.get_ptr_mut(req) {
        finish(req, old, 0, flag::UNCONFIRMED);
    }
    let is_kept = !skips
        && (!has_names || NAMES.insert(req, &asked.names, 0).is_ok())
        && REQUESTS.insert(req, &asked.request, 0).is_ok();
    if !is_kept {
        let _ = NAMES.remove(req);
        if skips && group != WRITES_DATA {
            // Should it fail, that is told as well.
            let _ = QUIET.insert(req, &*asked, 0);
        }
        tell::tell(&asked.request, &raw const asked.names, 0, flag::UNCONFIRMED);
    }
    release(area);
    Some(())
}

/// Hook: `tp_btf/io_uring_req_failed(sqe, request, error)`: a request that the kernel would not take.
#[btf_tracepoint(function = "io_uring_req_failed")]
pub fn uring_refused(ctx: BtfTracePointContext) -> i32 {
    ran_single!(uring_refused);
    refused(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

fn refused(entry: u64, req: u64, error: i32) -> Option<()> {
    let operation: u8 = kernel(req, &OFFSETS.req_opcode);
    // It never comes to the functions of the object family.
    group(operation as u32)?;
    let Some(area) = claim() else {
        count_loss(Class::Files);
        return None;
    };
    // SAFETY: the area is larger than what is asked, 8-aligned, and claimed here.
    let asked = unsafe { &mut *area.cast::<Asked>() };
    asked.read_entry(entry, req, operation);
    tell::tell(&asked.request, &raw const asked.names, error as i64, 0);
    release(area);
    Some(())
}

/// Hook: `tp_btf/io_uring_complete(ring, request, ...)`. The outcome is read from the request: the ring's own entry can
/// be written by the program.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn uring_complete(ctx: BtfTracePointContext) -> i32 {
    ran_single!(uring_complete);
    completed(ctx.arg(1));
    0
}

fn completed(req: u64) -> Option<()> {
    let operation: u8 = kernel(req, &OFFSETS.req_opcode);
    let group = group_of(operation)?;
    let cqe = req.wrapping_add(offset(&OFFSETS.req_cqe));
    let result = kernel::<i32>(cqe, &OFFSETS.cqe_res) as i64;
    if let Some(request) = REQUESTS.get_ptr_mut(req) {
        return finish(req, request, result, 0);
    }
    if group == WRITES_DATA {
        // A further write to a file: its first one told who writes.
        let marks = if is_command(operation as u32) { flag::COMMAND } else { 0 };
        if is_retry(result) || (result == 0 && marks == 0) {
            return None;
        }
        return wrote(kernel(req, &OFFSETS.req_file), result, flag::IO_URING | marks, None);
    }
    let asked = QUIET.get_ptr_mut(req)?;
    // SAFETY: a map value; should it be replaced meanwhile, so is a request that was told already.
    let asked = unsafe { &mut *asked };
    tell::tell(&asked.request, &raw const asked.names, result, 0);
    let _ = QUIET.remove(req);
    None
}

/// Tells a request and forgets it.
#[inline(always)]
fn finish(req: u64, request: *mut Request, result: i64, marks: u64) -> Option<()> {
    let names = NAMES.get_ptr_mut(req).map_or(core::ptr::null(), <*mut Names>::cast_const);
    // SAFETY: a map value, which nobody else touches before it is removed here.
    let request = unsafe { &mut *request };
    if request.file == 0 {
        request.file = tell::file_of(req, request.operation);
    }
    tell::tell(request, names, result, marks);
    let _ = NAMES.remove(req);
    let _ = REQUESTS.remove(req);
    Some(())
}

/// Hook: `tp_btf/io_uring_cqe_overflow(ring, tag, result, flags, entry)`: a completion found no room in its ring, and
/// is told without its request.
#[btf_tracepoint(function = "io_uring_cqe_overflow")]
pub fn uring_overflow(ctx: BtfTracePointContext) -> i32 {
    ran_single!(uring_overflow);
    overflown(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// A search for the request behind a completion.
#[repr(C)]
struct Search {
    ring: u64,
    tag: u64,
    found: u64,
    count: u64,
}

fn overflown(ring: u64, tag: u64, result: i32) -> Option<()> {
    let mut search = Search { ring, tag, found: 0, count: 0 };
    let map = (&raw const REQUESTS).cast_mut().cast::<bpf_map_def>();
    // SAFETY: `compare` has the signature that the helper calls, and `search` outlives the loop.
    unsafe { bpf_for_each_map_elem(map.cast(), compare as *mut _, (&raw mut search).cast(), 0) };
    let request = REQUESTS.get_ptr_mut(search.found)?;
    // Of several that the program calls the same, nobody knows which one this is.
    finish(search.found, request, result as i64, if search.count > 1 { flag::UNCONFIRMED } else { 0 })
}

unsafe extern "C" fn compare(
    _map: *mut bpf_map_def,
    req: *const u64,
    request: *const Request,
    search: *mut Search,
) -> i64 {
    // SAFETY: the helper hands over a key, its value, and the context that `overflown` gave it.
    let (req, request, search) = unsafe { (*req, &*request, &mut *search) };
    if request.ring == search.ring && request.tag == search.tag {
        search.found = req;
        search.count += 1;
    }
    0
}
