//! Queries with and without indexes find the same events in the same order.

use std::sync::LazyLock;

use clap::Parser as _;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::cli::filter::{Filter, FilterArguments};
use crate::store::FrameInput;
use crate::store::writer::{Immutable, Options, Writer};

/// 2026-11-23T14:05:30Z.
const START: i64 = 1_795_442_730_000_000_000;
const SECOND: i64 = 1_000_000_000;
const KINDS: [&str; 6] = ["exec", "file_write", "file_rename", "login", "gap", "exit"];
const PARTS: [&str; 7] = ["etc", "usr", "a", "b.conf", "caf\u{10FFE9}", "ü", "x,y"];

#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    filter: FilterArguments,
}

fn filter(words: &[String]) -> Filter {
    let arguments = Words::try_parse_from(std::iter::once(&"x".to_owned()).chain(words)).unwrap().filter;
    Filter::new(arguments, Some("web1".to_owned())).unwrap()
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.roll(words.len())]
    }

    fn path(&mut self) -> String {
        (0..1 + self.roll(4)).map(|_| format!("/{}", self.pick(&PARTS))).collect()
    }
}

fn line(dice: &mut Dice, seq: u64, time: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(time.into()).unwrap();
    let (kind, result) = (dice.pick(&KINDS), dice.pick(&["ok", "ok", "ok", "EACCES", "ENOENT"]));
    let head = format!(
        "{{\"seq\":{seq},\"t\":\"{time:.9}\",\"mono\":{seq},\"kind\":\"{kind}\",\"result\":\"{result}\""
    );
    if kind == "gap" {
        return format!("{head},\"lost\":3,\"flags\":[]}}\n");
    }
    let (pid, exe, uid) = (40 + dice.roll(30), dice.path(), dice.roll(3));
    let (loginuid, session) = (dice.pick(&["0", "1", "null"]), dice.pick(&["1", "2", "null"]));
    let container = dice.pick(&["null", "\"abcdef0123456789\"", "\"abcdef01234x\"", "\"abc\""]);
    let task = format!(
        ",\"pid\":{pid},\"comm\":\"sh\",\"exe\":\"{exe}\",\"uid\":{uid},\"loginuid\":{loginuid},\"session\":{session},\
         \"container\":{container},\"pidns\":1"
    );
    let body = match kind {
        "login" => format!(",\"user\":\"{}\"", dice.pick(&["root", "ann", "b\\\"ob"])),
        "file_rename" => format!(",\"path\":\"{}\",\"path_to\":\"{}\"", dice.path(), dice.path()),
        _ => format!(",\"path\":\"{}\"", dice.path()),
    };
    match dice.roll(40) {
        // Lines of other writers: they may be hard to take apart, but they are found.
        0 => format!("{head}{task}{body},\"flags\": []}}\n"),
        1 => format!("{head},\"pid\":{pid},\"path\":\"\\/etc\\/a\",\"flags\":[]}}\n"),
        2 => format!("{head}{task},\"more\":{{\"path\":\"/no\"}},\"p\\u0061th\":\"/etc/a\",\"flags\":[]}}\n"),
        _ => format!("{head}{task}{body},\"flags\":[]}}\n"),
    }
}

