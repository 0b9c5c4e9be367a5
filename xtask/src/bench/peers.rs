//! `bench peers`: the recorder's side of compare.sh, which owns the loads, the other peers and the fairness rules.
use super::ratios;
use crate::{build, command, setup, workspace};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// What `bench peers` takes.
#[derive(clap::Args)]
pub struct Args {
    /// The compare.sh to run
    #[arg(long, value_name = "PATH", default_value = "../shared/bench/compare.sh")]
    compare: PathBuf,
    /// Rounds; medians are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,
    /// Loads, such as "exec1 churn1"; all when left out
    #[arg(long, value_name = "LOADS")]
    loads: Option<String>,
    /// Other peers, such as "none auditd"
    #[arg(long, value_name = "PEERS", default_value = "none auditd")]
    peers: String,
    /// Size of each load in percent (100 is about a second each)
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    scale: u32,
    /// Keep the figures of each run here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Builds with optimisation and runs the comparison.
pub fn run(args: &Args) -> Result<()> {
    if !workspace::is_root() {
        bail!("comparing peers needs root: it starts them, mounts a scratch file system and sets login uids");
    }
    let compare = workspace::root().join(&args.compare);
    let compare = compare
        .canonicalize()
        .with_context(|| format!("no {}: name the script with --compare", compare.display()))?;
    setup::run()?;
    build::recorder(true)?;
    let mut script = Command::new("bash");
    script.arg(compare).env("RECORDER_PROGRAM", workspace::recorder(true));
    script.args(["-r", &args.rounds.to_string(), "-p", &args.peers, "-x", &args.scale.to_string()]);
    if let Some(loads) = &args.loads {
        script.args(["-l", loads]);
    }
    let own = workspace::target().join("xtask/peers.csv");
    std::fs::create_dir_all(workspace::target().join("xtask"))?;
    let out = std::path::absolute(args.out.as_ref().unwrap_or(&own))?;
    script.arg("-o").arg(&out).arg(workspace::root().join("xtask/peer-recorder.sh"));
    // Its own summary wants hardware counters; the figures are complete without it.
    let outcome = command::run(&mut script);
    let figures =
        std::fs::read_to_string(&out).with_context(|| format!("no figures in {}", out.display()))?;
    println!("\n{}figures: {}", ratios::table(&figures)?, out.display());
    outcome.context("the comparison did not end well")
}
