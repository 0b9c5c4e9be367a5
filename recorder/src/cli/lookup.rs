//! Asks the index of a segment which of its frames may hold a match.

use super::scan::Search;
use crate::store::format::FrameHeader;
use crate::store::index::{FramePlace, FrameTable, Index, IndexError, ReadAt, Runs};
use crate::store::reader::SegmentReader;

/// A frame that may hold a match: its number and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub frame_no: u64,
    /// Offset in the segment.
    pub offset: u64,
    pub place: FramePlace,
}

impl Candidate {
    /// Whether the frame that is there is the one that the index means.
    pub fn is(&self, header: &FrameHeader) -> bool {
        header.frame_no == self.frame_no
            && (header.count, header.payload_len) == (self.place.count, self.place.payload_len)
            && (header.t_first, header.t_last) == (self.place.t_first, self.place.t_last)
    }
}

/// What a search asks every index.
#[derive(Debug)]
pub struct Question<'f> {
    search: &'f dyn Search,
    keys: Vec<Vec<u32>>,
}

impl<'f> Question<'f> {
    pub fn new(search: &'f dyn Search) -> Self {
        Self { search, keys: search.keys() }
    }

    /// The frames of a segment that may hold a match, in log order; `None` when it has no index.
    ///
    /// # Errors
    /// When the index can't be read or is damaged: then only reading every frame tells.
    pub fn candidates(&self, reader: &SegmentReader) -> Result<Option<Vec<Candidate>>, IndexError> {
        let Some(index) = reader.index()? else { return Ok(None) };
        let read: &ReadAt<'_> = &|offset, length| reader.read(offset, length);
        if !self.search.may_match_in(index.times()) {
            return Ok(Some(Vec::new()));
        }
        let frames = self.frames(&index, read)?;
        if frames.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let table = index.frame_table(read)?;
        let is_wanted =
            |place: &&FramePlace| place.count > 0 && self.search.may_match_in((place.t_first, place.t_last));
        let wanted = frames.iter().filter_map(|frame| Some((frame, table.get(frame).filter(is_wanted)?)));
        Ok(Some(wanted.map(|(frame, place)| candidate(reader, frame, place)).collect()))
    }

    /// The frames that have a key of each set.
    fn frames(&self, index: &Index, read: &ReadAt<'_>) -> Result<Runs, IndexError> {
        let mut frames = Runs::before(index.frames());
        if self.keys.is_empty() {
            return Ok(frames);
        }
        for keys in &self.keys {
            let mut any = Runs::default();
            for key in keys {
                any = any.or(&index.frames_with(read, *key)?);
            }
            frames = frames.and(&any);
            if frames.is_empty() {
                break;
            }
        }
        Ok(frames.or(&index.frames_without_keys(read)?))
    }
}

/// The frame with an event, by the index of its segment; `None` when there is no index or no such event.
///
/// # Errors
/// As [`Question::candidates`].
pub fn frame_of_event(reader: &SegmentReader, seq: u64) -> Result<Option<Candidate>, IndexError> {
    let Some(index) = reader.index()? else { return Ok(None) };
    let table: FrameTable = index.frame_table(&|offset, length| reader.read(offset, length))?;
    let frame = seq.checked_sub(reader.header().first_seq).and_then(|before| table.frame_of_event(before));
    Ok(frame.and_then(|frame| Some(candidate(reader, frame, table.get(frame)?))))
}

fn candidate(reader: &SegmentReader, frame: u32, place: &FramePlace) -> Candidate {
    let header = reader.header();
    Candidate {
        frame_no: header.first_frame.saturating_add(frame.into()),
        offset: (header.encoded_len() as u64).saturating_add(place.offset),
        place: *place,
    }
}
