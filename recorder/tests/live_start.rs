//! The start: what ran already is known by its program, and what was missed since the boot is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::record::Record;
use support::{Daemon, LIMIT, Sandbox, wait_for};

fn stop(daemon: Daemon) {
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
}

fn last<'a>(events: &'a [Record], kind: &str) -> &'a Record {
    events.iter().rfind(|event| event.kind() == kind).expect(kind)
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_process_that_ran_before_is_known_by_its_program() {
    let sandbox = Sandbox::new();
    let made = sandbox.path().join("made");
    let script = format!("read line; echo x > {}", made.display());
    let mut shell = Command::new("bash").arg("-c").arg(script).stdin(Stdio::piped()).spawn().expect("bash");
    let exe = wait_for("the shell", LIMIT, || {
        let exe = std::fs::read_link(format!("/proc/{}/exe", shell.id())).ok()?;
        exe.to_str()?.ends_with("/bash").then(|| exe.to_str().map(str::to_owned))?
    });
    let daemon = sandbox.record();
    shell.stdin.take().expect("stdin").write_all(b"\n").expect("write");
    assert!(shell.wait().expect("wait").success());
    stop(daemon);
    let events = sandbox.events();
    let create = events.iter().find(|event| event.text("path") == made.to_str()).expect("the file");
    assert_eq!(create.kind(), "file_create");
    assert_eq!((create.pid(), create.text("exe")), (u64::from(shell.id()), Some(exe.as_str())));
    assert!(create.text("key").is_some_and(|key| !key.ends_with("-0")), "{create:?}");
    // This test and the shell, for a start.
    assert!(last(&events, "start").number("running").expect("running") >= 2);
}

#[test]
#[ignore = "root: cargo xtask test"]
fn what_was_missed_since_the_boot_is_said() {
    let sandbox = Sandbox::new();
    stop(sandbox.record());
    let first = sandbox.events();
    let (start, gap) = (last(&first, "start"), last(&first, "gap"));
    let booted = start.text("booted").expect("booted");
    assert_eq!(gap.text("cause"), Some("not_recording"), "{gap:?}");
    assert_eq!(gap.text("from"), Some(booted), "nothing is recorded from before");
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
    let up = at(start.text("t").expect("t")).duration_since(at(booted)).as_nanos();
    let mono = i128::from(start.number("mono").expect("mono"));
    assert!((up - mono).abs() < 1_000_000_000, "up for {up} ns, by the boot clock for {mono} ns");
    // The next start of the same boot misses what was between them, no more.
    stop(sandbox.record());
    let second = sandbox.events();
    assert_eq!(last(&second, "gap").text("from"), last(&first, "stop").text("t"));
    sandbox.assert_intact();
}
