//! What the daemon may do: no core dumps from the start, and after attaching only what recording still needs.
//!
//! Capabilities belong to threads, and new threads inherit them: [`drop_after_attach`] comes before the first one.

use rustix::io;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use rustix::thread::{capabilities, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs};

/// Needed as long as the daemon records.
///
/// - `LINUX_IMMUTABLE`: each new segment gets the append-only flag.
/// - `DAC_READ_SEARCH`, `SYS_PTRACE`: /proc of other users' processes, when an event refers to one that ran before.
/// - `CHOWN`: the control socket gets the store's group. The unit doesn't grant it: its `Group=` makes it unneeded.
const KEPT: CapabilitySet = CapabilitySet::LINUX_IMMUTABLE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::CHOWN);

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
    let held = capabilities(None)?;
    let kept = held.permitted & KEPT;
    // Without SETPCAP whoever started us has cut the bounding set already.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in (CapabilitySet::all() - KEPT).iter() {
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

#[cfg(test)]
mod tests {
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
    fn memory_is_never_dumped() {
        forbid_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
