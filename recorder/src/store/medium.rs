//! The seam between the writer and the disk: few calls, so that tests can make each of them fail. And the seam between
//! the disk and who may set flags on files.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, IFlags, Mode, OFlags};

use super::StoreError;
use super::fixed::Place;
use super::format::parse_segment_name;
use super::tombstone::tombstone_name;
use super::writer::Immutable;

/// Where segments go.
pub trait Medium: Send {
    /// Makes the file `name` in the store, append-only before its first byte; appends go there from now on. A file of
    /// that name may exist only if it is empty: a crash between making and writing leaves that.
    ///
    /// # Errors
    /// When the file can't be made, or not be made append-only.
    fn begin(&mut self, name: &str) -> Result<(), StoreError>;

    /// One write at the end of the file; may take fewer bytes.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes the names in the store durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// Makes the file `name` (folders on the way too) with these bytes, which stay for good, and returns when it is
    /// durable. What a crash left of such a file is written again.
    ///
    /// # Errors
    /// When it can't be made durable or immutable, or is there with other bytes.
    fn fix(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes the file `name` in the store immutable: it is complete and durable, or what a crash left of it is committed
    /// to by a durable header. Nothing is appended to it any more. A file that is immutable already, or empty, stays as it
    /// is.
    ///
    /// # Errors
    /// When the file is not there or can't be made immutable.
    fn seal(&mut self, name: &str) -> Result<(), StoreError>;

    /// Removes the segment `name`, whose tombstone is fixed beside it. One that is gone already is fine.
    ///
    /// # Errors
    /// When it can't be removed, or the store not be made append-only again.
    fn remove(&mut self, name: &str) -> Result<(), StoreError>;
}

/// What a file is protected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing but appending (`+a`).
    AppendOnly,
    /// Any change (`+i`).
    Sealed,
}

impl Protection {
    /// The inode flag.
    #[must_use]
    pub const fn flag(self) -> IFlags {
        match self {
            Self::AppendOnly => IFlags::APPEND,
            Self::Sealed => IFlags::IMMUTABLE,
        }
    }
}

/// Why a file could not be protected.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Whoever sets the flags for us is gone, or refused.
    #[error("{0}")]
    Helper(String),
}

impl FlagError {
    /// The store's error for a file.
    pub(crate) fn about(self, path: &Path, action: &'static str) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::System(source) => StoreError::Io { path, action, source },
            Self::Helper(why) => StoreError::Unprotected { path, why },
        }
    }
}

/// Puts flags on the files of one store. The daemon has a helper for it, so that it needs no right to do so itself.
pub trait Flags: Send {
    /// Tells which store the files are in; once, before anything else.
    ///
    /// # Errors
    /// When the helper does not take it.
    fn introduce(&mut self, store: BorrowedFd<'_>) -> Result<(), FlagError>;

    /// Adds the flag to `file`, which is `name` in `directory`: the store or a directory below it.
    ///
    /// # Errors
    /// When the flag can't be set, or does not stay.
    fn protect(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &str,
        file: BorrowedFd<'_>,
        protection: Protection,
    ) -> Result<(), FlagError>;

    /// Removes a segment from the store in spite of its flag and that of the store, which has its flag again when this
    /// returns.
    ///
    /// # Errors
    /// When it can't be removed, or the flag not be set again.
    fn remove(&mut self, doomed: Doomed<'_>) -> Result<(), FlagError>;
}

/// A segment that is to be removed, and its tombstone, which stays.
#[derive(Clone, Copy, Debug)]
pub struct Doomed<'a> {
    /// The store.
    pub store: BorrowedFd<'a>,
    /// File name of the segment.
    pub name: &'a str,
    /// The segment.
    pub segment: BorrowedFd<'a>,
    /// Its tombstone, immutable.
    pub tombstone: BorrowedFd<'a>,
}

/// Sets flags with the rights of this process.
struct OwnRights;

impl Flags for OwnRights {
    fn introduce(&mut self, _store: BorrowedFd<'_>) -> Result<(), FlagError> {
        Ok(())
    }

