//! Entries of directories that are made, removed and renamed: told by the kernel's own entry, with the outcome.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use recorder_common::text::Tag;

use super::{argument, asked_of, is_tried_again, outcome, pending_at, position};
use crate::files;
use crate::maps::{OFFSETS, PENDING};
use crate::probe::named::{begin, finish};
use crate::read::kernel;

/// Hook: `mnt_want_write(mount)`: every call that changes names asks the mount first, which is the caller's.
#[fentry]
pub fn want_write(ctx: FEntryContext) -> i32 {
    note_mount(ctx.arg(0));
    0
}

/// Hook: `mnt_want_write_file(file)`, for calls that change attributes through an open file.
#[fentry]
pub fn want_write_file(ctx: FEntryContext) -> i32 {
    note_mount(kernel(files::path_of(ctx.arg(0)), &OFFSETS.path_mnt));
    0
}

/// Keeps the first mount: file systems that lie on others ask those as well.
#[inline(always)]
fn note_mount(mount: u64) -> Option<()> {
    let pending = PENDING.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a map value of this thread alone.
    unsafe {
        if (*pending).mount == 0 {
            (*pending).mount = mount;
        }
    }
    Some(())
}

/// Tells the entry at an argument of the hooked function.
#[inline(always)]
fn changed(ctx: &FExitContext, dentry: &u32) -> Option<()> {
    let dentry = argument(ctx, position(dentry));
    let pending = pending_at(dentry)?;
    let result = outcome(ctx);
    if is_tried_again(result) {
        return None;
    }
    // SAFETY: a map value of this thread alone.
    let (asked, mount) = unsafe {
        (*pending).told = 1;
        (asked_of(pending)?, (*pending).mount)
    };
    if files::is_pseudo(kernel(kernel(dentry, &OFFSETS.dentry_sb), &OFFSETS.sb_magic)) {
        return None;
    }
    let mut sample = begin(&asked, result)?;
    let inode: u64 = kernel(dentry, &OFFSETS.dentry_inode);
    if inode != 0 {
        files::identify(inode, sample.body());
    }
    sample.walked_entry(Tag::Object, mount, dentry, 0);
    finish(sample, &asked);
    Some(())
}

/// Declares the program of one function that changes one entry.
macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident: $position:ident;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            changed(&ctx, &OFFSETS.$position);
            0
        }
    )*};
}

entries! {
    /// Hook: `vfs_unlink(dentry)`.
    entry_unlinked: unlink_dentry;
    /// Hook: `vfs_rmdir(dentry)`.
    entry_dir_removed: rmdir_dentry;
}
