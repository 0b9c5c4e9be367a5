//! `recorder query`: events of the store that match, oldest or newest first.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::client::Watermarks;
use super::filter::{Filter, FilterArguments};
use super::follow;
use super::output::{Format, OutputArguments, Printer};
use super::scan::{Scan, all_was_read, open_store};
use super::{removed, users};
use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  recorder query --since today --path /etc/                 what changed below /etc today
  recorder query -k exec --user ann --since \"10m ago\"       what ann ran in the last 10 minutes
  recorder query -k auth_failed -n 20                       the last 20 failed logins
  recorder query --session 3 -o table                       everything one login did
  recorder query --path '*.service' --result failed -r      refused changes of units, newest first
  recorder query -k exec -o csv --fields t,uid,argv > a.csv  for a spreadsheet
Globs: * and ? stop at /, ** does not. A pattern without a leading / matches in any directory.";

/// Arguments of `query`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// At most N events, the last ones
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// Newest first
    #[arg(long, short, conflicts_with = "follow")]
    reverse: bool,
    /// Go on with new events as they become durable
    #[arg(long, short)]
    follow: bool,
    /// Look at every frame instead of using an index (results are the same)
    #[arg(long)]
    no_index: bool,
}

/// Shows the matches.
///
/// # Errors
/// When the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: Arguments) -> Result<Exit> {
    let filter = filter(store, arguments.filter)?;
    if arguments.follow {
        return follow::follow(store, &filter, &arguments.output, arguments.lines);
    }
    // Whoever asks from some time on must not take what is gone for what never was.
    if filter.has_since() {
        removed::tell_in_range(&open_store(store)?, |from, until| filter.may_match_in((from, until)));
    }
    let mut scan = Scan::open(store, &filter, durable_frames(store))?;
    if arguments.no_index {
        scan.ignore_indexes();
    }
    let mut printer = Printer::new(&arguments.output, users::names_for(filter.store_host()), true);
    match (arguments.lines, arguments.reverse) {
        (None, false) => scan.forward(&mut |line| {
            printer.event(line)?;
            Ok(ControlFlow::Continue(()))
        })?,
        (limit, true) => newest(&mut scan, limit.unwrap_or(usize::MAX), |line| printer.event(line))?,
        (Some(limit), false) => {
            for line in last(&mut scan, limit)?.iter().rev() {
                printer.event(line)?;
            }
        }
    }
    let problems = scan.problems() + printer.problems();
    let count = printer.finish()?;
    all_was_read(problems)?;
    if count == 0 && arguments.output.output == Format::Human {
        eprintln!("recorder: no event matches");
    }
    Ok(if count == 0 { Exit::NOTHING } else { Exit::OK })
}

/// The predicate for the options, with the host of this store.
///
/// # Errors
/// When the options contradict each other, or the store can't be read.
pub fn filter(store: &Path, arguments: FilterArguments) -> Result<Filter> {
    let host = open_store(store)?.origin().ok().map(|origin| host_of(origin.name()));
    let filter = Filter::new(arguments, host)?;
    if let Some(name) = filter.unknown_user() {
        eprintln!("recorder: no user {name:?} on this host: only logins under that name can match");
    }
    Ok(filter)
}

/// The host part of an origin name.
pub fn host_of(origin: &str) -> String {
    origin.split('/').next().unwrap_or(origin).to_owned()
}

/// How many frames a running daemon has made durable; without one, everything that is there.
pub fn durable_frames(store: &Path) -> u64 {
    let asked = Watermarks::open(store).and_then(|mut watermarks| watermarks.first());
    asked.ok().flatten().unwrap_or(u64::MAX)
}

/// Visits at most `limit` matches, newest first.
fn newest(scan: &mut Scan<'_>, limit: usize, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut left = limit;
    if left == 0 {
        return Ok(());
    }
    scan.backward(&mut |line| {
        visit(line)?;
        left -= 1;
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

/// The last `limit` matches, newest first.
///
/// # Errors
/// As [`Scan::backward`].
pub fn last(scan: &mut Scan<'_>, limit: usize) -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    newest(scan, limit, |line| {
        lines.push(line.to_vec());
        Ok(())
    })?;
    Ok(lines)
}
