//! The command line: one file per verb. Nothing here opens a segment for writing.

mod anchors;
mod any_of;
mod blame;
mod client;
mod completion;
mod config;
mod enroll;
mod filter;
mod follow;
mod lookup;
mod output;
mod probe;
mod proof;
mod prove;
mod query;
mod redaction;
mod removed;
mod scan;
mod session;
mod ship;
mod show;
mod status;
mod store_summary;
mod time;
mod tree;
mod users;
mod verify;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::config::{Anchor, Config, ConfigError};
use crate::daemon;
use crate::daemon::control::{DEFAULT_STORE, state_directory};
use crate::exit::{self, Exit};

/// Records who logged in, what ran and which files changed on this host, and can prove it.
#[derive(Debug, Parser)]
#[command(name = "recorder", version, max_term_width = 110, after_help = exit::help())]
#[command(color = ColorChoice::Auto, disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct Common {
    /// Store directory, instead of the one of the configuration
    #[arg(long, global = true, env = "RECORDER_STORE", value_name = "DIR")]
    store: Option<PathBuf>,
    /// Configuration file, instead of /etc/recorder/recorder.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Common {
    /// The store to read: the one named, or else that of the configuration. A configuration that nobody named and that
    /// is wrong or unreadable must not keep people from reading the store.
    fn store(&self) -> Result<PathBuf> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        match Config::load(self.config.as_deref()) {
            Ok((config, _)) => Ok(config.store.dir),
            Err(error) if self.config.is_some() => Err(error.into()),
            Err(error) => {
                eprintln!("recorder: {error}; reading the store {DEFAULT_STORE}");
                Ok(PathBuf::from(DEFAULT_STORE))
            }
        }
    }

    /// Where the witnesses of that store are, and their receipts.
    fn anchor(&self, store: &Path) -> Anchor {
        Config::load(self.config.as_deref())
            .map_or_else(|_| Config::default().at(store), |(config, _)| config.at(store))
            .anchor
    }

    /// Where the recorder of that store keeps its state.
    fn state_dir(&self, store: &Path) -> PathBuf {
        Config::load(self.config.as_deref())
            .map_or_else(|_| state_directory(store), |(config, _)| config.at(store).store.state_dir)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record until stopped (needs root)
    #[command(after_help = DAEMON_EXAMPLES)]
    Daemon,
    /// Show events that match
    #[command(visible_alias = "log")]
    Query(query::Arguments),
    /// Show events as they happen
    Follow(follow::Arguments),
    /// Show one event with all its fields, and where it is stored
    Show(show::Arguments),
    /// Tell who was logged in, and one login as a story
    Session(session::Arguments),
    /// Show processes as they were
    Tree(tree::Arguments),
    /// Tell who changed a file, by which command, from which login
    Blame(blame::Arguments),
    /// Check that the record is complete and unaltered
    Verify(verify::Arguments),
    /// Have checkpoints cosigned by witnesses outside this host
    Ship(ship::Arguments),
    /// Be a witness: cosign checkpoints of other hosts
    Witness(witness::Arguments),
    /// Print the line that witnesses and verifiers need of this host
    Enroll(enroll::Arguments),
    /// Write a proof of one event that anybody can check offline
    Prove(prove::Arguments),
    /// Tell whether this host is being recorded, and how well
    Status(status::Arguments),
    /// Try which hooks this kernel allows (needs root)
    Probe(probe::Arguments),
    /// Check or show the configuration
    Config(config::Arguments),
    /// Check what a blanked secret was, without showing it (needs root)
    Redaction(redaction::Arguments),
    /// Print a completion script for a shell
    Completion(completion::Arguments),
}

const DAEMON_EXAMPLES: &str = "Examples:
  sudo recorder daemon                             record into the store of the configuration
  sudo recorder daemon --store /tmp/try/log        try it: record into a store of your own
