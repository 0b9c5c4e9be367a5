//! `cargo xtask test`: every test, one line a stage, one closing line that sums them.
mod fuzz;
mod packages;
mod stage;
pub mod tally;

use crate::vm::{self, Choice};
use crate::{check, setup, workspace};
use stage::Stages;
use std::process::ExitCode;
use tally::Tally;

/// Prepares the machine and runs every stage, even after a failed one. The last line printed is the sum.
pub fn run() -> ExitCode {
    let mut stages = Stages::new(9);
    let mut tally = Tally::default();
    stages.direct("setup", &mut tally, || {
        setup::run()?;
        setup::components(&["fmt", "clippy"])
    });
    stages.direct("programs for the tests", &mut tally, packages::prepare);
    stages.cargo("format", &mut tally, &["fmt", "--all", "--check"]);
    stages.cargo("clippy", &mut tally, &["clippy", "--all-targets", "--", "--deny", "warnings"]);
    stages.direct("house rules", &mut tally, check::run);
    stages.cargo(
        "unit and integration tests",
        &mut tally,
        &["test", "--no-fail-fast", "--", "--show-output"],
    );
    fuzz::run(&mut stages, &mut tally);
    live(&mut stages, &mut tally);
    machines(&mut stages, &mut tally);
    println!("{}", tally.closing_line());
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tests that attach probes, log in, mount: they are marked `#[ignore = "root: ..."]` and take turns.
fn live(stages: &mut Stages, tally: &mut Tally) {
    if !workspace::is_root() {
        stages.skip("live tests", &format!("{} need root: run `sudo -E cargo xtask test`", tally.ignored));
        return;
    }
    let live = ["test", "--no-fail-fast", "--tests", "--"];
    let all = [&live[..], &["--ignored", "--show-output", "--test-threads=1"]].concat();
    // The stage before counted these as ignored; now they run.
    tally.ignored = 0;
    stages.cargo("live tests", tally, &all);
}

/// The same promises on kernels that this machine doesn't run; needs no root.
fn machines(stages: &mut Stages, tally: &mut Tally) {
    let name = "virtual machines";
    let choice = Choice::of_stage();
    if let Err(error) = choice.fetch() {
        tally.skipped += i64::try_from(choice.count()).unwrap_or(1);
        stages.skip(name, &format!("{error:#}"));
        return;
    }
    stages.counted(name, tally, |sums| {
        vm::test(&choice, sums, &|line, is_failure| {
            if is_failure {
                println!("    {line}");
            }
        })
    });
}
