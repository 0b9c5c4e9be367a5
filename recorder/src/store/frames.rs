//! The bytes of a segment as frames, torn tail or damage, also while they are being written; headers of segments aside.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::format::{self, FRAME_HEADER, FormatError, FrameHeader, FrameKind, MAX_FRAME};
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
    /// One zstd frame of event lines, or a seal; empty where it was not asked for.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Replaces `into` by the event lines; by nothing when it is a seal.
    ///
    /// # Errors
    /// When the payload does not give what the header states.
    pub fn decompress(&self, into: &mut Vec<u8>) -> Result<(), FormatError> {
        if self.header.is_seal() {
            into.clear();
            return Ok(());
        }
        payload::unpack(&self.payload, self.header.raw_len, into)
    }
}

/// Which payloads are read, and checked against their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// None.
    Skipped,
    /// Those that tell what retention removed.
    Tombs,
    /// Those with events.
    Events,
    /// Those of seals too.
    All,
}

impl Payloads {
    fn has(self, kind: FrameKind) -> bool {
        match self {
            Self::Skipped => false,
            Self::Tombs => kind == FrameKind::Tomb,
            Self::Events => kind != FrameKind::Seal,
            Self::All => true,
        }
    }
}

/// What is found at an offset of a segment.
#[expect(clippy::large_enum_variant, reason = "one at a time is alive, and almost all are frames")]
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole frame; without payload where that was not asked for.
    Frame(Frame),
    /// The end of the file.
    End,
    /// What a crash leaves.
    Torn(Torn),
    /// What it does not.
    Damaged(FormatError),
}

/// A segment's file and a place in it.
#[derive(Debug)]
pub(crate) struct Frames {
    path: PathBuf,
    file: File,
    offset: u64,
}

impl Frames {
    /// Opens the file; the place is its beginning.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), file: open_segment(path)?, offset: 0 })
    }

    /// The segment's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The current place.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes to a place.
    pub(crate) const fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Goes to the next place behind the current one where a whole frame with a good header and payload is; `false`
    /// when there is none. For reading on behind damage.
    ///
    /// # Errors
    /// When the bytes can't be read.
    pub(crate) fn skip_damage(&mut self) -> Result<bool, StoreError> {
        let pattern = FrameHeader::pattern();
        let mut from = self.offset + 1;
        loop {
            let window = self.read(from, 1 << 20)?;
            for found in memchr::memmem::find_iter(&window, &pattern) {
                if self.whole_at(from + found as u64)? {
                    self.seek(from + found as u64);
                    return Ok(true);
                }
            }
            match window.len().checked_sub(pattern.len()) {
                Some(searched) if searched > 0 => from += searched as u64,
                _ => break,
            }
        }
        Ok(false)
    }

    /// Whether a whole frame is at `offset`. Cheaper than a step: what else may be there is not asked.
    fn whole_at(&self, offset: u64) -> Result<bool, StoreError> {
        let Ok(header) = FrameHeader::decode(&self.read(offset, FRAME_HEADER)?) else { return Ok(false) };
        let payload = self.read(offset + FRAME_HEADER as u64, header.payload_len as usize)?;
        Ok(payload.len() == header.payload_len as usize && sha256(&payload) == header.payload_sha256)
    }

    /// Looks at what is at the current offset and stays there.
    pub(crate) fn step(&self, payloads: Payloads) -> Result<Step, StoreError> {
        let mut length = self.length()?;
        for _ in 1..LOOKS {
            let step = self.look(payloads, length)?;
            let grown = self.length()?;
            // A file that grew while it was read says nothing about a tail that was not whole.
            if grown == length || matches!(step, Step::Frame(_)) {
                return Ok(step);
            }
            length = grown;
        }
        self.look(payloads, length)
    }

    fn look(&self, payloads: Payloads, length: u64) -> Result<Step, StoreError> {
        let rest = length.saturating_sub(self.offset);
        if rest == 0 {
            return Ok(Step::End);
        }
        let why = match FrameHeader::decode(&self.read(self.offset, FRAME_HEADER)?) {
            Ok(header) if header.frame_len() <= rest => {
                if !payloads.has(header.kind) {
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

    /// Length of the file now.
    pub(crate) fn length(&self) -> Result<u64, StoreError> {
        self.file.metadata().map(|meta| meta.len()).map_err(StoreError::io(&self.path, "reading the length"))
    }

    /// Reads `length` bytes at `offset`, fewer at the end of the file.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
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
