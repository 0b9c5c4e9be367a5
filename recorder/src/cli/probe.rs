//! `recorder probe`: which hooks this kernel lets the recorder use, and why others are missing. Records nothing.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::output::table_text;
use crate::config::{Config, Family};
use crate::daemon::control::{Probe, ProbeState};
use crate::event::text::printable;
use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  sudo recorder probe
  sudo recorder probe --output json
It attaches everything once and takes it off again. A running daemon is not disturbed; `recorder status` tells what
that one has attached.";

/// Arguments of `probe`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Table,
    /// One JSON array
    Json,
}

/// Tries every hook and reports.
///
/// # Errors
/// When the configuration is wrong, the kernel refuses probes altogether, or the output can't be written.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> Result<Exit> {
    let (config, _) = Config::load(config)?;
    let probes = report(config.capture.family)?;
    let text = match arguments.output {
        Format::Json => serde_json::to_string(&probes)? + "\n",
        Format::Table => table(&probes) + &format!("capture.family is {}\n", config.capture.family.name()),
    };
    io::stdout().write_all(text.as_bytes())?;
    let complete = probes.iter().all(|probe| probe.state != ProbeState::Missing);
    Ok(if complete { Exit::OK } else { Exit::NOTHING })
}

#[cfg(feature = "capture")]
fn report(family: Family) -> Result<Vec<Probe>> {
    Ok(crate::capture::probe_report(family)?.iter().map(Probe::from).collect())
}

#[cfg(not(feature = "capture"))]
fn report(_: Family) -> Result<Vec<Probe>> {
    anyhow::bail!("this build of the recorder can only read: it has no probes")
}

fn table(probes: &[Probe]) -> String {
    let row = |probe: &Probe| {
        let state = match probe.state {
            ProbeState::Attached => "attached",
            ProbeState::Absent => "absent",
            ProbeState::Replaced => "replaced",
            ProbeState::Missing => "MISSING",
            ProbeState::Dead => "DEAD",
        };
        let why = probe.why.as_deref().unwrap_or_default();
        [&probe.event, &probe.hook, &probe.family, state, why]
            .map(|text| printable(text).into_owned())
            .to_vec()
    };
    let text = table_text(&["event", "hook", "family", "state", "why"], probes.iter().map(row).collect());
    let count = |state| probes.iter().filter(|probe| probe.state == state).count();
    format!(
        "{text}\n{} attached, {} missing, {} replaced by another family, {} absent from this kernel\n",
        count(ProbeState::Attached),
        count(ProbeState::Missing),
        count(ProbeState::Replaced),
        count(ProbeState::Absent)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_is_missing_and_why() {
        let probe = |state, why: Option<&str>| Probe {
            event: "exec".to_owned(),
            hook: "tp_btf:sched_process_exec".to_owned(),
            family: "common".to_owned(),
            state,
            why: why.map(ToOwned::to_owned),
        };
        let text =
            table(&[probe(ProbeState::Attached, None), probe(ProbeState::Missing, Some("no\u{1b}BTF"))]);
        assert!(text.contains("attached") && text.contains("MISSING   no\\x1bBTF"), "{text}");
        let sum = "1 attached, 1 missing, 0 replaced by another family, 0 absent from this kernel\n";
        assert!(text.ends_with(sum), "{text}");
    }
}
