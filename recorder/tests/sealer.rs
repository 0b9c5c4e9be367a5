//! The helper that sets flags: what it does for the daemon, and that it does nothing else for anybody.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use recorder::daemon::sealer::{Process, Sealer, SealerError, start_program};
use recorder::store::StoreError;
use recorder::store::medium::{Doomed, FlagError, Flags as _, Protection};
use recorder::store::writer::{Options, Writer};
use recorder::store::{FrameInput, medium::Medium};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::process::{Pid, Signal, kill_process};

const RECORDER: &str = env!("CARGO_BIN_EXE_recorder");

/// A folder on a disk that has the flags, freed at the end; `None`, said loudly, where that can't be.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: needs root to set flags");
            return None;
        }
        Some(Self(tempfile::tempdir_in("/var/tmp").unwrap()))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A directory and a helper that knows it as the store.
    fn helper(&self) -> (Sealer, Process, File) {
        let path = self.path().join("store");
        fs::create_dir(&path).unwrap();
        let (mut sealer, process) = start_program(Path::new(RECORDER)).unwrap();
        let store = File::open(&path).unwrap();
        sealer.introduce(store.as_fd()).unwrap();
        (sealer, process, store)
    }

    fn make(&self, name: &str) -> File {
        let path = self.path().join(name);
        fs::write(&path, "x").unwrap();
        File::open(path).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Command::new("chattr")
            .args(["-R", "-f", "-a", "-i"])
            .arg(self.path())
            .stderr(Stdio::null())
            .status();
    }
}

fn flags(file: &File) -> IFlags {
    ioctl_getflags(file).unwrap() & (IFlags::APPEND | IFlags::IMMUTABLE)
}

fn refusal(sealer: &mut Sealer, directory: BorrowedFd<'_>, name: &str, file: &File) -> String {
    let error = sealer.protect(directory, name, file.as_fd(), Protection::Sealed).unwrap_err();
    assert!(matches!(error, FlagError::Helper(_)), "{error}");
    error.to_string()
}

fn status(process: &Process, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
}

fn end(process: &Process, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(process.pid()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn it_holds_one_capability_and_its_line_and_no_more() {
    let Some(scratch) = Scratch::new() else { return };
    let (sealer, process, _store) = scratch.helper();
    for key in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(status(&process, key), format!("{:016x}", 1 << 9), "{key}");
    }
    for key in ["CapInh:", "CapAmb:"] {
        assert_eq!(status(&process, key), format!("{:016x}", 0), "{key}");
    }
    assert_eq!((status(&process, "NoNewPrivs:"), status(&process, "Seccomp:")), ("1".into(), "2".into()));
    let open = fs::read_dir(format!("/proc/{}/fd", process.pid())).unwrap();
    let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"], "the store's descriptor is closed again too");
    let environment = fs::read(format!("/proc/{}/environ", process.pid())).unwrap();
    assert!(environment.is_empty());
    // A service manager signals every process of the service, a terminal its whole group: the daemon ends first.
    end(&process, Signal::TERM);
    end(&process, Signal::INT);
    end(&process, Signal::HUP);
    let mut process = process;
    process.check().unwrap();
    drop(sealer);
    assert!(process.wait().unwrap().success());
}

#[test]
fn it_adds_flags_to_files_and_directories_of_the_store() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut sealer, process, store) = scratch.helper();
    let segment = scratch.make("store/segment");
    sealer.protect(store.as_fd(), "segment", segment.as_fd(), Protection::AppendOnly).unwrap();
    assert_eq!(flags(&segment), IFlags::APPEND);
    sealer.protect(store.as_fd(), "segment", segment.as_fd(), Protection::Sealed).unwrap();
    sealer.protect(store.as_fd(), "segment", segment.as_fd(), Protection::Sealed).unwrap();
    assert_eq!(flags(&segment), IFlags::APPEND | IFlags::IMMUTABLE);
    fs::create_dir_all(scratch.path().join("store/tile/0/x000")).unwrap();
    let deep = scratch.make("store/tile/0/x000/001");
    let parent = File::open(scratch.path().join("store/tile/0/x000")).unwrap();
    sealer.protect(parent.as_fd(), "001", deep.as_fd(), Protection::Sealed).unwrap();
    assert_eq!(flags(&deep), IFlags::IMMUTABLE);
    let tile = File::open(scratch.path().join("store/tile")).unwrap();
    sealer.protect(store.as_fd(), "tile", tile.as_fd(), Protection::AppendOnly).unwrap();
    assert_eq!(flags(&tile), IFlags::APPEND);
    drop(sealer);
    assert!(process.wait().unwrap().success());
}

