//! `recorder completion`: scripts that let a shell complete verbs and options.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  recorder completion bash > /etc/bash_completion.d/recorder
  recorder completion zsh > /usr/local/share/zsh/site-functions/_recorder
  recorder completion fish > ~/.config/fish/completions/recorder.fish";

/// Arguments of `completion`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When stdout can't be written.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    // The generator panics when its writer fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::CommandLine::command(), "recorder", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::OK)
}
