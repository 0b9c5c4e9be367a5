//! `recorder enroll`: the line by which witnesses and verifiers know this host.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;

use super::scan::open_store;
use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  recorder enroll > web1.log                   on the host, on the day it is new
  recorder witness add web1.log                on each witness
  cat web1.log witnesses > web1.policy         for whoever verifies (see `recorder verify --policy`)";

/// Arguments of `enroll`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {}

/// Prints it.
///
/// # Errors
/// When the store has no key.
pub fn run(store: &Path) -> Result<Exit> {
    let key =
        open_store(store)?.origin().context("the store has no origin key yet: start the recorder once")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "# The log of {}, for witnesses and verifiers (C2SP tlog-policy).", key.name())?;
    writeln!(out, "log {key}")?;
    Ok(Exit::OK)
}
