//! Requests on open files: how they are opened, written, changed and closed, by descriptor and in slots of the ring.

use io_uring::types::{DestinationSlot, Fd, Fixed, OpenHow};
use io_uring::{opcode, squeue};

use super::names::ask;
use super::{Ring, asked, make_directory};
use crate::support::ledger::Expect;
use crate::workload::Run;
use crate::workload::opens::Open;
use crate::workload::plan::raw_close;
use crate::workload::raw;
use crate::workload::site::{AT_FDCWD, Place, join};

const LENGTH: u32 = 100;

pub fn everything(run: &mut Run, ring: &mut Ring, home: &[u8]) {
    let dir = join(home, b"files");
    make_directory(run, &dir);
    written(run, ring, &dir);
    changed(run, ring, &dir);
    in_slots(run, ring, &dir);
    in_one_chain(run, ring, &dir);
    refused(run, ring, &dir);
    commands(run, ring);
    sockets(run, ring, &dir);
}

fn place_in(run: &mut Run, dir: &[u8]) -> Place {
    let leaf = run.leaf();
    Place::new(&join(dir, &leaf), join(dir, &leaf))
}

fn path(place: &Place) -> *const libc::c_char {
    place.name() as *const libc::c_char
}

/// Opens by openat2.
fn open(run: &mut Run, ring: &mut Ring, place: &Place, flags: i32, expect: Option<Expect>) -> Open {
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { 0o600 };
    let how = OpenHow::new().flags(flags as u64).mode(mode);
    let entry = opcode::OpenAt2::new(Fd(AT_FDCWD), path(place), &raw const how).build();
    let fd = run.act("openat2", || ring.ask(entry), |_| expect.map(asked));
    Open::new(raw::fd_of(fd), place.real.clone())
}

fn created(place: &Place) -> Option<Expect> {
    Some(Expect::new("file_create").path(&place.real))
}

/// Writes by a request: the first one leaves an event.
fn write(run: &mut Run, ring: &mut Ring, open: &mut Open, call: &str, entry: squeue::Entry) {
    let first = open.calls == 0;
    let wrote = run.act(
        call,
        || ring.ask(entry),
        |outcome| {
            let bytes = outcome.expect(call);
            first.then(|| asked(open.expect("file_write")).must(&["first"]).field("bytes", bytes))
        },
    );
    open.bytes += wrote.expect(call) as u64;
    open.calls += 1;
    if !open.marks.contains(&"io_uring") {
        open.marks.push("io_uring");
    }
}

/// Every sort of write, through one open file and through one each; system calls between them count as well.
fn written(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let buffer = vec![7_u8; LENGTH as usize];
    let from = buffer.as_ptr();
    let parts: Vec<libc::iovec> =
        (1..=10).map(|iov_len| libc::iovec { iov_base: from.cast_mut().cast(), iov_len }).collect();
    let registered = [libc::iovec { iov_base: from.cast_mut().cast(), iov_len: buffer.len() }];
    // SAFETY: the buffer outlives its registration.
    unsafe { ring.ring.submitter().register_buffers(&registered) }.expect("register_buffers");
    let mut pipe = [0_i32; 2];
    raw::call(libc::SYS_pipe2, &[pipe.as_mut_ptr() as i64, 0]).expect("pipe2");
    let fill = |count: i64| {
        raw::call(libc::SYS_write, &[i64::from(pipe[1]), from as i64, count]).expect("fill the pipe");
    };
    let write_entry = |fd: i32| opcode::Write::new(Fd(fd), from, LENGTH).build();
    let writes: [(&str, &dyn Fn(i32) -> squeue::Entry); 4] = [
        ("write", &write_entry),
        ("writev", &|fd| opcode::Writev::new(Fd(fd), parts.as_ptr(), 10).offset(5).build()),
        ("write_fixed", &|fd| opcode::WriteFixed::new(Fd(fd), from, LENGTH, 0).offset(9).build()),
        ("splice", &|fd| {
            fill(33);
            opcode::Splice::new(Fd(pipe[0]), -1, Fd(fd), 3, 33).build()
        }),
    ];
    for skipped in 0..writes.len() {
        let place = place_in(run, dir);
        let mut file = open(run, ring, &place, libc::O_CREAT | libc::O_RDWR, created(&place));
        for index in 0..writes.len() {
            let (call, entry) = writes[(index + skipped) % writes.len()];
            let entry = entry(file.fd);
            write(run, ring, &mut file, call, entry);
        }
        let fd = i64::from(file.fd);
        run.act("write(2)", || raw::call(libc::SYS_write, &[fd, from as i64, 10]), |_| None).expect("write");
        (file.bytes, file.calls) = (file.bytes + 10, file.calls + 1);
        close(run, ring, &file);
    }
    // Begun by a system call, gone by one.
    let place = place_in(run, dir);
    let mut file = open(run, ring, &place, libc::O_CREAT | libc::O_RDWR, created(&place));
    let fd = i64::from(file.fd);
    let first = file.expect("file_write").must(&["first"]).field("bytes", 10);
    run.act("write(2)", || raw::call(libc::SYS_write, &[fd, from as i64, 10]), |_| Some(first))
        .expect("write");
    (file.bytes, file.calls) = (10, 1);
    let entry = write_entry(file.fd);
    write(run, ring, &mut file, "write", entry);
    run.close(file);
    let emptied = Expect::new("file_truncate").path(&place.real).must(&["open"]);
    let file = open(run, ring, &place, libc::O_TRUNC | libc::O_RDWR, Some(emptied));
    close(run, ring, &file);
    let file = open(run, ring, &place, libc::O_RDONLY, None);
    close(run, ring, &file);
    ring.ring.submitter().unregister_buffers().expect("unregister_buffers");
    pipe.into_iter().for_each(|fd| raw_close(i64::from(fd)));
}

