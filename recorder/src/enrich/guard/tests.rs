//! What touches the store, what only looks like it, and what is the recorder's own work.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::event::Task;

const HOST: u32 = 1;
const CONTAINER: u32 = 2;
const RECORDER: ProcessId = ProcessId { pid: 10, ticks: 5 };
const HELPER: ProcessId = ProcessId { pid: 11, ticks: 6 };

fn guard() -> Guard {
    Guard {
        path: b"/var/log/recorder".to_vec(),
        checkpoint: [b"/var/lib/recorder/checkpoint".to_vec(), b"/var/lib/recorder/checkpoint.new".to_vec()],
        files: HashSet::from([(7, 100), (7, 101)]),
        recorder: Some(RECORDER),
        helper: Some(HELPER),
        namespaces: vec![HOST],
    }
}

fn event(kind: Kind, path: &str) -> Event<'static> {
    let file = File { path: Some(Cow::Owned(path.as_bytes().to_vec())), ..File::default() };
    let task = Some(Task { pid: 99, start: 990_000_000, mntns: HOST, ..Task::default() });
    Event { mono: 1, kind, errno: 0, task, flags: 0, body: Body::File(file) }
}

fn with(mut event: Event<'static>, change: impl FnOnce(&mut File<'static>)) -> Event<'static> {
    if let Body::File(file) = &mut event.body {
        change(file);
    }
    event
}

fn by(process: ProcessId, mut event: Event<'static>) -> Event<'static> {
    event.task =
        Some(Task { pid: process.pid, start: process.ticks * 10_000_000, mntns: HOST, ..Task::default() });
    event
}

fn elsewhere(mut event: Event<'static>) -> Event<'static> {
    event.task.as_mut().unwrap().mntns = CONTAINER;
    event
}

fn is_marked(mut event: Event<'static>) -> bool {
    let touches = guard().marks(&mut event);
    let marked = event.flags & flag::STORE != 0;
    assert!(touches || !marked);
    marked
}

#[test]
fn only_the_recorder_replaces_its_checkpoint_unseen() {
    let replaces = |by: ProcessId, path: &str, path_to: Option<&str>| {
        let event = with(event(Kind::FileRename, path), |file| {
            file.path_to = path_to.map(|path| Cow::Owned(path.as_bytes().to_vec()));
        });
        guard().is_checkpoint(&self::by(by, event))
    };
    let (newest, beside) = ("/var/lib/recorder/checkpoint", "/var/lib/recorder/checkpoint.new");
    assert!(replaces(RECORDER, beside, Some(newest)) && replaces(RECORDER, beside, None));
    assert!(!replaces(HELPER, beside, Some(newest)));
    assert!(!replaces(RECORDER, newest, Some("/var/lib/recorder/elsewhere")));
    assert!(!replaces(RECORDER, "/var/lib/recorder/origin.key", None));
}

const SEGMENT: &str = "/var/log/recorder/seg-0000000000.krl.zst";

#[test]
fn every_change_in_the_store_is_marked() {
    for kind in Kind::ALL.iter().filter(|kind| (16..34).contains(&(**kind as u16))) {
        for path in [SEGMENT, "/var/log/recorder", "/var/log/recorder/x/y"] {
            assert!(is_marked(event(*kind, path)), "{kind:?} {path}");
            let failed = Event { errno: 1, ..event(*kind, path) };
            assert!(is_marked(failed), "{kind:?} {path}: an attempt counts");
        }
        assert!(!is_marked(event(*kind, "/var/log/recorder2")), "{kind:?}");
        assert!(!is_marked(event(*kind, "/etc/passwd")), "{kind:?}");
    }
    assert!(!is_marked(event(Kind::FileDenied, SEGMENT)), "reading is not touching");
}

#[test]
fn a_file_of_the_store_is_known_under_any_name() {
    let inode = |dev, ino| Some(Inode { dev, ino, ..Inode::default() });
    let named = |dev, ino| with(event(Kind::AttrFlags, "/mnt/bind/seg"), |file| file.inode = inode(dev, ino));
    assert!(is_marked(named(7, 100)));
    assert!(!is_marked(named(7, 102)) && !is_marked(named(8, 100)));
    assert!(is_marked(
        with(event(Kind::FileLink, "/tmp/x"), |file| file.path_to = Some(SEGMENT.as_bytes().into()))
    ));
}

#[test]
fn moving_and_mounting_above_the_store_is_marked() {
    for kind in [Kind::FileRename, Kind::Mount, Kind::Unmount] {
        for path in ["/var/log", "/var"] {
            assert!(is_marked(event(kind, path)), "{kind:?} {path}");
        }
        assert!(!is_marked(event(kind, "/var/lo")), "{kind:?}");
        assert!(!is_marked(event(kind, "var")), "{kind:?}: a name that lost its beginning");
    }
    let to = |path: &'static str| {
        with(event(Kind::FileRename, "/tmp/x"), |file| file.path_to = Some(path.as_bytes().into()))
    };
    assert!(is_marked(to("/var/log/recorder/x")) && is_marked(to("/var")) && !is_marked(to("/var/x")));
    for kind in [Kind::AttrMode, Kind::DirCreate, Kind::AttrFlags] {
        assert!(!is_marked(event(kind, "/var/log")), "{kind:?}");
    }
}

#[test]
fn what_every_container_does_to_its_root_is_not_marked() {
    let private = with(event(Kind::Mount, "/"), |file| file.bits = Some(1 << 18 | 1 << 14));
    assert!(!is_marked(private));
    assert!(!is_marked(elsewhere(event(Kind::Unmount, "/"))));
    assert!(is_marked(event(Kind::Unmount, "/")));
    for path in ["/var/log", "/var/log/recorder"] {
        assert!(is_marked(elsewhere(event(Kind::Mount, path))), "{path}");
    }
}

#[test]
fn the_recorders_own_work_is_not_marked_and_nobody_elses_passes_for_it() {
    let added = |flags: IFlags| {
        with(event(Kind::AttrFlags, SEGMENT), |file| file.bits = Some(u64::from(flags.bits())))
    };
    let mut own = by(RECORDER, event(Kind::FileWrite, SEGMENT));
    assert!(guard().marks(&mut own) && own.flags == 0, "it is admitted all the same");
    for kind in [Kind::FileCreate, Kind::AttrMode, Kind::AttrOwner] {
        assert!(!is_marked(by(RECORDER, event(kind, SEGMENT))), "{kind:?}");
        assert!(is_marked(by(HELPER, event(kind, SEGMENT))), "{kind:?}");
    }
    for kind in [Kind::FileTruncate, Kind::FileDelete, Kind::FileRename, Kind::AttrFlags, Kind::FileMapWrite]
    {
        assert!(is_marked(by(RECORDER, event(kind, SEGMENT))), "{kind:?}");
    }
    assert!(!is_marked(by(HELPER, added(IFlags::APPEND | IFlags::IMMUTABLE))));
    assert!(!is_marked(by(HELPER, added(IFlags::empty()))), "retention takes flags off");
    assert!(!is_marked(by(HELPER, event(Kind::FileDelete, SEGMENT))), "and removes");
    assert!(is_marked(by(HELPER, event(Kind::FileDelete, "/var/log/recorder/origin.pub"))));
    assert!(is_marked(by(RECORDER, added(IFlags::APPEND))), "the daemon has given that right up");
    for other in [ProcessId { pid: 10, ticks: 50 }, ProcessId { pid: 12, ticks: 5 }] {
        assert!(is_marked(by(other, event(Kind::FileWrite, SEGMENT))), "{other:?}");
    }
}

#[test]
fn the_inode_of_a_removed_segment_may_be_anybodys() {
    let bits = |flags: IFlags| {
        let event = with(event(Kind::AttrFlags, SEGMENT), |file| file.bits = Some(u64::from(flags.bits())));
        by(HELPER, with(event, |file| file.inode = Some(Inode { dev: 1, ino: 77, ..Inode::default() })))
    };
    let reused = || {
        with(event(Kind::FileWrite, "/home/ann/x"), |file| {
            file.inode = Some(Inode { dev: 1, ino: 77, ..Inode::default() })
        })
    };
    let mut guard = guard();
    let mut is_marked = |mut event: Event<'static>| {
        guard.marks(&mut event);
        event.flags & flag::STORE != 0
    };
    assert!(!is_marked(bits(IFlags::IMMUTABLE)) && is_marked(reused()));
    assert!(!is_marked(bits(IFlags::empty())) && !is_marked(reused()));
}

