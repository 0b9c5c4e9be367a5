//! The counters that the pipeline updates and the control socket hands out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use recorder_common::class::Class;

use super::super::backlog::{self, Backlog};
#[cfg(feature = "capture")]
use super::super::canary::State;
#[cfg(feature = "capture")]
use super::protocol::ProbeState;
use super::protocol::{CanaryStatus, ClassStatus, Durable, Probe, Queue, Retention, Status};

/// A frame that has just become durable.
#[derive(Clone, Copy, Debug)]
pub struct FrameStored<'a> {
    /// Its number in the host's log.
    pub frame_no: u64,
    /// Events in it.
    pub events: u64,
    /// Bytes it takes on disk, header included.
    pub bytes: u64,
    /// Name of its segment.
    pub segment: &'a str,
    /// `CLOCK_REALTIME` of its first event, ns.
    pub t_first: i64,
    /// `CLOCK_REALTIME` now, ns.
    pub now: i64,
}

/// State shared by the pipeline (writes) and the control socket (reads).
///
/// The calls of the hot path are atomic additions. The rest takes a short lock, at most once a frame.
#[derive(Debug)]
pub struct Shared {
    store: PathBuf,
    boot: String,
    since_ns: AtomicI64,
    classes: [ClassCounters; Class::ALL.len()],
    durable: Mutex<DurableState>,
    durable_grew: Condvar,
    backlog: Backlog,
    probes: Mutex<Vec<Probe>>,
    failure: Mutex<Option<String>>,
    retention: Mutex<Retention>,
    family: Mutex<&'static str>,
    canary: Mutex<CanaryStatus>,
}

#[derive(Debug, Default)]
struct ClassCounters {
    events: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct DurableState {
    frames: u64,
    events: u64,
    bytes: u64,
    segment: Option<String>,
    last_ns: Option<i64>,
    lag_ms: u64,
    stopping: bool,
}

impl Shared {
    /// Counters at zero for the daemon of `store` on the boot `boot`, with `durable_frames` frames already in the
    /// store.
    #[must_use]
    pub fn new(store: &Path, boot: &str, durable_frames: u64) -> Arc<Self> {
        Arc::new(Self {
            store: store.to_owned(),
            boot: boot.to_owned(),
            since_ns: AtomicI64::new(i64::MIN),
            classes: Default::default(),
            durable: Mutex::new(DurableState { frames: durable_frames, ..DurableState::default() }),
            durable_grew: Condvar::new(),
            backlog: Backlog::default(),
            probes: Mutex::default(),
            failure: Mutex::default(),
            retention: Mutex::default(),
            family: Mutex::default(),
            canary: Mutex::default(),
        })
    }

    /// Every probe is attached: recording since `now`, `CLOCK_REALTIME` in ns.
    pub fn set_recording(&self, now: i64) {
        self.since_ns.store(now, Relaxed);
    }

    /// `count` more events of this class came out of the kernel.
    pub fn add_events(&self, class: Class, count: u64) {
        if let Some(counters) = self.classes.get(class as usize) {
            counters.events.fetch_add(count, Relaxed);
        }
    }

    /// `count` more events of this class are known to be lost.
    pub fn add_lost(&self, class: Class, count: u64) {
        if let Some(counters) = self.classes.get(class as usize) {
            counters.lost.fetch_add(count, Relaxed);
        }
    }

    /// The frame is on disk; followers may read it.
    pub fn frame_stored(&self, frame: &FrameStored<'_>) {
        let mut durable = lock(&self.durable);
        durable.frames = durable.frames.max(frame.frame_no.saturating_add(1));
        durable.events = durable.events.saturating_add(frame.events);
        durable.bytes = durable.bytes.saturating_add(frame.bytes);
        if durable.segment.as_deref() != Some(frame.segment) {
            durable.segment = Some(frame.segment.to_owned());
        }
        durable.last_ns = Some(frame.now);
        durable.lag_ms = u64::try_from(frame.now.saturating_sub(frame.t_first) / 1_000_000).unwrap_or(0);
        self.durable_grew.notify_all();
    }

    /// The frames on their way to disk.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Replaces the table of probes.
    pub fn set_probes(&self, probes: Vec<Probe>) {
        *lock(&self.probes) = probes;
    }

