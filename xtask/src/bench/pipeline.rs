//! `bench pipeline`: made-up events of a build through the whole user-space pipeline onto a real disk.
use crate::{command, setup, workspace};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// What `bench pipeline` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Write below this folder; it should be on the disk that the record will be on
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Events to send through each stage
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
}

/// Builds with optimisation, measures, prints a table.
pub fn run(args: &Args) -> Result<()> {
    setup::run()?;
    let own = workspace::target().join("xtask");
    let dir = std::path::absolute(args.dir.as_ref().unwrap_or(&own))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    let mut cargo = command::cargo();
    cargo.args(["bench", "--quiet", "--package", "recorder", "--bench", "pipeline", "--"]);
    command::run(cargo.arg(dir).arg(args.events.to_string()))
}
