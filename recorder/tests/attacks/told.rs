//! The events about the newest removal, told anew by whoever has the origin key: the start with them is signed anew, and only
//! what does not fit together, or not to a checkpoint that left the host before, gives it away.

use recorder::chain::sha256;
use recorder::chain::tree::{Frontier, leaf_hash};
use recorder::store::format::FrameKind;
use recorder::verify::finding::Kind;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::scratch::forge::Rewrite;
use crate::scratch::retired::{lines_of, tombstone_of};
use crate::victim::{Case, Victim, name_of};
use crate::{At, Expected, Row, Spot, always, anchored, caught, row, unseen};

/// Place of the frame with the events.
const TOMB: usize = 1;

pub fn rows() -> Vec<Row> {
    let mut rows = sets();
    rows.extend(lines());
    rows.extend(limits());
    rows.iter_mut().for_each(|row| row.victim = Victim::Retained);
    rows
}

/// Writes the last start anew with other events about the removal.
fn retell(case: &Case, change: impl FnOnce(&mut Vec<Value>)) {
    rewrite(case, |log| {
        let frame = &log.segments[0].frames[TOMB];
        let old = zstd::decode_all(frame.1.as_slice()).unwrap();
        let old = old.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
        let mut events = old.map(|line| serde_json::from_slice(line).unwrap()).collect();
        change(&mut events);
        set_lines(log, &lines_of(&events));
    });
}

fn rewrite(case: &Case, change: impl FnOnce(&mut Rewrite)) {
    let mut rewrite = Rewrite::of(&[case.telling().to_owned()]);
    change(&mut rewrite);
    rewrite.write(&case.scratch.key());
}

fn set_lines(log: &mut Rewrite, lines: &[u8]) {
    log.segments[0].set_lines(TOMB, lines);
    let header = &mut log.segments[0].frames[TOMB].0;
    let mut tree = Frontier::new();
    lines
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
        .for_each(|line| tree.push(leaf_hash(line)));
    (header.count, header.inner_root) = (u32::try_from(tree.size()).unwrap(), tree.root());
    log.renumber();
}

fn told(
    cheat: &'static str,
    expected: Expected,
    change: impl Fn(&Case, &mut Vec<Value>) + Send + Sync + 'static,
) -> Row {
    let act = move |case: &mut Case| {
        retell(case, |events| change(case, events));
        match expected.at {
            At::Log => Spot::default(),
            At::Segment if expected.kind == Some(Kind::PayloadShape) => case.at_segment(case.telling()),
            _ => case.at_segment(case.tombstone(1)),
        }
    };
    row(cheat, act, always(expected))
}

/// What these tombstones are as a set, in the order of the log.
fn set_all(events: &mut [Value], tombstones: &[Vec<u8>]) {
    let mut hash = Sha256::new();
    tombstones.iter().for_each(|bytes| hash.update(sha256(bytes)));
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for event in events {
        event["tombstones"] = json!(tombstones.len());
        event["tombstones_sha256"] = json!(hex);
    }
}

fn tombstones(case: &Case) -> Vec<(String, Vec<u8>)> {
    let all = case.paths.iter().filter(|path| path.extension().is_some_and(|end| end == "tomb"));
    all.map(|path| (name_of(path), std::fs::read(path).unwrap())).collect()
}

