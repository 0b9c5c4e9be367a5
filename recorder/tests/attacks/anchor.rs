//! What is consistent in itself and signed by whoever owns the host now: only a checkpoint that left the host before shows it,
//! and every one does that covers the place. And checkpoints from outside that are wrong themselves.

use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::tree::{Frontier, leaf_hash};
use recorder::store::format::segment_flag;
use recorder::store::writer::{Options, Writer};
use recorder::verify::finding::Kind;

use crate::scratch::forge::Rewrite;
use crate::scratch::{Scratch, append, edit, options};
use crate::victim::{Case, Victim, span};
use crate::{At, Expected, Row, Spot, Table, always, anchored, caught, row, unseen};

const OTHER_TREE: Expected = caught(Kind::CheckpointWrong, At::Log);
const SHORTER: Expected = caught(Kind::RolledBack, At::Log);

/// Unseen where the anchor does not reach, whatever the warning.
const fn only(warning: Kind, with: Expected) -> Table {
    anchored([unseen(Some(warning)); 3], with)
}

fn rewrite(case: &Case, change: impl FnOnce(&mut Rewrite)) -> Spot {
    let mut rewrite = Rewrite::of(case.since_start());
    change(&mut rewrite);
    rewrite.write(&case.scratch.key());
    Spot::default()
}

/// Starts the real recorder again, with what state there is, and has it record some frames.
fn record_on(scratch: &Scratch, frames: usize) {
    let options = Options { boot_id: [9; 16], ..options() };
    let (mut writer, _) = Writer::open(&scratch.store(), &scratch.state(), options).unwrap();
    (0..frames).for_each(|_| assert!(append(&mut writer, 3).is_ok()));
}

/// Cuts the log inside a start and lets the recorder go on, which has lost its own checkpoint.
fn cut_and_go_on(case: &Case, frames: usize) -> Spot {
    std::fs::remove_file(case.scratch.state().join("checkpoint")).unwrap();
    case.since_start().iter().skip(1).for_each(|path| std::fs::remove_file(path).unwrap());
    let length = span(case.start(), 1).start;
    edit(case.start(), |bytes| bytes.truncate(length));
    record_on(&case.scratch, frames);
    Spot::default()
}

pub fn rows() -> Vec<Row> {
    let mut rows = rewritten();
    rows.extend(continued());
    rows.extend(anchors());
    rows
}

fn rewritten() -> Vec<Row> {
    vec![
        row(
            "everything from a start on, written anew with nothing changed",
            |case| rewrite(case, |_| {}),
            only(Kind::NoEnd, OTHER_TREE),
        ),
        row(
            "a frame left out and all behind it numbered anew",
            |case| {
                rewrite(case, |log| {
                    log.segments[1].frames.remove(1);
                    log.renumber();
                })
            },
            only(Kind::NoEnd, SHORTER),
        ),
        row(
            "an event changed and all from the start on written anew",
            |case| {
                rewrite(case, |log| {
                    let lines = b"{\"seq\":0}\n{\"seq\":1}\n{\"seq\":2}\n";
                    log.segments[1].set_lines(1, lines);
                    let mut tree = Frontier::new();
                    lines.split(|byte| *byte == b'\n').take(3).for_each(|line| tree.push(leaf_hash(line)));
                    log.segments[1].frames[1].0.inner_root = tree.root();
                })
            },
            only(Kind::NoEnd, OTHER_TREE),
        ),
        row(
            "the time and boot id of a start, all from it on written anew",
            |case| {
                rewrite(case, |log| {
                    log.segments[0].header.created = 0;
                    log.segments.iter_mut().take(3).for_each(|segment| segment.header.boot_id = [99; 16]);
                })
            },
            only(Kind::NoEnd, OTHER_TREE),
        ),
        row(
            "seals stripped and the segments called starts, all written anew",
            |case| {
                rewrite(case, |log| {
                    log.segments.truncate(3);
                    let first = log.segments[0].header.epoch;
                    for (epoch, segment) in (first..).zip(&mut log.segments) {
                        segment.header.flags |= segment_flag::EPOCH;
                        segment.header.epoch = epoch;
                        segment.frames.retain(|(header, _)| !header.is_seal());
                        segment.frames.iter_mut().for_each(|(header, _)| header.epoch = epoch);
                    }
                    log.renumber();
                })
            },
            only(Kind::UncleanStop, SHORTER),
        ),
        row(
            "one unsealed segment in the place of all from a start on",
            |case| {
                std::fs::remove_file(case.scratch.state().join("checkpoint")).unwrap();
                case.since_start().iter().for_each(|path| std::fs::remove_file(path).unwrap());
                record_on(&case.scratch, 70);
                Spot::default()
            },
            only(Kind::NoEnd, OTHER_TREE),
        ),
    ]
}

fn continued() -> Vec<Row> {
    vec![
        row(
            "cut, and recorded on for a short while",
            |case| cut_and_go_on(case, 1),
            only(Kind::UncleanStop, SHORTER),
        ),
        row(
            "cut, and recorded on until it is longer than before",
            |case| cut_and_go_on(case, 70),
            only(Kind::UncleanStop, OTHER_TREE),
        ),
        row(
            "set back to an older state together with its checkpoint, and recorded on",
            |case| {
                let old = case.uncovering();
                case.since_start().iter().for_each(|path| std::fs::remove_file(path).unwrap());
                std::fs::write(case.scratch.state().join("checkpoint"), old.to_string()).unwrap();
                record_on(&case.scratch, 70);
                Spot::default()
            },
            only(Kind::NoEnd, OTHER_TREE),
        ),
    ]
}

fn anchors() -> Vec<Row> {
    vec![
        row(
            "a checkpoint of another host",
            |case| {
                let other = Victim::other().key();
                let said = case.options.checkpoint.take().unwrap();
                case.options.checkpoint = Some(Checkpoint::sign(&other, said.size(), *said.root()).unwrap());
                Spot::default()
            },
            always(OTHER_TREE),
        ),
        row(
            "a checkpoint of this host over another tree",
            |case| {
                let size = case.options.checkpoint.as_ref().unwrap().size();
                case.options.checkpoint = Some(Checkpoint::sign(&case.scratch.key(), size, [7; 32]).unwrap());
                Spot::default()
            },
            always(OTHER_TREE),
        ),
        row(
            "a checkpoint of this host over more frames than there ever were",
            |case| {
                let size = 100_000;
                case.options.checkpoint = Some(Checkpoint::sign(&case.scratch.key(), size, [7; 32]).unwrap());
                Spot::default()
            },
            always(SHORTER),
        ),
        row(
            "a checkpoint whose number was changed",
            |case| {
                let text = case.options.checkpoint.as_ref().unwrap().to_string();
                let mut lines: Vec<&str> = text.split('\n').collect();
                lines[1] = "1";
                case.options.checkpoint = Some(Checkpoint::parse(lines.join("\n").as_bytes()).unwrap());
                Spot::default()
            },
            always(OTHER_TREE),
        ),
    ]
}
