//! A log that was written anew from a start on, every signature right, but with a lie in it: no key helps against what does
//! not fit together.

use recorder::chain::tree::Frontier;
use recorder::store::format::{FrameHeader, SegmentHeader, segment_flag};
use recorder::verify::finding::Kind;

use crate::scratch::forge::Rewrite;
use crate::victim::{Case, HIDDEN, last_frame, packed};
use crate::{At, Row, Spot, always, by_place, caught, row};

/// Place of the rotated segment in a rewrite.
pub const ROTATED: usize = 1;

/// Writes the log anew from the start on.
pub fn rewrite(case: &Case, change: impl FnOnce(&mut Rewrite)) {
    let mut rewrite = Rewrite::of(case.since_start());
    change(&mut rewrite);
    rewrite.write(&case.scratch.key());
}

/// A lie in frame 1 of the rotated segment, told as it is signed.
fn in_frame(
    cheat: &'static str,
    kind: Kind,
    lie: impl Fn(&mut FrameHeader) + Clone + Send + Sync + 'static,
) -> Row {
    row(
        cheat,
        move |case| {
            let spot = case.at_frame(case.rotated(), 1);
            let (number, lie) = (spot.frames.unwrap().0, lie.clone());
            let tell = move |header: &mut FrameHeader| {
                if header.frame_no == number {
                    lie(header);
                }
            };
            rewrite(case, |log| log.frame_lie = Some((ROTATED, Box::new(tell))));
            spot
        },
        always(caught(kind, At::Frame)),
    )
}

/// Gives other bytes, and the length that they are said to unpack to.
type Payload = fn(&[u8]) -> (Vec<u8>, Option<usize>);

/// Other bytes in the place of the events of frame 1.
fn in_events(cheat: &'static str, kind: Kind, payload: Payload) -> Row {
    row(
        cheat,
        move |case| {
            let spot = case.at_frame(case.rotated(), 1);
            rewrite(case, |log| {
                let (header, bytes) = &mut log.segments[ROTATED].frames[1];
                let (changed, raw_len) = payload(bytes);
                *bytes = changed;
                header.raw_len = raw_len.map_or(header.raw_len, |length| u32::try_from(length).unwrap());
            });
            spot
        },
        always(caught(kind, At::Frame)),
    )
}

/// A lie in the header of the rotated segment.
fn in_header(cheat: &'static str, kind: Kind, lie: fn(&mut SegmentHeader)) -> Row {
    row(
        cheat,
        move |case| {
            rewrite(case, |log| log.header_lie = Some((ROTATED, Box::new(lie))));
            case.at_segment(case.rotated())
        },
        always(caught(kind, At::Segment)),
    )
}

/// A lie about the segment in front of the rotated one, which is the one that looks changed.
fn about_before(cheat: &'static str, kind: Kind, lie: fn(&mut SegmentHeader)) -> Row {
    row(
        cheat,
        move |case| {
            rewrite(case, |log| log.header_lie = Some((ROTATED, Box::new(lie))));
            case.at_segment(case.start())
        },
        always(caught(kind, At::Segment)),
    )
}

pub fn rows() -> Vec<Row> {
    let mut rows = numbers();
    rows.extend(events());
    rows.extend(headers());
    rows.extend(starts());
    rows
}

