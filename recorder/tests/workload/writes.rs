//! Writes: every call that puts bytes into a file, and every way in which an open file can go.

use super::Run;
use super::indirect::{self, Request};
use super::opens::Open;
use super::raw::{self, Outcome};
use crate::support::ledger::Expect;

/// Calls that write.
pub const WRITES: [&str; 10] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "sendfile",
    "splice",
    "copy_file_range",
    "io_submit:pwrite",
    "io_submit:pwritev",
];

/// What bytes come from, opened once.
#[derive(Clone, Copy)]
pub struct Source {
    /// A regular file with at least 64 KiB in it.
    pub file: i32,
    /// Both ends of a pipe.
    pub pipe: [i32; 2],
}

static ZEROES: [u8; 65_536] = [0; 65_536];

fn raw_write(call: &str, fd: i64, count: i64, source: Source) -> Outcome {
    let from = ZEROES.as_ptr() as i64;
    let half = count / 2;
    let vector = [from, half, from, count - half];
    let vector = vector.as_ptr() as i64;
    let mut offset = 0_i64;
    let offset = (&raw mut offset) as i64;
    match call {
        "write" => raw::call(libc::SYS_write, &[fd, from, count]),
        "pwrite64" => raw::call(libc::SYS_pwrite64, &[fd, from, count, 7]),
        "writev" => raw::call(libc::SYS_writev, &[fd, vector, 2]),
        "pwritev" => raw::call(libc::SYS_pwritev, &[fd, vector, 2, 3, 0]),
        "pwritev2" => raw::call(libc::SYS_pwritev2, &[fd, vector, 2, 5, 0, 0]),
        "sendfile" => raw::call(libc::SYS_sendfile, &[fd, i64::from(source.file), offset, count]),
        "copy_file_range" => {
            raw::call(libc::SYS_copy_file_range, &[i64::from(source.file), offset, fd, 0, count, 0])
        }
        "io_submit:pwrite" => indirect::submit(&[Request::write(fd, from, count)]),
        "io_submit:pwritev" => indirect::submit(&[Request::write_parts(fd, vector, 2)]),
        _ => {
            // Fill the pipe first; a pipe is not a file.
            let [out, into] = source.pipe;
            raw::call(libc::SYS_write, &[i64::from(into), from, count]).expect("fill the pipe");
            raw::call(libc::SYS_splice, &[i64::from(out), 0, fd, 0, count, 0])
        }
    }
}

impl Run {
    /// Writes once through an open file: the first time leaves an event.
    pub fn write(&mut self, open: &mut Open, call: &str, source: Source) {
        let sizes: [i64; 6] = [1, 2, 100, 4096, 5000, 40_000];
        let count = self.pick(&sizes);
        let fd = i64::from(open.fd);
        if call.starts_with("io_submit") && !open.marks.contains(&"io_submit") {
            open.marks.push("io_submit");
        }
        let marks: &[_] = if call.starts_with("io_submit") { &["io_submit"] } else { &[] };
        let wrote = self.act(
            call,
            || raw_write(call, fd, count, source),
            |outcome| match outcome {
                // Between file systems some calls refuse.
                Err(_) => Some(open.expect("file_write")),
                Ok(wrote) => {
                    let first = open.calls == 0;
                    first.then(|| {
                        open.expect("file_write").must(&["first"]).must(marks).field("bytes", *wrote)
                    })
                }
            },
        );
        if let Ok(wrote) = wrote {
            open.bytes += wrote as u64;
            open.calls += 1;
        }
    }

    /// The summary that the last close of an open file leaves.
    pub fn summary(open: &Open) -> Option<Expect> {
        let written = open.calls > 0;
        written.then(|| {
            let expect = open.expect("file_write").must(&["close"]).must(&open.marks);
            expect.field("bytes", open.bytes).field("calls", open.calls)
        })
    }

    /// Closes an open file for good.
    pub fn close(&mut self, open: Open) {
        let outcome =
            self.act("close", || raw::call(libc::SYS_close, &[i64::from(open.fd)]), |_| Self::summary(&open));
        outcome.expect("close");
    }

    /// Closes one of several descriptors of an open file: nothing ends.
    pub fn close_quietly(&mut self, fd: i32) {
        raw::call(libc::SYS_close, &[i64::from(fd)]).expect("close");
    }

    /// Lets an open file go in one of the less usual ways.
    pub fn close_somehow(&mut self, open: Open, way: &str) {
        let fd = i64::from(open.fd);
        let outcome = match way {
            "close_range" => self.act(
                "close_range",
                || raw::call(raw::CLOSE_RANGE, &[fd, fd, 0]),
                |_| Self::summary(&open),
            ),
            "dup2" | "dup3" => {
                let other = raw::fd_of(raw::call(libc::SYS_dup, &[0]));
                let outcome = self.act(
                    way,
                    || match way {
                        "dup2" => raw::call(libc::SYS_dup2, &[i64::from(other), fd]),
                        _ => raw::call(libc::SYS_dup3, &[i64::from(other), fd, 0]),
                    },
                    |_| Self::summary(&open),
                );
                self.close_quietly(other);
                self.close_quietly(open.fd);
                outcome
            }
            // Another descriptor of the same open file stays: the first close ends nothing.
            _ => {
                let twin = raw::fd_of(raw::call(libc::SYS_dup, &[fd]));
                self.close_quietly(open.fd);
                self.act("close", || raw::call(libc::SYS_close, &[i64::from(twin)]), |_| Self::summary(&open))
            }
        };
        outcome.expect(way);
    }

    /// Maps an open file; shared and writable leaves an event.
    pub fn map(&mut self, open: &Open, shared: bool, writable: bool) {
        let protection = i64::from(libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 });
        let flags = i64::from(if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE });
        let fd = i64::from(open.fd);
        let outcome = self.act(
            "mmap",
            || raw::call(libc::SYS_mmap, &[0, 4096, protection, flags, fd, 0]),
            |_| (shared && writable).then(|| open.expect("file_map_write")),
        );
        if let Ok(address) = outcome {
            raw::call(libc::SYS_munmap, &[address, 4096]).expect("munmap");
        }
    }
}
