//! Benchmarks of the library, on a real disk: the whole user-space pipeline, or the store alone.
use crate::{command, setup, workspace};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// What a benchmark of the library takes.
#[derive(clap::Args)]
pub struct Args {
    /// Write below this folder; it should be on the disk that the record will be on
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Events to send through each stage
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
}

impl Args {
    /// Builds a benchmark with optimisation and has it measure and print its table.
    pub fn run(&self, bench: &str) -> Result<()> {
        setup::run()?;
        let own = workspace::target().join("xtask");
        let dir = std::path::absolute(self.dir.as_ref().unwrap_or(&own))?;
        std::fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
        let mut cargo = command::cargo();
        cargo.args(["bench", "--quiet", "--package", "recorder", "--bench", bench, "--"]);
        command::run(cargo.arg(dir).arg(self.events.to_string()))
    }
}
