//! `bench query`: a made-up build on disk, what its indexes cost, and queries with and without them.
use crate::{command, setup, workspace};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// What `bench query` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Write below this folder; 25 bytes an event are needed there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Events in the store
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    events: u64,
}

/// Builds with optimisation, measures, prints a table.
pub fn run(args: &Args) -> Result<()> {
    setup::run()?;
    let own = workspace::target().join("xtask");
    let dir = std::path::absolute(args.dir.as_ref().unwrap_or(&own))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    let mut cargo = command::cargo();
    cargo.args(["bench", "--quiet", "--package", "recorder", "--bench", "query", "--"]);
    command::run(cargo.arg(dir).arg(args.events.to_string()))
}
