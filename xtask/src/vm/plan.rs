//! What runs in a guest: test programs of the recorder, each with its time limit, one line of the plan each.
use crate::command;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

/// A test program, and how it is run.
struct Test {
    name: &'static str,
    /// Seconds it may take under emulation.
    limit: u64,
    /// The one test of it that makes sense there.
    filter: &'static str,
    /// Whether it is run once for each family of hooks; the others choose by themselves, or it is the same for both.
    by_family: bool,
    /// The first kernel that has what it is about, as [`number`](super::kernel::number) has it.
    since: u32,
}

const fn test(name: &'static str) -> Test {
    Test { name, limit: 300, filter: "", by_family: false, since: 0 }
}

/// What `cargo xtask test` runs under the object family, and under system calls alone.
const STAGE: [&str; 5] = ["live_probe", "live_smoke", "live_cost", "live_kernel", "live_truth"];
const STAGE_BY_SYSCALL: [&str; 2] = ["live_probe", "live_uring"];

const TESTS: [Test; 8] = [
    // First, because it tells which families of hooks are in force.
    Test { by_family: true, ..test("live_probe") },
    Test { by_family: true, ..test("live_smoke") },
    test("live_cost"),
    test("live_kernel"),
    // The ground truth under both families, and both compared.
    Test { limit: 900, ..test("live_families") },
    // The program makes requests that older kernels don't know.
    Test { limit: 600, since: 6012, by_family: true, ..test("live_uring") },
    test("live_blind_spots"),
    test("live_fallback"),
];

/// Tests that are not run unless they are named.
const NAMED: [Test; 2] = [
    Test {
        limit: 900,
        filter: "the_record_holds_every_operation_once_and_nothing_else",
        by_family: true,
        ..test("live_truth")
    },
    Test { limit: 600, by_family: true, ..test("live_price") },
];

/// Seconds for a test that isn't in the table.
const LIMIT: u64 = 900;

/// Which families of hooks a daemon in a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// The object family where the kernel allows it, which is the recorder's default
    Object,
    /// System calls alone
    Syscall,
    /// Each test under the one and under the other, unless it chooses by itself
    Both,
}

impl Family {
    fn choices(self) -> &'static [Self] {
        match self {
            Self::Both => &[Self::Object, Self::Syscall],
            Self::Object => &[Self::Object],
            Self::Syscall => &[Self::Syscall],
        }
    }

    /// For the column of the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Syscall => "syscall",
            Self::Both => "both",
        }
    }

    /// As the recorder's configuration has it.
    fn setting(self) -> &'static str {
        if self == Self::Syscall { "syscall" } else { "auto" }
    }
}

/// One test in a guest.
#[derive(Clone)]
pub struct Step {
    /// The test program.
    pub name: String,
    /// Families that its daemons may use; `Both` when the test chooses by itself.
    pub family: Family,
    /// The first kernel that it is for.
    pub since: u32,
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

impl Step {
    /// How the plan and the guest's report call it.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.family.word())
    }
}

/// The steps of `cargo xtask test`.
pub fn stage() -> Vec<Step> {
    let mut steps = steps(&STAGE.map(str::to_owned), Family::Object, &[]);
    steps.extend(self::steps(&STAGE_BY_SYSCALL.map(str::to_owned), Family::Syscall, &[]));
    steps
}

/// The steps for the chosen tests, all of the table when none is chosen; `args` go to each test program.
pub fn steps(chosen: &[String], family: Family, args: &[String]) -> Vec<Step> {
    let known = |name: &str| TESTS.iter().chain(&NAMED).find(|test| test.name == name);
    let names: Vec<&str> = match chosen {
        [] => TESTS.iter().map(|test| test.name).collect(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let mut steps = Vec::new();
    for name in names {
        let unknown = Test { name: "", limit: LIMIT, filter: "", by_family: true, since: 0 };
        let test = known(name).unwrap_or(&unknown);
        let filter = if args.is_empty() { test.filter.to_owned() } else { args.join(" ") };
        // A test that doesn't care is run once, whatever is chosen.
        let once = if family == Family::Both { &[Family::Both] } else { family.choices() };
        for family in if test.by_family { family.choices() } else { once } {
            let variable = format!("RECORDER_TEST_FAMILY={}", family.setting());
            let command =
                format!("{variable} /vm/{name} --include-ignored --show-output --test-threads=1 {filter}");
            steps.push(Step {
                name: name.to_owned(),
                family: *family,
                since: test.since,
                limit: test.limit,
                command: command.trim_end().to_owned(),
            });
        }
    }
    steps
}

/// The plan as the guest reads it.
pub fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "{} {} {} {}", step.id(), step.limit, step.since, step.command);
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
    let names: BTreeSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    for name in names {
        cargo.args(["--test", name]);
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
