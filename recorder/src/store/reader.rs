//! Reads one segment, frame by frame, also while it is being written. Read-only; every byte is accounted for: a frame, a
//! torn tail, or damage.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::format::{self, FRAME_HEADER, FormatError, FrameHeader, MAX_FRAME, SegmentHeader};
use super::{StoreError, Torn, payload};
use crate::chain::sha256;

/// How often bytes are looked at again when the file grew meanwhile.
const LOOKS: u32 = 4;

/// A whole frame, its payload checked against its header. Signature and place in the chain are not checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the header says.
    pub header: FrameHeader,
    /// Where the frame begins in the segment.
    pub offset: u64,
    /// One zstd frame of event lines.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Replaces `into` by the event lines.
    ///
    /// # Errors
    /// When the payload does not give what the header states.
    pub fn decompress(&self, into: &mut Vec<u8>) -> Result<(), FormatError> {
        payload::unpack(&self.payload, self.header.raw_len, into)
    }
}

/// What is found at an offset of a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole frame; without payload when only the header was asked for.
    Frame(Frame),
    /// The end of the file.
    End,
    /// What a crash leaves.
    Torn(Torn),
    /// What it does not.
    Damaged(FormatError),
}

/// Reads a segment from its first frame on, or from where [`seek`](Self::seek) puts it.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: File,
    header: SegmentHeader,
    offset: u64,
    torn: Option<Torn>,
}

impl SegmentReader {
    /// Opens a segment; `None` when it has no whole header, which a crash at its making leaves (and which is there for a
    /// moment while the recorder makes it).
    ///
    /// # Errors
    /// When it can't be read or does not begin with a segment header.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open_segment(path)?;
        let bytes =
            read_up_to(&file, 0, format::MAX_SEGMENT_HEADER).map_err(StoreError::io(path, "reading"))?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) => {
                let offset = header.encoded_len() as u64;
                Ok(Some(Self { path: path.to_owned(), file, header, offset, torn: None }))
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
        &self.path
    }

    /// Where the next frame begins.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame; `None` at the end or at a torn tail. On a live store a later call may find more.
    ///
    /// # Errors
    /// When the bytes can't be read or are damaged; the reader stays where it is.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        let step = self.step(true)?;
        self.advance(step)
    }

    /// Like [`next_frame`](Self::next_frame), but leaves the payload unread (and empty).
    ///
    /// # Errors
    /// As for [`next_frame`](Self::next_frame).
    pub fn next_header(&mut self) -> Result<Option<Frame>, StoreError> {
        let step = self.step(false)?;
        self.advance(step)
    }

    /// The torn tail that the last call met.
    #[must_use]
    pub const fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// Goes to `offset`, where a frame begins; never before the first one.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset.max(self.header.encoded_len() as u64);
        self.torn = None;
    }

    /// Goes to the next place behind the current one where a whole frame with a good header and payload is; `false`
    /// when there is none. For reading on behind damage.
    ///
    /// # Errors
    /// When the bytes can't be read.
    pub fn skip_damage(&mut self) -> Result<bool, StoreError> {
        let pattern = FrameHeader::pattern();
        let start = self.offset;
        let mut from = start + 1;
        loop {
            let window = self.read(from, 1 << 20)?;
            for found in memchr::memmem::find_iter(&window, &pattern) {
                self.seek(from + found as u64);
                if matches!(self.step(true)?, Step::Frame(_)) {
                    return Ok(true);
                }
            }
            match window.len().checked_sub(pattern.len()) {
                Some(searched) if searched > 0 => from += searched as u64,
                _ => break,
            }
        }
        self.seek(start);
        Ok(false)
    }

    fn advance(&mut self, step: Step) -> Result<Option<Frame>, StoreError> {
        self.torn = None;
        match step {
            Step::Frame(frame) => {
                self.offset += frame.header.frame_len();
                Ok(Some(frame))
            }
            Step::End => Ok(None),
            Step::Torn(torn) => {
                self.torn = Some(torn);
                Ok(None)
            }
            Step::Damaged(what) => {
                Err(StoreError::Damaged { path: self.path.clone(), offset: self.offset, what })
            }
        }
    }

    /// Looks at what is at the current offset and stays there.
    pub(crate) fn step(&self, with_payload: bool) -> Result<Step, StoreError> {
        let mut length = self.length()?;
        for _ in 1..LOOKS {
            let step = self.look(with_payload, length)?;
            let grown = self.length()?;
            // A file that grew while it was read says nothing about a tail that was not whole.
            if grown == length || matches!(step, Step::Frame(_)) {
                return Ok(step);
            }
            length = grown;
        }
        self.look(with_payload, length)
    }

    fn look(&self, with_payload: bool, length: u64) -> Result<Step, StoreError> {
        let rest = length.saturating_sub(self.offset);
        if rest == 0 {
            return Ok(Step::End);
        }
        let why = match FrameHeader::decode(&self.read(self.offset, FRAME_HEADER)?) {
            Ok(header) if header.frame_len() <= rest => {
                if !with_payload {
                    return Ok(Step::Frame(Frame { header, offset: self.offset, payload: Vec::new() }));
                }
                let payload = self.read(self.offset + FRAME_HEADER as u64, header.payload_len as usize)?;
                if sha256(&payload) == header.payload_sha256 {
                    return Ok(Step::Frame(Frame { header, offset: self.offset, payload }));
                }
                FormatError::PayloadHash
            }
            Ok(_) => FormatError::Junk,
            Err(why) => why,
        };
        let tail = self.read(self.offset, usize::try_from(rest.min(MAX_FRAME + 1)).unwrap_or(usize::MAX))?;
        if format::is_torn(&tail, self.offset) {
            return Ok(Step::Torn(Torn { offset: self.offset, length: rest }));
        }
        Ok(Step::Damaged(why))
    }

    pub(crate) fn length(&self) -> Result<u64, StoreError> {
        self.file.metadata().map(|meta| meta.len()).map_err(StoreError::io(&self.path, "reading the length"))
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        read_up_to(&self.file, offset, length).map_err(StoreError::io(&self.path, "reading"))
    }
}

/// Opens a segment for reading; a link is not a segment.
pub(crate) fn open_segment(path: &Path) -> Result<File, StoreError> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::NONBLOCK.bits();
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(no_follow.cast_signed()).open(path);
    let file = opened.map_err(StoreError::io(path, "opening"))?;
    let meta = file.metadata().map_err(StoreError::io(path, "opening"))?;
    if meta.is_file() {
        return Ok(file);
    }
    Err(StoreError::io(path, "opening")(std::io::Error::other("not a regular file")))
}

/// Reads `length` bytes at `offset`, fewer at the end of the file.
pub(crate) fn read_up_to(file: &File, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
