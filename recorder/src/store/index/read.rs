//! Reads an index in parts: footer, directory and one block of keys answer where a value is. Nothing here is trusted:
//! limits before anything is allocated, a digest over every part.

use std::ops::Range;

use super::{
    Digest, EVERY_QUERY, FOOTER, IndexError, IndexFault, MAGIC, MAX_INDEX, Numbers, ROW, Runs, digest,
};
use crate::store::StoreError;
use crate::store::format::FRAME_HEADER;

/// Reads bytes of a segment: offset and length; fewer bytes at its end.
pub type ReadAt<'r> = dyn Fn(u64, usize) -> Result<Vec<u8>, StoreError> + 'r;

/// Read at once from the end: the footer, and mostly the directory too.
const TAIL: usize = 32 << 10;

/// The index of a segment, ready for questions.
#[derive(Clone, Debug)]
pub struct Index {
    /// Where it begins in the segment.
    start: u64,
    footer: Footer,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Footer {
    length: u32,
    frames: u32,
    table_len: u32,
    blocks: u32,
    frames_len: u64,
    times: (i64, i64),
    table: Digest,
    directory: Digest,
}

/// A block of keys: offset and length in the index.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    offset: u64,
    length: u32,
    digest: Digest,
}

/// Where a frame is and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// Offset behind the segment's header.
    pub offset: u64,
    /// Events in the frames of the segment before it.
    pub events_before: u64,
    /// Events in it.
    pub count: u32,
    /// Length of its payload.
    pub payload_len: u32,
    /// Time of its first event.
    pub t_first: i64,
    /// Time of its last event.
    pub t_last: i64,
}

/// Every frame of a segment but the seal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameTable(Vec<FramePlace>);

impl Index {
    /// Opens the index that ends at `end`; `None` when none ends there.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    pub fn open(read: &ReadAt<'_>, end: u64) -> Result<Option<Self>, IndexError> {
        let wanted = usize::try_from(end).unwrap_or(TAIL).min(TAIL);
        let tail = read(end - wanted as u64, wanted)?;
        let Some((before, bytes)) = tail.split_last_chunk::<FOOTER>() else { return Ok(None) };
        if !bytes.starts_with(&MAGIC) {
            return Ok(None);
        }
        let footer = Footer::decode(bytes)?;
        let start = end.checked_sub(footer.length.into()).ok_or_else(|| IndexFault::Short.at(0))?;
        if footer.frames_len > start {
            return Err(IndexFault::Limit("the length of the frames").at(0));
        }
        let range = footer.directory_range();
        let length = (range.end - range.start) as usize;
        let directory = match before.len().checked_sub(length).and_then(|from| before.get(from..)) {
            Some(directory) => directory.to_vec(),
            None => read(start + range.start, length)?,
        };
        check(&directory, length, footer.directory, range.start)?;
        let blocks = decode_directory(&directory, &footer)?;
        Ok(Some(Self { start, footer, blocks }))
    }

    /// Where it begins in the segment.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Its length.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.footer.length
    }

    /// Number of frames that it knows.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.footer.frames
    }

    /// Length of these frames; what follows them is the seal.
    #[must_use]
    pub const fn frames_len(&self) -> u64 {
        self.footer.frames_len
    }

    /// Earliest and latest time of these frames.
    #[must_use]
    pub const fn times(&self) -> (i64, i64) {
        self.footer.times
    }

    /// The frames that may hold a key.
    ///
    /// # Errors
    /// When they can't be read or are damaged.
    pub fn frames_with(&self, read: &ReadAt<'_>, key: u32) -> Result<Runs, IndexError> {
        let behind = self.blocks.partition_point(|block| block.first <= key);
        let Some(block) = behind.checked_sub(1).and_then(|at| self.blocks.get(at)) else {
            return Ok(Runs::default());
        };
        let bytes = read(self.start + block.offset, block.length as usize)?;
        check(&bytes, block.length as usize, block.digest, block.offset)?;
        let mut numbers = Numbers { rest: &bytes, end: block.offset + u64::from(block.length) };
        let mut at = u64::from(block.first);
        while !numbers.rest.is_empty() {
            at = at.saturating_add(numbers.next()?);
            let runs = Runs::decode(&mut numbers, self.footer.frames)?;
            match at.cmp(&u64::from(key)) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(runs),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(Runs::default())
    }

    /// The frames that every query has to look at, because the keys don't say what is in them.
    ///
    /// # Errors
    /// As [`frames_with`](Self::frames_with).
    pub fn frames_without_keys(&self, read: &ReadAt<'_>) -> Result<Runs, IndexError> {
        self.frames_with(read, EVERY_QUERY)
    }

    /// Where each frame is.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    pub fn frame_table(&self, read: &ReadAt<'_>) -> Result<FrameTable, IndexError> {
        let length = self.footer.table_len;
        let bytes = read(self.start, length as usize)?;
        check(&bytes, length as usize, self.footer.table, 0)?;
        let mut numbers = Numbers { rest: &bytes, end: length.into() };
        let mut places = Vec::with_capacity(self.footer.frames as usize);
        let (mut offset, mut events_before, mut last) = (0_u64, 0_u64, 0);
        for _ in 0..self.footer.frames {
            let payload_len = numbers.next_u32("the length of a payload")?;
            let count = numbers.next_u32("the number of events")?;
            let t_first = numbers.next_step(last)?;
            let t_last = numbers.next_step(t_first)?;
            places.push(FramePlace { offset, events_before, count, payload_len, t_first, t_last });
            offset += FRAME_HEADER as u64 + u64::from(payload_len);
            events_before += u64::from(count);
            last = t_last;
        }
        if !numbers.rest.is_empty() || offset != self.footer.frames_len {
            return Err(IndexFault::Junk.at(numbers.offset()));
        }
        Ok(FrameTable(places))
    }
}

