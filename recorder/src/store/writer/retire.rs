//! Retention at work: tombstones, what is told of them, and the removal. No step undoes another, so that a crash between
//! any two leaves nothing worse than a tombstone beside its segment.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Immutable, Writer};
use crate::chain::sha256;
use crate::store::directory::Directory;
use crate::store::format::FrameKind;
use crate::store::retention::told::{self, Digests};
use crate::store::retention::{Removal, choose};
use crate::store::tombstone::{digest_of, digest_over, tombstone_name};
use crate::store::{Appended, FrameInput, REMOVING_FILE, StoreError};

/// What was removed so far, by what this recorder itself did or found told in the log.
#[derive(Debug, Default)]
pub(super) struct Retired {
    /// Digest of the tombstone of each removed segment, in the order of the log.
    tombstones: Digests,
    /// Why nothing more is removed by this recorder.
    stuck: Option<String>,
    /// Segment that was written at the last look, and whether the store was too large by then.
    looked: Option<(u32, bool)>,
    /// Bytes of the segments that were complete at the last look.
    complete: u64,
}

impl Retired {
    /// Takes up the tombstones that are there. When they are not those that the log tells of, somebody removed or made
    /// some: what this recorder tells from then on would make that look right, so it removes nothing more.
    pub(super) fn of(directory: &Directory) -> Self {
        let mut retired = Self::default();
        let wrong =
            "the tombstones of removed segments are not those that the log tells of; run `recorder verify`";
        retired.stuck = match retired.take_up(directory) {
            Ok(true) => None,
            Ok(false) => Some(wrong.to_owned()),
            Err(error) => Some(error.to_string()),
        };
        retired
    }

    /// Whether the tombstones are those that the log tells of.
    fn take_up(&mut self, directory: &Directory) -> Result<bool, StoreError> {
        for file in directory.removed() {
            self.tombstones.insert((file.first_frame, file.attempt), digest_of(file)?);
        }
        Ok(self.tombstones.is_empty() || is_told(directory, &self.tombstones)?)
    }

    /// Why nothing is removed.
    pub(super) const fn stuck(&self) -> Option<&String> {
        self.stuck.as_ref()
    }
}

/// Whether the newest event of retention speaks of just these.
fn is_told(directory: &Directory, removed: &Digests) -> Result<bool, StoreError> {
    let Some(newest) = told::newest(directory)? else { return Ok(false) };
    let mut beside = Digests::new();
    for file in directory.tombstones().iter().filter(|file| directory.has_segment_of(file)) {
        beside.insert((file.first_frame, file.attempt), digest_of(file)?);
    }
    Ok(told::speak_of(&newest.told, removed, &beside))
}

impl Writer {
    /// Whether it is time to look for segments to remove: at the start, after each rotation, and when the store has grown
    /// too large.
    #[must_use]
    pub fn retention_is_due(&self) -> bool {
        let policy = &self.options.retention;
        if !policy.removes() || self.retired.stuck.is_some() || self.latched {
            return false;
        }
        let is_large =
            policy.keep_bytes.is_some_and(|keep| self.retired.complete + self.tail.length() > keep);
        self.retired
            .looked
            .is_none_or(|(segment, was_large)| segment != self.tail.number() || (is_large && !was_large))
    }

    /// Looks what is to be removed at time `now` and makes its tombstones, durable. Nothing is removed yet: the removal is
    /// to be told with [`append_tombs`](Self::append_tombs) first. `None` when there is nothing to remove.
    ///
    /// # Errors
    /// When that can't be done. The frames are safe, recording goes on, and this recorder removes nothing more.
    pub fn retire(&mut self, now: i64) -> Result<Option<Removal>, StoreError> {
        let retired = self.prepare_removal(now);
        self.note_failure(retired)
    }

    fn prepare_removal(&mut self, now: i64) -> Result<Option<Removal>, StoreError> {
        if !self.tiles.as_ref().is_some_and(super::TileWriter::keeps_tiles) {
            let what = "nothing is removed: without tiles the tree would lose its leaves".to_owned();
            return Err(StoreError::Unusable { path: self.path.clone(), what });
        }
        let directory = Directory::open(&self.path)?;
        let frames = self.position.next_frame();
        let choice = choose(&directory, &self.options.retention, now, frames)?;
        self.retired.complete = choice.bytes.saturating_sub(self.tail.length());
        let is_large = self.options.retention.keep_bytes.is_some_and(|keep| choice.bytes > keep);
        self.retired.looked = Some((self.tail.number(), is_large));
        let mut all = self.retired.tombstones.clone();
        for victim in &choice.victims {
            let header = &victim.tombstone.header;
            let bytes = victim.tombstone.encode();
            self.tail.medium().fix(&tombstone_name(header.first_frame, header.attempt), &bytes)?;
            all.insert((header.first_frame, header.attempt), sha256(&bytes));
        }
        if choice.is_cut {
            self.retired.looked = None;
        }
        Ok((!choice.victims.is_empty()).then(|| Removal {
            victims: choice.victims,
            policy: self.options.retention.clone(),
            decided: now,
            tombstones: all.len() as u64,
            tombstones_sha256: digest_over(all.values()),
        }))
    }

    /// Appends a frame with the `tombstone` events of a removal, and nothing else; returns when it is durable.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn append_tombs(&mut self, frame: &FrameInput<'_>) -> Result<Appended, StoreError> {
        self.latching(|writer| {
            let appended = writer.append_events(frame, FrameKind::Tomb)?;
            writer.sync()?;
            Ok(appended)
        })
    }

    /// Removes the segments of a removal, which was told.
    ///
    /// # Errors
    /// When one can't be removed; it is there then, beside its tombstone, and this recorder removes nothing more.
    pub fn remove(&mut self, removal: &Removal) -> Result<(), StoreError> {
        let removed = self.remove_all(removal);
        self.note_failure(removed)
    }

    fn remove_all(&mut self, removal: &Removal) -> Result<(), StoreError> {
        let marker = Marker::set(&self.state_dir, self.options.immutable)?;
        for victim in &removal.victims {
            self.tail.medium().remove(&victim.name)?;
            let header = &victim.tombstone.header;
            let digest = sha256(&victim.tombstone.encode());
            self.retired.tombstones.insert((header.first_frame, header.attempt), digest);
            self.retired.complete = self.retired.complete.saturating_sub(victim.bytes);
        }
        let synced = self.tail.medium().sync_directory();
        synced.map_err(StoreError::io(&self.path, "making the removal durable"))?;
        marker.map_or(Ok(()), Marker::clear)
    }

    fn note_failure<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| self.retired.stuck = Some(error.to_string()))
    }
}

/// A file in the state directory that is there while flags are off: a start that finds it sets them again.
struct Marker(PathBuf);

impl Marker {
    fn set(state_dir: &Path, immutable: Immutable) -> Result<Option<Self>, StoreError> {
        if immutable == Immutable::Off {
            return Ok(None);
        }
        let path = state_dir.join(REMOVING_FILE);
        let made = File::create(&path).and_then(|file| file.sync_all());
        made.and_then(|()| File::open(state_dir)?.sync_all())
            .map_err(StoreError::io(&path, "noting that segments are being removed"))?;
        Ok(Some(Self(path)))
    }

    fn clear(self) -> Result<(), StoreError> {
        std::fs::remove_file(&self.0).map_err(StoreError::io(&self.0, "removing the note"))
    }
}