#[test]
fn a_link_to_the_store_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir_all(folder.join("log/recorder")).unwrap();
    symlink(folder.join("log"), folder.join("alias")).unwrap();
    let mut guard = Guard { path: folder.join("log/recorder").into_os_string().into_vec(), ..guard() };
    let mut marks = |kind, path: &str, flags| {
        let path = folder.join(path);
        let mut event = Event { flags, ..event(kind, path.to_str().unwrap()) };
        guard.marks(&mut event)
    };
    assert!(marks(Kind::FileRename, "alias/recorder", flag::FROM_ARGUMENT));
    assert!(marks(Kind::FileDelete, "alias/recorder/seg-0000000000.krl.zst", flag::FROM_ARGUMENT));
    assert!(marks(Kind::FileRename, "log/recorder/../../log", flag::FROM_ARGUMENT | flag::UNRESOLVED));
    assert!(!marks(Kind::FileRename, "alias/other", flag::FROM_ARGUMENT));
    assert!(!marks(Kind::FileRename, "alias/recorder", 0), "the kernel itself gave this name");
}

#[test]
fn a_store_is_known_by_its_inodes_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seg"), "").unwrap();
    let guard = Guard::new(folder.path(), folder.path(), None, &Procfs::new(Path::new("/proc")));
    assert_eq!(guard.files.len(), 2);
    assert_eq!(guard.recorder.unwrap().pid, std::process::id());
    assert!(!guard.namespaces.is_empty());
}