It stays in the foreground, says `recording` on stderr once every probe is attached, and stops on SIGTERM and SIGINT.";

/// A command line that parsed but makes no sense; ends with [`Exit::USAGE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Parses the command line, runs the verb, prints its error once.
#[must_use]
pub fn main() -> ExitCode {
    // Started by a daemon and not by people, so it is no verb that help or completion would show.
    if std::env::args_os().nth(1).is_some_and(|word| word == daemon::sealer::WORD) {
        return daemon::sealer::run().map_or_else(|error| fail(&error), |()| Exit::OK).into();
    }
    #[cfg(feature = "capture")]
    if std::env::args_os().nth(1).is_some_and(|word| word == daemon::canary::WORD) {
        let ran = daemon::canary::run(std::env::args_os().skip(2));
        return ran.map_or_else(|error| fail(&error), |()| Exit::OK).into();
    }
    #[cfg(feature = "capture")]
    if std::env::args_os().nth(1).is_some_and(|word| word == daemon::attacher::WORD) {
        return daemon::attacher::run().map_or_else(|error| fail(&error), |()| Exit::OK).into();
    }
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return refuse(&error).into(),
    };
    run(line).unwrap_or_else(|error| fail(&error)).into()
}

fn run(line: CommandLine) -> Result<Exit> {
    let CommandLine { common, verb } = line;
    let store = || common.store();
    match verb {
        Verb::Daemon => {
            daemon::run(&daemon::Options { store: common.store, config: common.config }).map(|()| Exit::OK)
        }
        Verb::Query(arguments) => query::run(&store()?, arguments),
        Verb::Follow(arguments) => follow::run(&store()?, arguments),
        Verb::Show(arguments) => show::run(&store()?, &arguments),
        Verb::Session(arguments) => session::run(&store()?, &arguments),
        Verb::Tree(arguments) => tree::run(&store()?, &arguments),
        Verb::Blame(arguments) => blame::run(&store()?, &arguments),
        Verb::Prove(arguments) => {
            let store = store()?;
            prove::run(&store, &common.state_dir(&store), &arguments)
        }
        Verb::Verify(arguments) => {
            let store = store()?;
            verify::run(&store, (&common.state_dir(&store), &common.anchor(&store)), &arguments)
        }
        Verb::Ship(arguments) => ship::run(common.store.as_deref(), common.config.as_deref(), &arguments),
        Verb::Witness(arguments) => witness::run(&arguments),
        Verb::Enroll(_) => enroll::run(&store()?),
        Verb::Status(arguments) => status::run(&store()?, &arguments),
        Verb::Probe(arguments) => probe::run(common.config.as_deref(), &arguments),
        Verb::Config(arguments) => config::run(common.config.as_deref(), &arguments),
        Verb::Redaction(arguments) => redaction::run(&store()?, common.config.as_deref(), &arguments),
        Verb::Completion(arguments) => completion::run(&arguments),
    }
}

/// Help and version go to stdout and succeed; the rest is a usage error.
fn refuse(error: &clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return error.print().map_or(Exit::FAILED, |()| Exit::OK);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _nowhere_to_complain = error.print();
        return Exit::USAGE;
    }
    let text = error.render().to_string();
    eprint!("recorder: {}", text.strip_prefix("error: ").unwrap_or(&text));
    Exit::USAGE
}

/// The error and its causes in one line. Many errors already end with their cause; it is not said twice.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn fail(error: &anyhow::Error) -> Exit {
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_closed) {
        // The reader of our output has seen enough.
        return Exit::OK;
    }
    eprintln!("recorder: {}", message(error));
    // The unit does not restart after a usage error: a wrong configuration stays wrong.
    if error.is::<UsageError>() || error.is::<ConfigError>() { Exit::USAGE } else { Exit::FAILED }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_verb_shows_examples() {
        for verb in CommandLine::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("recorder ") || verb.get_name() == "help", "{}", verb.get_name());
        }
    }
}
