//! What the store alone tells about itself, without reading events: for `recorder status`.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::removed;
use super::scan::open_store;
use crate::store::directory::SegmentFile;
use crate::store::format::FrameHeader;
use crate::store::reader::SegmentReader;

/// Size and ends of a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreSummary {
    /// Segments that are there.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Events in them.
    pub events: u64,
    /// Frames in them.
    pub frames: u64,
    /// Bytes on disk for each event; null without events.
    pub bytes_per_event: Option<f64>,
    /// When the oldest segment was begun.
    pub oldest: Option<String>,
    /// Time of the newest event.
    pub newest: Option<String>,
    /// Boot id of the newest segment.
    pub boot: Option<String>,
    /// Whether the newest segment was ended in order: false while recording and after a crash.
    pub ended: bool,
    /// Segments that retention removed.
    pub removed_segments: u64,
    /// Events in them.
    pub removed_events: u64,
    /// When the newest of those segments ended.
    pub removed_until: Option<String>,
    /// What could not be read.
    pub problems: Vec<String>,
}

impl StoreSummary {
    /// Looks at the first and the last segment.
    ///
    /// # Errors
    /// When the store can't be read, or is none. Damage of a segment becomes one of the `problems`.
    pub fn of(store: &Path) -> Result<Self> {
        let directory = open_store(store)?;
        let segments = directory.segments();
        let mut summary = Self { segments: segments.len() as u64, ..Self::default() };
        for segment in segments {
            summary.bytes += std::fs::metadata(&segment.path).map_or(0, |meta| meta.len());
        }
        let removed = removed::ranges(&directory);
        summary.removed_segments = removed.iter().map(|range| range.segments).sum();
        summary.removed_events =
            removed.iter().map(|range| range.next_seq.saturating_sub(range.first_seq)).sum();
        summary.removed_until = removed.iter().map(|range| range.until).max().and_then(time_text);
        let first = segments.iter().find_map(|segment| summary.open(segment));
        let Some(first) = first else { return Ok(summary) };
        let (first_seq, first_frame) = (first.header().first_seq, first.header().first_frame);
        summary.oldest = time_text(first.header().created);
        let (mut next_seq, mut next_frame) = (first_seq, first_frame);
        for segment in segments.iter().rev() {
            let Some(reader) = summary.open(segment) else { continue };
            let header = reader.header().clone();
            summary.boot.get_or_insert_with(|| boot_text(&header.boot_id));
            if let Some(last) = summary.last_frame(reader) {
                (next_seq, next_frame) = (last.next_seq(), last.frame_no.saturating_add(1));
                summary.newest = time_text(last.t_last);
                summary.ended = last.is_seal();
                break;
            }
        }
        summary.events = next_seq.saturating_sub(first_seq);
        summary.frames = next_frame.saturating_sub(first_frame);
        // A hold leaves holes behind it.
        for hole in removed.iter().filter(|range| range.first_frame >= first_frame) {
            summary.events = summary.events.saturating_sub(hole.next_seq.saturating_sub(hole.first_seq));
            summary.frames = summary.frames.saturating_sub(hole.next_frame.saturating_sub(hole.first_frame));
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = |bytes: u64, events: u64| bytes as f64 / events as f64;
        summary.bytes_per_event = (summary.events > 0).then(|| ratio(summary.bytes, summary.events));
        Ok(summary)
    }

    fn open(&mut self, segment: &SegmentFile) -> Option<SegmentReader> {
        SegmentReader::open(&segment.path).unwrap_or_else(|error| {
            self.problems.push(error.to_string());
            None
        })
    }

    fn last_frame(&mut self, mut reader: SegmentReader) -> Option<FrameHeader> {
        let mut last = None;
        loop {
            match reader.next_header() {
                Ok(Some(frame)) => last = Some(frame.header),
                Ok(None) => return last,
                Err(error) => {
                    self.problems.push(error.to_string());
                    return last;
                }
            }
        }
    }
}

fn time_text(ns: i64) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(ns)).ok().map(|time| time.to_string())
}

/// A boot id as the kernel writes it.
fn boot_text(id: &[u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}