#[test]
fn it_refuses_whatever_is_not_a_file_of_the_store() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut sealer, _process, store) = scratch.helper();
    let inside = scratch.make("store/inside");
    let outside = scratch.make("outside");
    let above = File::open(scratch.path()).unwrap();
    let elsewhere = "is not what has that name in the store";
    // Under a name that is another file's, or none.
    assert!(refusal(&mut sealer, store.as_fd(), "inside", &outside).contains(elsewhere));
    assert!(refusal(&mut sealer, store.as_fd(), "missing", &outside).contains(elsewhere));
    // Under its own name, in a directory that is not in the store.
    assert!(refusal(&mut sealer, above.as_fd(), "outside", &outside).contains(elsewhere));
    assert!(refusal(&mut sealer, above.as_fd(), "store", &store).contains(elsewhere));
    // Through links.
    symlink("../outside", scratch.path().join("store/link")).unwrap();
    assert!(refusal(&mut sealer, store.as_fd(), "link", &outside).contains(elsewhere));
    symlink("..", scratch.path().join("store/up")).unwrap();
    let up = File::open(scratch.path().join("store/up")).unwrap();
    assert!(refusal(&mut sealer, up.as_fd(), "outside", &outside).contains(elsewhere));
    // By names that lead elsewhere.
    for name in ["../outside", "..", ".", "", "link/x"] {
        assert!(refusal(&mut sealer, store.as_fd(), name, &outside).contains("no such request"), "{name:?}");
    }
    // What is neither file nor directory.
    let null = File::open("/dev/null").unwrap();
    assert!(refusal(&mut sealer, store.as_fd(), "inside", &null).contains("neither"));
    // Another store, once it has one.
    let error = sealer.introduce(above.as_fd()).unwrap_err().to_string();
    assert!(error.contains("told once"), "{error}");
    for file in [&inside, &outside, &above, &store] {
        assert_eq!(flags(file), IFlags::empty());
    }
    // It still serves.
    sealer.protect(store.as_fd(), "inside", inside.as_fd(), Protection::Sealed).unwrap();
}

const SEGMENT: &str = "seg-0000000000.krl.zst";
const TOMBSTONE: &str = "seg-0000000000.tomb";

/// Asks the helper to remove `name`, with these files as segment and tombstone.
fn remove(sealer: &mut Sealer, store: &File, name: &str, files: (&File, &File)) -> Result<(), FlagError> {
    let (segment, tombstone) = (files.0.as_fd(), files.1.as_fd());
    sealer.remove(Doomed { store: store.as_fd(), name, segment, tombstone })
}