/// Sealed segments, also without events, and one that is not sealed.
fn record(store: &Path) {
    let mut dice = Dice(7);
    let mut time = START;
    for round in 0..6 {
        let options =
            Options { immutable: Immutable::Off, segment_bytes: 6_000, ..Options::new([7; 16], time) };
        // A program that another test is just starting holds every lock of this process until it has started.
        let (mut writer, _) = loop {
            match Writer::open(store, &store.with_extension("state"), options.clone()) {
                Err(StoreError::InUse { .. }) => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        for _ in 0..[40, 0, 25, 1, 60, 9][round] {
            let first = time;
            let (mut lines, mut ends) = (Vec::new(), Vec::new());
            for seq in (writer.next_seq()..).take(1 + dice.roll(6)) {
                lines.extend(line(&mut dice, seq, time).into_bytes());
                ends.push(u32::try_from(lines.len()).unwrap());
                time += SECOND * dice.roll(3) as i64;
            }
            writer
                .append(&FrameInput {
                    lines: &lines,
                    ends: &ends,
                    t_first: first,
                    t_last: time,
                    lost_total: 0,
                })
                .unwrap();
            match dice.roll(12) {
                0 => drop(writer.heartbeat(time, 0).unwrap()),
                1 => time -= 40 * SECOND,
                2 => time += 100 * SECOND,
                _ => {}
            }
        }
        if round < 5 {
            writer.close(time).unwrap();
        }
    }
}

/// A store, and one whose indexes are all damaged.
static STORES: LazyLock<(tempfile::TempDir, tempfile::TempDir)> = LazyLock::new(|| {
    let (whole, damaged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(&whole.path().join("log"));
    std::fs::create_dir(damaged.path().join("log")).unwrap();
    let mut dice = Dice(1);
    for entry in std::fs::read_dir(whole.path().join("log")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let index =
            crate::store::reader::SegmentReader::open(&path).ok().flatten().and_then(|r| r.index().unwrap());
        if let Some(index) = index {
            let at = bytes.len() - 1 - dice.roll(index.length() as usize);
            bytes[at] ^= 4;
        }
        std::fs::write(damaged.path().join("log").join(path.file_name().unwrap()), bytes).unwrap();
    }
    (whole, damaged)
});

/// The matches in the order in which they are visited, and the problems.
fn found(store: &Path, filter: &Filter, end: u64, backward: bool, with_index: bool) -> (Vec<String>, u64) {
    let mut scan = Scan::open(store, filter, end).unwrap();
    if !with_index {
        scan.ignore_indexes();
    }
    let mut lines = Vec::new();
    let mut visit = |line: &[u8]| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok(ControlFlow::Continue(()))
    };
    if backward { scan.backward(&mut visit) } else { scan.forward(&mut visit) }.unwrap();
    (lines, scan.problems())
}

fn glob() -> impl Strategy<Value = String> {
    let part = select(vec![
        "etc", "usr", "a", "b.conf", "café", "caf?", "ü", "x,y", "*", "**", "[ae]*", "{a,etc}", "\\a",
    ]);
    let parts = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    (parts, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(parts, absolute, below)| {
        format!("{}{parts}{}", if absolute { "/" } else { "" }, if below { "/" } else { "" })
    })
}

fn option() -> impl Strategy<Value = (&'static str, String)> {
    let ids = select(vec!["0", "1", "2", "3", "none"]).prop_map(str::to_owned);
    let time = (-100..2_000_i64).prop_map(|offset| format!("@{}", START / SECOND + offset));
    prop_oneof![
        select(vec!["exec", "login", "gap,exit", "file_*", "mount", "exec,file_rename"])
            .prop_map(|kinds| ("--kind", kinds.to_owned())),
        (38..72_u32).prop_map(|pid| ("--pid", pid.to_string())),
        (0..4_u32).prop_map(|uid| ("--uid", uid.to_string())),
        select(vec!["root", "ann", "b\"ob", "nobody at all"]).prop_map(|user| ("--user", user.to_owned())),
        ids.clone().prop_map(|id| ("--loginuid", id)),
        ids.prop_map(|id| ("--session", id)),
        glob().prop_map(|glob| ("--exe", glob)),
        glob().prop_map(|glob| ("--path", glob)),
        glob().prop_map(|glob| ("--path", glob)),
        select(vec!["abc", "abcdef012345", "abcdef0123456789", "abcdef01234x", "zzzzzzzzzzzzzz"])
            .prop_map(|id| ("--container", id.to_owned())),
        select(vec!["ok", "failed", "EACCES", "EPERM"]).prop_map(|result| ("--result", result.to_owned())),
        time.clone().prop_map(|time| ("--since", time)),
        time.prop_map(|time| ("--until", time)),
        Just(("--grep", "b.conf".to_owned())),
    ]
}

proptest! {
    #[test]
    fn an_index_changes_neither_what_is_found_nor_its_order(
        options in prop::collection::btree_map("[a-z]", option(), 0..4),
        end in prop_oneof![Just(u64::MAX), 0..150_u64],
        backward in any::<bool>(),
    ) {
        let mut options: Vec<_> = options.into_values().collect();
        options.sort();
        options.dedup_by_key(|(name, _)| *name);
        // These two exclude each other, and so do times in the wrong order.
        let both = |one, other| [one, other].iter().all(|name| options.iter().any(|(found, _)| found == name));
        prop_assume!(!both("--uid", "--user") && !both("--since", "--until"));
        let words: Vec<String> =
            options.into_iter().flat_map(|(name, value)| [format!("{name}={value}")]).collect();
        let filter = filter(&words);
        for store in [&STORES.0, &STORES.1] {
            let store = store.path().join("log");
            let expected = found(&store, &filter, end, backward, false);
            prop_assert_eq!(expected.1, 0);
            prop_assert_eq!(found(&store, &filter, end, backward, true), expected);
        }
    }
}

#[test]
fn the_generated_store_has_what_the_comparison_needs() {
    let store = STORES.0.path().join("log");
    let (all, problems) = found(&store, &filter(&[]), u64::MAX, false, true);
    assert!(all.len() > 300 && problems == 0, "{} events", all.len());
    let indexes: Vec<Option<u32>> = open_store(&store)
        .unwrap()
        .segments()
        .iter()
        .map(|segment| SegmentReader::open(&segment.path).unwrap().unwrap().index().unwrap())
        .map(|index| index.map(|index| index.frames()))
        .collect();
    assert!(indexes.len() > 10 && indexes.last() == Some(&None), "{indexes:?}");
    assert!(indexes.contains(&Some(0)) && indexes.iter().flatten().any(|frames| *frames > 3));
}

#[test]
fn damage_is_noticed_in_every_index() {
    let damaged = STORES.1.path().join("log");
    let mut noticed = 0;
    for segment in open_store(&damaged).unwrap().segments() {
        let reader = SegmentReader::open(&segment.path).unwrap().unwrap();
        let table = reader.index().map(|index| {
            index.map(|index| index.frame_table(&|offset, length| reader.read(offset, length)).is_err())
        });
        noticed += u32::from(matches!(table, Err(_) | Ok(Some(true))));
    }
    assert!(noticed > 3, "{noticed} indexes can't be used");
}

#[test]
fn the_newest_events_are_found_without_reading_the_others() {
    let store = STORES.0.path().join("log");
    let (pid, none) = (filter(&["--pid=50".to_owned()]), filter(&[]));
    for filter in [&pid, &none] {
        let mut scan = Scan::open(&store, filter, u64::MAX).unwrap();
        let mut visited = Vec::new();
        scan.backward(&mut |line| {
            visited.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(if visited.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        let mut all = found(&store, filter, u64::MAX, false, false).0;
        all.reverse();
        assert_eq!(visited, all[..3]);
    }
}
