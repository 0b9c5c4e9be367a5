//! The store directory: made, locked, and checked for owner, mode and flags before anything is written.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, IFlags, Mode, OFlags};

use super::directory::Directory;
use super::frames::open_segment;
use super::medium::{Protection, add_flag, make_append_only, protection_of, share};
use super::writer::{Immutable, Options};
use super::{ORIGIN_FILE, REMOVING_FILE, StoreError};

/// How long a lock may be held before somebody else counts as its holder: a process that the last recorder was just
/// starting has it until its exec.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Made by the file system at the root of a volume.
pub(crate) const LOST_AND_FOUND: &str = "lost+found";

/// The locked directory; the lock goes when it is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// A second handle of the same directory, for file operations.
    pub(crate) fn directory(&self, path: &Path) -> Result<std::os::fd::OwnedFd, StoreError> {
        self.0.try_clone().map(Into::into).map_err(StoreError::io(path, "opening"))
    }
}

/// Makes the store if it is missing, locks it, and checks everything in it.
///
/// The list names what a removal that a crash broke off had left without its flag, and has it again.
pub(crate) fn prepare(
    path: &Path,
    state_dir: &Path,
    options: &Options,
) -> Result<(Lock, Directory, Vec<String>), StoreError> {
    make_directory(path, options.readers)?;
    let lock = lock(path)?;
    let directory = Directory::open(path)?;
    let mended = mend_removal(&lock.0, &directory, state_dir, options.immutable)?;
    let other = directory.others().iter().find(|name| *name != LOST_AND_FOUND && *name != ORIGIN_FILE);
    let has_origin = directory.others().iter().any(|name| name == ORIGIN_FILE);
    match other {
        None if directory.segments().is_empty() && !has_origin => set_up(&lock.0, path, options)?,
        Some(other) if directory.segments().is_empty() && !has_origin => {
            let what = format!(
                "not a store: it has {} in it but no segment; name an empty or a new directory",
                other.display()
            );
            return Err(StoreError::Unusable { path: path.to_owned(), what });
        }
        _ => check_all(&lock.0, &directory, options.immutable)?,
    }
    Ok((lock, directory, mended))
}

/// Sets the flags again that a removal takes off for a moment, where a note says that one was under way: that of the
/// directory, and those of segments with a tombstone beside them.
fn mend_removal(
    store: &File,
    directory: &Directory,
    state_dir: &Path,
    immutable: Immutable,
) -> Result<Vec<String>, StoreError> {
    let note = state_dir.join(REMOVING_FILE);
    if immutable == Immutable::Off || !note.is_file() {
        return Ok(Vec::new());
    }
    let mut mended = Vec::new();
    let mut mend = |file: &File, path: &Path, protection: Protection| {
        if protection_of(file).is_ok_and(|flags| flags.is_empty()) {
            add_flag(file, protection)
                .map_err(|source| StoreError::NoAppendOnly { path: path.to_owned(), source })?;
            mended.push(path.display().to_string());
        }
        Ok(())
    };
    mend(store, directory.path(), Protection::AppendOnly)?;
    for tombstone in directory.tombstones() {
        let place = (tombstone.first_frame, tombstone.attempt);
        let mut segments = directory.segments().iter();
        if let Some(segment) = segments.find(|segment| (segment.first_frame, segment.attempt) == place) {
            mend(&open_segment(&segment.path)?, &segment.path, Protection::Sealed)?;
        }
    }
    std::fs::remove_file(&note).map_err(StoreError::io(&note, "removing the note of a removal"))?;
    Ok(mended)
}

/// Makes a directory of mode 0750 for the readers' group; one that is there stays as it is.
pub(crate) fn make_directory(path: &Path, readers: Option<u32>) -> Result<(), StoreError> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(StoreError::io(parent, "making the directory"))?;
    }
    match DirBuilder::new().mode(0o750).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io(path, "making the directory")(error))
        }
        _ => {
            let made = File::open(path).map_err(StoreError::io(path, "opening"))?;
            share_with_readers(&made, readers).map_err(StoreError::io(path, "setting group and mode"))?;
            // What will be in it is durable only with its own name.
            let above = path.join("..");
            File::open(&above)
                .and_then(|above| above.sync_all())
                .map_err(StoreError::io(&above, "making the directory durable"))
        }
    }
}

fn share_with_readers(directory: &File, readers: Option<u32>) -> io::Result<()> {
    // Set-group-ID: new segments get the group without a capability, which the daemon has given up by then.
    share(directory, readers.unwrap_or(directory.metadata()?.gid()), Mode::from_raw_mode(0o2750))
}

