//! Who signs what is written next: the origin key for the first header after a start, then one key for each header.

use crate::chain::Hash;
use crate::chain::checkpoint::{Checkpoint, CheckpointError};
use crate::chain::key::{Domain, OriginKey, OriginPublic};
use crate::chain::once::OneTimeKey;
use crate::chain::tree::Frontier;
use crate::store::format::SegmentHeader;

/// The keys of a writer. Each one-time key is announced by the header in front of the one that it signs, and is gone
/// with that signature.
pub(super) struct Signer {
    origin: OriginKey,
    announced: Option<OneTimeKey>,
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKey {
    /// The system gives none.
    #[error("no random bytes for a one-time key: {0}")]
    Random(#[from] getrandom::Error),
    /// Nothing may follow a seal with STOP.
    #[error("the recorder has ended its log in order; start it again to go on")]
    Ended,
}

impl Signer {
    /// Nothing was signed yet since the start.
    pub(super) const fn new(origin: OriginKey) -> Self {
        Self { origin, announced: None }
    }

    pub(super) const fn origin(&self) -> &OriginPublic {
        self.origin.public()
    }

    /// States what the tree of all durable frames is.
    pub(super) fn checkpoint(&self, tree: &Frontier) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::sign(&self.origin, tree.size(), tree.root())
    }

    /// The key that signs the next frame; `next_pk` becomes what that frame announces.
    pub(super) fn next(&mut self, next_pk: &mut Hash) -> Result<OneTimeKey, NoKey> {
        let next = OneTimeKey::generate()?;
        *next_pk = next.public();
        self.announced.replace(next).ok_or(NoKey::Ended)
    }

    /// The key that signs the very last frame, which announces none.
    pub(super) fn last(&mut self) -> Result<OneTimeKey, NoKey> {
        self.announced.take().ok_or(NoKey::Ended)
    }

    /// Signs a segment's header: by the origin key where an epoch starts.
    pub(super) fn sign_segment(&mut self, header: &mut SegmentHeader) -> Result<(), NoKey> {
        let next = OneTimeKey::generate()?;
        header.next_pk = next.public();
        let key = self.announced.replace(next);
        let signed = header.signed();
        header.signature = match key.filter(|_| !header.starts_epoch()) {
            Some(key) => key.sign(Domain::Segment, &signed),
            None if header.starts_epoch() => self.origin.sign(Domain::Segment, &signed),
            None => return Err(NoKey::Ended),
        };
        Ok(())
    }
}
