//! The one writer of a store: frames in, durable bytes out.

use std::path::Path;

use super::{Appended, FrameInput, StoreError};

/// Whether segments must carry the append-only flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immutable {
    /// Refuse to record where the file system has no such flag.
    Required,
    /// Record without it, and say so in each segment header.
    Off,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is ended before it grows beyond this.
    pub segment_bytes: u64,
    /// A segment is ended when it is older than this.
    pub segment_age_ns: i64,
    /// Append-only flag.
    pub immutable: Immutable,
    /// zstd level.
    pub level: i32,
    /// Kernel's boot id.
    pub boot_id: [u8; 16],
    /// Wall time, ns since 1970.
    pub now: i64,
}

impl Options {
    /// What the daemon uses unless configured otherwise.
    #[must_use]
    pub const fn new(boot_id: [u8; 16], now: i64) -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age_ns: 3_600_000_000_000,
            immutable: Immutable::Required,
            level: 1,
            boot_id,
            now,
        }
    }
}

/// What [`Writer::open`] found, for the daemon to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Number of the next event.
    pub next_seq: u64,
    /// Number of the next frame.
    pub next_frame: u64,
    /// Number of this start of the daemon, from 1.
    pub epoch: u32,
    /// Whether the store had nothing in it.
    pub fresh: bool,
    /// Whether the last recorder ended in order (true for a fresh store).
    pub clean: bool,
    /// Length of a torn tail: bytes that were being written at a crash and were never acknowledged.
    pub torn_bytes: u64,
    /// What is wrong with the last segment, when it is damaged: this is no crash, someone or something changed it.
    pub damage: Option<String>,
    /// Wall time of the last event, ns since 1970.
    pub last_time: Option<i64>,
    /// Boot id of the last recorder.
    pub previous_boot: Option<[u8; 16]>,
    /// The public origin key line.
    pub origin: String,
    /// File name of the new segment.
    pub segment: String,
}

/// Appends frames. Holds the store's lock until dropped.
pub struct Writer {
    next_seq: u64,
}

impl Writer {
    /// Locks the store, loads or makes the origin key in `state_dir`, checks what is there, opens a new segment.
    ///
    /// # Errors
    /// When any of that can't be done; the message names the way out.
    pub fn open(store: &Path, _state_dir: &Path, _options: Options) -> Result<(Self, Recovery), StoreError> {
        Err(StoreError::Unusable { path: store.to_owned(), what: "the writer is being built".to_owned() })
    }

    /// Number of the next event.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Appends one frame and returns when it is durable. After any error the writer is latched.
    ///
    /// # Errors
    /// When the frame can't be written or made durable, or an earlier one could not.
    pub fn append(&mut self, _frame: &FrameInput<'_>) -> Result<Appended, StoreError> {
        Err(StoreError::Input("the writer is being built"))
    }

    /// Ends the segment in order. Without it the next start finds an unclean end.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn close(self, _now: i64) -> Result<(), StoreError> {
        Ok(())
    }
}
