//! Names that are made for talking: nodes of Unix sockets, and message queues.

use super::raw::{self, Outcome, c};
use super::site::{Place, SHAPES, Shape, Site, join};
use super::{Run, named};
use crate::support::ledger::Expect;

/// Bytes of `struct sockaddr_un`: family and name.
const ADDRESS: usize = 110;

/// A new Unix stream socket.
fn socket() -> i64 {
    raw::call(libc::SYS_socket, &[i64::from(libc::AF_UNIX), i64::from(libc::SOCK_STREAM), 0]).expect("socket")
}

/// Binds to a name as long as it is, with no NUL behind it.
fn raw_bind(socket: i64, name: &[u8]) -> Outcome {
    let mut address = vec![1, 0];
    address.extend_from_slice(name);
    raw::call(libc::SYS_bind, &[socket, address.as_ptr() as i64, address.len() as i64])
}

fn close(fd: i64) {
    raw::call(libc::SYS_close, &[fd]).expect("close");
}

/// The node that a bind made, by the kernel's own path.
fn made(real: &[u8]) -> Expect {
    let expect = Expect::new("node_create").path(real).field("mode_set", 0o140_777).field("mode", "0140777");
    let path = c(real);
    // SAFETY: all zeroes is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    match raw::call(libc::SYS_lstat, &[path.as_ptr() as i64, (&raw mut stat) as i64]) {
        Ok(_) => expect.field("ino", stat.st_ino),
        // A chroot has another root.
        Err(_) => expect,
    }
}

/// A bind to a place, refused: by the caller's name.
fn refused(place: &Place) -> Expect {
    named("node_create", place).field("mode_set", 0o140_777)
}

fn bind(run: &mut Run, socket: i64, place: &Place) -> Outcome {
    let given = place.given.as_ref().expect("given").as_bytes().to_vec();
    run.act(
        "bind",
        || raw_bind(socket, &given),
        |outcome| Some(if outcome.is_ok() { made(&place.real) } else { refused(place) }),
    )
}

/// In every shape that has no directory descriptor and fits: made, and again in the way.
pub fn sockets(run: &mut Run, site: &Site) {
    for shape in SHAPES.into_iter().filter(|shape| !shape.needs_at()) {
        let leaf = run.leaf();
        let Some(place) = site.place(shape, &leaf) else { continue };
        if place.given.as_ref().is_none_or(|given| given.as_bytes().len() > ADDRESS - 2) {
            continue;
        }
        let (first, second) = (socket(), socket());
        bind(run, first, &place).expect("bind");
        assert_eq!(bind(run, second, &place), Err(libc::EADDRINUSE));
        // A socket has one name only.
        let other = site.place(Shape::Relative, b"never").expect("short");
        assert_eq!(bind(run, first, &other), Err(libc::EINVAL));
        close(first);
        close(second);
    }
    let mut leaf = run.plain_leaf();
    leaf.resize(ADDRESS - 2, b's');
    let place = site.place(Shape::Relative, &leaf).expect("short");
    let socket = socket();
    bind(run, socket, &place).expect("a name that fills the address");
    close(socket);
}

/// Binds that fail, and those that make no node.
pub fn sockets_refused(run: &mut Run, site: &Site) {
    let socket = socket();
    let leaf = run.plain_leaf();
    for given in [join(b"nothing", &leaf), b"..".to_vec()] {
        let place = site.place(Shape::Relative, &given).expect("short");
        let place = if given == b".." { place.flagged("unresolved") } else { place };
        assert!(bind(run, socket, &place).is_err(), "bind");
    }
    // Longer than an address can be: EINVAL, and the name as far as there is room for it.
    let long = vec![b'l'; ADDRESS - 1];
    let place = site.place(Shape::Relative, &long[..ADDRESS - 2]).expect("short");
    let outcome = run.act("bind", || raw_bind(socket, &long), |_| Some(refused(&place)));
    assert_eq!(outcome, Err(libc::EINVAL));
    let place = site.place(Shape::Relative, &leaf).expect("short");
    let directory = site.parent.clone();
    run.child(|run| {
        run.become_user([65_534, 65_534, 65_534]);
        assert_eq!(bind(run, socket, &place), Err(libc::EACCES));
        0
    });
    // Abstract, unnamed, another family's address, an address that can't be read: no name, no event.
    let addresses: [&[u8]; 4] = [b"\x01\0\0recorder", b"\x01\0", b"\x02\0\0\0\x7f\0\0\x01", b"\x01"];
    for address in addresses {
        let other = self::socket();
        let arguments = [other, address.as_ptr() as i64, address.len() as i64];
        let _ = run.act("bind", || raw::call(libc::SYS_bind, &arguments), |_| None);
        close(other);
    }
    let _ = run.act("bind", || raw::call(libc::SYS_bind, &[socket, 8, 20]), |_| None);
    let inet = raw::call(libc::SYS_socket, &[i64::from(libc::AF_INET), i64::from(libc::SOCK_DGRAM), 0]);
    let inet = inet.expect("socket");
    let port_zero: &[u8] = b"\x02\0\0\0\x7f\0\0\x01\0\0\0\0\0\0\0\0";
    let arguments = [inet, port_zero.as_ptr() as i64, port_zero.len() as i64];
    run.act("bind", || raw::call(libc::SYS_bind, &arguments), |_| None).expect("bind");
    let name = join(&directory, &leaf);
    for no_socket in [inet, 9999, i64::from(site.dir_fd)] {
        assert!(run.act("bind", || raw_bind(no_socket, &name), |_| None).is_err(), "no Unix socket");
    }
    close(inet);
    close(socket);
}

