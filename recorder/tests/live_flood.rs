//! A flood of writes: no exec is lost in it, and every event that is lost is counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use support::record::Record;
use support::{Daemon, LIMIT, Sandbox, wait_for};

/// A flood of one test must not be what another one counts.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
/// Threads that write: one a core.
const THREADS: usize = 2;
/// How long they do.
const SPAN: Duration = Duration::from_secs(4);

/// Writes as fast as it can until told to stop; every other one is refused, which is an event each time, and the rest goes
/// nowhere. Returns how many were refused, and the time of the processor that it took; counts all in `offered`.
fn flood(path: &Path, done: &AtomicBool, offered: &AtomicU64) -> (u64, Duration) {
    let reading = File::open(path).expect("open");
    let nowhere = File::options().write(true).open("/dev/null").expect("open");
    let (reading, nowhere) = (reading.as_raw_fd(), nowhere.as_raw_fd());
    let mut refused = 0;
    while !done.load(Relaxed) {
        for _ in 0..100 {
            for file in [reading, nowhere] {
                // SAFETY: one byte of a constant.
                let wrote = unsafe { libc::write(file, c"x".as_ptr().cast(), 1) };
                refused += u64::from(wrote < 0);
            }
        }
        offered.fetch_add(200, Relaxed);
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (refused, Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32))
}

fn count(events: &[Record], class: &str) -> u64 {
    let gaps = events.iter().filter(|event| event.kind() == "gap" && event.text("class") == Some(class));
    gaps.filter_map(|gap| gap.number("count")).sum()
}

/// What a flood was.
struct Flood {
    /// Writes.
    offered: u64,
    /// Of them those that were refused.
    refused: u64,
    /// Processor time that it had; others use the machine as well.
    busy: Duration,
}

/// A flood, and meanwhile `deed`.
fn during_a_flood(sandbox: &Sandbox, deed: impl FnOnce()) -> Flood {
    let path = sandbox.path().join("flooded");
    std::fs::write(&path, "x").expect("file");
    let (done, offered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| flood(&path, &done, &offered))).collect();
        deed();
        done.store(true, Relaxed);
        let mut flood = Flood { offered: 0, refused: 0, busy: Duration::ZERO };
        for (refused, busy) in threads.into_iter().map(|thread| thread.join().expect("flood")) {
            flood.refused += refused;
            flood.busy += busy;
        }
        flood.offered = offered.load(Relaxed);
        flood
    })
}

fn stop(daemon: Daemon) -> String {
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    said
}

#[test]
#[ignore = "root: cargo xtask test"]
fn one_exec_in_a_flood_of_writes_is_found_and_what_is_lost_is_counted() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut sandbox = Sandbox::new();
    sandbox.configure("[capture]\nring_files = \"1MiB\"\n");
    let daemon = sandbox.record();
    let begin = Instant::now();
    let marker = format!("/needle-{}", std::process::id());
    let kept = sandbox.path().join("made-in-the-flood");
    let Flood { offered, refused, busy } = during_a_flood(&sandbox, || {
        std::thread::sleep(SPAN / 2);
        assert!(Command::new("true").arg(&marker).status().expect("true").success());
        std::fs::write(&kept, "x").expect("file");
        std::thread::sleep(SPAN / 2);
    });
    let rate = offered as f64 / begin.elapsed().as_secs_f64();
    let of_a_core = offered as f64 / busy.as_secs_f64();
    stop(daemon);
    let events = sandbox.events();
    let written = events.iter().filter(|event| {
        event.kind() == "file_write"
            && event.result() == "EBADF"
            && event.pid() == u64::from(std::process::id())
    });
    let written = written.count() as u64;
    let lost = count(&events, "files");
    println!(
        "{rate:.0} writes/s offered, {of_a_core:.0} by a core of its own; {refused} of {offered} are events: {written} recorded, {lost} lost"
    );
    assert!(lost > 0, "the flood was none: {refused} events");
    assert!(written + lost >= refused, "{refused} events, {written} recorded, only {lost} counted as lost");
    let gaps: Vec<_> = events.iter().filter(|event| event.text("class") == Some("critical")).collect();
    assert!(gaps.is_empty(), "{gaps:#?}");
    let is_needle = |event: &&Record| event.kind() == "exec" && event.value["argv"][1] == *marker;
    assert_eq!(events.iter().filter(is_needle).count(), 1);
    // What matters more than writes has the room that they leave.
    let is_made = |event: &&Record| event.kind() == "file_create" && event.text("path") == kept.to_str();
    assert_eq!(events.iter().filter(is_made).count(), 1, "a file that was made in the flood");
    sandbox_is_honest(&sandbox);
}

/// `verify` names the loss and finds nothing else.
fn sandbox_is_honest(sandbox: &Sandbox) {
    let output = sandbox.run("verify", &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("tampering"), "{text}");
    assert!(text.contains("lost"), "{text}");
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_loss_stops_the_machine_when_it_is_to_once_it_is_on_disk() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut sandbox = Sandbox::new();
    let halted = sandbox.path().join("halted");
    // A stand-in for the command that stops the machine: it says what was on disk by then.
    let script = format!(
        "{} query --store {} --kind gap --output jsonl > {2}.new; mv {2}.new {2}",
        support::RECORDER,
        sandbox.store().display(),
        halted.display()
    );
    sandbox.configure(&format!(
        "[capture]\nring_files = \"1MiB\"\non_loss = \"halt\"\nhalt_command = [\"sh\", \"-c\", {script:?}]\n"
    ));
    let daemon = sandbox.record();
    assert!(!halted.exists(), "the time before the recording is no loss");
    during_a_flood(&sandbox, || wait_for("the stand-in", LIMIT, || halted.exists().then_some(())));
    let said = stop(daemon);
    assert_eq!(said.lines().filter(|line| line.contains("stopping the machine")).count(), 1, "{said}");
    let text = std::fs::read_to_string(&halted).expect("what was on disk");
    let gaps: Vec<_> = text.lines().map(Record::parse).collect();
    assert!(gaps.iter().any(|gap| gap.text("cause") == Some("ring_full")), "{text}");
}
