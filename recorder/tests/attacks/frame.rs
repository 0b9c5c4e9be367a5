//! Whole frames: taken out, swapped, doubled, put in; cuts; bytes between and behind them.

use std::path::Path;

use recorder::verify::finding::Kind;

use crate::scratch::{edit, frames};
use crate::victim::{Case, HIDDEN, Victim, bytes_of, last_frame, packed, span};
use crate::{At, Expected, Row, Spot, Table, always, by_place, caught, late, row, unseen};

/// Takes frame `index` out of the segment.
fn take_out(case: &Case, path: &Path, index: usize) -> Spot {
    let spot = case.at_frame(path, index);
    edit(path, |bytes| drop(bytes.drain(span(path, index))));
    spot
}

/// Puts bytes in front of frame `index`.
fn insert(path: &Path, index: usize, what: &[u8]) {
    let at = span(path, index).start;
    edit(path, |bytes| drop(bytes.splice(at..at, what.iter().copied())));
}

fn append(case: &Case, what: &[u8]) -> Spot {
    edit(case.last(), |bytes| bytes.extend_from_slice(what));
    case.at_segment(case.last())
}

fn cut(case: &Case, path: &Path, length: usize) -> Spot {
    edit(path, |bytes| bytes.truncate(length));
    case.at_segment(path)
}

const BY_SUCCESSOR: Expected = caught(Kind::SegmentChanged, At::Segment);
const GONE: Expected = caught(Kind::RolledBack, At::Log);

/// Early and in the middle the next segment tells, late only an anchor.
const fn cut_of(warning: Kind) -> Table {
    late(BY_SUCCESSOR, unseen(Some(warning)), GONE)
}

/// Behind the STOP of the early start, behind the kill of the one in the middle, behind the end of the log.
const fn behind(killed: Expected, at_work: Expected) -> Table {
    by_place([caught(Kind::BytesAfterEnd, At::Segment), killed, at_work])
}

pub fn rows() -> Vec<Row> {
    let mut rows = moves();
    rows.extend(strangers());
    rows.extend(cuts());
    rows.extend(junk());
    rows
}

fn moves() -> Vec<Row> {
    vec![
        row(
            "take a frame out",
            |case| take_out(case, case.rotated(), 1),
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "take the first frame of a segment out",
            |case| take_out(case, case.rotated(), 0),
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "take the first frame of a start out",
            |case| take_out(case, case.start(), 0),
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "take two frames out",
            |case| {
                let number = frames(case.rotated())[1].1.frame_no;
                take_out(case, case.rotated(), 1);
                let spot = take_out(case, case.rotated(), 1);
                Spot { frames: Some((number, number + 1)), ..spot }
            },
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "swap two frames",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                let (first, second) = (span(case.rotated(), 1), span(case.rotated(), 2));
                edit(case.rotated(), |bytes| bytes[first.start..second.end].rotate_left(first.len()));
                spot
            },
            always(caught(Kind::FrameRepeated, At::Frame)),
        ),
        row(
            "double a frame",
            |case| {
                insert(case.rotated(), 2, &bytes_of(case.rotated(), 1));
                case.at_frame(case.rotated(), 1)
            },
            always(caught(Kind::FrameRepeated, At::Frame)),
        ),
        row(
            "double the last frame of a start",
            |case| {
                let last = last_frame(case.last());
                let spot = case.at_frame(case.last(), last);
                append(case, &bytes_of(case.last(), last));
                spot
            },
            by_place([
                caught(Kind::BytesAfterEnd, At::Frame),
                caught(Kind::FrameRepeated, At::Frame),
                caught(Kind::FrameRepeated, At::Frame),
            ]),
        ),
    ]
}

/// Puts a frame of `from` in front of frame 2 of the segment.
fn graft(case: &Case, from: &Path, index: usize) -> Spot {
    let spot = case.at_frame(from, index);
    insert(case.rotated(), 2, &bytes_of(from, index));
    Spot { segment: case.at_segment(case.rotated()).segment, ..spot }
}

