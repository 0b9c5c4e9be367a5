//! Where calls enter the kernel's own functions, which system calls and io_uring share, and where they return.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use recorder_common::kind::Kind;

use super::{AT_REMOVEDIR, enter, leave, name_of, names_in_kernel, outcome};

/// Declares the pair of programs of one function. `number` and `arguments` say which system call does the same, for
/// callers that made none.
macro_rules! calls {
    ($($(#[$doc:meta])* $enter:ident, $leave:ident: $kinds:expr, $number:literal, |$ctx:ident| $arguments:expr;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $enter($ctx: FEntryContext) -> i32 {
            enter($kinds, $number, || ($arguments, names_in_kernel()));
            0
        }

        $(#[$doc])*
        #[fexit]
        pub fn $leave(ctx: FExitContext) -> i32 {
            leave(outcome(&ctx));
            0
        }
    )*};
}

calls! {
    /// Hook: `do_unlinkat(dfd, name)`; `filename_unlinkat` since 7.0.
    unlink_enter, unlink_leave: [Kind::FileDelete, Kind::FileDelete], 263,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), 0, 0, 0, 0];
    /// Hook: `do_rmdir(dfd, name)`; `filename_rmdir` since 7.0.
    rmdir_enter, rmdir_leave: [Kind::DirDelete, Kind::FileDelete], 263,
        |ctx| [ctx.arg(0), name_of(ctx.arg(1)), AT_REMOVEDIR, 0, 0, 0];
}