impl FrameTable {
    /// The frame at a place, the first is 0.
    #[must_use]
    pub fn get(&self, frame: u32) -> Option<&FramePlace> {
        self.0.get(frame as usize)
    }

    /// The frames for which `wanted` holds.
    #[must_use]
    pub fn frames(&self, wanted: impl Fn(&FramePlace) -> bool) -> Runs {
        (0..).zip(&self.0).filter(|(_, place)| wanted(place)).map(|(frame, _)| frame).collect()
    }

    /// The frame with the event that `before` others of the segment come before.
    #[must_use]
    pub fn frame_of_event(&self, before: u64) -> Option<u32> {
        let behind = self.0.partition_point(|place| place.events_before <= before);
        // Frames without events have the same number as the one behind them; the last such one has the event.
        let (frame, place) = behind.checked_sub(1).and_then(|at| Some((at, self.0.get(at)?)))?;
        let is_in = before - place.events_before < u64::from(place.count);
        is_in.then(|| u32::try_from(frame).ok()).flatten()
    }
}

impl Footer {
    fn decode(bytes: &[u8; FOOTER]) -> Result<Self, IndexError> {
        let (covered, own) = bytes.split_last_chunk::<8>().ok_or_else(|| IndexFault::Short.at(0))?;
        if digest(covered) != *own {
            return Err(IndexFault::Digest.at(0));
        }
        let mut rest = covered.get(MAGIC.len()..).unwrap_or_default();
        let footer = Self {
            length: u32::from_le_bytes(take(&mut rest)?),
            frames: u32::from_le_bytes(take(&mut rest)?),
            table_len: u32::from_le_bytes(take(&mut rest)?),
            blocks: u32::from_le_bytes(take(&mut rest)?),
            frames_len: {
                if u32::from_le_bytes(take(&mut rest)?) != 0 {
                    return Err(IndexFault::Reserved.at(0));
                }
                u64::from_le_bytes(take(&mut rest)?)
            },
            times: (i64::from_le_bytes(take(&mut rest)?), i64::from_le_bytes(take(&mut rest)?)),
            table: take(&mut rest)?,
            directory: take(&mut rest)?,
        };
        footer.check()?;
        Ok(footer)
    }

    fn check(&self) -> Result<(), IndexError> {
        let rows = u64::from(self.blocks) * ROW as u64;
        let least = u64::from(self.table_len) + rows + FOOTER as u64;
        if self.length > MAX_INDEX || least > u64::from(self.length) {
            return Err(IndexFault::Limit("the length of the index").at(0));
        }
        // So the frame table can't need more memory than the segment has bytes.
        if u64::from(self.frames) * FRAME_HEADER as u64 > self.frames_len {
            return Err(IndexFault::Limit("the number of frames").at(0));
        }
        Ok(())
    }

    /// Where in the index the directory is.
    fn directory_range(&self) -> Range<u64> {
        let end = u64::from(self.length).saturating_sub(FOOTER as u64);
        end.saturating_sub(u64::from(self.blocks) * ROW as u64)..end
    }
}

fn decode_directory(bytes: &[u8], footer: &Footer) -> Result<Vec<Block>, IndexError> {
    let directory = footer.directory_range();
    let mut blocks: Vec<Block> = Vec::with_capacity(bytes.len() / ROW);
    let mut offset = u64::from(footer.table_len);
    for (row, at) in bytes.chunks_exact(ROW).zip((directory.start..).step_by(ROW)) {
        let mut rest = row;
        let first = u32::from_le_bytes(take(&mut rest)?);
        let length = u32::from_le_bytes(take(&mut rest)?);
        let block = Block { first, offset, length, digest: take(&mut rest)? };
        if blocks.last().is_some_and(|last| last.first >= first) {
            return Err(IndexFault::Order.at(at));
        }
        offset += u64::from(length);
        if offset > directory.start {
            return Err(IndexFault::Limit("the length of a block").at(at));
        }
        blocks.push(block);
    }
    if offset == directory.start { Ok(blocks) } else { Err(IndexFault::Junk.at(offset)) }
}

/// Checks length and digest of a part of the index.
fn check(bytes: &[u8], length: usize, expected: Digest, offset: u64) -> Result<(), IndexError> {
    if bytes.len() != length {
        return Err(IndexFault::Short.at(offset));
    }
    if digest(bytes) == expected { Ok(()) } else { Err(IndexFault::Digest.at(offset)) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], IndexError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| IndexFault::Short.at(0))?;
    *rest = tail;
    Ok(*head)
}
