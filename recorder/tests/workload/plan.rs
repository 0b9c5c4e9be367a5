//! The plan: which operations, where, in which order. Everything that can be combined is; chance fills the rest.

use super::names::{NAMED, Needs};
use super::opens::{OPENS, Open};
use super::raw::{self, c};
use super::site::{AT_FDCWD, Place, SHAPES, Shape, Site, join};
use super::writes::{Source, WRITES};
use super::{Run, attributes, failures, indirect, ipc, mounts, processes};
use crate::support::ledger::Expect;

/// All of it.
pub fn everything(run: &mut Run) {
    raw::call(libc::SYS_umask, &[0]).expect("umask");
    let home = run.home.clone();
    let home_fd = open_below(AT_FDCWD, &home);
    let source = make_source(run, &home);
    let plain = make_site(run, "plain", &home, b"plain", b"");
    let odd = make_site(run, "odd", &home, b"o d\nd\xff\"\xf4\x8f\xbe\x80", b"");
    for site in [&plain, &odd] {
        opens_in_every_shape(run, site);
        names_in_every_shape(run, site);
    }
    for _ in 0..40 {
        let site = if run.below(2) == 0 { &plain } else { &odd };
        life_of_a_file(run, site, source);
    }
    attributes::by_descriptor(run, &plain);
    attributes::unnamed_and_odd_objects(run, &plain, source);
    indirect::everything(run, &plain);
    ipc::sockets(run, &plain);
    ipc::sockets_refused(run, &plain);
    ipc::sockets(run, &odd);
    ipc::queues(run);
    let deep = make_deep_site(run, &home, 15);
    one_round(run, &deep, source);
    let deeper = make_deep_site(run, &home, 24);
    one_round(run, &deeper, source);
    failures::everywhere(run, &plain);
    failures::as_nobody(run, &plain);
    failures::in_deleted_directory(run, &home);
    mounts::in_private_namespace(run, &home, source);
    in_chroot(run, &home, home_fd, source);
    processes::everything(run, &plain, source);
}

fn make_source(run: &mut Run, home: &[u8]) -> Source {
    let place = Place::new(&join(home, b"source"), join(home, b"source"));
    let fd = raw::fd_of(run.open("openat", &place, libc::O_CREAT | libc::O_RDWR, false));
    attributes::truncate(run, &Open::new(fd, place.real), 65_536).expect("ftruncate");
    let mut pipe = [0_i32; 2];
    raw::call(libc::SYS_pipe2, &[pipe.as_mut_ptr() as i64, 0]).expect("pipe2");
    Source { file: fd, pipe }
}

/// Makes the directories and the link of a site below `home`.
pub fn make_site(run: &mut Run, label: &'static str, home: &[u8], dir: &[u8], prefix: &[u8]) -> Site {
    let mut parent_name = run.plain_leaf();
    parent_name.extend_from_slice(label.as_bytes());
    let parent = join(home, &parent_name);
    let inside = |path: &[u8]| path.strip_prefix(prefix).unwrap_or(path).to_vec();
    let place = |path: &[u8]| Place::new(&inside(path), path.to_vec());
    let mut make = |path: &[u8]| {
        run.apply(named("mkdir"), &place(path), None).expect("mkdir");
    };
    make(&parent);
    make(&join(&parent, dir));
    make(&join(&parent, b"other"));
    let link = run.plain_leaf();
    link_to(run, dir, &place(&join(&parent, &link)));
    let open = |path: &[u8]| {
        let path = c(&inside(path));
        raw::fd_of(raw::call(libc::SYS_open, &[path.as_ptr() as i64, i64::from(libc::O_DIRECTORY), 0]))
    };
    let (parent_fd, dir_fd) = (open(&parent), open(&join(&parent, dir)));
    Site {
        label,
        prefix: prefix.to_vec(),
        parent,
        dir: dir.to_vec(),
        link,
        other: b"other".to_vec(),
        parent_fd,
        dir_fd,
        has_proc: prefix.is_empty(),
    }
}

/// A symbolic link with chosen content.
pub fn link_to(run: &mut Run, content: &[u8], place: &Place) {
    let target = c(content);
    let outcome = run.act(
        "symlink",
        || raw::call(libc::SYS_symlink, &[target.as_ptr() as i64, place.name()]),
        |_| Some(super::named("file_symlink", place).to(content)),
    );
    outcome.expect("symlink");
}

/// The row of the table of name-based calls.
pub fn named(call: &str) -> &'static super::names::Named {
    NAMED.iter().find(|named| named.call == call).expect("in the table")
}

