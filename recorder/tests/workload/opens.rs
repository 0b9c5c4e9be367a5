//! Opens: every call that opens a file, what it creates, truncates, or is refused.

use super::raw::{self, Outcome};
use super::site::Place;
use super::{Run, named};
use crate::support::ledger::Expect;

/// Calls that open by name.
pub const OPENS: [&str; 4] = ["open", "creat", "openat", "openat2"];

/// An open file of the workload, with what was written through it.
#[derive(Clone, Debug)]
pub struct Open {
    pub fd: i32,
    /// Where it is now.
    pub path: Vec<u8>,
    pub bytes: u64,
    pub calls: u64,
    /// Flags that its events carry: `deleted`, `memfd`.
    pub flags: Vec<&'static str>,
    /// Flags that its first write and its summary carry besides: `io_submit`.
    pub marks: Vec<&'static str>,
}

impl Open {
    pub fn new(fd: i32, path: Vec<u8>) -> Self {
        Self { fd, path, bytes: 0, calls: 0, flags: Vec::new(), marks: Vec::new() }
    }

    /// An event about this open file, by the kernel's own path.
    pub fn expect(&self, kind: &str) -> Expect {
        Expect::new(kind).path(&self.path).must(&self.flags)
    }
}

/// `struct open_how`.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn raw_open(call: &str, place: &Place, flags: i32, mode: u32) -> Outcome {
    let (flags, mode) = (i64::from(flags), i64::from(mode));
    match call {
        "open" => raw::call(libc::SYS_open, &[place.name(), flags, mode]),
        "creat" => raw::call(libc::SYS_creat, &[place.name(), mode]),
        "openat" => raw::call(libc::SYS_openat, &[place.dir(), place.name(), flags, mode]),
        _ => {
            let mode = if flags & i64::from(libc::O_CREAT | libc::O_TMPFILE) == 0 { 0 } else { mode };
            let how = How { flags: flags as u64, mode: mode as u64, resolve: 0 };
            raw::call(raw::OPENAT2, &[place.dir(), place.name(), (&raw const how) as i64, 24])
        }
    }
}

/// What an open leaves behind. `exists`: a regular file was there before.
pub fn opened(place: &Place, flags: i32, exists: bool, outcome: &Outcome) -> Option<Expect> {
    let writes = flags & libc::O_ACCMODE != 0;
    let creates = flags & libc::O_CREAT != 0;
    match outcome {
        Ok(_) if creates && !exists => Some(Expect::new("file_create").path(&place.real)),
        Ok(_) if flags & libc::O_TRUNC != 0 => {
            Some(Expect::new("file_truncate").path(&place.real).must(&["open"]))
        }
        Ok(_) => None,
        Err(libc::EACCES | libc::EPERM) => Some(named("file_denied", place).may(&["open"])),
        Err(_) if creates => Some(named("file_create", place).may(&["open"])),
        Err(_) if writes => Some(named("file_write", place).must(&["open"])),
        Err(_) => None,
    }
}

impl Run {
    /// Opens a place and writes it down.
    pub fn open(&mut self, call: &str, place: &Place, flags: i32, exists: bool) -> Outcome {
        let flags = if call == "creat" { libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY } else { flags };
        let mode = self.pick(&[0o600_u32, 0o644, 0o640]);
        let mut identity = None;
        self.act(
            call,
            || raw_open(call, place, flags, mode),
            |outcome| {
                if let Ok(fd) = outcome {
                    identity = identify(*fd);
                }
                let expect = opened(place, flags, exists, outcome)?;
                Some(match identity {
                    Some((dev, ino)) => expect.field("dev", dev).field("ino", ino),
                    None => expect,
                })
            },
        )
    }

    /// Creates a file at a place, which must succeed.
    pub fn create(&mut self, place: &Place) -> Open {
        let call = if place.dir == super::site::AT_FDCWD { self.pick(&OPENS) } else { "openat" };
        let flags = libc::O_CREAT | libc::O_RDWR | libc::O_EXCL;
        let fd = raw::fd_of(self.open(call, place, flags, false));
        Open::new(fd, place.real.clone())
    }

    /// Creates an empty file and closes it again.
    pub fn make(&mut self, place: &Place) {
        let open = self.create(place);
        self.close(open);
    }
}

/// Device and inode of a descriptor, as events spell the device.
fn identify(fd: i64) -> Option<(String, u64)> {
    // SAFETY: all zeroes is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    raw::call(libc::SYS_fstat, &[fd, (&raw mut stat) as i64]).ok()?;
    let dev = stat.st_dev;
    Some((format!("{}:{}", libc::major(dev), libc::minor(dev)), stat.st_ino))
}
