//! Objects that a call names or has open: told by the kernel's own `struct path`, with the outcome.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use recorder_common::text::Tag;

use super::{asked_of, is_tried_again, outcome};
use crate::files;
use crate::maps::{OFFSETS, PENDING};
use crate::probe::named::{begin, finish};
use crate::read::kernel;

/// Declares the program of one function whose argument at a position is the path.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident: $position:literal;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            changed(ctx.arg($position), outcome(&ctx));
            0
        }
    )*};
}

paths! {
    /// Hook: `chmod_common(path, mode)`.
    path_mode_set: 0;
    /// Hook: `chown_common(path, user, group)`.
    path_owner_set: 0;
    /// Hook: `vfs_utimes(path, times)`.
    path_times_set: 0;
    /// Hook: `vfs_truncate(path, length)`.
    path_truncated: 0;
}

/// Tells the object at a path; calls of these functions don't nest.
#[inline(always)]
fn changed(path: u64, result: i64) -> Option<()> {
    let pending = PENDING.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a map value of this thread alone.
    let (told, asked) = unsafe { ((*pending).told, asked_of(pending)?) };
    if told != 0 || is_tried_again(result) {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*pending).told = 1 };
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
