//! The segment that is being written: where its bytes go, and what the next segment will state about it.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::store::StoreError;
use crate::store::format::{MAX_FRAME, Previous, SegmentHeader};
use crate::store::medium::Medium;

/// The end of the log on disk.
pub(super) struct Tail {
    store: PathBuf,
    medium: Box<dyn Medium>,
    number: u32,
    attempt: u16,
    name: String,
    first_frame: u64,
    created: i64,
    length: u64,
    /// Bytes of them that are not durable yet.
    unsynced: u64,
    hash: Sha256,
}

impl Tail {
    /// No segment yet.
    pub(super) fn new(store: &Path, medium: Box<dyn Medium>) -> Self {
        Self {
            store: store.to_owned(),
            medium,
            number: 0,
            attempt: 0,
            name: String::new(),
            first_frame: 0,
            created: 0,
            length: 0,
            unsynced: 0,
            hash: Sha256::new(),
        }
    }

    /// Says which segment comes next.
    pub(super) fn place(&mut self, number: u32, attempt: u16, created: i64) {
        (self.number, self.attempt, self.created) = (number, attempt, created);
        (self.length, self.unsynced) = (0, 0);
        self.hash = Sha256::new();
    }

    pub(super) fn medium(&mut self) -> &mut dyn Medium {
        self.medium.as_mut()
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) const fn attempt(&self) -> u16 {
        self.attempt
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn first_frame(&self) -> u64 {
        self.first_frame
    }

    pub(super) const fn created(&self) -> i64 {
        self.created
    }

    /// Bytes written so far.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Makes the segment's file, durable with its header when this returns.
    pub(super) fn begin(&mut self, header: &SegmentHeader) -> Result<(), StoreError> {
        self.first_frame = header.first_frame;
        self.name = header.file_name();
        self.medium.begin(&self.name)?;
        self.write(&header.encode())?;
        self.sync()?;
        self.medium.sync_directory().map_err(StoreError::io(&self.store, "making the new segment durable"))
    }

    /// Makes the segment immutable: it is complete.
    pub(super) fn seal(&mut self) -> Result<(), StoreError> {
        self.medium.seal(&self.name)
    }

    /// Makes a segment of an earlier recorder immutable: a durable header commits to it.
    pub(super) fn seal_earlier(&mut self, name: &str) -> Result<(), StoreError> {
        self.medium.seal(name)
    }

    /// What the next segment states about this one, which is sealed; the next one takes its place.
    pub(super) fn finish(&mut self, now: i64) -> Previous {
        let sha256 = std::mem::take(&mut self.hash).finalize().into();
        let (first_frame, attempt, length) = (self.first_frame, self.attempt, self.length);
        self.place(self.number.saturating_add(1), 0, now);
        Previous { first_frame, attempt, length, valid_length: length, sha256 }
    }

    /// One write for all bytes, as long as the system takes them at once. What is not durable stays shorter than the
    /// longest frame: a torn tail can't be longer.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.unsynced > 0 && self.unsynced.saturating_add(bytes.len() as u64) > MAX_FRAME {
            self.sync()?;
        }
        let failed = |action| StoreError::io(&self.store.join(&self.name), action);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.medium.append(rest) {
                Ok(0) => return Err(failed("appending")(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("appending")(error)),
            }
        }
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        let path = self.store.join(&self.name);
        self.medium.sync().map_err(StoreError::io(&path, "making a frame durable"))?;
        self.unsynced = 0;
        Ok(())
    }
}
