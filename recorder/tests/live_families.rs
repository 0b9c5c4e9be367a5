//! Two families of hooks, one truth: the same program leaves the same events under both, but for the differences that
//! docs/events.md has in a table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::compare::{Outcome, compare};
use support::ledger::Entry;
use support::record::{Record, tree};
use support::{Sandbox, program};

/// What the page says.
const PAGE: &str = include_str!("../../docs/events.md");
const TABLE: &str = "| difference | kinds |";
/// Values that are others in each run of the same program: whether they are there is compared.
const OF_THE_RUN: [&str; 19] = [
    "seq",
    "t",
    "mono",
    "pid",
    "tid",
    "ppid",
    "key",
    "pkey",
    "child",
    "child_tid",
    "child_key",
    "dev",
    "ino",
    "mntns",
    "pidns",
    "ns",
    "gen",
    "mtime",
    "ctime",
];

/// Not a test: the process that the tests below start to do the operations.
#[test]
#[ignore = "root: cargo xtask test"]
fn workload_process() {
    workload::run_if_asked();
}

/// One run of the workload under a family.
struct Run {
    ledger: Vec<Entry>,
    outcome: Outcome,
    home: String,
    /// Kinds that the object family told.
    by_object: usize,
}

fn run(family: &str) -> Run {
    let mut sandbox = Sandbox::new();
    sandbox.choose_family(family);
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let home_text = home.to_str().expect("UTF-8").to_owned();
    let daemon = sandbox.record();
    let variables = [(workload::HOME, home.into_os_string()), (workload::SEED, "7".into())];
    let (pid, ledger) = program::run("workload_process", &[], &variables);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let start = events.iter().find(|event| event.kind() == "start").expect("start");
    assert_eq!(start.text("family"), Some(family));
    let by_object = start.value["object"].as_array().map_or(0, Vec::len);
    let outcome = compare(&ledger, &program::without_frame(tree(&events, pid), pid));
    eprintln!("{family}: {} calls, {by_object} kinds by object\n{}", ledger.len(), outcome.render());
    for difference in &outcome.differences {
        eprintln!("{difference}\n");
    }
    assert!(outcome.differences.is_empty(), "{family}: {} differences", outcome.differences.len());
    Run { ledger, outcome, home: home_text, by_object }
}

/// Differences between the two events of one operation, by name.
fn differences(object: Option<&Record>, syscall: Option<&Record>, homes: [&str; 2]) -> BTreeSet<String> {
    let (object, syscall) = match (object, syscall) {
        (Some(object), Some(syscall)) => (object, syscall),
        (Some(_), None) => return BTreeSet::from(["only object".to_owned()]),
        (None, Some(_)) => return BTreeSet::from(["only syscall".to_owned()]),
        (None, None) => return BTreeSet::new(),
    };
    let mut names = BTreeSet::new();
    let keys: BTreeSet<_> =
        [object, syscall].iter().flat_map(|event| event.value.as_object().expect("event").keys()).collect();
    for key in keys.into_iter().filter(|key| *key != "flags") {
        let value = |event: &Record, home| {
            let inode = event.value.get("ino").map_or("none".to_owned(), Value::to_string);
            event.value.get(key).map(|value| general(key, value, home, &inode))
        };
        if value(object, homes[0]) != value(syscall, homes[1]) {
            names.insert(key.clone());
        }
    }
    let flags = [object, syscall].map(|event| event.flags().into_iter().collect::<BTreeSet<_>>());
    names.extend(flags[0].symmetric_difference(&flags[1]).map(|flag| format!("flag {flag}")));
    names
}

/// A value without what belongs to the run. A file without a name is called after its inode.
fn general(key: &str, value: &Value, home: &str, inode: &str) -> String {
    if OF_THE_RUN.contains(&key) {
        return "is there".to_owned();
    }
    value.to_string().replace(home, "HOME").replace(&format!("/#{inode}"), "/#INODE")
}

/// The documented differences: name, and kinds or none for all.
fn documented() -> Vec<(String, Vec<String>)> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(TABLE)).skip(2);
    let in_ticks =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = lines.take_while(|line| line.starts_with('|')).flat_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let kinds = in_ticks(cells[1]);
        in_ticks(cells[0]).into_iter().map(move |name| (name, kinds.clone())).collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
#[ignore = "root: cargo xtask test"]
fn both_families_tell_the_same_but_for_what_is_documented() {
    let (syscall, object) = (run("syscall"), run("auto"));
    assert_eq!(syscall.by_object, 0);
    let said = |run: &Run| -> Vec<String> {
        run.ledger.iter().map(|entry| format!("{} {} {}", entry.op, entry.call, entry.result)).collect()
    };
    assert_eq!(said(&syscall), said(&object), "the workload did the same twice");
    let mut counts: BTreeMap<(String, String), (usize, String)> = BTreeMap::new();
    let mut equal = 0;
    for entry in &object.ledger {
        let events = [&object, &syscall].map(|run| run.outcome.found.get(&entry.op));
        let mut names = differences(events[0], events[1], [&object.home, &syscall.home]);
        // The ledger says of which operations only one family tells on this kernel.
        if entry.expect.as_ref().is_some_and(|expect| expect.is_optional) {
            names.retain(|name| !name.starts_with("only "));
        }
        equal += usize::from(names.is_empty() && events[0].is_some());
        let kind = entry.expect.as_ref().map_or("", |expect| &expect.kind);
        for name in names {
            let (count, example) = counts.entry((name, kind.to_owned())).or_default();
            *count += 1;
            if example.is_empty() {
                let text =
                    |event: Option<&Record>| event.map_or("-".to_owned(), |event| event.value.to_string());
                *example = format!("  object  {}\n  syscall {}", text(events[0]), text(events[1]));
            }
        }
    }
    let all = object.outcome.found.len();
    println!("{all} and {} events, {equal} equal; differences:", syscall.outcome.found.len());
    let documented = documented();
    let is_documented = |name: &str, kind: &str| {
        let is_it = |(known, kinds): &(String, Vec<String>)| {
            known == name && (kinds.is_empty() || kinds.iter().any(|known| known == kind))
        };
        documented.iter().any(is_it)
    };
    let mut wrong = 0;
    for ((name, kind), (count, example)) in &counts {
        let is_known = is_documented(name, kind);
        println!("difference: {name} | {kind} | {count}{}", if is_known { "" } else { " NOT DOCUMENTED" });
        if !is_known {
            wrong += 1;
            println!("{example}");
        }
    }
    assert_eq!(wrong, 0, "differences that docs/events.md doesn't have");
    assert!(object.by_object > 0 || counts.is_empty(), "one family, and the runs differ");
    assert!(equal * 10 > all, "{equal} of {all} events are equal");
}
