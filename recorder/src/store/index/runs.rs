//! Sets of frames as ascending runs: what occurs everywhere is one run, what occurs once another.

use super::{IndexError, IndexFault, Numbers, put_number};

/// Only one frame.
const ONE: u64 = 0;
/// One frame and the next.
const TWO: u64 = 1;
/// One longer run; its length less three follows.
const LONG: u64 = 2;
/// Several runs; their number less two and the runs follow.
const SEVERAL: u64 = 3;

/// A set of frames of a segment, each named by its place in it (the first frame is 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<Run>);

/// `start` and what follows it, up to but without `end`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u32,
    end: u32,
}

impl Runs {
    /// The frames before `end`.
    #[must_use]
    pub fn before(end: u32) -> Self {
        Self(if end == 0 { Vec::new() } else { vec![Run { start: 0, end }] })
    }

    /// Whether there is no frame in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The frames, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.0.iter().flat_map(|run| run.start..run.end)
    }

    /// Adds a frame behind all others; one that is there already stays.
    pub(super) fn push(&mut self, frame: u32) {
        let end = frame.saturating_add(1);
        match self.0.last_mut() {
            Some(last) if frame < last.end => {}
            Some(last) if frame == last.end => last.end = end,
            _ => self.0.push(Run { start: frame, end }),
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The frames of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut all: Vec<Run> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable_by_key(|run| run.start);
        let mut joined = Self::default();
        for run in all {
            match joined.0.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => joined.0.push(run),
            }
        }
        joined
    }

    /// The frames of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (mut mine, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Self::default();
        while let (Some(a), Some(b)) = (mine.peek(), others.peek()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start < end {
                common.0.push(Run { start, end });
            }
            if a.end < b.end {
                mine.next();
            } else {
                others.next();
            }
        }
        common
    }

    /// Appends the runs of a set that is not empty.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Some((first, others)) = self.0.split_first() else { return };
        let length = u64::from(first.end - first.start);
        let head = u64::from(first.start) << 2;
        if others.is_empty() {
            match length {
                1 => put_number(out, head | ONE),
                2 => put_number(out, head | TWO),
                _ => {
                    put_number(out, head | LONG);
                    put_number(out, length - 3);
                }
            }
            return;
        }
        put_number(out, head | SEVERAL);
        put_number(out, others.len() as u64 - 1);
        put_number(out, length - 1);
        let mut end = first.end;
        for run in others {
            // Between two runs there is at least one frame.
            put_number(out, u64::from(run.start - end - 1));
            put_number(out, u64::from(run.end - run.start - 1));
            end = run.end;
        }
    }

    /// Reads a set of frames before `frames`.
    pub(super) fn decode(numbers: &mut Numbers<'_>, frames: u32) -> Result<Self, IndexError> {
        let offset = numbers.offset();
        let head = numbers.next()?;
        let mut runs = Self::default();
        let mut add = |start: u64, length: u64, offset: u64| {
            let end = start.checked_add(length).and_then(|end| u32::try_from(end).ok());
            let run = u32::try_from(start).ok().zip(end.filter(|end| *end <= frames));
            let (start, end) = run.ok_or_else(|| IndexFault::Limit("a frame").at(offset))?;
            runs.0.push(Run { start, end });
            Ok::<u64, IndexError>(u64::from(end))
        };
        let start = head >> 2;
        match head & 3 {
            ONE => add(start, 1, offset).map(drop)?,
            TWO => add(start, 2, offset).map(drop)?,
            LONG => add(start, numbers.next()?.saturating_add(3), offset).map(drop)?,
            _ => {
                // Each run takes two bytes at least, so the number is checked by reading on.
                let others = numbers.next()?.saturating_add(1);
                let mut end = add(start, numbers.next()?.saturating_add(1), offset)?;
                for _ in 0..others {
                    let offset = numbers.offset();
                    let start = end.saturating_add(numbers.next()?).saturating_add(1);
                    end = add(start, numbers.next()?.saturating_add(1), offset)?;
                }
            }
        }
        Ok(runs)
    }
}

impl FromIterator<u32> for Runs {
    /// From ascending frames.
    fn from_iter<I: IntoIterator<Item = u32>>(frames: I) -> Self {
        let mut runs = Self::default();
        for frame in frames {
            runs.push(frame);
        }
        runs
    }
}
