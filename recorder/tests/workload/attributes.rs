//! Changes through a descriptor: attributes, lengths, flags, and files that have no name or an odd one.

use super::Run;
use super::opens::Open;
use super::plan::raw_close;
use super::raw::{self, Outcome, c};
use super::site::{Place, Shape, Site};
use super::writes::{Source, WRITES};
use crate::support::ledger::Expect;

/// Calls on a descriptor that leave one event with the kernel's own path.
const BY_DESCRIPTOR: [&str; 21] = [
    "fchmod",
    "fchown",
    "fsetxattr",
    "fremovexattr",
    "utimensat:null",
    "futimesat:null",
    "ftruncate",
    "fallocate",
    "fallocate:keep",
    "fallocate:punch",
    "fallocate:zero",
    "fallocate:collapse",
    "ioctl:setflags",
    "ioctl:fssetxattr",
    "file_setattr:empty",
    "fchmodat2:empty",
    "fchownat:empty",
    "setxattrat:empty",
    "removexattrat:empty",
    "utimensat:empty",
    "ftruncate:negative",
];

const EMPTY: i64 = 0x1000;
const NODUMP: u32 = 0x40;

/// Sets the length of an open file.
pub fn truncate(run: &mut Run, open: &Open, length: i64) -> Outcome {
    run.act(
        "ftruncate",
        || raw::call(libc::SYS_ftruncate, &[i64::from(open.fd), length]),
        |_| Some(open.expect("file_truncate").field("bytes", length)),
    )
}

/// One change through a descriptor.
pub fn change(run: &mut Run, open: &Open, call: &str) -> Outcome {
    let mode = run.pick(&[0o600_i64, 0o755, 0o4711]);
    let owner = run.pick(&[0_i64, 1000, 65_534]);
    let fd = i64::from(open.fd);
    let xattr = c"trusted.flight".as_ptr() as i64;
    let value = b"value".as_ptr() as i64;
    let xattr_args = [value, 5];
    let xattr_args = xattr_args.as_ptr() as i64;
    let times = [1_000_000_000_i64, 5, 1_000_000_001, 6];
    let times = times.as_ptr() as i64;
    let nothing = c"".as_ptr() as i64;
    let flags = NODUMP;
    let flags_at = (&raw const flags) as i64;
    // struct fsxattr: 28 bytes, flags first. struct file_attr: u64 flags, then sizes.
    let fsx = [0x80_u32, 0, 0, 0, 0, 0, 0];
    let attr = [0x80_u64, 0, 0];
    let made = || match call {
        "fchmod" => raw::call(libc::SYS_fchmod, &[fd, mode]),
        "fchown" => raw::call(libc::SYS_fchown, &[fd, owner, owner + 1]),
        "fsetxattr" => raw::call(libc::SYS_fsetxattr, &[fd, xattr, value, 5, 0]),
        "fremovexattr" => raw::call(libc::SYS_fremovexattr, &[fd, xattr]),
        "utimensat:null" => raw::call(libc::SYS_utimensat, &[fd, 0, times, 0]),
        "utimensat:empty" => raw::call(libc::SYS_utimensat, &[fd, nothing, times, EMPTY]),
        "futimesat:null" => raw::call(libc::SYS_futimesat, &[fd, 0, times]),
        "ftruncate" => raw::call(libc::SYS_ftruncate, &[fd, 10_000]),
        "ftruncate:negative" => raw::call(libc::SYS_ftruncate, &[fd, -1]),
        "fallocate" => raw::call(libc::SYS_fallocate, &[fd, 0, 100, 50_000]),
        "fallocate:keep" => raw::call(libc::SYS_fallocate, &[fd, 1, 0, 70_000]),
        "fallocate:punch" => raw::call(libc::SYS_fallocate, &[fd, 3, 4096, 4096]),
        "fallocate:zero" => raw::call(libc::SYS_fallocate, &[fd, 0x10, 0, 8192]),
        "fallocate:collapse" => raw::call(libc::SYS_fallocate, &[fd, 8, 0, 4096]),
        "ioctl:setflags" => raw::call(libc::SYS_ioctl, &[fd, 0x4008_6602, flags_at]),
        "ioctl:fssetxattr" => raw::call(libc::SYS_ioctl, &[fd, 0x401c_5820, fsx.as_ptr() as i64]),
        "file_setattr:empty" => raw::call(raw::FILE_SETATTR, &[fd, nothing, attr.as_ptr() as i64, 24, EMPTY]),
        "fchmodat2:empty" => raw::call(raw::FCHMODAT2, &[fd, nothing, mode, EMPTY]),
        "fchownat:empty" => raw::call(libc::SYS_fchownat, &[fd, nothing, owner, owner + 1, EMPTY]),
        "setxattrat:empty" => raw::call(raw::SETXATTRAT, &[fd, nothing, EMPTY, xattr, xattr_args, 16]),
        "removexattrat:empty" => raw::call(raw::REMOVEXATTRAT, &[fd, nothing, EMPTY, xattr]),
        other => panic!("no such call: {other}"),
    };
    let expect = match call.split(':').next().unwrap_or(call) {
        "fchmod" | "fchmodat2" => open.expect("attr_mode").field("mode_set", mode),
        "fchown" | "fchownat" => {
            open.expect("attr_owner").field("owner_set", owner).field("group_set", owner + 1)
        }
        "fsetxattr" | "setxattrat" => open.expect("attr_xattr").text("xattr", b"trusted.flight"),
        "fremovexattr" | "removexattrat" => {
            open.expect("attr_xattr").text("xattr", b"trusted.flight").must(&["removed"])
        }
        "utimensat" | "futimesat" => open.expect("attr_time"),
        "ftruncate" | "fallocate" => open.expect("file_truncate"),
        "ioctl" if call == "ioctl:setflags" => open.expect("attr_flags").field("bits", flags),
        // Their bits differ from those of the ioctl for the same thing; the record has one language.
        _ => open.expect("attr_flags").field("bits", NODUMP),
    };
    run.act(call, made, |_| Some(expect))
}

