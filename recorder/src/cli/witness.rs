//! `recorder witness`: serves, makes hosts known, shows its key and what it remembers.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::UsageError;
use super::ship::stop_on_signals;
use crate::anchor::read_log_lines;
use crate::event::text::printable;
use crate::exit::Exit;
use crate::witness::WitnessError;
use crate::witness::hosts::{self, Hosts};
use crate::witness::server::{Listen, serve};

const EXAMPLES: &str = "Examples:
  recorder witness key --name w1.example.org   make the key of this witness, print the line for policies
  recorder witness add web1.log                know a host, by what `recorder enroll` printed there
  recorder witness list                        the hosts with the size of their newest checkpoints
  recorder witness serve --listen 0.0.0.0:8443 --tls-cert w1.pem --tls-key w1.key
  recorder witness serve                       plain HTTP on 127.0.0.1:8080, behind a proxy that does TLS
Run it where the root of the recorded hosts has no say. Never restore its folder from a backup: a witness that forgot what
it cosigned can be told another history. Make a new one instead.";

/// Where a witness keeps what it remembers.
const DEFAULT_DIR: &str = "/var/lib/recorder-witness";

/// Arguments of `witness`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the key and of what is remembered
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Answer hosts until stopped
    Serve {
        /// Address and port to listen on
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Certificate chain (PEM); without it, plain HTTP
        #[arg(long, value_name = "FILE", requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// Its private key (PEM)
        #[arg(long, value_name = "FILE", requires = "tls_cert")]
        tls_key: Option<PathBuf>,
    },
    /// Know the hosts of a file, at once, without a restart
    Add {
        /// What `recorder enroll` printed; a policy will do
        file: PathBuf,
    },
    /// Print the line that policies need of this witness
    Key {
        /// Make the key, under this name, where there is none
        #[arg(long)]
        name: Option<String>,
    },
    /// Print the hosts and how much of each was cosigned
    List,
}

/// Serves, adds, shows.
///
/// # Errors
/// When the folder can't be used, or the address not be had.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let dir = &arguments.dir;
    match &arguments.action {
        Action::Serve { listen, tls_cert, tls_key } => {
            let tls = tls_cert.clone().zip(tls_key.clone());
            crate::logging::start();
            let stop = stop_on_signals()?;
            let hosts = Hosts::open(dir, None).map_err(usage)?;
            serve(hosts, &Listen { address: *listen, tls }, &stop)?;
            tracing::info!("stopped");
        }
        Action::Add { file } => add(dir, file)?,
        Action::Key { name } => {
            let key = hosts::key(dir, name.as_deref()).map_err(usage)?;
            let name = key.public().name();
            // In a policy, names have no white space; those of keys have none either.
            writeln!(std::io::stdout(), "witness {name} {}", key.public())?;
        }
        Action::List => {
            let mut out = std::io::stdout().lock();
            for (key, newest) in hosts::list(dir)? {
                let size = newest.map_or(0, |newest| newest.size());
                writeln!(out, "{}  {size} frames", printable(key.name()))?;
            }
        }
    }
    Ok(Exit::OK)
}

fn add(dir: &Path, file: &Path) -> Result<()> {
    let logs = read_log_lines(file)?;
    if logs.is_empty() {
        let what = format!("{} has no `log` line; `recorder enroll` on the host prints one", file.display());
        return Err(UsageError(what).into());
    }
    for key in logs {
        let name = printable(key.name()).into_owned();
        let is_new = hosts::add(dir, &key).with_context(|| format!("adding {name}"))?;
        let what = if is_new { "is known from now on" } else { "was known already" };
        writeln!(std::io::stdout(), "{name} {what}")?;
    }
    Ok(())
}

/// What the way out is a word on the command line for.
fn usage(error: WitnessError) -> anyhow::Error {
    match error {
        WitnessError::NoKey { .. } | WitnessError::OtherName { .. } => UsageError(error.to_string()).into(),
        error => error.into(),
    }
}
