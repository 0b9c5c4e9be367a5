//! Owner, mode and flags of a store. What needs root and a file system with the append-only flag says so when it is left
//! out.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::store::REMOVING_FILE;
use crate::store::writer::{Immutable, Options, Writer};
use crate::store::{FrameInput, StoreError};

/// A scratch directory; whatever is append-only in it is freed at the end.
struct Scratch {
    keep: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { keep: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> PathBuf {
        self.keep.path().join("store")
    }

    fn open(&self, immutable: Immutable) -> Result<Writer, StoreError> {
        let options = Options { immutable, segment_bytes: 1_200, ..Options::new([1; 16], 0) };
        Writer::open(&self.store(), &self.keep.path().join("state"), options).map(|(writer, _)| writer)
    }

    fn refusal(&self, immutable: Immutable) -> String {
        self.open(immutable).map(drop).unwrap_err().to_string()
    }

    /// Path and message of everything in the store.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.store()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        free(&self.store());
        for entry in fs::read_dir(self.store()).into_iter().flatten().flatten() {
            free(&entry.path());
        }
    }
}

fn free(path: &Path) {
    if let Ok(file) = File::open(path)
        && let Ok(flags) = ioctl_getflags(&file)
        && flags.intersects(IFlags::APPEND | IFlags::IMMUTABLE)
    {
        ioctl_setflags(&file, flags - IFlags::APPEND - IFlags::IMMUTABLE).unwrap();
    }
}

fn append(writer: &mut Writer) {
    let frame = FrameInput { lines: b"{\"a\":1}\n", ends: &[8], t_first: 0, t_last: 0, lost_total: 0 };
    writer.append(&frame).unwrap();
}

/// Whether this test can run here; tells when not.
fn has_append_only() -> bool {
    let probe = tempfile::NamedTempFile::new().unwrap();
    let can = ioctl_getflags(&probe).and_then(|flags| ioctl_setflags(&probe, flags | IFlags::APPEND)).is_ok();
    if can {
        free(probe.path());
    } else {
        println!(
            "SKIPPED: needs root and a file system with the append-only flag in {}",
            probe.path().display()
        );
    }
    can
}

/// Flags of a file or directory, as far as they protect it.
fn protection(path: &Path) -> IFlags {
    super::protection_of(File::open(path).unwrap()).unwrap()
}

#[test]
fn a_store_is_append_only_from_its_first_byte_and_immutable_where_it_is_complete() {
    if !has_append_only() {
        return;
    }
    let scratch = Scratch::new();
    let mut writer = scratch.open(Immutable::Required).unwrap();
    while scratch.files().len() < 4 {
        append(&mut writer);
    }
    let files = scratch.files();
    let (origin, segments) = files.split_first().unwrap();
    let (last, complete) = segments.split_last().unwrap();
    assert!(complete.len() >= 2, "{files:?}");
    for path in [&scratch.store(), origin, last] {
        assert_eq!(protection(path), IFlags::APPEND, "{}", path.display());
    }
    for path in complete {
        assert_eq!(protection(path), IFlags::APPEND | IFlags::IMMUTABLE, "{}", path.display());
    }
    for path in files.iter().chain([&scratch.store()]) {
        let right = if path.is_dir() { 0o2750 } else { 0o640 };
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, right, "{}", path.display());
    }
    assert!(fs::remove_file(last).is_err());
    assert!(fs::rename(last, scratch.store().join("elsewhere")).is_err());
    assert!(OpenOptions::new().write(true).open(last).and_then(|file| file.write_at(b"x", 0)).is_err());
    assert!(OpenOptions::new().append(true).open(last).is_ok());
    assert!(OpenOptions::new().append(true).open(&complete[0]).is_err());
    // Dropped: the last segment has no end, as after a crash. The next start commits to it, and seals it.
    drop(writer);
    let mut writer = scratch.open(Immutable::Required).unwrap();
    assert_eq!(protection(last), IFlags::APPEND | IFlags::IMMUTABLE);
    append(&mut writer);
    writer.close(0).unwrap();
    for path in scratch.files().iter().skip(1) {
        assert_eq!(protection(path), IFlags::APPEND | IFlags::IMMUTABLE, "{}", path.display());
    }
    append(&mut scratch.open(Immutable::Required).unwrap());
}

#[test]
fn without_flags_nothing_is_sealed() {
    if !has_append_only() {
        return;
    }
    let scratch = Scratch::new();
    let mut writer = scratch.open(Immutable::Off).unwrap();
    for _ in 0..4 {
        append(&mut writer);
    }
    writer.close(0).unwrap();
    for path in scratch.files().iter().chain([&scratch.store()]) {
        assert_eq!(protection(path), IFlags::empty(), "{}", path.display());
    }
}

#[test]
fn a_flag_that_someone_cleared_is_named_with_the_command_that_sets_it() {
    if !has_append_only() {
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Required).unwrap());
    append(&mut scratch.open(Immutable::Required).unwrap());
    let files = scratch.files();
    assert_eq!(files.len(), 3, "{files:?}");
    let flags = [("append-only", "+a"), ("immutable", "+i"), ("append-only", "+a"), ("append-only", "+a")];
    for (path, (word, change)) in files.iter().chain([&scratch.store()]).zip(flags) {
        let before = protection(path);
        free(path);
        let message = scratch.refusal(Immutable::Required);
        assert!(message.contains(&format!("{word} flag is gone")), "{message}");
        assert!(message.ends_with(&format!("chattr {change} '{}'", path.display())), "{message}");
        let file = File::open(path).unwrap();
        ioctl_setflags(&file, ioctl_getflags(&file).unwrap() | before).unwrap();
    }
    // A complete segment of an older recorder is append-only still: that is no complaint, and mended in passing.
    free(&files[1]);
    super::make_append_only(File::open(&files[1]).unwrap(), &files[1]).unwrap();
    drop(scratch.open(Immutable::Required).unwrap());
    assert_eq!(protection(&files[1]), IFlags::APPEND | IFlags::IMMUTABLE);
}