/// A few changes of chance.
pub fn some_by_descriptor(run: &mut Run, open: &Open) {
    for _ in 0..run.below(4) {
        let call = run.pick(&BY_DESCRIPTOR);
        let _ = change(run, open, call);
    }
}

/// Every call on a good descriptor, on a read-only one, and on one that is not open.
pub fn by_descriptor(run: &mut Run, site: &Site) {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    let fd = raw::fd_of(run.open("openat", &place, libc::O_CREAT | libc::O_RDWR, false));
    let open = Open::new(fd, place.real.clone());
    let reader = raw::fd_of(run.open("open", &place, libc::O_RDONLY, true));
    let reader = Open::new(reader, place.real.clone());
    for call in BY_DESCRIPTOR {
        for open in [&open, &reader] {
            let _ = change(run, open, call);
        }
        // No such descriptor: there is nothing to name, and the event says so.
        let bad = [8888, -1][usize::from(call.len() % 2 == 0)];
        bad_descriptor(run, call, bad);
    }
    run.close(open);
    raw_close(i64::from(reader.fd));
    let fd = site.dir_fd;
    let directory = Open::new(fd, site.real());
    for call in ["fchmod", "fchown", "fsetxattr", "utimensat:null", "ioctl:setflags", "ftruncate"] {
        let _ = change(run, &directory, call);
    }
    let mode = 0o755;
    let restore = || raw::call(libc::SYS_fchmod, &[i64::from(fd), mode]);
    run.act("fchmod", restore, |_| Some(directory.expect("attr_mode"))).expect("fchmod");
}

fn bad_descriptor(run: &mut Run, call: &str, fd: i32) {
    let open = Open { flags: vec!["unresolved"], ..Open::new(fd, Vec::new()) };
    run.amend = Some(|expect| Expect { path: None, ..expect }.may(&["from_argument"]));
    assert!(change(run, &open, call).is_err(), "{call} on a bad descriptor");
}

/// Files without a name, with more than one, renamed while open, and things that are not files.
pub fn unnamed_and_odd_objects(run: &mut Run, site: &Site, source: Source) {
    unlinked(run, site, source);
    renamed_while_open(run, site, source);
    temporary(run, site, source);
    memory(run, source);
    by_handle(run, site, source);
    linked_by_descriptor(run, site);
    not_files(run, site, source);
    refused_writes(run, site);
}

