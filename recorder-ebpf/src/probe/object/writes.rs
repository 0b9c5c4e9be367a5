//! Writes and closes of open files, by the kernel's own file.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use recorder_common::sample::flag;

use super::returned;
use crate::maps::OFFSETS;
use crate::probe::is_retry;
use crate::probe::write::{close, close_last, wrote};
use crate::read::{kernel, offset};
use crate::task;

/// Declares the program of one function that writes to the file at a position and returns how much.
macro_rules! writes {
    ($($(#[$doc:meta])* $name:ident: $position:literal;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            ran_single!($name);
            written(ctx.arg($position), returned(&ctx));
            0
        }
    )*};
}

writes! {
    /// Hook: `vfs_write(file, buffer, count, position)`.
    file_written: 0;
    /// Hook: `vfs_writev(file, vector, length, position, flags)`.
    file_written_vector: 0;
    /// Hook: `vfs_copy_file_range(in, offset, out, offset, length, flags)`.
    file_copied: 2;
}

#[inline(always)]
fn written(file: u64, returned: i64) -> Option<()> {
    if returned == 0 || is_retry(returned) {
        return None;
    }
    wrote(file, returned, 0, None)
}

/// Hook: `do_splice(in, offset, out, offset, length, flags)`, which the call and io_uring share.
#[fexit]
pub fn file_spliced(ctx: FExitContext) -> i32 {
    spliced(ctx.arg(2), returned(&ctx));
    0
}

#[inline(always)]
fn spliced(file: u64, returned: i64) -> Option<()> {
    /// `splice`.
    const SPLICE: i32 = 275;
    if returned == 0 || is_retry(returned) {
        return None;
    }
    let origin = task::origin();
    let is_asked = origin.may_be_uring && origin.number != SPLICE;
    wrote(file, returned, if is_asked { flag::IO_URING } else { 0 }, None)
}

/// Hook: `do_sendfile(out, in, position, count, end)`.
#[fexit]
pub fn file_sent(ctx: FExitContext) -> i32 {
    ran_single!(file_sent);
    let file = task::file_of(task::current(), ctx.arg::<u64>(0) as u32);
    written(file, returned(&ctx));
    0
}

/// Hook: `__x64_sys_pwrite64(regs)`, for an offset below 0, which is refused before the file is asked.
#[fexit]
pub fn pwrite_call(ctx: FExitContext) -> i32 {
    ran_single!(pwrite_call);
    let [descriptor, _, _, offset, ..] = task::arguments();
    if (offset as i64) < 0 {
        written(task::file_of(task::current(), descriptor as u32), returned(&ctx));
    }
    0
}

/// Hook: `io_write(request, flags)`: a write that io_uring does.
#[fexit]
pub fn uring_written(ctx: FExitContext) -> i32 {
    ran_single!(uring_written);
    uring(&ctx);
    0
}

#[inline(always)]
fn uring(ctx: &FExitContext) -> Option<()> {
    /// `IOU_ISSUE_SKIP_COMPLETE`: the device tells later how much it took.
    const LATER: i64 = -529;
    let request: u64 = ctx.arg(0);
    let value = returned(ctx) as i32 as i64;
    // The file is the first member of a request.
    let file: u64 = kernel(request, &OFFSETS.request_file);
    let cqe = request.wrapping_add(offset(&OFFSETS.request_cqe));
    let result = match value {
        0 => kernel::<i32>(cqe, &OFFSETS.cqe_res) as i64,
        LATER => 0,
        other => other,
    };
    if result == 0 || is_retry(result) {
        return None;
    }
    wrote(file, result, flag::IO_URING, None)
}

/// Hook: `filp_close(file, id)`: a descriptor goes.
#[fentry]
pub fn file_close(ctx: FEntryContext) -> i32 {
    ran_single!(file_close);
    close(ctx.arg(0), 1);
    0
}

/// Hook: `filp_flush(file, id)`, since 6.6: close(2) comes here alone.
#[fentry]
pub fn file_flush(ctx: FEntryContext) -> i32 {
    ran_single!(file_flush);
    close(ctx.arg(0), 1);
    0
}

/// Hook: `__fput(file)`: the last holder lets go, be it a mapping, a message or io_uring.
#[fentry]
pub fn file_put(ctx: FEntryContext) -> i32 {
    ran_single!(file_put);
    close_last(ctx.arg(0));
    0
}
