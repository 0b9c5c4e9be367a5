#![doc = include_str!("../../../docs/format.md")]

mod frame;
mod seal;
mod segment;
mod torn;

pub use frame::{FrameHeader, FrameKind, frame_flag};
pub use seal::Seal;
pub use segment::{Previous, SegmentHeader, segment_flag};
pub use torn::is_torn;

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
/// Most bytes of a seal's payload: checkpoint and index of a segment.
pub const MAX_SEAL: u32 = 16 << 20;
/// Longest frame: a seal.
pub const MAX_FRAME: u64 = FRAME_HEADER as u64 + MAX_SEAL as u64;
/// Length of a segment header without frontier nodes.
pub const SEGMENT_HEADER: usize = 384;
/// Longest segment header.
pub const MAX_SEGMENT_HEADER: usize = SEGMENT_HEADER + 64 * 32;

const SEGMENT_SKIPPABLE: u32 = 0x184D_2A50;
const FRAME_SKIPPABLE: u32 = 0x184D_2A51;
const SEAL_SKIPPABLE: u32 = 0x184D_2A52;
const SEGMENT_MAGIC: [u8; 4] = *b"KRS1";
const FRAME_MAGIC: [u8; 4] = *b"KRF1";
const SEAL_MAGIC: [u8; 4] = *b"KRX1";
const PREFIX: usize = 8;
const LEAF: usize = 192;
const TRAILER: usize = 64 + 4;
const SEGMENT_RESERVED: usize = 56;
const TREE_SIZE_OFFSET: usize = 128;

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
    /// A seal's payload that is not checkpoint and index in their frame.
    #[error("the payload of the seal is not exactly a checkpoint and an index")]
    SealShape,
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
