//! `recorder blame`: who changed a file, when, by which command, from which login and from where.

mod chain;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::UsageError;
use super::any_of::{AnyOf, Term};
use super::filter::parse_time;
use super::output::Sink;
use super::query::durable_frames;
use super::scan::{Scan, all_was_read};
use super::session::{Names, names_of, time};
use super::time::ns;
use crate::event::record::Record;
use crate::event::sentence::sentence;
use crate::exit::Exit;
use crate::session::history::{Fact, of_file};
use chain::{Chain, Chains};

/// Most names followed of one file.
const NAMES: usize = 256;
/// Most events looked at.
const EVENTS: usize = 1 << 20;
/// Most directories above a file whose renames are followed.
const DIRECTORIES: usize = 64;

const EXAMPLES: &str = "Examples:
  recorder blame /etc/sudoers                   every recorded change, with who and from where
  recorder blame /etc/passwd --since today -n 5 the last five of today
  recorder blame site.conf -o json              a path below the working directory, for programs
It follows renames of the file and of directories above it, files that replaced it, and hard links.";

/// Arguments of `blame`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The file, as it is or was called
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only changes from this time on: today, "10m ago", -1h, boot, 2026-11-23 14:05, ...
    #[arg(long, short = 'S', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// At most N changes, the last ones
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    output: Format,
    /// Write to the terminal directly, not through $RECORDER_PAGER, $PAGER or less
    #[arg(long)]
    no_pager: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One change a line, and the processes behind it
    Human,
    /// JSON
    Json,
}

/// Shows the changes.
///
/// # Errors
/// When the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: &Arguments) -> Result<Exit> {
    let path = std::path::absolute(&arguments.path)
        .map_err(|error| UsageError(format!("{}: {error}", arguments.path.display())))?;
    let mut found = Found::default();
    found.follow(store, path.as_os_str().as_bytes())?;
    let wanted = of_file(path.as_os_str().as_bytes(), &found.facts());
    let since = arguments.since.map(ns);
    let is_wanted = |seq: &u64, line: &str| {
        let t = || Record::parse(line.as_bytes()).ok().and_then(|record| record.wall_ns());
        wanted.contains(seq) && since.is_none_or(|since| t().is_some_and(|t| since <= t))
    };
    let mut lines: Vec<&String> = found
        .events
        .iter()
        .filter(|(seq, (_, line))| is_wanted(seq, line))
        .map(|(_, (_, line))| line)
        .collect();
    lines.drain(..lines.len().saturating_sub(arguments.lines.unwrap_or(usize::MAX)));
    let names = Names::new(names_of(store)?);
    let mut chains = Chains::new(store);
    let mut out = Sink::open(arguments.output == Format::Human && !arguments.no_pager);
    let mut list = Vec::new();
    for line in &lines {
        let record = Record::parse(line.as_bytes())?;
        let chain = chains.of(&record)?;
        match arguments.output {
            Format::Human => write_change(&mut out, &record, &chain, &names)?,
            Format::Json => list.push(json!({
                "event": serde_json::from_str::<serde_json::Value>(line)?,
                "chain": chain.to_json(),
                "origin": chain.origin_json(),
            })),
        }
    }
    if arguments.output == Format::Json {
        serde_json::to_writer(&mut out, &list)?;
        out.write_all(b"\n")?;
    }
    out.close()?;
    if found.is_cut {
        eprintln!("recorder: the file had too many names or events: older changes may be missing");
    }
    all_was_read(found.problems + chains.problems())?;
    if lines.is_empty() && arguments.output == Format::Human {
        eprintln!("recorder: no recorded change of {}", path.display());
    }
    Ok(if lines.is_empty() { Exit::NOTHING } else { Exit::OK })
}

/// Events about the names of a file, by their numbers.
#[derive(Debug, Default)]
struct Found {
    events: BTreeMap<u64, (Fact, String)>,
    is_cut: bool,
    problems: u64,
}

impl Found {
    /// Looks for a name and for all names that renames and links lead to.
    fn follow(&mut self, store: &Path, target: &[u8]) -> Result<()> {
        let mut open: Vec<Vec<u8>> = vec![target.to_vec()];
        let mut names: BTreeSet<Vec<u8>> = open.iter().cloned().collect();
        let mut asked: BTreeSet<Vec<u8>> = BTreeSet::new();
        while !open.is_empty() {
            let paths: BTreeSet<Vec<u8>> = open
                .iter()
                .flat_map(|name| with_directories(name))
                .filter(|path| !asked.contains(path))
                .collect();
            asked.extend(paths.iter().cloned());
            if !paths.is_empty() {
                self.read(store, paths, &names)?;
            }
            let facts = self.facts();
            let led: BTreeSet<Vec<u8>> =
                names.iter().flat_map(|name| facts.iter().filter_map(|fact| fact.other_name(name))).collect();
            open = led.into_iter().filter(|name| !names.contains(name)).collect();
            let room = NAMES.saturating_sub(names.len());
            self.is_cut |= open.len() > room;
            open.truncate(room);
            names.extend(open.iter().cloned());
        }
        Ok(())
    }

    fn read(&mut self, store: &Path, paths: BTreeSet<Vec<u8>>, names: &BTreeSet<Vec<u8>>) -> Result<()> {
        let search = AnyOf::new(paths.into_iter().map(Term::Path).collect());
        let mut scan = Scan::open(store, &search, durable_frames(store))?;
        scan.forward(&mut |line| {
            let record = Record::parse(line)?;
            let Some(fact) = Fact::of(&record) else { return Ok(ControlFlow::Continue(())) };
            // Of the directories above only renames matter.
            let is_own =
                names.contains(&fact.path) || fact.path_to.as_ref().is_some_and(|to| names.contains(to));
            if is_own || fact.path_to.is_some() {
                self.events.insert(fact.seq, (fact, record.line.to_owned()));
            }
            self.is_cut |= self.events.len() >= EVENTS;
            Ok(if self.is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        self.problems += scan.problems();
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        self.events.values().map(|(fact, _)| fact.clone()).collect()
    }
}

/// A path and the directories above it.
fn with_directories(path: &[u8]) -> Vec<Vec<u8>> {
    let borders = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').take(DIRECTORIES);
    let above = borders.filter_map(|(at, _)| path.get(..at)).map(<[u8]>::to_vec);
    std::iter::once(path.to_vec()).chain(above).collect()
}

fn write_change(out: &mut dyn Write, record: &Record<'_>, chain: &Chain, names: &Names) -> Result<()> {
    let t = record.wall_ns().map_or_else(|| record.t.printable().into_owned(), time);
    writeln!(out, "{t}  {} (event {})", sentence(record, names.users()), record.seq)?;
    for link in chain.links() {
        writeln!(out, "    by {link}")?;
    }
    writeln!(out, "    {}", chain.origin())?;
    Ok(())
}
