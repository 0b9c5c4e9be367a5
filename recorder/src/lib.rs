//! recorder: a flight recorder for Linux hosts.
//!
//! ```text
//! KERNEL                     daemon                                                     READERS
//! probes -> rings -> capture -> event -> enrich -> redact -> chain -> store -> segments -> cli, verify
//!             \ full: counted -> gap event
//! ```
//!
//! Deliberately absent: nothing is shown before it is durable; `chain`, `store::format` and `verify` take no clock and
//! open no socket; nothing reachable from `cli` opens a segment for writing; only `enrich::procfs` reads /proc for
//! events; only `capture` knows aya; only `daemon` starts threads that outlive a call.

#[cfg(feature = "capture")]
pub mod capture;
pub mod chain;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod enrich;
pub mod event;
pub mod exit;
pub mod logging;
pub mod redact;
pub mod session;
pub mod store;
pub mod verify;
