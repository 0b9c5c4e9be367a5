//! What the daemon and its helper may do: no core dumps and no swap from the start, and after that only what each still
//! needs.
//!
//! Capabilities belong to threads, and new threads inherit them: [`drop_after_attach`] comes before the first one.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use rustix::thread::{capabilities, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs};

/// Needed as long as the daemon records. `LINUX_IMMUTABLE` is not among them: the [`super::sealer`] has it.
///
/// - `DAC_READ_SEARCH`, `SYS_PTRACE`: /proc of other users' processes, when an event refers to one that ran before.
/// - `CHOWN`: the control socket gets the store's group. The unit doesn't grant it: its `Group=` makes it unneeded.
/// - `IPC_LOCK`: memory stays locked where its limit can't be raised. The unit doesn't grant it: it has no limit there.
const KEPT: CapabilitySet = CapabilitySet::DAC_READ_SEARCH
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::IPC_LOCK);

/// Needed to load and attach the probes.
const NEEDED: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

/// Recording was asked for by somebody who may not.
#[derive(Debug, thiserror::Error)]
#[error(
    "recording needs root, or CAP_BPF and CAP_PERFMON: start it with `sudo recorder daemon`, or by the unit with \
     `sudo systemctl start recorder`"
)]
pub struct NotAllowed;

/// Refuses before anything is made: a store that was begun by the wrong user would be refused to the right one.
///
/// # Errors
/// [`NotAllowed`] without the capabilities that attaching needs. A kernel that doesn't tell them is asked later.
pub fn check_before_attach() -> Result<(), NotAllowed> {
    match capabilities(None) {
        Ok(held) if !held.effective.contains(NEEDED) => Err(NotAllowed),
        _ => Ok(()),
    }
}

/// No core dumps, and no tracing by other programs of the same user: memory holds the keys that sign.
///
/// # Errors
/// When the kernel refuses either.
pub fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Gives up, for good, everything but the capabilities that recording needs; returns those that are left.
/// Probes, perf events and maps stay usable: their descriptors are open. Nothing later may attach a probe.
///
/// # Errors
/// When the kernel refuses; nothing or a part is given up then, and the caller should not go on.
pub fn drop_after_attach() -> io::Result<CapabilitySet> {
    keep_only(KEPT)
}

/// Gives up, for good, every capability but those; returns the ones of them that were held.
///
/// # Errors
/// When the kernel refuses; nothing or a part is given up then, and the caller should not go on.
pub fn keep_only(wanted: CapabilitySet) -> io::Result<CapabilitySet> {
    let held = capabilities(None)?;
    let kept = held.permitted & wanted;
    // Without SETPCAP whoever started us has cut the bounding set already.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in (CapabilitySet::all() - wanted).iter() {
            match remove_capability_from_bounding_set(capability) {
                // A kernel older than the capability.
                Ok(()) | Err(io::Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
    }
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)?;
    Ok(kept)
}

/// Keeps this process's memory out of swap, now and later: keys that sign are in it. Pages that are never touched take
/// no memory.
///
/// # Errors
/// When locked memory is limited, the limit can't be raised and binds us. Nothing is locked then: later the process
/// would run out of memory that it may lock, and end.
pub fn lock_memory() -> io::Result<()> {
    let unlimited = Rlimit { current: None, maximum: None };
    if getrlimit(Resource::Memlock) != unlimited
        && let Err(error) = setrlimit(Resource::Memlock, unlimited)
        && !capabilities(None)?.effective.contains(CapabilitySet::IPC_LOCK)
    {
        return Err(error);
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

/// Whether anybody has the file open for writing or mapped to write, by asking for a lease that the kernel gives only
/// otherwise. `None` when that can't be told: the descriptor itself is open for writing, or the file system has no leases.
/// While it looks, SIGIO may come.
#[must_use]
pub fn is_held_for_writing(file: BorrowedFd<'_>) -> Option<bool> {
    let access = rustix::fs::fcntl_getfl(file).ok()? & rustix::fs::OFlags::RWMODE;
    if access != rustix::fs::OFlags::RDONLY {
        return None;
    }
    // SAFETY: with F_SETLEASE fcntl takes numbers only, and the descriptor is open.
    let lease = |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    if lease(libc::F_RDLCK) == 0 {
        lease(libc::F_UNLCK);
        return Some(false);
    }
    (std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)).then_some(true)
}

/// Closes every descriptor that this process was born with but stdin, stdout and stderr. For a process that has opened
/// nothing yet.
///
/// # Errors
/// When /proc can't be read.
pub fn close_all_but_standard() -> std::io::Result<()> {
    let names = std::fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number > 2) {
        // SAFETY: this process has opened nothing itself, so nothing in it owns the number. That of the directory that
        // was just read is closed already, which the call then says.
        unsafe { libc::close(number) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use rustix::thread::{capability_is_in_bounding_set, no_new_privs};

    /// In a thread of its own: capabilities belong to threads, so the other tests keep theirs.
    #[test]
    fn only_what_recording_needs_is_left() {
        let before = capabilities(None).unwrap();
        std::thread::spawn(move || {
            let kept = drop_after_attach().unwrap();
            assert_eq!(kept, before.permitted & KEPT);
            let after = capabilities(None).unwrap();
            assert_eq!(
                after,
                CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() }
            );
            assert!(no_new_privs().unwrap());
            if before.effective.contains(CapabilitySet::SETPCAP) {
                assert!(!capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap());
                assert!(!capability_is_in_bounding_set(CapabilitySet::BPF).unwrap());
            }
            // Once more is harmless: a daemon that is set up twice must not fail.
            assert_eq!(drop_after_attach().unwrap(), kept);
        })
        .join()
        .unwrap();
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn who_writes_to_a_file_shows_in_a_lease() {
        // A build folder may lie on a file system without leases; memory has them.
        let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        let reading = std::fs::File::open(file.path()).unwrap();
        assert_eq!(is_held_for_writing(reading.as_fd()), Some(true));
        assert_eq!(is_held_for_writing(file.as_file().as_fd()), None);
        let path = file.into_temp_path();
        assert_eq!(is_held_for_writing(reading.as_fd()), Some(false));
        let appending = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(is_held_for_writing(reading.as_fd()), Some(true));
        drop(appending);
        assert_eq!(is_held_for_writing(reading.as_fd()), Some(false));
    }

    #[test]
    fn memory_is_never_dumped() {
        forbid_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