    fn protect(
        &mut self,
        _directory: BorrowedFd<'_>,
        _name: &str,
        file: BorrowedFd<'_>,
        protection: Protection,
    ) -> Result<(), FlagError> {
        Ok(add_flag(file, protection)?)
    }

    fn remove(&mut self, doomed: Doomed<'_>) -> Result<(), FlagError> {
        Ok(remove_protected(doomed.store, doomed.name, doomed.segment)?)
    }
}

/// Real files in a directory.
pub struct Files {
    directory: OwnedFd,
    path: PathBuf,
    immutable: Immutable,
    flags: Box<dyn Flags>,
    /// Whether `flags` knows the store.
    introduced: bool,
    /// The open segment and its name.
    current: Option<(String, File)>,
}

impl Files {
    /// Writes into the open directory, whose path is used in messages only. Sets flags with the rights of this process.
    #[must_use]
    pub fn new(directory: OwnedFd, path: PathBuf, immutable: Immutable) -> Self {
        Self { directory, path, immutable, flags: Box::new(OwnRights), introduced: false, current: None }
    }

    /// Has somebody else set the flags.
    #[must_use]
    pub fn with_flags(self, flags: Box<dyn Flags>) -> Self {
        Self { flags, introduced: false, ..self }
    }

    fn introduce(&mut self) -> Result<(), FlagError> {
        if !self.introduced {
            self.flags.introduce(self.directory.as_fd())?;
            self.introduced = true;
        }
        Ok(())
    }

    fn protect(&mut self, name: &str, file: &File, protection: Protection) -> Result<(), FlagError> {
        self.introduce()?;
        self.flags.protect(self.directory.as_fd(), name, file.as_fd(), protection)
    }

