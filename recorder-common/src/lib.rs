//! The kernel ABI of the recorder: what the probes and the daemon agree on, and nothing else.
//!
//! Everything is `repr(C)`, integers only, native byte order, without implicit padding. Neither side trusts the
//! other's bytes: user space reads a sample field by field and turns numbers into types with `TryFrom`.
#![no_std]
#![forbid(unsafe_code)]

pub mod class;
pub mod kind;
pub mod offsets;
pub mod sample;
pub mod syscall;
pub mod text;

/// Version of this ABI. Probes and daemon are built together, so a difference is a build fault, not an upgrade.
pub const ABI_VERSION: u32 = 1;
