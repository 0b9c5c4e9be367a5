//! `cargo xtask run`: from a fresh clone to live events on the screen; Ctrl-C ends it and tells what to try next.
pub mod daemon;

use crate::{build, command, setup, workspace};
use anyhow::{Context as _, Result, bail};
use daemon::Daemon;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the two programs are looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What `run` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Record here instead of a scratch store under /var/tmp
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Setup and build are done: only record
    #[arg(long, hide = true)]
    built: bool,
}

/// Prepares, builds, records, follows, stops.
pub fn run(args: &Args) -> Result<()> {
    if !args.built {
        setup::run()?;
        build::recorder(true)?;
    }
    if !workspace::is_root() {
        return again_as_root(args);
    }
    setup::tracefs()?;
    let interrupted = watch_interrupts()?;
    let store = store(args)?;
    let mut daemon = Daemon::start(&store, &interrupted)?;
    println!("run: recording into {}; live events follow, Ctrl-C ends it", store.display());
    let outcome = follow(&store, &mut daemon, &interrupted);
    daemon.stop()?;
    outcome?;
    farewell(&store, args.store.is_none());
    Ok(())
}

/// Attaching probes needs root; building as root would leave root's files in the target folder.
fn again_as_root(args: &Args) -> Result<()> {
    let myself = std::env::current_exe().context("could not find this program's own path")?;
    if !command::exists("sudo") {
        bail!("recording needs root and there is no sudo: as root, run `{} run --built`", myself.display());
    }
    println!("run: recording needs root: continuing under sudo");
    let mut sudo = Command::new("sudo");
    sudo.arg("--").arg(myself).args(["run", "--built"]);
    if let Some(store) = &args.store {
        sudo.arg("--store").arg(store);
    }
    // Both this program and sudo get the terminal's Ctrl-C; this one must outlive it to report.
    let _interrupted = watch_interrupts()?;
    command::run(&mut sudo)
}

/// Notes SIGINT and SIGTERM instead of dying of them.
pub fn watch_interrupts() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("could not watch for Ctrl-C")?;
    }
    Ok(flag)
}

/// The store asked for, or a new one: /var/tmp is a real disk nearly everywhere, and survives a reboot.
fn store(args: &Args) -> Result<PathBuf> {
    if let Some(store) = &args.store {
        return std::path::absolute(store).context("the current folder is gone");
    }
    for attempt in std::process::id().. {
        let folder = PathBuf::from(format!("/var/tmp/recorder-demo.{attempt}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder.join("store")),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("could not make {}", folder.display())),
        }
    }
    bail!("no free name under /var/tmp")
}

/// Prints live events until Ctrl-C; fails when either program ends by itself.
fn follow(store: &Path, daemon: &mut Daemon, interrupted: &AtomicBool) -> Result<()> {
    let mut follow = Command::new(workspace::recorder(true))
        .arg("follow")
        .arg("--store")
        .arg(store)
        .spawn()
        .context("could not start `recorder follow`")?;
    let outcome = loop {
        if interrupted.load(Ordering::Relaxed) {
            break Ok(());
        }
        if let Some(status) = daemon.ended()? {
            break Err(anyhow::anyhow!("the daemon ended by itself ({status})"));
        }
        if let Some(status) = follow.try_wait()? {
            // Its Ctrl-C may be seen here before ours.
            std::thread::sleep(GLANCE);
            let asked = interrupted.load(Ordering::Relaxed);
            break if asked {
                Ok(())
            } else {
                Err(anyhow::anyhow!("`recorder follow` ended by itself ({status})"))
            };
        }
        std::thread::sleep(GLANCE);
    };
    end(&mut follow);
    outcome
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn farewell(store: &Path, scratch: bool) {
    let sudo = if std::env::var_os("SUDO_UID").is_some() { "sudo " } else { "" };
    let recorder = format!("{sudo}{}", workspace::recorder(true).display());
    let place = store.display();
    println!("\nStopped cleanly. The record is in {place}. Try:");
    println!("  {recorder} query --store {place} --kind exec -n 20");
    println!("  {recorder} query --store {place} --path '/etc/**'");
    println!("  {recorder} show --store {place} 0");
    println!("  {recorder} verify --store {place}");
    if let (true, Some(folder)) = (scratch, store.parent()) {
        println!("Remove it (its files are append-only until told otherwise):");
        println!("  {sudo}chattr -R -a -i {0} && {sudo}rm -r {0}", folder.display());
    }
}
