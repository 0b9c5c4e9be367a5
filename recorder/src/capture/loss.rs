//! Which samples are missing: holes in the sequence numbers of each CPU and class, and what the kernel counted.
//!
//! Numbers are taken before the ring is asked for room, so nothing can be lost without a hole.

use std::collections::BTreeMap;

use recorder_common::class::Class;
use recorder_common::sample::Counters;

/// A hole is given up after this long: probes that preempt each other can send out of order.
const PATIENCE_NS: u64 = 1_000_000_000;
/// Open holes of one stream that are kept apart; more are merged.
const HOLES: usize = 64;

/// Events known to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Ring class.
    pub class: Class,
    /// CPU.
    pub cpu: u32,
    /// How many.
    pub count: u64,
    /// How many of them found no room in the ring; the rest vanished otherwise.
    pub ring_full: u64,
    /// Boot-clock ns of the last event before, 0 when there was none.
    pub after: u64,
    /// Boot-clock ns of the first event behind, or of the moment the loss was noticed.
    pub before: u64,
}

/// Numbers that have not been seen.
#[derive(Clone, Copy, Debug)]
struct Hole {
    first: u64,
    end: u64,
    after: u64,
    before: u64,
}

/// The numbers of one CPU and class.
#[derive(Debug, Default)]
struct Stream {
    /// Below it are samples from before the record began.
    begin: u64,
    next: u64,
    last_mono: u64,
    holes: Vec<Hole>,
    /// What the kernel had given out at the last look, all of which must have arrived by the next.
    promised: u64,
    dropped: u64,
}

impl Stream {
    fn observe(&mut self, sequence: u64, mono: u64) {
        if sequence >= self.next {
            if sequence > self.next {
                self.open(Hole { first: self.next, end: sequence, after: self.last_mono, before: mono });
            }
            self.next = sequence.saturating_add(1);
            self.last_mono = mono;
            return;
        }
        self.fill(sequence);
    }

    fn open(&mut self, hole: Hole) {
        if self.holes.len() >= HOLES
            && let Some(last) = self.holes.last_mut()
        {
            // Numbers between the two arrived; keep the count exact and the span wide.
            last.first = hole.end - (last.end - last.first) - (hole.end - hole.first);
            last.end = hole.end;
            last.before = hole.before;
            return;
        }
        self.holes.push(hole);
    }

    fn fill(&mut self, sequence: u64) {
        let Some(at) = self.holes.iter().position(|hole| hole.first <= sequence && sequence < hole.end)
        else {
            return;
        };
        let hole = self.holes.swap_remove(at);
        let left = Hole { end: sequence, ..hole };
        let right = Hole { first: sequence + 1, ..hole };
        self.holes.extend([left, right].into_iter().filter(|part| part.first < part.end));
    }

    /// Closes what has waited long enough; `None` when nothing is missing.
    fn settle(&mut self, now: u64, kernel: Counters, stream: (Class, u32)) -> Option<Loss> {
        if self.next < self.promised {
            let hole = Hole { first: self.next, end: self.promised, after: self.last_mono, before: now };
            self.next = self.promised;
            self.holes.push(Hole { before: now.saturating_sub(PATIENCE_NS), ..hole });
        }
        self.promised = kernel.sequence.max(self.promised);
        let ripe = |hole: &Hole| hole.before.saturating_add(PATIENCE_NS) <= now;
        let (count, after, before) = self.holes.iter().filter(|hole| ripe(hole)).fold(
            (0, u64::MAX, 0),
            |(count, after, before): (u64, u64, u64), hole| {
                (count + (hole.end - hole.first), after.min(hole.after), before.max(hole.before))
            },
        );
        self.holes.retain(|hole| !ripe(hole));
        if count == 0 {
            return None;
        }
        let ring_full = kernel.dropped.saturating_sub(self.dropped).min(count);
        self.dropped += ring_full;
        Some(Loss { class: stream.0, cpu: stream.1, count, ring_full, after, before })
    }
}

/// The numbers of every CPU and class.
#[derive(Debug, Default)]
pub struct Tracker {
    streams: BTreeMap<(Class, u32), Stream>,
}

