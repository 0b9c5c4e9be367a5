//! `recorder redaction`: what a blanked secret was. Secret and salt come from a file or from stdin, never from an
//! argument: arguments are what is being recorded.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::show::find;
use super::{UsageError, removed};
use crate::chain::{hex, unhex};
use crate::config::Config;
use crate::event::record::Record;
use crate::exit::Exit;
use crate::redact::commitment::{Place, Salt, SaltKey, opens};
use crate::store::salt_key;

const EXAMPLES: &str = "Examples:
  sudo recorder redaction check 4711 --secret-file pw      was this the secret in event 4711? exit code 0 or 1
  sudo recorder redaction salt 4711                        the salts of event 4711, to hand to somebody else
  recorder redaction check 4711 --secret-file pw --salt-file salt
Whoever has the record and a salt can try out what the secret may have been: hand out a salt for one event only.";

/// Longest secret: more than any argument has.
const SECRET_MAX: u64 = 1 << 20;

/// Arguments of `redaction`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether a secret is one of those that were blanked in an event
    Check {
        /// Number of the event: its `seq`
        seq: u64,
        /// File with the secret; `-` is stdin. A line end behind it does not count
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// File with the salt, instead of the one that the key in the state directory gives
        #[arg(long, value_name = "FILE")]
        salt_file: Option<PathBuf>,
    },
    /// Print the salts of an event (needs root)
    Salt {
        /// Number of the event: its `seq`
        seq: u64,
    },
}

/// From a file as well: a salt that is recorded as an argument is a salt in the record.
fn read_salt(path: &Path) -> Result<Salt> {
    let text = read_secret(path)?;
    let salt = str::from_utf8(&text).ok().and_then(|text| unhex(text.trim()));
    salt.ok_or_else(|| {
        UsageError(format!("{} is not a salt of 32 hexadecimal digits", path.display())).into()
    })
}

/// One entry of an event's `redacted`.
#[derive(Debug, Deserialize)]
struct Entry {
    argument: Option<u32>,
    env: Option<u32>,
    at: u32,
    #[serde(default)]
    cut: bool,
    salt_key: String,
    commitment: String,
}

impl Entry {
    /// Where the blank is, for people.
    fn place(&self) -> String {
        let (what, index) = match (self.argument, self.env) {
            (None, Some(index)) => ("variable", index),
            (argument, _) => ("argument", argument.unwrap_or_default()),
        };
        format!("{what} {index} at {}", self.at)
    }
}

/// Checks a secret, or prints salts.
///
/// # Errors
/// When the event, the secret or the key can't be read, or the key is not the one that the event was redacted with.
pub fn run(store: &Path, config: Option<&Path>, arguments: &Arguments) -> Result<Exit> {
    let (Action::Check { seq, .. } | Action::Salt { seq }) = arguments.action;
    let Some(found) = find(store, seq)? else {
        removed::tell_missing(store, seq)?;
        return Ok(Exit::NOTHING);
    };
    let record = Record::parse(&found.line)?;
    let Some(list) = record.value("redacted") else {
        eprintln!("recorder: nothing was redacted in event {seq}");
        return Ok(Exit::NOTHING);
    };
    let entries: Vec<Entry> =
        serde_json::from_value(list).with_context(|| format!("`redacted` of event {seq}"))?;
    let place = |index| Place { seq, mono: record.mono, index };
    let salts: Vec<Salt> = match &arguments.action {
        Action::Check { salt_file: Some(file), .. } => vec![read_salt(file)?; entries.len()],
        _ => {
            let key = key(store, config)?;
            key.check(&entries)?;
            (0..).zip(&entries).map(|(index, _)| key.key.salt(place(index))).collect()
        }
    };
    match &arguments.action {
        Action::Check { secret_file, .. } => check(seq, &entries, &salts, &read_secret(secret_file)?),
        Action::Salt { .. } => print_salts(&entries, &salts),
    }
}

/// The key, and where it is.
struct Key {
    key: SaltKey,
    path: PathBuf,
}

fn key(store: &Path, config: Option<&Path>) -> Result<Key> {
    let (config, _) = Config::load(config)?;
    let state_dir = config.at(store).store.state_dir;
    let path = salt_key::path(&state_dir);
    let key = salt_key::load(&state_dir)?.with_context(|| {
        format!(
            "{} is missing: without the key only a salt that was printed before can tell (--salt-file)",
            path.display()
        )
    })?;
    Ok(Key { key, path })
}

impl Key {
    fn check(&self, entries: &[Entry]) -> Result<()> {
        let id = hex(&self.key.id());
        let Some(other) = entries.iter().find(|entry| entry.salt_key != id) else { return Ok(()) };
        anyhow::bail!(
            "the event was redacted with key {}, and {} is key {id}: only the former can tell",
            crate::event::text::printable(&other.salt_key),
            self.path.display()
        )
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = Zeroizing::new(Vec::new());
    let mut read_all = |from: &mut dyn Read| from.take(SECRET_MAX + 1).read_to_end(&mut secret);
    let read = match path.to_str() {
        Some("-") => read_all(&mut io::stdin().lock()),
        _ => File::open(path).and_then(|mut file| read_all(&mut file)),
    };
    read.with_context(|| format!("reading {}", path.display()))?;
    if secret.len() as u64 > SECRET_MAX {
        return Err(UsageError(format!("{} is longer than any secret here", path.display())).into());
    }
    Ok(secret)
}

fn check(seq: u64, entries: &[Entry], salts: &[Salt], secret: &[u8]) -> Result<Exit> {
    let without_end = secret.strip_suffix(b"\n").unwrap_or(secret);
    let mut out = io::stdout().lock();
    let mut exit = Exit::NOTHING;
    for (entry, salt) in entries.iter().zip(salts) {
        let commitment = unhex(&entry.commitment)
            .with_context(|| format!("event {seq}: a commitment is not 64 hexadecimal digits"))?;
        let opened =
            [secret, without_end].iter().find_map(|secret| opens(&commitment, salt, secret, entry.cut));
        let Some(length) = opened else { continue };
        exit = Exit::OK;
        let place = format!("event {seq}, {}", entry.place());
        if entry.cut {
            writeln!(out, "{place}: this is the secret, of which the first {length} bytes were recorded")?;
        } else {
            writeln!(out, "{place}: this is the secret")?;
        }
    }
    if exit == Exit::NOTHING {
        writeln!(out, "event {seq}: this is not what was redacted")?;
    }
    Ok(exit)
}

fn print_salts(entries: &[Entry], salts: &[Salt]) -> Result<Exit> {
    let mut out = io::stdout().lock();
    for (entry, salt) in entries.iter().zip(salts) {
        writeln!(out, "{}: salt {}", entry.place(), hex(salt))?;
    }
    Ok(Exit::OK)
}
