//! One file per family of hooks.

/// Counts a run of a program that is attached in one place, by its name.
macro_rules! ran_single {
    ($program:ident) => {
        $crate::probe::ran(const { recorder_common::hook::single(stringify!($program)) })
    };
}

mod aio;
mod bind;
mod bpf;
mod clock;
mod credential;
pub mod exec;
mod mount;
mod named;
mod namespace;
mod object;
mod open;
mod pam;
mod process;
mod protect;
mod ptrace;
mod queue;
mod reboot;
mod reflink;
mod system;
mod uring;
mod write;

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::hook;
use recorder_common::syscall::{SYSCALLS, Spec};

use crate::maps::{RUNS, SPECS};
use crate::sample::{Sample, Urgency};
use crate::task;

/// A system call at its tracepoint: number, and at exit the returned value.
pub struct Call {
    /// How to read its arguments.
    pub spec: Spec,
    /// Returned value.
    pub returned: i64,
    /// System call number.
    pub number: u64,
}

impl Call {
    /// 0, or minus errno.
    #[inline(always)]
    pub fn result(&self) -> i32 {
        if self.returned < 0 { self.returned as i32 } else { 0 }
    }

    /// A sample of a call whose failures anybody could make a flood of: those do not stand beside program starts.
    #[inline(always)]
    pub fn sample(&self, kind: u16, result: i32) -> Option<Sample> {
        let class = if result == 0 { Class::Critical } else { Class::Files };
        let sample = Sample::begin(class, kind)?;
        sample.header().result = result;
        sample.body().arg[3] = self.number;
        Some(sample)
    }

    /// The call as it was asked for.
    #[inline(always)]
    pub fn asked(&self) -> Asked {
        Asked { spec: self.spec, arguments: task::arguments(), in_kernel: &NOT_IN_KERNEL, marks: 0 }
    }
}

/// How soon the reader must know of a call of [`Call::sample`].
#[inline(always)]
pub fn urgency(result: i32) -> Urgency {
    if result == 0 { Urgency::Now } else { Urgency::Soon }
}

/// For names that are the caller's.
pub static NOT_IN_KERNEL: u64 = 0;

/// What a thread asked the kernel for.
#[derive(Clone, Copy)]
pub struct Asked {
    /// How to read the arguments.
    pub spec: Spec,
    /// Arguments, in the order of the system call that the spec describes.
    pub arguments: [u64; 6],
    /// Not 0: names and texts are the kernel's own copies, not the caller's.
    pub in_kernel: &'static u64,
    /// Bits of `recorder_common::sample::flag` that come with it.
    pub marks: u64,
}

/// Counts a run of a hook: the first thing that each program does, whatever comes of it.
#[inline(always)]
pub fn ran(slot: u32) {
    if let Some(runs) = RUNS.get_ptr_mut(slot) {
        // SAFETY: a per-CPU map value; a run that is lost to one in between does not matter.
        unsafe { *runs = (*runs).wrapping_add(1) };
    }
}

/// Counts a run at the exit of a system call.
#[inline(always)]
pub fn ran_at_exit(ctx: &TracePointContext) {
    ran(hook::exit_of(number_of(ctx)));
}

/// Counts a run at the entry of a system call.
#[inline(always)]
pub fn ran_at_entry(ctx: &TracePointContext) {
    ran(hook::entry_of(number_of(ctx)));
}

/// `__syscall_nr`, at 8 of every record of `syscalls:*`.
#[inline(always)]
fn number_of(ctx: &TracePointContext) -> u32 {
    // SAFETY: the field is inside the record.
    unsafe { ctx.as_ptr().cast::<u8>().add(8).cast::<u32>().read() }
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
    Some(Call { spec: spec_of(number)?, returned, number: number as u64 })
}

/// How to read the system call of this number.
#[inline(always)]
pub fn spec_of(number: i32) -> Option<Spec> {
    if number < 0 || number as usize >= SYSCALLS {
        return None;
    }
    // SAFETY: the number is in range. Volatile, because the daemon overrides the table at load.
    Some(unsafe { (&raw const SPECS).cast::<Spec>().add(number as usize).read_volatile() })
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
