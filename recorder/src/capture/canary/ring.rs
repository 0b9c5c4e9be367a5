//! A ring of io_uring that makes the hooks on io_uring fire: requests that write nothing to the canary's pipe, one that the
//! kernel refuses, and one whose completion finds no room.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types::Fd};

/// Credentials that nobody has registered.
const NOBODY: u16 = u16::MAX;

/// Programs that [`Ring::act`] makes run.
pub const PROGRAMS: &[&str] =
    &["uring_submit", "uring_complete", "uring_overflow", "uring_refused", "uring_written"];

/// A ring with room for one request and one completion.
pub struct Ring(IoUring);

impl Ring {
    /// Makes the ring; this is an event, unless nothing is recorded yet.
    ///
    /// # Errors
    /// When the kernel has no io_uring, or the host forbids it.
    pub fn new() -> io::Result<Self> {
        IoUring::builder().setup_cqsize(1).build(1).map(Self)
    }

    /// Hands over the requests and takes their completions.
    ///
    /// # Errors
    /// When the kernel no longer takes requests.
    pub fn act(&mut self, pipe: &OwnedFd) -> io::Result<()> {
        let nothing = c"".as_ptr().cast();
        self.ask(&opcode::Write::new(Fd(pipe.as_raw_fd()), nothing, 0).build())?;
        // There is no room for this completion until the first is taken.
        self.ask(&opcode::Nop::new().build())?;
        self.take();
        self.0.submit()?;
        self.take();
        self.ask(&opcode::Nop::new().build().personality(NOBODY))?;
        self.take();
        Ok(())
    }

    fn ask(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: no entry refers to memory that is written, and what one reads is a constant.
        let pushed = unsafe { self.0.submission().push(entry) };
        pushed.map_err(io::Error::other)?;
        self.0.submit().map(drop)
    }

    fn take(&mut self) {
        self.0.completion().for_each(drop);
    }
}