    /// What became of the hook of this name.
    #[cfg(feature = "capture")]
    pub fn set_hook(&self, name: &str, state: &State) {
        let (is, why) = match state {
            State::Dead { why, .. } => (ProbeState::Dead, Some(why.clone())),
            State::Back { .. } => (ProbeState::Attached, None),
            State::Unproven { why } => (ProbeState::Attached, Some(format!("no canary: {why}"))),
        };
        for probe in lock(&self.probes).iter_mut().filter(|probe| probe.hook == name) {
            (probe.state, probe.why) = (is, why.clone());
        }
    }

    /// How often the canary makes hooks fire.
    pub fn set_canary_every(&self, every: &str) {
        lock(&self.canary).every = Some(every.to_owned());
    }

    /// The canary's last round ended at `now`, `CLOCK_REALTIME` in ns.
    pub fn set_canary(&self, now: i64) {
        lock(&self.canary).last = time_text(now);
    }

    /// Replaces what is told about retention.
    pub fn set_retention(&self, retention: Retention) {
        *lock(&self.retention) = retention;
    }

    /// Tells which families of hooks were to be used.
    pub fn set_family(&self, family: &'static str) {
        *lock(&self.family) = family;
    }

    /// The daemon no longer records; the first reason stays.
    pub fn set_failure(&self, why: &str) {
        lock(&self.failure).get_or_insert_with(|| why.to_owned());
    }

    /// Frames on disk: the number of the last one, plus one.
    #[must_use]
    pub fn durable_frames(&self) -> u64 {
        lock(&self.durable).frames
    }

    /// Everything, as told to clients.
    #[must_use]
    pub fn status(&self) -> Status {
        let class_status = |(class, counters): (&Class, &ClassCounters)| ClassStatus {
            class: class.name().to_owned(),
            events: counters.events.load(Relaxed),
            lost: counters.lost.load(Relaxed),
        };
        let since_ns = self.since_ns.load(Relaxed);
        let (length, capacity) = (self.backlog.waiting() as u64, backlog::CAPACITY as u64);
        let frames = Queue { name: "frames".to_owned(), length, capacity };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            store: self.store.clone(),
            boot: self.boot.clone(),
            since: if since_ns == i64::MIN { None } else { time_text(since_ns) },
            failure: lock(&self.failure).clone(),
            classes: Class::ALL.iter().zip(&self.classes).map(class_status).collect(),
            durable: lock(&self.durable).to_status(),
            queues: vec![frames],
            probes: lock(&self.probes).clone(),
            retention: lock(&self.retention).clone(),
            family: (*lock(&self.family)).to_owned(),
            canary: lock(&self.canary).clone(),
        }
    }

    /// Waits until more than `seen` frames are durable, at most `limit`. `Err(Stopping)` once the daemon stops and
    /// nothing new is there.
    pub(super) fn wait_durable(&self, seen: u64, limit: Duration) -> Result<u64, Stopping> {
        let wait = |state: &mut DurableState| state.frames <= seen && !state.stopping;
        let guard = lock(&self.durable);
        let (durable, _) =
            self.durable_grew.wait_timeout_while(guard, limit, wait).unwrap_or_else(PoisonError::into_inner);
        if durable.stopping && durable.frames <= seen { Err(Stopping) } else { Ok(durable.frames) }
    }

    /// Whether frame number `frame_no` is durable, at the latest after `limit`.
    #[must_use]
    pub fn has_durable_frame(&self, frame_no: u64, limit: Duration) -> bool {
        self.wait_durable(frame_no, limit).is_ok_and(|frames| frames > frame_no)
    }

    /// Whether the daemon is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.durable).stopping
    }

    /// Lets every waiting follower go.
    pub(super) fn stop_followers(&self) {
        lock(&self.durable).stopping = true;
        self.durable_grew.notify_all();
    }
}

/// The daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopping;

impl DurableState {
    fn to_status(&self) -> Durable {
        Durable {
            frames: self.frames,
            events: self.events,
            bytes: self.bytes,
            segment: self.segment.clone(),
            last: self.last_ns.and_then(time_text),
            lag_ms: self.lag_ms,
        }
    }
}

fn time_text(ns: i64) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(ns)).ok().map(|time| time.to_string())
}

/// Counters stay readable after a thread panicked with the lock held: every update is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
