//! Append-only segments on disk: what frames look like, one writer, any number of readers.
//!
//! Readers never write and need no lock. Only `writer` and what it calls (`recovery`, `access`, `key_file`, `medium`)
//! change anything, and `salt_key`, which the daemon asks for its key.
#![forbid(unsafe_code)]

pub(crate) mod access;
pub mod checkpoint_file;
pub mod directory;
pub(crate) mod fixed;
pub mod format;
pub(crate) mod frames;
pub mod index;
mod key_file;
pub mod medium;
pub(crate) mod options;
pub mod payload;
mod position;
pub mod reader;
mod recovery;
pub mod retention;
pub mod salt_key;
pub(crate) mod secret_file;
pub mod tiles;
pub mod tombstone;
pub mod tree_hashes;
pub mod writer;

use std::path::{Path, PathBuf};

use crate::chain::checkpoint::CheckpointError;
use crate::chain::key::KeyError;
use format::FormatError;

/// File with the public origin key, inside the store.
pub const ORIGIN_FILE: &str = "origin.pub";
/// File with the newest checkpoint, inside the state directory.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// What becomes that file.
pub const CHECKPOINT_BESIDE: &str = "checkpoint.new";

/// File in the state directory that is there while a segment is being removed.
pub(crate) const REMOVING_FILE: &str = "removing";

/// Whole events for one frame, as the pipeline hands them over.
#[derive(Clone, Copy, Debug)]
pub struct FrameInput<'a> {
    /// JSON lines, each ended by a newline; at most [`format::MAX_RAW`] bytes.
    pub lines: &'a [u8],
    /// For each line the offset just after its newline.
    pub ends: &'a [u32],
    /// Wall time of the first event, ns since 1970.
    pub t_first: i64,
    /// Wall time of the last event, ns since 1970; the writer's only clock.
    pub t_last: i64,
    /// Events lost so far since the daemon started; never falls.
    pub lost_total: u64,
}

/// Where a frame went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// File name of the segment.
    pub segment: String,
    /// Offset of the frame in the segment.
    pub offset: u64,
    /// Length of the frame on disk.
    pub length: u64,
    /// Number of the frame.
    pub frame_no: u64,
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of events in it; 0 for a heartbeat.
    pub count: u32,
}

/// The end of a segment that a crash left unfinished: a part of a frame, or zeros. Not damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where the last whole frame ends.
    pub offset: u64,
    /// Bytes after it.
    pub length: u64,
}

/// What can go wrong with a store. Each message names the path and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {action} failed: {source}{}", way_out(source), path = path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Bytes that the writer did not leave like that, not even in a crash.
    #[error("{path}: damaged at byte {offset}: {what}", path = path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: FormatError,
    },
    /// A second writer.
    #[error("{path}: the store is in use by another recorder (pid {}); stop that one, or name another store with --store", pid.map_or("unknown".to_owned(), |pid| pid.to_string()), path = path.display())]
    InUse {
        /// The store.
        path: PathBuf,
        /// The other writer, when it could be found out.
        pid: Option<u32>,
    },
    /// Owner, mode or flags are not as they must be.
    #[error("{path}: {what}; to mend it: {mend}", path = path.display())]
    Access {
        /// File or directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// The command that mends it.
        mend: String,
    },
    /// No append-only flag here.
    #[error(
        "{path}: this file system can't make files append-only ({source}); use ext4, xfs, btrfs, or tmpfs from Linux 6.6 on, \
         as root, or set `immutable = \"off\"` in section [store] to record without this tripwire", path = path.display()
    )]
    NoAppendOnly {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody is there any more who sets the flags.
    #[error(
        "{path}: it can't be protected: {why}; recording stops rather than going on without protection: start the \
         recorder again", path = path.display()
    )]
    Unprotected {
        /// The file.
        path: PathBuf,
        /// What the helper said, or that it is gone.
        why: String,
    },
    /// A key file that is not one.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why it was refused.
        source: KeyError,
    },
    /// A checkpoint file that is not one.
    #[error("{path}: not a checkpoint: {source}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why it was refused.
        source: CheckpointError,
    },
    /// The store can't be continued by this writer.
    #[error("{path}: {what}", path = path.display())]
    Unusable {
        /// The store.
        path: PathBuf,
        /// Why, and what to do.
        what: String,
    },
    /// Frames are gone that a checkpoint of this host covers.
    #[error(
        "{path}: it has {frames} frames, but this host signed for {signed} ({checkpoint}): the store was cut or set back to an \
         earlier state; run `recorder verify`, keep both, then move the store and its state directory away to begin a new log \
         under a new key", path = path.display(), checkpoint = checkpoint.display()
    )]
    RolledBack {
        /// The store.
        path: PathBuf,
        /// Frames in it.
        frames: u64,
        /// Frames that the checkpoint covers.
        signed: u64,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// An earlier append failed; nothing is written any more.
    #[error("{path}: an earlier write failed, the store is closed until the recorder starts again", path = path.display())]
    Latched {
        /// The store.
        path: PathBuf,
    },
    /// A frame that can't be written as it is.
    #[error("refused a frame: {0}")]
    Input(&'static str),
}

/// What to do about a system error, where that is always the same.
fn way_out(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(error.kind(), QuotaExceeded | StorageFull) {
        return "; make room, then start the recorder again: it goes on behind what is there and says what was missed";
    }
    ""
}

impl StoreError {
    /// Wraps a system error with what was being done to which path.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