    fn current(&self) -> io::Result<&File> {
        let current = self.current.as_ref().map(|(_, file)| file);
        current.ok_or_else(|| io::Error::other("no segment was begun"))
    }
}

impl Medium for Files {
    fn begin(&mut self, name: &str) -> Result<(), StoreError> {
        self.current = None;
        let path = self.path.join(name);
        let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let file = match rustix::fs::openat(&self.directory, name, flags | OFlags::EXCL, mode) {
            Err(rustix::io::Errno::EXIST) => rustix::fs::openat(&self.directory, name, flags, mode),
            made => made,
        };
        let file = File::from(file.map_err(|errno| StoreError::io(&path, "making a segment")(errno.into()))?);
        let length = file.metadata().map_err(StoreError::io(&path, "making a segment"))?.len();
        if length != 0 {
            let what = "a segment of this name exists already; verify the store".to_owned();
            return Err(StoreError::Unusable { path, what });
        }
        let group = rustix::fs::fstat(&self.directory).map(|meta| meta.st_gid);
        group
            .map_err(Into::into)
            .and_then(|group| share(&file, group, mode))
            .map_err(StoreError::io(&path, "setting group and mode"))?;
        if self.immutable == Immutable::Required {
            self.protect(name, &file, Protection::AppendOnly).map_err(|error| match error {
                FlagError::System(source) => StoreError::NoAppendOnly { path, source },
                FlagError::Helper(why) => StoreError::Unprotected { path, why },
            })?;
        }
        self.current = Some((name.to_owned(), file));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use std::io::Write as _;
        self.current()?.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn fix(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.introduce().map_err(|error| error.about(&self.path, "making files immutable"))?;
        let place = Place { directory: self.directory.as_fd(), path: &self.path, immutable: self.immutable };
        place.write(name, bytes, self.flags.as_mut())
    }

    fn seal(&mut self, name: &str) -> Result<(), StoreError> {
        // Not every file system refuses a descriptor that was opened before the flag was set: ours is closed first.
        self.current.take_if(|(current, _)| current == name);
        if self.immutable == Immutable::Off {
            return Ok(());
        }
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let file = File::from(file.map_err(|errno| StoreError::io(&path, "sealing")(errno.into()))?);
        let length = file.metadata().map_err(StoreError::io(&path, "sealing"))?.len();
        // An empty file that a crash left is written to by the next recorder.
        if length == 0 || protection_of(&file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE)) {
            return Ok(());
        }
        self.protect(name, &file, Protection::Sealed).map_err(|error| error.about(&path, "sealing"))
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        const REMOVING: &str = "removing a segment";
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |name: &str| rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let segment = match open(name) {
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            opened => opened.map_err(|errno| StoreError::io(&path, REMOVING)(errno.into()))?,
        };
        let tombstone = parse_segment_name(name).map(|(first, attempt)| tombstone_name(first, attempt));
        let tombstone = open(&tombstone.unwrap_or_default())
            .map_err(|errno| StoreError::io(&path, "opening the tombstone of a segment")(errno.into()))?;
        if self.immutable == Immutable::Off {
            return rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
                .map_err(|errno| StoreError::io(&path, REMOVING)(errno.into()));
        }
        self.introduce().map_err(|error| error.about(&path, REMOVING))?;
        let store = self.directory.as_fd();
        let doomed = Doomed { store, name, segment: segment.as_fd(), tombstone: tombstone.as_fd() };
        self.flags.remove(doomed).map_err(|error| error.about(&path, REMOVING))
    }
}

/// Removes a file in spite of the flags of file and directory; the directory has its flag again in any case, and so has
/// the file when it could not be removed.
pub(crate) fn remove_protected(directory: impl AsFd, name: &str, file: impl AsFd) -> io::Result<()> {
    clear_flags(&file)?;
    let removed = clear_flags(&directory).and_then(|()| {
        rustix::fs::unlinkat(&directory, name, AtFlags::empty())?;
        Ok(())
    });
    let protected = add_flag(&directory, Protection::AppendOnly);
    if removed.is_err() {
        // What went wrong first says more.
        let _ = add_flag(&file, Protection::Sealed);
    }
    removed.and(protected)
}

fn clear_flags(file: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::ioctl_getflags(&file)?;
    Ok(rustix::fs::ioctl_setflags(&file, flags - IFlags::APPEND - IFlags::IMMUTABLE)?)
}

/// Gives a file or directory to a group, with a mode.
pub(crate) fn share(file: impl AsFd, group: u32, mode: Mode) -> io::Result<()> {
    let meta = rustix::fs::fstat(&file)?;
    if meta.st_gid != group {
        match rustix::fs::fchown(&file, None, Some(rustix::fs::Gid::from_raw(group))) {
            // Without the right to give files away its readers stay out; recording goes on.
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // Changing the group takes special bits away, so the mode comes second.
    if rustix::fs::fstat(&file)?.st_mode & 0o7777 != mode.as_raw_mode() {
        rustix::fs::fchmod(&file, mode)?;
    }
    Ok(())
}

/// Which of the flags append-only and immutable the file or directory has; an error where the file system knows no such
/// flags.
pub(crate) fn protection_of(file: impl AsFd) -> io::Result<IFlags> {
    Ok(rustix::fs::ioctl_getflags(file)? & (IFlags::APPEND | IFlags::IMMUTABLE))
}

/// Adds a flag, and looks whether it stays.
pub(crate) fn add_flag(file: impl AsFd, protection: Protection) -> io::Result<()> {
    let flags = rustix::fs::ioctl_getflags(&file)?;
    if flags.contains(protection.flag()) {
        return Ok(());
    }
    rustix::fs::ioctl_setflags(&file, flags | protection.flag())?;
    // Some file systems accept flags that they do not keep.
    let kept = protection_of(&file)?.contains(protection.flag());
    if kept { Ok(()) } else { Err(rustix::io::Errno::OPNOTSUPP.into()) }
}

/// Sets the append-only flag with the rights of this process.
pub(crate) fn make_append_only(file: impl AsFd, path: &Path) -> Result<(), StoreError> {
    add_flag(file, Protection::AppendOnly)
        .map_err(|source| StoreError::NoAppendOnly { path: path.to_owned(), source })
}
