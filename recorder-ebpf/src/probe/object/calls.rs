//! Where calls enter the kernel's own functions, which system calls and io_uring share, and where they return.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use recorder_common::kind::Kind;

use super::{AT_REMOVEDIR, enter, leave, name_of, names_in_kernel, outcome, returned};
use crate::probe::named::{named_call, sets_flags};
use crate::probe::{Call, aio, bind, exec, mount, protect, queue, reflink, spec_of, write};
use crate::task;

/// Declares the pair of programs of one function. `number` and `arguments` say which system call does the same, for
/// callers that made none.
macro_rules! calls {
    ($($(#[$doc:meta])* $enter:ident, $leave:ident: $kinds:expr, $number:literal,
        |$ctx:ident| $arguments:expr, $in_kernel:expr;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $enter($ctx: FEntryContext) -> i32 {
            ran_single!($enter);
            enter($kinds, $number, || ($arguments, $in_kernel));
            0
        }

        $(#[$doc])*
        #[fexit]
        pub fn $leave(ctx: FExitContext) -> i32 {
            ran_single!($leave);
            leave(outcome(&ctx));
            0
        }
    )*};
}

/// Both kinds that a function serves are this one.
const fn only(kind: Kind) -> [Kind; 2] {
    [kind, kind]
}

calls! {
    /// Hook: `do_unlinkat(dfd, name)`; `filename_unlinkat` since 7.0.
    unlink_enter, unlink_leave: only(Kind::FileDelete), 263,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), 0, 0, 0, 0], names_in_kernel();
    /// Hook: `do_rmdir(dfd, name)`; `filename_rmdir` since 7.0.
    rmdir_enter, rmdir_leave: [Kind::DirDelete, Kind::FileDelete], 263,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), AT_REMOVEDIR, 0, 0, 0], names_in_kernel();
    /// Hook: `do_renameat2(olddfd, from, newdfd, to, flags)`; `filename_renameat2` since 7.0.
    rename_enter, rename_leave: only(Kind::FileRename), 316,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), ctx.arg(2), name_of(ctx.arg(3)), ctx.arg(4), 0], names_in_kernel();
    /// Hook: `do_linkat(olddfd, old, newdfd, new, flags)`; `filename_linkat` since 7.0.
    link_enter, link_leave: only(Kind::FileLink), 265,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), ctx.arg(2), name_of(ctx.arg(3)), ctx.arg(4), 0], names_in_kernel();
    /// Hook: `do_symlinkat(from, newdfd, to)`; `filename_symlinkat` since 7.0.
    symlink_enter, symlink_leave: only(Kind::FileSymlink), 266,
        |ctx| [name_of(ctx.arg(0)), ctx.arg(1), name_of(ctx.arg(2)), 0, 0, 0], names_in_kernel();
    /// Hook: `do_mkdirat(dfd, name, mode)`; `filename_mkdirat` since 7.0.
    mkdir_enter, mkdir_leave: only(Kind::DirCreate), 258,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), ctx.arg(2), 0, 0, 0], names_in_kernel();
    /// Hook: `do_mknodat(dfd, name, mode, dev)`; `filename_mknodat` since 7.0.
    mknod_enter, mknod_leave: only(Kind::NodeCreate), 259,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), ctx.arg(2), ctx.arg(3), 0, 0], names_in_kernel();
    /// Hook: `do_fchownat(dfd, filename, user, group, flag)`.
    chown_enter, chown_leave: only(Kind::AttrOwner), 260,
        |ctx| [ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4), 0], false;
    /// Hook: `do_utimes(dfd, filename, times, flags)`.
    utimes_enter, utimes_leave: only(Kind::AttrTime), 280,
        |ctx| [ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3), 0, 0], false;
    /// Hook: `path_setxattr(pathname, name, value, size, flags)`, up to 6.12.
    setxattr_enter, setxattr_leave: only(Kind::AttrXattr), 188,
        |ctx| [ctx.arg(0), ctx.arg(1), 0, ctx.arg(3), ctx.arg(4), 0], false;
    /// Hook: `path_setxattrat(dfd, pathname, at_flags, name)`, since 6.13.
    setxattrat_enter, setxattrat_leave: only(Kind::AttrXattr), 463,
        |ctx| [ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3), 0, 0], false;
    /// Hook: `path_removexattr(pathname, name)`, up to 6.12.
    removexattr_enter, removexattr_leave: only(Kind::AttrXattr), 197,
        |ctx| [ctx.arg(0), ctx.arg(1), 0, 0, 0, 0], false;
    /// Hook: `path_removexattrat(dfd, pathname, at_flags, name)`, since 6.13.
    removexattrat_enter, removexattrat_leave: only(Kind::AttrXattr), 466,
        |ctx| [ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3), 0, 0], false;
}

