//! The canary: makes every hook fire once in a while, and says which did not.
//!
//! It runs on a thread of its own. What it does is recorded by the probes like anything else; [`own`] tells it from the
//! rest, so that it doesn't fill the record.

mod child;
pub mod own;
mod round;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub use child::{WORD, run};
use round::Rounds;

use super::attacher::Attacher;
use crate::capture::canary::Canary;
use crate::capture::ring::boot_ns;

/// Rounds that may fail to come before the canary itself counts as dead.
const ROUNDS_MISSED: u64 = 2;
/// How long a round may take, ns.
const ROUND_NS: u64 = 30_000_000_000;
/// The canary itself, in the place of a hook.
const ITSELF: &str = "canary";

/// What changed about a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The hook.
    pub hook: String,
    /// The kind of event that it mainly serves.
    pub event: &'static str,
    /// What is the case now.
    pub state: State,
}

/// Whether a hook fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not.
    Dead {
        /// What is known about it.
        why: String,
        /// When it was last seen to fire, boot-clock ns.
        seen: Option<u64>,
    },
    /// It does again.
    Back {
        /// Since when it was known not to, boot-clock ns.
        dead_since: u64,
    },
}

/// The running canary, seen from the recording loop. Dropping it ends the thread at its next rest.
pub struct Watch {
    reports: Receiver<Report>,
    /// When the last round ended, boot-clock ns.
    last: Arc<AtomicU64>,
    every: Duration,
    /// Since when the canary itself is known to be dead, boot-clock ns.
    dead_since: Option<u64>,
    thread: u32,
    stop: Sender<()>,
    handle: JoinHandle<()>,
}

impl Watch {
    /// Starts the canary; the first round begins at once.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(canary: Canary, attacher: Option<Attacher>, every: Duration) -> std::io::Result<Self> {
        let (tell, reports) = channel();
        let (stop, stopped) = channel();
        let (introduce, introduced) = channel();
        let last = Arc::new(AtomicU64::new(boot_ns()));
        let told = Arc::clone(&last);
        let handle = std::thread::Builder::new().name("canary".to_owned()).spawn(move || {
            let thread = rustix::thread::gettid().as_raw_nonzero().get();
            let _ = introduce.send(thread.unsigned_abs());
            let mut rounds = Rounds::new(canary, attacher);
            sing(&mut rounds, every, &tell, &told, &stopped);
            rounds.stop();
        })?;
        let thread = introduced.recv().map_err(std::io::Error::other)?;
        Ok(Self { reports, last, every, dead_since: None, thread, stop, handle })
    }

    /// The thread that it runs on.
    #[must_use]
    pub fn thread(&self) -> u32 {
        self.thread
    }

    /// When the last round ended, boot-clock ns.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// What changed since the last call; `now` is boot-clock time.
    pub fn changes(&mut self, now: u64) -> Vec<Report> {
        let mut changes: Vec<_> = self.reports.try_iter().collect();
        let last = self.last();
        let every = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        let limit = every.saturating_mul(ROUNDS_MISSED).saturating_add(ROUND_NS);
        let itself = |state| Report { hook: ITSELF.to_owned(), event: "all", state };
        match (now.saturating_sub(last) > limit, self.dead_since) {
            (true, None) => {
                self.dead_since = Some(now);
                let why = "it makes no rounds any more, so nobody knows which hooks fire".to_owned();
                changes.push(itself(State::Dead { why, seen: Some(last) }));
            }
            (false, Some(dead_since)) => {
                self.dead_since = None;
                changes.push(itself(State::Back { dead_since }));
            }
            _ => {}
        }
        changes
    }

    /// Ends the thread. The hooks must be in place until this returns.
    pub fn stop(self) {
        drop(self.stop);
        if self.handle.join().is_err() {
            tracing::warn!("the canary had panicked");
        }
    }
}

fn sing(
    rounds: &mut Rounds,
    every: Duration,
    tell: &Sender<Report>,
    last: &AtomicU64,
    stopped: &Receiver<()>,
) {
    loop {
        match rounds.next(Path::new("/proc/self/exe")) {
            Ok(reports) => {
                last.store(boot_ns(), Relaxed);
                // Nobody listens any more when the daemon stops.
                reports.into_iter().for_each(|report| drop(tell.send(report)));
            }
            Err(error) => tracing::error!(%error, "the canary can't tell which hooks fire"),
        }
        if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_that_makes_no_rounds_is_dead_itself() {
        let (tell, reports) = channel();
        let (stop, _) = channel();
        let last = Arc::new(AtomicU64::new(5));
        let handle = std::thread::spawn(|| {});
        let every = Duration::from_secs(1);
        let mut watch = Watch { reports, last, every, dead_since: None, thread: 1, stop, handle };
        let limit = 2_000_000_000 + ROUND_NS;
        assert_eq!(watch.changes(limit), []);
        let dead = Report { hook: "a".to_owned(), event: "exec", state: State::Back { dead_since: 1 } };
        tell.send(dead.clone()).unwrap();
        assert_eq!(watch.changes(limit), [dead]);
        let changes = watch.changes(limit + 6);
        assert!(
            matches!(&*changes, [Report { hook, state: State::Dead { seen: Some(5), .. }, .. }] if hook == ITSELF),
            "{changes:?}"
        );
        assert_eq!(watch.changes(limit + 7), [], "told once");
        watch.last.store(limit, Relaxed);
        let back =
            Report { hook: ITSELF.to_owned(), event: "all", state: State::Back { dead_since: limit + 6 } };
        assert_eq!(watch.changes(limit + 8), [back]);
        watch.stop();
    }
}
