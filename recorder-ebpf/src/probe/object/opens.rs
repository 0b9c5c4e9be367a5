//! Opens, where system calls, io_uring and the kernel itself come together; and those refused before that.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;

use super::{outcome, returned};
use crate::maps::{OFFSETS, REFUSED};
use crate::probe::named::Name;
use crate::probe::open::{self, Opening};
use crate::probe::{Call, spec_of};
use crate::read::kernel;
use crate::task;

/// The names of opens are the kernel's copies.
static IN_KERNEL: u64 = 1;

/// `__FMODE_EXEC`: exec looks for its program.
const FMODE_EXEC: u32 = 0x20;

/// Hook: `do_filp_open(dfd, pathname, flags)`; `do_file_open` since 7.0.
#[fexit]
pub fn file_open_leave(ctx: FExitContext) -> i32 {
    ran_single!(file_open_leave);
    opened(&ctx);
    0
}

#[inline(always)]
fn opened(ctx: &FExitContext) -> Option<()> {
    let flags: u32 = kernel(ctx.arg(2), &OFFSETS.open_flag);
    let value = returned(ctx);
    let failed = value < 0 && value > -4096;
    if flags & FMODE_EXEC != 0 {
        return None;
    }
    if !failed {
        return open::changed(value as u64, flags as u64, marks(flags as u64)?, None);
    }
    // What is read only and not refused for a right is not told, whoever asked.
    open::refused_kind(value, flags as u64)?;
    let filename: u64 = ctx.arg(1);
    let address = if filename > u64::MAX - 4096 { 0 } else { kernel(filename, &OFFSETS.filename_name) };
    let is_call = is_open_call();
    if is_call {
        let _ = REFUSED.insert(bpf_get_current_pid_tgid(), 1, 0);
        if address == 0 {
            // The name itself could not be read: the return of the call tells it.
            let _ = REFUSED.remove(bpf_get_current_pid_tgid());
            return None;
        }
    }
    let marks = if !is_call && task::origin().may_be_uring { flag::IO_URING } else { 0 };
    let name = Name { address, in_kernel: &IN_KERNEL };
    open::refused(&Opening { dir: (0, ctx.arg(0)), name: Some(name), flags: flags as u64, marks }, value)
}

/// Flags of a successful open; `None` when it changed nothing, so that the common open is told apart first.
#[inline(always)]
fn marks(flags: u64) -> Option<u64> {
    if !open::may_change(flags) {
        return None;
    }
    Some(if !is_open_call() && task::origin().may_be_uring { flag::IO_URING } else { 0 })
}

/// The thread makes a system call that opens.
#[inline(always)]
fn is_open_call() -> bool {
    spec_of(task::origin().number).is_some_and(|spec| spec.kind == Kind::FileCreate as u16)
}

/// Hook: `do_sys_openat2(dfd, filename, how)`, for what was refused before a name was looked up: a full table of
/// descriptors, flags or a name that can't be.
#[fexit]
pub fn sys_open_leave(ctx: FExitContext) -> i32 {
    ran_single!(sys_open_leave);
    refused_early(&ctx);
    0
}

#[inline(always)]
fn refused_early(ctx: &FExitContext) -> Option<()> {
    let result = outcome(ctx);
    if result >= 0 || REFUSED.remove(bpf_get_current_pid_tgid()).is_ok() {
        return None;
    }
    let flags: u64 = crate::read::kernel_at(ctx.arg(2));
    let name = Name::of_caller(ctx.arg(1));
    open::refused(&Opening { dir: (0, ctx.arg(0)), name: Some(name), flags, marks: 0 }, result)
}

/// Hook: `do_handle_open(mountdirfd, handle, flags)`.
#[fexit]
pub fn handle_open_leave(ctx: FExitContext) -> i32 {
    ran_single!(handle_open_leave);
    let number = task::origin().number;
    if let Some(spec) = spec_of(number) {
        open::opened(&Call { spec, returned: outcome(&ctx), number: number as u64 });
    }
    0
}
