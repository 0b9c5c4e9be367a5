//! Removed segments: whether their tombstones are those that the log tells of, and whether they could be removed by then.

use std::collections::BTreeMap;

use super::finding::{Finding, Kind};
use super::report::Removed;
use super::segment::Segment;
use super::walk::name_of;
use crate::store::directory::{Directory, SegmentFile};
use crate::store::format::{SegmentHeader, parse_segment_name};
use crate::store::reader::SegmentReader;
use crate::store::retention::told::{Digests, Newest, Told, speak_of};
use crate::store::tombstone::{Tombstone, digest_of};

type Place = (u64, u16);

const fn place(file: &SegmentFile) -> Place {
    (file.first_frame, file.attempt)
}

/// Compares the tombstones of removed segments with what the newest event about them says of all of them.
pub(super) fn check_tombstones(directory: &Directory, newest: Option<&Newest>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut removed, mut beside) = (Digests::new(), Digests::new());
    for file in directory.tombstones() {
        let is_there = directory.has_segment_of(file);
        if is_there {
            findings.extend(check_beside(directory, file));
        }
        match digest_of(file) {
            Ok(digest) => drop(if is_there { &mut beside } else { &mut removed }.insert(place(file), digest)),
            Err(error) => findings.push(Finding::new(Kind::Unreadable, error.to_string())),
        }
    }
    let told = newest.map_or(&[][..], |newest| &newest.told);
    if (!removed.is_empty() || !told.is_empty()) && !speak_of(told, &removed, &beside) {
        findings.push(Finding::new(Kind::TombstoneWrong, difference(removed.len() as u64, told)));
    }
    findings
}

