//! The record is the truth: a workload that knows what it did, and the recorder that must know the same.
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

use support::Sandbox;
use support::compare::compare;
use support::ledger::Entry;
use support::program;
use support::record::tree;

/// Not a test: the process that the tests below start to do the operations.
#[test]
#[ignore = "root: cargo xtask test"]
fn workload_process() {
    workload::run_if_asked();
}

/// Starts the workload below `home`, behind `wrapper` when there is one; returns its pid and its ledger.
fn run_workload(sandbox: &Sandbox, seed: u64, wrapper: &[&str]) -> (u64, Vec<Entry>) {
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let variables = [(workload::HOME, home.into_os_string()), (workload::SEED, seed.to_string().into())];
    program::run("workload_process", wrapper, &variables)
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_record_holds_every_operation_once_and_nothing_else() {
    let seed = std::env::var(workload::SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
    let sandbox = Sandbox::new();
    let daemon = sandbox.record();
    let (pid, ledger) = run_workload(&sandbox, seed, &[]);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let outcome = compare(&ledger, &program::without_frame(tree(&events, pid), pid));
    let expected = ledger.iter().filter(|entry| entry.expect.is_some()).count();
    eprintln!("seed {seed}: {} calls, {expected} events expected\n{}", ledger.len(), outcome.render());
    for difference in &outcome.differences {
        eprintln!("{difference}\n");
    }
    assert!(expected >= 2_000, "the workload is too small: {expected}");
    assert!(outcome.differences.is_empty(), "{} differences", outcome.differences.len());
    sandbox.assert_intact();
}

/// What the ledger and the witness can be compared by: calls that strace 6.1 knows, by the caller's names.
fn is_witnessed(call: &str) -> bool {
    let call = call.split(':').next().unwrap_or(call);
    !matches!(call, "fchmodat2" | "setxattrat" | "removexattrat" | "file_setattr" | "mount_setattr")
        && !matches!(call, "open" | "creat" | "openat" | "openat2" | "open_by_handle_at")
        && !matches!(call, "fork" | "clone" | "clone3" | "spawn" | "_exit" | "(end)" | "execve" | "execveat")
        && !matches!(call, "close" | "close_range" | "dup2" | "dup3")
        && !matches!(call, "bind" | "mq_open" | "mq_unlink" | "mprotect" | "pkey_mprotect" | "io_submit")
        && !matches!(call, "setresuid" | "setresgid" | "setgroups" | "unshare" | "chroot" | "fsmount")
        && !workload::writes::WRITES.contains(&call)
}

fn is_named(expect: &support::ledger::Expect) -> bool {
    expect.must.iter().any(|flag| flag == "from_argument")
}

/// strace can't name directories that are deeper than `PATH_MAX`: there only the last component counts.
fn is_same_path(expected: Option<&str>, seen: &str) -> bool {
    expected.is_none_or(|path| {
        path == seen || (path.len() > 3_500 && path.rsplit('/').next() == seen.rsplit('/').next())
    })
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_ledger_says_what_strace_saw() {
    let sandbox = Sandbox::new();
    let trace = sandbox.path().join("trace");
    let mut wrapper = vec!["strace"];
    wrapper.extend(support::strace::OPTIONS);
    wrapper.push(trace.to_str().expect("UTF-8"));
    let (_, ledger) = run_workload(&sandbox, 7, &wrapper);
    let calls = support::strace::read(&trace, std::path::Path::new("/"));
    let mut promised: Vec<_> = support::strace::promised(&calls, std::collections::HashSet::new())
        .into_iter()
        .filter(|(_, call)| is_witnessed(&call.name))
        .collect();
    let mut differences = Vec::new();
    let mut compared = 0;
    for entry in ledger.iter().filter(|entry| is_witnessed(&entry.call)) {
        let Some(expect) = &entry.expect else { continue };
        if expect.path.as_ref().is_some_and(|path| path.len() > 3_500) && !is_named(expect) {
            continue;
        }
        let found = promised.iter().position(|(seen, call)| {
            call.tid == entry.tid
                && seen.kind == expect.kind
                && seen.result == expect.result
                && is_same_path(expect.path.as_deref(), &seen.path)
                && is_same_path(expect.path_to.as_deref(), &seen.path_to)
        });
        compared += 1;
        match found {
            Some(index) => drop(promised.remove(index)),
            None => differences.push(format!("not seen: {}", serde_json::to_string(entry).expect("json"))),
        }
    }
    // Descriptors below directories that are too deep have no name, or too long a one.
    promised.retain(|(seen, _)| !seen.path.is_empty() && seen.path.len() <= 3_500);
    differences
        .extend(promised.iter().map(|(seen, call)| format!("not in the ledger: {seen:?} {}", call.line)));
    for difference in &differences {
        eprintln!("{difference}\n");
    }
    eprintln!("{compared} operations compared with strace");
    assert!(differences.is_empty(), "{} differences", differences.len());
}