fn raw_open(name: &[u8], flags: i32) -> Outcome {
    let name = c(name);
    raw::call(libc::SYS_mq_open, &[name.as_ptr() as i64, i64::from(flags), 0o600, 0])
}

/// What a queue is called in the record.
fn queue(kind: &str, name: &[u8]) -> Expect {
    Expect::new(kind).path(&join(b"/dev/mqueue", name)).must(&["unresolved"])
}

/// Opens a queue; `kind` is the event that it must leave.
fn open(run: &mut Run, name: &[u8], flags: i32, kind: Option<&str>) -> Outcome {
    let outcome = run.act(
        "mq_open",
        || raw_open(name, flags),
        |outcome| {
            let expect = queue(kind?, name);
            Some(if outcome.is_ok() { expect } else { expect.must(&["from_argument", "open"]) })
        },
    );
    outcome.inspect(|fd| close(*fd))
}

fn unlink(run: &mut Run, name: &[u8]) -> Outcome {
    let given = c(name);
    run.act(
        "mq_unlink",
        || raw::call(libc::SYS_mq_unlink, &[given.as_ptr() as i64]),
        |_| Some(queue("file_delete", name).must(&["from_argument"])),
    )
}

/// Queues, in an IPC namespace of their own.
pub fn queues(run: &mut Run) {
    run.child(|run| {
        run.unshare(libc::CLONE_NEWIPC, "ipc");
        let (create, new) = (libc::O_CREAT | libc::O_RDWR, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
        let names: Vec<Vec<u8>> = (0..6).map(|_| run.leaf()).collect();
        for (index, name) in names.iter().enumerate() {
            assert_eq!(open(run, name, libc::O_RDWR, Some("file_write")), Err(libc::ENOENT));
            assert_eq!(open(run, name, libc::O_RDONLY, None), Err(libc::ENOENT));
            open(run, name, if index % 2 == 0 { create } else { new }, Some("file_create")).expect("mq_open");
            // It is there, as the newest and as an older one.
            open(run, name, create, None).expect("mq_open");
            open(run, &names[0], create, None).expect("mq_open");
            open(run, name, libc::O_RDWR, None).expect("mq_open");
            assert_eq!(open(run, name, new, Some("file_create")), Err(libc::EEXIST));
        }
        run.child(|run| {
            run.become_user([65_534, 65_534, 65_534]);
            for flags in [libc::O_RDONLY, libc::O_RDWR, create] {
                assert_eq!(open(run, &names[1], flags, Some("file_denied")), Err(libc::EACCES));
            }
            assert!(unlink(run, &names[1]).is_err(), "another's queue");
            0
        });
        let long = [b'q'; 256];
        assert_eq!(open(run, &long, create, Some("file_create")), Err(libc::ENAMETOOLONG));
        let faulty = Expect::new("file_create").must(&["from_argument", "open", "unresolved"]);
        let arguments = [8, i64::from(create), 0o600, 0];
        let _ = run.act("mq_open", || raw::call(libc::SYS_mq_open, &arguments), |_| Some(faulty));
        for name in &names {
            unlink(run, name).expect("mq_unlink");
            assert_eq!(unlink(run, name), Err(libc::ENOENT));
            open(run, name, create, Some("file_create")).expect("mq_open");
        }
        0
    });
}
