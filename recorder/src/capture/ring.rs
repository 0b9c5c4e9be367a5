//! Reads the rings: batches of samples in time order, across classes and CPUs.
//!
//! A probe takes its time stamp a moment before its sample is in the ring, so the youngest samples are held back
//! until nothing older can still come.

use std::os::fd::OwnedFd;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use recorder_common::class::Class;
use recorder_common::sample::{Counters, SAMPLE_MAX};
use rustix::event::{Timespec, epoll};
use rustix::time::{ClockId, clock_gettime};

use super::{Capture, CaptureError};

/// How long a probe may take between its time stamp and its sample, with a preemption in between.
const HOLD_NS: u64 = 1_000_000;
/// Bytes of each ring that are taken in one round, so that a flood does not keep the reader from the other ring.
const ROUND_BYTES: usize = 4 << 20;
/// Where `Header::mono` stands in a sample.
const MONO: std::ops::Range<usize> = 24..32;

/// A sample's place in a batch.
#[derive(Clone, Copy)]
struct Place {
    mono: u64,
    start: usize,
    end: usize,
}

/// Samples in time order.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Places that are old enough to be handed out.
    ready: usize,
}

impl Batch {
    /// The samples, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().take(self.ready).filter_map(|place| self.bytes.get(place.start..place.end))
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready == 0
    }

    fn push(&mut self, sample: &[u8]) {
        let mono = sample.get(MONO).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(sample);
        self.places.push(Place { mono, start, end: self.bytes.len() });
    }

    /// Sorts, and hands out what is not younger than `limit`.
    fn sort(&mut self, limit: u64) {
        self.places.sort_unstable_by_key(|place| (place.mono, place.start));
        self.ready = self.places.partition_point(|place| place.mono <= limit);
    }
}

/// The reader of both rings.
pub struct Reader {
    rings: Vec<RingBuf<MapData>>,
    /// Edge-triggered: it returns when a probe wakes it, not whenever there is something to read.
    epoll: OwnedFd,
    counters: PerCpuArray<MapData, Counters>,
    batch: Batch,
    spare: Batch,
    /// The last batch ended before the rings were empty.
    is_behind: bool,
}

impl Reader {
    /// Takes the rings of a capture.
    ///
    /// # Errors
    /// When they were taken before.
    pub fn new(capture: &mut Capture) -> Result<Self, CaptureError> {
        let rings = Class::ALL.into_iter().map(|class| capture.ring(class)).collect::<Result<Vec<_>, _>>()?;
        let counters = capture.counters()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(std::io::Error::from)?;
        for ring in &rings {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, ring, epoll::EventData::new_u64(0), flags).map_err(std::io::Error::from)?;
        }
        Ok(Self {
            rings,
            epoll,
            counters,
            batch: Batch::default(),
            spare: Batch::default(),
            is_behind: false,
        })
    }

    /// Waits until a ring wakes the reader or `timeout_ms` have passed, then reads what is there.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn next_batch(&mut self, timeout_ms: u32) -> Result<&Batch, CaptureError> {
        self.keep_held_back();
        if !self.is_behind {
            self.wait(if self.batch.places.is_empty() { timeout_ms } else { 1 })?;
        }
        let limit = boot_ns().saturating_sub(HOLD_NS);
        let complete_until = self.drain(ROUND_BYTES, limit);
        self.batch.sort(limit.min(complete_until));
        Ok(&self.batch)
    }

    /// Reads what happened until boot-clock time `until`, which is about now: for the end. What is younger is left out,
    /// because it would not be complete.
    pub fn last_batch(&mut self, until: u64) -> &Batch {
        self.keep_held_back();
        std::thread::sleep(std::time::Duration::from_nanos(HOLD_NS));
        self.drain(usize::MAX, until);
        self.batch.sort(until);
        &self.batch
    }

    /// Throws away what is in the rings, so that there is room; what comes from then on may stay in them.
    pub fn discard(&mut self) {
        self.drain(usize::MAX, boot_ns());
        self.batch = Batch::default();
    }

    /// What each CPU counted, by class.
    ///
    /// # Errors
    /// When the map can't be read.
    pub fn counters(&self) -> Result<Vec<(Class, u32, Counters)>, CaptureError> {
        let mut all = Vec::new();
        for class in Class::ALL {
            let values = self
                .counters
                .get(&u32::from(class as u8), 0)
                .map_err(|error| CaptureError::Map { name: "COUNTERS", why: error.to_string() })?;
            all.extend((0..).zip(values.iter()).map(|(cpu, value)| (class, cpu, *value)));
        }
        Ok(all)
    }

    /// Waits for a wake-up, and then until the sample behind it is old enough to be handed out.
    fn wait(&self, timeout_ms: u32) -> Result<(), CaptureError> {
        let mut events = Vec::with_capacity(self.rings.len());
        let timeout = Timespec {
            tv_sec: i64::from(timeout_ms / 1000),
            tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
        };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => {
                std::thread::sleep(std::time::Duration::from_nanos(HOLD_NS));
                Ok(())
            }
            Err(errno) => Err(CaptureError::Wait(errno.into())),
        }
    }

    /// Takes what is in the rings, critical events first: of each at most `room` bytes, and nothing that is much younger
    /// than `until`, or a flood would never let go. Returns the boot-clock time until which everything was taken.
    fn drain(&mut self, room: usize, until: u64) -> u64 {
        let enough = until.saturating_add(2 * HOLD_NS);
        let mut complete_until = u64::MAX;
        self.is_behind = false;
        for ring in &mut self.rings {
            let begin = self.batch.bytes.len();
            while let Some(item) = ring.next() {
                if item.len() <= SAMPLE_MAX {
                    self.batch.push(&item);
                }
                let last = self.batch.places.last().map_or(0, |place| place.mono);
                if last > enough {
                    break;
                }
                if self.batch.bytes.len() - begin >= room {
                    complete_until = complete_until.min(last.saturating_sub(HOLD_NS));
                    self.is_behind = true;
                    break;
                }
            }
        }
        complete_until
    }

    /// Starts a new batch with the samples that the last one held back.
    fn keep_held_back(&mut self) {
        std::mem::swap(&mut self.batch, &mut self.spare);
        self.batch.bytes.clear();
        self.batch.places.clear();
        self.batch.ready = 0;
        for place in self.spare.places.iter().skip(self.spare.ready) {
            if let Some(sample) = self.spare.bytes.get(place.start..place.end) {
                self.batch.push(sample);
            }
        }
    }
}

/// Now, on the clock of the samples.
#[must_use]
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// Now, on the wall clock.
#[must_use]
pub fn wall_ns() -> i64 {
    i64::try_from(nanoseconds(ClockId::Realtime)).unwrap_or(i64::MAX)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
