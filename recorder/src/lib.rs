//! recorder: a flight recorder for Linux hosts.
//!
//! ```text
//! KERNEL                     daemon                                                     READERS
//! probes -> rings -> capture -> event -> enrich -> redact -> chain -> store -> segments -> cli, verify
//!             \ full: counted -> gap event                       ship: store -> anchor -> witness, on another host
//! ```
//!
//! Deliberately absent: nothing is shown or anchored before it is durable; `chain`, `store::format`, `verify` and
//! `witness::decision` take no clock and open no socket; nothing reachable from `cli` opens a segment for writing; only
//! `enrich::procfs` reads /proc for events; only `capture` knows aya; only `daemon`, `ship` and `witness`, each a process of
//! its own, start threads that outlive a call.

pub mod anchor;
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
pub mod ship;
pub mod store;
pub mod verify;
pub mod witness;
