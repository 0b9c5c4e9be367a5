//! How long to wait for a witness that does not answer: longer each time, and not all hosts at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// So late is a witness noticed that is back after a week.
const LONGEST: Duration = Duration::from_secs(60);

/// Waiting times: doubled with each failure, up to a limit; of each, the second half is left to chance.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut chance = [0; 2];
        // Without chance all wait the longest, which is no harm.
        let chance =
            getrandom::fill(&mut chance).map_or(1.0, |()| f64::from(u16::from_le_bytes(chance)) / 65_535.0);
        whole.mul_f64(chance.mul_add(0.5, 0.5))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, FIRST, LONGEST};

    #[test]
    fn waits_longer_each_time_and_not_for_ever() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..100).map(|_| backoff.after_failure()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[99] <= LONGEST && waits[99] >= LONGEST / 2);
        assert!(waits.windows(2).take(5).all(|pair| pair[1] >= pair[0]));
        assert!(waits[50..].windows(2).any(|pair| pair[0] != pair[1]), "not all at the same moment");
        backoff.reset();
        assert!(backoff.after_failure() <= FIRST);
    }
}
