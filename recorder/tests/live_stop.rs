//! Beginning and end: the record is complete from the time that its `start` says until the one of its `stop`, the next
//! start says what was missed in between, and no hook stays behind.
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
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use support::record::Record;
use support::{LIMIT, Sandbox, signal, wait_for};

fn boot_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn last<'a>(events: &'a [Record], kind: &str) -> &'a Record {
    events.iter().rfind(|event| event.kind() == kind).expect(kind)
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_record_is_complete_until_the_time_of_its_stop() {
    let sandbox = Sandbox::new();
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let mut daemon = sandbox.record();
    let mut made = Vec::new();
    let mut make = || {
        let path = home.join(format!("f{}", made.len()));
        std::fs::write(&path, "x").expect("write");
        made.push((path.to_str().expect("UTF-8").to_owned(), boot_ns()));
    };
    make();
    signal(daemon.pid(), libc::SIGTERM);
    let status = wait_for("the daemon's end", LIMIT, || {
        make();
        daemon.try_wait()
    });
    assert!(status.success(), "{status}");
    let first = sandbox.events();
    let stop = last(&first, "stop");
    let until = stop.number("mono").expect("mono");
    let kept: HashSet<_> = first.iter().filter_map(|event| event.text("path")).collect();
    let missing: Vec<_> =
        made.iter().filter(|(path, at)| *at < until && !kept.contains(path.as_str())).collect();
    assert!(missing.is_empty(), "made before the stop at {until}: {missing:#?}");
    assert!(
        made.len() > kept.iter().filter(|path| path.contains("/home/f")).count(),
        "probes outlive the record"
    );
    let again = sandbox.record();
    let (status, said) = again.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    let gap = last(&events, "gap");
    assert_eq!(gap.text("cause"), Some("not_recording"), "{gap:?} {stop:?}");
    assert_eq!(gap.text("from"), stop.text("t"), "{gap:?} {stop:?}");
    sandbox.assert_intact();
}

/// Attaching takes seconds in which nobody reads the rings: this storm fills the smallest of them in less than one.
#[test]
#[ignore = "root: cargo xtask test"]
fn a_start_in_the_middle_of_a_storm_loses_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.configure("[capture]\nring_critical = \"1MiB\"\n");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + LIMIT;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                Command::new("true").status().expect("true");
            }
        });
        let daemon = sandbox.record();
        wait_for("an exec of the storm", LIMIT, || {
            sandbox
                .run("query", &["--exe", "true", "--kind", "exec", "-n", "1"])
                .status
                .success()
                .then_some(())
        });
        is_over.store(true, Ordering::Relaxed);
        let (status, said) = daemon.stop();
        assert!(status.success(), "{status}\n{said}");
    });
    sandbox.assert_nothing_lost(&sandbox.events());
    sandbox.assert_intact();
}

/// The BPF programs that a process holds, by id.
fn programs_of(pid: u32) -> Vec<u64> {
    let directory = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("fdinfo");
    let texts = directory.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let id = |text: String| {
        text.lines().find_map(|line| line.strip_prefix("prog_id:")).and_then(|id| id.trim().parse().ok())
    };
    texts.filter_map(id).collect()
}

/// Whether the kernel still has a program.
fn is_loaded(id: u64) -> bool {
    const PROG_GET_FD_BY_ID: i64 = 13;
    let attributes = [id, 0];
    // SAFETY: the attributes are as long as the call is told.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, attributes.as_ptr(), 16) };
    if fd >= 0 {
        // SAFETY: the kernel has just given it to us.
        drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptor")) });
    }
    fd >= 0
}

#[test]
#[ignore = "root: cargo xtask test"]
fn no_hook_stays_behind_however_it_ends() {
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGKILL, libc::SIGABRT] {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.record();
        let programs = programs_of(daemon.pid());
        assert!(programs.len() > 80 && programs.iter().all(|id| is_loaded(*id)), "{programs:?}");
        signal(daemon.pid(), number);
        daemon.wait();
        // An attached program is a loaded one. The kernel frees them a moment after the last link has gone.
        wait_for("the kernel to forget the programs", LIMIT, || {
            programs.iter().all(|id| !is_loaded(*id)).then_some(())
        });
    }
}
