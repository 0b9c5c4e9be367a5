//! What makes each attached hook fire without doing anything, and the counters that show whether it did.
//!
//! A canary of a system call is the call itself with arguments that the kernel refuses: names that can't be read,
//! descriptors that don't exist. Calls into libpam and starts of programs need a process of their own, which the daemon
//! starts.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aya::maps::{MapData, PerCpuArray};
use recorder_common::hook;

use super::CaptureError;
use super::hooks::{Hook, Place};
use super::library::Programs;
use super::syscalls::CALLS;

/// An address that no program can have mapped, a descriptor that nobody can have, and no valid set of flags.
const NOTHING: i64 = -1;

/// How a hook is made to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By this system call.
    Call {
        /// Its number.
        number: i64,
        /// What it is refused for.
        arguments: [i64; 6],
    },
    /// By a process that starts a program and ends.
    Process,
    /// By a process that calls into libpam.
    Library,
}

/// An attached hook.
#[derive(Clone, Debug)]
pub struct Watched {
    /// As people write it.
    pub name: String,
    /// The kind of event that it mainly serves.
    pub event: &'static str,
    /// How it is made to fire.
    pub way: Way,
    slot: u32,
}

/// A file with probes in it, as it was when they were attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its path.
    pub path: PathBuf,
    identity: (u64, u64),
}

impl Library {
    /// The file at `path` now; `None` when there is none.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    }

    /// Whether its path leads to another file by now.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        Self::at(&self.path).as_ref() != Some(self)
    }
}

/// Every attached hook with its counter of runs.
pub struct Canary {
    runs: PerCpuArray<MapData, u64>,
    hooks: Vec<Watched>,
    library: Option<(Library, Programs)>,
    /// Files that had its name before and have probes still.
    former: Vec<Library>,
}

impl Canary {
    pub(super) fn new(
        runs: PerCpuArray<MapData, u64>,
        hooks: &[Hook],
        library: Option<(Library, Programs)>,
    ) -> Self {
        Self { runs, hooks: hooks.iter().filter_map(watched).collect(), library, former: Vec::new() }
    }

    /// The hooks.
    #[must_use]
    pub fn hooks(&self) -> &[Watched] {
        &self.hooks
    }

    /// The library with probes in it, when there is one.
    #[must_use]
    pub fn library(&self) -> Option<&Library> {
        self.library.as_ref().map(|(library, _)| library)
    }

    /// When the library has another file by now: that file, and the programs for it unless it has them already.
    #[must_use]
    pub fn replacement(&self) -> Option<(Library, Option<Programs>)> {
        let (known, programs) = self.library.as_ref()?;
        let new = Library::at(&known.path).filter(|new| new != known)?;
        let programs = (!self.former.contains(&new)).then_some(*programs);
        Some((new, programs))
    }

    /// The library is this file now, and has its probes.
    pub fn set_library(&mut self, new: Library) {
        if let Some((known, _)) = &mut self.library {
            let former = std::mem::replace(known, new);
            if !self.former.contains(&former) {
                self.former.push(former);
            }
        }
    }

    /// How often each hook ran so far, in the order of [`hooks`](Self::hooks).
    ///
    /// # Errors
    /// When the counters can't be read.
    pub fn counts(&self) -> Result<Vec<u64>, CaptureError> {
        let count = |hook: &Watched| {
            let values = self.runs.get(&hook.slot, 0);
            let values =
                values.map_err(|error| CaptureError::Map { name: "RUNS", why: error.to_string() })?;
            Ok(values.iter().fold(0_u64, |sum, value| sum.wrapping_add(*value)))
        };
        self.hooks.iter().map(count).collect()
    }

    /// Makes every system call that is hooked, each so that the kernel refuses it.
    pub fn call(&self) {
        for hook in &self.hooks {
            if let Way::Call { number, arguments: [a, b, c, d, e, f] } = hook.way {
                // SAFETY: the calls are those of `arguments` below: none takes an address that can be read or written,
                // none names a descriptor that exists, so the kernel changes nothing for any of them.
                unsafe { libc::syscall(number, a, b, c, d, e, f) };
            }
        }
    }
}

/// How a hook is made to fire; `None` for one that has no canary, which a test forbids.
fn watched(hook: &Hook) -> Option<Watched> {
    let (slot, way) = match &hook.place {
        Place::Btf("sched_process_fork") => (hook::FORK, Way::Process),
        Place::Btf("sched_process_exec") => (hook::EXEC, Way::Process),
        Place::Btf("sched_prepare_exec") => (hook::PREPARE_EXEC, Way::Process),
        Place::Btf("sched_process_exit") => (hook::EXIT, Way::Process),
        Place::Btf(_) => return None,
        Place::Pam { cookie, at_return, .. } => (hook::pam(*cookie, *at_return), Way::Library),
        Place::Tracepoint(name) => {
            let (side, call) = name.strip_prefix("sys_")?.split_once('_')?;
            let call = CALLS.iter().find(|known| known.tracepoint == call)?;
            let number = u32::try_from(call.number).ok()?;
            let slot = if side == "enter" { hook::entry_of(number) } else { hook::exit_of(number) };
            (
                slot,
                Way::Call { number: i64::from(number), arguments: arguments(call.tracepoint, call.program)? },
            )
        }
    };
    Some(Watched { name: hook.name(), event: hook.kind.name(), way, slot })
}

