//! Lies in a seal that was signed anew with the log from a start on: about its checkpoint, its index, its lengths, its place.

use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::OriginKey;
use recorder::store::format::{FrameKind, Seal, frame_flag};
use recorder::verify::finding::Kind;

use crate::lie::{ROTATED, rewrite};
use crate::victim::{HIDDEN, last_frame};
use crate::{At, Row, Spot, always, caught, row};

/// Other bytes in the seal of the rotated segment.
fn in_seal(cheat: &'static str, kind: Kind, at: At, lie: fn(&OriginKey, &mut Vec<u8>)) -> Row {
    row(
        cheat,
        move |case| {
            let spot = case.at_frame(case.rotated(), last_frame(case.rotated()));
            let text = case.scratch.key().to_private_text().to_string();
            let tell = move |payload: &mut Vec<u8>| {
                if Seal::decode(payload).is_ok() {
                    lie(&OriginKey::from_private_text(&text).unwrap(), payload);
                }
            };
            rewrite(case, |log| log.payload_lie = Some((ROTATED, Box::new(tell))));
            spot
        },
        always(caught(kind, at)),
    )
}

pub fn rows() -> Vec<Row> {
    let mut rows = seals();
    rows.extend(indexes());
    rows
}

/// Packs a seal anew around another note.
fn with_note(payload: &mut Vec<u8>, note: &str) {
    let index = Seal::decode(payload).unwrap().index.to_vec();
    Seal { checkpoint: note.as_bytes(), index: &index }.encode(payload).unwrap();
}

/// Packs a seal anew around another index.
fn with_index(payload: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    let seal = Seal::decode(payload).unwrap();
    let (checkpoint, mut index) = (seal.checkpoint.to_vec(), seal.index.to_vec());
    change(&mut index);
    Seal { checkpoint: &checkpoint, index: &index }.encode(payload).unwrap();
}

fn note_of(payload: &[u8]) -> Checkpoint {
    Checkpoint::parse(Seal::decode(payload).unwrap().checkpoint).unwrap()
}

fn sealed(payload: &mut Vec<u8>, key: &OriginKey, more: u64, root: [u8; 32]) {
    let size = note_of(payload).size() + more;
    with_note(payload, &Checkpoint::sign(key, size, root).unwrap().to_string());
}

fn seals() -> Vec<Row> {
    let wrong = Kind::CheckpointWrong;
    vec![
        in_seal("bytes behind a seal's parts", Kind::PayloadShape, At::Frame, |_, payload| {
            payload.extend(HIDDEN);
        }),
        in_seal("a seal's length one less", Kind::PayloadShape, At::Frame, |_, payload| payload[4] -= 1),
        in_seal("a seal's checkpoint length one less", Kind::PayloadShape, At::Frame, |_, payload| {
            payload[16] -= 1;
        }),
        in_seal("a seal's index length one more", Kind::PayloadShape, At::Frame, |_, payload| {
            payload[20] += 1
        }),
        in_seal("a seal without a checkpoint", wrong, At::Frame, |_, payload| with_note(payload, "")),
        in_seal("a checkpoint in a seal over more frames", wrong, At::Frame, |key, payload| {
            sealed(payload, key, 1, [7; 32]);
        }),
        in_seal("a checkpoint in a seal of another tree", wrong, At::Segment, |key, payload| {
            sealed(payload, key, 0, [7; 32]);
        }),
        in_seal("a checkpoint in a seal by another key", wrong, At::Frame, |key, payload| {
            let other = OriginKey::from_seed(key.public().name(), &[9; 32]).unwrap();
            let said = note_of(payload);
            let note = Checkpoint::sign(&other, said.size(), *said.root()).unwrap();
            with_note(payload, &note.to_string());
        }),
        in_seal("bytes hidden as a second signature in a seal", wrong, At::Frame, |_, payload| {
            let note = note_of(payload).to_string() + "\u{2014} hidden AAAAAGhpZGU=\n";
            with_note(payload, &note);
        }),
        row(
            "go on behind a stop",
            |case| {
                rewrite(case, |log| {
                    let (seal, _) = log.segments[ROTATED].frames.last_mut().unwrap();
                    seal.flags |= frame_flag::STOP;
                });
                case.at_segment(case.last())
            },
            always(caught(Kind::SegmentSignature, At::Segment)),
        ),
        row(
            "frames behind a seal",
            |case| {
                let seal = last_frame(case.rotated());
                let number = case.at_frame(case.rotated(), seal).frames.unwrap().0 + 1;
                rewrite(case, |log| {
                    let frames = &mut log.segments[ROTATED].frames;
                    frames.push(frames[0].clone());
                    log.renumber();
                });
                Spot { frames: Some((number, number)), ..case.at_segment(case.rotated()) }
            },
            always(caught(Kind::BytesAfterEnd, At::Frame)),
        ),
        row(
            "a rotated segment without a seal in front of it",
            |case| {
                rewrite(case, |log| {
                    log.segments[0].frames.pop();
                    log.renumber();
                });
                case.at_segment(case.start())
            },
            always(caught(Kind::SegmentCut, At::Segment)),
        ),
        row(
            "a heartbeat with bytes in it",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                rewrite(case, |log| {
                    let (header, _) = &mut log.segments[ROTATED].frames[1];
                    (header.kind, header.count, header.raw_len) = (FrameKind::Heartbeat, 0, 0);
                });
                spot
            },
            always(caught(Kind::PayloadShape, At::Frame)),
        ),
    ]
}

/// What an index can hide: rows, by a wrong list of frames or a wrong table of them; everything, by not being there.
fn indexes() -> Vec<Row> {
    vec![
        in_seal("a seal without an index", Kind::Index, At::Frame, |_, payload| {
            with_index(payload, Vec::clear)
        }),
        in_seal("an index that hides the events of a path", Kind::Index, At::Frame, |_, payload| {
            with_index(payload, |index| index[100] ^= 1);
        }),
        in_seal("a frame table that leaves bytes out", Kind::Index, At::Frame, |_, payload| {
            with_index(payload, |index| index[0] ^= 1);
        }),
        in_seal("bytes behind an index", Kind::Index, At::Frame, |_, payload| {
            with_index(payload, |index| index.extend(HIDDEN));
        }),
        row(
            "the index of another segment",
            |case| {
                let spot = case.at_frame(case.rotated(), last_frame(case.rotated()));
                rewrite(case, |log| {
                    let (_, other) = log.segments[0].frames.last().unwrap();
                    let index = Seal::decode(other).unwrap().index.to_vec();
                    let tell = move |payload: &mut Vec<u8>| {
                        if Seal::decode(payload).is_ok() {
                            with_index(payload, |own| own.clone_from(&index));
                        }
                    };
                    log.payload_lie = Some((ROTATED, Box::new(tell)));
                });
                spot
            },
            always(caught(Kind::Index, At::Frame)),
        ),
    ]
}
