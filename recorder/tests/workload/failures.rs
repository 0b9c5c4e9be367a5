//! Failures: every call, refused in every way that a path or a right can refuse it.

use super::Run;
use super::names::{NAMED, Needs};
use super::opens::{OPENS, Open};
use super::plan::{link_to, named, open_below, raw_close};
use super::raw::{self, c};
use super::site::{Place, Shape, Site, join};
use crate::support::ledger::Expect;

/// Places where nothing can be done, named relative to the site's directory. `file` is a file and `loop` a loop.
fn bad_places(run: &mut Run, dir: &[u8], file: &[u8], looped: &[u8], at: bool) -> Vec<Place> {
    let leaf = run.leaf();
    let relative = |given: &[u8]| Place::new(given, join(dir, given));
    let mut slash = leaf.clone();
    slash.push(b'/');
    let mut trailing = Place::new(&slash, join(dir, &leaf));
    trailing.real = join(dir, &leaf);
    let long_name = vec![b'n'; 256];
    let long_path = b"./".repeat(2500);
    let mut cut = Place::new(&long_path, Vec::new()).flagged("cut");
    cut.named = None;
    let mut above = relative(b"..").flagged("unresolved");
    above.real = dir.iter().rposition(|&byte| byte == b'/').map_or_else(Vec::new, |at| dir[..at].to_vec());
    let mut places = vec![
        relative(&join(b"nothing", &leaf)),
        relative(&join(file, &leaf)),
        relative(&join(looped, &leaf)),
        relative(&long_name),
        trailing,
        cut,
        Place::faulty(),
        Place::new(b"", dir.to_vec()),
        Place::new(b".", dir.to_vec()),
        above,
    ];
    if at {
        places.push(Place::new(&leaf, leaf.clone()).below(9999).flagged("unresolved"));
        let dir_fd = {
            let path = c(&join(dir, file));
            raw::fd_of(raw::call(libc::SYS_open, &[path.as_ptr() as i64, 0, 0]))
        };
        places.push(Place::new(&leaf, join(&join(dir, file), &leaf)).below(dir_fd));
    }
    places
}

/// Every call at every bad place.
pub fn everywhere(run: &mut Run, site: &Site) {
    let dir = site.real();
    let (file, looped) = (run.plain_leaf(), run.plain_leaf());
    run.make(&site.place(Shape::DirFd, &file).expect("short"));
    let place = site.place(Shape::Relative, &looped).expect("short");
    link_to(run, &looped, &place);
    for row in &NAMED {
        for bad in bad_places(run, &dir, &file, &looped, row.at) {
            if row.second.is_none() {
                let _ = run.apply(row, &bad, None);
                continue;
            }
            let fresh = run.leaf();
            let good = site.place(Shape::Relative, &fresh).expect("short");
            let _ = run.apply(row, &bad, Some(&good));
            let leaf = run.leaf();
            let there = site.place(Shape::Relative, &leaf).expect("short");
            run.prepare(row.needs, &there);
            let _ = run.apply(row, &there, Some(&bad));
        }
        exists_or_missing(run, site, row);
    }
    for call in OPENS {
        let mut places = bad_places(run, &dir, &file, &looped, call.starts_with("openat"));
        places.push(Place::new(&looped, join(&dir, &looped)));
        for bad in places {
            let create = libc::O_CREAT | libc::O_WRONLY;
            for flags in [libc::O_WRONLY, create, libc::O_RDONLY, libc::O_RDWR | libc::O_NOFOLLOW] {
                let _ = run.open(call, &bad, flags, false).map(raw_close);
            }
        }
    }
    odd_refusals(run, site);
}

/// Nothing there although the call needs something, or something there although it must be free.
fn exists_or_missing(run: &mut Run, site: &Site, row: &super::names::Named) {
    let leaf = run.leaf();
    let place = site.place(Shape::Relative, &leaf).expect("short");
    let leaf_to = run.leaf();
    let to = site.place(Shape::Relative, &leaf_to).expect("short");
    if row.needs == Needs::Free {
        run.make(&place);
    }
    let _ = run.apply(row, &place, row.second.map(|_| &to));
}

/// Opens that fail for reasons of their own.
fn odd_refusals(run: &mut Run, site: &Site) {
    let leaf = run.leaf();
    let place = site.place(Shape::Relative, &leaf).expect("short");
    run.apply(named("mknod:fifo"), &place, None).expect("mknod");
    // Nobody reads it: ENXIO.
    let _ = run.open("open", &place, libc::O_WRONLY | libc::O_NONBLOCK, true);
    let exe = std::fs::read_link("/proc/self/exe").expect("exe");
    let exe = std::os::unix::ffi::OsStrExt::as_bytes(exe.as_os_str()).to_vec();
    let running = Place::new(&exe, exe.clone());
    let _ = run.open("open", &running, libc::O_WRONLY, true);
    let directory = site.place(Shape::FromParent, b".").expect("short");
    let mut directory = Place { named: Some(site.real()), ..directory };
    directory.real = site.real();
    let _ = run.open("openat", &directory, libc::O_RDWR, true);
    let _ = run.open("openat", &directory, libc::O_CREAT | libc::O_DIRECTORY | libc::O_RDWR, true);
    frozen(run, site);
}

