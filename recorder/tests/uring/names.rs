//! Requests that change names and what is behind them.

use io_uring::{opcode, squeue, types::Fd};

use super::{Ring, asked, make_directory, named};
use crate::support::ledger::Expect;
use crate::workload::Run;
use crate::workload::plan::{open_below, raw_close};
use crate::workload::raw::Outcome;
use crate::workload::site::{AT_FDCWD, Place, join};

const XATTR: &std::ffi::CStr = c"trusted.ring";

/// Asks once, and writes down what the record must say.
pub fn ask(run: &mut Run, ring: &mut Ring, call: &str, entry: squeue::Entry, expect: Expect) -> Outcome {
    run.act(call, || ring.ask(entry), |_| Some(expect))
}

fn name(place: &Place) -> *const libc::c_char {
    place.name() as *const libc::c_char
}

fn open_entry(place: &Place, flags: i32) -> squeue::Entry {
    opcode::OpenAt::new(Fd(place.dir), name(place)).flags(flags).mode(0o640).build()
}

/// Makes an empty file by a request and closes it by one.
fn make(run: &mut Run, ring: &mut Ring, place: &Place) {
    let flags = libc::O_CREAT | libc::O_RDWR;
    let created = asked(Expect::new("file_create").path(&place.real));
    let fd = ask(run, ring, "openat", open_entry(place, flags), created).expect("openat");
    raw_close(fd);
}

pub fn mkdir(run: &mut Run, ring: &mut Ring, place: &Place) -> Outcome {
    let entry = opcode::MkDirAt::new(Fd(place.dir), name(place)).mode(0o750).build();
    ask(run, ring, "mkdirat", entry, named("dir_create", place).field("mode_set", 0o750))
}

pub fn everything(run: &mut Run, ring: &mut Ring, home: &[u8]) {
    let dir = join(home, b"names");
    make_directory(run, &dir);
    let fd = open_below(AT_FDCWD, &dir);
    let below = |leaf: &[u8]| Place::new(leaf, join(&dir, leaf)).below(fd);
    let absolute = |leaf: &[u8]| Place::new(&join(&dir, leaf), join(&dir, leaf));
    for place in [&below as &dyn Fn(&[u8]) -> Place, &absolute] {
        every_name(run, ring, place);
    }
    long_names(run, ring, fd, &dir);
    refused(run, ring, &dir);
    raw_close(i64::from(fd));
}

fn every_name(run: &mut Run, ring: &mut Ring, place: &dyn Fn(&[u8]) -> Place) {
    let leaves: Vec<Vec<u8>> = (0..6).map(|_| run.leaf()).collect();
    let [a, b, c, link, d, free] = [0, 1, 2, 3, 4, 5].map(|index: usize| place(&leaves[index]));
    mkdir(run, ring, &d).expect("mkdirat");
    assert!(mkdir(run, ring, &d).is_err(), "it is there");
    make(run, ring, &a);
    let rename = |from: &Place, to: &Place, flags| {
        opcode::RenameAt::new(Fd(from.dir), name(from), Fd(to.dir), name(to)).flags(flags).build()
    };
    let renamed = |from: &Place, to: &Place| named("file_rename", from).to(&to.real).must(&to.flags);
    ask(run, ring, "renameat", rename(&a, &b, 0), renamed(&a, &b)).expect("renameat");
    make(run, ring, &a);
    let exchange = libc::RENAME_EXCHANGE;
    let exchanged = renamed(&a, &b).must(&["exchange"]);
    ask(run, ring, "renameat:exchange", rename(&a, &b, exchange), exchanged).expect("renameat");
    let kept = ask(run, ring, "renameat", rename(&a, &b, libc::RENAME_NOREPLACE), renamed(&a, &b));
    assert_eq!(kept, Err(libc::EEXIST));
    let entry = opcode::LinkAt::new(Fd(a.dir), name(&a), Fd(c.dir), name(&c)).build();
    let linked = named("file_link", &a).to(&c.real).must(&["nofollow"]);
    ask(run, ring, "linkat", entry.clone(), linked.clone()).expect("linkat");
    assert_eq!(ask(run, ring, "linkat", entry, linked), Err(libc::EEXIST));
    let content = c"../some where\xff/else";
    let entry = opcode::SymlinkAt::new(Fd(link.dir), content.as_ptr(), name(&link)).build();
    let made = named("file_symlink", &link).to(content.to_bytes());
    ask(run, ring, "symlinkat", entry.clone(), made.clone()).expect("symlinkat");
    assert_eq!(ask(run, ring, "symlinkat", entry, made), Err(libc::EEXIST));
    let unlink =
        |place: &Place, flags| opcode::UnlinkAt::new(Fd(place.dir), name(place)).flags(flags).build();
    for gone in [&a, &b, &c, &link] {
        ask(run, ring, "unlinkat", unlink(gone, 0), named("file_delete", gone)).expect("unlinkat");
    }
    let missing = ask(run, ring, "unlinkat", unlink(&free, 0), named("file_delete", &free));
    assert_eq!(missing, Err(libc::ENOENT));
    let removed = named("dir_delete", &d);
    ask(run, ring, "unlinkat:dir", unlink(&d, libc::AT_REMOVEDIR), removed).expect("unlinkat");
    if a.dir == AT_FDCWD {
        attributes(run, ring, &a);
    }
}

