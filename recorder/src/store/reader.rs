//! Reads one segment, frame by frame, also while it is being written. Read-only; every byte is accounted for: a frame, a
//! torn tail, or damage.

use std::path::Path;

use super::format::{self, FRAME_HEADER, FrameHeader, MAX_SEGMENT_HEADER, Seal, SegmentHeader};
pub use super::frames::Frame;
use super::frames::{Frames, Payloads, Step};
use super::index::{Index, IndexError};
use super::{StoreError, Torn};
use crate::chain::note::MAX_NOTE;

/// Reads a segment from its first frame on, or from where [`seek`](Self::seek) puts it.
#[derive(Debug)]
pub struct SegmentReader {
    frames: Frames,
    header: SegmentHeader,
    torn: Option<Torn>,
}

impl SegmentReader {
    /// Opens a segment; `None` when it has no whole header, which a crash at its making leaves (and which is there for a
    /// moment while the recorder makes it).
    ///
    /// # Errors
    /// When it can't be read or does not begin with a segment header.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut frames = Frames::open(path)?;
        // One more, to tell the beginning of a longer file from the torn header that a crash leaves.
        let bytes = frames.read(0, MAX_SEGMENT_HEADER + 1)?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) => {
                frames.seek(header.encoded_len() as u64);
                Ok(Some(Self { frames, header, torn: None }))
            }
            Err(_) if format::is_torn(&bytes, 0) => Ok(None),
            Err(what) => Err(StoreError::Damaged { path: path.to_owned(), offset: 0, what }),
        }
    }

    /// The segment's header.
    #[must_use]
    pub const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The segment's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.frames.path()
    }

    /// Where the next frame begins.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.frames.offset()
    }

    /// The segment's index; `None` when it has none, as long as it is not sealed.
    ///
    /// # Errors
    /// When it can't be read or is damaged. What it says of the frames is not checked against them.
    pub fn index(&self) -> Result<Option<Index>, IndexError> {
        let length = self.frames.length()?;
        let Some(index) = Index::open(&|offset, length| self.read(offset, length), length)? else {
            return Ok(None);
        };
        // Bytes that look like an index are one only at the end of the seal that follows the frames.
        let offset = self.header.encoded_len() as u64 + index.frames_len();
        let front = self.read(offset, FRAME_HEADER + Seal::index_offset(0))?;
        let Ok(header) = FrameHeader::decode(&front) else { return Ok(None) };
        let parts = Seal::lengths(front.get(FRAME_HEADER..).unwrap_or_default());
        let is_seal = header.is_seal()
            && header.frame_no == self.header.first_frame + u64::from(index.frames())
            && offset + header.frame_len() == length
            && parts.is_ok_and(|(_, index_len)| index_len == index.length() as usize);
        Ok(is_seal.then_some(index))
    }

    /// Reads `length` bytes at `offset`, fewer at the end of the file.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.frames.read(offset, length)
    }

    /// The next frame; `None` at the end or at a torn tail. On a live store a later call may find more. The payload of a
    /// seal is left unread (and empty).
    ///
    /// # Errors
    /// When the bytes can't be read or are damaged; the reader stays where it is.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        let step = self.frames.step(Payloads::Events)?;
        self.advance(step)
    }

    /// Like [`next_frame`](Self::next_frame), but leaves the payload unread (and empty).
    ///
    /// # Errors
    /// As for [`next_frame`](Self::next_frame).
    pub fn next_header(&mut self) -> Result<Option<Frame>, StoreError> {
        let step = self.frames.step(Payloads::Skipped)?;
        self.advance(step)
    }

    /// The checkpoint in a seal, as it is there; empty when the seal is not one.
    ///
    /// # Errors
    /// When the bytes can't be read.
    pub fn seal_checkpoint(&self, seal: &Frame) -> Result<Vec<u8>, StoreError> {
        let start = seal.offset + FRAME_HEADER as u64;
        let front = self.frames.read(start, Seal::index_offset(0))?;
        let length = Seal::lengths(&front).map_or(0, |(checkpoint, _)| checkpoint.min(MAX_NOTE));
        self.frames.read(start + front.len() as u64, length)
    }

    /// The torn tail that the last call met.
    #[must_use]
    pub const fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// Goes to `offset`, where a frame begins; never before the first one.
    pub fn seek(&mut self, offset: u64) {
        self.frames.seek(offset.max(self.header.encoded_len() as u64));
        self.torn = None;
    }

    /// Goes to the next place behind the current one where a whole frame with a good header and payload is; `false`
    /// when there is none. For reading on behind damage.
    ///
    /// # Errors
    /// When the bytes can't be read.
    pub fn skip_damage(&mut self) -> Result<bool, StoreError> {
        self.torn = None;
        self.frames.skip_damage()
    }

    fn advance(&mut self, step: Step) -> Result<Option<Frame>, StoreError> {
        self.torn = None;
        match step {
            Step::Frame(frame) => {
                self.frames.seek(frame.offset + frame.header.frame_len());
                Ok(Some(frame))
            }
            Step::End => Ok(None),
            Step::Torn(torn) => {
                self.torn = Some(torn);
                Ok(None)
            }
            Step::Damaged(what) => {
                Err(StoreError::Damaged { path: self.path().to_owned(), offset: self.offset(), what })
            }
        }
    }
}
