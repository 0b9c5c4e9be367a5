//! `recorder ship`: has checkpoints cosigned, until stopped or once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::UsageError;
use crate::config::{Anchor, Config};
use crate::exit::Exit;
use crate::ship::{Ended, Options, ShipError, run as ship};

const EXAMPLES: &str = "Examples:
  recorder ship                                as the configuration says, until stopped
  recorder ship --once                         anchor the newest checkpoint now; exit code 0 or 1
  recorder ship --once --store /mnt/log --policy ./witnesses   another store, another policy
It needs no privilege: a member of group recorder that may write the folder of the receipts. Proxies are those of the
environment (HTTPS_PROXY, NO_PROXY).";

/// Arguments of `ship`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Anchor the newest checkpoint once, and end
    #[arg(long)]
    once: bool,
    /// Policy file with the witnesses, instead of `anchor.policy` of the configuration
    #[arg(long, value_name = "FILE")]
    policy: Option<std::path::PathBuf>,
}

/// Ships.
///
/// # Errors
/// When there is no policy, or it can't begin.
pub fn run(store: Option<&Path>, config: Option<&Path>, arguments: &Arguments) -> Result<Exit> {
    crate::logging::start();
    let (config, _) = Config::load(config)?;
    let config = match store {
        Some(store) => config.at(store),
        None => config,
    };
    let policy = arguments.policy.as_deref().or(Anchor::set(&config.anchor.policy));
    let policy = policy.ok_or_else(|| {
        UsageError("no witnesses: set anchor.policy in the configuration, or give --policy FILE".to_owned())
    })?;
    let options = Options {
        policy: policy.to_owned(),
        store: config.store.dir,
        state_dir: config.store.state_dir,
        receipts: config.anchor.receipts,
        ca_file: Anchor::set(&config.anchor.ca_file).map(Path::to_owned),
        timeout: config.anchor.timeout.duration(),
        once: arguments.once,
    };
    let stop = stop_on_signals()?;
    match ship(&options, &stop) {
        Ok(Ended::Done) => Ok(Exit::OK),
        Ok(Ended::NotAnchored) => Ok(Exit::NOTHING),
        // A wrong policy stays wrong: the unit does not start again.
        Err(error @ ShipError::Policy { .. }) => Err(UsageError(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Set by SIGTERM and SIGINT.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("installing signal handlers")?;
    }
    Ok(stop)
}
