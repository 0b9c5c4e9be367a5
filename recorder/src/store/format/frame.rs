//! Frame headers: fields to bytes and back, within limits.

use super::{
    FRAME_HEADER, FRAME_MAGIC, FRAME_SKIPPABLE, Fields, FormatError, LEAF, MAX_PAYLOAD, MAX_RATIO, MAX_RAW,
    PREFIX, TRAILER, VERSION, put_checksum, put_prefix,
};
use crate::chain::Hash;
use crate::chain::key::SignatureBytes;
use crate::chain::tree::leaf_hash;

const _: () = assert!(PREFIX + LEAF + TRAILER == FRAME_HEADER);

/// Bits of a frame's flags.
pub mod frame_flag {
    /// Signed by a one-time key; not in use yet.
    pub const ONE_TIME_KEY: u16 = 1;
    /// The writer ended the segment with this frame.
    pub const END: u16 = 2;
    /// The recorder ended in order with this frame; only together with [`END`].
    pub const STOP: u16 = 4;
}

/// What a frame carries. Only data frames are written so far; the other numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Events.
    Data = 1,
}

/// Numbers of frame kinds that later versions of the recorder write.
pub mod reserved_kind {
    /// Loss counters, also when idle.
    pub const GAP: u8 = 2;
    /// Start of a daemon, first one-time key.
    pub const EPOCH: u8 = 3;
    /// What retention removed.
    pub const TOMB: u8 = 4;
    /// End of a segment with its index.
    pub const SEAL: u8 = 5;
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
    /// Leaf hash of the frame before; zeros for frame 0.
    pub prev_leaf: Hash,
    /// Root of the tree over the event lines.
    pub inner_root: Hash,
    /// Digest of the payload's exact bytes.
    pub payload_sha256: Hash,
    /// Public key of the next frame; zeros while the origin key signs.
    pub next_pk: Hash,
    /// Signature over the leaf.
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
    pub const fn is_end(&self) -> bool {
        self.flags & frame_flag::END != 0
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
        out.extend(self.prev_leaf);
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
        let kind = match fields.array()? {
            [1] => FrameKind::Data,
            [other] => return Err(FormatError::Kind(other)),
        };
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
            prev_leaf: fields.array()?,
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
        let unknown = self.flags & !(frame_flag::END | frame_flag::STOP) != 0;
        if unknown || self.flags == frame_flag::STOP || self.next_pk != [0; 32] {
            return Err(FormatError::Reserved);
        }
        if self.raw_len > MAX_RAW {
            return Err(FormatError::Limit("the length of the events"));
        }
        if self.payload_len > MAX_PAYLOAD || self.payload_len == 0 {
            return Err(FormatError::Limit("the length of the payload"));
        }
        if self.raw_len / MAX_RATIO > self.payload_len {
            return Err(FormatError::Limit("the compression ratio"));
        }
        // A line has at least one byte and its newline; only the end of a segment may be without events.
        let empty = self.count == 0 && self.raw_len == 0 && self.is_end();
        if !empty && (self.count == 0 || self.count > self.raw_len / 2) {
            return Err(FormatError::Limit("the number of events"));
        }
        if self.first_seq.checked_add(u64::from(self.count)).is_none() || self.frame_no == u64::MAX {
            return Err(FormatError::Limit("the event or frame number"));
        }
        Ok(())
    }
}
