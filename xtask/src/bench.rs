//! `cargo xtask bench`: measurements. None is a test: a busy machine makes figures worse, not the code wrong.
mod hooks;
mod latency;
mod library;
mod live;
mod peers;
mod rate;
mod ratios;

use anyhow::Result;

/// What is measured.
#[derive(clap::Subcommand)]
pub enum Bench {
    /// The same loads with nothing, with auditd and with the recorder, interleaved; prints the ratios
    Peers(peers::Args),
    /// Events through decode, enrich, line, chain, compression and disk
    Pipeline(library::Args),
    /// What evidence costs: append, wait for the disk, read, verify, and bytes an event
    Store(library::Args),
    /// What each program of the probes costs a run, here or in guests, and what calls pay that nobody records
    Hooks(hooks::Args),
    /// Real file changes at a fixed rate; nothing may be lost
    Rate(rate::Args),
    /// How long an event is on its way to a reader
    Latency(latency::Args),
    /// What the index of a segment costs, and how fast queries are with and without it
    Query(library::Args),
    /// CPU and memory to put 10,000 sessions together
    Session(library::Args),
}

/// Runs one measurement.
pub fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Peers(args) => peers::run(args),
        Bench::Pipeline(args) => args.run("pipeline"),
        Bench::Store(args) => args.run("store"),
        Bench::Hooks(args) => hooks::run(args),
        Bench::Rate(args) => rate::run(args),
        Bench::Latency(args) => latency::run(args),
        Bench::Query(args) => args.run("query"),
        Bench::Session(args) => args.run("session"),
    }
}