fn strangers() -> Vec<Row> {
    vec![
        row(
            "put in a frame of an earlier segment",
            |case| graft(case, case.start(), 1),
            always(caught(Kind::FrameRepeated, At::Frame)),
        ),
        row(
            "put in a frame of a later segment",
            |case| {
                let next = frames(case.rotated())[2].1.frame_no;
                let spot = graft(case, case.last(), 1);
                let end = spot.frames.unwrap().0 - 1;
                Spot { frames: Some((next, end)), ..spot }
            },
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "put a frame of another host in the place of one",
            |case| {
                let other = Victim::other();
                let theirs = other.store().join(case.rotated().file_name().unwrap());
                let spot = case.at_frame(case.rotated(), 1);
                let place = span(case.rotated(), 1);
                edit(case.rotated(), |bytes| drop(bytes.splice(place, bytes_of(&theirs, 1))));
                spot
            },
            always(caught(Kind::FrameSignature, At::Frame)),
        ),
        row(
            "move a frame to the segment before",
            |case| {
                let moved = bytes_of(case.rotated(), 0);
                let spot = case.at_frame(case.rotated(), 0);
                edit(case.start(), |bytes| bytes.extend_from_slice(&moved));
                take_out(case, case.rotated(), 0);
                Spot { segment: case.at_segment(case.start()).segment, ..spot }
            },
            always(caught(Kind::BytesAfterEnd, At::Frame)),
        ),
    ]
}

fn cuts() -> Vec<Row> {
    vec![
        row(
            "cut an ended segment inside a frame header",
            |case| cut(case, case.rotated(), span(case.rotated(), 1).start + 100),
            always(BY_SUCCESSOR),
        ),
        row(
            "cut an ended segment inside events",
            |case| cut(case, case.rotated(), span(case.rotated(), 1).end - 1),
            always(caught(Kind::SegmentCut, At::Segment)),
        ),
        row(
            "cut an ended segment at a frame border",
            |case| cut(case, case.rotated(), span(case.rotated(), 1).start),
            always(caught(Kind::SegmentCut, At::Segment)),
        ),
        row(
            "strip the seal off a segment",
            |case| cut(case, case.rotated(), span(case.rotated(), last_frame(case.rotated())).start),
            always(caught(Kind::SegmentCut, At::Segment)),
        ),
        row(
            "cut the end of a start inside a frame header",
            |case| cut(case, case.last(), span(case.last(), 1).start + 100),
            cut_of(Kind::TornTail),
        ),
        row(
            "cut the end of a start inside events",
            |case| cut(case, case.last(), span(case.last(), 1).end - 1),
            cut_of(Kind::TornTail),
        ),
        row(
            "cut the end of a start at a frame border",
            |case| cut(case, case.last(), span(case.last(), 1).start),
            cut_of(Kind::NoEnd),
        ),
        row(
            "cut the last frame of a start off (early its STOP)",
            |case| cut(case, case.last(), span(case.last(), last_frame(case.last())).start),
            cut_of(Kind::NoEnd),
        ),
        row(
            "cut the end of a start behind the segment header",
            |case| cut(case, case.last(), span(case.last(), 0).start),
            cut_of(Kind::NoEnd),
        ),
        row(
            "cut the end of a start inside the segment header",
            |case| cut(case, case.last(), 200),
            cut_of(Kind::TornTail),
        ),
    ]
}

fn junk() -> Vec<Row> {
    let changed = BY_SUCCESSOR;
    let torn = unseen(Some(Kind::TornTail));
    let uncovered = caught(Kind::UncoveredBytes, At::Segment);
    vec![
        row("zeros behind the last frame", |case| append(case, &[0; 700]), behind(changed, torn)),
        row(
            "more zeros than a torn tail has",
            |case| append(case, &vec![0; 17 << 20]),
            behind(uncovered, uncovered),
        ),
        row("junk behind the last frame", |case| append(case, b"junk"), behind(uncovered, uncovered)),
        row(
            "a hidden skippable frame behind the last frame",
            |case| append(case, HIDDEN),
            behind(uncovered, uncovered),
        ),
        row(
            "plain zstd behind the last frame",
            |case| append(case, &packed(b"{}\n")),
            behind(uncovered, uncovered),
        ),
        row(
            "a hidden skippable frame between frames",
            |case| {
                insert(case.rotated(), 1, HIDDEN);
                case.at_segment(case.rotated())
            },
            always(uncovered),
        ),
        row(
            "a hidden skippable frame in front of everything",
            |case| {
                edit(case.rotated(), |bytes| drop(bytes.splice(..0, HIDDEN.iter().copied())));
                case.at_segment(case.rotated())
            },
            always(caught(Kind::SegmentHeader, At::Segment)),
        ),
    ]
}
