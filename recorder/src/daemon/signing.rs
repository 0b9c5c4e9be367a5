//! When the writing thread signs a checkpoint: not what is in it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Oldest that a checkpoint may be; a heartbeat comes as often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(9);
/// How long the checkpoint of an urgent event is put off. Its file takes a commit of the journal, 5 to 30 ms in which
/// nothing else gets durable, and urgent events come in flocks: a login is five within a few ms.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(500);

/// When the next checkpoint is to be signed.
#[derive(Default)]
pub(super) struct Signing {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Signing {
    /// More is durable than the last checkpoint covers.
    pub(super) fn grown(&mut self, urgent: bool) {
        let now = Instant::now();
        let due = match self.last {
            _ if urgent => now + CHECKPOINT_AFTER,
            Some(last) => last + CHECKPOINT_EVERY,
            None => now,
        };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    pub(super) fn done(&mut self) {
        *self = Self { last: Some(Instant::now()), due: None };
    }

    /// The next piece of work, unless a checkpoint is due before it comes.
    pub(super) fn wait<T>(&self, incoming: &Receiver<T>) -> Result<T, RecvTimeoutError> {
        match self.due {
            Some(due) => incoming.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn the_first_checkpoint_is_due_at_once_and_the_next_ones_seldom() {
        let mut signing = Signing::default();
        assert!(!signing.is_due(), "nothing is durable yet");
        signing.grown(false);
        assert!(signing.is_due());
        signing.done();
        signing.grown(false);
        assert!(!signing.is_due());
        assert!(signing.due.is_some_and(|due| due > Instant::now() + CHECKPOINT_AFTER));
    }

    #[test]
    fn an_urgent_event_brings_it_forward_and_later_ones_do_not_put_it_off() {
        let mut signing = Signing { last: Some(Instant::now()), due: None };
        signing.grown(false);
        signing.grown(true);
        let due = signing.due.unwrap();
        assert!(due <= Instant::now() + CHECKPOINT_AFTER);
        signing.grown(true);
        signing.grown(false);
        assert_eq!(signing.due, Some(due));
    }

    #[test]
    fn waiting_ends_with_work_or_with_a_checkpoint_that_is_due() {
        let (work, incoming) = sync_channel(1);
        let due = Signing { last: None, due: Some(Instant::now()) };
        assert_eq!(due.wait(&incoming), Err(RecvTimeoutError::Timeout));
        work.send(7).unwrap();
        assert_eq!(due.wait(&incoming), Ok(7));
        drop(work);
        assert_eq!(Signing::default().wait(&incoming), Err(RecvTimeoutError::Disconnected));
    }
}
