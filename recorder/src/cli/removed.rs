//! What retention removed, as the tombstones in the store tell it to readers. Whether it was in order, `verify` tells.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;

use super::scan::open_store;
use crate::store::directory::{Directory, SegmentFile};
use crate::store::format::SegmentHeader;
use crate::store::reader::SegmentReader;
use crate::store::tombstone::Tombstone;

/// Segments behind one another that were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Number of segments.
    pub segments: u64,
    /// First event.
    pub first_seq: u64,
    /// The event behind the last one.
    pub next_seq: u64,
    /// First frame.
    pub first_frame: u64,
    /// The frame behind the last one.
    pub next_frame: u64,
    /// When the first segment was begun, ns since 1970.
    pub from: i64,
    /// When the last one ended.
    pub until: i64,
}

/// All that was removed, in the order of the log. Tombstones that can't be read are left out.
#[must_use]
pub fn ranges(directory: &Directory) -> Vec<Range> {
    let mut files: Vec<(&SegmentFile, bool)> = directory.removed().map(|file| (file, true)).collect();
    if files.is_empty() {
        return Vec::new();
    }
    files.extend(directory.segments().iter().map(|file| (file, false)));
    files.sort_by_key(|(file, _)| (file.first_frame, file.attempt));
    let mut ranges: Vec<Range> = Vec::new();
    let mut goes_on = false;
    for (index, (file, is_removed)) in files.iter().enumerate() {
        let tombstone = is_removed.then(|| Tombstone::read(file).ok()).flatten();
        let Some((tombstone, _)) = tombstone else {
            goes_on = false;
            continue;
        };
        let range = range_of(&tombstone, || {
            files.get(index + 1).and_then(|(next, removed)| header_of(next, *removed))
        });
        match ranges.last_mut().filter(|_| goes_on) {
            Some(last) => {
                let (segments, until) = (last.segments + 1, last.until.max(range.until));
                *last = Range {
                    segments,
                    until,
                    next_seq: range.next_seq,
                    next_frame: range.next_frame,
                    ..*last
                };
            }
            None => ranges.push(range),
        }
        goes_on = true;
    }
    ranges
}

/// The range of one segment; without a seal the next header tells where it ends.
fn range_of(tombstone: &Tombstone, next: impl FnOnce() -> Option<SegmentHeader>) -> Range {
    let header = &tombstone.header;
    let end = match tombstone.seal {
        Some(seal) => (seal.next_seq(), seal.frame_no.saturating_add(1), seal.t_last),
        None => next().map_or((header.first_seq, header.first_frame, header.created), |next| {
            (next.first_seq, next.first_frame, next.created)
        }),
    };
    Range {
        segments: 1,
        first_seq: header.first_seq,
        next_seq: end.0,
        first_frame: header.first_frame,
        next_frame: end.1,
        from: header.created,
        until: end.2,
    }
}

fn header_of(file: &SegmentFile, is_removed: bool) -> Option<SegmentHeader> {
    if is_removed {
        return Tombstone::read(file).ok().map(|(tombstone, _)| tombstone.header);
    }
    SegmentReader::open(&file.path).ok().flatten().map(|reader| reader.header().clone())
}

/// Says on stderr that the store has no such event, and why when it had one.
///
/// # Errors
/// When the store can't be read.
pub fn tell_missing(store: &Path, seq: u64) -> Result<()> {
    let directory = open_store(store)?;
    match ranges(&directory).iter().find(|range| (range.first_seq..range.next_seq).contains(&seq)) {
        Some(range) => {
            eprintln!(
                "recorder: event {seq} was removed under retention, with all events up to {}",
                time_text(range.until)
            );
        }
        None => eprintln!("recorder: the store has no event {seq}"),
    }
    Ok(())
}

/// Says on stderr which events of a range of time were removed.
pub fn tell_in_range(directory: &Directory, is_wanted: impl Fn(i64, i64) -> bool) {
    for range in ranges(directory).iter().filter(|range| is_wanted(range.from, range.until)) {
        eprintln!(
            "recorder: events from {} to {} were removed under retention",
            time_text(range.from),
            time_text(range.until)
        );
    }
}

/// Wall time for people, UTC.
pub fn time_text(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| format!("@{ns} ns"), |time| format!("{time:.0}"))
}
