//! Runs that the kernel left out. A program that comes upon itself on a processor, or upon a change of a map there, is not
//! run; so what it would have told takes no number, and leaves no hole. The kernel counts it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use aya::Ebpf;

use super::CaptureError;

/// `BPF_OBJ_GET_INFO_BY_FD` (`include/uapi/linux/bpf.h`).
const INFO: libc::c_int = 15;
/// Where `struct bpf_prog_info` has `recursion_misses`, since Linux 5.12, and where that ends.
const MISSES: std::ops::Range<usize> = 208..216;

/// A program that was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Its name in the object.
    pub program: String,
    /// How often, since the last look.
    pub count: u64,
}

/// The counters of every loaded program.
#[derive(Debug, Default)]
pub struct Misses(Vec<Counter>);

#[derive(Debug)]
struct Counter {
    program: String,
    descriptor: OwnedFd,
    seen: u64,
}

impl Counter {
    /// What was added to the counter since the last look.
    fn grow(&mut self, now: u64) -> Option<Missed> {
        let count = now.saturating_sub(self.seen);
        self.seen = now;
        (count > 0).then(|| Missed { program: self.program.clone(), count })
    }
}

impl Misses {
    /// Counts from now on.
    ///
    /// # Errors
    /// When a program's descriptor can't be kept.
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, CaptureError> {
        let mut counters = Vec::new();
        for (name, program) in ebpf.programs() {
            // What this kernel has no hook for isn't loaded.
            let Ok(descriptor) = program.fd() else { continue };
            let descriptor = descriptor.as_fd().try_clone_to_owned()?;
            let seen = misses(descriptor.as_fd())?;
            counters.push(Counter { program: name.to_owned(), descriptor, seen });
        }
        Ok(Self(counters))
    }

    /// Programs that were not run since the last look.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn new_ones(&mut self) -> Result<Vec<Missed>, CaptureError> {
        let mut missed = Vec::new();
        for counter in &mut self.0 {
            let now = misses(counter.descriptor.as_fd())?;
            missed.extend(counter.grow(now));
        }
        Ok(missed)
    }
}

/// How often the kernel did not run a program.
fn misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    /// `union bpf_attr` for this command.
    #[repr(C)]
    struct Ask {
        descriptor: u32,
        length: u32,
        info: u64,
    }
    let mut info = [0_u8; MISSES.end];
    let mut ask = Ask {
        descriptor: program.as_raw_fd().cast_unsigned(),
        length: MISSES.end as u32,
        info: info.as_mut_ptr().expose_provenance() as u64,
    };
    // SAFETY: the kernel reads the attributes, and writes no more of the answer than the length says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, INFO, &raw mut ask, size_of::<Ask>()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.get(MISSES).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_miss_is_told_once() {
        let descriptor = std::fs::File::open("/dev/null").unwrap().into();
        let mut counter = Counter { program: "p".to_owned(), descriptor, seen: 4 };
        assert_eq!(counter.grow(4), None);
        assert_eq!(counter.grow(7), Some(Missed { program: "p".to_owned(), count: 3 }));
        assert_eq!(counter.grow(7), None);
    }
}
