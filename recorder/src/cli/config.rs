//! `recorder config`: is the configuration valid, and what is in force, from where.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::config::{Config, DEFAULT_FILE};
use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  recorder config check                        is it valid? exit code 0 or 1
  recorder config check --config ./new.toml    before putting it in place
  recorder config show --origin                every value, and which line of which file set it";

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the configuration is valid, or which line is wrong
    Check,
    /// Print every setting
    Show {
        /// Say for each where it comes from
        #[arg(long)]
        origin: bool,
    },
}

/// Checks or shows.
///
/// # Errors
/// When the configuration to show is not valid, or the output can't be written.
pub fn run(file: Option<&Path>, arguments: &Arguments) -> Result<Exit> {
    let loaded = Config::load(file);
    let text = match (&arguments.action, loaded) {
        (Action::Check, Err(error)) => {
            eprintln!("recorder: {error}");
            return Ok(Exit::NOTHING);
        }
        (Action::Check, Ok((_, origins))) => {
            let mut text = String::from("the configuration is valid\n");
            if origins.files().is_empty() {
                writeln!(text, "no file: {DEFAULT_FILE} does not exist, every value is the default")?;
            }
            for path in origins.files() {
                writeln!(text, "read {}", path.display())?;
            }
            text
        }
        (Action::Show { origin }, loaded) => {
            let (config, origins) = loaded?;
            let mut text = String::new();
            for setting in config.settings(&origins) {
                let comment = if *origin { format!("  # {}", setting.origin) } else { String::new() };
                writeln!(text, "{} = {}{comment}", setting.key, setting.value)?;
            }
            text
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::OK)
}
