//! What recording costs those who are recorded: nanoseconds for each run of each program, and what calls pay that nobody
//! records. Prints; what it fails for is only what no noise can make.
#![cfg(feature = "capture")]
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

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use recorder::capture::ring::Reader;
use recorder::capture::{Capture, Choice, Sizes, count_runs};
use recorder::config::Family;
use support::{FAMILY, program};

const SIZES: Sizes = Sizes { critical: 1 << 20, files: 4 << 20 };
/// Calls in one round of one loop, and rounds with and without the recorder, which take turns.
const CALLS: u32 = 20_000;
const ROUNDS: usize = 9;

/// Not a test: the process that the test below starts to do the operations.
#[test]
#[ignore = "root: cargo xtask test"]
fn workload_process() {
    workload::run_if_asked();
}

fn family() -> Family {
    if std::env::var(FAMILY).as_deref() == Ok("syscall") { Family::Syscall } else { Family::Auto }
}

/// Throws away what the probes send; gives how many events that were.
fn drain(mut reader: Reader, is_over: &AtomicBool) -> u64 {
    let mut events = 0;
    while !is_over.load(Ordering::Relaxed) {
        events += reader.next_batch(20).expect("rings").len() as u64;
    }
    events
}

#[test]
#[ignore = "root: cargo xtask test"]
fn each_program_has_a_price() {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut capture = Capture::start_with(SIZES, Choice { family: family(), ..Choice::default() }).unwrap();
    let reader = Reader::new(&mut capture).unwrap();
    let is_over = AtomicBool::new(false);
    let counting = count_runs().unwrap();
    let events = std::thread::scope(|scope| {
        let reading = scope.spawn(|| drain(reader, &is_over));
        let variables =
            [(workload::HOME, directory.path().as_os_str().to_owned()), (workload::SEED, "7".into())];
        program::run("workload_process", &[], &variables);
        is_over.store(true, Ordering::Relaxed);
        reading.join().unwrap()
    });
    let prices = capture.prices();
    drop(counting);
    let mut sum = 0;
    for price in prices.iter().filter(|price| price.runs > 0) {
        sum += price.nanoseconds;
        println!("price: {} {} {} {}", price.name, price.family, price.runs, price.nanoseconds / price.runs);
    }
    println!("price of an event: {} ns ({events} events)", sum / events.max(1));
    let ran = prices.iter().filter(|price| price.runs > 0).count();
    assert!(ran > 10 && events > 1_000, "{ran} programs ran, {events} events");
}

/// Seconds for a loop of calls that nobody records.
fn seconds(call: &dyn Fn()) -> f64 {
    let begin = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    begin.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Ratios of each loop with these hooks against without, in rounds that take turns: attaching takes seconds, so it is
/// done once, and what takes turns is the process that is recorded and one before.
fn ratios(without: fn(&str) -> bool, loops: &[(&str, &dyn Fn())]) -> Vec<f64> {
    let measure = || -> Vec<f64> {
        loops.iter().map(|(_, call)| median((0..ROUNDS).map(|_| seconds(call)).collect())).collect()
    };
    let before = measure();
    let capture =
        Capture::start_with(SIZES, Choice { family: family(), without, ..Choice::default() }).unwrap();
    let with = measure();
    drop(capture);
    let after = measure();
    (0..loops.len()).map(|index| with[index] * 2.0 / (before[index] + after[index])).collect()
}

#[test]
#[ignore = "root: cargo xtask test"]
fn calls_that_are_not_recorded_are_compared() {
    let zero = std::os::fd::OwnedFd::from(std::fs::File::open("/dev/zero").unwrap());
    let read = || {
        rustix::io::read(&zero, &mut [0_u8; 64]).unwrap();
    };
    let loops: [(&str, &dyn Fn()); 3] = [
        ("getpid", &|| {
            workload::raw::call(libc::SYS_getpid, &[]).unwrap();
        }),
        ("read", &read),
        ("stat", &|| {
            rustix::fs::stat("/etc/passwd").unwrap();
        }),
    ];
    let is_syscall: fn(&str) -> bool = |hook| hook.starts_with("tracepoint/");
    let by_object = ratios(is_syscall, &loops);
    let by_all = ratios(|_| false, &loops);
    for (index, (name, _)) in loops.iter().enumerate() {
        println!("ratio: {name} {:.2} {:.2}", by_object[index], by_all[index]);
    }
    let worst = by_object.iter().copied().fold(0.0, f64::max);
    // A busy machine makes any loop slower by half; a hook in the way of every call costs more than that.
    assert!(worst < 2.0, "{by_object:?}");
}
