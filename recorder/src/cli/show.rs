//! `recorder show SEQ`: one event with all its fields, and where in the store it is.

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::lookup;
use super::output::{Fields, cell};
use super::removed;
use super::scan::open_store;
use crate::exit::Exit;
use crate::store::StoreError;
use crate::store::reader::{Frame, SegmentReader};

const EXAMPLES: &str = "Examples:
  recorder show 4711
  recorder show 4711 --output json";

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of the event: its `seq`
    seq: u64,
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One field a line
    Human,
    /// The event as stored, and its place
    Json,
}

/// Shows the event.
///
/// # Errors
/// When the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: &Arguments) -> Result<Exit> {
    let Some(found) = find(store, arguments.seq)? else {
        removed::tell_missing(store, arguments.seq)?;
        return Ok(Exit::NOTHING);
    };
    match arguments.output {
        Format::Human => print_human(&found)?,
        Format::Json => print_json(&found)?,
    }
    Ok(Exit::OK)
}

/// An event and its place.
pub(super) struct Found {
    /// The event as stored, without its newline.
    pub line: Vec<u8>,
    segment: String,
    frame: u64,
    offset: u64,
}

/// Looks for an event by its number.
///
/// # Errors
/// When the store can't be read.
pub(super) fn find(store: &Path, seq: u64) -> Result<Option<Found>> {
    let Some((frame, segment)) = find_frame(store, seq)? else { return Ok(None) };
    let number = frame.header.frame_no;
    let line = line_of(&frame, seq).with_context(|| format!("{segment}: frame {number}"))?;
    Ok(Some(Found { line, segment, frame: number, offset: frame.offset }))
}

/// The frame that has an event in it, and the name of its segment.
///
/// # Errors
/// When the store can't be read, or is damaged in front of it.
pub(super) fn find_frame(store: &Path, seq: u64) -> Result<Option<(Frame, String)>> {
    for segment in open_store(store)?.segments().iter().rev() {
        let mut reader = match SegmentReader::open(&segment.path) {
            Ok(Some(reader)) => reader,
            Ok(None) => continue,
            // Retention removed it since the directory was read.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if reader.header().first_seq > seq {
            continue;
        }
        seek_by_index(&mut reader, seq);
        while let Some(header) = reader.next_header()? {
            if seq < header.header.first_seq || seq >= header.header.next_seq() {
                continue;
            }
            reader.seek(header.offset);
            let Some(frame) = reader.next_frame()? else { continue };
            let segment = reader.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Some((frame, segment)));
        }
    }
    Ok(None)
}

/// Goes to the frame with the event, where an index tells it. A damaged or wrong index is no reason not to show what is
/// there: then the frames are gone through from the first on.
fn seek_by_index(reader: &mut SegmentReader, seq: u64) {
    let Ok(Some(candidate)) = lookup::frame_of_event(reader, seq) else { return };
    reader.seek(candidate.offset);
    let is_there = matches!(reader.next_header(), Ok(Some(frame)) if candidate.is(&frame.header));
    reader.seek(if is_there { candidate.offset } else { 0 });
}

/// The line of an event in its frame.
fn line_of(frame: &Frame, seq: u64) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    frame.decompress(&mut data)?;
    let index = usize::try_from(seq - frame.header.first_seq)?;
    let line = data.split(|&byte| byte == b'\n').nth(index).filter(|line| !line.is_empty());
    line.map(<[u8]>::to_vec).context("it holds fewer events than its header says")
}

fn print_human(found: &Found) -> Result<()> {
    let fields =
        Fields::parse(&found.line).with_context(|| format!("{}: frame {}", found.segment, found.frame))?;
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).clamp(7, 24);
    let mut out = io::stdout().lock();
    for (name, value) in fields.iter() {
        writeln!(out, "{:width$}  {}", crate::event::text::printable(name), cell(value))?;
    }
    let place = [
        ("segment", found.segment.clone()),
        ("frame", found.frame.to_string()),
        ("offset", found.offset.to_string()),
    ];
    writeln!(out)?;
    for (name, value) in place {
        writeln!(out, "{name:width$}  {value}")?;
    }
    Ok(())
}

fn print_json(found: &Found) -> Result<()> {
    // Checked, so that stored bytes can't break the JSON around them.
    Fields::parse(&found.line).with_context(|| format!("{}: frame {}", found.segment, found.frame))?;
    let segment = serde_json::to_string(&found.segment)?;
    let mut out = io::stdout().lock();
    out.write_all(b"{\"event\":")?;
    out.write_all(&found.line)?;
    writeln!(out, ",\"segment\":{segment},\"frame\":{},\"offset\":{}}}", found.frame, found.offset)?;
    Ok(())
}
