//! What runs in a guest: test programs of the recorder, each with its time limit, one line of the plan each.
use crate::command;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

/// A test program, the seconds it may take under emulation, and the one test of it that makes sense there.
const TESTS: [(&str, u64, &str); 5] = [
    // First, because it tells which families of hooks are in force.
    ("live_probe", 300, ""),
    ("live_smoke", 300, ""),
    ("live_cost", 300, ""),
    ("live_kernel", 300, ""),
    ("live_truth", 900, "the_record_holds_every_operation_once_and_nothing_else"),
];

/// Seconds for a test that isn't in the table.
const LIMIT: u64 = 900;

/// One test in a guest.
pub struct Step {
    /// The test program.
    pub name: String,
    /// Seconds after which it is ended.
    pub limit: u64,
    command: String,
}

/// Programs that were built for the guests.
pub struct Programs {
    /// The program under test.
    pub recorder: PathBuf,
    /// Test programs by name.
    pub tests: Vec<(String, PathBuf)>,
}

/// The steps for the chosen tests, all of the table when none is chosen; `args` go to each test program.
pub fn steps(chosen: &[String], args: &[String]) -> Vec<Step> {
    let known = |name: &str| TESTS.into_iter().find(|(known, _, _)| *known == name);
    let names: Vec<&str> = match chosen {
        [] => TESTS.iter().map(|(name, _, _)| *name).collect(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let step = |name: &str| {
        let (_, limit, filter) = known(name).unwrap_or((name, LIMIT, ""));
        let filter = if args.is_empty() { filter.to_owned() } else { args.join(" ") };
        let command = format!("/vm/{name} --include-ignored --show-output --test-threads=1 {filter}");
        Step { name: name.to_owned(), limit, command: command.trim_end().to_owned() }
    };
    names.into_iter().map(step).collect()
}

/// The plan as the guest reads it.
pub fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "{} {} {}", step.name, step.limit, step.command);
    }
    text
}

/// Builds the recorder and the test programs of the steps.
pub fn build(steps: &[Step]) -> Result<Programs> {
    let mut cargo = command::cargo();
    cargo.args([
        "test",
        "--quiet",
        "--package",
        "recorder",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    for step in steps {
        cargo.args(["--test", &step.name]);
    }
    let done = cargo.stderr(Stdio::inherit()).output().context("could not start cargo")?;
    if !done.status.success() {
        bail!("the tests for the guests could not be built");
    }
    let messages = String::from_utf8_lossy(&done.stdout);
    let artifacts: Vec<(String, PathBuf)> =
        messages.lines().filter_map(|line| executable(&serde_json::from_str(line).ok()?)).collect();
    let (recorder, tests): (Vec<_>, Vec<_>) = artifacts.into_iter().partition(|(name, _)| name == "recorder");
    let (_, recorder) = recorder.into_iter().next().context("cargo did not say where the recorder is")?;
    Ok(Programs { recorder, tests })
}

/// Name and place of the program that a message of cargo tells of.
fn executable(message: &Value) -> Option<(String, PathBuf)> {
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}
