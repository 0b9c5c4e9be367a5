//! What auditors ask for, from the page: each row of the table in docs/events.md is made to happen, and the line that
//! stands there finds it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod auditor;
#[path = "workload/raw.rs"]
mod raw;
mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use auditor::rows::{Act, ROWS, Row};
use support::record::{Record, tree};
use support::{LIMIT, Sandbox, wait_for};

/// Number of rows that auditors' lists have.
const COUNT: usize = 51;
/// The page, which goes where the test goes.
const PAGE: &str = include_str!("../../docs/events.md");
/// A row that nobody can make happen: the kernel is built without the calls, or the host without logins.
const NOT_HERE: &str = "not on this host";
/// Where the kernel shows its system calls.
const SYSCALLS: &str = "/sys/kernel/tracing/events/syscalls";

/// A row as the page has it.
struct Promise {
    number: usize,
    /// Words behind `recorder`; empty when nothing finds it.
    line: Vec<String>,
    /// `yes`, `partly` or `no`.
    found: String,
}

/// The table of the page.
fn promises() -> Vec<Promise> {
    let section =
        PAGE.split("## For auditors").nth(1).expect("section").split("\n## ").next().expect("section");
    section.lines().filter_map(promise).collect()
}

fn promise(line: &str) -> Option<Promise> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
    let number = cells.first()?.parse().ok()?;
    let line = cells.get(3)?.trim().trim_matches('`');
    let line = line.strip_prefix("recorder ").map(words).unwrap_or_default();
    Some(Promise { number, line, found: cells.get(4)?.trim().to_owned() })
}

/// Splits a command line as a shell does that knows only single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Not a test: the process that the test below starts to make system calls.
#[test]
#[ignore = "root: cargo xtask test"]
fn auditor_process() {
    auditor::calls::run_if_asked();
}

/// Makes a row happen; the pid of the process that did it.
fn perform(sandbox: &Sandbox, row: &Row) -> Option<u64> {
    let mut command = match row.act {
        Act::Shell(script) => auditor::rows::apart(script),
        Act::Login(_) if !auditor::rows::has_logins() => {
            eprintln!("SKIPPED: row {} is NOT TESTED: this host has no su", row.number);
            return None;
        }
        Act::Login(script) => auditor::rows::beside_logs(script),
        Act::Calls(name) => {
            let mut command = Command::new(std::env::current_exe().expect("exe"));
            command.args(["--ignored", "--exact", "auditor_process", "--nocapture", "--test-threads=1"]);
            command.env(auditor::calls::NAME, name);
            command
        }
        Act::Recorder | Act::Nothing => return None,
    };
    command.env("STORE", sandbox.store()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("spawn");
    let pid = u64::from(child.id());
    let output = child.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "row {}: {}\n{said}{told}", row.number, output.status);
    Some(pid)
}

/// Whether an event is as wanted: `key=value` words; `flag` is one of several.
fn is_as_wanted(event: &Record, wanted: &str) -> bool {
    wanted.split_whitespace().all(|word| {
        let (key, value) = word.split_once('=').expect("key=value");
        match (key, event.value.get(key)) {
            ("flag", _) => event.has_flag(value),
            (_, Some(serde_json::Value::String(text))) => text == value,
            (_, Some(other)) => format!("{other}") == value,
            (_, None) => false,
        }
    })
}

/// Whether this kernel has the calls that an expected event is about, and this host logins; else nobody can make them.
fn is_possible(row: &Row, wanted: &str) -> bool {
    if matches!(row.act, Act::Login(_)) && !auditor::rows::has_logins() {
        return false;
    }
    let call = wanted.split_whitespace().find_map(|word| word.strip_prefix("call="));
    call.is_none_or(|call| call == "write" || Path::new(SYSCALLS).join(format!("sys_exit_{call}")).is_dir())
}

/// What the line of the page finds.
fn found(sandbox: &Sandbox, promise: &Promise) -> Vec<Record> {
    let (verb, rest) = promise.line.split_first().expect("a line");
    let mut arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
    arguments.extend(["--output", "jsonl"]);
    let output = sandbox.run(verb, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "row {}: {said}", promise.number);
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(Record::parse).collect()
}

/// How a row turned out, and what is wrong with it.
fn verdict(
    sandbox: &Sandbox,
    (row, pid): (&Row, Option<u64>),
    promise: &Promise,
    all: &[Record],
) -> (String, Vec<String>) {
    if promise.found == "no" {
        let is_bare = promise.line.is_empty() && row.wanted.is_empty();
        return (
            "no".to_owned(),
            if is_bare { vec![] } else { vec!["the page says that nothing finds it".to_owned()] },
        );
    }
    let found = found(sandbox, promise);
    let own: Vec<u64> = match pid {
        Some(pid) => tree(all, pid).iter().filter_map(|event| event.number("seq")).collect(),
        None => all
            .iter()
            .filter(|event| event.number("pid").is_none())
            .filter_map(|event| event.number("seq"))
            .collect(),
    };
    let is_own = |event: &&Record| event.number("seq").is_some_and(|seq| own.contains(&seq));
    let possible: Vec<&&str> = row.wanted.iter().filter(|wanted| is_possible(row, wanted)).collect();
    let missing: Vec<String> = possible
        .iter()
        .filter(|wanted| !found.iter().filter(is_own).any(|event| is_as_wanted(event, wanted)))
        .map(|wanted| {
            let near = all.iter().filter(is_own).filter(|event| event.kind() == kind_of(wanted));
            let near: Vec<String> = near.map(|event| format!("\n    near {}", event.value)).collect();
            format!("not found: {wanted}{}", near.concat())
        })
        .collect();
    let outcome = if possible.is_empty() { NOT_HERE } else { &promise.found };
    let mut told = format!("{outcome:<18} {}/{} found", possible.len() - missing.len(), possible.len());
    if possible.len() < row.wanted.len() {
        told.push_str(&format!(", {} can't happen here", row.wanted.len() - possible.len()));
    }
    (told, missing)
}

fn kind_of(wanted: &str) -> &str {
    wanted.split_whitespace().find_map(|word| word.strip_prefix("kind=")).unwrap_or_default()
}

#[test]
#[ignore = "root: cargo xtask test"]
fn every_row_of_the_page_happens_and_its_line_finds_it() {
    let promises = promises();
    let numbers: Vec<usize> = promises.iter().map(|promise| promise.number).collect();
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>(), "rows of the page");
    let numbers: Vec<usize> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>(), "rows of the test");

    let sandbox = Sandbox::new();
    // A kill, which the next start tells of.
    sandbox.record().kill();
    let daemon = sandbox.spawn();
    wait_for("recording", LIMIT, || daemon.said().contains("recording store=").then_some(()));
    let pids: Vec<Option<u64>> = ROWS.iter().map(|row| perform(&sandbox, row)).collect();
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let all = sandbox.events();
    sandbox.assert_nothing_lost(&all);

    let mut wrong = Vec::new();
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for ((row, pid), promise) in ROWS.iter().zip(pids).zip(&promises) {
        let (outcome, missing) = verdict(&sandbox, (row, pid), promise, &all);
        let word = if outcome.starts_with(NOT_HERE) { NOT_HERE } else { &promise.found };
        *counts.entry(word.to_owned()).or_default() += 1;
        eprintln!("{:>2} {outcome:<40} {}", row.number, promise.line.join(" "));
        wrong.extend(missing.into_iter().map(|text| format!("row {}: {text}", row.number)));
    }
    eprintln!("rows: {counts:?}");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
