//! What cargo alone cannot do: prepare a machine, run, test, check the house rules, measure. One file per verb.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an xtask talks to the person who called it")]

mod bench;
mod build;
mod check;
mod command;
mod run;
mod setup;
mod test;
mod vm;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Prepares, builds, runs and tests the recorder"
)]
enum Verb {
    /// Prepare what is missing: rust-src, bpf-linker, the tracefs mount; never upgrades the system
    Setup,
    /// Prepare and build the recorder with its probes
    Build(build::Args),
    /// Prepare, build, record on a scratch store and show live events until Ctrl-C
    Run(run::Args),
    /// Prepare and run every test; as root the live ones too
    Test,
    /// Boot other kernels in QEMU and run the live tests there
    Vm(vm::Args),
    /// Check the house rules that are not lints
    Check,
    /// Measure: the pipeline, or the recorder beside its peers
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let outcome = match Verb::parse() {
        Verb::Setup => setup::run(),
        Verb::Build(args) => build::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Test => return test::run(),
        Verb::Vm(args) => vm::run(&args),
        Verb::Check => check::run(),
        Verb::Bench(bench) => bench::run(&bench),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
