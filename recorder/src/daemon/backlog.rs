//! Frames between the recording loop and the disk: how many wait, and since when.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Frames that wait for the disk before the reader of the rings waits too.
pub const CAPACITY: usize = 16;
/// A frame that waits longer than this means that the disk hangs, boot-clock ns.
pub const PATIENCE_NS: u64 = 10_000_000_000;

/// Frames that were handed over and are not durable yet. Locked briefly, a few times a frame.
#[derive(Debug, Default)]
pub struct Backlog {
    frames: Mutex<Frames>,
}

#[derive(Debug, Default)]
struct Frames {
    /// When each was handed over, oldest first, boot-clock ns.
    since: VecDeque<u64>,
    /// How many of them the writing thread has taken out of the queue.
    taken: usize,
}

impl Backlog {
    /// A frame is handed over at boot-clock time `now`; its sender may still have to wait for room.
    pub fn sent(&self, now: u64) {
        self.lock().since.push_back(now);
    }

    /// The writing thread took `count` frames out of the queue.
    pub fn taken(&self, count: usize) {
        self.lock().taken += count;
    }

    /// The frames that were taken are durable.
    pub fn stored(&self) {
        let mut frames = self.lock();
        let done = std::mem::take(&mut frames.taken).min(frames.since.len());
        frames.since.drain(..done);
    }

    /// Frames that wait in the queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let frames = self.lock();
        frames.since.len().saturating_sub(frames.taken).min(CAPACITY)
    }

    /// Whether everything that was handed over until boot-clock time `mono` is durable.
    #[must_use]
    pub fn is_durable(&self, mono: u64) -> bool {
        self.lock().since.front().is_none_or(|since| *since > mono)
    }

    /// Whether the oldest frame waits for so long that something must be wrong.
    #[must_use]
    pub fn is_stuck(&self, now: u64) -> bool {
        self.lock().since.front().is_some_and(|since| now.saturating_sub(*since) > PATIENCE_NS)
    }

    /// Every update is complete in itself, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_waits_no_more_but_is_not_durable_either() {
        let backlog = Backlog::default();
        backlog.sent(1);
        backlog.sent(2);
        assert_eq!(backlog.waiting(), 2);
        backlog.taken(1);
        assert_eq!(backlog.waiting(), 1);
        assert!(backlog.is_stuck(PATIENCE_NS + 2), "the write of the first one hangs");
        backlog.stored();
        assert!(!backlog.is_stuck(PATIENCE_NS + 2));
        assert!(backlog.is_stuck(PATIENCE_NS + 3), "nobody takes the second one");
        backlog.taken(1);
        backlog.stored();
        assert_eq!(backlog.waiting(), 0);
        assert!(!backlog.is_stuck(u64::MAX), "an idle disk is not stuck");
        assert!(backlog.is_durable(2));
        backlog.sent(5);
        assert!(backlog.is_durable(4) && !backlog.is_durable(5));
    }

    #[test]
    fn a_sender_that_waits_for_room_is_not_in_the_queue() {
        let backlog = Backlog::default();
        (0..=CAPACITY as u64).for_each(|now| backlog.sent(now));
        assert_eq!(backlog.waiting(), CAPACITY);
    }
}
