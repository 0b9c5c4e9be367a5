//! Headers that lie about lengths: each length field, by somebody who can only mend the checksum. (Those who sign their
//! lies are in `lie.rs`.)

use recorder::chain::sha256;
use recorder::store::format::{FRAME_HEADER, SegmentHeader};
use recorder::verify::finding::Kind;

use crate::scratch::{edit, frames};
use crate::victim::{Case, header_of, last_frame, mend, span};
use crate::{At, Row, Spot, always, caught, late, row, unseen};

/// Changes a segment header and mends its checksum.
fn mend_segment(case: &Case, change: impl FnOnce(&mut SegmentHeader)) -> Spot {
    let path = case.rotated();
    let mut header = header_of(path);
    let length = header.encoded_len();
    change(&mut header);
    edit(path, |bytes| drop(bytes.splice(..length, header.encode())));
    case.at_segment(path)
}

/// Changes four bytes of a seal and mends digest and checksum.
fn mend_seal(case: &Case, offset: usize) -> Spot {
    let path = case.rotated();
    let last = last_frame(path);
    let spot = case.at_frame(path, last);
    let payload = span(path, last).start + FRAME_HEADER;
    let mut digest = [0; 32];
    edit(path, |bytes| {
        bytes[payload + offset] ^= 3;
        digest = sha256(&bytes[payload..]);
    });
    mend_at(path, last, digest);
    spot
}

fn mend_at(path: &std::path::Path, index: usize, digest: [u8; 32]) {
    mend(path, index, |header| header.payload_sha256 = digest);
}

fn mended(case: &Case, change: impl FnOnce(&mut recorder::store::format::FrameHeader)) -> Spot {
    let spot = case.at_frame(case.rotated(), 1);
    mend(case.rotated(), 1, change);
    spot
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row(
            "raw length one more",
            |case| mended(case, |header| header.raw_len += 1),
            always(caught(Kind::FrameSignature, At::Frame)),
        ),
        row(
            "raw length beyond its limit",
            |case| mended(case, |header| header.raw_len = u32::MAX),
            always(caught(Kind::FrameHeader, At::Frame)),
        ),
        row(
            "count one more",
            |case| mended(case, |header| header.count += 1),
            always(caught(Kind::FrameSignature, At::Frame)),
        ),
        row(
            "payload length one less",
            |case| mended(case, |header| header.payload_len -= 1),
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "payload length zero",
            |case| mended(case, |header| header.payload_len = 0),
            always(caught(Kind::FrameHeader, At::Frame)),
        ),
        row(
            "payload length so that the next frame is in it",
            |case| {
                let next = frames(case.rotated())[2].1.frame_len();
                mended(case, |header| header.payload_len += u32::try_from(next).unwrap())
            },
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "payload length beyond the end of an ended segment",
            |case| {
                mended(case, |header| header.payload_len = 1 << 20);
                case.at_segment(case.rotated())
            },
            always(caught(Kind::SegmentChanged, At::Segment)),
        ),
        row(
            "payload length beyond the end of a start's last segment: late as good as a cut",
            |case| {
                mend(case.last(), 1, |header| header.payload_len = 1 << 20);
                case.at_segment(case.last())
            },
            late(
                caught(Kind::SegmentChanged, At::Segment),
                unseen(Some(Kind::TornTail)),
                caught(Kind::RolledBack, At::Log),
            ),
        ),
    ];
    rows.extend(segments());
    for (field, offset) in [("whole", 4), ("checkpoint", 16), ("index", 20)] {
        rows.push(row(
            format!("length in a seal: {field}"),
            move |case| mend_seal(case, offset),
            always(caught(Kind::FrameSignature, At::Frame)),
        ));
    }
    rows
}

fn segments() -> Vec<Row> {
    vec![
        row(
            "stated length of the segment before",
            |case| mend_segment(case, |header| header.previous.as_mut().unwrap().length += 1),
            always(caught(Kind::SegmentSignature, At::Segment)),
        ),
        row(
            "stated valid length of the segment before",
            |case| mend_segment(case, |header| header.previous.as_mut().unwrap().valid_length -= 1),
            always(caught(Kind::SegmentSignature, At::Segment)),
        ),
        row(
            "stated valid length of the segment before beyond its length",
            |case| mend_segment(case, |header| header.previous.as_mut().unwrap().valid_length += 1),
            always(caught(Kind::SegmentHeader, At::Segment)),
        ),
    ]
}
