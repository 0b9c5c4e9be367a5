//! Which segments a store has, in log order. Read-only and without a lock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::format::parse_segment_name;
use super::{ORIGIN_FILE, StoreError};
use crate::chain::key::{KeyError, OriginPublic};

/// Longest `origin.pub` that is read.
const MAX_ORIGIN: u64 = 4096;
/// How often a directory that changes meanwhile is read again.
const LOOKS: u32 = 8;

/// The segments of a store, as they were at the last look.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    segments: Vec<SegmentFile>,
    others: Vec<OsString>,
}

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// Number of the first frame that it can have.
    pub first_frame: u64,
    /// 0, or how many segments with the same first frame come before.
    pub attempt: u16,
    /// Where it is.
    pub path: PathBuf,
}

impl SegmentFile {
    /// Its name in the store.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }
}

impl Directory {
    /// Looks into the store at `path`.
    ///
    /// # Errors
    /// When there is no such directory or it can't be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut directory = Self { path: path.to_owned(), segments: Vec::new(), others: Vec::new() };
        directory.refresh()?;
        Ok(directory)
    }

    /// Looks again: new segments appear at the end.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        // Reading a directory that grows meanwhile can miss one new name and give a later one.
        for _ in 0..LOOKS {
            let before = self.segments.clone();
            self.look()?;
            if before == self.segments {
                break;
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let mut segments = Vec::new();
        let mut others = Vec::new();
        let entries =
            std::fs::read_dir(&self.path).map_err(StoreError::io(&self.path, "reading the store"))?;
        for entry in entries {
            let name = entry.map_err(StoreError::io(&self.path, "reading the store"))?.file_name();
            match name.to_str().and_then(parse_segment_name) {
                Some((first_frame, attempt)) => {
                    segments.push(SegmentFile { first_frame, attempt, path: self.path.join(&name) });
                }
                None => others.push(name),
            }
        }
        segments.sort();
        others.sort();
        self.segments = segments;
        self.others = others;
        Ok(())
    }

    /// The store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Segments in log order.
    #[must_use]
    pub fn segments(&self) -> &[SegmentFile] {
        &self.segments
    }

    /// Names of everything that is not a segment, the origin key included.
    #[must_use]
    pub fn others(&self) -> &[OsString] {
        &self.others
    }

    /// The public origin key beside the segments.
    ///
    /// # Errors
    /// When it can't be read or is not a key line.
    pub fn origin(&self) -> Result<OriginPublic, StoreError> {
        use std::io::Read as _;
        let path = self.path.join(ORIGIN_FILE);
        let mut bytes = Vec::new();
        super::frames::open_segment(&path)?
            .take(MAX_ORIGIN)
            .read_to_end(&mut bytes)
            .map_err(StoreError::io(&path, "reading the origin key"))?;
        let line = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let key = line.ok_or(KeyError::Shape).and_then(OriginPublic::parse);
        key.map_err(|source| StoreError::Key { path, source })
    }
}
