//! The seam between the writer and the disk: a few calls, so that tests can make each of them fail.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, Mode, OFlags};

use super::StoreError;
use super::fixed::Place;
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
}

/// Real files in a directory.
pub struct Files {
    directory: OwnedFd,
    path: PathBuf,
    immutable: Immutable,
    current: Option<File>,
}

impl Files {
    /// Writes into the open directory, whose path is used in messages only.
    #[must_use]
    pub const fn new(directory: OwnedFd, path: PathBuf, immutable: Immutable) -> Self {
        Self { directory, path, immutable, current: None }
    }

    fn current(&self) -> io::Result<&File> {
        self.current.as_ref().ok_or_else(|| io::Error::other("no segment was begun"))
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
            make_append_only(&file, &path)?;
        }
        self.current = Some(file);
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
        let directory = self.directory.as_fd();
        Place { directory, path: &self.path, immutable: self.immutable }.write(name, bytes)
    }
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

/// Whether the file or directory has the append-only flag; an error where the file system knows no such flag.
pub(crate) fn is_append_only(file: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::ioctl_getflags(file)?.contains(IFlags::APPEND))
}

/// Sets the append-only flag.
pub(crate) fn make_append_only(file: impl AsFd, path: &Path) -> Result<(), StoreError> {
    let refused =
        |errno: rustix::io::Errno| StoreError::NoAppendOnly { path: path.to_owned(), source: errno.into() };
    let flags = rustix::fs::ioctl_getflags(&file).map_err(refused)?;
    if !flags.contains(IFlags::APPEND) {
        rustix::fs::ioctl_setflags(&file, flags | IFlags::APPEND).map_err(refused)?;
    }
    // Some file systems accept flags that they do not keep.
    match is_append_only(&file) {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused(rustix::io::Errno::OPNOTSUPP)),
        Err(source) => Err(StoreError::NoAppendOnly { path: path.to_owned(), source }),
    }
}
