//! Where retention has been at work: what it left of segments, and what else looks as if it had been there.

use std::path::{Path, PathBuf};

use recorder::chain::tile::TileId;
use recorder::store::format::{FRAME_HEADER, FrameHeader, SegmentHeader};
use recorder::store::tombstone::tombstone_name;
use recorder::verify::finding::Kind;

use crate::scratch::edit;
use crate::scratch::retired::tombstone_of;
use crate::victim::{Case, HIDDEN, Victim, flip, header_of, name_of, span};
use crate::{At, Row, Spot, always, anchored, caught, row, unseen};

pub fn rows() -> Vec<Row> {
    let mut rows = gone();
    rows.extend(changed());
    rows.extend(elsewhere());
    rows.extend(beside());
    rows.extend(tiles());
    rows.extend(frames());
    rows.iter_mut().for_each(|row| row.victim = Victim::Retained);
    rows
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// Puts the tombstone of a segment that is there into its place.
fn remove_by_hand(segment: &Path) {
    let (path, bytes) = tombstone_of(segment);
    std::fs::write(path, bytes).unwrap();
    remove(segment);
}

fn gone() -> Vec<Row> {
    let missing = caught(Kind::SegmentMissing, At::Segment);
    let other_set = always(caught(Kind::TombstoneWrong, At::Log));
    vec![
        row("nothing at all behind removals", |_| Spot::default(), always(unseen(Some(Kind::NoEnd)))),
        row(
            "take the tombstone of a start away",
            |case| {
                remove(case.tombstone(0));
                case.at_segment(case.tombstone(1))
            },
            always(missing),
        ),
        row(
            "take a tombstone away",
            |case| {
                remove(case.tombstone(1));
                case.at_segment(case.held(0))
            },
            always(missing),
        ),
        row(
            "take all tombstones of a start away",
            |case| {
                (0..2).for_each(|index| remove(case.tombstone(index)));
                case.at_segment(case.held(0))
            },
            always(missing),
        ),
        row(
            "take all tombstones away",
            |case| {
                let all = case.paths.iter().filter(|path| path.extension().is_some_and(|end| end == "tomb"));
                all.for_each(|path| remove(path));
                case.at_segment(&case.paths[2])
            },
            always(missing),
        ),
        row(
            "take a segment away that is held",
            |case| {
                remove(case.held(0));
                case.at_segment(case.held(1))
            },
            always(missing),
        ),
        row(
            "take it away and make its tombstone",
            |case| {
                remove_by_hand(case.held(0));
                Spot::default()
            },
            other_set,
        ),
        row(
            "take the newest segment away and make its tombstone",
            |case| {
                remove_by_hand(case.telling());
                Spot::default()
            },
            other_set,
        ),
    ]
}

/// Changes the bytes of a tombstone.
fn edited(cheat: &'static str, kind: Kind, change: fn(&mut Vec<u8>)) -> Row {
    let act = move |case: &mut Case| {
        edit(case.tombstone(1), change);
        case.at_segment(case.tombstone(1))
    };
    row(cheat, act, always(caught(kind, At::Segment)))
}

/// Takes a tombstone apart and puts it together again, its checksums right.
fn mended(change: fn(&mut SegmentHeader, &mut FrameHeader), bytes: &mut Vec<u8>) {
    let mut header = SegmentHeader::decode(bytes).unwrap();
    let mut seal = FrameHeader::decode(&bytes[header.encoded_len()..]).unwrap();
    change(&mut header, &mut seal);
    *bytes = header.encode();
    seal.encode(bytes);
}

fn changed() -> Vec<Row> {
    let wrong = Kind::TombstoneWrong;
    vec![
        edited("flip a bit in a tombstone's header", wrong, |bytes| bytes[50] ^= 1),
        edited("flip a bit in a tombstone's seal", wrong, |bytes| *bytes.last_mut().unwrap() ^= 1),
        edited("cut a tombstone", wrong, |bytes| bytes.truncate(bytes.len() / 2)),
        edited("cut the seal off a tombstone", wrong, |bytes| bytes.truncate(bytes.len() - FRAME_HEADER)),
        edited("empty a tombstone", wrong, Vec::clear),
        edited("bytes behind a tombstone", wrong, |bytes| bytes.extend(HIDDEN)),
        edited("two seals in a tombstone", wrong, |bytes| {
            bytes.extend_from_within(bytes.len() - FRAME_HEADER..);
        }),
        edited("another time in a tombstone's header", Kind::SegmentSignature, |bytes| {
            mended(|header, _| header.created += 1, bytes);
        }),
        edited("another number in a tombstone's header", Kind::SegmentMissing, |bytes| {
            mended(|header, _| header.segment_no += 1, bytes);
        }),
        edited("another time in a tombstone's seal", wrong, |bytes| {
            mended(|_, seal| seal.t_last -= 1, bytes);
        }),
        edited("events that a tombstone's seal hides", wrong, |bytes| {
            mended(|_, seal| seal.first_seq += 1, bytes);
        }),
        edited("a stop in a tombstone's seal", wrong, |bytes| {
            mended(
                |_, seal| {
                    seal.flags |= recorder::store::format::frame_flag::STOP;
                    seal.next_pk = [0; 32];
                },
                bytes,
            );
        }),
    ]
}

/// Puts bytes into the place of a tombstone.
fn replaced(cheat: &'static str, kind: Kind, by: impl Fn(&Case) -> Vec<u8> + Send + Sync + 'static) -> Row {
    let act = move |case: &mut Case| {
        std::fs::write(case.tombstone(1), by(case)).unwrap();
        case.at_segment(case.tombstone(1))
    };
    row(cheat, act, always(caught(kind, At::Segment)))
}

fn elsewhere() -> Vec<Row> {
    let name = Kind::SegmentName;
    let read = |path: &Path| std::fs::read(path).unwrap();
    vec![
        replaced("a tombstone of another store", Kind::ForeignSegment, |_| {
            let other = Victim::other();
            tombstone_of(&crate::scratch::segments(&other.store())[1]).1
        }),
        replaced("a tombstone of another start in the place of one", name, move |case| {
            read(&case.paths[(case.place + 1) % 3 * 5 + 1])
        }),
        replaced("a tombstone of a segment that is there in the place of one", name, |case| {
            tombstone_of(case.held(0)).1
        }),
        row(
            "exchange two tombstones",
            move |case| {
                let (one, other) = (read(case.tombstone(0)), read(case.tombstone(1)));
                std::fs::write(case.tombstone(0), other).unwrap();
                std::fs::write(case.tombstone(1), one).unwrap();
                case.at_segment(case.tombstone(0))
            },
            always(caught(name, At::Segment)),
        ),
        row(
            "rename a tombstone",
            |case| renamed(case, &tombstone_name(header_of(case.tombstone(1)).first_frame + 1, 0)),
            always(caught(name, At::Segment)),
        ),
        row(
            "hide a tombstone under another name",
            |case| {
                renamed(case, "zzz");
                case.at_segment(case.held(0))
            },
            always(caught(Kind::SegmentMissing, At::Segment)),
        ),
        row(
            "put a copy of a tombstone at the end",
            |case| {
                let to = case.tombstone(1).with_file_name("seg-0000009999.tomb");
                std::fs::copy(case.tombstone(1), &to).unwrap();
                case.at_segment(&to)
            },
            always(caught(name, At::Segment)),
        ),
        row(
            "a link in the place of a tombstone",
            |case| {
                let aside = case.scratch.state().join("aside");
                std::fs::rename(case.tombstone(1), &aside).unwrap();
                std::os::unix::fs::symlink(aside, case.tombstone(1)).unwrap();
                Spot::default()
            },
            always(caught(Kind::TombstoneWrong, At::Log)),
        ),
    ]
}

fn renamed(case: &Case, name: &str) -> Spot {
    let to = case.tombstone(1).with_file_name(name);
    std::fs::rename(case.tombstone(1), &to).unwrap();
    case.at_segment(&to)
}

/// The segment of a tombstone, from a copy that somebody kept.
fn put_back(case: &Case) -> PathBuf {
    let name = name_of(case.tombstone(1)).replace(".tomb", ".krl.zst");
    let to = case.scratch.store().join(&name);
    std::fs::copy(case.scratch.state().join("backup").join(name), &to).unwrap();
    to
}

fn beside() -> Vec<Row> {
    let no_harm = always(unseen(Some(Kind::NoEnd)));
    vec![
        row(
            "the right tombstone beside a segment: it says nothing",
            |case| {
                let (path, bytes) = tombstone_of(case.held(0));
                std::fs::write(path, bytes).unwrap();
                Spot::default()
            },
            no_harm,
        ),
        row(
            "half a tombstone beside a segment: a crash leaves that",
            |case| {
                let (path, bytes) = tombstone_of(case.held(0));
                std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
                Spot::default()
            },
            always(unseen(Some(Kind::UnknownFile))),
        ),
        row(
            "the tombstone of another segment beside a segment",
            |case| {
                let (path, _) = tombstone_of(case.held(0));
                std::fs::copy(case.tombstone(1), &path).unwrap();
                case.at_segment(&path)
            },
            always(caught(Kind::TombstoneWrong, At::Segment)),
        ),
        row(
            "put a removed segment back",
            |case| {
                put_back(case);
                Spot::default()
            },
            no_harm,
        ),
        row(
            "put a removed segment back in the place of its tombstone",
            |case| {
                put_back(case);
                remove(case.tombstone(1));
                Spot::default()
            },
            always(caught(Kind::TombstoneWrong, At::Log)),
        ),
        row(
            "put all removed segments back in the place of all tombstones",
            |case| {
                for path in case.paths.iter().filter(|path| path.extension().is_some_and(|end| end == "tomb"))
                {
                    let name = name_of(path).replace(".tomb", ".krl.zst");
                    std::fs::copy(case.scratch.state().join("backup").join(&name), path.with_file_name(name))
                        .unwrap();
                    remove(path);
                }
                Spot::default()
            },
            always(caught(Kind::TombstoneWrong, At::Log)),
        ),
        row(
            "put a removed segment back, changed",
            |case| {
                let segment = put_back(case);
                case.flip_in_frame(&segment, 3, FRAME_HEADER)
            },
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
    ]
}

/// The tile with the first hash of a removed segment, and where that is.
fn tile(case: &Case) -> (PathBuf, usize) {
    let first = header_of(case.tombstone(1)).first_frame;
    let inside = usize::try_from(first % 256).unwrap() * 32;
    (case.scratch.store().join(TileId::holding(0, first).path()), inside)
}

fn in_tile(cheat: &'static str, act: impl Fn(&Case, &Path, usize) + Send + Sync + 'static) -> Row {
    let act = move |case: &mut Case| {
        let (path, inside) = tile(case);
        act(case, &path, inside);
        Spot::default()
    };
    row(cheat, act, always(caught(Kind::TileWrong, At::Log)))
}

fn tiles() -> Vec<Row> {
    vec![
        in_tile("flip a bit in the hash of a removed frame", |_, tile, inside| flip(tile, inside + 40)),
        in_tile("exchange the hashes of two removed frames", |_, tile, inside| {
            edit(tile, |bytes| (0..32).for_each(|byte| bytes.swap(inside + byte, inside + 32 + byte)));
        }),
        in_tile("zeros in place of hashes of removed frames", |_, tile, inside| {
            let block = inside / 512 * 512;
            edit(tile, |bytes| bytes[block..block + 512].fill(0));
        }),
        in_tile("cut a tile with hashes of removed frames", |_, tile, _| {
            edit(tile, |bytes| bytes.truncate(8_000));
        }),
        in_tile("take a tile with hashes of removed frames away", |_, tile, _| remove(tile)),
        in_tile("put another tile in the place of one with hashes of removed frames", |case, tile, _| {
            let other = (case.place as u64 + 1) % 3;
            let other = case.scratch.store().join(TileId::full(0, other).path());
            std::fs::copy(other, tile).map(drop).unwrap();
        }),
    ]
}

/// The frame that tells of the newest removal, without signing anything anew.
fn frames() -> Vec<Row> {
    let untold = caught(Kind::TombstoneWrong, At::Log);
    let cut = |behind: usize| {
        move |case: &mut Case| {
            let end = span(case.telling(), behind).start;
            edit(case.telling(), |bytes| bytes.truncate(end));
            Spot::default()
        }
    };
    vec![
        row(
            "flip a bit in the events about a removal",
            |case| case.flip_in_frame(case.telling(), 1, FRAME_HEADER + 20),
            always(caught(Kind::PayloadHash, At::Frame)),
        ),
        row(
            "take the events about a removal away",
            |case| {
                let spot = case.at_frame(case.telling(), 1);
                let span = span(case.telling(), 1);
                edit(case.telling(), |bytes| drop(bytes.drain(span)));
                spot
            },
            always(caught(Kind::FrameMissing, At::Frame)),
        ),
        row("cut the log in front of the events about a removal", cut(1), always(untold)),
        row(
            "cut the log behind the events about a removal",
            cut(2),
            anchored([unseen(Some(Kind::NoEnd)); 3], caught(Kind::RolledBack, At::Log)),
        ),
        row(
            "take the segment with the events about a removal away",
            |case| {
                remove(case.telling());
                Spot::default()
            },
            always(untold),
        ),
    ]
}
