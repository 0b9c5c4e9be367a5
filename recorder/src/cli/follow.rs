//! `recorder follow`: events as they become durable. The daemon tells how many frames are on disk; the events come from
//! the store itself, so a slow reader loses nothing.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use super::client::Watermarks;
use super::filter::{Filter, FilterArguments};
use super::output::{OutputArguments, Printer};
use super::query;
use super::scan::{Scan, Visit};
use super::users;
use crate::exit::Exit;
use crate::store::directory::SegmentFile;
use crate::store::reader::SegmentReader;

/// Events shown before the new ones, unless told otherwise.
const BACKLOG: usize = 10;

const EXAMPLES: &str = "Examples:
  recorder follow                                   everything, from the last 10 events on
  recorder follow -n 0 -k login,auth_failed         only logins, only new ones
  recorder follow --path /etc/ -o jsonl | my-tool   changes below /etc, as stored";

/// Arguments of `follow`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// Begin with the last N events; 10, or with --since all from that time on
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
}

/// Shows events until interrupted.
///
/// # Errors
/// When no daemon runs, it stops, the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: Arguments) -> Result<Exit> {
    let filter = query::filter(store, arguments.filter)?;
    follow(store, &filter, &arguments.output, arguments.lines)
}

/// The backlog, then new events until interrupted; `lines` as in [`Arguments`].
///
/// # Errors
/// As [`run`].
pub fn follow(store: &Path, filter: &Filter, output: &OutputArguments, lines: Option<usize>) -> Result<Exit> {
    let mut watermarks = Watermarks::open(store)?;
    let Some(durable) = watermarks.wait()? else { bail!("{STOPPED}") };
    let mut scan = Scan::open(store, filter, durable)?;
    let mut printer = Printer::new(output, users::names_for(filter.store_host()), false);
    let mut show = |line: &[u8]| {
        printer.event(line)?;
        Ok(ControlFlow::Continue(()))
    };
    match lines {
        None if filter.has_since() => scan.forward(&mut show)?,
        _ => {
            for line in query::last(&mut scan, lines.unwrap_or(BACKLOG))?.iter().rev() {
                let _continue = show(line)?;
            }
        }
    }
    printer.flush()?;
    let mut tail = Tail { next_frame: durable, current: None };
    while let Some(durable) = watermarks.wait()? {
        tail.catch_up(&mut scan, durable, &mut |line| {
            printer.event(line)?;
            Ok(ControlFlow::Continue(()))
        })?;
        printer.flush()?;
    }
    printer.finish()?;
    bail!("{STOPPED}")
}

const STOPPED: &str = "the daemon stopped; nothing more is recorded until it starts again";

/// Where a follower is in the log.
#[derive(Debug)]
struct Tail {
    next_frame: u64,
    current: Option<(SegmentFile, SegmentReader)>,
}

impl Tail {
    /// Visits the matches of the frames before `end`.
    fn catch_up(&mut self, scan: &mut Scan<'_>, end: u64, visit: &mut Visit<'_>) -> Result<()> {
        while self.next_frame < end {
            let Some((_, reader)) = &mut self.current else {
                if self.next_segment(scan)? { continue } else { return Ok(()) }
            };
            match reader.next_header() {
                Ok(Some(frame)) if frame.header.frame_no >= end => {
                    reader.seek(frame.offset);
                    return Ok(());
                }
                Ok(Some(frame)) if frame.header.frame_no < self.next_frame => {}
                Ok(Some(frame)) => {
                    self.next_frame = frame.header.frame_no.saturating_add(1);
                    let _goes_on = scan.visit_frame(reader, &frame, false, visit)?;
                }
                Ok(None) => {
                    if !self.next_segment(scan)? {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let before = self.next_frame.checked_sub(1);
                    if !scan.get_past(reader, &error, before) && !self.next_segment(scan)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens the segment behind the current one, or at first the one with the next frame; `false` when there is none
    /// (yet).
    fn next_segment(&mut self, scan: &mut Scan<'_>) -> Result<bool> {
        let directory = scan.directory();
        directory.refresh()?;
        let segments = directory.segments();
        let found = match &self.current {
            Some((current, _)) => segments.iter().find(|segment| *segment > current),
            None => {
                let next_frame = self.next_frame;
                segments.iter().rfind(|segment| segment.first_frame <= next_frame).or(segments.first())
            }
        };
        let Some(segment) = found.cloned() else { return Ok(false) };
        let Some(reader) = scan.open_segment(&segment) else { return Ok(false) };
        self.current = Some((segment, reader));
        Ok(true)
    }
}
