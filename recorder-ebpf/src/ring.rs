//! The rings: where room is, who is woken, what is given up first, and the count of what was lost.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE};
use aya_ebpf::helpers::generated::bpf_ringbuf_query;
use aya_ebpf::maps::RingBuf;
use recorder_common::class::Class;
use recorder_common::kind::Kind;

use crate::atomic;
use crate::maps::{COUNTERS, CRITICAL, FILES};

/// The reader is not woken more often than this by exec events of one CPU.
const WAKE_INTERVAL_NS: u64 = 20_000_000;

/// How soon the reader must know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At the reader's next round, or when the ring fills up.
    Batch,
    /// Now, unless this CPU woke the reader a moment ago.
    Soon,
    /// Now.
    Now,
}

/// The ring of a class.
#[inline(always)]
pub fn ring_of(class: Class) -> *mut RingBuf {
    match class {
        Class::Critical => (&raw const CRITICAL).cast_mut(),
        Class::Files => (&raw const FILES).cast_mut(),
    }
}

/// Whether this sample wakes the reader.
#[inline(always)]
pub fn wake_flags(class: Class, urgency: Urgency, now: u64, woken: &mut u64) -> u64 {
    let wake = match urgency {
        Urgency::Now => true,
        Urgency::Soon => now.wrapping_sub(*woken) > WAKE_INTERVAL_NS,
        Urgency::Batch => now.wrapping_sub(*woken) > WAKE_INTERVAL_NS && filling(class),
    };
    if wake {
        *woken = now;
        return BPF_RB_FORCE_WAKEUP as u64;
    }
    BPF_RB_NO_WAKEUP as u64
}

/// Whether a quarter of the ring waits to be read.
#[inline(always)]
fn filling(class: Class) -> bool {
    let ring = ring_of(class);
    // SAFETY: a ring buffer map; the helper only reads it.
    unsafe {
        bpf_ringbuf_query(ring.cast(), BPF_RB_AVAIL_DATA as u64)
            > bpf_ringbuf_query(ring.cast(), BPF_RB_RING_SIZE as u64) / 4
    }
}

/// What is given up first: it comes in floods, and tells less than a change of names, content or rights. The work on it
/// is spared as well. docs/operations.md has the order.
#[inline(always)]
pub fn is_bulk(kind: u16) -> bool {
    kind == Kind::FileWrite as u16
        || kind == Kind::FileMapWrite as u16
        || kind == Kind::AttrTime as u16
        || kind == Kind::FileDenied as u16
}

/// Whether less than a quarter of the ring is free.
#[inline(always)]
pub fn is_nearly_full(class: Class) -> bool {
    let ring = ring_of(class);
    // SAFETY: a ring buffer map; the helper only reads it.
    unsafe {
        let size = bpf_ringbuf_query(ring.cast(), BPF_RB_RING_SIZE as u64);
        bpf_ringbuf_query(ring.cast(), BPF_RB_AVAIL_DATA as u64) > size - size / 4
    }
}

/// Counts a sample that was never written: it takes a number, so the hole shows.
#[inline(always)]
pub fn count_loss(class: Class) {
    if let Some(counters) = COUNTERS.get_ptr_mut(class as u32) {
        // SAFETY: a per-CPU map value, touched only by atomic operations.
        unsafe {
            atomic::fetch_add(&raw mut (*counters).sequence, 1);
            atomic::fetch_add(&raw mut (*counters).dropped, 1);
        }
    }
}

/// Counts changes that no sample could be made of: they take numbers, so the hole shows.
#[inline(always)]
pub fn count_missing(class: Class, count: u64) {
    if let Some(counters) = COUNTERS.get_ptr_mut(class as u32) {
        // SAFETY: a per-CPU map value, touched only by atomic operations.
        unsafe { atomic::fetch_add(&raw mut (*counters).sequence, count) };
    }
}