fn numbers() -> Vec<Row> {
    vec![
        in_frame("event numbers that leave some out", Kind::EventNumbers, |header| header.first_seq += 5),
        in_frame("event numbers that go back", Kind::EventNumbers, |header| header.first_seq -= 1),
        in_frame("a frame of a later start", Kind::CounterBack, |header| header.epoch += 1),
        in_frame("a frame of an earlier start", Kind::CounterBack, |header| header.epoch -= 1),
        in_frame("a chain that is none", Kind::ChainBroken, |header| header.prev_link[0] ^= 1),
        row(
            "frame numbers that go back",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                rewrite(case, |log| {
                    log.segments[ROTATED].frames[2].0.frame_no -= 1;
                });
                spot
            },
            always(caught(Kind::FrameRepeated, At::Frame)),
        ),
        row(
            "frame numbers that leave some out",
            |case| {
                let spot = case.at_frame(case.rotated(), 1);
                rewrite(case, |log| drop(log.segments[ROTATED].frames.remove(1)));
                spot
            },
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row(
            "a loss counter that goes back",
            |case| {
                let spot = case.at_frame(case.rotated(), 2);
                rewrite(case, |log| log.segments[ROTATED].frames[1].0.lost_total = 7);
                spot
            },
            always(caught(Kind::CounterBack, At::Frame)),
        ),
        row(
            "a loss counter that goes back between segments",
            |case| {
                let last = last_frame(case.start());
                rewrite(case, |log| log.segments[0].frames[last].0.lost_total = 7);
                case.at_segment(case.rotated())
            },
            always(caught(Kind::CounterBack, At::Segment)),
        ),
    ]
}

fn events() -> Vec<Row> {
    vec![
        in_frame("raw length one more, signed", Kind::PayloadShape, |header| header.raw_len += 1),
        in_frame("raw length one less, signed", Kind::PayloadShape, |header| header.raw_len -= 1),
        in_frame("count one more, signed", Kind::EventCount, |header| header.count += 1),
        in_frame("payload length one less, signed", Kind::PayloadHash, |header| header.payload_len -= 1),
        in_frame("a payload digest of nothing", Kind::PayloadHash, |header| header.payload_sha256 = [0; 32]),
        in_frame("an inner root of nothing", Kind::InnerRoot, |header| header.inner_root = [0; 32]),
        in_events("other events than the root has", Kind::InnerRoot, |_| (packed(b"{}\n{}\n{}\n"), Some(9))),
        in_events("fewer events than counted", Kind::EventCount, |_| (packed(b"{}\n{}\n"), Some(6))),
        in_events("an event without its end", Kind::EventCount, |_| (packed(b"{}\n{}\n{}\n{"), Some(10))),
        in_events("a hidden skippable frame behind the events", Kind::PayloadShape, |payload| {
            ([payload, HIDDEN].concat(), None)
        }),
        in_events("a hidden skippable frame in front of the events", Kind::PayloadShape, |payload| {
            ([HIDDEN, payload].concat(), None)
        }),
        in_events("two zstd frames", Kind::PayloadShape, |payload| {
            ([payload, &packed(b"{}\n")].concat(), None)
        }),
        in_events("a bomb: a hundred times what is allowed", Kind::PayloadShape, |_| {
            (zstd::bulk::compress(&vec![b'\n'; 100 << 20], 1).unwrap(), Some(1 << 20))
        }),
        in_events("a bomb that does not tell its size", Kind::PayloadShape, |_| {
            let mut packer = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
            std::io::Write::write_all(&mut packer, &vec![b'\n'; 8 << 20]).unwrap();
            (packer.finish().unwrap(), Some(1 << 20))
        }),
        in_events("no zstd at all", Kind::PayloadShape, |_| (b"{}\n{}\n{}\n".to_vec(), Some(9))),
    ]
}

