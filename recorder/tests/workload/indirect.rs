//! Changes of a file that no write call makes: requests of `io_submit`, and mappings that `mprotect` makes writable.

use super::Run;
use super::opens::Open;
use super::plan::raw_close;
use super::raw::{self, Outcome, now};
use super::site::{Shape, Site};
use crate::support::ledger::Expect;

/// A `struct iocb`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    data: u64,
    key: u32,
    rw_flags: i32,
    operation: u16,
    priority: i16,
    fd: u32,
    buffer: i64,
    bytes: i64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_fd: u32,
}

impl Request {
    fn new(operation: u16, fd: i64, buffer: i64, bytes: i64) -> Self {
        let (data, key, rw_flags, priority, offset, reserved, flags, event_fd) = (0, 0, 0, 0, 0, 0, 0, 0);
        let fd = fd as u32;
        Self {
            data,
            key,
            rw_flags,
            operation,
            priority,
            fd,
            buffer,
            bytes,
            offset,
            reserved,
            flags,
            event_fd,
        }
    }

    pub fn write(fd: i64, from: i64, bytes: i64) -> Self {
        Self::new(1, fd, from, bytes)
    }

    pub fn write_parts(fd: i64, parts: i64, count: i64) -> Self {
        Self::new(8, fd, parts, count)
    }
}

/// Submits requests and waits for those that were taken: the sum of what they moved.
pub fn submit(requests: &[Request]) -> Outcome {
    let mut context = 0_u64;
    let count = requests.len() as i64;
    raw::call(libc::SYS_io_setup, &[count, (&raw mut context) as i64]).expect("io_setup");
    let addresses: Vec<*const Request> = requests.iter().map(|request| &raw const *request).collect();
    let submitted = raw::call(libc::SYS_io_submit, &[context as i64, count, addresses.as_ptr() as i64]);
    let outcome = submitted.map(|taken| {
        // struct io_event: data, object, two results.
        let mut events = vec![[0_i64; 4]; requests.len()];
        let at = events.as_mut_ptr() as i64;
        raw::call(libc::SYS_io_getevents, &[context as i64, taken, taken, at, 0]).expect("io_getevents");
        assert!(events.iter().all(|event| event[2] >= 0), "{events:?}");
        events.iter().map(|event| event[2]).sum()
    });
    raw::call(libc::SYS_io_destroy, &[context as i64]).expect("io_destroy");
    outcome
}

pub fn everything(run: &mut Run, site: &Site) {
    several_requests(run, site);
    refused_requests(run, site);
    for call in ["mprotect", "pkey_mprotect"] {
        made_writable(run, site, call);
        two_at_once(run, site, call);
        refused_protection(run, site, call);
    }
    not_of_files(run, site);
}

/// One call with requests of many sorts: each file's first write is told.
fn several_requests(run: &mut Run, site: &Site) {
    let mut files: Vec<Open> = (0..3).map(|_| new_file(run, site)).collect();
    let buffer = vec![7_u8; 5000];
    let from = buffer.as_ptr() as i64;
    let parts: Vec<[i64; 2]> = (1..=8).map(|length| [from, length]).collect();
    let [a, b, c] = [0, 1, 2].map(|index| i64::from(files[index].fd));
    let requests = [
        Request::write(a, from, 5000),
        // IOCB_CMD_PREAD and IOCB_CMD_FDSYNC: nothing is written.
        Request::new(0, c, from, 10),
        Request::new(3, c, 0, 0),
        Request::write_parts(b, parts.as_ptr() as i64, 8),
        Request::write(a, from, 30),
    ];
    let t0 = now();
    let outcome = submit(&requests);
    let times = (t0, now());
    assert_eq!(outcome, Ok(5000 + 36 + 30), "what the requests moved");
    for (index, first, bytes, calls) in [(0, 5000, 5030, 2), (1, 36, 36, 1)] {
        let open = &mut files[index];
        let expect = open.expect("file_write").must(&["first", "io_submit"]).field("bytes", first);
        run.note("io_submit", times, &outcome, Some(expect));
        (open.bytes, open.calls) = (bytes, calls);
        open.marks.push("io_submit");
    }
    files.into_iter().for_each(|open| run.close(open));
}

/// The first request decides what the call says.
fn refused_requests(run: &mut Run, site: &Site) {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    run.make(&place);
    let fd = run.open("openat", &place, libc::O_RDONLY, true).expect("open");
    let refused = Expect::new("file_write").path(&place.real).must(&["io_submit"]);
    let request = [Request::write(fd, 8, 16)];
    assert!(run.act("io_submit", || submit(&request), |_| Some(refused)).is_err(), "read only");
    let read = [Request::new(0, 9999, 8, 16)];
    assert!(run.act("io_submit", || submit(&read), |_| None).is_err(), "no such descriptor");
    raw_close(fd);
}

fn new_file(run: &mut Run, site: &Site) -> Open {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    // Not by creat(2): a mapping wants to read as well.
    let fd = raw::fd_of(run.open("openat", &place, libc::O_CREAT | libc::O_RDWR, false));
    Open::new(fd, place.real)
}

const READ: i64 = libc::PROT_READ as i64;
const BOTH: i64 = (libc::PROT_READ | libc::PROT_WRITE) as i64;
const PAGE: i64 = 4096;

