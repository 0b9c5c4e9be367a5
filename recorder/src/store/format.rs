#![doc = include_str!("../../../docs/format.md")]

use crate::chain::Hash;
use crate::chain::key::SignatureBytes;
use crate::chain::tree::{Frontier, leaf_hash};

/// Version of the format written here.
pub const VERSION: u8 = 1;
/// SHA-256 and Ed25519.
pub const ALGORITHM: u8 = 1;
/// Most bytes of events in a frame.
pub const MAX_RAW: u32 = 1 << 20;
/// Most bytes of a payload: incompressible events and zstd's overhead.
pub const MAX_PAYLOAD: u32 = MAX_RAW + (MAX_RAW >> 8) + 64;
/// Most bytes of events for one byte of payload.
pub const MAX_RATIO: u32 = 1 << 14;
/// Length of a frame header with its skippable prefix.
pub const FRAME_HEADER: usize = 268;
/// Longest frame.
pub const MAX_FRAME: u64 = FRAME_HEADER as u64 + MAX_PAYLOAD as u64;
/// Length of a segment header without frontier nodes.
pub const SEGMENT_HEADER: usize = 384;
/// Longest segment header.
pub const MAX_SEGMENT_HEADER: usize = SEGMENT_HEADER + 64 * 32;

const SEGMENT_SKIPPABLE: u32 = 0x184D_2A50;
const FRAME_SKIPPABLE: u32 = 0x184D_2A51;
const SEGMENT_MAGIC: [u8; 4] = *b"KRS1";
const FRAME_MAGIC: [u8; 4] = *b"KRF1";
const PREFIX: usize = 8;
const LEAF: usize = 192;
const TRAILER: usize = 64 + 4;
const SEGMENT_RESERVED: usize = 56;
const TREE_SIZE_OFFSET: usize = 128;

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

