//! Benchmarks of a recording daemon on this host: a load at a fixed rate, and how long an event is on its way.
use crate::run::{daemon::Daemon, watch_interrupts};
use crate::{build, setup, workspace};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A daemon with a scratch store, which goes when this does.
pub struct Live {
    daemon: Daemon,
    home: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Live {
    /// Builds with optimisation and records below `dir`.
    pub fn start(dir: Option<&Path>) -> Result<Self> {
        if !workspace::is_root() {
            bail!("this needs root: it records");
        }
        setup::run()?;
        build::recorder(true)?;
        setup::tracefs()?;
        let own = workspace::target().join("xtask");
        let home = std::path::absolute(dir.unwrap_or(&own))?.join(format!("live.{}", std::process::id()));
        std::fs::create_dir_all(&home).with_context(|| format!("could not make {}", home.display()))?;
        let interrupted = watch_interrupts()?;
        let daemon = Daemon::start(&home.join("store"), &interrupted)?;
        Ok(Self { daemon, home, interrupted })
    }

    /// Where files of the load may go.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Becomes true with Ctrl-C: whatever goes on must end.
    pub fn interrupted(&self) -> &Arc<AtomicBool> {
        &self.interrupted
    }

    /// Process of the daemon.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// The `recorder` program, asking this store.
    pub fn recorder(&self, verb: &str) -> Command {
        let mut recorder = Command::new(workspace::recorder(true));
        recorder.arg(verb).arg("--store").arg(self.home.join("store"));
        recorder
    }

    /// Stops the daemon.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.stop()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.daemon.stop();
        let _ = Command::new("chattr").args(["-R", "-f", "-a", "-i"]).arg(&self.home).status();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Seconds of processor that a process has used so far.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    let ticks = |at: usize| fields.as_ref()?.get(at)?.parse::<f64>().ok();
    let spent = ticks(11).zip(ticks(12)).context("no times in /proc/PID/stat")?;
    Ok((spent.0 + spent.1) / rustix::param::clock_ticks_per_second() as f64)
}

/// A line of /proc/PID/status, in kilobytes.
pub fn memory_kb(pid: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
}