/// A site whose path has `levels` components of 240 bytes: 15 give about 3,700 bytes, 24 more than PATH_MAX.
fn make_deep_site(run: &mut Run, home: &[u8], levels: usize) -> Site {
    let mut path = join(home, &run.plain_leaf());
    run.apply(named("mkdir"), &Place::new(&path, path.clone()), None).expect("mkdir");
    let mut fd = open_below(AT_FDCWD, &path);
    for _ in 0..levels {
        let mut leaf = run.plain_leaf();
        leaf.resize(240, b'd');
        path = join(&path, &leaf);
        let place = Place::new(&leaf, path.clone()).below(fd);
        run.apply(named("mkdirat"), &place, None).expect("mkdirat");
        fd = open_below(fd, &leaf);
    }
    let place = |leaf: &[u8]| Place::new(leaf, join(&path, leaf)).below(fd);
    for leaf in [b"d".as_slice(), b"other"] {
        run.apply(named("mkdirat"), &place(leaf), None).expect("mkdirat");
    }
    raw::call(libc::SYS_fchdir, &[i64::from(fd)]).expect("fchdir");
    link_to(run, b"d", &Place::new(b"l", join(&path, b"l")));
    Site {
        label: "deep",
        prefix: Vec::new(),
        parent: path,
        dir: b"d".to_vec(),
        link: b"l".to_vec(),
        other: b"other".to_vec(),
        parent_fd: fd,
        dir_fd: open_below(fd, b"d"),
        has_proc: true,
    }
}

pub fn open_below(dir: i32, name: &[u8]) -> i32 {
    let name = c(name);
    let flags = i64::from(libc::O_DIRECTORY);
    raw::fd_of(raw::call(libc::SYS_openat, &[i64::from(dir), name.as_ptr() as i64, flags, 0]))
}

/// Whether a call can use a shape.
fn fits(at: bool, shape: Shape) -> bool {
    at || !shape.needs_at()
}

/// Every open call in every shape: creates, opens again with truncation, fails.
fn opens_in_every_shape(run: &mut Run, site: &Site) {
    for call in OPENS {
        for shape in SHAPES.into_iter().filter(|shape| fits(call.starts_with("openat"), *shape)) {
            let leaf = run.leaf();
            let Some(place) = site.place(shape, &leaf) else { continue };
            let absent = run.open(call, &place, libc::O_WRONLY, false);
            if let Ok(fd) = absent {
                // creat(2) has no way to ask for an existing file.
                run.close(Open::new(fd as i32, place.real.clone()));
            } else {
                let flags = libc::O_CREAT | libc::O_RDWR;
                let fd = raw::fd_of(run.open(call, &place, flags, false));
                run.close(Open::new(fd, place.real.clone()));
            }
            let again =
                run.pick(&[libc::O_TRUNC | libc::O_WRONLY, libc::O_TRUNC | libc::O_CREAT | libc::O_RDWR]);
            let fd = raw::fd_of(run.open(call, &place, again, true));
            run.close(Open::new(fd, place.real.clone()));
            let _ = run.open(call, &place, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, true).map(raw_close);
        }
    }
}

/// Closes a descriptor that nothing was written through.
pub fn raw_close(fd: i64) {
    raw::call(libc::SYS_close, &[fd]).expect("close");
}

/// Every name-based call in every shape: once with nothing there, once where it succeeds.
fn names_in_every_shape(run: &mut Run, site: &Site) {
    for named in &NAMED {
        for shape in SHAPES.into_iter().filter(|shape| fits(named.at, *shape)) {
            name_once(run, site, named, shape);
        }
    }
}

fn name_once(run: &mut Run, site: &Site, named: &super::names::Named, shape: Shape) {
    let (leaf, leaf_to) = (run.leaf(), run.leaf());
    let Some(mut p) = site.place(shape, &leaf) else { return };
    if named.needs != Needs::Free && named.second.is_none() && run.below(3) == 0 {
        let _ = run.apply(named, &p, None);
    }
    // Objects are made through the directory descriptor, so that only the call under test uses the shape.
    let at = |leaf: &[u8]| site.place(Shape::DirFd, leaf).expect("short");
    run.prepare(named.needs, &at(&leaf));
    if named.call.contains("removexattr") && run.below(3) != 0 {
        let follows = named.needs == Needs::File;
        let (set, shape_set) =
            if follows { ("setxattrat", Shape::DirFd) } else { ("lsetxattr", Shape::Relative) };
        let _ = run.apply(self::named(set), &site.place(shape_set, &leaf).expect("short"), None);
        p = site.place(shape, &leaf).expect("placed before");
    }
    let q = named.second.map(|needs| {
        run.prepare(needs, &at(&leaf_to));
        // Two shapes that want different working directories can't go together: the second one wins.
        let free = [Shape::Absolute, Shape::AbsoluteLink, Shape::AbsoluteMessy, shape];
        let shape_to = run.pick(&free);
        site.place(shape_to, &leaf_to).unwrap_or_else(|| site.place(shape, &leaf_to).expect("fits"))
    });
    let _ = run.apply(named, &p, q.as_ref());
}

