//! The daemon is killed under load, again and again: what was shown stays, nobody is accused, the next start says what
//! was missed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::record::Record;
use support::{Daemon, LIMIT, Sandbox, wait_for};

/// How often the daemon is killed.
const ROUNDS: &str = "RECORDER_KILL_ROUNDS";
/// Creates, writes, renames and execs until it is killed.
const LOAD: &str =
    "i=0; while :; do i=$((i+1)); echo a > f$i; echo b >> f$i; mv f$i g$((i%50)); /bin/true; done";

/// A process that ends with the test.
struct Helper(Child);

impl Helper {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("spawn"))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(home: &Path) -> Helper {
    std::fs::create_dir_all(home).expect("home");
    Helper::start(Command::new("sh").args(["-c", LOAD]).current_dir(home).stdout(Stdio::null()))
}

/// The whole lines that a follower has shown so far; each of them was durable by then.
fn shown(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// Every line of the store, as it is, numbered without a hole.
fn lines(sandbox: &Sandbox) -> Vec<String> {
    let output = sandbox.run("query", &["--output", "jsonl"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (seq, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("{{\"seq\":{seq},")), "not number {seq}: {line}");
    }
    lines
}

/// Starts the daemon and waits until this start of it records.
fn record(sandbox: &Sandbox) -> Daemon {
    let daemon = sandbox.spawn();
    wait_for("recording", LIMIT, || daemon.said().contains("recording store=").then_some(()));
    daemon
}

/// Kills the daemon while it records the load and somebody follows; gives what the follower was shown.
fn record_and_kill(sandbox: &Sandbox, round: u64) -> Vec<String> {
    let daemon = record(sandbox);
    let path: PathBuf = sandbox.path().join("followed");
    let file = File::create(&path).expect("followed");
    let follower = Helper::start(sandbox.command("follow").args(["--output", "jsonl"]).stdout(file));
    let load = load(&sandbox.path().join("home"));
    let enough = 200 + usize::try_from(round * 137 % 800).expect("count");
    wait_for("events that were shown", LIMIT, || (shown(&path).len() >= enough).then_some(()));
    // Frames are due every so often: strike at another moment between two of them each time.
    let (start, moment) = (Instant::now(), Duration::from_millis(round * 37 % 150));
    wait_for("the moment", LIMIT, || (start.elapsed() >= moment).then_some(()));
    daemon.kill();
    drop(load);
    drop(follower);
    shown(&path)
}

/// No accusation, whatever else `verify` has to say.
fn assert_no_tampering(sandbox: &Sandbox, round: u64) {
    let output = sandbox.run("verify", &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(&text).expect("report");
    assert_eq!(output.status.code(), Some(5), "round {round}: {text}");
    assert_eq!(report["verdict"], "unanchored", "round {round}: {text}");
    let tampered = |finding: &serde_json::Value| finding["severity"] == "tampered";
    assert!(!report["findings"].as_array().expect("findings").iter().any(tampered), "round {round}: {text}");
}

/// The first lines after a kill: a start that knows of it, and a gap from the last event on. Gives the torn bytes.
fn assert_told(before: &[String], after: &[String], round: u64) -> u64 {
    let (last, start, gap) = (
        Record::parse(before.last().expect("an event")),
        Record::parse(&after[before.len()]),
        Record::parse(&after[before.len() + 1]),
    );
    assert_eq!(start.kind(), "start", "round {round}: {start:?}");
    assert_eq!(start.value["clean"], false, "round {round}: {start:?}");
    assert!(start.value["damage"].is_null(), "round {round}: {start:?}");
    assert_eq!((gap.kind(), gap.text("cause")), ("gap", Some("not_recording")), "round {round}: {gap:?}");
    assert_eq!(gap.text("from"), last.text("t"), "round {round}: {gap:?} after {last:?}");
    assert!(gap.text("to") >= start.text("t"), "round {round}: {gap:?} {start:?}");
    start.number("torn_bytes").expect("torn_bytes")
}

#[test]
#[ignore = "root: cargo xtask test"]
fn killed_under_load_it_keeps_what_was_shown_and_tells_what_was_missed() {
    let rounds: u64 = std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let sandbox = Sandbox::new();
    let mut before: Vec<String> = Vec::new();
    let (mut watched, mut torn) = (0, Vec::new());
    for round in 0..rounds {
        let seen = record_and_kill(&sandbox, round);
        assert_no_tampering(&sandbox, round);
        let after = lines(&sandbox);
        assert!(after.starts_with(&before), "round {round}: lines of earlier rounds changed");
        if round > 0 {
            torn.push(assert_told(&before, &after, round));
        }
        let there: HashSet<&str> = after.iter().map(String::as_str).collect();
        for line in &seen {
            assert!(there.contains(line.as_str()), "round {round}: shown, then lost: {line}");
        }
        watched += seen.len();
        before = after;
    }
    let (status, said) = record(&sandbox).stop();
    assert!(status.success(), "{status}\n{said}");
    let after = lines(&sandbox);
    assert!(after.starts_with(&before), "lines of earlier rounds changed");
    torn.push(assert_told(&before, &after, rounds));
    assert_no_tampering(&sandbox, rounds);
    torn.retain(|bytes| *bytes > 0);
    eprintln!(
        "{rounds} kills, {} events in the store, {watched} of them shown before a kill and all still there, \
         {} torn tails ({torn:?} bytes)",
        after.len(),
        torn.len()
    );
}