fn unlinked(run: &mut Run, site: &Site, source: Source) {
    for call in WRITES {
        let leaf = run.leaf();
        let place = site.place(Shape::DirFd, &leaf).expect("short");
        let mut open = run.create(&place);
        run.apply(super::plan::named("unlinkat"), &place, None).expect("unlinkat");
        open.flags.push("deleted");
        run.write(&mut open, call, source);
        let _ = change(run, &open, "fchmod");
        let _ = change(run, &open, "ftruncate");
        run.close(open);
    }
}

fn renamed_while_open(run: &mut Run, site: &Site, source: Source) {
    for call in WRITES {
        let (leaf, leaf_to) = (run.leaf(), run.leaf());
        let place = site.place(Shape::DirFd, &leaf).expect("short");
        let place_to = site.place(Shape::DirFd, &leaf_to).expect("short");
        let mut open = run.create(&place);
        run.write(&mut open, call, source);
        run.apply(super::plan::named("renameat2"), &place, Some(&place_to)).expect("renameat2");
        open.path = place_to.real.clone();
        run.write(&mut open, "write", source);
        run.close(open);
    }
}

/// `O_TMPFILE`: made without a name, then given one.
fn temporary(run: &mut Run, site: &Site, source: Source) {
    let directory = c(&site.seen(&site.real()));
    let flags = i64::from(libc::O_TMPFILE | libc::O_RDWR);
    let fd = run.act(
        "openat",
        || raw::call(libc::SYS_openat, &[-100, directory.as_ptr() as i64, flags, 0o600]),
        |_| Some(Expect::new("file_create").must(&["tmpfile"]).may(&["deleted"])),
    );
    let mut open = Open::new(raw::fd_of(fd), Vec::new());
    open.flags.push("deleted");
    // Its own path is a number below the directory; the record may call it what the kernel calls it.
    run.amend = Some(|expect| Expect { path: None, ..expect });
    run.write(&mut open, "pwrite64", source);
    let leaf = run.leaf();
    let place = site.place(Shape::DirFd, &leaf).expect("short");
    let fd = i64::from(open.fd);
    let nothing = c"".as_ptr() as i64;
    let linked = Expect::new("file_link").to(&place.real).may(&["from_argument", "deleted", "nofollow"]);
    run.act(
        "linkat:empty",
        || raw::call(libc::SYS_linkat, &[fd, nothing, place.dir(), place.name(), EMPTY]),
        |_| Some(linked),
    )
    .expect("linkat");
    let gone = Run::summary(&open).map(|expect| Expect { path: None, ..expect });
    run.act("close", || raw::call(libc::SYS_close, &[fd]), |_| gone).expect("close");
}

fn memory(run: &mut Run, source: Source) {
    let fd = raw::fd_of(raw::call(libc::SYS_memfd_create, &[c"secret".as_ptr() as i64, 0]));
    let mut open = Open { flags: vec!["memfd"], ..Open::new(fd, Vec::new()) };
    run.amend = Some(|expect| Expect { path: None, ..expect }.may(&["deleted", "unresolved"]));
    run.write(&mut open, "write", source);
    let gone =
        Run::summary(&open).map(|expect| Expect { path: None, ..expect }.may(&["deleted", "unresolved"]));
    run.act("close", || raw::call(libc::SYS_close, &[i64::from(fd)]), |_| gone).expect("close");
}

/// `struct file_handle` with room for its bytes.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

fn by_handle(run: &mut Run, site: &Site, source: Source) {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    run.make(&place);
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; 128] };
    let mut mount = 0_i32;
    let at = (&raw mut handle) as i64;
    let mount_at = (&raw mut mount) as i64;
    raw::call(libc::SYS_name_to_handle_at, &[-100, place.name(), at, mount_at, 0]).expect("handle");
    let flags = i64::from(libc::O_TRUNC | libc::O_WRONLY);
    let made = || raw::call(libc::SYS_open_by_handle_at, &[i64::from(site.dir_fd), at, flags]);
    let truncated = Expect::new("file_truncate").path(&place.real).must(&["open"]);
    let fd = raw::fd_of(run.act("open_by_handle_at", made, |_| Some(truncated)));
    let mut open = Open::new(fd, place.real.clone());
    run.write(&mut open, "write", source);
    run.close(open);
    run.apply(super::plan::named("unlink"), &place, None).expect("unlink");
    let stale = Expect::new("file_write").must(&["open", "unresolved"]).may(&["from_argument"]);
    assert!(run.act("open_by_handle_at", made, |_| Some(stale)).is_err(), "the handle is stale");
}

