//! `recorder status`: whether this host is being recorded, and how well; without a daemon, what the store tells.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::client::{self, ClientError};
use super::store_summary::StoreSummary;
use crate::daemon::control::{Probe, ProbeState, Retention, Status};
use crate::event::text::printable;
use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  recorder status
  recorder status --output json
  recorder status > /dev/null || echo \"not recording\"
Exit codes: 0 recording, 1 not recording, 70 could not find out.";

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A screen for people
    Human,
    /// One JSON object
    Json,
}

/// Everything `status` knows; also its JSON.
#[derive(Debug, Serialize)]
struct Overview {
    recording: bool,
    /// Why the daemon could not be asked.
    problem: Option<String>,
    daemon: Option<Status>,
    store: Option<StoreSummary>,
    store_problem: Option<String>,
}

/// Shows the state.
///
/// # Errors
/// When neither the daemon nor the store could be asked, or the output can't be written.
pub fn run(store: &Path, arguments: &Arguments) -> Result<Exit> {
    let (daemon, problem, is_certain) = match client::status(store) {
        Ok(status) => (Some(status), None, true),
        Err(error @ ClientError::NotRunning { .. }) => (None, Some(error.to_string()), true),
        Err(error) => (None, Some(error.to_string()), false),
    };
    let (summary, store_problem) = match StoreSummary::of(store) {
        Ok(summary) => (Some(summary), None),
        Err(error) => (None, Some(super::message(&error))),
    };
    let recording = daemon.as_ref().is_some_and(|status| status.since.is_some() && status.failure.is_none());
    let overview = Overview { recording, problem, daemon, store: summary, store_problem };
    let text = match arguments.output {
        Format::Json => serde_json::to_string(&overview)? + "\n",
        Format::Human => human(store, &overview)?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(match (recording, is_certain && overview.store_problem.is_none()) {
        (true, _) => Exit::OK,
        (false, true) => Exit::NOTHING,
        (false, false) => Exit::FAILED,
    })
}

fn human(store: &Path, overview: &Overview) -> Result<String> {
    let mut text = String::new();
    match (&overview.daemon, &overview.problem) {
        (Some(status), _) => daemon(&mut text, status)?,
        (None, Some(problem)) => writeln!(text, "not recording: {problem}")?,
        (None, None) => {}
    }
    writeln!(text, "store       {}", printable(&store.to_string_lossy()))?;
    match (&overview.store, &overview.store_problem) {
        (Some(summary), _) => stored(&mut text, summary, overview.recording)?,
        (None, Some(problem)) => writeln!(text, "            {problem}")?,
        (None, None) => {}
    }
    if let Some(status) = &overview.daemon {
        writeln!(text, "retention   {}", retention(&status.retention))?;
        probes(&mut text, status)?;
    }
    Ok(text)
}

fn daemon(text: &mut String, status: &Status) -> Result<()> {
    match (&status.failure, &status.since) {
        (Some(why), _) => writeln!(text, "NOT RECORDING: {why}")?,
        (None, Some(since)) => writeln!(text, "recording since {}", local(since))?,
        (None, None) => writeln!(text, "starting: probes are being attached")?,
    }
    writeln!(text, "daemon      version {}, pid {}", status.version, status.pid)?;
    writeln!(text, "boot        {}", printable(&status.boot))?;
    for class in &status.classes {
        let lost =
            if class.lost > 0 { format!("LOST {}", grouped(class.lost)) } else { "none lost".to_owned() };
        let name = format!("{}:", printable(&class.class));
        writeln!(text, "events      {name:<10} {} recorded, {lost}", grouped(class.events))?;
    }
    let durable = &status.durable;
    write!(text, "durable     {} events, {}", grouped(durable.events), size(durable.bytes))?;
    match &durable.last {
        Some(last) => writeln!(text, "; last at {}, lag {} ms", local(last), durable.lag_ms)?,
        None => writeln!(text, " since the daemon started")?,
    }
    for queue in &status.queues {
        let name = printable(&queue.name);
        writeln!(text, "queue       {name}: {} of {}", grouped(queue.length), grouped(queue.capacity))?;
    }
    Ok(())
}

fn stored(text: &mut String, summary: &StoreSummary, is_recording: bool) -> Result<()> {
    let (segments, events) = (grouped(summary.segments), grouped(summary.events));
    write!(text, "            {segments} segments, {}, {events} events", size(summary.bytes))?;
    match summary.bytes_per_event {
        Some(ratio) => writeln!(text, ", {ratio:.1} bytes an event")?,
        None => writeln!(text)?,
    }
    if let Some(oldest) = &summary.oldest {
        writeln!(text, "oldest      {}", local(oldest))?;
    }
    if let Some(newest) = &summary.newest {
        writeln!(text, "newest      {}", local(newest))?;
    }
    if summary.removed_segments > 0 {
        let until = summary
            .removed_until
            .as_deref()
            .map_or_else(String::new, |until| format!(", up to {}", local(until)));
        let (segments, events) = (grouped(summary.removed_segments), grouped(summary.removed_events));
        writeln!(text, "removed     {segments} segments with {events} events under retention{until}")?;
    }
    if !is_recording {
        if let Some(boot) = &summary.boot {
            writeln!(text, "boot        {boot} (of the newest segment)")?;
        }
        let ended = if summary.ended { "in order" } else { "not in order (crash, kill or power cut)" };
        writeln!(text, "ended       {ended}")?;
    }
    for problem in &summary.problems {
        writeln!(text, "PROBLEM     {problem}")?;
    }
    Ok(())
}

/// What is kept, in words.
fn retention(policy: &Retention) -> String {
    let age = policy.keep_age.as_ref().map(|age| format!("segments older than {}", printable(age)));
    let size = policy.keep_size.as_ref().map(|size| format!("the oldest beyond {}", printable(size)));
    let limits: Vec<String> = [age, size].into_iter().flatten().collect();
    if limits.is_empty() {
        return "nothing is removed".to_owned();
    }
    let holds: Vec<_> = policy.hold.iter().map(|hold| printable(hold)).collect();
    let but = if holds.is_empty() { String::new() } else { format!(", but nothing of {}", holds.join(", ")) };
    format!("removes {}{but}", limits.join(" and "))
}

fn probes(text: &mut String, status: &Status) -> Result<()> {
    let attached = status.probes.iter().filter(|probe| probe.state == ProbeState::Attached).count();
    writeln!(text, "probes      {attached} of {} attached", status.probes.len())?;
    writeln!(text, "family      {}", family(status))?;
    match (&status.canary.every, &status.canary.last) {
        (Some(every), Some(last)) => {
            writeln!(text, "canary      every {}, last at {}", printable(every), local(last))?;
        }
        (Some(every), None) => writeln!(text, "canary      every {}", printable(every))?,
        (None, _) => writeln!(text, "canary      off: a hook that no longer fires is not noticed")?,
    }
    let words = [
        (ProbeState::Dead, "DEAD    "),
        (ProbeState::Missing, "missing "),
        (ProbeState::Attached, "unproven"),
    ];
    let rows = words.iter().flat_map(|(state, word)| {
        // One that is attached is worth a line when there is something to say about it.
        let is_told = |probe: &&Probe| probe.state != ProbeState::Attached || probe.why.is_some();
        let rows = status.probes.iter().filter(move |probe| probe.state == *state).filter(is_told);
        rows.map(move |probe| (word, probe))
    });
    for (word, probe) in rows {
        let why = probe.why.as_deref().unwrap_or("no reason given");
        writeln!(
            text,
            "  {word}  {} ({}): {}",
            printable(&probe.hook),
            printable(&probe.event),
            printable(why)
        )?;
    }
    Ok(())
}

/// Which families of hooks were to be used, and what came of it.
fn family(status: &Status) -> String {
    let by_object = status
        .probes
        .iter()
        .filter(|probe| probe.family == "object" && probe.state == ProbeState::Attached)
        .flat_map(|probe| probe.event.split_whitespace());
    let mut kinds: Vec<_> = by_object.collect();
    kinds.sort_unstable();
    kinds.dedup();
    let outcome = match kinds.len() {
        0 => "all kinds by system calls".to_owned(),
        count => format!("{count} kinds by object, the rest by system calls"),
    };
    format!("{}: {outcome}", printable(&status.family))
}

fn local(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => printable(time).into_owned(),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::control::{CanaryStatus, ClassStatus, Durable, Queue};

    fn status() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 12,
            store: "/data/log".into(),
            boot: "b00t".to_owned(),
            since: Some("2026-11-23T14:05:30Z".to_owned()),
            failure: None,
            classes: vec![
                ClassStatus { class: "critical".to_owned(), events: 1_234_567, lost: 0 },
                ClassStatus { class: "files".to_owned(), events: 999, lost: 1000 },
            ],
            durable: Durable { frames: 3, events: 1_235_566, bytes: 3 << 20, ..Durable::default() },
            queues: vec![Queue { name: "frames".to_owned(), length: 1, capacity: 16 }],
            probes: vec![Probe {
                event: "file_map_write".to_owned(),
                hook: "syscalls:sys_enter_mmap\u{1b}".to_owned(),
                family: "syscall".to_owned(),
                state: ProbeState::Missing,
                why: Some("no such tracepoint".to_owned()),
            }],
            canary: CanaryStatus { every: Some("30s".to_owned()), last: None },
            retention: Retention {
                keep_age: Some("2160h".to_owned()),
                keep_size: None,
                hold: vec!["2026-11-01/2026-11-07".to_owned()],
            },
            family: "auto".to_owned(),
        }
    }

    #[test]
    fn the_screen_says_what_matters_first_and_names_losses_and_missing_probes() {
        let overview = Overview {
            recording: true,
            problem: None,
            daemon: Some(status()),
            store: Some(StoreSummary { segments: 2, bytes: 4096, events: 100, ..StoreSummary::default() }),
            store_problem: None,
        };
        let text = human(Path::new("/data/log"), &overview).unwrap();
        assert!(text.starts_with("recording since 2026-11-23"), "{text}");
        assert!(text.contains("1,234,567 recorded, none lost"), "{text}");
        assert!(text.contains("999 recorded, LOST 1,000"), "{text}");
        let kept = "retention   removes segments older than 2160h, but nothing of 2026-11-01/2026-11-07";
        assert!(text.contains(kept), "{text}");
        assert!(
            text.contains("missing   syscalls:sys_enter_mmap\\x1b (file_map_write): no such tracepoint"),
            "{text}"
        );
        assert!(text.contains("family      auto: all kinds by system calls\n"), "{text}");
        let by_object = |event: &str| Probe {
            event: event.to_owned(),
            hook: "fexit/vfs_unlink".to_owned(),
            family: "object".to_owned(),
            state: ProbeState::Attached,
            why: None,
        };
        let probes = vec![by_object("file_delete dir_delete"), by_object("file_delete")];
        let text = family(&Status { probes, ..status() });
        assert_eq!(text, "auto: 2 kinds by object, the rest by system calls");
        let failed = Status { failure: Some("disk full".to_owned()), ..status() };
        let text = human(Path::new("/data/log"), &Overview { daemon: Some(failed), ..overview }).unwrap();
        assert!(text.starts_with("NOT RECORDING: disk full"), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0".to_owned(), "999".to_owned(), "1,000".to_owned(), "1,234,567".to_owned()]
        );
    }
}