/// Closes by a request: the summary is the ring's.
fn close(run: &mut Run, ring: &mut Ring, file: &Open) {
    let entry = opcode::Close::new(Fd(file.fd)).build();
    run.act("close", || ring.ask(entry), |_| Run::summary(file)).expect("close");
}

/// Lengths and attributes.
fn changed(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let place = place_in(run, dir);
    let file = open(run, ring, &place, libc::O_CREAT | libc::O_RDWR, created(&place));
    let fd = Fd(file.fd);
    let length = |bytes: i64| asked(file.expect("file_truncate")).field("bytes", bytes);
    let entry = opcode::Ftruncate::new(fd, 10_000).build();
    ask(run, ring, "ftruncate", entry, length(10_000)).expect("ftruncate");
    let entry = opcode::Fallocate::new(fd, 50_000).offset(100).build();
    ask(run, ring, "fallocate", entry, length(50_000)).expect("fallocate");
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let entry = opcode::Fallocate::new(fd, 4096).mode(punch).build();
    ask(run, ring, "fallocate:punch", entry, length(4096)).expect("fallocate");
    let entry = opcode::Fallocate::new(fd, 4096).mode(0x1000).build();
    assert_eq!(ask(run, ring, "fallocate:no", entry, length(4096)), Err(libc::EOPNOTSUPP));
    let set = |fd: Fd, name: &std::ffi::CStr| {
        opcode::FSetXattr::new(fd, name.as_ptr(), b"value".as_ptr().cast(), 5).build()
    };
    let attribute = |name: &[u8]| asked(file.expect("attr_xattr")).text("xattr", name);
    ask(run, ring, "fsetxattr", set(fd, c"trusted.ring"), attribute(b"trusted.ring")).expect("fsetxattr");
    let unknown = ask(run, ring, "fsetxattr", set(fd, c"no.such"), attribute(b"no.such"));
    assert_eq!(unknown, Err(libc::EOPNOTSUPP));
    let nothing = asked(Expect::new("file_truncate")).must(&["unresolved"]).field("bytes", 7);
    let entry = opcode::Ftruncate::new(Fd(8888), 7).build();
    assert_eq!(ask(run, ring, "ftruncate", entry, nothing), Err(libc::EBADF));
    close(run, ring, &file);
}

/// Files that are in the ring's own table and have no descriptor.
fn in_slots(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    ring.ring.submitter().register_files_sparse(8).expect("register_files");
    let buffer = vec![7_u8; LENGTH as usize];
    for slot in [3, u32::MAX] {
        let place = place_in(run, dir);
        let to = if slot == u32::MAX {
            DestinationSlot::auto_target()
        } else {
            DestinationSlot::try_from_slot_target(slot).expect("slot")
        };
        let flags = libc::O_CREAT | libc::O_RDWR;
        let entry = opcode::OpenAt::new(Fd(AT_FDCWD), path(&place))
            .flags(flags)
            .mode(0o600)
            .file_index(Some(to))
            .build();
        let opened = ask(run, ring, "openat:slot", entry, asked(created(&place).expect("some")));
        let slot = if slot == u32::MAX { opened.expect("openat") as u32 } else { slot };
        let mut file = Open::new(-1, place.real.clone());
        for _ in 0..2 {
            let entry = opcode::Write::new(Fixed(slot), buffer.as_ptr(), LENGTH).build();
            write(run, ring, &mut file, "write:slot", entry);
        }
        let entry = opcode::Ftruncate::new(Fixed(slot), 5).build();
        let length = asked(file.expect("file_truncate")).field("bytes", 5);
        ask(run, ring, "ftruncate:slot", entry, length).expect("ftruncate");
        let entry = opcode::Close::new(Fixed(slot)).build();
        run.act("close:slot", || ring.ask(entry), |_| Run::summary(&file)).expect("close");
    }
}

