//! `recorder verify`: judges the store and says so in plain sentences; the first line is the verdict.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{Timestamp, tz::TimeZone};

use super::filter::parse_time;
use super::scan::open_store;
use super::{UsageError, anchors, proof};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::config::{Anchor, Period};
use crate::event::text::printable;
use crate::exit::Exit;
use crate::store::{CHECKPOINT_FILE, checkpoint_file};
use crate::verify::anchor::Anchored;
use crate::verify::finding::Severity;
use crate::verify::report::{Proven, Removed, Report, Verdict};
use crate::verify::{Progress, VerifyOptions, verify};

const EXAMPLES: &str = "Examples:
  recorder verify                                   everything in the store
  recorder verify --since yesterday --json          a part, for a program
  recorder verify --store /mnt/copy --key web1.pub  a copy, with a key that you kept elsewhere
  recorder verify --proof 4711.tlog-proof --key web1.pub   one event, without a store (see `recorder prove`)
  recorder verify --checkpoint /safe/web1.ckpt      nothing that this checkpoint covers may be missing
  recorder verify --policy web1.policy --ask        with witnesses outside the host: VERIFIED, or what is wrong
  recorder verify --headers-only                    chain and signatures, without reading the events
Exit codes: 0 VERIFIED, 1 VERIFIED WITH WARNINGS, 2 TAMPERED, 3 INCOMPLETE, 4 STALE, 5 UNANCHORED, 64 usage,
70 could not. A check without witnesses never ends with 0: whoever owns the host could have rewritten everything; only
somebody elsewhere can tell. Nor does one with the policy that the host itself has.";

/// Longest key file that is read.
const MAX_KEY: u64 = 4096;

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only what was recorded from this time on
    #[arg(long, short = 'S', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Only what was recorded up to this time
    #[arg(long, short = 'U', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Check headers, chain and signatures only; leave the events unread
    #[arg(long)]
    headers_only: bool,
    /// Segments checked at the same time; 0 = one for each processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// The origin key to trust, as a file or as its line, instead of the one beside the segments
    #[arg(long, value_name = "FILE|LINE")]
    key: Option<PathBuf>,
    /// A checkpoint that you kept elsewhere: the log must still have all that it covers. Without it the newest one that
    /// this host signed is taken, where there is one
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Nothing may have been removed that was younger than this, such as 90d: what you know of the retention that the host
    /// must have, whatever its own configuration says
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    retention: Option<Period>,
    #[command(flatten)]
    anchors: anchors::Witnesses,
    /// Check the proof of one event in this file; needs no store, only the key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["since", "until", "headers_only", "jobs", "checkpoint", "retention", "policy", "receipt", "ask"])]
    proof: Option<PathBuf>,
    /// Write the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies the store and reports.
///
/// # Errors
/// When the store can't be looked at at all, the key can't be read, or the output can't be written.
pub fn run(store: &Path, (state_dir, configured): (&Path, &Anchor), arguments: &Arguments) -> Result<Exit> {
    let key = arguments.key.as_deref().map(read_key).transpose()?;
    if let Some(file) = &arguments.proof {
        return proof::run(file, key, store, arguments.json);
    }
    // Before the store is looked at: whatever a checkpoint covers is in the store by then.
    let checkpoint = checkpoint(arguments.checkpoint.as_deref(), state_dir)?;
    let gathered = anchors::gather(store, configured, &arguments.anchors)?;
    let ns = |time: Timestamp| i64::try_from(time.as_nanosecond());
    let options = VerifyOptions {
        since: arguments.since.map(ns).transpose()?,
        until: arguments.until.map(ns).transpose()?,
        headers_only: arguments.headers_only,
        jobs: arguments.jobs,
        key: key.or(gathered.key),
        checkpoint,
        retention: arguments.retention.map(Period::nanoseconds),
        trust: gathered.trust,
    };
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since > until
    {
        return Err(UsageError("--since is after --until".to_owned()).into());
    }
    open_store(store)?;
    let bar = progress_bar();
    let report = verify(store, &options, &mut |progress| show_progress(&bar, progress))?;
    bar.finish_and_clear();
    let text = if arguments.json { serde_json::to_string(&report)? + "\n" } else { sentences(&report)? };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit(report.verdict.exit_code()))
}

pub(super) fn parse_age(text: &str) -> Result<Period, String> {
    Period::try_from(text.to_owned())
}

/// The checkpoint that was named, or else the one in the state directory, which a store of another host has not.
fn checkpoint(named: Option<&Path>, state_dir: &Path) -> Result<Option<Checkpoint>> {
    match named {
        Some(file) => {
            let checkpoint = checkpoint_file::read(file)?;
            Ok(Some(checkpoint.with_context(|| format!("{} is not there", file.display()))?))
        }
        None => Ok(checkpoint_file::read(&state_dir.join(CHECKPOINT_FILE)).unwrap_or_else(|error| {
            eprintln!("recorder: {error}");
            None
        })),
    }
}

