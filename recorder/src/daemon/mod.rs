//! Wiring: the only place that starts threads.

pub mod control;

use std::path::PathBuf;

/// What the command line tells the daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// Store directory.
    pub store: PathBuf,
    /// Configuration file, when one was named.
    pub config: Option<PathBuf>,
}

/// Records until SIGTERM or SIGINT. Placeholder.
///
/// # Errors
/// Always, until the pipeline is there.
pub fn run(_options: Options) -> anyhow::Result<()> {
    anyhow::bail!("this build has no recording pipeline yet")
}
