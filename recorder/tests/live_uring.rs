//! io_uring is no way around the record: a program that changes files by requests alone, and the recorder that must know
//! each of them once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;
mod uring;
mod workload;

use std::os::unix::fs::PermissionsExt as _;

use support::compare::compare;
use support::ledger::Entry;
use support::record::tree;
use support::{Sandbox, program};

/// Not a test: the process that the test below starts to do the requests.
#[test]
#[ignore = "root: cargo xtask test"]
fn uring_process() {
    uring::run_if_asked();
}

/// What the object family tells otherwise: the thread that did the work, which may be one of the kernel's; the outcome,
/// where a request asks for none; and nothing of what was asked but never begun.
fn told_by_object(entry: &mut Entry) {
    let Some(expect) = &mut entry.expect else { return };
    if expect.must.iter().any(|flag| flag == "io_uring") {
        entry.tid = 0;
    }
    // A file is summed up once its last holder lets go, which may be a thread of the kernel's after the completion.
    if entry.call.starts_with("close") {
        entry.t1 = u64::MAX;
    }
    let is_unconfirmed = |flag: &mut String| flag == "unconfirmed";
    expect.may.extend(expect.must.extract_if(.., is_unconfirmed));
    let is_begun = entry.result != "ECANCELED" && !(entry.call == "openat:quiet" && entry.result == "ok");
    expect.is_optional |= !is_begun;
}

#[test]
#[ignore = "root: cargo xtask test"]
fn every_request_is_recorded_once_and_nothing_else() {
    let sandbox = Sandbox::new();
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let secret = home.join(std::str::from_utf8(uring::SECRET).expect("plain"));
    std::fs::write(&secret, "").expect("secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("mode");
    let daemon = sandbox.record();
    let (pid, mut ledger) = program::run("uring_process", &[], &[(uring::HOME, home.into_os_string())]);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let start = events.iter().find(|event| event.kind() == "start").expect("start");
    if start.value["object"].as_array().is_some_and(|kinds| !kinds.is_empty()) {
        ledger.iter_mut().for_each(told_by_object);
    }
    // That rings were made and ids changed are events of their own, which other tests are about.
    let mut done = program::without_frame(tree(&events, pid), pid);
    done.retain(|event| !matches!(event.kind(), "syscall" | "credential"));
    let outcome = compare(&ledger, &done);
    let expected = ledger.iter().filter(|entry| entry.expect.is_some()).count();
    eprintln!("{} calls, {expected} events expected\n{}", ledger.len(), outcome.render());
    for difference in &outcome.differences {
        eprintln!("{difference}\n");
    }
    assert!(expected > 1_500, "the program is too small: {expected}");
    assert!(outcome.differences.is_empty(), "{} differences", outcome.differences.len());
    sandbox.assert_intact();
}