/// setxattr takes no directory.
fn attributes(run: &mut Run, ring: &mut Ring, place: &Place) {
    make(run, ring, place);
    let set = |place: &Place| {
        let value = b"value".as_ptr().cast();
        opcode::SetXattr::new(XATTR.as_ptr(), value, name(place), 5).build()
    };
    let expect = |place: &Place| named("attr_xattr", place).text("xattr", XATTR.to_bytes());
    ask(run, ring, "setxattr", set(place), expect(place)).expect("setxattr");
    let missing = Place::new(&join(&place.real, b"x"), join(&place.real, b"x"));
    assert_eq!(ask(run, ring, "setxattr", set(&missing), expect(&missing)), Err(libc::ENOTDIR));
}

/// Names that are as long as they may be, and longer.
fn long_names(run: &mut Run, ring: &mut Ring, fd: i32, dir: &[u8]) {
    let mut long = b"./".repeat(1900);
    long.extend_from_slice(b"deep");
    let place = Place::new(&long, join(dir, b"deep")).below(fd);
    mkdir(run, ring, &place).expect("mkdirat");
    let component = vec![b'n'; 256];
    let too_long = Place::new(&component, join(dir, &component)).below(fd);
    assert_eq!(mkdir(run, ring, &too_long), Err(libc::ENAMETOOLONG));
    // The kernel does not take this one at all.
    let path = b"./".repeat(2500);
    let mut cut = Place::new(&path, Vec::new()).below(fd).flagged("cut");
    cut.named = None;
    assert_eq!(mkdir(run, ring, &cut), Err(libc::ENAMETOOLONG));
}

/// Refused by what stands in the request.
fn refused(run: &mut Run, ring: &mut Ring, dir: &[u8]) {
    let leaf = run.plain_leaf();
    let nowhere = Place::new(&leaf, leaf.clone()).below(9999).flagged("unresolved");
    assert_eq!(mkdir(run, ring, &nowhere), Err(libc::EBADF));
    let mut faulty = Place::faulty();
    assert_eq!(mkdir(run, ring, &faulty), Err(libc::EFAULT));
    let entry = opcode::UnlinkAt::new(Fd(AT_FDCWD), 8 as *const libc::c_char).build();
    assert_eq!(ask(run, ring, "unlinkat", entry, named("file_delete", &faulty)), Err(libc::EFAULT));
    faulty.flags.push("open");
    let flags = libc::O_CREAT | libc::O_WRONLY;
    let entry = open_entry(&faulty, flags);
    assert_eq!(ask(run, ring, "openat", entry, named("file_create", &faulty)), Err(libc::EFAULT));
    let a = Place::new(&join(dir, b"not there"), join(dir, b"not there"));
    let to = Place::faulty();
    let entry = opcode::RenameAt::new(Fd(AT_FDCWD), name(&a), Fd(AT_FDCWD), name(&to)).build();
    let expect = named("file_rename", &a).must(&["unresolved"]);
    assert_eq!(ask(run, ring, "renameat", entry, expect), Err(libc::EFAULT));
    // Not there, and only to be read: nobody's business.
    let outcome = run.act("openat", || ring.ask(open_entry(&a, libc::O_RDONLY)), |_| None);
    assert_eq!(outcome, Err(libc::ENOENT));
    let entry = open_entry(&a, libc::O_WRONLY);
    let expect = named("file_write", &a).must(&["open"]);
    assert_eq!(ask(run, ring, "openat", entry, expect), Err(libc::ENOENT));
}
