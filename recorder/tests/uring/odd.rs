//! Requests of others, and requests whose completion is not seen.

use io_uring::types::Fd;
use io_uring::{IoUring, opcode, squeue};

use super::names::{ask, mkdir};
use super::{Mode, Ring, make_directory, named};
use crate::workload::Run;
use crate::workload::raw;
use crate::workload::site::{AT_FDCWD, Place, join};

const NOBODY: i64 = 65_534;

fn place_in(run: &mut Run, dir: &[u8]) -> Place {
    let leaf = run.plain_leaf();
    Place::new(&join(dir, &leaf), join(dir, &leaf))
}

pub fn everything(run: &mut Run, ring: &mut Ring, home: &[u8]) {
    let dir = join(home, b"odd");
    make_directory(run, &dir);
    without_completion(run, ring, &dir);
    as_another_personality(run, ring, &dir);
}

/// The program does not want to hear of success, so the kernel tells nobody.
fn without_completion(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let place = place_in(run, dir);
    let quiet = |place: &Place| {
        let entry = opcode::MkDirAt::new(Fd(AT_FDCWD), place.name() as *const libc::c_char).mode(0o750);
        entry.build().flags(squeue::Flags::SKIP_SUCCESS | squeue::Flags::IO_HARDLINK)
    };
    let expect = |place: &Place| named("dir_create", place).field("mode_set", 0o750);
    let t0 = raw::now();
    let behind = opcode::Nop::new().build();
    assert_eq!(ring.ask_all(&[quiet(&place), behind.clone()], 1), [Ok(0)]);
    run.note("mkdirat:quiet", (t0, raw::now()), &Ok(0), Some(expect(&place).must(&["unconfirmed"])));
    // A failure is told behind the attempt, where the kernel tells of it.
    let nowhere = Place::new(&join(dir, b"no/where"), join(dir, b"no/where"));
    let flags = libc::O_CREAT | libc::O_WRONLY;
    let open = opcode::OpenAt::new(Fd(AT_FDCWD), nowhere.name() as *const libc::c_char).flags(flags);
    let open = open.build().flags(squeue::Flags::SKIP_SUCCESS);
    let t0 = raw::now();
    assert_eq!(ring.ask_all(&[open], 1), [Err(libc::ENOENT)]);
    let expect = named("file_create", &nowhere).must(&["open"]);
    run.note("openat:quiet", (t0, raw::now()), &Ok(0), Some(expect.clone().must(&["unconfirmed"])));
    run.note("openat:quiet", (t0, raw::now()), &Err(libc::ENOENT), Some(expect));
}

/// Credentials that were registered with the ring before.
fn as_another_personality(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let set = |id: i64| raw::call(libc::SYS_setresuid, &[-1, id, -1]).expect("setresuid");
    set(NOBODY);
    let personality = ring.ring.submitter().register_personality();
    set(0);
    let personality = personality.expect("register_personality");
    let place = place_in(run, dir);
    let entry = opcode::MkDirAt::new(Fd(AT_FDCWD), place.name() as *const libc::c_char).mode(0o750);
    let entry = entry.build().personality(personality);
    let expect = named("dir_create", &place).field("euid", NOBODY);
    run.claim_ids([0, NOBODY as u32, 0, 0]);
    assert_eq!(ask(run, ring, "mkdirat:personality", entry, expect), Err(libc::EACCES));
    run.learn_ids();
}

