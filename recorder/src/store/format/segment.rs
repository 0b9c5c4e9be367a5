//! Segment headers: fields to bytes and back.

use super::{
    ALGORITHM, Fields, FormatError, MAX_SEGMENT_HEADER, PREFIX, SEGMENT_HEADER, SEGMENT_MAGIC,
    SEGMENT_RESERVED, SEGMENT_SKIPPABLE, VERSION, put_checksum, put_prefix, segment_name,
};
use crate::chain::Hash;
use crate::chain::key::SignatureBytes;
use crate::chain::tree::{Frontier, leaf_hash};

/// Bits of a segment's flags.
pub mod segment_flag {
    /// The first segment of a start of the recorder: the origin key signs its header.
    pub const EPOCH: u16 = 1;
    /// The previous segment ends in a torn tail.
    pub const PREVIOUS_TORN: u16 = 2;
    /// The previous segment was found damaged.
    pub const PREVIOUS_DAMAGED: u16 = 4;
    /// The segment was not made append-only.
    pub const NOT_APPEND_ONLY: u16 = 8;
    pub(super) const KNOWN: u16 = EPOCH | PREVIOUS_TORN | PREVIOUS_DAMAGED | NOT_APPEND_ONLY;
}

/// Header of a segment; see the table above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Bits of [`segment_flag`].
    pub flags: u16,
    /// Number of the daemon start, from 1.
    pub epoch: u32,
    /// Position in this host's log of segments, from 0.
    pub segment_no: u32,
    /// Number of the first frame that this segment can have.
    pub first_frame: u64,
    /// Number of the first event that this segment can have.
    pub first_seq: u64,
    /// Wall time of its making, ns since 1970.
    pub created: i64,
    /// Kernel's boot id.
    pub boot_id: [u8; 16],
    /// Id of the origin key: SHA-256 over name and key.
    pub origin: Hash,
    /// The segment before; `None` for segment 0.
    pub previous: Option<Previous>,
    /// Hash of the header before, as in a frame; zeros in the first segment.
    pub prev_link: Hash,
    /// 0, or how many segments with the same first frame came before.
    pub attempt: u16,
    /// Public one-time key that signs the first frame.
    pub next_pk: Hash,
    /// The outer tree over all frames before this segment.
    pub tree: Frontier,
    /// Signature over all bytes between the prefix and itself: of the origin key where an epoch starts, else of the
    /// one-time key that the seal before announced.
    pub signature: SignatureBytes,
}

/// What a segment header states about the segment before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// First frame in its name.
    pub first_frame: u64,
    /// Attempt in its name.
    pub attempt: u16,
    /// Length of the file.
    pub length: u64,
    /// Length without a torn or damaged rest.
    pub valid_length: u64,
    /// Digest of the whole file.
    pub sha256: Hash,
}

