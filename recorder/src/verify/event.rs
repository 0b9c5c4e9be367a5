//! The proof of one event, which anybody can check who has the origin's public key, without the store: the event's line,
//! its way up to its frame, the frame's way up to a signed checkpoint. The byte layout is in docs/format.md.

use std::fmt;

use crate::chain::Hash;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::proof::{ProofError, check_inclusion, inclusion};
use crate::chain::tlog_proof::{MAX_PROOF, TlogProof, TlogProofError};
use crate::chain::tree::leaf_hash;
use crate::store::format::{FRAME_HEADER, FormatError, FrameHeader, MAX_RAW};

/// Longest file that is read as a proof.
pub const MAX_FILE: usize = MAX_PROOF;

const MAGIC: [u8; 4] = *b"KRP1";
const VERSION: u8 = 1;
const LEAF: usize = 192;
/// A frame holds at most 2^19 events.
const MAX_INNER: u8 = 19;

/// Bytes that are no proof of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not a proof at all.
    #[error("{0}")]
    Text(#[from] TlogProofError),
    /// A proof of something else, or cut.
    #[error("its extra bytes are not those of an event of the recorder")]
    Extra,
    /// Of a later version.
    #[error("version {0} of proofs is not known here")]
    Version(u8),
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No frame header.
    #[error("the frame header in it can't be one: {0}")]
    Header(FormatError),
    /// A header at another place than its own.
    #[error("its frame says that it is number {stated}, the proof is about number {proven}")]
    Frame {
        /// By the header.
        stated: u64,
        /// By the path.
        proven: u64,
    },
    /// The event is not in the frame.
    #[error("the event is not the one that its frame commits to: {0}")]
    Event(ProofError),
    /// The event has another number than its place.
    #[error("the event does not begin with its number {0}")]
    Number(u64),
    /// The frame is not in the tree, or nobody trusted signed the tree.
    #[error("{0}")]
    Tree(#[from] TlogProofError),
}

/// Why a proof can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprovable {
    /// The frame has no such event.
    #[error("its frame holds fewer events than its header says")]
    Missing,
}

/// A proof of one event, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventProof {
    line: Vec<u8>,
    /// Position of the event in its frame.
    place: u32,
    inner: Vec<Hash>,
    leaf: [u8; LEAF],
    outer: TlogProof,
}

/// What a proof shows, once it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Number of the event.
    pub seq: u64,
    /// The frame that it is in.
    pub frame: FrameHeader,
}

impl EventProof {
    /// Puts together the proof of the event at `place` in a frame.
    ///
    /// # Errors
    /// When the frame has no such event.
    pub fn make(
        header: &FrameHeader,
        lines: &[u8],
        place: u32,
        path: Vec<Hash>,
        checkpoint: Checkpoint,
    ) -> Result<Self, Unprovable> {
        let lines: Vec<&[u8]> =
            lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n').collect();
        let line = lines.get(place as usize).ok_or(Unprovable::Missing)?.to_vec();
        let leaves: Vec<Hash> = lines.into_iter().map(leaf_hash).collect();
        let inner =
            inclusion(&leaves, u64::from(place), leaves.len() as u64).map_err(|_| Unprovable::Missing)?;
        let leaf = header.leaf().try_into().map_err(|_| Unprovable::Missing)?;
        let mut proof = Self {
            line,
            place,
            inner,
            leaf,
            outer: TlogProof { extra: Vec::new(), index: header.frame_no, path, checkpoint },
        };
        proof.outer.extra = proof.extra();
        Ok(proof)
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// When the bytes are anything else than one whole proof of an event.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let outer = TlogProof::parse(bytes)?;
        let (fixed, rest) = outer.extra.split_first_chunk::<16>().ok_or(Unreadable::Extra)?;
        let [m0, m1, m2, m3, version, hashes, 0, 0, p0, p1, p2, p3, l0, l1, l2, l3] = *fixed else {
            return Err(Unreadable::Extra);
        };
        if [m0, m1, m2, m3] != MAGIC {
            return Err(Unreadable::Extra);
        }
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let (leaf, rest) = rest.split_first_chunk::<LEAF>().ok_or(Unreadable::Extra)?;
        let (inner, line) =
            rest.split_at_checked(usize::from(hashes) * size_of::<Hash>()).ok_or(Unreadable::Extra)?;
        if hashes > MAX_INNER || length > MAX_RAW || line.len() != length as usize {
            return Err(Unreadable::Extra);
        }
        Ok(Self {
            line: line.to_vec(),
            place: u32::from_le_bytes([p0, p1, p2, p3]),
            inner: inner.as_chunks().0.to_vec(),
            leaf: *leaf,
            outer,
        })
    }

    /// Checks every step from the line to the checkpoint that `key` signed.
    ///
    /// # Errors
    /// At the first step that does not hold.
    pub fn verify(&self, key: &OriginPublic) -> Result<Shown, Broken> {
        self.outer.verify(&leaf_hash(&self.leaf), key)?;
        let frame = header_of(&self.leaf).map_err(Broken::Header)?;
        if frame.frame_no != self.outer.index {
            return Err(Broken::Frame { stated: frame.frame_no, proven: self.outer.index });
        }
        let inner = (u64::from(frame.count), &frame.inner_root);
        check_inclusion(&leaf_hash(&self.line), u64::from(self.place), inner, &self.inner)
            .map_err(Broken::Event)?;
        let seq = frame.first_seq.saturating_add(u64::from(self.place));
        if !self.line.starts_with(format!("{{\"seq\":{seq},").as_bytes()) {
            return Err(Broken::Number(seq));
        }
        Ok(Shown { seq, frame })
    }

    /// The event, without its newline.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// What it is proven against.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.outer.checkpoint
    }

    fn extra(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Frames are far within these limits.
        bytes.extend([VERSION, u8::try_from(self.inner.len()).unwrap_or(u8::MAX), 0, 0]);
        bytes.extend(self.place.to_le_bytes());
        bytes.extend(u32::try_from(self.line.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(self.leaf);
        bytes.extend(self.inner.as_flattened());
        bytes.extend(&self.line);
        bytes
    }
}

/// The text of the proof.
impl fmt::Display for EventProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outer.fmt(formatter)
    }
}

/// Reads a leaf as the header that it is of. Its signature is not at hand, and not needed.
fn header_of(leaf: &[u8; LEAF]) -> Result<FrameHeader, FormatError> {
    const PREFIX: usize = 8;
    let mut bytes = FrameHeader::pattern();
    bytes.truncate(PREFIX);
    bytes.extend(leaf);
    bytes.resize(FRAME_HEADER - size_of::<u32>(), 0);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    FrameHeader::decode(&bytes)
}

#[cfg(test)]
mod tests;
