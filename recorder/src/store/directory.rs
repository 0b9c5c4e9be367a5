//! Which segments a store has, in log order. Read-only and without a lock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::format::parse_segment_name;
use super::tombstone::parse_tombstone_name;
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
    tombstones: Vec<SegmentFile>,
    others: Vec<OsString>,
}

/// One segment file, or its tombstone.
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
        let mut directory =
            Self { path: path.to_owned(), segments: Vec::new(), tombstones: Vec::new(), others: Vec::new() };
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
            let before = (self.segments.clone(), self.tombstones.clone());
            self.look()?;
            if before.0 == self.segments && before.1 == self.tombstones {
                break;
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let (mut segments, mut tombstones, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let entries =
            std::fs::read_dir(&self.path).map_err(StoreError::io(&self.path, "reading the store"))?;
        for entry in entries {
            let name = entry.map_err(StoreError::io(&self.path, "reading the store"))?.file_name();
            let (segment, tombstone) = match name.to_str() {
                Some(name) => (parse_segment_name(name), parse_tombstone_name(name)),
                None => (None, None),
            };
            let file =
                |(first_frame, attempt)| SegmentFile { first_frame, attempt, path: self.path.join(&name) };
            match (segment, tombstone) {
                (Some(place), _) => segments.push(file(place)),
                (None, Some(place)) => tombstones.push(file(place)),
                (None, None) => others.push(name),
            }
        }
        segments.sort();
        tombstones.sort();
        others.sort();
        self.segments = segments;
        self.tombstones = tombstones;
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

    /// Tombstones in log order, also those whose segments are still there.
    #[must_use]
    pub fn tombstones(&self) -> &[SegmentFile] {
        &self.tombstones
    }

    /// Tombstones of segments that are not there any more, in log order.
    pub fn removed(&self) -> impl Iterator<Item = &SegmentFile> {
        self.tombstones.iter().filter(|tombstone| !self.has_segment_of(tombstone))
    }

    /// Whether the segment of a tombstone is still there.
    #[must_use]
    pub fn has_segment_of(&self, tombstone: &SegmentFile) -> bool {
        let place = (tombstone.first_frame, tombstone.attempt);
        self.segments.binary_search_by_key(&place, |segment| (segment.first_frame, segment.attempt)).is_ok()
    }

    /// Names of everything that is neither segment nor tombstone, the origin key included.
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
