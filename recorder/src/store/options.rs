//! What a writer is told when it opens a store, and what it tells in return.

use super::retention::Policy;

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
    /// Number of the group that may read a store made now; None leaves it to the group of the daemon.
    pub readers: Option<u32>,
    /// zstd level.
    pub level: i32,
    /// What is removed, and when.
    pub retention: Policy,
    /// Kernel's boot id.
    pub boot_id: [u8; 16],
    /// Wall time, ns since 1970.
    pub now: i64,
}

impl Options {
    /// What the daemon uses unless configured otherwise.
    #[must_use]
    pub fn new(boot_id: [u8; 16], now: i64) -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age_ns: 3_600_000_000_000,
            immutable: Immutable::Required,
            readers: None,
            level: 1,
            retention: Policy::default(),
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
    /// What a removal that a crash broke off left without its flag, and has it again.
    pub mended: Vec<String>,
    /// Why nothing is removed although the configuration asks for it.
    pub no_retention: Option<String>,
    /// Why no tiles are kept, when the store does not give the tree that it must.
    pub no_tiles: Option<String>,
    /// Wall time of the last event, ns since 1970.
    pub last_time: Option<i64>,
    /// Boot id of the last recorder.
    pub previous_boot: Option<[u8; 16]>,
    /// The public origin key line.
    pub origin: String,
    /// File name of the new segment.
    pub segment: String,
}
