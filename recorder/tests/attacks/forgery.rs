//! Signing again with the keys of today: the origin key and new one-time keys. Those that signed what is there are gone, so
//! the place of the change shows.

use std::path::Path;

use recorder::store::format::segment_flag;
use recorder::verify::finding::Kind;

use crate::scratch::edit;
use crate::scratch::forge::Forgery;
use crate::victim::{Case, Victim, header_of, last_frame, mend};
use crate::{At, Row, always, by_place, caught, row};

/// Changes a segment and signs it with new keys from frame `from` on; with the origin key from its header on.
fn forge(case: &Case, path: &Path, from: Option<usize>, change: impl FnOnce(&mut Forgery)) {
    let mut forgery = Forgery::of(path);
    change(&mut forgery);
    forgery.write(path, &case.scratch.key(), from, true);
}

/// Changes the header of a start and signs it with the origin key; the frames stay as they are.
fn sign_start(case: &Case, path: &Path, change: impl FnOnce(&mut recorder::store::format::SegmentHeader)) {
    let mut header = header_of(path);
    let length = header.encoded_len();
    change(&mut header);
    let key = case.scratch.key();
    header.signature = key.sign(recorder::chain::key::Domain::Segment, &header.signed());
    edit(path, |bytes| drop(bytes.splice(..length, header.encode())));
}

pub fn rows() -> Vec<Row> {
    let mut rows = frames();
    rows.extend(headers());
    rows
}

fn frames() -> Vec<Row> {
    let signature = always(caught(Kind::FrameSignature, At::Frame));
    vec![
        row(
            "change a frame and sign it and all behind it with new keys",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                forge(case, case.rotated(), Some(1), |forgery| forgery.frames[1].0.t_last += 1);
                spot
            },
            signature,
        ),
        row(
            "change events and sign them and all behind them with new keys",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                forge(case, case.rotated(), Some(1), |forgery| forgery.set_lines(1, b"{}\n{}\n{}\n"));
                spot
            },
            signature,
        ),
        row(
            "change the last frame of a start and sign it with a new key",
            |case| {
                let last = last_frame(case.last());
                let spot = case.at_frame(case.last(), last);
                forge(case, case.last(), Some(last), |forgery| forgery.frames[last].0.t_last += 1);
                spot
            },
            signature,
        ),
        row(
            "cut a start's last segment and go on with new keys",
            |case| {
                let spot = case.at_frame(case.last(), 2);
                forge(case, case.last(), Some(2), |forgery| {
                    forgery.frames.truncate(3);
                    forgery.frames[2].0.t_last += 1;
                });
                spot
            },
            signature,
        ),
        row(
            "put in a frame signed with a new key",
            |case| {
                let spot = case.at_frame(case.rotated(), 2);
                forge(case, case.rotated(), Some(2), |forgery| {
                    let mut made = forgery.frames[1].clone();
                    made.0.frame_no += 1;
                    made.0.first_seq = made.0.next_seq();
                    forgery.frames.insert(2, made);
                });
                spot
            },
            signature,
        ),
        row(
            "announce another key than the frame did",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                mend(case.rotated(), 1, |header| header.next_pk[0] ^= 1);
                spot
            },
            signature,
        ),
        row(
            "make a rotated segment anew with the origin key",
            |case| {
                forge(case, case.rotated(), None, |forgery| forgery.header.created += 1);
                case.at_segment(case.rotated())
            },
            always(caught(Kind::SegmentSignature, At::Segment)),
        ),
        row(
            "call a rotated segment a start",
            |case| {
                forge(case, case.rotated(), None, |forgery| forgery.header.flags |= segment_flag::EPOCH);
                case.at_segment(case.rotated())
            },
            always(caught(Kind::EpochBroken, At::Segment)),
        ),
    ]
}

/// A start's header is the one thing that the origin key signs. The frame behind it has its link, so that a header changed
/// alone is found without an anchor.
fn headers() -> Vec<Row> {
    let repeated = caught(Kind::EpochBroken, At::Segment);
    let mut rows = vec![
        row(
            "change the header of a start and sign it with the origin key: the link of the first frame shows it",
            |case| {
                sign_start(case, case.start(), |header| header.created += 1);
                case.at_frame(case.start(), 0)
            },
            always(caught(Kind::ChainBroken, At::Frame)),
        ),
        row(
            "the same for the boot id",
            |case| {
                sign_start(case, case.start(), |header| header.boot_id = [99; 16]);
                case.at_frame(case.start(), 0)
            },
            always(caught(Kind::ChainBroken, At::Frame)),
        ),
        row(
            "the same for the tree in front of it",
            |case| {
                sign_start(case, case.start(), |header| header.first_seq += 1);
                case.at_segment(case.start())
            },
            always(caught(Kind::EventNumbers, At::Segment)),
        ),
        row(
            "sign the header of a start and its first frame: the link of the second frame shows it",
            |case| {
                let second = case.at_frame(case.start(), 1);
                let kept: Vec<_> = Forgery::of(case.start()).frames;
                forge(case, case.start(), None, |forgery| forgery.header.created += 1);
                let mut forged = Forgery::of(case.start());
                forged.frames.splice(1.., kept.into_iter().skip(1));
                put(case.start(), &forged);
                second
            },
            always(caught(Kind::ChainBroken, At::Frame)),
        ),
        row(
            "give a start the key of another start",
            |case| {
                let other = header_of(&case.paths[if case.place == 0 { 3 } else { 0 }]).next_pk;
                sign_start(case, case.start(), |header| header.next_pk = other);
                case.at_frame(case.start(), 0)
            },
            // Early it is the other start that comes again.
            by_place([caught(Kind::FrameSignature, At::Frame), repeated, repeated]),
        ),
    ];
    rows.push(row(
        "a start of another host",
        |case| {
            let other = Victim::other();
            std::fs::copy(other.store().join(case.start().file_name().unwrap()), case.start()).unwrap();
            case.at_segment(case.start())
        },
        always(caught(Kind::ForeignSegment, At::Segment)),
    ));
    rows
}

/// Writes a segment as it is.
fn put(path: &Path, forgery: &Forgery) {
    let mut out = forgery.header.encode();
    for (header, payload) in &forgery.frames {
        header.encode(&mut out);
        out.extend_from_slice(payload);
    }
    std::fs::write(path, out).unwrap();
}