/// A file that may not be changed by anyone: EPERM for root.
fn frozen(run: &mut Run, site: &Site) {
    let leaf = run.leaf();
    let place = site.place(Shape::Relative, &leaf).expect("short");
    run.make(&place);
    let reader = raw::fd_of(run.open("open", &place, libc::O_RDONLY, true));
    let reader = Open::new(reader, place.real.clone());
    set_flags(run, &reader, 0x10);
    let calls = ["unlink", "chmod", "lchown", "setxattr", "truncate", "utime"];
    for call in calls {
        let _ = run.apply(named(call), &place, None);
    }
    let to = site.place(Shape::Relative, b"never").expect("short");
    for call in ["rename", "link"] {
        let _ = run.apply(named(call), &place, Some(&to));
    }
    for call in OPENS {
        let _ = run.open(call, &place, libc::O_WRONLY, true).map(raw_close);
    }
    set_flags(run, &reader, 0);
    raw_close(i64::from(reader.fd));
}

/// `FS_IOC_SETFLAGS`.
fn set_flags(run: &mut Run, open: &Open, flags: u32) {
    let expect = open.expect("attr_flags").field("bits", flags);
    let at = (&raw const flags) as i64;
    run.act(
        "ioctl:setflags",
        || raw::call(libc::SYS_ioctl, &[i64::from(open.fd), 0x4008_6602, at]),
        |_| Some(expect),
    )
    .expect("setflags");
}

/// Everything again as user nobody: where it may look but not touch, where it may not look, and where it may.
pub fn as_nobody(run: &mut Run, site: &Site) {
    let kinds = [("open", 0o755_u32), ("shut", 0o700)];
    let mut prepared = Vec::new();
    for (label, mode) in kinds {
        let mut name = run.plain_leaf();
        name.extend_from_slice(label.as_bytes());
        let dir = site.place(Shape::Absolute, &name).expect("short");
        run.apply(named("mkdir"), &dir, None).expect("mkdir");
        let fd = open_below(-100, &dir.real);
        for row in &NAMED {
            let leaf = run.leaf();
            let place = Place::new(&leaf, join(&dir.real, &leaf)).below(fd);
            run.prepare(row.needs, &place);
            prepared.push((*row, fd, place));
        }
        set_mode(run, fd, &dir.real, mode);
    }
    run.child(|run| {
        let none = Expect::new("credential").field("groups_set", Vec::<u32>::new());
        run.become_other("setgroups", libc::SYS_setgroups, &[0, 0], none);
        let group = Expect::new("credential").field("gid_set", 65_534).field("sgid", 65_534);
        run.become_other("setresgid", libc::SYS_setresgid, &[65_534, 65_534, 65_534], group);
        // Real and effective user differ: the event tells both.
        run.become_user([65_533, 65_534, 65_534]);
        for (row, fd, place) in prepared {
            // The directory may be shut: then it can't be entered, but its descriptor still works for *at calls.
            let entered = raw::call(libc::SYS_fchdir, &[i64::from(fd)]).is_ok();
            let leaf = run.leaf();
            let dir = place.real[..place.real.len() - place.given.as_ref().expect("given").as_bytes().len()]
                .to_vec();
            let absolute = Place::new(&place.real, place.real.clone());
            let place = if entered { place.clone() } else { absolute };
            let place = if row.at || !entered { place } else { place.below(-100) };
            let to = Place::new(&join(&dir, &leaf), join(&dir, &leaf));
            let _ = run.apply(&row, &place, row.second.map(|_| &to));
            for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_CREAT | libc::O_RDWR] {
                let call = run.pick(&["openat", "openat2"]);
                let _ = run.open(call, &place, flags, true).map(raw_close);
            }
            let _ = run.open("openat", &to, libc::O_CREAT | libc::O_WRONLY, false).map(raw_close);
            let _ = run.open("open", &to, libc::O_RDONLY, false).map(raw_close);
        }
        7
    });
}

fn set_mode(run: &mut Run, fd: i32, path: &[u8], mode: u32) {
    let expect = Expect::new("attr_mode").path(path).field("mode_set", mode);
    run.act("fchmod", || raw::call(libc::SYS_fchmod, &[i64::from(fd), i64::from(mode)]), |_| Some(expect))
        .expect("fchmod");
}

/// The working directory is gone: names below it lead nowhere.
pub fn in_deleted_directory(run: &mut Run, home: &[u8]) {
    let path = join(home, &run.leaf());
    let place = Place::new(&path, path.clone());
    run.apply(named("mkdir"), &place, None).expect("mkdir");
    raw::call(libc::SYS_chdir, &[place.name()]).expect("chdir");
    run.apply(named("rmdir"), &place, None).expect("rmdir");
    for row in &NAMED {
        let (leaf, leaf_to) = (run.leaf(), run.leaf());
        let p = Place::new(&leaf, join(&path, &leaf)).flagged("deleted");
        let q = Place::new(&leaf_to, join(&path, &leaf_to)).flagged("deleted");
        let _ = run.apply(row, &p, row.second.map(|_| &q));
    }
    for call in OPENS {
        let leaf = run.leaf();
        let p = Place::new(&leaf, join(&path, &leaf)).flagged("deleted");
        let _ = run.open(call, &p, libc::O_CREAT | libc::O_WRONLY, false);
        let _ = run.open(call, &p, libc::O_RDWR, false);
    }
    raw::call(libc::SYS_chdir, &[c(home).as_ptr() as i64]).expect("chdir");
}
