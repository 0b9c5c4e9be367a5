//! `recorder tree`: processes as they were, by forks: of a session, or of a process and all that came of it.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::any_of::{AnyOf, Term};
use super::filter::parse_time;
use super::output::Sink;
use super::query::durable_frames;
use super::scan::Scan;
use super::session::{Names, Wanted, gather, names_of, of_process, write_tree};
use super::time::ns;
use crate::event::Kind;
use crate::event::record::Record;
use crate::exit::Exit;
use crate::session::key::{ProcessKey, SessionKey};
use crate::session::process::{Process, Tree, key_of};

const EXAMPLES: &str = "Examples:
  recorder tree 4242                            process 4242 and all that came of it
  recorder tree 0a1b2c3d-4242-5000000001        the same beyond reuse of numbers: the `key` of an event
  recorder tree s3                              all processes of session 3
  recorder tree s3 --at \"10m ago\"               those of them that ran ten minutes ago
Processes stay where they were made, whatever their parent became.";

/// Arguments of `tree`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Process id (the newest process that has it), key of a process, sNUMBER or BOOT-NUMBER of a session
    #[arg(value_name = "PID|KEY|SESSION", value_parser = parse)]
    root: Root,
    /// Only processes that ran at this time: "10m ago", 2026-11-23 14:05, ...
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    output: Format,
    /// Write to the terminal directly, not through $RECORDER_PAGER, $PAGER or less
    #[arg(long)]
    no_pager: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One process a line
    Human,
    /// JSON
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Pid(u32),
    Process(ProcessKey),
    Session(Wanted),
}

fn parse(text: &str) -> Result<Root, String> {
    if let Ok(pid) = text.parse() {
        return Ok(Root::Pid(pid));
    }
    if let Some(id) = text.strip_prefix('s').and_then(|id| id.parse().ok()) {
        return Ok(Root::Session(Wanted::Newest(id)));
    }
    match SessionKey::parse(text) {
        Some(SessionKey::Pam(process)) => Ok(Root::Process(process)),
        Some(session @ SessionKey::Kernel { .. }) => Ok(Root::Session(Wanted::Exactly(session))),
        None => Err("neither a process id, nor a key, nor a session such as s3".to_owned()),
    }
}

/// Shows the tree.
///
/// # Errors
/// When the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: &Arguments) -> Result<Exit> {
    let at = arguments.at.map(ns);
    let users = names_of(store)?;
    let names = Names::new(users.clone());
    let (tree, root, problems) = match arguments.root {
        Root::Session(wanted) => {
            let (story, problems) = gather(store, &wanted, (None, None), users)?;
            (story.map(|story| story.tree().clone()).unwrap_or_default(), None, problems)
        }
        Root::Pid(pid) => match find(store, pid, None, at)? {
            Some((key, first)) => below(store, key, first)?,
            None => (Tree::default(), None, 0),
        },
        Root::Process(key) => match find(store, key.pid, Some(key), None)? {
            Some((key, first)) => below(store, key, first)?,
            None => (Tree::default(), None, 0),
        },
    };
    let is_shown = |key: &ProcessKey, process: &Process| {
        root.is_none_or(|root| tree.is_below(key, &root)) && at.is_none_or(|at| process.ran_at(at))
    };
    let order = tree.walk(&is_shown);
    if problems > 0 {
        eprintln!("recorder: not everything could be read: processes may be missing");
    }
    let mut out = Sink::open(arguments.output == Format::Human && !arguments.no_pager);
    match arguments.output {
        Format::Human => write_tree(&mut out, &tree, &is_shown, &names)?,
        Format::Json => {
            let process = |(depth, key): &(usize, ProcessKey)| Some(of_process(key, tree.get(key)?, *depth));
            serde_json::to_writer(&mut out, &order.iter().filter_map(process).collect::<Vec<_>>())?;
            out.write_all(b"\n")?;
        }
    }
    out.close()?;
    if problems > 0 {
        bail!("what is shown may not be all");
    }
    if order.is_empty() {
        eprintln!("recorder: no such process or session was recorded, or it did not run then");
        return Ok(Exit::NOTHING);
    }
    Ok(Exit::OK)
}

/// The newest process with that number, that `key` is or that had an event by `at`; and its first event or the fork
/// that made it, wall time.
fn find(
    store: &Path,
    pid: u32,
    key: Option<ProcessKey>,
    at: Option<i64>,
) -> Result<Option<(ProcessKey, i64)>> {
    let search = AnyOf { until: at, ..AnyOf::new(vec![Term::Pid(pid)]) };
    let mut scan = Scan::open(store, &search, durable_frames(store))?;
    let mut found: Option<(ProcessKey, i64)> = None;
    scan.backward(&mut |line| {
        let record = Record::parse(line)?;
        let Some((of_event, t)) = key_of(&record.key).zip(record.wall_ns()) else {
            return Ok(ControlFlow::Continue(()));
        };
        match found {
            None if key.is_none_or(|key| key == of_event) => found = Some((of_event, t)),
            Some((known, _)) if known == of_event => found = Some((known, t)),
            None => {}
            // An older process of that number.
            Some(_) => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The tree of a process that was first seen at that time, from the processes of the whole host since.
fn below(store: &Path, root: ProcessKey, first: i64) -> Result<(Tree, Option<ProcessKey>, u64)> {
    // Its fork may be a little earlier than its first own event.
    const BEFORE_NS: i64 = 5_000_000_000;
    let terms = [Kind::Fork, Kind::Exec, Kind::Exit].map(Term::Kind).to_vec();
    let search = AnyOf { since: Some(first - BEFORE_NS), ..AnyOf::new(terms) };
    let mut scan = Scan::open(store, &search, durable_frames(store))?;
    let mut tree = Tree::default();
    scan.forward(&mut |line| {
        let record = Record::parse(line)?;
        let is_known =
            |key: Option<ProcessKey>| key.is_some_and(|key| key == root || tree.get(&key).is_some());
        // Only descendants are kept, so that a busy host needs no more memory than its tree.
        if is_known(key_of(&record.key)) {
            tree.add(&record);
        } else if key_of(&record.child_key) == Some(root) {
            tree.add_child(&record);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((tree, Some(root), scan.problems()))
}
