//! The index of a segment: in which frames the events of a process, a login, a path, ... are, and where each frame is.
//!
//! A function of the segment's frames and nothing else, so that anyone can build it again and compare; `docs/format.md`
//! has the bytes. It only says which frames can't hold a match: what a reader shows always comes from the frames.

mod build;
mod keys;
mod line;
mod read;
mod runs;

pub use build::Builder;
pub use keys::{CONTAINER, Field, key, key_below, program};
pub use read::{FramePlace, FrameTable, Index, ReadAt};
pub use runs::Runs;

use super::StoreError;
use super::format::MAX_SEAL;
use crate::chain::sha256;

/// First bytes of the footer.
const MAGIC: [u8; 4] = *b"KIX1";
/// Length of the footer, which ends the index.
const FOOTER: usize = 72;
/// Length of a row of the directory: first key, length and digest of a block.
const ROW: usize = 16;
/// A block of keys is closed when it is at least this long: a lookup reads one of them.
const BLOCK: usize = 4096;
/// Longest index: what a seal has room for beside its checkpoint.
const MAX_INDEX: u32 = MAX_SEAL - (256 << 10);
/// Most pairs of key and frame in an index. Frames beyond are filed under [`EVERY_QUERY`].
const MAX_PAIRS: usize = 2 << 20;
/// Key of the frames that every query has to look at.
const EVERY_QUERY: u32 = 0;
/// Directories of a path that get a key, from the root on.
const MAX_DEPTH: usize = 32;

/// First bytes of a SHA-256, against rot; the signature over the seal is against the rest.
type Digest = [u8; 8];

fn digest(bytes: &[u8]) -> Digest {
    let [a, b, c, d, e, f, g, h, ..] = sha256(bytes);
    [a, b, c, d, e, f, g, h]
}

/// Why an index can't be used. Its segment still can be read frame by frame.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The segment can't be read there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Bytes that no recorder wrote.
    #[error("byte {offset} of the index: {what}")]
    Bytes {
        /// Where, counted from the beginning of the index.
        offset: u64,
        /// What is wrong.
        what: IndexFault,
    },
}

/// What is wrong with the bytes of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    /// It ends before it should.
    #[error("it is shorter than it says")]
    Short,
    /// Rot, or a change.
    #[error("the digest does not fit the bytes")]
    Digest,
    /// Something set that must be zero.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// A number beyond its limit.
    #[error("{0} is beyond its limit")]
    Limit(&'static str),
    /// Bytes that belong to nothing.
    #[error("bytes that belong to no part of it")]
    Junk,
    /// Keys or frames that do not ascend.
    #[error("keys or frames are not in order")]
    Order,
}

impl IndexFault {
    const fn at(self, offset: u64) -> IndexError {
        IndexError::Bytes { offset, what: self }
    }
}

/// Appends a number in LEB128: seven bits a byte, the lowest first, the high bit set in all bytes but the last.
fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the step from one time to another: small numbers for small steps in either direction.
fn put_step(out: &mut Vec<u8>, from: i64, to: i64) {
    let step = to.wrapping_sub(from);
    put_number(out, (step.cast_unsigned() << 1) ^ (step >> 63).cast_unsigned());
}

/// Numbers taken from the front of a part of the index.
struct Numbers<'a> {
    rest: &'a [u8],
    /// Offset in the index of what is behind `rest`.
    end: u64,
}

impl Numbers<'_> {
    /// Offset in the index of the next number.
    const fn offset(&self) -> u64 {
        self.end.saturating_sub(self.rest.len() as u64)
    }

    fn next(&mut self) -> Result<u64, IndexError> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(|| IndexFault::Short.at(self.offset()))?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit, and no number ends with zeros that say nothing.
            if (bits << shift) >> shift != bits || (*byte == 0 && shift > 0) {
                break;
            }
            self.rest = rest;
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(IndexFault::Limit("a number").at(self.offset()))
    }

    /// The next number, when it is below 2^32.
    fn next_u32(&mut self, what: &'static str) -> Result<u32, IndexError> {
        let offset = self.offset();
        self.next().and_then(|value| u32::try_from(value).map_err(|_| IndexFault::Limit(what).at(offset)))
    }

    /// The time that a step leads to.
    fn next_step(&mut self, from: i64) -> Result<i64, IndexError> {
        let value = self.next()?;
        let step = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        Ok(from.wrapping_add(step))
    }
}

#[cfg(test)]
mod tests;