/// Where there is no tombstone at all, nobody looked for events about them: no walk must have met one.
pub(super) fn check_told(directory: &Directory, segments: &[Segment<'_>]) -> Option<Finding> {
    let told = segments.iter().rev().filter_map(|segment| segment.walk.as_ref()).map(|walk| &walk.told);
    let newest = told.filter(|_| directory.tombstones().is_empty()).find(|told| !told.is_empty())?;
    Some(Finding::new(Kind::TombstoneWrong, difference(0, newest)))
}

/// What is wrong with the set of tombstones.
fn difference(there: u64, told: &[Told]) -> String {
    match told.last().map(|told| told.tombstones) {
        None => {
            format!("{there} segments have only a tombstone, and no event tells that retention removed them")
        }
        Some(count) if count == there => format!(
            "the {there} tombstones are not those that the newest event of retention tells of: some were changed or exchanged"
        ),
        Some(count) => format!(
            "{there} segments have only a tombstone, the newest event of retention tells of {count}: segments were removed, or \
             tombstones, by somebody else than the recorder"
        ),
    }
}

/// A tombstone beside its segment is what a crash leaves, whole or in part, as long as it is of that segment.
fn check_beside(directory: &Directory, file: &SegmentFile) -> Option<Finding> {
    let name = name_of(&file.path);
    let segment = directory.segments().iter().find(|segment| place(segment) == place(file))?;
    let Ok((tombstone, _)) = Tombstone::read(file) else {
        let sentence = format!("{name:?} is unfinished: a crash leaves that, and its segment is still there");
        return Some(Finding::new(Kind::UnknownFile, sentence));
    };
    let reader = SegmentReader::open(&segment.path).ok().flatten()?;
    let sentence = "the tombstone is not of the segment that it stands beside";
    (tombstone.header != *reader.header())
        .then(|| Finding::new(Kind::TombstoneWrong, sentence).in_segment(&name))
}

/// When a removed segment ended, by what its neighbours state.
fn ended(segment: &Segment<'_>, next: Option<&SegmentHeader>) -> Option<i64> {
    let header = segment.header.as_ref()?;
    let seal = segment.seal.map_or(i64::MIN, |seal| seal.t_last);
    Some(header.created.max(seal).max(next.map_or(i64::MIN, |next| next.created)))
}

/// The header that was made behind a segment; none when that is missing.
fn next_header<'s>(segments: &'s [Segment<'_>], index: usize) -> Option<&'s SegmentHeader> {
    let number = segments.get(index)?.header.as_ref()?.segment_no;
    let next = segments.get(index + 1)?.header.as_ref()?;
    (number.checked_add(1) == Some(next.segment_no)).then_some(next)
}

/// Checks each removal against the limits that were in force by its own event, and against `keep_age`, a limit from
/// outside (ns).
pub(super) fn check_limits(segments: &mut [Segment<'_>], keep_age: Option<i64>) {
    let told: BTreeMap<Place, Told> = segments
        .iter()
        .filter_map(|segment| segment.walk.as_ref())
        .flat_map(|walk| &walk.told)
        .filter_map(|told| Some((parse_segment_name(&told.segment)?, told.clone())))
        .collect();
    let is_all_walked = segments.iter().all(|segment| segment.walk.is_some());
    let ends: Vec<Option<i64>> = segments
        .iter()
        .enumerate()
        .map(|(index, segment)| ended(segment, next_header(segments, index)).filter(|_| segment.removed))
        .collect();
    // An event that is gone itself was written before the last removed segment ended.
    let latest = ends.iter().flatten().max().copied().filter(|_| is_all_walked);
    for (segment, ended) in segments.iter_mut().zip(ends) {
        let (Some(ended), Some(header)) = (ended, &segment.header) else { continue };
        let begun = header.created;
        let told = told.get(&place(segment.file));
        let decided = match told.map(Told::times) {
            Some(Some((decided, to))) => Some((decided, ended.max(to))),
            Some(None) => {
                segment.find(Kind::TombstoneWrong, "the event about its removal has no times".to_owned());
                continue;
            }
            None => latest.map(|latest| (latest, ended)),
        };
        if let Some(why) =
            told.zip(decided).and_then(|(told, (decided, to))| broken_limit(told, decided, begun, to))
        {
            segment.find(Kind::RemovedTooEarly, why);
        } else if let (Some(keep_age), Some((decided, to))) = (keep_age, decided)
            && decided.saturating_sub(to) < keep_age
        {
            let sentence =
                "the segment was removed although it was younger than it was to be kept".to_owned();
            segment.find(Kind::RemovedTooEarly, sentence);
        }
    }
}

/// Which limit an event broke that was in force by its own words.
fn broken_limit(told: &Told, decided: i64, begun: i64, ended: i64) -> Option<String> {
    let keep_age =
        told.keep_age.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
    let is_allowed = match told.reason.as_str() {
        "age" => keep_age.is_some_and(|keep_age| decided.saturating_sub(ended) >= keep_age),
        "size" => told.keep_size.is_some(),
        _ => false,
    };
    if !is_allowed {
        return Some(format!(
            "the segment was removed for its {} against the limit that its event {} names",
            told.reason, told.seq
        ));
    }
    let held = told.hold.iter().find(|hold| hold.overlaps(begun, ended))?;
    Some(format!(
        "the segment was removed although the hold {held}, which its event {} names, is about it",
        told.seq
    ))
}

/// What was removed, in ranges without a gap.
pub(super) fn ranges(segments: &[Segment<'_>]) -> Vec<Removed> {
    let mut ranges: Vec<Removed> = Vec::new();
    let mut goes_on = false;
    for (index, segment) in segments.iter().enumerate() {
        let next = next_header(segments, index);
        let (Some(header), Some(next), true) = (&segment.header, next, segment.removed) else {
            goes_on = false;
            continue;
        };
        let until = ended(segment, Some(next)).unwrap_or(header.created);
        let (frames, events) = ((header.first_frame, next.first_frame), (header.first_seq, next.first_seq));
        match ranges.last_mut().filter(|_| goes_on) {
            Some(range) => {
                range.segments += 1;
                range.until = range.until.max(until);
                (range.next_frame, range.next_event) = (frames.1, events.1);
            }
            None => ranges.push(Removed {
                segments: 1,
                first_frame: frames.0,
                next_frame: frames.1,
                first_event: events.0,
                next_event: events.1,
                from: header.created,
                until,
            }),
        }
        goes_on = true;
    }
    ranges
}
