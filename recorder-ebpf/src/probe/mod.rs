//! One file per family of hooks.

mod aio;
mod bind;
mod exec;
mod named;
mod open;
mod pam;
mod process;
mod protect;
mod queue;
mod uring;
mod write;

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::TracePointContext;
use recorder_common::syscall::{SYSCALLS, Spec};

use crate::maps::SPECS;

/// A system call at its tracepoint: number, and at exit the returned value.
pub struct Call {
    /// How to read its arguments.
    pub spec: Spec,
    /// Returned value.
    pub returned: i64,
}

/// `-EAGAIN`, `-EINTR`, and the kernel's own restart codes: the call did not happen, or will happen again.
#[inline(always)]
pub fn is_retry(returned: i64) -> bool {
    returned == -11 || returned == -4 || (returned <= -512 && returned >= -530)
}

/// Reads the common part of `syscalls:sys_exit_*`: `__syscall_nr` at 8, `ret` at 16.
#[inline(always)]
pub fn exit_of(ctx: &TracePointContext) -> Option<Call> {
    // SAFETY: both fields are inside the record of every sys_exit tracepoint.
    let (number, returned) = unsafe {
        let record = ctx.as_ptr().cast::<u8>();
        (record.add(8).cast::<i32>().read(), record.add(16).cast::<i64>().read())
    };
    if number < 0 || number as usize >= SYSCALLS {
        return None;
    }
    // SAFETY: the number is in range. Volatile, because the daemon overrides the table at load.
    let spec = unsafe { (&raw const SPECS).cast::<Spec>().add(number as usize).read_volatile() };
    Some(Call { spec, returned })
}

/// The argument at a position of the table; 0 when the call does not have it.
#[inline(always)]
pub fn pick(arguments: &[u64; 6], position: u8) -> u64 {
    match position {
        0 => arguments[0],
        1 => arguments[1],
        2 => arguments[2],
        3 => arguments[3],
        4 => arguments[4],
        5 => arguments[5],
        _ => 0,
    }
}
