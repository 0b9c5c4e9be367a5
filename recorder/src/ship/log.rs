//! The log to be anchored, as the store has it: its newest checkpoint, and proofs that it only grew. Reads, never writes.

use std::path::{Path, PathBuf};

use super::ShipError;
use crate::chain::Hash;
use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::proof::{MakeError, consistency, root};
use crate::store::directory::Directory;
use crate::store::tree_hashes::TreeHashes;
use crate::store::{CHECKPOINT_FILE, StoreError, checkpoint_file};

/// A store and the key of its origin.
#[derive(Clone, Debug)]
pub(super) struct Log {
    store: PathBuf,
    checkpoint: PathBuf,
    key: OriginPublic,
}

impl Log {
    /// The log of a store that has recorded something.
    pub(super) fn open(store: &Path, state_dir: &Path) -> Result<Self, ShipError> {
        let key = Directory::open(store)?.origin()?;
        Ok(Self { store: store.to_owned(), checkpoint: state_dir.join(CHECKPOINT_FILE), key })
    }

    pub(super) const fn key(&self) -> &OriginPublic {
        &self.key
    }

    /// The newest checkpoint, which the origin signed.
    pub(super) fn newest(&self) -> Result<Option<Checkpoint>, ShipError> {
        self.newest_if_changed(None)
    }

    /// The same unless it is the one from before.
    pub(super) fn newest_if_changed(
        &self,
        before: Option<&Checkpoint>,
    ) -> Result<Option<Checkpoint>, ShipError> {
        let newest = checkpoint_file::read(&self.checkpoint)?;
        let Some(newest) = newest.filter(|newest| Some(newest) != before) else { return Ok(None) };
        newest
            .verify(&self.key)
            .map_err(|source| ShipError::Checkpoint { path: self.checkpoint.clone(), source })?;
        Ok(Some(newest))
    }

    /// What a witness is asked that cosigned `old` frames last.
    pub(super) fn request(&self, old: u64, checkpoint: &Checkpoint) -> Result<AddCheckpoint, ShipError> {
        let size = checkpoint.size();
        let hashes = self.hashes(size, checkpoint.root())?;
        let wrong = || ShipError::Tree { store: self.store.clone(), size };
        let hashes = hashes.ok_or_else(wrong)?;
        let proof = consistency(&hashes, old, size).map_err(|error| match error {
            MakeError::Source(error) => ShipError::Store(error),
            MakeError::Proof(_) => wrong(),
        })?;
        Ok(AddCheckpoint { old, proof, checkpoint: checkpoint.bare(&self.key) })
    }

    /// Whether the first `size` frames of the store give that root.
    pub(super) fn has(&self, size: u64, expected: &Hash) -> Result<bool, ShipError> {
        Ok(self.hashes(size, expected)?.is_some())
    }

    /// The tree, where it has that root at that size: by the tiles, or else by the frames alone.
    fn hashes(&self, size: u64, expected: &Hash) -> Result<Option<TreeHashes>, StoreError> {
        let hashes = TreeHashes::open(&self.store)?;
        if root(&hashes, size)? == *expected {
            return Ok(Some(hashes));
        }
        let hashes = TreeHashes::without_tiles(&self.store)?;
        Ok(Some(root(&hashes, size)? == *expected).filter(|holds| *holds).map(|_| hashes))
    }
}
