//! The daemon as a child: started, awaited until it records, stopped cleanly on every way out.
use super::{GLANCE, end};
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};

/// A running `recorder daemon`.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and returns once it says `recording`. Fails with its last word when it ends before.
    pub fn start(store: &Path, interrupted: &AtomicBool) -> Result<Self> {
        let mut child = Command::new(workspace::recorder(true))
            .arg("daemon")
            .arg("--store")
            .arg(store)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // Out of the terminal's group: Ctrl-C reaches only this program, which then stops the daemon in order.
            .process_group(0)
            .spawn()
            .context("could not start `recorder daemon`")?;
        let stderr = child.stderr.take().context("the daemon has no stderr")?;
        let (said, words) = mpsc::channel();
        std::thread::spawn(move || forward(stderr, &said));
        let mut daemon = Self { child };
        loop {
            match words.recv_timeout(GLANCE) {
                Ok(()) => return Ok(daemon),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = daemon.child.wait()?;
                    bail!("the daemon did not start ({status}); its messages are above");
                }
                Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                    daemon.stop()?;
                    bail!("interrupted before the recording began");
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("could not look at the daemon")
    }

    /// SIGTERM, then waits until everything is on disk.
    pub fn stop(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).context("could not stop the daemon")?;
        }
        let status = self.child.wait().context("could not wait for the daemon")?;
        if !status.success() {
            bail!("the daemon did not stop cleanly ({status})");
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            end(&mut self.child);
        }
    }
}

/// Shows what the daemon logs; tells once when it says that it records.
fn forward(stderr: ChildStderr, said: &Sender<()>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        eprintln!("daemon: {line}");
        if line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "recording") {
            let _ = said.send(());
        }
    }
}
