//! Operations of io_uring that can change something (`IORING_OP_*`, `include/uapi/linux/io_uring.h`).

use recorder_common::kind::Kind;

use crate::maps::OBJECT_KINDS;

pub const WRITEV: u32 = 2;
pub const WRITE_FIXED: u32 = 5;
pub const FALLOCATE: u32 = 17;
pub const OPENAT: u32 = 18;
pub const CLOSE: u32 = 19;
pub const WRITE: u32 = 23;
pub const OPENAT2: u32 = 28;
pub const SPLICE: u32 = 30;
pub const RENAMEAT: u32 = 35;
pub const UNLINKAT: u32 = 36;
pub const MKDIRAT: u32 = 37;
pub const SYMLINKAT: u32 = 38;
pub const LINKAT: u32 = 39;
pub const FSETXATTR: u32 = 41;
pub const SETXATTR: u32 = 42;
pub const URING_CMD: u32 = 46;
pub const FTRUNCATE: u32 = 55;
pub const BIND: u32 = 56;
pub const WRITEV_FIXED: u32 = 61;
pub const URING_CMD128: u32 = 64;

/// Groups of operations that are told alike.
pub const OPENS: u8 = 0;
/// Names and what is behind them.
pub const NAMES_THINGS: u8 = 1;
/// Bytes of a file.
pub const WRITES_DATA: u8 = 2;
/// What else is done with an open file.
pub const DESCRIBED: u8 = 3;

/// The group of an operation; `None` when it changes nothing, or the object family tells it.
#[inline(always)]
pub fn group_of(operation: u8) -> Option<u8> {
    let group = group(operation as u32)?;
    if !is_command(operation as u32)
        && let Some(told) = OBJECT_KINDS.get(0)
        && *told >> (kind_of(operation as u32) as u64 & 63) & 1 != 0
    {
        return None;
    }
    Some(group)
}

/// The kind that an operation is told as, or one that is told by the same hooks.
#[inline(always)]
fn kind_of(operation: u32) -> Kind {
    match operation {
        OPENAT | OPENAT2 => Kind::FileCreate,
        RENAMEAT => Kind::FileRename,
        UNLINKAT => Kind::FileDelete,
        MKDIRAT => Kind::DirCreate,
        SYMLINKAT => Kind::FileSymlink,
        LINKAT => Kind::FileLink,
        SETXATTR | FSETXATTR => Kind::AttrXattr,
        FALLOCATE | FTRUNCATE => Kind::FileTruncate,
        BIND => Kind::NodeCreate,
        _ => Kind::FileWrite,
    }
}

/// The group of an operation, whoever tells it; `None` when it changes nothing.
#[inline(always)]
pub fn group(operation: u32) -> Option<u8> {
    match operation {
        OPENAT | OPENAT2 => Some(OPENS),
        RENAMEAT | UNLINKAT | MKDIRAT | SYMLINKAT | LINKAT | SETXATTR => Some(NAMES_THINGS),
        WRITEV | WRITE_FIXED | WRITE | SPLICE | WRITEV_FIXED | URING_CMD | URING_CMD128 => Some(WRITES_DATA),
        FALLOCATE | CLOSE | FSETXATTR | FTRUNCATE | BIND => Some(DESCRIBED),
        _ => None,
    }
}

/// Whether the operation is a command to a driver.
#[inline(always)]
pub fn is_command(operation: u32) -> bool {
    operation == URING_CMD || operation == URING_CMD128
}
