//! Whole segments: taken away, swapped, renamed, copied, emptied, of another host, not files at all.

use std::path::{Path, PathBuf};

use recorder::store::format::segment_name;
use recorder::verify::finding::Kind;

use crate::scratch::edit;
use crate::victim::{Case, Victim, header_of, name_of};
use crate::{At, Row, Spot, always, anchored, caught, incomplete, late, row, unseen};

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

fn behind(case: &Case, path: &Path) -> PathBuf {
    let index = case.paths.iter().position(|other| other == path).unwrap();
    case.paths.get(index + 1).unwrap_or(&case.paths[index]).clone()
}

/// Takes a segment away; the one behind it misses it.
fn take_away(case: &Case, path: &Path) -> Spot {
    remove(path);
    case.at_segment(&behind(case, path))
}

fn rename(case: &Case, path: &Path, name: &str) -> Spot {
    let to = path.with_file_name(name);
    std::fs::rename(path, &to).unwrap();
    case.at_segment(&to)
}

fn copy_as(case: &Case, path: &Path, name: &str) -> Spot {
    let to = path.with_file_name(name);
    std::fs::copy(path, &to).unwrap();
    case.at_segment(&to)
}

fn of_other_host(case: &mut Case) -> Spot {
    let other = Victim::other();
    std::fs::copy(other.store().join(name_of(case.rotated())), case.rotated()).unwrap();
    case.at_segment(case.rotated())
}

pub fn rows() -> Vec<Row> {
    let mut rows = removals();
    rows.extend(names());
    rows.extend(others());
    rows
}

fn removals() -> Vec<Row> {
    let missing = caught(Kind::SegmentMissing, At::Segment);
    let gone = caught(Kind::RolledBack, At::Log);
    vec![
        row("take the first segment of a start away", |case| take_away(case, case.start()), always(missing)),
        row("take a segment away", |case| take_away(case, case.rotated()), always(missing)),
        row(
            "take the last segment of a start away",
            |case| {
                let spot = take_away(case, case.last());
                if case.place == 2 { Spot::default() } else { spot }
            },
            late(missing, unseen(Some(Kind::NoEnd)), gone),
        ),
        row(
            "take all segments of a start away",
            |case| {
                let start = case.place * 3;
                case.paths[start..start + 3].iter().for_each(|path| remove(path));
                case.paths.get(start + 3).map_or_else(Spot::default, |next| case.at_segment(next))
            },
            late(missing, unseen(Some(Kind::NoEnd)), gone),
        ),
        row(
            "take everything from a start on away",
            |case| {
                case.since_start().iter().for_each(|path| remove(path));
                Spot::default()
            },
            anchored(
                [
                    incomplete(Kind::NothingFound, At::Log),
                    unseen(Some(Kind::NotAppendOnly)),
                    unseen(Some(Kind::NoEnd)),
                ],
                gone,
            ),
        ),
        row(
            "empty a segment",
            |case| {
                edit(case.rotated(), Vec::clear);
                case.at_segment(case.rotated())
            },
            always(caught(Kind::SegmentCut, At::Segment)),
        ),
    ]
}

fn names() -> Vec<Row> {
    let name = caught(Kind::SegmentName, At::Segment);
    let order = caught(Kind::SegmentOrder, At::Segment);
    vec![
        row(
            "swap two segments",
            |case| {
                let (one, other) =
                    (std::fs::read(case.start()).unwrap(), std::fs::read(case.rotated()).unwrap());
                std::fs::write(case.start(), other).unwrap();
                std::fs::write(case.rotated(), one).unwrap();
                case.at_segment(case.start())
            },
            always(name),
        ),
        row(
            "rename a segment",
            |case| {
                let next = segment_name(header_of(case.rotated()).first_frame + 1, 0);
                rename(case, case.rotated(), &next)
            },
            always(name),
        ),
        row(
            "hide the last segment of a start under another name",
            |case| rename(case, case.last(), "notes.txt"),
            always(name),
        ),
        row(
            "put a copy of a segment at the end",
            |case| copy_as(case, case.rotated(), "seg-0000009999.krl.zst"),
            always(order),
        ),
        row(
            "put a copy of a segment beside it",
            |case| {
                let beside = segment_name(header_of(case.rotated()).first_frame, 1);
                copy_as(case, case.rotated(), &beside)
            },
            always(name),
        ),
        row(
            "put an empty segment between two",
            |case| {
                let beside = segment_name(header_of(case.rotated()).first_frame, 1);
                std::fs::write(case.rotated().with_file_name(beside), []).unwrap();
                case.at_segment(case.last())
            },
            always(order),
        ),
        row(
            "put an empty segment at the end",
            |case| {
                std::fs::write(case.last().with_file_name("seg-0000009999.krl.zst"), []).unwrap();
                Spot::default()
            },
            always(unseen(Some(Kind::NoEnd))),
        ),
        row(
            "put a file of somebody else beside",
            |case| {
                std::fs::write(case.scratch.store().join("README"), "hello").unwrap();
                Spot::default()
            },
            always(unseen(Some(Kind::UnknownFile))),
        ),
    ]
}

fn others() -> Vec<Row> {
    let unreadable = incomplete(Kind::Unreadable, At::Segment);
    vec![
        row("a segment of another host", of_other_host, always(caught(Kind::ForeignSegment, At::Segment))),
        row(
            "the whole store of another host",
            |case| {
                let other = Victim::other();
                std::fs::remove_dir_all(case.scratch.store()).unwrap();
                std::fs::rename(other.store(), case.scratch.store()).unwrap();
                Spot::default()
            },
            always(caught(Kind::CheckpointWrong, At::Log)),
        ),
        row(
            "a link in the place of a segment",
            |case| {
                let aside = case.scratch.state().join("aside");
                std::fs::rename(case.rotated(), &aside).unwrap();
                std::os::unix::fs::symlink(aside, case.rotated()).unwrap();
                case.at_segment(case.rotated())
            },
            always(unreadable),
        ),
        row(
            "a directory in the place of a segment",
            |case| {
                remove(case.rotated());
                std::fs::create_dir(case.rotated()).unwrap();
                case.at_segment(case.rotated())
            },
            always(unreadable),
        ),
    ]
}