impl SegmentHeader {
    /// Length of the encoded header.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        SEGMENT_HEADER + 32 * self.tree.nodes().len()
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        let none = Previous { first_frame: 0, attempt: 0, length: 0, valid_length: 0, sha256: [0; 32] };
        let previous = self.previous.unwrap_or(none);
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend(SEGMENT_MAGIC);
        out.extend([VERSION, ALGORITHM]);
        out.extend(self.flags.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.segment_no.to_le_bytes());
        out.extend(self.first_frame.to_le_bytes());
        out.extend(self.first_seq.to_le_bytes());
        out.extend(self.created.to_le_bytes());
        out.extend(self.boot_id);
        out.extend(self.origin);
        out.extend(self.tree.root());
        out.extend(self.tree.size().to_le_bytes());
        out.extend(previous.first_frame.to_le_bytes());
        out.extend(previous.length.to_le_bytes());
        out.extend(previous.valid_length.to_le_bytes());
        out.extend(previous.sha256);
        out.extend(self.prev_link);
        out.extend(self.next_pk);
        out.extend(self.attempt.to_le_bytes());
        out.extend(previous.attempt.to_le_bytes());
        out.extend([0; SEGMENT_RESERVED]);
        for node in self.tree.nodes() {
            out.extend(node);
        }
        out
    }

    /// What the header behind this one has as its previous link: a hash over all that is signed.
    #[must_use]
    pub fn link(&self) -> Hash {
        leaf_hash(&self.signed())
    }

    /// Whether a start of the recorder begins here.
    #[must_use]
    pub const fn starts_epoch(&self) -> bool {
        self.flags & segment_flag::EPOCH != 0
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        put_prefix(&mut out, SEGMENT_SKIPPABLE, self.encoded_len());
        out.extend(self.signed());
        out.extend(self.signature);
        put_checksum(&mut out, 0);
        out
    }

    /// Reads the header at the start of `bytes`; its signature is not checked.
    ///
    /// # Errors
    /// When there is none, or one that this version can't have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let length = stated_length(bytes)?;
        let mut fields = Fields::framed(bytes, SEGMENT_SKIPPABLE, length, SEGMENT_MAGIC)?;
        match fields.array()? {
            [ALGORITHM] => {}
            [other] => return Err(FormatError::Algorithm(other)),
        }
        let flags = u16::from_le_bytes(fields.array()?);
        let epoch = u32::from_le_bytes(fields.array()?);
        let segment_no = u32::from_le_bytes(fields.array()?);
        let first_frame = u64::from_le_bytes(fields.array()?);
        let first_seq = u64::from_le_bytes(fields.array()?);
        let created = i64::from_le_bytes(fields.array()?);
        let boot_id = fields.array()?;
        let origin = fields.array()?;
        let root: Hash = fields.array()?;
        let size = u64::from_le_bytes(fields.array()?);
        let mut previous = Previous {
            first_frame: u64::from_le_bytes(fields.array()?),
            length: u64::from_le_bytes(fields.array()?),
            valid_length: u64::from_le_bytes(fields.array()?),
            sha256: fields.array()?,
            attempt: 0,
        };
        let prev_link = fields.array()?;
        let next_pk = fields.array()?;
        let attempt = u16::from_le_bytes(fields.array()?);
        previous.attempt = u16::from_le_bytes(fields.array()?);
        let reserved: [u8; SEGMENT_RESERVED] = fields.array()?;
        let nodes = (SEGMENT_HEADER..length).step_by(32).map(|_| fields.array()).collect::<Result<_, _>>()?;
        let tree = Frontier::from_parts(size, nodes).filter(|tree| tree.root() == root);
        let header = Self {
            flags,
            epoch,
            segment_no,
            first_frame,
            first_seq,
            created,
            boot_id,
            origin,
            previous: (segment_no > 0).then_some(previous),
            prev_link,
            attempt,
            next_pk,
            tree: tree.ok_or(FormatError::Frontier)?,
            signature: fields.array()?,
        };
        let unknown =
            flags & !segment_flag::KNOWN != 0 || reserved != [0; SEGMENT_RESERVED] || next_pk == [0; 32];
        // Encoding again finds whatever else must be zero: what segment 0 says about a segment before it.
        if unknown || bytes.get(..length) != Some(header.encode().as_slice()) {
            return Err(FormatError::Reserved);
        }
        if header.tree.size() != first_frame || previous.valid_length > previous.length {
            return Err(FormatError::Limit("the tree size or a length"));
        }
        Ok(header)
    }

    /// Whether `bytes` begin like a segment header of any version.
    #[must_use]
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&SEGMENT_SKIPPABLE.to_le_bytes())
            && bytes.get(PREFIX..PREFIX + 4) == Some(&SEGMENT_MAGIC)
    }

    /// File name of the segment.
    #[must_use]
    pub fn file_name(&self) -> String {
        segment_name(self.first_frame, self.attempt)
    }
}

/// Length of the whole header, as its prefix states it.
fn stated_length(bytes: &[u8]) -> Result<usize, FormatError> {
    let stated = bytes.get(4..8).and_then(|length| length.try_into().ok()).ok_or(FormatError::Short)?;
    let length = PREFIX.saturating_add(u32::from_le_bytes(stated) as usize);
    if !(SEGMENT_HEADER..=MAX_SEGMENT_HEADER).contains(&length) || !length.is_multiple_of(32) {
        return Err(FormatError::Magic);
    }
    Ok(length)
}