fn sets() -> Vec<Row> {
    let wrong = caught(Kind::TombstoneWrong, At::Log);
    vec![
        told("a set of tombstones with one fewer", wrong, |_, events| {
            events.iter_mut().for_each(|event| event["tombstones"] = json!(5));
        }),
        told("a set of tombstones with one more", wrong, |_, events| {
            events.iter_mut().for_each(|event| event["tombstones"] = json!(7));
        }),
        told("a set of tombstones with another digest", wrong, |_, events| {
            events.iter_mut().for_each(|event| event["tombstones_sha256"] = json!("0".repeat(64)));
        }),
        told("events about a removal that don't agree", wrong, |_, events| {
            events.last_mut().unwrap()["tombstones"] = json!(5);
        }),
        told("a set of tombstones without one that is there", wrong, |case, events| {
            let left_out = name_of(case.tombstone(1));
            let mut all = tombstones(case);
            all.retain(|(name, _)| *name != left_out);
            set_all(events, &all.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>());
        }),
        told("a set of tombstones with one that is not there", wrong, |case, events| {
            let mut all: Vec<_> = tombstones(case).into_iter().map(|(_, bytes)| bytes).collect();
            all.insert(case.place * 2 + 2, tombstone_of(case.held(0)).1);
            set_all(events, &all);
        }),
        row(
            "a segment removed by hand, and the newest events made to tell of it",
            |case| {
                let (path, bytes) = tombstone_of(case.held(0));
                std::fs::write(path, &bytes).unwrap();
                std::fs::remove_file(case.held(0)).unwrap();
                let mut all: Vec<_> = tombstones(case).into_iter().map(|(_, bytes)| bytes).collect();
                all.insert(case.place * 2 + 2, bytes);
                retell(case, |events| set_all(events, &all));
                Spot::default()
            },
            anchored([unseen(Some(Kind::NoEnd)); 3], caught(Kind::CheckpointWrong, At::Log)),
        ),
        row(
            "the events about a removal left out",
            |case| {
                rewrite(case, |log| {
                    log.segments[0].frames.remove(TOMB);
                    log.renumber();
                });
                Spot::default()
            },
            always(wrong),
        ),
        row(
            "the events about a removal among others",
            |case| {
                rewrite(case, |log| log.segments[0].frames[TOMB].0.kind = FrameKind::Data);
                Spot::default()
            },
            always(wrong),
        ),
    ]
}

fn lines() -> Vec<Row> {
    let shape = caught(Kind::PayloadShape, At::Segment);
    let no_lines = |lines: &'static [u8]| {
        move |case: &mut Case| {
            rewrite(case, |log| set_lines(log, lines));
            case.at_segment(case.telling())
        }
    };
    vec![
        told("another event among those about a removal", shape, |_, events| {
            events.push(json!({"seq": 0, "kind": "exec"}));
        }),
        told("an event about a removal of another kind", shape, |_, events| {
            events[0]["kind"] = json!("exec")
        }),
        told("an event about a removal without a segment", shape, |_, events| {
            events[0].as_object_mut().unwrap().remove("segment");
        }),
        told("a hold that is none", shape, |_, events| events[0]["hold"] = json!(["for ever"])),
        row("no JSON in the place of events about a removal", no_lines(b"tombstone\n"), always(shape)),
    ]
}

/// A change of the event about the second segment that was removed of a start.
fn limit(cheat: &'static str, kind: Kind, change: fn(&mut Value)) -> Row {
    told(cheat, caught(kind, At::Segment), move |case, events| {
        let event = events.last_mut().unwrap();
        event["segment"] = json!(name_of(case.tombstone(1)).replace(".tomb", ".krl.zst"));
        change(event);
    })
}

fn limits() -> Vec<Row> {
    let early = Kind::RemovedTooEarly;
    vec![
        limit("removed before its age", early, |event| event["keep_age"] = json!(100_000_000)),
        limit("removed for its age without a limit", early, |event| event["keep_age"] = json!(null)),
        limit("removed for the size of the store without a limit", early, |event| {
            event["reason"] = json!("size")
        }),
        limit("removed for a reason that there is not", early, |event| event["reason"] = json!("order")),
        limit("removed before it ended", early, |event| {
            event["decided"] = json!("2027-01-15T08:00:00.000000000Z");
        }),
        limit("removed although it was held", early, |event| {
            event["hold"] = json!(["2027-01-01/2027-02-01"])
        }),
        limit("removed at no time", Kind::TombstoneWrong, |event| event["decided"] = json!("today")),
        limit("removed with an end at no time", Kind::TombstoneWrong, |event| event["to"] = json!("")),
    ]
}