/// Maps pages of an open file for reading only.
fn map(open: &Open, at: i64, pages: i64, flags: i32) -> i64 {
    let flags = i64::from(flags | if at == 0 { 0 } else { libc::MAP_FIXED });
    raw::call(libc::SYS_mmap, &[at, pages * PAGE, READ, flags, i64::from(open.fd), 0]).expect("mmap")
}

fn protect(call: &str, at: i64, pages: i64, protection: i64) -> Outcome {
    match call {
        "mprotect" => raw::call(libc::SYS_mprotect, &[at, pages * PAGE, protection]),
        // Key -1 is no key.
        _ => raw::call(libc::SYS_pkey_mprotect, &[at, pages * PAGE, protection, -1]),
    }
}

fn unmap(at: i64, pages: i64) {
    raw::call(libc::SYS_munmap, &[at, pages * PAGE]).expect("munmap");
}

/// Told when it becomes writable, not when it is or was.
fn made_writable(run: &mut Run, site: &Site, call: &str) {
    let open = new_file(run, site);
    let at = map(&open, 0, 3, libc::MAP_SHARED);
    let expect = |bytes: i64| open.expect("file_map_write").field("bytes", bytes);
    let steps = [
        (at + PAGE, 1, READ, vec![]),
        (at + PAGE, 1, BOTH, vec![PAGE]),
        (at + PAGE, 1, BOTH, vec![]),
        // The middle page is writable by now.
        (at, 3, BOTH, vec![PAGE, PAGE]),
        (at, 3, READ, vec![]),
        (at, 3, BOTH, vec![3 * PAGE]),
    ];
    for (at, pages, protection, told) in steps {
        let t0 = now();
        let outcome = protect(call, at, pages, protection);
        let times = (t0, now());
        outcome.expect(call);
        if told.is_empty() {
            run.note(call, times, &outcome, None);
        }
        told.into_iter().for_each(|bytes| run.note(call, times, &outcome, Some(expect(bytes))));
    }
    unmap(at, 3);
    run.close(open);
}

/// One call over mappings of two files, a private one between them.
fn two_at_once(run: &mut Run, site: &Site, call: &str) {
    let files: Vec<Open> = (0..2).map(|_| new_file(run, site)).collect();
    let at = map(&files[0], 0, 4, libc::MAP_SHARED);
    map(&files[1], at + PAGE, 1, libc::MAP_PRIVATE);
    map(&files[1], at + 2 * PAGE, 2, libc::MAP_SHARED);
    let t0 = now();
    let outcome = protect(call, at, 4, BOTH);
    let times = (t0, now());
    outcome.expect(call);
    for (open, pages) in files.iter().zip([1, 2]) {
        let expect = open.expect("file_map_write").field("bytes", pages * PAGE);
        run.note(call, times, &outcome, Some(expect));
    }
    unmap(at, 4);
    files.into_iter().for_each(|open| run.close(open));
}

/// A file that is open for reading only can't be mapped for writing later.
fn refused_protection(run: &mut Run, site: &Site, call: &str) {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    run.make(&place);
    let fd = raw::fd_of(run.open("openat", &place, libc::O_RDONLY, true));
    let open = Open::new(fd, place.real);
    let at = map(&open, 0, 1, libc::MAP_SHARED);
    let refused = open.expect("file_map_write").field("bytes", PAGE);
    assert_eq!(run.act(call, || protect(call, at, 1, BOTH), |_| Some(refused)), Err(libc::EACCES));
    unmap(at, 1);
    raw_close(i64::from(fd));
}

/// Private mappings, and memory that is of no file: no events.
fn not_of_files(run: &mut Run, site: &Site) {
    let open = new_file(run, site);
    let at = map(&open, 0, 1, libc::MAP_PRIVATE);
    run.act("mprotect", || protect("mprotect", at, 1, BOTH), |_| None).expect("mprotect");
    unmap(at, 1);
    run.close(open);
    for flags in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        let flags = i64::from(flags | libc::MAP_ANONYMOUS);
        let at = raw::call(libc::SYS_mmap, &[0, PAGE, READ, flags, -1, 0]).expect("mmap");
        run.act("mprotect", || protect("mprotect", at, 1, BOTH), |_| None).expect("mprotect");
        unmap(at, 1);
    }
    let memory = raw::call(libc::SYS_shmget, &[0, PAGE, 0o600 | i64::from(libc::IPC_CREAT)]).expect("shmget");
    let at = raw::call(libc::SYS_shmat, &[memory, 0, i64::from(libc::SHM_RDONLY)]).expect("shmat");
    run.act("mprotect", || protect("mprotect", at, 1, READ), |_| None).expect("mprotect");
    raw::call(libc::SYS_shmdt, &[at]).expect("shmdt");
    let at = raw::call(libc::SYS_shmat, &[memory, 0, 0]).expect("shmat");
    run.act("mprotect", || protect("mprotect", at, 1, READ), |_| None).expect("mprotect");
    run.act("mprotect", || protect("mprotect", at, 1, BOTH), |_| None).expect("mprotect");
    raw::call(libc::SYS_shmdt, &[at]).expect("shmdt");
    raw::call(libc::SYS_shmctl, &[memory, i64::from(libc::IPC_RMID), 0]).expect("shmctl");
}
