//! The object family: functions inside the kernel that every way to them passes, instead of system calls.
//!
//! A call is noted where it enters the kernel's own function (`calls`), its object is told where the change is made
//! (`names`, `paths`), and what never got that far is told by its names when the call returns.

mod calls;
mod names;
mod opens;
mod paths;
mod writes;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_func_arg, bpf_get_func_ret};
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;

use super::named::named_call;
use super::{Asked, spec_of};
use crate::maps::{OFFSETS, PENDING, Pending};
use crate::read::{has, kernel, offset};
use crate::sample::count_loss;
use crate::task;

const AT_REMOVEDIR: u64 = 0x200;

/// An argument of the hooked function, at a position that the daemon looked up by name.
#[inline(always)]
fn argument<C: EbpfContext>(ctx: &C, position: u64) -> u64 {
    let mut value = 0;
    // SAFETY: available since 5.17; the context is the program's own, the kernel checks the position.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), position as u32, &mut value) };
    value
}

/// What the hooked function returned, all 64 bits.
#[inline(always)]
fn returned<C: EbpfContext>(ctx: &C) -> i64 {
    let mut value = 0_u64;
    // SAFETY: available since 5.17; the context is the program's own.
    unsafe { bpf_get_func_ret(ctx.as_ptr(), &mut value) };
    value as i64
}

/// The outcome of a function that returns an `int` or a pointer: 0 or minus errno. Of an `int` the upper half of the
/// register is not defined, but it is never that of a pointer to an object.
#[inline(always)]
fn outcome<C: EbpfContext>(ctx: &C) -> i64 {
    let value = returned(ctx);
    let upper = value >> 32;
    if upper == 0 || upper == -1 { value as i32 as i64 } else { 0 }
}

/// Notes a call that begins: as the caller made it when it is a system call of one of the `kinds`, and otherwise as
/// `translate` has it, with the arguments of system call `number`.
#[inline(always)]
fn enter(kinds: [Kind; 2], number: u32, translate: impl FnOnce() -> ([u64; 6], bool)) {
    let origin = task::origin();
    let is_direct = spec_of(origin.number)
        .is_some_and(|spec| spec.kind == kinds[0] as u16 || spec.kind == kinds[1] as u16);
    let mut pending = Pending { arguments: [0; 6], number, told: 0, in_kernel: 0, marks: 0, mount: 0 };
    if is_direct {
        pending.number = origin.number as u32;
        pending.arguments = task::arguments();
    } else {
        let (arguments, in_kernel) = translate();
        pending.arguments = arguments;
        pending.in_kernel = in_kernel as u64;
        if origin.may_be_uring {
            pending.marks = flag::IO_URING;
        }
    }
    if PENDING.insert(bpf_get_current_pid_tgid(), pending, 0).is_err() {
        count_loss(Class::Files);
    }
}

/// Tells a call that returns, unless its object was told.
#[inline(always)]
fn leave(returned: i64) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    let pending = PENDING.get_ptr_mut(thread)?;
    // SAFETY: a map value of this thread alone.
    let (told, asked) = unsafe { ((*pending).told, asked_of(pending)) };
    if told == 0
        && let Some(asked) = asked
    {
        named_call(&asked, returned);
    }
    let _ = PENDING.remove(thread);
    Some(())
}

/// A pending call as the tellers take it.
///
/// # Safety
/// `pending` points to a map value.
#[inline(always)]
unsafe fn asked_of(pending: *const Pending) -> Option<Asked> {
    // SAFETY: as promised by the caller; map values stay where they are.
    let pending: &'static Pending = unsafe { &*pending };
    Some(Asked {
        spec: spec_of(pending.number as i32)?,
        arguments: pending.arguments,
        in_kernel: &pending.in_kernel,
        marks: pending.marks,
    })
}

/// Where the name in a `struct filename` stands: with the caller, as long as the kernel remembers that. Its own copy
/// is given up before the call returns, up to 6.18.
#[inline(always)]
fn name_of(filename: u64) -> u64 {
    if has(&OFFSETS.filename_uptr) {
        return kernel(filename, &OFFSETS.filename_uptr);
    }
    kernel(filename, &OFFSETS.filename_name)
}

/// Whether [`name_of`] gives the kernel's copy.
#[inline(always)]
fn names_in_kernel() -> bool {
    !has(&OFFSETS.filename_uptr)
}

/// The call of this thread that is on its way to an entry of the file system it asked for; `None` when the entry is
/// that of a layer below it, or when the call is told.
#[inline(always)]
fn pending_at(dentry: u64) -> Option<*mut Pending> {
    let pending = PENDING.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a map value of this thread alone.
    let (told, mount) = unsafe { ((*pending).told, (*pending).mount) };
    let asked: u64 = kernel(mount, &OFFSETS.vfsmount_sb);
    if told != 0 || mount == 0 || kernel::<u64>(dentry, &OFFSETS.dentry_sb) != asked {
        return None;
    }
    Some(pending)
}

/// `-ESTALE`: the kernel tries again with fresh names.
#[inline(always)]
fn is_tried_again(returned: i64) -> bool {
    returned == -116 || super::is_retry(returned)
}

/// A position of [`OFFSETS`].
#[inline(always)]
fn position(field: &u32) -> u64 {
    offset(field)
}