/// As nobody, in a process of its own.
pub fn as_others(run: &mut Run, mode: Mode, home: &[u8]) {
    let dir = join(home, b"odd");
    run.child(|run| {
        raw::call(libc::SYS_setgroups, &[0, 0]).expect("setgroups");
        raw::call(libc::SYS_setresgid, &[NOBODY, NOBODY, NOBODY]).expect("setresgid");
        raw::call(libc::SYS_setresuid, &[NOBODY, NOBODY, NOBODY]).expect("setresuid");
        run.learn_ids();
        let mut ring = Ring::new(mode);
        let place = place_in(run, &dir);
        assert_eq!(mkdir(run, &mut ring, &place), Err(libc::EACCES));
        let secret = join(&run.home, super::SECRET);
        let secret = Place::new(&secret, secret.clone());
        let read = opcode::OpenAt::new(Fd(AT_FDCWD), secret.name() as *const libc::c_char).build();
        let denied = named("file_denied", &secret).must(&["open"]);
        assert_eq!(ask(run, &mut ring, "openat", read, denied), Err(libc::EACCES));
        let create = opcode::OpenAt::new(Fd(AT_FDCWD), place.name() as *const libc::c_char);
        let create = create.flags(libc::O_CREAT | libc::O_WRONLY).mode(0o600).build();
        let denied = named("file_denied", &place).must(&["open"]);
        assert_eq!(ask(run, &mut ring, "openat", create, denied), Err(libc::EACCES));
        let unlink = opcode::UnlinkAt::new(Fd(AT_FDCWD), secret.name() as *const libc::c_char).build();
        assert_eq!(ask(run, &mut ring, "unlinkat", unlink, named("file_delete", &secret)), Err(libc::EACCES));
        drop(ring);
        9
    });
}

/// A completion that finds no room in its ring, and many requests at once.
pub fn of_rings(run: &mut Run, home: &[u8]) {
    let dir = join(home, b"rings");
    make_directory(run, &dir);
    overflown(run, &dir);
    many_at_once(run, &dir);
}

fn overflown(run: &mut Run, dir: &[u8]) {
    let mut ring: IoUring = IoUring::builder().setup_cqsize(2).build(1).expect("io_uring");
    let mut hand_over = |entry: squeue::Entry, tag: u64| {
        // SAFETY: the names outlive the requests, which are done when submit returns.
        unsafe { ring.submission().push(&entry.user_data(tag)) }.expect("room");
        ring.submit().expect("submit");
    };
    for tag in 0..2 {
        hand_over(opcode::Nop::new().build(), tag);
    }
    let place = place_in(run, dir);
    let entry = opcode::MkDirAt::new(Fd(AT_FDCWD), place.name() as *const libc::c_char).mode(0o750);
    let t0 = raw::now();
    hand_over(entry.build(), 2);
    let expect = named("dir_create", &place).field("mode_set", 0o750);
    // A thread of the kernel's does it, in its own time.
    crate::support::wait_for("the directory", crate::support::LIMIT, || {
        std::path::Path::new(std::str::from_utf8(&place.real).expect("plain")).exists().then_some(())
    });
    run.note("mkdirat:overflow", (t0, u64::MAX), &Ok(0), Some(expect));
}

/// More requests in flight than the probes keep in mind: what is beyond is told at once, without its outcome.
fn many_at_once(run: &mut Run, dir: &[u8]) {
    const COUNT: usize = 1500;
    let mut ring: IoUring = IoUring::builder().setup_cqsize(4096).build(2048).expect("io_uring");
    let places: Vec<Place> = (0..COUNT).map(|_| place_in(run, dir)).collect();
    // The first request waits, and all others behind it.
    let mut pipe = [0_i32; 2];
    raw::call(libc::SYS_pipe2, &[pipe.as_mut_ptr() as i64, 0]).expect("pipe2");
    let mut byte = [0_u8];
    let wait = opcode::Read::new(Fd(pipe[0]), byte.as_mut_ptr(), 1).build();
    let link = squeue::Flags::IO_HARDLINK;
    let t0 = raw::now();
    // SAFETY: names and buffer outlive the wait below.
    unsafe { ring.submission().push(&wait.flags(link)) }.expect("room");
    for place in &places {
        let entry = opcode::MkDirAt::new(Fd(AT_FDCWD), place.name() as *const libc::c_char).mode(0o750);
        // SAFETY: as above.
        unsafe { ring.submission().push(&entry.build().flags(link)) }.expect("room");
    }
    ring.submit().expect("submit");
    raw::call(libc::SYS_write, &[i64::from(pipe[1]), b"x".as_ptr() as i64, 1]).expect("write");
    let mut done = 0;
    while done <= COUNT {
        ring.submit_and_wait(1).expect("wait");
        done += ring.completion().count();
    }
    let times = (t0, raw::now());
    for place in &places {
        let expect = named("dir_create", place).may(&["unconfirmed"]);
        run.note("mkdirat:many", times, &Ok(0), Some(expect));
    }
}