fn read_key(path: &Path) -> Result<OriginPublic> {
    use std::io::Read as _;
    if let Some(key) = path.to_str().and_then(|line| OriginPublic::parse(line.trim_end()).ok()) {
        return Ok(key);
    }
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_KEY).read_to_string(&mut text));
    read.with_context(|| format!("reading the key {}", path.display()))?;
    OriginPublic::parse(text.trim_end()).with_context(|| format!("{} holds no origin key", path.display()))
}

fn progress_bar() -> ProgressBar {
    let is_watched = io::stderr().is_terminal();
    let target = if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} segments, {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.of as u64);
    bar.set_message(format!("{} events", progress.events));
    bar.set_position(progress.segments as u64);
}

fn sentences(report: &Report) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}: {}", report.verdict.name(), meaning(report.verdict))?;
    let (frames, segments) = (report.frames, report.segments);
    let depth = if report.asked.headers_only { "headers only" } else { "all bytes" };
    let bytes = indicatif::BinaryBytes(report.bytes);
    writeln!(
        text,
        "Checked {} events in {frames} frames of {segments} segments, {bytes} ({depth}).",
        report.events
    )?;
    if report.asked.since.is_some() || report.asked.until.is_some() {
        let border = |time: Option<i64>, open: &str| time.map_or_else(|| open.to_owned(), local);
        let (since, until) =
            (border(report.asked.since, "the beginning"), border(report.asked.until, "the end"));
        writeln!(text, "Asked for: {since} to {until}.")?;
    }
    writeln!(text, "{}", proven(&report.proven))?;
    match (&report.origin, report.origin_given) {
        (Some(origin), true) => writeln!(text, "Signed by {}, the key you gave.", printable(origin))?,
        (Some(origin), false) => writeln!(
            text,
            "Signed by {}, the key found beside the segments; compare it with one you kept elsewhere (--key).",
            printable(origin)
        )?,
        (None, _) => writeln!(text, "No origin key: signatures were not checked.")?,
    }
    if let Some(anchored) = &report.anchored {
        writeln!(text, "{}", cosigned(anchored, report))?;
    }
    if let Some(frames) = report.checkpoint {
        writeln!(text, "Compared with the checkpoint over {frames} frames.")?;
    }
    for range in &report.removed {
        writeln!(text, "{}", removed(range))?;
    }
    if report.lost > 0 {
        writeln!(text, "The recorder itself says that {} events were lost.", report.lost)?;
    }
    for finding in &report.findings {
        writeln!(text, "- {}: {}", label(finding.severity), printable(&finding.to_string()))?;
    }
    Ok(text)
}

fn cosigned(anchored: &Anchored, report: &Report) -> String {
    let Anchored { frames, time, age, trusted, witnesses, .. } = anchored;
    let when = local(i64::try_from(*time).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
    let names = printable(&witnesses.join(", ")).into_owned();
    let end = report.proven.frames.map_or(0, |(_, last)| last.saturating_add(1));
    let behind = match end.saturating_sub(*frames) {
        0 => String::new(),
        behind => format!(" {behind} frames behind that are not anchored yet."),
    };
    let whose = if *trusted {
        ""
    } else {
        " That counts once you give the policy and the key of the log yourself (--policy): these are the host's."
    };
    format!("Anchored: {frames} frames, by {names}, last at {when}, {age} s ago.{behind}{whose}")
}

fn removed(range: &Removed) -> String {
    let segments =
        if range.segments == 1 { "1 segment".to_owned() } else { format!("{} segments", range.segments) };
    let events = match range.next_event.checked_sub(1).filter(|last| *last >= range.first_event) {
        Some(last) => format!("events {} to {last}", range.first_event),
        None => "no events".to_owned(),
    };
    format!(
        "Removed under retention: {events} in {segments}, {} to {}; of each, a tombstone is there.",
        local(range.from),
        local(range.until)
    )
}

const fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Tampered => "tampering",
        Severity::Incomplete => "incomplete",
        Severity::Warning => "warning",
    }
}

const fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => "complete and unaltered up to a fresh, anchored head.",
        Verdict::VerifiedWithWarnings => "unaltered, with something worth knowing.",
        Verdict::Tampered => "someone or something changed this store.",
        Verdict::Incomplete => "not all that was asked for is there and readable.",
        Verdict::Stale => "unaltered as far as it is anchored, but the newest anchor is too old.",
        Verdict::Unanchored => "consistent in itself, but nothing outside this host vouches for it.",
    }
}

fn proven(range: &Proven) -> String {
    let (Some((first, last)), Some((begin, end))) = (range.events, range.time) else {
        return "Proven: nothing.".to_owned();
    };
    format!("Proven: events {first} to {last}, {} to {}.", local(begin), local(end))
}

fn local(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).map_or_else(
        |_| format!("@{ns} ns"),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}
