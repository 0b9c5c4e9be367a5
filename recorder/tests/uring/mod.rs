//! A program that changes files through io_uring, and says what it did.

mod files;
mod names;
mod odd;

use io_uring::{IoUring, squeue};

use crate::support::ledger::Expect;
use crate::workload::Run;
use crate::workload::raw::Outcome;
use crate::workload::site::{Place, join};

/// Environment variable: the directory to work in.
pub const HOME: &str = "RECORDER_URING_HOME";
/// A file in that directory that root alone may read.
pub const SECRET: &[u8] = b"secret";

/// How requests are handed over, and who does them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Done at once, by the caller.
    Plain,
    /// Done by a thread of the kernel's (`IOSQE_ASYNC`).
    Forced,
    /// Taken by a thread of the kernel's (`IORING_SETUP_SQPOLL`).
    Polled,
    /// Completed only when the caller waits (`IORING_SETUP_DEFER_TASKRUN`), and done by a thread of the kernel's.
    Deferred,
}

pub const MODES: [Mode; 4] = [Mode::Plain, Mode::Forced, Mode::Polled, Mode::Deferred];

/// A ring that does one thing at a time.
pub struct Ring {
    ring: IoUring,
    mode: Mode,
}

impl Ring {
    pub fn new(mode: Mode) -> Self {
        let mut builder = IoUring::builder();
        if mode == Mode::Polled {
            builder.setup_sqpoll(1000);
        }
        if mode == Mode::Deferred {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        Self { ring: builder.build(16).expect("io_uring"), mode }
    }

    /// Hands over these requests and waits for `count` completions: their results, in the order of `user_data`.
    pub fn ask_all(&mut self, entries: &[squeue::Entry], count: usize) -> Vec<Outcome> {
        let flags = match self.mode {
            Mode::Plain | Mode::Polled => squeue::Flags::empty(),
            Mode::Forced | Mode::Deferred => squeue::Flags::ASYNC,
        };
        // The thread of the kernel's sees them when the queue is let go: all of a chain at once.
        let mut queue = self.ring.submission();
        for (tag, entry) in (0..).zip(entries) {
            // SAFETY: what the entry refers to outlives the wait for its completion.
            unsafe { queue.push(&entry.clone().flags(flags).user_data(tag)) }.expect("room in the ring");
        }
        drop(queue);
        let mut done = Vec::new();
        while done.len() < count {
            self.ring.submit_and_wait(count - done.len()).expect("submit");
            done.extend(self.ring.completion().map(|entry| (entry.user_data(), i64::from(entry.result()))));
        }
        done.sort_unstable();
        done.into_iter().map(|(_, result)| outcome(result)).collect()
    }

    /// Hands over one request and waits for its result.
    pub fn ask(&mut self, entry: squeue::Entry) -> Outcome {
        self.ask_all(&[entry], 1)[0]
    }
}

fn outcome(result: i64) -> Outcome {
    if result < 0 { Err(i32::try_from(-result).expect("errno")) } else { Ok(result) }
}

/// What every event of this program carries.
fn asked(expect: Expect) -> Expect {
    expect.must(&["io_uring"])
}

/// An event that names its object by the request's name.
fn named(kind: &str, place: &Place) -> Expect {
    asked(crate::workload::named(kind, place))
}

/// Entry point of the re-executed test binary; false when this process is not the program.
pub fn run_if_asked() -> bool {
    let Some(home) = std::env::var_os(HOME) else { return false };
    let home = std::os::unix::ffi::OsStringExt::into_vec(home);
    let mut run = Run::new(home.clone(), 7);
    for mode in MODES {
        run.any_thread = mode == Mode::Polled;
        let dir = join(&home, format!("{mode:?}").as_bytes());
        make_directory(&mut run, &dir);
        let mut ring = Ring::new(mode);
        names::everything(&mut run, &mut ring, &dir);
        files::everything(&mut run, &mut ring, &dir);
        odd::everything(&mut run, &mut ring, &dir);
        drop(ring);
        odd::as_others(&mut run, mode, &dir);
    }
    run.any_thread = false;
    odd::of_rings(&mut run, &home);
    run.flush();
    true
}

/// A directory made by mkdir(2).
fn make_directory(run: &mut Run, path: &[u8]) {
    let place = Place::new(path, path.to_vec());
    run.apply(crate::workload::plan::named("mkdir"), &place, None).expect("mkdir");
}
