//! `cargo xtask setup`: prepares what a build or a test lacks, and says each thing it does. Never upgrades the system.
pub mod apt;
mod bpf_linker;
mod debian;
mod rust_src;

use crate::{command, workspace};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// Prepares everything that builds and runs need; does nothing, quickly, when all is there.
pub fn run() -> Result<()> {
    c_compiler()?;
    rust_src::prepare().context("the probes need rust-src")?;
    bpf_linker::prepare().context("the probes need bpf-linker")?;
    tracefs()
}

fn say(message: &str) {
    println!("setup: {message}");
}

/// Tests also need cargo's formatter and linter; a minimal toolchain lacks them.
pub fn components(subcommands: &[&str]) -> Result<()> {
    for subcommand in subcommands {
        if command::output(command::cargo().args([subcommand, "--version"])).is_ok() {
            continue;
        }
        let component = if *subcommand == "fmt" { "rustfmt" } else { subcommand };
        say(&format!("`cargo {subcommand}` is missing: asking rustup for {component}"));
        let mut rustup = Command::new("rustup");
        rustup.current_dir(workspace::root()).args(["component", "add", component]);
        command::output(&mut rustup).map(drop)?;
    }
    Ok(())
}

/// The zstd and linker steps of the build need a C compiler, which no cargo command can bring.
fn c_compiler() -> Result<()> {
    if command::output(Command::new("cc").arg("--version")).is_ok() {
        return Ok(());
    }
    bail!("no C compiler (`cc`): install one first, for example `apt-get install gcc libc6-dev`")
}

/// Tracepoints are attached by the numbers found under tracefs, so it must be mounted.
pub fn tracefs() -> Result<()> {
    let place = Path::new("/sys/kernel/tracing");
    if place.join("events").is_dir() {
        return Ok(());
    }
    if !workspace::is_root() {
        say("tracefs is not mounted (or hidden from this user); recording needs it, and root can mount it");
        return Ok(());
    }
    say("mounting tracefs on /sys/kernel/tracing");
    command::run(Command::new("mount").args(["-t", "tracefs", "none"]).arg(place))
        .context("recording needs tracefs: is this kernel built with CONFIG_TRACING?")
}
