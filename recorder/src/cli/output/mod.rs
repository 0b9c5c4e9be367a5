//! How events are shown: one English sentence each, JSON, CSV or a table.

mod fields;
pub mod human;
mod pager;
mod sink;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::de::IgnoredAny;

pub use fields::{Fields, cell, table_text};
pub use sink::Sink;

use crate::enrich::users::Users;
use crate::event::record::Head;

/// The output options of every verb that shows events.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// How events are written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub output: Format,
    /// Only these fields, in this order, separated by commas (not for human)
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Colour: auto means on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Write to the terminal directly, not through $RECORDER_PAGER, $PAGER or less
    #[arg(long)]
    pub no_pager: bool,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One English sentence each, local time
    Human,
    /// One JSON array
    Json,
    /// One JSON object a line: byte for byte what is stored
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header
    Csv,
    /// A table
    Table,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Never
    Never,
}

impl Colour {
    /// Whether stdout gets colour.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
        }
    }
}

/// Columns of `--output csv` when none are named.
const CSV_FIELDS: &[&str] = &[
    "seq",
    "t",
    "kind",
    "result",
    "pid",
    "ppid",
    "key",
    "comm",
    "exe",
    "uid",
    "euid",
    "loginuid",
    "session",
    "cgroup",
    "container",
    "argv",
    "path",
    "path_to",
    "user",
    "rhost",
    "flags",
];
/// Columns of `--output table` when none are named.
const TABLE_FIELDS: &[&str] =
    &["seq", "t", "kind", "result", "pid", "uid", "loginuid", "exe", "path", "path_to"];

/// Writes events in the format that was asked for; [`Printer::finish`] writes what closes it.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    fields: Vec<String>,
    /// Which of the named fields no event had so far.
    unseen: Vec<bool>,
    users: Users,
    colour: bool,
    is_terminal: bool,
    count: u64,
    problems: u64,
    table: Vec<Vec<String>>,
    sink: Sink,
}

impl Printer {
    /// Prepares output; `users` names ids in sentences, `paged` allows a pager when stdout is a terminal.
    #[must_use]
    pub fn new(arguments: &OutputArguments, users: Users, paged: bool) -> Self {
        let paged = paged && !arguments.no_pager && matches!(arguments.output, Format::Human | Format::Table);
        Self::with_sink(arguments, users, Sink::open(paged))
    }

    fn with_sink(arguments: &OutputArguments, users: Users, sink: Sink) -> Self {
        let defaults = match arguments.output {
            Format::Csv => CSV_FIELDS,
            Format::Table => TABLE_FIELDS,
            Format::Human | Format::Json | Format::Jsonl => &[],
        };
        let named = arguments.fields.clone();
        let unseen = vec![true; named.len()];
        let fields =
            if named.is_empty() { defaults.iter().map(|&name| name.to_owned()).collect() } else { named };
        Self {
            format: arguments.output,
            fields,
            unseen,
            users,
            colour: arguments.color.is_wanted(),
            is_terminal: io::stdout().is_terminal(),
            count: 0,
            problems: 0,
            table: Vec::new(),
            sink,
        }
    }

    /// Events that could not be shown.
    #[must_use]
    pub const fn problems(&self) -> u64 {
        self.problems
    }

    /// Writes one event: its line as stored, without the newline. One that makes no sense is told on stderr.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn event(&mut self, line: &[u8]) -> Result<()> {
        match self.write(line) {
            Err(error) if !error.is::<io::Error>() => {
                self.problems += 1;
                let number = Head::scan(line).map_or_else(String::new, |head| format!(" {}", head.seq));
                eprintln!("recorder: event{number} can't be shown: {error}");
                Ok(())
            }
            written => written,
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<()> {
        let is_first = self.count == 0;
        match self.format {
            Format::Human => human::write(&mut self.sink, line, &self.users, self.colour)?,
            Format::Jsonl => self.json_line(line)?,
            Format::Json => {
                let _valid: IgnoredAny = serde_json::from_slice(line)?;
                self.sink.write_all(if is_first { b"[\n" } else { b",\n" })?;
                self.json_object(line)?;
            }
            Format::Csv => {
                let cells = self.cells(line, fields::plain)?;
                if is_first {
                    self.csv_header()?;
                }
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                fields::write_csv(&mut self.sink, &cells)?;
            }
            Format::Table => {
                let cells = self.cells(line, cell)?;
                self.table.push(cells);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Hands what was written so far to whoever reads stdout.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn csv_header(&mut self) -> io::Result<()> {
        let header: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        fields::write_csv(&mut self.sink, &header)
    }

    /// Writes what closes the format, waits for the pager, and tells how many events were written.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self) -> Result<u64> {
        match self.format {
            Format::Json if self.count == 0 => self.sink.write_all(b"[]\n")?,
            Format::Json => self.sink.write_all(b"\n]\n")?,
            Format::Csv if self.count == 0 => self.csv_header()?,
            Format::Table if self.count > 0 => {
                let rows = std::mem::take(&mut self.table);
                let header: Vec<&str> = self.fields.iter().map(String::as_str).collect();
                self.sink.write_all(table_text(&header, rows).as_bytes())?;
            }
            _ => {}
        }
        self.sink.close()?;
        if self.count > 0 {
            let unseen = self.fields.iter().zip(&self.unseen).filter(|(_, unseen)| **unseen);
            for (name, _) in unseen {
                eprintln!("recorder: no event shown has a field {name:?}");
            }
        }
        Ok(self.count)
    }

    fn json_line(&mut self, line: &[u8]) -> Result<()> {
        self.json_object(line)?;
        Ok(self.sink.write_all(b"\n")?)
    }

    fn json_object(&mut self, line: &[u8]) -> Result<()> {
        if self.fields.is_empty() {
            return Ok(fields::write_json(&mut self.sink, line, self.is_terminal)?);
        }
        let fields = Fields::parse(line)?;
        self.note_seen(&fields);
        let object = serde_json::to_vec(&fields.only(&self.fields))?;
        Ok(fields::write_json(&mut self.sink, &object, self.is_terminal)?)
    }

    fn cells(&mut self, line: &[u8], show: fn(&serde_json::Value) -> String) -> Result<Vec<String>> {
        let fields = Fields::parse(line)?;
        self.note_seen(&fields);
        let shown = |name: &String| fields.get(name).map(show).unwrap_or_default();
        // A spreadsheet wants the raw text, a terminal must not get it.
        let safe = |text: String| {
            if self.is_terminal { crate::event::text::printable(&text).into_owned() } else { text }
        };
        let is_csv = self.format == Format::Csv;
        Ok(self.fields.iter().map(shown).map(|text| if is_csv { safe(text) } else { text }).collect())
    }

    fn note_seen(&mut self, fields: &Fields) {
        for (name, unseen) in self.fields.iter().zip(&mut self.unseen) {
            *unseen = *unseen && fields.get(name).is_none();
        }
    }
}

#[cfg(test)]
mod tests;
