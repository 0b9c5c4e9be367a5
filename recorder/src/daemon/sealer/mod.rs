//! The helper that puts flags on files of the store, so that the daemon needs no right to: a copy of the recorder that
//! is started before the first event is read, keeps CAP_LINUX_IMMUTABLE and nothing else, and only ever adds flags, but
//! for a segment that has its tombstone beside it: that it removes.
//!
//! It ends when the daemon does. When it ends before, the daemon stops: recording must not go on unprotected.

mod confine;
mod protocol;
mod service;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

use crate::store::medium::{Doomed, FlagError, Flags, Protection};
use protocol::{Answer, REPLY, Request};
pub use service::run;

/// The argument that makes a recorder the helper. Only a daemon has a use for it.
pub const WORD: &str = "sealer";
/// How long the helper may take: it waits for nothing but the file system.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no helper, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum SealerError {
    /// It could not be started.
    #[error("starting the sealing helper: {0}")]
    Start(#[from] io::Error),
    /// It started, and could not get ready.
    #[error(
        "the sealing helper can't work: {0}; start the recorder as root or by the unit, or set `immutable = \"off\"` in \
         section [store] to record without flags"
    )]
    Unable(String),
    /// It ended while it was needed.
    #[error(
        "the sealing helper (pid {pid}) has ended ({status}): segments can no longer be protected; recording stops rather \
         than going on without protection: start the recorder again, and find out who ended the helper"
    )]
    Ended {
        /// Its pid.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
    },
}

impl SealerError {
    /// Whether it ended as it should: because the store, which failed, had let go of it.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        matches!(self, Self::Ended { status, .. } if status.success())
    }
}

/// The running helper; it ends when its [`Sealer`] is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Looks whether it is still there.
    ///
    /// # Errors
    /// [`SealerError::Ended`] when it is not.
    pub fn check(&mut self) -> Result<(), SealerError> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(SealerError::Ended { pid: self.0.id(), status }),
        }
    }

    /// Waits for its end, which the drop of its [`Sealer`] brings.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

/// The daemon's end of the line to the helper.
#[derive(Debug)]
pub struct Sealer(OwnedFd);

/// Starts this program once more as the helper; returns when the helper has given up everything that it doesn't need.
///
/// # Errors
/// When it can't be started, or can't get ready.
pub fn start() -> Result<(Sealer, Process), SealerError> {
    // The program that runs, even when an upgrade has put another in its place.
    start_program(Path::new("/proc/self/exe"))
}

/// As [`start`], with the named program, which must be a recorder.
///
/// # Errors
/// As for [`start`].
pub fn start_program(program: &Path) -> Result<(Sealer, Process), SealerError> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(system)?;
    set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE)).map_err(system)?;
    let mut command = Command::new(program);
    // A process group of its own: Ctrl-C is for the daemon, which still needs the helper for the last segment.
    command.arg0("recorder").arg(WORD).env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
    let mut process = Process(command.spawn()?);
    // Closes our copy of the helper's end: its death must show as the end of the line.
    drop(command);
    let sealer = Sealer(ours);
    match sealer.hear() {
        Ok(Answer::Done) => Ok((sealer, process)),
        Ok(answer) => Err(SealerError::Unable(answer.to_string())),
        Err(error) => {
            process.check()?;
            Err(error.into())
        }
    }
}

fn system(errno: rustix::io::Errno) -> io::Error {
    errno.into()
}

impl Sealer {
    fn ask(&self, request: Request<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<Answer, FlagError> {
        let answer = protocol::send(self.0.as_fd(), &request.encode(), descriptors)
            .and_then(|()| self.hear())
            .map_err(|error| FlagError::Helper(format!("the sealing helper does not answer: {error}")))?;
        match answer {
            Answer::Done | Answer::Held => Ok(answer),
            Answer::System(errno) => Err(FlagError::System(io::Error::from_raw_os_error(errno))),
            refused => Err(FlagError::Helper(format!("the sealing helper refused: {refused}"))),
        }
    }

    fn hear(&self) -> io::Result<Answer> {
        let mut reply = [0; REPLY];
        loop {
            return match rustix::net::recv(&self.0, &mut reply[..], RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => Err(errno.into()),
                Ok((_, 0)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended")),
                Ok((_, length)) => Answer::decode(reply.get(..length).unwrap_or_default())
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer makes no sense")),
            };
        }
    }
}

impl Flags for Sealer {
    fn introduce(&mut self, store: BorrowedFd<'_>) -> Result<(), FlagError> {
        self.ask(Request::Store, &[store]).map(drop)
    }

    fn protect(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &str,
        file: BorrowedFd<'_>,
        protection: Protection,
    ) -> Result<(), FlagError> {
        let answer = self.ask(Request::Protect(protection, name), &[directory, file])?;
        if answer == Answer::Held {
            tracing::error!(
                file = name,
                "a complete file of the store is held open for writing by another process; xfs, btrfs and tmpfs let it \
                 write on: `recorder verify` finds what it does, `recorder query --path` who it is"
            );
        }
        Ok(())
    }

    fn remove(&mut self, doomed: Doomed<'_>) -> Result<(), FlagError> {
        self.ask(Request::Remove(doomed.name), &[doomed.store, doomed.segment, doomed.tombstone]).map(drop)
    }
}
