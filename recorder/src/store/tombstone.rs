//! What stays of a segment that retention removed: the exact bytes of its header and, when it was ended in order, of its
//! seal's header. The layout is in docs/format.md, "Retention".

use std::fs::File;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::StoreError;
use super::directory::SegmentFile;
use super::format::{
    FRAME_HEADER, FormatError, FrameHeader, MAX_SEGMENT_HEADER, SegmentHeader, parse_segment_name,
    segment_name,
};
use super::frames::open_segment;
use crate::chain::{Hash, sha256};

/// Longest file that can be a tombstone.
const MAX: usize = MAX_SEGMENT_HEADER + FRAME_HEADER;
const SEGMENT_END: &str = ".krl.zst";
const TOMBSTONE_END: &str = ".tomb";

/// The ends of a removed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The segment's header.
    pub header: SegmentHeader,
    /// The header of its seal; `None` when a crash ended it.
    pub seal: Option<FrameHeader>,
}

impl Tombstone {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode();
        if let Some(seal) = &self.seal {
            seal.encode(&mut bytes);
        }
        bytes
    }

    /// Reads the bytes of a file. No signature is checked.
    ///
    /// # Errors
    /// When they are anything else than a segment's header, and that of a seal of the same start of the recorder or nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let header = SegmentHeader::decode(bytes)?;
        let rest = bytes.get(header.encoded_len()..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Self { header, seal: None });
        }
        let seal = FrameHeader::decode(rest)?;
        let fits = seal.is_seal() && seal.epoch == header.epoch && seal.frame_no >= header.first_frame;
        if rest.len() != FRAME_HEADER || !fits {
            return Err(FormatError::Junk);
        }
        Ok(Self { header, seal: Some(seal) })
    }

    /// Reads a tombstone's file; gives the SHA-256 of its bytes beside it.
    ///
    /// # Errors
    /// When it can't be read, or is no tombstone.
    pub fn read(file: &SegmentFile) -> Result<(Self, Hash), StoreError> {
        let bytes = bytes_of(open_segment(&file.path)?, file)?;
        let decoded = Self::decode(&bytes);
        let damaged = |what| StoreError::Damaged { path: file.path.clone(), offset: 0, what };
        decoded.map_err(damaged).map(|tombstone| (tombstone, sha256(&bytes)))
    }
}

/// SHA-256 of a tombstone's file, whatever is in it.
///
/// # Errors
/// When it can't be read.
pub fn digest_of(file: &SegmentFile) -> Result<Hash, StoreError> {
    Ok(sha256(&bytes_of(open_segment(&file.path)?, file)?))
}

fn bytes_of(from: File, file: &SegmentFile) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    from.take(MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(StoreError::io(&file.path, "reading a tombstone"))?;
    Ok(bytes)
}

/// One hash over many tombstones: SHA-256 over the SHA-256s of their files, in the order of the log.
#[must_use]
pub fn digest_over<'a>(files: impl IntoIterator<Item = &'a Hash>) -> Hash {
    let mut hash = Sha256::new();
    files.into_iter().for_each(|file| hash.update(file));
    hash.finalize().into()
}

/// File name of the tombstone of the segment with that first frame and attempt.
#[must_use]
pub fn tombstone_name(first_frame: u64, attempt: u16) -> String {
    let segment = segment_name(first_frame, attempt);
    segment.strip_suffix(SEGMENT_END).unwrap_or(&segment).to_owned() + TOMBSTONE_END
}

/// First frame and attempt in a tombstone's file name; `None` for any other name.
#[must_use]
pub fn parse_tombstone_name(name: &str) -> Option<(u64, u16)> {
    parse_segment_name(&(name.strip_suffix(TOMBSTONE_END)?.to_owned() + SEGMENT_END))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_segments_with_another_end() {
        assert_eq!(tombstone_name(412, 0), "seg-0000000412.tomb");
        assert_eq!(tombstone_name(412, 1), "seg-0000000412.r001.tomb");
        assert_eq!(parse_tombstone_name("seg-0000000412.r001.tomb"), Some((412, 1)));
        for name in ["seg-412.tomb", "seg-0000000412.krl.zst", "seg-0000000412", "x.tomb", ".tomb"] {
            assert_eq!(parse_tombstone_name(name), None, "{name}");
        }
    }
}
