//! Writes that a program hands over with `io_submit`.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::sample::flag;

use super::write::wrote;
use super::{exit_of, is_retry, ran_at_exit};
use crate::read::user_at;
use crate::sample::{claim, count_missing, release};
use crate::task;

const PWRITE: u16 = 1;
const PWRITEV: u16 = 8;
/// Requests of one call that are looked at; the rest is counted as missing.
const REQUESTS: u32 = 1024;
/// Parts of a vectored write that are added up; more are flagged.
const PARTS: usize = 8;

/// Hook: `syscalls:sys_exit_io_submit(context, count, requests)`, which returns how many of them it took.
#[tracepoint]
pub fn submit_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| submitted(call.returned));
    0
}

/// The part of a `struct iocb` that matters.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    data: u64,
    key_and_flags: u64,
    operation: u16,
    priority: u16,
    descriptor: u32,
    buffer: u64,
    bytes: u64,
}

/// What the loop over the requests works on. It lives in scratch space for the reason that `sample::State` does.
#[repr(C)]
struct Requests {
    address: u64,
    returned: i64,
}

/// Reports the writes of a call that returned how many requests it took.
#[inline(always)]
pub fn submitted(returned: i64) -> Option<()> {
    if returned == 0 || is_retry(returned) {
        return None;
    }
    let [_, _, address, ..] = task::arguments();
    // A refusal is that of the first request.
    let taken = if returned < 0 { 1 } else { returned as u64 };
    let count = if taken > REQUESTS as u64 { REQUESTS } else { taken as u32 };
    let Some(area) = claim() else {
        count_missing(Class::Files, taken);
        return None;
    };
    // SAFETY: the area is larger than this, 8-aligned, and claimed here.
    unsafe { area.cast::<Requests>().write(Requests { address, returned }) };
    let mut context = area;
    // SAFETY: `request` has the signature that bpf_loop calls, and `context` outlives the loop.
    unsafe { bpf_loop(count, request as *mut _, (&raw mut context).cast(), 0) };
    release(area);
    if taken > count as u64 {
        count_missing(Class::Files, taken - count as u64);
    }
    Some(())
}

/// Reports one request, if it writes.
unsafe extern "C" fn request(index: u32, context: *mut *mut u8) -> i64 {
    // SAFETY: bpf_loop hands over the context that `submitted` gave it: a pointer to the requests.
    let Requests { address, returned } = *unsafe { &*(*context).cast::<Requests>() };
    let request = user_at::<u64>(address.wrapping_add(index as u64 * 8)).and_then(user_at::<Request>);
    let Some(request) = request else {
        if returned > 0 {
            count_missing(Class::Files, 1);
        }
        return 0;
    };
    let (bytes, marks) = match request.operation {
        PWRITE => (request.bytes, 0),
        PWRITEV => parts(request.buffer, request.bytes),
        _ => return 0,
    };
    let file = task::file_of(task::current(), request.descriptor);
    let returned = if returned < 0 { returned } else { bytes as i64 & i64::MAX };
    wrote(file, returned, marks | flag::IO_SUBMIT, None);
    0
}

/// Bytes of a vectored write; flagged when it has more parts than are looked at.
#[inline(always)]
fn parts(address: u64, count: u64) -> (u64, u64) {
    // struct iovec: base and length.
    let mut parts = [[0_u64; 2]; PARTS];
    let looked_at = if count > PARTS as u64 { PARTS as u64 } else { count } as u32;
    // SAFETY: `parts` has room for PARTS of them; the helper checks the source.
    unsafe { bpf_probe_read_user(parts.as_mut_ptr().cast(), looked_at * 16, address as *const _) };
    let mut bytes = 0_u64;
    let mut index = 0;
    while index < PARTS {
        bytes = bytes.wrapping_add(parts[index][1]);
        index += 1;
    }
    (bytes, if count > PARTS as u64 { flag::CUT } else { 0 })
}
