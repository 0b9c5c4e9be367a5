//! Objects that a call names or has open: told by the kernel's own `struct path`, with the outcome.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::{asked_of, is_tried_again, outcome};
use crate::maps::{OFFSETS, PENDING};
use crate::probe::named::{begin, finish};
use crate::probe::{Asked, NOT_IN_KERNEL, spec_of};
use crate::read::kernel;
use crate::{files, task};

/// Declares the program of one function whose first argument is the path. `number` and `arguments` are the system call
/// that does the same, for callers whose own call is not hooked: 32-bit programs.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident: $number:literal, |$ctx:ident| $arguments:expr;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name($ctx: FExitContext) -> i32 {
            ran_single!($name);
            changed($ctx.arg(0), outcome(&$ctx), ($number, || $arguments));
            0
        }
    )*};
}

paths! {
    /// Hook: `chmod_common(path, mode)`.
    path_mode_set: 91, |ctx| [0, ctx.arg(1), 0, 0, 0, 0];
    /// Hook: `chown_common(path, user, group)`.
    path_owner_set: 93, |ctx| [0, ctx.arg(1), ctx.arg(2), 0, 0, 0];
    /// Hook: `vfs_utimes(path, times)`.
    path_times_set: 280, |ctx| [0; 6];
    /// Hook: `vfs_truncate(path, length)`.
    path_truncated: 77, |ctx| [0, ctx.arg(1), 0, 0, 0, 0];
}

/// Hook: `vfs_fallocate(file, mode, offset, length)`, for io_uring and 32-bit programs.
#[fexit]
pub fn file_allocated(ctx: FExitContext) -> i32 {
    ran_single!(file_allocated);
    sized(ctx.arg(0), outcome(&ctx), (285, || [0, ctx.arg(1), ctx.arg(2), ctx.arg(3), 0, 0]));
    0
}

/// Hook: `do_ftruncate(file, length)`, since 6.9: for io_uring and 32-bit programs.
#[fexit]
pub fn file_truncated(ctx: FExitContext) -> i32 {
    ran_single!(file_truncated);
    sized(ctx.arg(0), outcome(&ctx), (77, || [0, ctx.arg(1), 0, 0, 0, 0]));
    0
}

/// Tells a file whose length was set without a system call of this thread that is hooked.
#[inline(always)]
fn sized(file: u64, result: i64, call: (i32, impl FnOnce() -> [u64; 6])) -> Option<()> {
    /// `FMODE_BACKING`: opened by a file system that lies on this one, which told it already.
    const BACKING: u32 = 1 << 25;
    let of_entry: u64 = kernel(files::path_of(file), &OFFSETS.path_dentry);
    let lower = kernel::<u64>(files::inode_of(file), &OFFSETS.inode_sb)
        != kernel::<u64>(of_entry, &OFFSETS.dentry_sb);
    if lower || kernel::<u32>(file, &OFFSETS.file_mode) & BACKING != 0 {
        return None;
    }
    if PENDING.get_ptr_mut(bpf_get_current_pid_tgid()).is_some() {
        return None;
    }
    changed(files::path_of(file), result, call)
}

/// Tells the object at a path; calls of these functions don't nest.
#[inline(always)]
fn changed(path: u64, result: i64, call: (i32, impl FnOnce() -> [u64; 6])) -> Option<()> {
    if is_tried_again(result) {
        return None;
    }
    let asked = match PENDING.get_ptr_mut(bpf_get_current_pid_tgid()) {
        // SAFETY: a map value of this thread alone.
        Some(pending) => unsafe {
            if (*pending).told != 0 {
                return None;
            }
            (*pending).told = 1;
            asked_of(pending)?
        },
        None => {
            let marks = if task::origin().may_be_uring { flag::IO_URING } else { 0 };
            Asked { spec: spec_of(call.0)?, arguments: (call.1)(), in_kernel: &NOT_IN_KERNEL, marks }
        }
    };
    let dentry: u64 = kernel(path, &OFFSETS.path_dentry);
    let inode: u64 = kernel(dentry, &OFFSETS.dentry_inode);
    if files::is_out_of_scope(inode) {
        return None;
    }
    let mut sample = begin(&asked, result)?;
    files::identify(inode, sample.body());
    files::flag_memfd_entry(dentry, &mut sample);
    sample.walked(Tag::Object, path);
    finish(sample, &asked);
    Some(())
}
