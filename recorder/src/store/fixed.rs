//! Files that never change once they are written: made whole, synced, then immutable; their directories append-only.
//!
//! A crash can leave a part of one. It is not immutable then, and is written again in its place.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;

use super::StoreError;
use super::medium::{Flags, Protection, protection_of, share};
use super::writer::Immutable;

const MAKING: &str = "making a directory";
const WRITING: &str = "writing";

/// Where such files go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The store.
    pub directory: BorrowedFd<'a>,
    /// Its path, for messages.
    pub path: &'a Path,
    /// Whether flags must be set.
    pub immutable: Immutable,
}

impl Place<'_> {
    /// Makes the file `name` with these bytes and returns when it is durable. Directories on the way are made. A file
    /// that is there and immutable must have the same bytes.
    pub(super) fn write(self, name: &str, bytes: &[u8], guard: &mut dyn Flags) -> Result<(), StoreError> {
        let mut parent = self.directory.try_clone_to_owned().map_err(StoreError::io(self.path, MAKING))?;
        let mut path = self.path.to_owned();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            let (file, protection) = if parts.peek().is_some() {
                (enter(&parent, part, &path)?, Protection::AppendOnly)
            } else {
                match put(&parent, part, &path, bytes)? {
                    Some(file) => (file, Protection::Sealed),
                    None => return Ok(()),
                }
            };
            if self.immutable == Immutable::Required && !has(&file, protection) {
                let protected = guard.protect(parent.as_fd(), part, file.as_fd(), protection);
                protected.map_err(|error| error.about(&path, "protecting"))?;
            }
            parent = file;
        }
        Ok(())
    }
}

/// Opens the directory `name`, made if it is missing.
fn enter(parent: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, StoreError> {
    let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o750)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(io(path, MAKING)(errno)),
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(io(path, MAKING))?;
    let group = rustix::fs::fstat(parent).map_err(io(path, MAKING))?.st_gid;
    share(&directory, group, Mode::from_raw_mode(0o2750)).map_err(StoreError::io(path, MAKING))?;
    if made {
        rustix::fs::fsync(parent).map_err(io(path, MAKING))?;
    }
    Ok(directory)
}

/// Writes the file `name`, durable when this returns; `None` when it is there, finished, with these bytes.
fn put(parent: &OwnedFd, name: &str, path: &Path, bytes: &[u8]) -> Result<Option<OwnedFd>, StoreError> {
    let group = rustix::fs::fstat(parent).map_err(io(path, WRITING))?.st_gid;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o640);
    let file = match rustix::fs::openat(parent, name, flags, mode) {
        Ok(file) => File::from(file),
        Err(Errno::PERM) => return compare(parent, name, path, bytes).map(|()| None),
        Err(errno) => return Err(io(path, WRITING)(errno)),
    };
    // What a crash left is the beginning of these bytes, so there is nothing to cut off: a longer file is none of ours.
    share(&file, group, mode)
        .and_then(|()| file.write_all_at(bytes, 0))
        .and_then(|()| file.metadata())
        .and_then(
            |meta| if meta.len() > bytes.len() as u64 { file.set_len(bytes.len() as u64) } else { Ok(()) },
        )
        .and_then(|()| file.sync_all())
        .map_err(StoreError::io(path, WRITING))?;
    rustix::fs::fsync(parent).map_err(io(path, WRITING))?;
    Ok(Some(file.into()))
}

/// An immutable file is finished; this tells whether it is the one that was to be written.
fn compare(parent: &OwnedFd, name: &str, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(io(path, WRITING))?;
    if !is_immutable(&file).map_err(StoreError::io(path, WRITING))? {
        return Err(io(path, WRITING)(Errno::PERM));
    }
    let mut there = Vec::new();
    let limit = bytes.len() as u64 + 1;
    File::from(file).take(limit).read_to_end(&mut there).map_err(StoreError::io(path, "reading"))?;
    if there == bytes {
        return Ok(());
    }
    let what = "it has other bytes than the frames give, and can't be changed; verify the store".to_owned();
    Err(StoreError::Unusable { path: path.to_owned(), what })
}

/// Whether the file has the immutable flag; an error where the file system knows no such flag.
pub(crate) fn is_immutable(file: impl AsFd) -> std::io::Result<bool> {
    Ok(protection_of(file)?.contains(IFlags::IMMUTABLE))
}

fn has(file: &OwnedFd, protection: Protection) -> bool {
    protection_of(file).is_ok_and(|flags| flags.contains(protection.flag()))
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(Errno) -> StoreError + use<> {
    let wrap = StoreError::io(path, action);
    move |errno| wrap(errno.into())
}
