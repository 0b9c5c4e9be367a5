//! Mounts in a mount namespace of the workload's own, and file changes on what is mounted there.

use super::names::NAMED;
use super::opens::OPENS;
use super::plan::{make_site, named, one_round, raw_close};
use super::raw::{self, Outcome, c};
use super::site::{Place, join};
use super::writes::Source;
use super::{Run, named as event};
use crate::support::ledger::Expect;

const MS_RDONLY: i64 = 1;
const MS_REMOUNT: i64 = 32;
const MS_BIND: i64 = 4096;
const MS_REC: i64 = 16_384;
const MS_PRIVATE: i64 = 1 << 18;
const MNT_DETACH: i64 = 2;

fn mount(run: &mut Run, source: &[u8], target: &Place, fstype: &[u8], flags: i64) -> Outcome {
    let (source_c, fstype_c) = (c(source), c(fstype));
    let from = if source.is_empty() { 0 } else { source_c.as_ptr() as i64 };
    let kind = if fstype.is_empty() { 0 } else { fstype_c.as_ptr() as i64 };
    let mut expect = event("mount", target).may(&["remount"]).field("bits", flags);
    if !source.is_empty() {
        expect = expect.text("source", source);
    }
    if !fstype.is_empty() {
        expect = expect.text("fstype", fstype);
    }
    run.act("mount", || raw::call(libc::SYS_mount, &[from, target.name(), kind, flags, 0]), |_| Some(expect))
}

fn unmount(run: &mut Run, target: &Place, flags: i64) -> Outcome {
    run.act(
        "umount2",
        || raw::call(libc::SYS_umount2, &[target.name(), flags]),
        |_| Some(event("unmount", target)),
    )
}

/// Mounts of every sort, in a child with a private mount namespace.
pub fn in_private_namespace(run: &mut Run, home: &[u8], source: Source) {
    run.child(|run| {
        run.unshare(libc::CLONE_NEWNS, "mnt");
        let root = Place::new(b"/", b"/".to_vec());
        mount(run, b"", &root, b"", MS_REC | MS_PRIVATE).expect("private");
        let point = join(home, &run.leaf());
        let point = Place::new(&point, point.clone());
        run.apply(named("mkdir"), &point, None).expect("mkdir");
        mount(run, b"some tmpfs", &point, b"tmpfs", 0).expect("tmpfs");
        // make_site wants absolute names, which now lead into the new file system.
        let site = make_site(run, "tmpfs", &point.real, b"in", b"");
        one_round(run, &site, source);
        let bound = join(home, &run.leaf());
        let bound = Place::new(&bound, bound.clone());
        run.apply(named("mkdir"), &bound, None).expect("mkdir");
        mount(run, &point.real, &bound, b"", MS_BIND).expect("bind");
        let site = make_site(run, "bind", &bound.real, b"in", b"");
        one_round(run, &site, source);
        mount(run, b"", &bound, b"", MS_REMOUNT | MS_BIND | MS_RDONLY).expect("remount");
        read_only(run, &bound.real);
        failing(run, home, &bound);
        by_file_descriptor(run, home);
        for fd in [site.dir_fd, site.parent_fd] {
            raw_close(i64::from(fd));
        }
        raw::call(libc::SYS_chdir, &[c(home).as_ptr() as i64]).expect("chdir");
        unmount(run, &bound, 0).expect("umount");
        unmount(run, &point, MNT_DETACH).expect("umount");
        let _ = unmount(run, &point, 0);
        0
    });
}

/// Every change on a read-only mount: EROFS.
fn read_only(run: &mut Run, dir: &[u8]) {
    for row in &NAMED {
        let (leaf, leaf_to) = (run.leaf(), run.leaf());
        let p = Place::new(&join(dir, &leaf), join(dir, &leaf));
        let q = Place::new(&join(dir, &leaf_to), join(dir, &leaf_to));
        let _ = run.apply(row, &p, row.second.map(|_| &q));
    }
    for call in OPENS {
        let leaf = run.leaf();
        let p = Place::new(&join(dir, &leaf), join(dir, &leaf));
        let refused = run.open(call, &p, libc::O_CREAT | libc::O_RDWR, false);
        assert_eq!(refused, Err(libc::EROFS), "{call} on a read-only mount");
    }
}

fn failing(run: &mut Run, home: &[u8], bound: &Place) {
    let nowhere = join(home, &run.leaf());
    let nowhere = Place::new(&nowhere, nowhere.clone());
    let _ = mount(run, b"none", &nowhere, b"tmpfs", 0);
    let _ = mount(run, b"none", bound, b"no such type", 0);
    let _ = mount(run, b"/nothing here", bound, b"", MS_BIND);
    let _ = mount(run, b"none", &Place::faulty(), b"tmpfs", 0);
    let _ = unmount(run, &nowhere, 0);
    let _ = unmount(run, &Place::faulty(), 0);
    let _ = unmount(run, bound, 0x4000);
    run.child(|run| {
        run.become_user([65_534, 65_534, 65_534]);
        let _ = mount(run, b"none", bound, b"tmpfs", 0);
        let _ = unmount(run, bound, 0);
        0
    });
}

/// The newer calls: a mount made as a descriptor and moved into place, its attributes, a copy of a tree.
fn by_file_descriptor(run: &mut Run, home: &[u8]) {
    let point = join(home, &run.leaf());
    let point = Place::new(&point, point.clone());
    run.apply(named("mkdir"), &point, None).expect("mkdir");
    let fs = raw::call(raw::FSOPEN, &[c"tmpfs".as_ptr() as i64, 0]).expect("fsopen");
    raw::call(raw::FSCONFIG, &[fs, 6, 0, 0, 0]).expect("fsconfig");
    let expect = Expect::new("mount").text("fstype", b"tmpfs").text("source", b"none");
    let made =
        run.act("fsmount", || raw::call(raw::FSMOUNT, &[fs, 0, 0]), |_| Some(expect)).expect("fsmount");
    move_mount(run, made, &point);
    let attributes = [1_u64, 0, 0, 0];
    run.act(
        "mount_setattr",
        || raw::call(raw::MOUNT_SETATTR, &[-100, point.name(), 0, attributes.as_ptr() as i64, 32]),
        |_| Some(event("mount", &point).must(&["remount"])),
    )
    .expect("mount_setattr");
    let again = join(home, &run.leaf());
    let again = Place::new(&again, again.clone());
    run.apply(named("mkdir"), &again, None).expect("mkdir");
    let tree = raw::call(raw::OPEN_TREE, &[-100, point.name(), 1]).expect("open_tree");
    move_mount(run, tree, &again);
    for fd in [fs, made, tree] {
        raw_close(fd);
    }
    unmount(run, &again, 0).expect("umount");
    unmount(run, &point, 0).expect("umount");
}

fn move_mount(run: &mut Run, from: i64, to: &Place) {
    let nothing = c"".as_ptr() as i64;
    run.act(
        "move_mount",
        || raw::call(raw::MOVE_MOUNT, &[from, nothing, -100, to.name(), 4]),
        |_| Some(Expect { ..event("mount", to) }),
    )
    .expect("move_mount");
}