/// Declares the pair of programs of one system call's own function, which the compiler can't build into another.
macro_rules! own {
    ($($(#[$doc:meta])* $enter:ident, $leave:ident: $kind:expr;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $enter(_ctx: FEntryContext) -> i32 {
            ran_single!($enter);
            enter(only($kind), 0, || ([0; 6], false));
            0
        }

        $(#[$doc])*
        #[fexit]
        pub fn $leave(ctx: FExitContext) -> i32 {
            ran_single!($leave);
            leave(outcome(&ctx));
            0
        }
    )*};
}

own! {
    /// Hook: `__x64_sys_chmod`.
    chmod_enter, chmod_leave: Kind::AttrMode;
    /// Hook: `__x64_sys_fchmod`.
    fchmod_enter, fchmod_leave: Kind::AttrMode;
    /// Hook: `__x64_sys_fchmodat`.
    fchmodat_enter, fchmodat_leave: Kind::AttrMode;
    /// Hook: `__x64_sys_fchmodat2`, since 6.6.
    fchmodat2_enter, fchmodat2_leave: Kind::AttrMode;
    /// Hook: `__x64_sys_fchown`.
    fchown_enter, fchown_leave: Kind::AttrOwner;
    /// Hook: `__x64_sys_truncate`.
    truncate_enter, truncate_leave: Kind::FileTruncate;
    /// Hook: `__x64_sys_ftruncate`.
    ftruncate_enter, ftruncate_leave: Kind::FileTruncate;
    /// Hook: `__x64_sys_fallocate`.
    fallocate_enter, fallocate_leave: Kind::FileTruncate;
    /// Hook: `__x64_sys_fsetxattr`.
    fsetxattr_enter, fsetxattr_leave: Kind::AttrXattr;
    /// Hook: `__x64_sys_fremovexattr`.
    fremovexattr_enter, fremovexattr_leave: Kind::AttrXattr;
}

/// Declares a program for system calls that have no function of their own inside the kernel: told by the caller's names
/// or descriptor, at the return of the call's own function, which costs other calls nothing.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            ran_single!($name);
            plain(&ctx);
            0
        }
    )*};
}

plain! {
    /// Hook: `__x64_sys_file_setattr`, since 6.17.
    file_setattr_call;
    /// Hook: `__x64_sys_mount`.
    mount_call;
    /// Hook: `__x64_sys_umount`.
    umount_call;
    /// Hook: `__x64_sys_move_mount`.
    move_mount_call;
    /// Hook: `__x64_sys_mount_setattr`.
    mount_setattr_call;
    /// Hook: `__x64_sys_pivot_root`.
    pivot_root_call;
}

#[inline(always)]
fn plain(ctx: &FExitContext) -> Option<()> {
    named_call(&call_of(ctx)?.asked(), returned(ctx))
}

/// The system call that returns at a hook on its own function.
#[inline(always)]
fn call_of(ctx: &FExitContext) -> Option<Call> {
    let number = task::origin().number;
    Some(Call { spec: spec_of(number)?, returned: returned(ctx), number: number as u64 })
}

/// Hook: `__x64_sys_ioctl(regs)`, for the commands that change inode flags or share the blocks of another file.
#[fexit]
pub fn ioctl_call(ctx: FExitContext) -> i32 {
    ran_single!(ioctl_call);
    let command = task::arguments()[1];
    if sets_flags(command) {
        plain(&ctx);
    } else if reflink::shares(command) {
        reflink::shared(returned(&ctx));
    }
    0
}

/// Hook: `__x64_sys_execve(regs)`, when it returns an error.
#[fexit]
pub fn execve_call(ctx: FExitContext) -> i32 {
    ran_single!(execve_call);
    call_of(&ctx).and_then(|call| exec::failed(&call));
    0
}

/// Hook: `__x64_sys_execveat(regs)`, when it returns an error.
#[fexit]
pub fn execveat_call(ctx: FExitContext) -> i32 {
    ran_single!(execveat_call);
    call_of(&ctx).and_then(|call| exec::failed(&call));
    0
}

/// Hook: `__x64_sys_fsmount(regs)`.
#[fexit]
pub fn fsmount_call(ctx: FExitContext) -> i32 {
    ran_single!(fsmount_call);
    call_of(&ctx).and_then(|call| mount::made(&call));
    0
}

/// Hook: `__x64_sys_bind(regs)`.
#[fexit]
pub fn bind_call(ctx: FExitContext) -> i32 {
    ran_single!(bind_call);
    call_of(&ctx).and_then(|call| bind::bound(&call));
    0
}

/// Hook: `do_mq_open(name, flags, mode, attributes)`.
#[fentry]
pub fn queue_enter(_ctx: FEntryContext) -> i32 {
    ran_single!(queue_enter);
    queue::note_newest();
    0
}

/// Hook: `do_mq_open(name, flags, mode, attributes)`.
#[fexit]
pub fn queue_leave(ctx: FExitContext) -> i32 {
    ran_single!(queue_leave);
    queue::opened(outcome(&ctx));
    0
}

/// Hook: `__x64_sys_mq_unlink(regs)`.
#[fexit]
pub fn queue_unlink_call(ctx: FExitContext) -> i32 {
    ran_single!(queue_unlink_call);
    queue::unlinked(returned(&ctx));
    0
}

/// Hook: `__x64_sys_io_submit(regs)`.
#[fexit]
pub fn submit_call(ctx: FExitContext) -> i32 {
    ran_single!(submit_call);
    aio::submitted(returned(&ctx));
    0
}

/// Hook: `vm_mmap_pgoff(file, address, length, protection, flags)`.
#[fexit]
pub fn mmap_leave(ctx: FExitContext) -> i32 {
    ran_single!(mmap_leave);
    let (file, length, protection, flags) = (ctx.arg(0), ctx.arg(2), ctx.arg(3), ctx.arg(4));
    write::mapped(file, length, (protection, flags), returned(&ctx));
    0
}

/// Hook: `do_mprotect_pkey(start, length, protection, key)`.
#[fentry]
pub fn mprotect_enter(ctx: FEntryContext) -> i32 {
    ran_single!(mprotect_enter);
    protect::looked([ctx.arg(0), ctx.arg(1), ctx.arg(2)]);
    0
}

/// Hook: `do_mprotect_pkey(start, length, protection, key)`.
#[fexit]
pub fn mprotect_leave(ctx: FExitContext) -> i32 {
    ran_single!(mprotect_leave);
    protect::protected(ctx.arg(2), outcome(&ctx));
    0
}
