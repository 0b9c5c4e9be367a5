//! `cargo xtask build`: prepare, then build the recorder with its probes.
use crate::{command, setup, workspace};
use anyhow::Result;

/// What `build` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Build with optimisation, as installed machines run it
    #[arg(long)]
    release: bool,
}

/// Prepares the machine and builds.
pub fn run(args: &Args) -> Result<()> {
    setup::run()?;
    recorder(args.release)
}

/// Builds the `recorder` program; says where it is.
pub fn recorder(release: bool) -> Result<()> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--package", "recorder"]);
    if release {
        cargo.arg("--release");
    }
    command::run(&mut cargo)?;
    println!("build: {}", workspace::recorder(release).display());
    Ok(())
}