/// Arguments for which the kernel refuses a call that this program reads; `None` when nobody has thought about it.
fn arguments(call: &str, program: &str) -> Option<[i64; 6]> {
    let mut arguments = [NOTHING; 6];
    match program {
        // A protection without the right to write: the probe has nothing to look for. The address is not one of a page.
        "protect_enter" | "protect_exit" => arguments = [NOTHING, NOTHING, 0, NOTHING, 0, 0],
        // Each has a name or an address that can't be read, or a descriptor that doesn't exist.
        "named_exit" | "open_exit" | "exec_exit" | "write_exit" | "submit_exit" | "mmap_exit"
        | "close_enter" | "dup_enter" | "close_range_enter" | "bind_exit" | "queue_open_exit"
        | "queue_unlink_exit" | "ioctl_exit" | "fsmount_exit" => {}
        // The same; no valid flags (unshare, clone, landlock, swapon), or too long (clone3, bpf). To set the ids −1 asks
        // for none to be changed, and so does the personality: nothing happens, and nothing is told.
        "credential_enter" | "credential_exit" | "system_exit" | "reboot_enter" | "clock_exit"
        | "ptrace_exit" | "unshare_exit" | "setns_exit" | "clone_exit" | "bpf_exit" => {}
        _ => {
            tracing::debug!(call, program, "has no canary");
            return None;
        }
    }
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::capture::hooks::hooks;

    #[test]
    fn every_hook_has_a_canary_and_a_counter_of_its_own() {
        let hooks = hooks();
        let watched: Vec<_> = hooks.iter().filter_map(watched).collect();
        let known: HashSet<_> = watched.iter().map(|watched| watched.name.as_str()).collect();
        let is_without =
            |name: &String| !known.contains(&**name) && !WITHOUT.iter().any(|end| name.ends_with(end));
        let without: Vec<_> = hooks.iter().map(Hook::name).filter(is_without).collect();
        assert!(without.is_empty(), "think about arguments that the kernel refuses: {without:?}");
        let slots: HashSet<_> = watched.iter().map(|watched| watched.slot).collect();
        assert_eq!(slots.len(), watched.len());
        assert!(slots.iter().all(|slot| *slot < hook::RUNS));
    }

    /// Hooks without a canary: there is nothing harmless that loads a module, and none yet for rings.
    const WITHOUT: [&str; 6] = [
        "/module_load",
        "/io_uring_complete",
        "/io_uring_cqe_overflow",
        "/io_uring_req_failed",
        "/io_uring_submit_req",
        "/io_uring_submit_sqe",
    ];

    /// Calls that −1 asks for no change.
    const UNCHANGED: [&str; 7] =
        ["setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "personality"];

    /// Without probes, as any user: nothing of it may do anything.
    #[test]
    fn the_kernel_refuses_every_call() {
        // Ids, groups and capabilities of this thread.
        let identity = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let is_identity =
                |line: &&str| ["Uid", "Gid", "Groups", "Cap"].iter().any(|word| line.starts_with(word));
            let lines: Vec<_> = status.lines().filter(is_identity).map(str::to_owned).collect();
            (lines, std::fs::read_to_string("/proc/thread-self/personality").unwrap())
        };
        let before = identity();
        for hook in hooks() {
            let Some(Watched { name, way: Way::Call { number, arguments: [a, b, c, d, e, f] }, .. }) =
                watched(&hook)
            else {
                continue;
            };
            // SAFETY: as in `Canary::call`.
            let returned = unsafe { libc::syscall(number, a, b, c, d, e, f) };
            let is_unchanged = UNCHANGED.iter().any(|call| name.ends_with(&format!("_{call}")));
            assert!(returned == -1 || is_unchanged, "{name}: {returned}");
        }
        assert_eq!(before, identity());
    }

    #[test]
    fn a_library_is_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libx.so");
        assert!(Library::at(&path).is_none());
        std::fs::write(&path, "old").unwrap();
        let library = Library::at(&path).unwrap();
        assert!(!library.is_replaced());
        std::fs::write(&path, "changed in place").unwrap();
        assert!(!library.is_replaced());
        let new = folder.path().join("new");
        std::fs::write(&new, "new").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert!(library.is_replaced());
    }
}
