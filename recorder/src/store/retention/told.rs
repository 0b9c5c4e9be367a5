//! What the log itself tells of removed segments: its `tombstone` events, read back.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Hold;
use crate::chain::Hash;
use crate::event::clock;
use crate::store::StoreError;
use crate::store::directory::Directory;
use crate::store::format::{FrameKind, parse_segment_name};
use crate::store::frames::{Frame, Frames, Payloads, Step};
use crate::store::reader::SegmentReader;
use crate::store::tombstone::digest_over;

/// One `tombstone` event. Keys of newer writers are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// Number of the event.
    pub seq: u64,
    /// File name of the removed segment.
    pub segment: String,
    /// Time after its last event, RFC 3339.
    pub to: String,
    /// Time that the decision was made at, RFC 3339.
    pub decided: String,
    /// `age` or `size`.
    pub reason: String,
    /// Seconds that a segment was to be kept, when there was a limit.
    pub keep_age: Option<u64>,
    /// Bytes that all segments together were to have at most, when there was a limit.
    pub keep_size: Option<u64>,
    /// Ranges that were held.
    pub hold: Vec<Hold>,
    /// Number of all tombstones, these included.
    pub tombstones: u64,
    /// Hexadecimal digest over all of them, these included.
    pub tombstones_sha256: String,
}

impl Told {
    /// When the decision was made, and the time after the last event, ns since 1970.
    #[must_use]
    pub fn times(&self) -> Option<(i64, i64)> {
        Some((clock::parse(&self.decided)?, clock::parse(&self.to)?))
    }
}

/// The events of a frame of kind TOMB, whose payload was read; an error when they are not tombstone events.
///
/// # Errors
/// A plain sentence that says what is wrong.
pub(crate) fn of_frame(frame: &Frame) -> Result<Vec<Told>, String> {
    #[derive(Deserialize)]
    struct Line {
        kind: String,
        #[serde(flatten)]
        told: Told,
    }
    let mut lines = Vec::new();
    frame.decompress(&mut lines).map_err(|what| what.to_string())?;
    let lines = lines.strip_suffix(b"\n").unwrap_or(&lines).split(|byte| *byte == b'\n');
    let read = |line: &[u8]| match serde_json::from_slice::<Line>(line) {
        Ok(line) if line.kind == "tombstone" => Ok(line.told),
        Ok(line) => Err(format!("it has an event of kind {:?} in it", line.kind)),
        Err(error) => Err(format!("it has a line in it that is no tombstone event: {error}")),
    };
    lines.map(read).collect()
}

/// Whether these events, of one frame, speak of just the removals that there were: `removed` are the tombstones without
/// their segment, `beside` those with it. A crash leaves such a one that is told already, and so does a removed segment
/// that is put back from a copy.
#[must_use]
pub fn speak_of(told: &[Told], removed: &Digests, beside: &Digests) -> bool {
    let with = |is_in: &dyn Fn(&(u64, u16)) -> bool| {
        let mut all = removed.clone();
        all.extend(beside.iter().filter(|(place, _)| is_in(place)).map(|(place, digest)| (*place, *digest)));
        are_these(told, all.len() as u64, &digest_over(all.values()))
    };
    with(&|place| names(told, *place)) || with(&|_| true)
}

/// Digests of tombstones by first frame and attempt.
pub type Digests = BTreeMap<(u64, u16), Hash>;

/// Whether one of these events is about that segment.
fn names(told: &[Told], place: (u64, u16)) -> bool {
    told.iter().any(|told| parse_segment_name(&told.segment) == Some(place))
}

/// Whether these events, of one frame, say that there are `count` tombstones with this digest.
fn are_these(told: &[Told], count: u64, digest: &Hash) -> bool {
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    !told.is_empty() && told.iter().all(|told| told.tombstones == count && told.tombstones_sha256 == digest)
}

/// The newest frame that tells of removed segments, as it is there; nothing in it is checked but its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Index of its segment in the directory.
    pub place: usize,
    /// Its events.
    pub told: Vec<Told>,
}

/// Looks for that frame, from the end of the log backwards.
///
/// # Errors
/// When a segment can't be read.
pub fn newest(directory: &Directory) -> Result<Option<Newest>, StoreError> {
    for (place, segment) in directory.segments().iter().enumerate().rev() {
        let offset = match SegmentReader::open(&segment.path) {
            Ok(Some(reader)) => reader.offset(),
            Ok(None) | Err(StoreError::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        let mut frames = Frames::open(&segment.path)?;
        frames.seek(offset);
        let mut found = None;
        loop {
            match frames.step(Payloads::Tombs)? {
                Step::Frame(frame) => {
                    frames.seek(frame.offset + frame.header.frame_len());
                    if frame.header.kind == FrameKind::Tomb {
                        found = of_frame(&frame).ok().or(found);
                    }
                }
                Step::Damaged(_) if frames.skip_damage()? => {}
                Step::Damaged(_) | Step::End | Step::Torn(_) => break,
            }
        }
        if let Some(told) = found {
            return Ok(Some(Newest { place, told }));
        }
    }
    Ok(None)
}
