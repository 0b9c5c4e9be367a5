//! What somebody who owns the host can write: the origin key is theirs, and so are new one-time keys; old ones are gone.

use std::path::Path;

use recorder::chain::key::{Domain, OriginKey};
use recorder::chain::once::OneTimeKey;
use recorder::chain::sha256;
use recorder::store::format::{FRAME_HEADER, FrameHeader, SegmentHeader};
use recorder::store::payload::Packer;

use super::frames;

/// A segment taken apart.
pub struct Forgery {
    pub header: SegmentHeader,
    pub frames: Vec<(FrameHeader, Vec<u8>)>,
}

impl Forgery {
    pub fn of(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let header = SegmentHeader::decode(&bytes).unwrap();
        let frames = frames(path).into_iter().map(|(offset, header)| {
            let end = offset + usize::try_from(header.frame_len()).unwrap();
            (header, bytes.get(offset + FRAME_HEADER..end).unwrap().to_vec())
        });
        Self { header, frames: frames.collect() }
    }

    /// Gives a frame other lines. Count and root stay as they are.
    pub fn set_lines(&mut self, index: usize, lines: &[u8]) {
        let (header, payload) = self.frames.get_mut(index).unwrap();
        *payload = Packer::new(1).unwrap().pack(lines).unwrap().to_vec();
        header.raw_len = u32::try_from(lines.len()).unwrap();
    }

    /// Signs everything from frame `from` on with new keys (from the segment's header on when `from` is None), and
    /// writes it. The checksums and payload digests are right.
    pub fn write(mut self, path: &Path, origin: &OriginKey, from: Option<usize>, relink: bool) {
        let mut key = OneTimeKey::generate().unwrap();
        if from.is_none() {
            self.header.next_pk = key.public();
            self.header.signature = origin.sign(Domain::Segment, &self.header.signed());
        }
        let mut link = self.header.link();
        let mut out = self.header.encode();
        for (index, (header, payload)) in self.frames.iter_mut().enumerate() {
            header.payload_len = u32::try_from(payload.len()).unwrap();
            header.payload_sha256 = sha256(payload);
            if relink {
                header.prev_link = link;
            }
            if index >= from.unwrap_or(0) {
                key = sign(header, key);
            }
            link = header.leaf_hash();
            header.encode(&mut out);
            out.extend_from_slice(payload);
        }
        std::fs::write(path, out).unwrap();
    }
}

/// Signs a frame with `key` and gives the key that it announces.
fn sign(header: &mut FrameHeader, key: OneTimeKey) -> OneTimeKey {
    let next = OneTimeKey::generate().unwrap();
    header.next_pk = if header.is_stop() { [0; 32] } else { next.public() };
    header.signature = key.sign(Domain::Frame, &header.leaf());
    next
}
