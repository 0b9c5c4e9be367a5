//! Frame headers: fields to bytes and back, within limits.

use super::{
    FRAME_HEADER, FRAME_MAGIC, FRAME_SKIPPABLE, Fields, FormatError, LEAF, MAX_PAYLOAD, MAX_RATIO, MAX_RAW,
    MAX_SEAL, PREFIX, TRAILER, VERSION, put_checksum, put_prefix,
};
use crate::chain::Hash;
use crate::chain::key::SignatureBytes;
use crate::chain::tree::leaf_hash;

const _: () = assert!(PREFIX + LEAF + TRAILER == FRAME_HEADER);

/// Bits of a frame's flags.
pub mod frame_flag {
    /// The recorder ended in order with this frame; only on a seal. No key is announced behind it.
    pub const STOP: u16 = 4;
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Events.
    Data = 1,
    /// Nothing but the loss counter: the recorder lives and has nothing to record.
    Heartbeat = 2,
    /// Events that tell which segments retention removed, and no others.
    Tomb = 4,
    /// The end of a segment: checkpoint and index.
    Seal = 5,
}

impl FrameKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Heartbeat),
            4 => Some(Self::Tomb),
            5 => Some(Self::Seal),
            _ => None,
        }
    }

    /// Whether its payload is event lines.
    #[must_use]
    pub const fn has_events(self) -> bool {
        matches!(self, Self::Data | Self::Tomb)
    }
}

/// Header of a frame; see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it carries.
    pub kind: FrameKind,
    /// Bits of [`frame_flag`].
    pub flags: u16,
    /// Number of the daemon start, from 1.
    pub epoch: u32,
    /// Position in this host's log of frames, from 0.
    pub frame_no: u64,
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of events.
    pub count: u32,
    /// Length of the event lines.
    pub raw_len: u32,
    /// Length of the payload.
    pub payload_len: u32,
    /// Wall time of the first event, ns since 1970.
    pub t_first: i64,
    /// Wall time of the last event.
    pub t_last: i64,
    /// Events lost since the daemon started.
    pub lost_total: u64,
    /// Hash of the header before: the leaf hash of a frame, or the link of the segment header in front of its first frame.
    pub prev_link: Hash,
    /// Root of the tree over the event lines.
    pub inner_root: Hash,
    /// Digest of the payload's exact bytes.
    pub payload_sha256: Hash,
    /// Public one-time key that signs the next header; zeros when the recorder ended here.
    pub next_pk: Hash,
    /// Signature over the leaf, by the key that the header before announced.
    pub signature: SignatureBytes,
}

impl FrameHeader {
    /// The bytes that are a leaf of the outer tree and that are signed.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_HEADER);
        self.put_leaf(&mut out);
        out
    }

    /// Hash of the leaf.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.leaf())
    }

    /// First event number after this frame.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.count as u64)
    }

    /// Length of header and payload.
    #[must_use]
    pub const fn frame_len(&self) -> u64 {
        FRAME_HEADER as u64 + self.payload_len as u64
    }

    /// Whether the writer ended the segment with this frame.
    #[must_use]
    pub fn is_seal(&self) -> bool {
        self.kind == FrameKind::Seal
    }

    /// Whether the recorder ended in order with this frame.
    #[must_use]
    pub const fn is_stop(&self) -> bool {
        self.flags & frame_flag::STOP != 0
    }

    fn put_leaf(&self, out: &mut Vec<u8>) {
        out.extend(FRAME_MAGIC);
        out.extend([VERSION, self.kind as u8]);
        out.extend(self.flags.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.frame_no.to_le_bytes());
        out.extend(self.first_seq.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        out.extend(self.raw_len.to_le_bytes());
        out.extend(self.payload_len.to_le_bytes());
        out.extend(self.t_first.to_le_bytes());
        out.extend(self.t_last.to_le_bytes());
        out.extend(self.lost_total.to_le_bytes());
        out.extend(self.prev_link);
        out.extend(self.inner_root);
        out.extend(self.payload_sha256);
        out.extend(self.next_pk);
    }

    /// Appends the header's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_prefix(out, FRAME_SKIPPABLE, FRAME_HEADER);
        self.put_leaf(out);
        out.extend(self.signature);
        put_checksum(out, start);
    }

    /// Reads the header at the start of `bytes`; limits are checked, hashes and the signature are not.
    ///
    /// # Errors
    /// When there is none, or one that this version can't have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields::framed(bytes, FRAME_SKIPPABLE, FRAME_HEADER, FRAME_MAGIC)?;
        let [kind] = fields.array()?;
        let kind = FrameKind::from_byte(kind).ok_or(FormatError::Kind(kind))?;
        let header = Self {
            kind,
            flags: u16::from_le_bytes(fields.array()?),
            epoch: u32::from_le_bytes(fields.array()?),
            frame_no: u64::from_le_bytes(fields.array()?),
            first_seq: u64::from_le_bytes(fields.array()?),
            count: u32::from_le_bytes(fields.array()?),
            raw_len: u32::from_le_bytes(fields.array()?),
            payload_len: u32::from_le_bytes(fields.array()?),
            t_first: i64::from_le_bytes(fields.array()?),
            t_last: i64::from_le_bytes(fields.array()?),
            lost_total: u64::from_le_bytes(fields.array()?),
            prev_link: fields.array()?,
            inner_root: fields.array()?,
            payload_sha256: fields.array()?,
            next_pk: fields.array()?,
            signature: fields.array()?,
        };
        header.check()?;
        Ok(header)
    }

    /// The bytes that every frame of this version begins with.
    #[must_use]
    pub fn pattern() -> Vec<u8> {
        let mut pattern = Vec::with_capacity(FRAME_HEADER);
        put_prefix(&mut pattern, FRAME_SKIPPABLE, FRAME_HEADER);
        pattern.extend(FRAME_MAGIC);
        pattern.push(VERSION);
        pattern
    }

    fn check(&self) -> Result<(), FormatError> {
        let stops = self.is_stop();
        if self.flags & !frame_flag::STOP != 0
            || (stops && !self.is_seal())
            || stops != (self.next_pk == [0; 32])
        {
            return Err(FormatError::Reserved);
        }
        if self.raw_len > MAX_RAW {
            return Err(FormatError::Limit("the length of the events"));
        }
        let longest = if self.is_seal() { MAX_SEAL } else { MAX_PAYLOAD };
        if self.payload_len > longest || self.payload_len == 0 {
            return Err(FormatError::Limit("the length of the payload"));
        }
        if self.raw_len / MAX_RATIO > self.payload_len {
            return Err(FormatError::Limit("the compression ratio"));
        }
        // A line has at least one byte and its newline.
        let fits = match self.kind.has_events() {
            true => self.count > 0 && self.count <= self.raw_len / 2,
            false => self.count == 0 && self.raw_len == 0,
        };
        if !fits {
            return Err(FormatError::Limit("the number of events"));
        }
        if self.first_seq.checked_add(u64::from(self.count)).is_none() || self.frame_no == u64::MAX {
            return Err(FormatError::Limit("the event or frame number"));
        }
        Ok(())
    }
}