/// Opened, written and closed by requests that were handed over together.
fn in_one_chain(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let place = place_in(run, dir);
    let buffer = vec![7_u8; LENGTH as usize];
    let slot = DestinationSlot::try_from_slot_target(5).expect("slot");
    let flags = libc::O_CREAT | libc::O_RDWR;
    let open = opcode::OpenAt::new(Fd(AT_FDCWD), path(&place))
        .flags(flags)
        .mode(0o600)
        .file_index(Some(slot))
        .build();
    let write = opcode::Write::new(Fixed(5), buffer.as_ptr(), LENGTH).build();
    let close = opcode::Close::new(Fixed(5)).build();
    let linked = |entry: squeue::Entry| entry.flags(squeue::Flags::IO_LINK);
    let t0 = raw::now();
    let outcomes = ring.ask_all(&[linked(open), linked(write), close], 3);
    let times = (t0, raw::now());
    assert_eq!(outcomes[1..], [Ok(i64::from(LENGTH)), Ok(0)], "{outcomes:?}");
    let mut file = Open::new(-1, place.real.clone());
    run.note("openat:chain", times, &outcomes[0], created(&place).map(asked));
    let first = asked(file.expect("file_write")).must(&["first"]).field("bytes", LENGTH);
    run.note("write:chain", times, &outcomes[1], Some(first));
    (file.bytes, file.calls) = (LENGTH.into(), 1);
    file.marks.push("io_uring");
    run.note("close:chain", times, &outcomes[2], Run::summary(&file));
    // The first one fails: the second one is never done, and told as that.
    let missing = Place::new(&join(dir, b"no/where"), join(dir, b"no/where"));
    let open = opcode::OpenAt::new(Fd(AT_FDCWD), path(&missing)).flags(libc::O_WRONLY).build();
    let make = opcode::MkDirAt::new(Fd(AT_FDCWD), path(&missing)).build();
    let t0 = raw::now();
    let outcomes = ring.ask_all(&[linked(open), make], 2);
    let times = (t0, raw::now());
    assert_eq!(outcomes, [Err(libc::ENOENT), Err(libc::ECANCELED)]);
    let opened = super::named("file_write", &missing).must(&["open"]);
    run.note("openat:chain", times, &outcomes[0], Some(opened));
    run.note("mkdirat:chain", times, &outcomes[1], Some(super::named("dir_create", &missing)));
}

fn refused(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let place = place_in(run, dir);
    let file = open(run, ring, &place, libc::O_CREAT | libc::O_RDWR, created(&place));
    close(run, ring, &file);
    let file = open(run, ring, &place, libc::O_RDONLY, None);
    let buffer = [0_u8; 16];
    let entry = opcode::Write::new(Fd(file.fd), buffer.as_ptr(), 16).build();
    let refused = asked(file.expect("file_write"));
    assert_eq!(ask(run, ring, "write", entry, refused), Err(libc::EBADF));
    close(run, ring, &file);
    let entry = opcode::Write::new(Fd(8888), buffer.as_ptr(), 16).build();
    let outcome = run.act("write", || ring.ask(entry), |_| None);
    assert_eq!(outcome, Err(libc::EBADF), "there is no such file to tell of");
}

/// Commands to drivers: told of devices, not of sockets.
fn commands(run: &mut Run, ring: &mut Ring) {
    let fd = raw::fd_of(raw::call(libc::SYS_open, &[c"/dev/null".as_ptr() as i64, 2, 0]));
    let mut file = Open::new(fd, b"/dev/null".to_vec());
    let first = asked(file.expect("file_write")).must(&["first", "command"]);
    let entry = opcode::UringCmd16::new(Fd(fd), 7).build();
    ask(run, ring, "uring_cmd", entry.clone(), first).expect("uring_cmd");
    run.act("uring_cmd", || ring.ask(entry), |_| None).expect("uring_cmd");
    (file.calls, file.marks) = (2, vec!["io_uring", "command"]);
    close(run, ring, &file);
    let socket = raw::fd_of(raw::call(libc::SYS_socket, &[2, 1, 0]));
    let entry = opcode::UringCmd16::new(Fd(socket), 0).build();
    let _ = run.act("uring_cmd:socket", || ring.ask(entry), |_| None);
    raw_close(i64::from(socket));
}

/// A Unix socket makes a node.
fn sockets(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let leaf = run.plain_leaf();
    let name = join(dir, &leaf);
    let mut address = libc::sockaddr_un { sun_family: 1, sun_path: [0; 108] };
    assert!(name.len() < 108, "the sandbox has a short name");
    for (to, from) in address.sun_path.iter_mut().zip(&name) {
        *to = *from as libc::c_char;
    }
    let length = (2 + name.len()) as u32;
    let bind = |fd: i32| opcode::Bind::new(Fd(fd), (&raw const address).cast(), length).build();
    for expect in [
        Expect::new("node_create").path(&name),
        Expect::new("node_create").path(&name).must(&["from_argument"]),
    ] {
        let socket = raw::fd_of(raw::call(libc::SYS_socket, &[1, 1, 0]));
        let _ = run.act("bind", || ring.ask(bind(socket)), |_| Some(asked(expect)));
        raw_close(i64::from(socket));
    }
}
