//! The helper that puts probes into a new libpam, so that the daemon needs no right to: a copy of the recorder that is
//! started before there is any key in memory and keeps CAP_PERFMON and CAP_SYS_ADMIN.
//!
//! It knows one request, the two programs, and attaches them to the libpam of this host, nowhere else. It ends with the
//! daemon, and the probes that it attached with it. Without it recording goes on; a libpam that is replaced then stays
//! without probes, which is told.

mod confine;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::privileges;
use crate::capture::libpam;
use crate::capture::library::{Programs, attach};

/// The argument that makes a recorder the helper. Only a daemon has a use for it.
pub const WORD: &str = "attacher";
/// Probes of so many files are kept; each is an upgrade of libpam.
const FILES: usize = 64;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Words of an answer, at most.
const ANSWER: usize = 4096;

/// The daemon's end of the line to the helper; it ends when this is dropped.
#[derive(Debug)]
pub struct Attacher {
    line: UnixStream,
    process: Child,
}

/// Starts this program once more as the helper.
///
/// # Errors
/// When it can't be started.
pub fn start() -> io::Result<Attacher> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(PATIENCE))?;
    let mut command = Command::new("/proc/self/exe");
    // A process group of its own: Ctrl-C is for the daemon, and its end is the helper's.
    command.arg0("recorder").arg(WORD).env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    let process = command.spawn()?;
    Ok(Attacher { line: ours, process })
}

impl Attacher {
    /// Has the probes put into the libpam that is there now.
    ///
    /// # Errors
    /// Why that can't be done.
    pub fn attach(&mut self, programs: Programs) -> Result<(), String> {
        let gone = |error: io::Error| format!("the helper that attaches probes has ended: {error}");
        writeln!(self.line, "{} {}", programs.enter, programs.leave).map_err(gone)?;
        let mut answer = String::new();
        let mut reader = BufReader::new(io::Read::take(&self.line, ANSWER as u64));
        reader.read_line(&mut answer).map_err(gone)?;
        match answer.trim_end() {
            "done" => Ok(()),
            "" => Err("the helper that attaches probes has ended".to_owned()),
            why => Err(why.to_owned()),
        }
    }

    /// Ends the helper and waits for it.
    pub fn stop(mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
        if let Err(error) = self.process.wait() {
            tracing::warn!(%error, "the helper that attaches probes was lost");
        }
    }
}

/// Serves the daemon that is at the other end of stdin, until it closes that end.
///
/// # Errors
/// When stdin is no such line, or the line breaks.
pub fn run() -> Result<()> {
    privileges::close_all_but_standard()?;
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut line = UnixStream::from(stdin);
    line.peer_addr()
        .context("the helper that attaches probes is started by the daemon; see `recorder daemon`")?;
    confine::give_up_everything()?;
    let mut probes = Vec::new();
    let requests = BufReader::new(line.try_clone()?);
    for request in requests.lines() {
        let request = request?;
        let outcome = match (programs(&request), libpam()) {
            (Some(programs), Some(path)) if probes.len() < FILES => attach(programs, path),
            (None, _) => Err("no such request".to_owned()),
            (_, None) => Err("there is no libpam.so.0 any more".to_owned()),
            _ => Err(format!("libpam was replaced {FILES} times: restart the recorder")),
        };
        let answer = outcome.map_or_else(
            |why| why.replace('\n', " "),
            |new| {
                probes.push(new);
                "done".to_owned()
            },
        );
        writeln!(line, "{answer}")?;
    }
    Ok(())
}

fn programs(request: &str) -> Option<Programs> {
    let (enter, leave) = request.split_once(' ')?;
    Some(Programs { enter: enter.parse().ok()?, leave: leave.parse().ok()? })
}
