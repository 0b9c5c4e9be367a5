//! The words on the control socket, one JSON object a line, and where the socket is. Both sides use these types.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The store when none is named.
pub const DEFAULT_STORE: &str = "/var/log/recorder";

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One [`Status`].
    Status,
    /// A [`Watermark`] now and whenever it grows.
    Follow,
}

/// A request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
}

/// Frames 0 to `durable_frames - 1` of the store are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Number of the last durable frame, plus one.
    pub durable_frames: u64,
}

/// What a running daemon knows about itself. Times are RFC 3339, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The store it writes.
    pub store: PathBuf,
    /// Boot id of the host.
    pub boot: String,
    /// Recording since; null while probes are being attached.
    pub since: Option<String>,
    /// Why it no longer records; null when it does.
    pub failure: Option<String>,
    /// Events and losses by class.
    pub classes: Vec<ClassStatus>,
    /// What is on disk.
    pub durable: Durable,
    /// Queues between the stages.
    pub queues: Vec<Queue>,
    /// Hooks into the kernel and libpam.
    pub probes: Vec<Probe>,
    /// What is removed, and what never.
    #[serde(default)]
    pub retention: Retention,
    /// `capture.family` of the configuration in force.
    #[serde(default)]
    pub family: String,
    /// What proves that hooks fire.
    #[serde(default)]
    pub canary: CanaryStatus,
}

/// The canary, which makes every hook fire once in a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStatus {
    /// How often; null when the configuration has it off.
    pub every: Option<String>,
    /// When it last did.
    pub last: Option<String>,
}

/// The retention in force, as configured; null for no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Age from which on segments are removed.
    pub keep_age: Option<String>,
    /// Size that all segments together may have.
    pub keep_size: Option<String>,
    /// Ranges of time that stay.
    pub hold: Vec<String>,
}

/// Counters of one class since the daemon started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassStatus {
    /// The class's word.
    pub class: String,
    /// Events taken over from the kernel.
    pub events: u64,
    /// Events that the kernel had to drop.
    pub lost: u64,
}

/// What the daemon made durable since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durable {
    /// The watermark: number of the last durable frame, plus one.
    pub frames: u64,
    /// Events written.
    pub events: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Name of the open segment.
    pub segment: Option<String>,
    /// When the last frame became durable.
    pub last: Option<String>,
    /// How old the first event of that frame was by then, in milliseconds.
    pub lag_ms: u64,
}

/// Fill of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The queue's word.
    pub name: String,
    /// Entries waiting.
    pub length: u64,
    /// Entries it can hold.
    pub capacity: u64,
}

/// How a hook came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// It is in place (`status`) or can be put in place (`probe`).
    Attached,
    /// This kernel has nothing of the kind, so nothing is missed.
    Absent,
    /// It is not there, but hooks of another family give the same events; `why` tells the reason.
    Replaced,
    /// It is not there; `why` tells the reason.
    Missing,
    /// It was put in place, and does not fire; `why` tells what is known.
    Dead,
}

/// One hook and the events that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Event kinds, separated by blanks.
    pub event: String,
    /// The hook, such as `syscalls:sys_exit_renameat2`.
    pub hook: String,
    /// `object`, `syscall`, `tracing` or `uprobe`.
    pub family: String,
    /// How it came out.
    pub state: ProbeState,
    /// The reason, when it is not simply attached.
    pub why: Option<String>,
}

#[cfg(feature = "capture")]
impl From<&crate::capture::ProbeRow> for Probe {
    fn from(row: &crate::capture::ProbeRow) -> Self {
        let state = match row.state {
            crate::capture::State::Attached => ProbeState::Attached,
            crate::capture::State::Absent => ProbeState::Absent,
            crate::capture::State::Replaced => ProbeState::Replaced,
            crate::capture::State::Missing => ProbeState::Missing,
        };
        Self {
            event: row.event.clone(),
            hook: row.hook.clone(),
            family: row.family.to_owned(),
            state,
            why: row.why.clone(),
        }
    }
}

/// Where the daemon of this store keeps its private state: beside the store, never inside it.
#[must_use]
pub fn state_directory(store: &Path) -> PathBuf {
    if store == Path::new(DEFAULT_STORE) {
        return PathBuf::from("/var/lib/recorder");
    }
    // Collecting the components drops a trailing slash, which would put the state inside the store.
    let mut name: OsString = store.components().collect::<PathBuf>().into_os_string();
    name.push(".state");
    PathBuf::from(name)
}

/// Where the daemon of this store listens.
#[must_use]
pub fn socket_path(store: &Path) -> PathBuf {
    if store == Path::new(DEFAULT_STORE) {
        return PathBuf::from("/run/recorder/control.sock");
    }
    state_directory(store).join("control.sock")
}
