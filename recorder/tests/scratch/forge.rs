//! What somebody who owns the host can write: the origin key is theirs, and so are new one-time keys; old ones are gone.

use std::path::{Path, PathBuf};

use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::{Domain, OriginKey};
use recorder::chain::once::OneTimeKey;
use recorder::chain::tree::Frontier;
use recorder::chain::{Hash, sha256};
use recorder::store::format::{FRAME_HEADER, FrameHeader, Previous, Seal, SegmentHeader};
use recorder::store::index::Builder;
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

/// Changes one header just before it is signed, so that nothing mends it afterwards.
type Lie<T> = Option<(usize, Box<dyn Fn(&mut T)>)>;

/// The end of a log, from a start of the recorder on: somebody with the origin key can write all of it anew. What they
/// write is consistent but for the lies.
pub struct Rewrite {
    directory: PathBuf,
    paths: Vec<PathBuf>,
    pub segments: Vec<Forgery>,
    /// For the header of the segment at that place.
    pub header_lie: Lie<SegmentHeader>,
    /// For each frame of the segment at that place.
    pub frame_lie: Lie<FrameHeader>,
    /// For each payload of the segment at that place.
    pub payload_lie: Lie<Vec<u8>>,
    /// Whether seals keep the payload that they have.
    pub keep_seals: bool,
}

impl Rewrite {
    /// Takes the segments apart; the first one is a start of the recorder, the last one the end of the log.
    pub fn of(paths: &[PathBuf]) -> Self {
        let directory = paths.first().and_then(|path| path.parent()).unwrap().to_owned();
        let segments = paths.iter().map(|path| Forgery::of(path)).collect();
        let paths = paths.to_vec();
        let (header_lie, frame_lie, payload_lie) = (None, None, None);
        Self { directory, paths, segments, header_lie, frame_lie, payload_lie, keep_seals: false }
    }

    /// Gives frames and events the numbers that they must have.
    pub fn renumber(&mut self) {
        let first = self.segments.first().unwrap();
        let (mut frame_no, mut seq) = (first.header.first_frame, first.header.first_seq);
        for segment in &mut self.segments {
            (segment.header.first_frame, segment.header.first_seq) = (frame_no, seq);
            for (header, _) in &mut segment.frames {
                (header.frame_no, header.first_seq) = (frame_no, seq);
                (frame_no, seq) = (frame_no + 1, header.next_seq());
            }
        }
    }

    /// Links and signs everything, and puts it in the place of what was there.
    pub fn write(self, origin: &OriginKey) {
        let Self { directory, paths, segments, header_lie, frame_lie, payload_lie, keep_seals } = self;
        paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let mut pen = Pen::new(&segments.first().unwrap().header);
        for (place, Forgery { mut header, frames }) in segments.into_iter().enumerate() {
            let mut out = pen.header(&mut header, origin, |header| lie(&header_lie, place, header));
            let mut index = Builder::new();
            for (mut frame, mut payload) in frames {
                if frame.is_seal() && !keep_seals {
                    let checkpoint = Checkpoint::sign(origin, pen.tree.size(), pen.tree.root());
                    let note = checkpoint.unwrap().to_string();
                    let seal = Seal { checkpoint: note.as_bytes(), index: &index.finish() };
                    seal.encode(&mut payload).unwrap();
                }
                lie(&payload_lie, place, &mut payload);
                pen.frame(&mut frame, &payload, |frame| lie(&frame_lie, place, frame));
                index.add_frame(&frame, &zstd::decode_all(payload.as_slice()).unwrap_or_default());
                frame.encode(&mut out);
                out.extend_from_slice(&payload);
            }
            std::fs::write(directory.join(header.file_name()), &out).unwrap();
            pen.turn_over(&header, &out);
        }
    }
}

fn lie<T>(told: &Lie<T>, place: usize, about: &mut T) {
    if let Some((_, tell)) = told.as_ref().filter(|(of, _)| *of == place) {
        tell(about);
    }
}

/// Where the forger stands.
struct Pen {
    key: OneTimeKey,
    link: Hash,
    tree: Frontier,
    previous: Option<Previous>,
}

impl Pen {
    fn new(first: &SegmentHeader) -> Self {
        let key = OneTimeKey::generate().unwrap();
        Self { key, link: first.prev_link, tree: first.tree.clone(), previous: first.previous }
    }

    fn header(
        &mut self,
        header: &mut SegmentHeader,
        origin: &OriginKey,
        lie: impl Fn(&mut SegmentHeader),
    ) -> Vec<u8> {
        let next = OneTimeKey::generate().unwrap();
        header.next_pk = next.public();
        (header.prev_link, header.tree, header.previous) = (self.link, self.tree.clone(), self.previous);
        lie(header);
        let key = std::mem::replace(&mut self.key, next);
        header.signature = match header.starts_epoch() {
            true => origin.sign(Domain::Segment, &header.signed()),
            false => key.sign(Domain::Segment, &header.signed()),
        };
        self.link = header.link();
        header.encode()
    }

    fn frame(&mut self, header: &mut FrameHeader, payload: &[u8], lie: impl Fn(&mut FrameHeader)) {
        header.payload_len = u32::try_from(payload.len()).unwrap();
        header.payload_sha256 = sha256(payload);
        header.prev_link = self.link;
        lie(header);
        let key = std::mem::replace(&mut self.key, OneTimeKey::generate().unwrap());
        self.key = sign(header, key);
        self.link = header.leaf_hash();
        self.tree.push(self.link);
    }

    fn turn_over(&mut self, header: &SegmentHeader, bytes: &[u8]) {
        let (first_frame, attempt) = (header.first_frame, header.attempt);
        let length = bytes.len() as u64;
        self.previous =
            Some(Previous { first_frame, attempt, length, valid_length: length, sha256: sha256(bytes) });
    }
}