fn headers() -> Vec<Row> {
    vec![
        in_header("another tree in a segment header", Kind::TreeRoot, |header| {
            let (size, mut nodes) = (header.tree.size(), header.tree.nodes().to_vec());
            nodes[0][0] ^= 1;
            header.tree = Frontier::from_parts(size, nodes).unwrap();
        }),
        Row {
            // There is nothing in front of segment 0.
            expected: by_place([
                caught(Kind::SegmentHeader, At::Segment),
                caught(Kind::SegmentOrder, At::Segment),
                caught(Kind::SegmentOrder, At::Segment),
            ]),
            ..in_header("a segment number that goes back", Kind::SegmentOrder, |header| {
                header.segment_no -= 1
            })
        },
        in_header("a segment number that leaves one out", Kind::SegmentMissing, |header| {
            header.segment_no += 1;
        }),
        in_header("a rotated segment of the next start", Kind::EpochBroken, |header| header.epoch += 1),
        in_header("a rotated segment of another boot", Kind::EpochBroken, |header| header.boot_id[0] ^= 1),
        in_header("event numbers of a segment that leave some out", Kind::EventNumbers, |header| {
            header.first_seq += 1;
        }),
        in_header("a link of a segment that is none", Kind::ChainBroken, |header| header.prev_link[0] ^= 1),
        in_header("a rotated segment behind another one", Kind::SegmentOrder, |header| {
            header.previous.as_mut().unwrap().attempt += 1;
        }),
        about_before("stated length of the segment before, signed", Kind::SegmentChanged, |header| {
            header.previous.as_mut().unwrap().length += 1;
        }),
        about_before("stated valid length of the segment before, signed", Kind::SegmentCut, |header| {
            header.previous.as_mut().unwrap().valid_length -= 1;
        }),
        about_before("stated digest of the segment before, signed", Kind::SegmentChanged, |header| {
            header.previous.as_mut().unwrap().sha256[0] ^= 1;
        }),
    ]
}

fn starts() -> Vec<Row> {
    let broken = always(caught(Kind::EpochBroken, At::Segment));
    vec![
        row(
            "a start that skips a number",
            |case| {
                rewrite(case, |log| {
                    for segment in &mut log.segments {
                        segment.header.epoch += 1;
                        segment.frames.iter_mut().for_each(|(header, _)| header.epoch += 1);
                    }
                });
                case.at_segment(case.start())
            },
            broken,
        ),
        row(
            "a start with the number of the one before",
            |case| {
                rewrite(case, |log| {
                    for segment in &mut log.segments {
                        segment.header.epoch -= 1;
                        segment.frames.iter_mut().for_each(|(header, _)| header.epoch -= 1);
                    }
                });
                case.at_segment(case.start())
            },
            broken,
        ),
        row(
            "a start that nobody signed",
            |case| {
                rewrite(case, |log| {
                    let epoch = log.segments[0].header.epoch - 1;
                    for segment in log.segments.iter_mut().take(3) {
                        segment.header.flags &= !segment_flag::EPOCH;
                        segment.header.epoch = epoch;
                        segment.frames.iter_mut().for_each(|(header, _)| header.epoch = epoch);
                    }
                });
                case.at_segment(case.start())
            },
            always(caught(Kind::SegmentSignature, At::Segment)),
        ),
        row(
            "a log that begins in the middle and says that it is all",
            |case| {
                let missing = case.at_frame(case.start(), 0).frames.unwrap().0.checked_sub(1);
                for path in &case.paths[..case.place * 3] {
                    std::fs::remove_file(path).unwrap();
                }
                rewrite(case, |log| {
                    (log.segments[0].header.previous, log.segments[0].header.prev_link) = (None, [0; 32]);
                    let (first, epoch) = (log.segments[0].header.segment_no, log.segments[0].header.epoch);
                    for segment in &mut log.segments {
                        segment.header.segment_no -= first;
                        segment.header.epoch -= epoch - 1;
                        segment.frames.iter_mut().for_each(|(header, _)| header.epoch -= epoch - 1);
                    }
                    // Frames in front are made up where there are none.
                    if first == 0 {
                        (log.segments[0].header.first_seq, log.segments[0].header.created) = (9, 0);
                        log.renumber();
                    }
                });
                Spot { frames: missing.map(|last| (0, last)), ..case.at_segment(case.start()) }
            },
            by_place([
                caught(Kind::EventNumbers, At::Segment),
                caught(Kind::FrameMissing, At::Frame),
                caught(Kind::FrameMissing, At::Frame),
            ]),
        ),
    ]
}
