//! The kernel ABI of the recorder: what the probes and the daemon agree on, and nothing else.
//!
//! Everything is `repr(C)`, integers only, native byte order, without implicit padding. Neither side trusts the
//! other's bytes: user space reads a sample field by field and turns numbers into types with `TryFrom`.
#![no_std]
#![cfg_attr(not(feature = "user"), forbid(unsafe_code))]

pub mod class;
pub mod hook;
pub mod kind;
pub mod offsets;
pub mod sample;
pub mod syscall;
pub mod text;

/// The user side may view these as plain bytes.
#[cfg(feature = "user")]
mod plain {
    // SAFETY: `repr(C)`, integers only, no padding.
    unsafe impl aya::Pod for crate::offsets::Offsets {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::syscall::Spec {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::sample::Counters {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::sample::Settings {}
}