#[test]
fn it_removes_a_segment_whose_tombstone_stays_and_nothing_else() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut sealer, process, store) = scratch.helper();
    let segment = scratch.make(&format!("store/{SEGMENT}"));
    let tombstone = scratch.make(&format!("store/{TOMBSTONE}"));
    let (other, outside) = (scratch.make("store/origin.pub"), scratch.make(SEGMENT));
    sealer.protect(store.as_fd(), SEGMENT, segment.as_fd(), Protection::AppendOnly).unwrap();
    sealer.protect(store.as_fd(), SEGMENT, segment.as_fd(), Protection::Sealed).unwrap();
    ioctl_setflags(&store, ioctl_getflags(&store).unwrap() | IFlags::APPEND).unwrap();
    let above = File::open(scratch.path()).unwrap();
    let refused = |sealer: &mut Sealer, store: &File, name: &str, files: (&File, &File)| {
        let error = remove(sealer, store, name, files).unwrap_err();
        assert!(matches!(error, FlagError::Helper(_)), "{error}");
    };
    // A tombstone that could still be changed or taken away, or none.
    refused(&mut sealer, &store, SEGMENT, (&segment, &tombstone));
    sealer.protect(store.as_fd(), TOMBSTONE, tombstone.as_fd(), Protection::Sealed).unwrap();
    refused(&mut sealer, &store, SEGMENT, (&segment, &other));
    refused(&mut sealer, &store, SEGMENT, (&segment, &segment));
    // What is no segment, not this one, or elsewhere.
    refused(&mut sealer, &store, "origin.pub", (&other, &tombstone));
    refused(&mut sealer, &store, TOMBSTONE, (&tombstone, &tombstone));
    refused(&mut sealer, &store, SEGMENT, (&other, &tombstone));
    refused(&mut sealer, &store, "seg-0000000001.krl.zst", (&segment, &tombstone));
    refused(&mut sealer, &above, SEGMENT, (&outside, &tombstone));
    assert_eq!(flags(&segment), IFlags::APPEND | IFlags::IMMUTABLE);
    assert_eq!((flags(&store), flags(&tombstone)), (IFlags::APPEND, IFlags::IMMUTABLE));

    remove(&mut sealer, &store, SEGMENT, (&segment, &tombstone)).unwrap();
    assert!(!scratch.path().join("store").join(SEGMENT).exists());
    assert!(scratch.path().join("store").join(TOMBSTONE).exists() && scratch.path().join(SEGMENT).exists());
    assert_eq!((flags(&store), flags(&tombstone)), (IFlags::APPEND, IFlags::IMMUTABLE));
    drop(sealer);
    assert!(process.wait().unwrap().success());
}

#[test]
fn on_its_own_it_does_nothing() {
    let output = Command::new(RECORDER).arg("sealer").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(said.contains("started by the daemon"), "{said}");
}

#[test]
fn without_the_right_to_set_flags_it_says_so() {
    // Run by a user who is not root, or as one.
    let program = tempfile::Builder::new().prefix("recorder-test-").tempdir_in("/var/tmp").unwrap();
    let script = program.path().join("recorder");
    let drop_rights =
        if rustix::process::geteuid().is_root() { "setpriv --bounding-set=-linux_immutable --" } else { "" };
    fs::write(&script, format!("#!/bin/sh\nexec {drop_rights} {RECORDER} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Its environment is empty, and so is what a shell finds programs by; setpriv is where it always is.
    let error = start_program(&script).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SealerError::Unable(_)), "{said}");
    assert!(said.contains("CAP_LINUX_IMMUTABLE") && said.contains("immutable = \"off\""), "{said}");
}

#[test]
fn when_it_is_gone_nothing_is_written_unprotected() {
    let Some(scratch) = Scratch::new() else { return };
    let (sealer, mut process) = start_program(Path::new(RECORDER)).unwrap();
    let options = Options { segment_bytes: 1_200, ..Options::new([1; 16], 0) };
    let between = |files: recorder::store::medium::Files| -> Box<dyn Medium> {
        Box::new(files.with_flags(Box::new(sealer)))
    };
    let (store, state) = (scratch.path().join("store"), scratch.path().join("state"));
    let (mut writer, _) = Writer::open_on(&store, &state, options, between).unwrap();
    let frame = FrameInput { lines: b"{\"a\":1}\n", ends: &[8], t_first: 0, t_last: 0, lost_total: 0 };
    for _ in 0..4 {
        writer.append(&frame).unwrap();
    }
    end(&process, Signal::KILL);
    let error = loop {
        if let Err(error) = process.check() {
            break error.to_string();
        }
        std::thread::yield_now();
    };
    assert!(error.contains(&format!("pid {}", process.pid())) && error.contains("SIGKILL"), "{error}");
    let error = (0..4).find_map(|_| writer.append(&frame).err()).unwrap();
    assert!(matches!(error, StoreError::Unprotected { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("sealing helper") && said.contains("rather than going on without protection"),
        "{said}"
    );
    assert!(matches!(writer.append(&frame), Err(StoreError::Latched { .. })));
    // Whatever is there is protected: nothing was begun without.
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        assert!(!flags(&File::open(&path).unwrap()).is_empty(), "{}", path.display());
    }
}