/// A second name through the descriptor: by `AT_EMPTY_PATH`, and through /proc.
fn linked_by_descriptor(run: &mut Run, site: &Site) {
    let (leaf, leaf_to, leaf_proc) = (run.leaf(), run.leaf(), run.leaf());
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    let open = run.create(&place);
    let fd = i64::from(open.fd);
    let to = site.place(Shape::DirFd, &leaf_to).expect("short");
    let nothing = c"".as_ptr() as i64;
    let linked = open.expect("file_link").to(&to.real).may(&["from_argument", "nofollow"]);
    run.act(
        "linkat:empty",
        || raw::call(libc::SYS_linkat, &[fd, nothing, to.dir(), to.name(), EMPTY]),
        |_| Some(linked),
    )
    .expect("linkat");
    let to = site.place(Shape::DirFd, &leaf_proc).expect("short");
    let magic = format!("/proc/self/fd/{fd}").into_bytes();
    let mut from = Place::new(&magic, magic.clone()).flagged("unresolved");
    from.real.clone_from(&open.path);
    run.apply(super::plan::named("linkat:follow"), &from, Some(&to)).expect("linkat");
    run.close(open);
}

/// Pipes, devices, nothing written, read-only and private mappings: no events.
fn not_files(run: &mut Run, site: &Site, source: Source) {
    let null = Place::new(b"/dev/null", b"/dev/null".to_vec());
    let fd = raw::fd_of(raw::call(libc::SYS_open, &[null.name(), i64::from(libc::O_RDWR), 0]));
    let buffer = [0_u8; 16];
    let from = buffer.as_ptr() as i64;
    run.act("write", || raw::call(libc::SYS_write, &[i64::from(fd), from, 16]), |_| None).expect("write");
    raw_close(i64::from(fd));
    let [out, into] = source.pipe.map(i64::from);
    run.act("write", || raw::call(libc::SYS_write, &[into, from, 16]), |_| None).expect("write");
    raw::call(libc::SYS_read, &[out, [0_u8; 16].as_mut_ptr() as i64, 16]).expect("read");
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    let fd = raw::fd_of(run.open("openat2", &place, libc::O_CREAT | libc::O_RDWR, false));
    let mut open = Open::new(fd, place.real.clone());
    let none = [i64::from(fd), from, 0];
    run.act("write", || raw::call(libc::SYS_write, &none), |_| None).expect("write");
    run.map(&open, true, false);
    run.map(&open, false, true);
    run.map(&open, true, true);
    for call in WRITES {
        run.write(&mut open, call, source);
    }
    run.close(open);
    for flags in [libc::O_RDONLY, libc::O_RDWR, libc::O_RDWR | libc::O_CREAT, libc::O_APPEND | libc::O_WRONLY]
    {
        raw_close(run.open("openat", &place, flags, true).expect("open"));
    }
}

/// Writes that the kernel refuses on a file that is there.
fn refused_writes(run: &mut Run, site: &Site) {
    let leaf = run.leaf();
    let place = site.place(Shape::Absolute, &leaf).expect("short");
    run.make(&place);
    let buffer = [0_u8; 16];
    let from = buffer.as_ptr() as i64;
    for (flags, call) in
        [(libc::O_RDONLY, "write"), (libc::O_RDWR, "write:fault"), (libc::O_RDWR, "pwrite64:offset")]
    {
        let fd = run.open("openat", &place, flags, true).expect("open");
        let refused = Expect::new("file_write").path(&place.real);
        let made = || match call {
            "write" => raw::call(libc::SYS_write, &[fd, from, 16]),
            "write:fault" => raw::call(libc::SYS_write, &[fd, 8, 16]),
            _ => raw::call(libc::SYS_pwrite64, &[fd, from, 16, -5]),
        };
        assert!(run.act(call, made, |_| Some(refused)).is_err(), "{call} was to fail");
        raw_close(fd);
    }
}