/// Number of a group of this host; None when there is none of that name.
#[cfg(feature = "capture")]
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let directory = opened.map_err(StoreError::io(path, "opening the store"))?;
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(directory)),
            Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PATIENCE / 50);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::InUse { path: path.to_owned(), pid: lock_holder(&directory) });
            }
            Err(errno) => return Err(StoreError::io(path, "locking the store")(errno.into())),
        }
    }
}

/// Process that holds the lock of an open directory, as /proc/locks tells it.
fn lock_holder(directory: &File) -> Option<u32> {
    let meta = directory.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let inode = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let fields = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .into_iter()
        .find(|fields| fields.contains(&inode.as_str()) && fields.contains(&"FLOCK"))?
        .get(4)?
        .parse()
        .ok()
}

/// An empty directory becomes a store.
fn set_up(directory: &File, path: &Path, options: &Options) -> Result<(), StoreError> {
    check_owner(directory, path)?;
    let fresh = !protection_of(directory).is_ok_and(|flags| flags.contains(IFlags::APPEND));
    if fresh {
        share_with_readers(directory, options.readers)
            .map_err(StoreError::io(path, "setting group and mode"))?;
    }
    if options.immutable == Immutable::Required {
        make_append_only(directory, path)?;
    }
    Ok(())
}

fn check_all(lock: &File, directory: &Directory, immutable: Immutable) -> Result<(), StoreError> {
    check(lock, directory.path(), immutable, "+a")?;
    let origin = directory.path().join(ORIGIN_FILE);
    let names = directory.others().iter().filter(|name| *name == ORIGIN_FILE).map(|_| &origin);
    let segments = directory.segments();
    for path in names.chain(segments.iter().map(|segment| &segment.path)) {
        let file = open_segment(path)?;
        let empty = file.metadata().map_err(StoreError::io(path, "opening"))?.len() == 0;
        // A crash can leave an empty file whose owner and flags are not set yet; it is set up again when it is used. In
        // front of the first segment the same goes for the key.
        let immutable = if segments.is_empty() { Immutable::Off } else { immutable };
        if !empty {
            // All but the last segment are complete: nothing is ever appended to them.
            let is_complete = *path != origin && segments.last().is_some_and(|last| last.path != *path);
            check(&file, path, immutable, if is_complete { "+i" } else { "+a" })?;
        }
    }
    Ok(())
}

/// Checks owner, mode and flags; `right` is the flag that `chattr` is to set when there is none.
fn check(file: &File, path: &Path, immutable: Immutable, right: &str) -> Result<(), StoreError> {
    check_owner(file, path)?;
    let meta = file.metadata().map_err(StoreError::io(path, "reading the mode"))?;
    if meta.mode() & 0o027 != 0 {
        let right = if meta.is_dir() { "0750" } else { "0640" };
        return Err(StoreError::Access {
            path: path.to_owned(),
            what: format!(
                "its mode is {:04o}: others than the owner may change or see it",
                meta.mode() & 0o7777
            ),
            mend: format!("chmod {right} '{}'", path.display()),
        });
    }
    if immutable == Immutable::Off {
        return Ok(());
    }
    let flags =
        protection_of(file).map_err(|source| StoreError::NoAppendOnly { path: path.to_owned(), source })?;
    // Nothing can be made in an immutable directory.
    if meta.is_dir() && flags.contains(IFlags::IMMUTABLE) {
        return Err(StoreError::Access {
            path: path.to_owned(),
            what: "it is immutable, so that no segment can be made in it".to_owned(),
            mend: format!("chattr -i '{}'", path.display()),
        });
    }
    if !flags.is_empty() {
        return Ok(());
    }
    let lost = if right == "+i" { "its immutable flag is gone" } else { "its append-only flag is gone" };
    Err(StoreError::Access {
        path: path.to_owned(),
        what: format!("{lost}: someone cleared it, or it is a copy; run `recorder verify` first"),
        mend: format!("chattr {right} '{}'", path.display()),
    })
}

/// Checks that the one who writes owns the file.
pub(crate) fn check_owner(file: &File, path: &Path) -> Result<(), StoreError> {
    let owner = file.metadata().map_err(StoreError::io(path, "reading the owner"))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    Err(StoreError::Access {
        path: path.to_owned(),
        what: format!("it belongs to user {owner}, the recorder runs as user {user}"),
        mend: format!("chown {user} '{}'", path.display()),
    })
}

#[cfg(test)]
mod tests;
