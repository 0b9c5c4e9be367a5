//! Makes the index of a segment from its frames.

use super::keys::Extractor;
use super::{
    BLOCK, Digest, EVERY_QUERY, FOOTER, MAGIC, MAX_INDEX, MAX_PAIRS, ROW, Runs, digest, put_number, put_step,
};
use crate::store::format::FrameHeader;

/// Collects what the index of one segment says; the same frames always give the same bytes.
pub struct Builder {
    extractor: Extractor,
    table: Vec<u8>,
    frames: u32,
    frames_len: u64,
    last: i64,
    times: Option<(i64, i64)>,
    /// Key in the upper half, frame in the lower.
    pairs: Vec<u64>,
    /// [`MAX_PAIRS`], but in tests.
    pub(super) max_pairs: usize,
    /// [`MAX_INDEX`], but in tests.
    pub(super) max_len: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("frames", &self.frames)
            .field("pairs", &self.pairs.len())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// For a segment without frames yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            extractor: Extractor::new(),
            table: Vec::new(),
            frames: 0,
            frames_len: 0,
            last: 0,
            times: None,
            pairs: Vec::new(),
            max_pairs: MAX_PAIRS,
            max_len: MAX_INDEX as usize,
        }
    }

    /// Adds the next frame of the segment: its header and its event lines, none for a frame without events.
    pub fn add_frame(&mut self, header: &FrameHeader, lines: &[u8]) {
        put_number(&mut self.table, header.payload_len.into());
        put_number(&mut self.table, header.count.into());
        put_step(&mut self.table, self.last, header.t_first);
        put_step(&mut self.table, header.t_first, header.t_last);
        self.last = header.t_last;
        let (early, late) = (header.t_first.min(header.t_last), header.t_first.max(header.t_last));
        let (first, last) = self.times.unwrap_or((early, late));
        self.times = Some((first.min(early), last.max(late)));
        self.frames_len += header.frame_len();
        self.add_keys(lines);
        self.frames += 1;
    }

    fn add_keys(&mut self, lines: &[u8]) {
        let keys = self.extractor.keys(lines).ok();
        // A segment of nothing but new names must not need memory without end: its last frames are in every query.
        let keys = keys.filter(|keys| self.pairs.len() + keys.len() <= self.max_pairs);
        let frame = u64::from(self.frames);
        self.pairs.extend(keys.unwrap_or(&[EVERY_QUERY]).iter().map(|key| u64::from(*key) << 32 | frame));
    }

    /// The index of the frames that were added; the next frame begins another segment. What would be too long for a seal
    /// goes without keys, and is empty when that is too long as well: no segment must stay open for its index.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.pairs.sort_unstable();
        let mut index = self.encode();
        if index.len() > self.max_len {
            self.pairs =
                (0..u64::from(self.frames)).map(|frame| u64::from(EVERY_QUERY) << 32 | frame).collect();
            index = self.encode();
        }
        if index.len() > self.max_len {
            index.clear();
        }
        self.table.clear();
        self.pairs.clear();
        (self.frames, self.frames_len, self.last, self.times) = (0, 0, 0, None);
        index
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = self.table.clone();
        let table_len = out.len();
        let table_digest = digest(&out);
        let directory = self.put_blocks(&mut out);
        let blocks = directory.len() / ROW;
        out.extend_from_slice(&directory);
        let (first, last) = self.times.unwrap_or_default();
        let start = out.len();
        out.extend(MAGIC);
        // What does not fit into 32 bits is far too long anyway.
        for number in [start + FOOTER, self.frames as usize, table_len, blocks, 0] {
            out.extend((number as u32).to_le_bytes());
        }
        out.extend(self.frames_len.to_le_bytes());
        out.extend(first.to_le_bytes());
        out.extend(last.to_le_bytes());
        out.extend(table_digest);
        out.extend(digest(&directory));
        let own = digest(out.get(start..).unwrap_or_default());
        out.extend(own);
        out
    }

    /// Appends the blocks of keys; gives the directory.
    fn put_blocks(&self, out: &mut Vec<u8>) -> Vec<u8> {
        let mut directory = Vec::new();
        let mut runs = Runs::default();
        let mut block: Option<Block> = None;
        for group in self.pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let Some(key) = group.first().map(|pair| (pair >> 32) as u32) else { continue };
            runs.clear();
            for pair in group {
                runs.push(*pair as u32);
            }
            let open = block.get_or_insert(Block { first: key, last: key, start: out.len() });
            put_number(out, u64::from(key - open.last));
            runs.encode(out);
            open.last = key;
            if out.len() - open.start >= BLOCK {
                open.close(out, &mut directory);
                block = None;
            }
        }
        if let Some(open) = block {
            open.close(out, &mut directory);
        }
        directory
    }
}

/// A block that is being written.
struct Block {
    first: u32,
    last: u32,
    start: usize,
}

impl Block {
    /// Appends the block's row.
    fn close(&self, out: &[u8], directory: &mut Vec<u8>) {
        let bytes = out.get(self.start..).unwrap_or_default();
        directory.extend(self.first.to_le_bytes());
        directory.extend((bytes.len() as u32).to_le_bytes());
        let own: Digest = digest(bytes);
        directory.extend(own);
    }
}
