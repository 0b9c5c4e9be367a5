//! Where a probe looks at so many parts of a call and no more, what is beyond is counted, and told as a gap.
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

use std::os::fd::AsRawFd as _;

use support::Sandbox;
use workload::indirect::{Request, submit};
use workload::raw;

/// A recorder sees the whole machine: what one test has lost on purpose, the other one must not find.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
/// Requests beyond the 1,024 that are looked at.
const BEYOND: u64 = 7;
const PAGE: i64 = 4096;

#[test]
#[ignore = "root: cargo xtask test"]
fn what_is_beyond_a_bound_is_a_gap() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let files: Vec<_> = (0..10)
        .map(|index| {
            let path = home.join(format!("f{index}"));
            let file =
                std::fs::File::options().create(true).read(true).write(true).truncate(false).open(path);
            file.expect("file")
        })
        .collect();
    let descriptor = |index: usize| i64::from(files[index].as_raw_fd());
    // Ten mappings side by side, of which a call of mprotect looks at eight.
    let fixed = i64::from(libc::MAP_SHARED | libc::MAP_FIXED);
    let private = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let at = raw::call(libc::SYS_mmap, &[0, 10 * PAGE, 0, private, -1, 0]).expect("mmap");
    for index in 0..10 {
        let to = at + index as i64 * PAGE;
        let arguments = [to, PAGE, i64::from(libc::PROT_READ), fixed, descriptor(index), 0];
        raw::call(libc::SYS_mmap, &arguments).expect("mmap");
    }
    let daemon = sandbox.record();
    let from = b"x".as_ptr() as i64;
    let requests: Vec<_> = (0..1024 + BEYOND).map(|_| Request::write(descriptor(0), from, 1)).collect();
    assert_eq!(submit(&requests), Ok(1024 + BEYOND as i64), "what the requests wrote");
    let both = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    raw::call(libc::SYS_mprotect, &[at, 10 * PAGE, both]).expect("mprotect");
    drop(files);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    let is_ours =
        |path: Option<&str>| path.is_some_and(|path| path.starts_with(home.to_str().expect("UTF-8")));
    let of_kind = |kind: &str| {
        events.iter().filter(|event| event.kind() == kind && is_ours(event.text("path"))).count()
    };
    assert_eq!(of_kind("file_map_write"), 8);
    assert_eq!(
        of_kind("file_write"),
        1,
        "the mapping holds the file, and its descriptor is closed before it"
    );
    let gaps = events.iter().filter(|event| event.text("cause") == Some("missing"));
    let missing: u64 = gaps.map(|gap| gap.number("count").unwrap_or(0)).sum();
    assert_eq!(missing, BEYOND + 1, "requests and one call of mprotect");
}

/// Threads that change the mappings of one process, for which they hold the kernel's lock.
const THREADS: usize = 6;
const ROUNDS: i64 = 400;

#[test]
#[ignore = "root: cargo xtask test"]
fn threads_that_change_their_mappings_hide_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let sandbox = Sandbox::new();
    let path = sandbox.path().join("mapped");
    let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path).expect("file");
    let read = i64::from(libc::PROT_READ);
    let both = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let shared = [0, PAGE, read, i64::from(libc::MAP_SHARED), i64::from(file.as_raw_fd()), 0];
    let at = raw::call(libc::SYS_mmap, &shared).expect("mmap");
    let daemon = sandbox.record();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let private = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let at = raw::call(libc::SYS_mmap, &[0, 64 * PAGE, read, private, -1, 0]).expect("mmap");
                    raw::call(libc::SYS_mprotect, &[at + PAGE, 62 * PAGE, both]).expect("mprotect");
                    raw::call(libc::SYS_munmap, &[at, 64 * PAGE]).expect("munmap");
                }
            });
        }
        for _ in 0..ROUNDS {
            raw::call(libc::SYS_mprotect, &[at, PAGE, both]).expect("mprotect");
            raw::call(libc::SYS_mprotect, &[at, PAGE, read]).expect("mprotect");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let told =
        events.iter().filter(|event| event.kind() == "file_map_write" && event.text("path") == path.to_str());
    assert_eq!(told.count(), usize::try_from(ROUNDS).expect("small"));
}
