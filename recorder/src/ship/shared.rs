//! What the threads of `ship` share: the checkpoint to be anchored, who cosigned it, and how far behind that is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::anchor::receipts::Receipts;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::policy::Policy;

/// So long may a checkpoint wait for its quorum before that is said: three times the interval of checkpoints.
const PATIENCE: Duration = Duration::from_secs(30);
/// And said again.
const REPEAT: Duration = Duration::from_secs(300);

/// One of these for all threads.
#[derive(Debug)]
pub(super) struct Shared {
    policy: Arc<Policy>,
    receipts: Receipts,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    newest: Option<Arc<Checkpoint>>,
    /// The newest checkpoint that somebody cosigned, with all cosignatures so far, and by whom.
    round: Option<(Checkpoint, Vec<bool>)>,
    /// Frames that the quorum cosigned.
    anchored: Option<u64>,
    /// Since when something waits for its quorum.
    waiting: Option<Instant>,
    /// What each witness last failed with; `None` when it cosigned.
    failures: Vec<Option<String>>,
    /// Witnesses that are through with the one checkpoint.
    through: usize,
}

/// When was said last that anchoring lags.
#[derive(Debug, Default)]
pub(super) struct Lag {
    told: Option<Instant>,
}

impl Shared {
    pub(super) fn new(policy: Arc<Policy>, receipts: Receipts) -> Self {
        let failures = vec![Some("not asked yet".to_owned()); policy.witnesses().len()];
        let state = State { newest: None, round: None, anchored: None, waiting: None, failures, through: 0 };
        Self { policy, receipts, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) const fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A newer checkpoint is there; those that wait are left, since it covers them.
    pub(super) fn offer(&self, newest: Checkpoint) {
        let mut state = self.state();
        state.newest = Some(Arc::new(newest));
        state.waiting.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// The newest checkpoint, once it is another one than `done`.
    pub(super) fn next(&self, done: Option<&Arc<Checkpoint>>) -> Arc<Checkpoint> {
        let mut state = self.state();
        loop {
            if let Some(newest) = state.newest.as_ref().filter(|newest| Some(*newest) != done) {
                return Arc::clone(newest);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The witness at `place` cosigned; with enough of them the checkpoint is anchored.
    pub(super) fn cosigned(&self, place: usize, checkpoint: &Checkpoint, line: &str) {
        let mut state = self.state();
        self.set_failure(&mut state, place, None);
        let is_newer = |round: &(Checkpoint, Vec<bool>)| round.0.size() < checkpoint.size();
        if state.round.as_ref().is_none_or(is_newer) {
            let nobody = vec![false; self.policy.witnesses().len()];
            state.round = Some((checkpoint.clone(), nobody));
        }
        let Some((cosigned, by)) = &mut state.round else { return };
        if cosigned.text() != checkpoint.text() || cosigned.add(line).is_err() {
            return;
        }
        if let Some(flag) = by.get_mut(place) {
            *flag = true;
        }
        if !self.policy.is_met(|place| by.get(place).copied().unwrap_or(false)) {
            return;
        }
        if let Err(error) = self.receipts.keep_anchored(cosigned) {
            tracing::error!(%error, "a checkpoint is anchored, but the receipt is lost");
        }
        let size = cosigned.size();
        tracing::debug!(size, "anchored");
        if state.anchored.is_none() {
            tracing::info!(frames = size, "anchored");
        }
        state.anchored = Some(size);
        let is_newest = state.newest.as_ref().is_some_and(|newest| newest.size() <= size);
        state.waiting = if is_newest { None } else { state.waiting.map(|_| Instant::now()) };
    }

    /// The witness at `place` did not cosign, for that reason; said when it is another one than before.
    pub(super) fn failed(&self, place: usize, why: &str) {
        let mut state = self.state();
        self.set_failure(&mut state, place, Some(why.to_owned()));
    }

    fn set_failure(&self, state: &mut State, place: usize, why: Option<String>) {
        let name = self.policy.witnesses().get(place).map_or("", |witness| witness.name.as_str());
        let Some(before) = state.failures.get_mut(place).filter(|before| **before != why) else { return };
        match &why {
            Some(why) => tracing::warn!(witness = name, why, "not cosigned"),
            None => tracing::info!(witness = name, "cosigned"),
        }
        *before = why;
    }

    /// The witness has been asked, whatever came of it.
    pub(super) fn through(&self) {
        self.state().through += 1;
        self.changed.notify_all();
    }

    /// Waits until all witnesses were asked; whether they are enough.
    pub(super) fn wait_for_all(&self) -> bool {
        let mut state = self.state();
        while state.through < self.policy.witnesses().len() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.anchored.is_some() && state.waiting.is_none()
    }

    /// Says that anchoring lags, seldom, and that it is well again.
    pub(super) fn tell(&self, lag: &mut Lag) {
        let state = self.state();
        let waited = state.waiting.map(|since| since.elapsed()).filter(|waited| *waited >= PATIENCE);
        let Some(waited) = waited else {
            if lag.told.take().is_some() {
                tracing::info!(frames = state.anchored.unwrap_or(0), "anchored again");
            }
            return;
        };
        if lag.told.is_some_and(|told| told.elapsed() < REPEAT) {
            return;
        }
        let frames = state.newest.as_ref().map_or(0, |newest| newest.size());
        let behind = frames.saturating_sub(state.anchored.unwrap_or(0));
        let missing = state.failures.iter().flatten().count();
        let seconds = waited.as_secs();
        tracing::error!(seconds, behind, missing, "not anchored: too few witnesses cosign");
        lag.told = Some(Instant::now());
    }
}
