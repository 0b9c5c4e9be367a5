//! Reflinks: a file takes over content of another by sharing its blocks, which changes it without a write.
//!
//! `FIDEDUPERANGE` is not among them: it shares blocks only where both files have the same content already.

use recorder_common::sample::flag;

use super::write::wrote;
use crate::maps::OFFSETS;
use crate::read::{kernel, user_at};
use crate::{files, task};

/// The whole file, from the descriptor that is the argument (`include/uapi/linux/fs.h`).
const FICLONE: u64 = 0x4004_9409;
/// A range, by `struct file_clone_range`.
const FICLONERANGE: u64 = 0x4020_940d;

const EXDEV: i64 = -18;
const ENOTTY: i64 = -25;
const EOPNOTSUPP: i64 = -95;

/// `struct file_clone_range`: descriptor to copy from, where from, how much (0: up to the end), where to.
type Range = [u64; 4];

/// Whether a command of ioctl makes a reflink.
#[inline(always)]
pub fn shares(command: u64) -> bool {
    let command = command & 0xffff_ffff;
    command == FICLONE || command == FICLONERANGE
}

/// Reports a reflink as the write that it is. Programs that copy files try one first, wherever they are, and then write:
/// that a file system can't is not told.
///
/// A function of its own, because up to 6.12 a program has 512 bytes of stack together with all that it calls.
#[inline(never)]
pub fn shared(returned: i64) -> Option<()> {
    if returned == EXDEV || returned == ENOTTY || returned == EOPNOTSUPP {
        return None;
    }
    let [descriptor, command, argument, ..] = task::arguments();
    let target = task::file_of(task::current(), descriptor as u32);
    let bytes = if returned < 0 { returned } else { taken(command, argument) as i64 };
    wrote(target, bytes, flag::REFLINK, None)
}

/// Bytes that a successful call took over.
#[inline(always)]
fn taken(command: u64, argument: u64) -> u64 {
    let whole: Range = [argument, 0, 0, 0];
    let [from, start, length, _] =
        if command & 0xffff_ffff == FICLONE { whole } else { user_at(argument).unwrap_or(whole) };
    if length != 0 {
        return length & i64::MAX as u64;
    }
    let source = task::file_of(task::current(), from as u32);
    let size: u64 = kernel(files::inode_of(source), &OFFSETS.inode_size);
    size.saturating_sub(start) & i64::MAX as u64
}
