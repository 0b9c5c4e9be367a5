//! Reads of kernel and user memory. A failed read gives 0: callers treat 0 as absent.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};
use recorder_common::offsets::ABSENT;

/// The value of a frozen offset. Volatile, because the compiler sees the placeholder, not what the daemon put there.
#[inline(always)]
pub fn offset(field: &u32) -> u64 {
    // SAFETY: `field` is a reference into the `OFFSETS` static.
    unsafe { core::ptr::read_volatile(field) as u64 }
}

/// Whether the running kernel has the field.
#[inline(always)]
pub fn has(field: &u32) -> bool {
    offset(field) != ABSENT as u64
}

/// Reads a value at `base + field` in kernel memory; zero when the read fails or the field is absent.
#[inline(always)]
pub fn kernel<T: Copy + Default>(base: u64, field: &u32) -> T {
    let at = offset(field);
    if base == 0 || at == ABSENT as u64 {
        return T::default();
    }
    kernel_at(base.wrapping_add(at))
}

/// A flag of one bit, whose offset counts bits; false when the read fails or the field is absent.
#[inline(always)]
pub fn kernel_bit(base: u64, field: &u32) -> bool {
    let at = offset(field);
    if base == 0 || at == ABSENT as u64 {
        return false;
    }
    kernel_at::<u8>(base.wrapping_add(at / 8)) & (1 << (at % 8)) != 0
}

/// Reads a member of a kernel object whose pointer the verifier knows the type of, without a helper call; zero when
/// the field is absent. The kernel turns a fault into zero.
///
/// Known are the current task and every pointer read from a known object by this function.
#[inline(always)]
pub fn typed<T: Copy + Default>(base: u64, field: &u32) -> T {
    let at = offset(field);
    if at == ABSENT as u64 {
        return T::default();
    }
    // SAFETY: the verifier accepts only loads that it has checked against the type of `base`.
    unsafe { core::ptr::read_volatile((base as *const u8).add(at as usize).cast()) }
}

/// As [`typed`], for a member of a struct inside a struct.
#[inline(always)]
pub fn typed_inside<T: Copy + Default>(base: u64, outer: &u32, inner: &u32) -> T {
    let (outer, inner) = (offset(outer), offset(inner));
    if outer == ABSENT as u64 || inner == ABSENT as u64 {
        return T::default();
    }
    // SAFETY: as in `typed`.
    unsafe { core::ptr::read_volatile((base as *const u8).add((outer + inner) as usize).cast()) }
}

/// Reads a value at an address in kernel memory; zero when the read fails.
#[inline(always)]
pub fn kernel_at<T: Copy + Default>(address: u64) -> T {
    // SAFETY: the helper checks the address and never faults the kernel; T is plain data.
    unsafe { bpf_probe_read_kernel(address as *const T) }.unwrap_or_default()
}

/// Reads a value at an address of the current task's memory.
#[inline(always)]
pub fn user_at<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and never faults the kernel; T is plain data.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}
