//! Atomic operations of BPF (v3 instruction set, Linux 5.12). `core::sync::atomic` leaves them out for this target.

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

/// Adds to a map value and returns what it was before.
///
/// # Safety
/// `at` points into a map value, aligned for `u64`.
#[inline(always)]
pub unsafe fn fetch_add(at: *mut u64, value: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(at, value) }
}

/// Replaces a map value and returns what it was before.
///
/// # Safety
/// `at` points into a map value, aligned for `u64`.
#[inline(always)]
pub unsafe fn swap(at: *mut u64, value: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(at, value) }
}