/// Creates, writes, changes, moves and removes one file, each step by a call and a shape of chance.
pub fn life_of_a_file(run: &mut Run, site: &Site, source: Source) {
    let leaf = run.leaf();
    let shape = run.pick(&SHAPES);
    let Some(place) = site.place(shape, &leaf) else { return };
    let mut open = if shape.needs_at() { run.create_at(&place) } else { run.create(&place) };
    for _ in 0..run.below(5) {
        let call = run.pick(&WRITES);
        run.write(&mut open, call, source);
    }
    let mapped = run.below(4) == 0;
    if mapped {
        run.map(&open, true, true);
    }
    attributes::some_by_descriptor(run, &open);
    // A mapping holds the open file too, so the first close of a mapped one is taken for its last.
    let ways = ["close", "close_range", "dup2", "dup3", "twin"];
    let way = run.pick(&ways[..if mapped { 4 } else { 5 }]);
    if way == "close" {
        run.close(open)
    } else {
        run.close_somehow(open, way)
    }
    let mut leaf = leaf;
    for _ in 0..4 {
        let call = run.pick(&["chmod", "fchmodat2", "chown", "setxattrat", "utimensat", "truncate", "utime"]);
        let shape = run.pick(&SHAPES);
        if fits(named(call).at, shape)
            && let Some(place) = site.place(shape, &leaf)
        {
            let outcome = run.apply(named(call), &place, None);
            // Linux 6.1 lacks fchmodat2, and 6.12 setxattrat.
            assert!(matches!(outcome, Ok(_) | Err(libc::ENOSYS)), "{call}: {outcome:?}");
        }
    }
    let shape = run.pick(&[Shape::Relative, Shape::Absolute, Shape::RelativeDot]);
    let leaf_to = run.leaf();
    if let (Some(p), Some(q)) = (site.place(shape, &leaf), site.place(shape, &leaf_to)) {
        run.apply(named("rename"), &p, Some(&q)).expect("rename");
        leaf = leaf_to;
    }
    let place = site.place(Shape::DirFd, &leaf).expect("short");
    run.apply(named("unlinkat"), &place, None).expect("unlinkat");
}

impl Run {
    /// Creates a file by a call that takes a directory descriptor.
    fn create_at(&mut self, place: &Place) -> Open {
        let call = self.pick(&["openat", "openat2"]);
        let fd = raw::fd_of(self.open(call, place, libc::O_CREAT | libc::O_RDWR, false));
        Open::new(fd, place.real.clone())
    }
}

/// A little of everything, for sites where only the place is new.
pub fn one_round(run: &mut Run, site: &Site, source: Source) {
    for named in &NAMED {
        let shapes = if named.at { &SHAPES[..] } else { &SHAPES[..10] };
        let shape = run.pick(shapes);
        name_once(run, site, named, shape);
    }
    for _ in 0..6 {
        life_of_a_file(run, site, source);
    }
}

/// The same inside a chroot: absolute names start at the jail.
fn in_chroot(run: &mut Run, home: &[u8], home_fd: i32, source: Source) {
    let jail = join(home, b"jail");
    run.apply(named("mkdir"), &Place::new(&jail, jail.clone()), None).expect("mkdir");
    run.child(|run| {
        let expect = Expect::new("syscall").text("call", b"chroot").path(&jail);
        let new_root = c(&jail);
        run.act("chroot", || raw::call(libc::SYS_chroot, &[new_root.as_ptr() as i64]), |_| Some(expect))
            .expect("chroot");
        raw::call(libc::SYS_chdir, &[c"/".as_ptr() as i64]).expect("chdir");
        let site = make_site(run, "jailed", &jail, b"in", &jail);
        for shape in SHAPES {
            name_once(run, &site, named(if shape.needs_at() { "mkdirat" } else { "mkdir" }), shape);
        }
        one_round(run, &site, source);
        opens_in_every_shape(run, &site);
        ipc::sockets(run, &site);
        // A descriptor from outside the jail still names what is outside.
        let outside = join(home, b"outside");
        let place = Place::new(b"outside", outside).below(home_fd);
        run.apply(named("mkdirat"), &place, None).expect("mkdirat");
        0
    });
}
