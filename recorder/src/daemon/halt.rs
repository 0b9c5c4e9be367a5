//! `on_loss = "halt"`: stops the machine when evidence is lost, once it is on disk what was.

use std::io;
use std::process::{Command, Stdio};

use crate::config::{self, OnLoss};

/// What stops the machine.
#[derive(Clone, Debug)]
pub struct Halt {
    program: String,
    arguments: Vec<String>,
    /// It was asked for; once is enough.
    is_done: bool,
}

impl Halt {
    /// As configured; `None` when losses are recorded only.
    #[must_use]
    pub fn of(capture: &config::Capture) -> Option<Self> {
        let (program, arguments) = capture.halt_command.split_first()?;
        let halt = Self { program: program.clone(), arguments: arguments.to_vec(), is_done: false };
        (capture.on_loss == OnLoss::Halt).then_some(halt)
    }

    /// Runs the command, the first time. Recording goes on until the machine stops it. A command that can't be started is
    /// tried again at the next loss.
    pub fn run(&mut self, why: &str) {
        if self.is_done {
            return;
        }
        tracing::error!(why, command = self.program, "stopping the machine, as capture.on_loss says");
        match self.start() {
            Ok(()) => self.is_done = true,
            Err(error) => tracing::error!(%error, command = self.program, "the machine can't be stopped"),
        }
    }

    fn start(&self) -> io::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        // It is waited for beside the recording, which goes on.
        std::thread::Builder::new().name("halt".to_owned()).spawn(move || match child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::error!(%status, "the command that stops the machine failed"),
            Err(error) => tracing::error!(%error, "the command that stops the machine was lost"),
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halt_has_a_command() {
        let mut capture = config::Capture::default();
        assert!(Halt::of(&capture).is_none());
        capture.on_loss = OnLoss::Halt;
        let halt = Halt::of(&capture).unwrap();
        assert_eq!(
            (halt.program.as_str(), halt.arguments),
            ("systemctl", vec!["halt".into(), "--force".into()])
        );
    }

    #[test]
    fn the_command_runs_once() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, made) = (folder.path().join("missing"), folder.path().join("made"));
        let mut halt = Halt {
            program: missing.to_str().unwrap().to_owned(),
            arguments: vec![made.to_str().unwrap().to_owned()],
            is_done: false,
        };
        halt.run("a test");
        assert!(!halt.is_done, "there is no such command");
        halt.program = "mkdir".to_owned();
        halt.run("a test");
        while !made.exists() {
            std::thread::yield_now();
        }
        std::fs::remove_dir(&made).unwrap();
        halt.program = missing.to_str().unwrap().to_owned();
        halt.run("a test");
        assert!(halt.is_done && !made.exists());
    }
}
