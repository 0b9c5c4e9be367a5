//! Wiring: the only place that starts threads. [`run`] names the stages from kernel to disk and their order.

#[cfg(feature = "capture")]
pub mod about;
#[cfg(feature = "capture")]
pub mod attacher;
pub mod backlog;
#[cfg(feature = "capture")]
pub mod canary;
pub mod control;
pub mod frame;
#[cfg(feature = "capture")]
mod halt;
pub mod last_failure;
#[cfg(feature = "capture")]
pub mod lines;
pub mod notify;
#[cfg(feature = "capture")]
pub mod pipeline;
pub mod privileges;
#[cfg(feature = "capture")]
mod record;
pub mod sealer;
mod signing;
pub mod sink;
#[cfg(feature = "capture")]
mod store_alarm;

use std::path::PathBuf;

/// What the command line tells the daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// Store directory, when one was named.
    pub store: Option<PathBuf>,
    /// Configuration file, when one was named.
    pub config: Option<PathBuf>,
}

#[cfg(feature = "capture")]
pub use record::run;

/// Records nothing.
///
/// # Errors
/// Always: this build reads records and makes none.
#[cfg(not(feature = "capture"))]
pub fn run(_options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("this build has no capture; build with the default features to record")
}