impl Tracker {
    /// Begins with what the kernel numbers from now on: attaching takes seconds in which nobody reads the rings, and
    /// what they could not hold meanwhile is not lost, because the record does not claim it.
    #[must_use]
    pub fn beginning_at(counters: &[(Class, u32, Counters)]) -> Self {
        let stream = |kernel: &Counters| Stream {
            begin: kernel.sequence,
            next: kernel.sequence,
            promised: kernel.sequence,
            dropped: kernel.dropped,
            ..Stream::default()
        };
        Self {
            streams: counters.iter().map(|(class, cpu, kernel)| ((*class, *cpu), stream(kernel))).collect(),
        }
    }

    /// Notes a sample that arrived; `false` when it is from before the beginning.
    pub fn observe(&mut self, class: Class, cpu: u32, sequence: u64, mono: u64) -> bool {
        let stream = self.streams.entry((class, cpu)).or_default();
        if sequence < stream.begin {
            return false;
        }
        stream.observe(sequence, mono);
        true
    }

    /// Compares with the kernel's counters, read before the rings were drained; call about once a second.
    pub fn settle(&mut self, now: u64, counters: &[(Class, u32, Counters)]) -> Vec<Loss> {
        counters
            .iter()
            .filter_map(|&(class, cpu, kernel)| {
                self.streams.entry((class, cpu)).or_default().settle(now, kernel, (class, cpu))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn kernel(sequence: u64, dropped: u64) -> Vec<(Class, u32, Counters)> {
        vec![(Class::Files, 0, Counters { sequence, dropped, woken: 0 })]
    }

    #[test]
    fn what_was_numbered_before_the_beginning_is_neither_recorded_nor_lost() {
        let mut tracker = Tracker::beginning_at(&kernel(50, 20));
        assert!(!tracker.observe(Class::Files, 0, 49, 1));
        assert!(tracker.observe(Class::Files, 0, 50, 2));
        assert!(tracker.observe(Class::Files, 0, 52, 3));
        assert!(tracker.settle(4, &kernel(53, 21)).is_empty());
        let losses = tracker.settle(4 + SECOND, &kernel(53, 21));
        assert_eq!(losses.iter().map(|loss| (loss.count, loss.ring_full)).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn a_complete_stream_loses_nothing() {
        let mut tracker = Tracker::default();
        for sequence in 0..100 {
            tracker.observe(Class::Files, 0, sequence, sequence);
        }
        assert_eq!(tracker.settle(5 * SECOND, &kernel(100, 0)), []);
        assert_eq!(tracker.settle(9 * SECOND, &kernel(100, 0)), []);
    }

    #[test]
    fn a_hole_is_counted_with_its_span_and_cause() {
        let mut tracker = Tracker::default();
        tracker.observe(Class::Files, 0, 0, 10);
        tracker.observe(Class::Files, 0, 4, 50);
        let lost = tracker.settle(5 * SECOND, &kernel(5, 2));
        let expected = Loss { class: Class::Files, cpu: 0, count: 3, ring_full: 2, after: 10, before: 50 };
        assert_eq!(lost, [expected]);
        assert_eq!(tracker.settle(9 * SECOND, &kernel(5, 2)), []);
    }

    #[test]
    fn samples_out_of_order_are_not_lost() {
        let mut tracker = Tracker::default();
        for sequence in [0, 3, 1, 2, 5, 4] {
            tracker.observe(Class::Files, 0, sequence, sequence);
        }
        assert_eq!(tracker.settle(5 * SECOND, &kernel(6, 0)), []);
    }

    #[test]
    fn a_lost_tail_shows_one_round_later() {
        let mut tracker = Tracker::default();
        tracker.observe(Class::Files, 0, 0, 10);
        assert_eq!(tracker.settle(5 * SECOND, &kernel(8, 7)), []);
        let lost = tracker.settle(6 * SECOND, &kernel(8, 7));
        assert_eq!(lost.iter().map(|loss| (loss.count, loss.ring_full)).collect::<Vec<_>>(), [(7, 7)]);
    }

    #[test]
    fn many_holes_keep_their_count() {
        let mut tracker = Tracker::default();
        for sequence in (0..1000).step_by(2) {
            tracker.observe(Class::Files, 0, sequence, sequence);
        }
        let lost = tracker.settle(5 * SECOND, &kernel(999, 499));
        assert_eq!(lost.iter().map(|loss| loss.count).sum::<u64>(), 499);
    }
}