/// Bits of a segment's flags.
pub mod segment_flag {
    /// Signed by a one-time key; not in use yet.
    pub const ONE_TIME_KEY: u16 = 1;
    /// The previous segment ends in a torn tail.
    pub const PREVIOUS_TORN: u16 = 2;
    /// The previous segment was found damaged.
    pub const PREVIOUS_DAMAGED: u16 = 4;
    /// The segment was not made append-only.
    pub const NOT_APPEND_ONLY: u16 = 8;
    pub(super) const KNOWN: u16 = PREVIOUS_TORN | PREVIOUS_DAMAGED | NOT_APPEND_ONLY;
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

/// Why bytes are not a header, a frame or a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end too early.
    #[error("the bytes end in the middle of a header")]
    Short,
    /// Another kind of bytes.
    #[error("no header begins here")]
    Magic,
    /// A format that this program does not know.
    #[error("format version {0} is not known here")]
    Version(u8),
    /// Not SHA-256 and Ed25519.
    #[error("algorithm {0} is not known here")]
    Algorithm(u8),
    /// A frame kind of a later version.
    #[error("frame kind {0} is not known here")]
    Kind(u8),
    /// Something set that must be zero.
    #[error("reserved bits or bytes are not zero")]
    Reserved,
    /// The header's own checksum.
    #[error("the checksum of the header does not fit its bytes")]
    Checksum,
    /// A field beyond its limit.
    #[error("{0} is beyond its limit")]
    Limit(&'static str),
    /// Nodes that do not give the root beside them.
    #[error("the frontier nodes do not give the tree root")]
    Frontier,
    /// The payload's digest.
    #[error("the payload does not have the SHA-256 that its header states")]
    PayloadHash,
    /// Not exactly one plain zstd frame.
    #[error("the payload is not exactly one zstd frame with content size and checksum")]
    PayloadShape,
    /// zstd refused it.
    #[error("the payload can't be decompressed to the length that its header states")]
    Decompress,
    /// Something behind the last frame.
    #[error("bytes that belong to no frame")]
    Junk,
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
    /// Leaf hash of the last frame before this segment; zeros when there is none.
    pub prev_leaf: Hash,
    /// 0, or how many segments with the same first frame came before.
    pub attempt: u16,
    /// Public key of the next frame; zeros while the origin key signs.
    pub next_pk: Hash,
    /// The outer tree over all frames before this segment.
    pub tree: Frontier,
    /// Signature over all bytes between the prefix and itself.
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
        out.extend(self.prev_leaf);
        out.extend(self.next_pk);
        out.extend(self.attempt.to_le_bytes());
        out.extend(previous.attempt.to_le_bytes());
        out.extend([0; SEGMENT_RESERVED]);
        for node in self.tree.nodes() {
            out.extend(node);
        }
        out
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
        let stated = bytes.get(4..8).and_then(|length| length.try_into().ok()).ok_or(FormatError::Short)?;
        let length = PREFIX.saturating_add(u32::from_le_bytes(stated) as usize);
        if !(SEGMENT_HEADER..=MAX_SEGMENT_HEADER).contains(&length) || !length.is_multiple_of(32) {
            return Err(FormatError::Magic);
        }
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
        let prev_leaf = fields.array()?;
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
            prev_leaf,
            attempt,
            next_pk,
            tree: tree.ok_or(FormatError::Frontier)?,
            signature: fields.array()?,
        };
        let unknown =
            flags & !segment_flag::KNOWN != 0 || reserved != [0; SEGMENT_RESERVED] || next_pk != [0; 32];
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

/// File name of the segment that begins with `first_frame`. Names in byte order are in log order.
#[must_use]
pub fn segment_name(first_frame: u64, attempt: u16) -> String {
    if attempt == 0 {
        format!("seg-{first_frame:010}.krl.zst")
    } else {
        format!("seg-{first_frame:010}.r{attempt:03}.krl.zst")
    }
}

/// First frame and attempt in a segment's file name; `None` for any other name.
#[must_use]
pub fn parse_segment_name(name: &str) -> Option<(u64, u16)> {
    let stem = name.strip_prefix("seg-")?.strip_suffix(".krl.zst")?;
    let (first, attempt) = stem.split_once(".r").unwrap_or((stem, "0"));
    let parsed = (first.parse().ok()?, attempt.parse().ok()?);
    (segment_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// Whether `rest`, the bytes from the end of the last whole frame (at `offset`) to the end of the file, is what a crash
/// leaves: the beginning of a frame (or of a segment header at offset 0), zeros, or the one followed by the other.
#[must_use]
pub fn is_torn(rest: &[u8], offset: u64) -> bool {
    let whole = if offset == 0 { MAX_SEGMENT_HEADER as u64 } else { MAX_FRAME };
    if rest.len() as u64 > whole {
        return false;
    }
    let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
    if zeros == rest.len() {
        return true;
    }
    // The system gives zeros for blocks that it never wrote, so a run of them begins where a sector begins. A shorter
    // run than this is as likely a change of the last bytes of a frame.
    let run_start = rest.len() - zeros;
    let sector = (offset + run_start as u64).next_multiple_of(512) - offset;
    let written = usize::try_from(sector).unwrap_or(usize::MAX);
    let cut = rest.len().checked_sub(written).is_some_and(|run| run >= 16);
    let begun = if cut { rest.get(..written).unwrap_or(rest) } else { rest };
    begins_a_frame(begun, rest.len(), cut, offset)
}

/// Whether `begun` is the beginning, not the whole, of a header or frame that is at least `length` long.
fn begins_a_frame(begun: &[u8], length: usize, cut: bool, offset: u64) -> bool {
    if offset == 0 {
        return begins_a_segment(begun, length, cut);
    }
    match FrameHeader::decode(begun) {
        Ok(header) => (length as u64) < header.frame_len() || (cut && length as u64 == header.frame_len()),
        Err(FormatError::Short) => {
            let prefix = FrameHeader::pattern();
            (length < FRAME_HEADER || cut)
                && begun.iter().zip(&prefix).all(|(byte, expected)| byte == expected)
        }
        Err(_) => false,
    }
}

/// The same for a segment header, whose length its tree size tells.
fn begins_a_segment(begun: &[u8], length: usize, cut: bool) -> bool {
    let number = |range: std::ops::Range<usize>| Some(u64::from_le_bytes(begun.get(range)?.try_into().ok()?));
    let nodes = number(TREE_SIZE_OFFSET..TREE_SIZE_OFFSET + 8).map(u64::count_ones);
    let whole = nodes.map_or(MAX_SEGMENT_HEADER, |nodes| SEGMENT_HEADER + 32 * nodes as usize);
    let mut prefix = Vec::with_capacity(PREFIX);
    put_prefix(&mut prefix, SEGMENT_SKIPPABLE, whole);
    prefix.extend(SEGMENT_MAGIC);
    prefix.push(VERSION);
    // In front of the tree size the stated length can't be checked.
    let checked = |index: &usize| nodes.is_some() || !(4..PREFIX).contains(index);
    let mut pairs = begun.iter().zip(&prefix).enumerate().filter(|(index, _)| checked(index));
    (length < whole || cut) && pairs.all(|(_, (byte, expected))| byte == expected)
}

fn put_prefix(out: &mut Vec<u8>, skippable: u32, length: usize) {
    out.extend(skippable.to_le_bytes());
    // Headers are at most a few kilobytes long.
    out.extend((length.saturating_sub(PREFIX) as u32).to_le_bytes());
}

fn put_checksum(out: &mut Vec<u8>, start: usize) {
    let checksum = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend(checksum.to_le_bytes());
}

/// Bytes of a header, taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Checks prefix, checksum, magic and version of a header of `length` bytes and stops behind the version.
    fn framed(bytes: &'a [u8], skippable: u32, length: usize, magic: [u8; 4]) -> Result<Self, FormatError> {
        let mut prefix = Vec::with_capacity(PREFIX);
        put_prefix(&mut prefix, skippable, length);
        prefix.extend(magic);
        if bytes.iter().zip(&prefix).any(|(byte, expected)| byte != expected) {
            return Err(FormatError::Magic);
        }
        let header = bytes.get(..length).ok_or(FormatError::Short)?;
        let (covered, stated) = header.split_last_chunk::<4>().ok_or(FormatError::Short)?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*stated) {
            return Err(FormatError::Checksum);
        }
        let mut fields = Self(covered.get(prefix.len()..).ok_or(FormatError::Short)?);
        match fields.array()? {
            [VERSION] => Ok(fields),
            [other] => Err(FormatError::Version(other)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(FormatError::Short)?;
        self.0 = tail;
        Ok(*head)
    }
}