#[test]
fn an_immutable_directory_is_refused() {
    if !has_append_only() {
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Required).unwrap());
    let directory = File::open(scratch.store()).unwrap();
    ioctl_setflags(&directory, ioctl_getflags(&directory).unwrap() | IFlags::IMMUTABLE).unwrap();
    let message = scratch.refusal(Immutable::Required);
    assert!(message.ends_with(&format!("chattr -i '{}'", scratch.store().display())), "{message}");
}

#[test]
fn a_file_system_without_the_flag_is_refused_unless_it_is_waived() {
    // procfs and the like know no inode flags; a pipe is the simplest such file.
    let (reading, _writing) = std::io::pipe().unwrap();
    let path = Path::new("/somewhere");
    let error = super::make_append_only(&reading, path).unwrap_err();
    assert!(matches!(error, StoreError::NoAppendOnly { .. }));
    let message = error.to_string();
    assert!(message.contains("/somewhere") && message.contains("immutable = \"off\""), "{message}");
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Off).unwrap());
}

#[test]
fn a_mode_that_lets_others_in_is_refused() {
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Off).unwrap());
    for (path, right) in
        scratch.files().into_iter().map(|path| (path, 0o640)).chain([(scratch.store(), 0o750)])
    {
        fs::set_permissions(&path, Permissions::from_mode(right | 0o020)).unwrap();
        let message = scratch.refusal(Immutable::Off);
        assert!(message.ends_with(&format!("chmod {right:04o} '{}'", path.display())), "{message}");
        fs::set_permissions(&path, Permissions::from_mode(right)).unwrap();
    }
    let key = scratch.keep.path().join("state/origin.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert!(scratch.refusal(Immutable::Off).contains("others may have read the private key"));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    drop(scratch.open(Immutable::Off).unwrap());
}

#[test]
fn a_store_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: needs root to give files away");
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Off).unwrap());
    for path in scratch.files().into_iter().chain([scratch.store()]) {
        chown(&path, Some(12_345), None).unwrap();
        let message = scratch.refusal(Immutable::Off);
        assert!(message.contains("belongs to user 12345, the recorder runs as user 0"), "{message}");
        assert!(message.ends_with(&format!("chown 0 '{}'", path.display())), "{message}");
        chown(&path, Some(0), None).unwrap();
    }
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.store()).unwrap();
    fs::write(scratch.store().join("letter.txt"), "dear").unwrap();
    let message = scratch.refusal(Immutable::Off);
    assert!(message.contains("not a store") && message.contains("letter.txt"), "{message}");
    fs::remove_file(scratch.store().join("letter.txt")).unwrap();
    drop(scratch.open(Immutable::Off).unwrap());
}

#[test]
fn a_store_whose_key_is_gone_or_another_is_refused() {
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Off).unwrap());
    let state = scratch.keep.path().join("state");
    let key = state.join("origin.key");
    let aside = state.join("aside");
    fs::rename(&key, &aside).unwrap();
    let message = scratch.refusal(Immutable::Off);
    assert!(message.contains("private key") && message.contains("is missing"), "{message}");
    let other = Scratch::new();
    drop(other.open(Immutable::Off).unwrap());
    fs::copy(other.keep.path().join("state/origin.key"), &key).unwrap();
    let message = scratch.refusal(Immutable::Off);
    assert!(message.contains("another origin key"), "{message}");
    fs::write(&key, "PRIVATE+KEY+nonsense\n").unwrap();
    assert!(scratch.refusal(Immutable::Off).contains("origin.key"));
    fs::rename(&aside, &key).unwrap();
    drop(scratch.open(Immutable::Off).unwrap());
}

#[test]
fn a_crash_while_the_store_was_made_is_mended() {
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Off).unwrap());
    let origin = scratch.store().join("origin.pub");
    let line = fs::read(&origin).unwrap();
    for path in scratch.files().iter().filter(|path| **path != origin) {
        fs::remove_file(path).unwrap();
    }
    for length in [0, 1, line.len() - 1] {
        fs::write(&origin, &line[..length]).unwrap();
        drop(scratch.open(Immutable::Off).unwrap());
        assert_eq!(fs::read(&origin).unwrap(), line);
    }
}

#[test]
fn what_a_removal_had_left_without_flags_when_it_died_has_them_again() {
    if !has_append_only() {
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.open(Immutable::Required).unwrap());
    append(&mut scratch.open(Immutable::Required).unwrap());
    let store = scratch.store();
    let segment = scratch.files()[1].clone();
    fs::write(store.join("seg-0000000000.tomb"), "begun").unwrap();
    let note = scratch.keep.path().join("state").join(REMOVING_FILE);
    free(&segment);
    free(&store);
    // Without the note it was somebody else.
    assert!(scratch.refusal(Immutable::Required).contains("flag is gone"));
    fs::write(&note, "").unwrap();
    let options = Options { segment_bytes: 1_200, ..Options::new([1; 16], 0) };
    let (_, recovery) = Writer::open(&store, &scratch.keep.path().join("state"), options).unwrap();
    assert_eq!(recovery.mended, [store.display().to_string(), segment.display().to_string()]);
    assert_eq!((protection(&store), protection(&segment)), (IFlags::APPEND, IFlags::IMMUTABLE));
    assert!(!note.exists());
}
