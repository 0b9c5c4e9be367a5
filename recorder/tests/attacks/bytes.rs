//! Single bytes: each field of a segment header and of a frame header, payloads, the key.

use recorder::verify::finding::Kind;

use crate::victim::{flip, header_of, last_frame, span};
use crate::{At, Row, Spot, always, caught, late, row, unseen};

/// Fields of a segment header by their offset.
const SEGMENT: [(&str, usize); 16] = [
    ("skippable magic", 0),
    ("length", 4),
    ("magic", 9),
    ("version", 12),
    ("algorithm", 13),
    ("flags", 14),
    ("epoch", 16),
    ("segment number", 20),
    ("first frame", 24),
    ("time", 40),
    ("boot id", 48),
    ("tree size", 128),
    ("digest of the segment before", 160),
    ("next key", 224),
    ("reserved bytes", 270),
    ("frontier", 320),
];

/// Fields of a frame header.
const FRAME: [(&str, usize); 18] = [
    ("skippable magic", 0),
    ("length", 4),
    ("magic", 9),
    ("version", 12),
    ("kind", 13),
    ("flags", 14),
    ("epoch", 16),
    ("frame number", 20),
    ("first event", 28),
    ("count", 36),
    ("raw length", 40),
    ("payload length", 44),
    ("last time", 56),
    ("lost", 64),
    ("previous link", 72),
    ("inner root", 104),
    ("payload digest", 136),
    ("checksum", 264),
];

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (field, offset) in SEGMENT {
        rows.push(segment(field, move |_| offset));
    }
    rows.push(segment("signature", |length| length - 20));
    rows.push(segment("checksum", |length| length - 2));
    for (field, offset) in FRAME {
        rows.push(row(
            format!("flip a bit in a frame header: {field}"),
            move |case| case.flip_in_frame(case.rotated(), 1, offset),
            always(caught(Kind::FrameHeader, At::Frame)),
        ));
    }
    rows.extend(payloads());
    rows.extend(key());
    rows
}

fn segment(field: &str, offset: impl Fn(usize) -> usize + Send + Sync + 'static) -> Row {
    row(
        format!("flip a bit in a segment header: {field}"),
        move |case| {
            let length = header_of(case.rotated()).encoded_len();
            flip(case.rotated(), offset(length));
            case.at_segment(case.rotated())
        },
        always(caught(Kind::SegmentHeader, At::Segment)),
    )
}

fn payloads() -> Vec<Row> {
    vec![
        row(
            "flip a bit in events",
            |case| case.flip_in_frame(case.rotated(), 1, 280),
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "flip a bit in a seal",
            |case| case.flip_in_frame(case.rotated(), last_frame(case.rotated()), 300),
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "flip the last bit of a start's last frame",
            |case| {
                let last = last_frame(case.last());
                let length = span(case.last(), last).len();
                case.flip_in_frame(case.last(), last, length - 1)
            },
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "zeros in place of a block of an ended segment",
            |case| {
                crate::scratch::edit(case.rotated(), |bytes| bytes[1024..1536].fill(0));
                case.at_segment(case.rotated())
            },
            always(caught(Kind::SegmentChanged, At::Segment)),
        ),
        row(
            "zeros in place of a block of a start's last segment: late as good as a cut",
            |case| {
                crate::scratch::edit(case.last(), |bytes| bytes[1024..1536].fill(0));
                case.at_segment(case.last())
            },
            late(
                caught(Kind::SegmentChanged, At::Segment),
                unseen(Some(Kind::TornTail)),
                caught(Kind::RolledBack, At::Log),
            ),
        ),
        row(
            "zeros in place of a few bytes",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                let payload = span(case.rotated(), 1).start + 275;
                crate::scratch::edit(case.rotated(), |bytes| bytes[payload..payload + 40].fill(0));
                spot
            },
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
    ]
}

fn key() -> Vec<Row> {
    vec![
        row(
            "change the public key",
            |case| {
                flip(&case.scratch.store().join("origin.pub"), 3);
                Spot::default()
            },
            always(caught(Kind::OriginReplaced, At::Log)),
        ),
        row(
            "take the public key away",
            |case| {
                std::fs::remove_file(case.scratch.store().join("origin.pub")).unwrap();
                Spot::default()
            },
            always(caught(Kind::OriginMissing, At::Log)),
        ),
        row(
            "put the public key of another host there",
            |case| {
                let other = crate::victim::Victim::other();
                let name = "origin.pub";
                std::fs::copy(other.store().join(name), case.scratch.store().join(name)).unwrap();
                case.at_segment(&case.paths[0])
            },
            always(caught(Kind::ForeignSegment, At::Segment)),
        ),
    ]
}
