//! Which events are recorded: leaves out what is named below a kernel pseudo file system, and what the configuration
//! excludes. The probes leave out the rest by superblock; a name that was never resolved has none.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{Glob, GlobSet, GlobSetBuilder};
use recorder_common::sample::flag;

use super::mounts::{Mount, Mounts, below};
use super::procfs::{ProcessId, Procfs};
use crate::event::{Body, Event, Kind};

/// File systems without files of their own. bpf is not among them: it can hold links that lead elsewhere.
const PSEUDO: [&[u8]; 8] =
    [b"proc", b"sysfs", b"cgroup", b"cgroup2", b"tracefs", b"debugfs", b"securityfs", b"devpts"];
/// Entries of /proc that lead out of it.
const WAYS_OUT: [&[u8]; 5] = [b"root", b"cwd", b"exe", b"fd", b"map_files"];
/// Most mount namespaces remembered.
const NAMESPACES: usize = 256;
/// How long a mount table that could not be read is not asked for again.
const PATIENCE_NS: u64 = 1_000_000_000;

/// The rules of what is recorded.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    exclude: GlobSet,
    /// Mount tables by namespace; empty after a change.
    tables: HashMap<u32, Table>,
}

/// The mounts of one namespace.
#[derive(Clone, Debug)]
struct Table {
    mounts: Mounts,
    /// Where pseudo file systems are mounted: spares the look at all mounts for nearly every path.
    pseudo: Vec<Vec<u8>>,
    /// When to try again, for a table that could not be read.
    expires: u64,
}

impl Table {
    /// A table; `None` stands for one that could not be read, which leaves nothing out.
    fn new(text: Option<&[u8]>, mono: u64) -> Self {
        let mounts = Mounts::parse(text.unwrap_or_default());
        let pseudo = mounts.iter().filter(|mount| PSEUDO.contains(&&mount.fstype[..]));
        let pseudo = pseudo.map(|mount| mount.point.clone()).collect();
        let expires = if text.is_some() { u64::MAX } else { mono.saturating_add(PATIENCE_NS) };
        Self { mounts, pseudo, expires }
    }

    /// Whether the table could be read.
    fn is_known(&self) -> bool {
        self.expires == u64::MAX
    }

    /// The file system that a path lies in by name, when it is a pseudo one.
    fn pseudo_of(&self, path: &[u8]) -> Option<&Mount> {
        self.pseudo.iter().find(|point| below(path, point).is_some())?;
        self.mounts.of(path).filter(|mount| PSEUDO.contains(&&mount.fstype[..]))
    }
}

impl Scope {
    /// Leaves out files whose path matches one of the globs.
    ///
    /// # Errors
    /// When the globs together are too large.
    pub fn new(exclude: Vec<Glob>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in exclude {
            set.add(glob);
        }
        Ok(Self { exclude: set.build()?, tables: HashMap::new() })
    }

    /// Whether the event is recorded. Marks a path that leads out of /proc as unresolved.
    pub fn admits(&mut self, event: &mut Event<'_>, procfs: &Procfs) -> bool {
        let Body::File(file) = &event.body else { return true };
        if matches!(event.kind, Kind::Mount | Kind::Unmount) {
            self.tables.clear();
            return true;
        }
        let Some(path) = file.path.as_deref() else { return true };
        if !self.exclude.is_empty() && self.exclude.is_match(OsStr::from_bytes(path)) {
            return false;
        }
        let is_plain_name = event.flags & flag::FROM_ARGUMENT != 0 && event.flags & flag::UNRESOLVED == 0;
        if !is_plain_name {
            return true;
        }
        let Some(task) = &event.task else { return true };
        let process = ProcessId::new(task.pid, task.start);
        let Some(table) = self.table(task.mntns, process, event.mono, procfs) else { return true };
        let Some(mount) = table.pseudo_of(path) else {
            // A namespace that is gone already: /proc is most likely what it is everywhere.
            if !table.is_known() && below(path, b"/proc").is_some_and(leads_out_of_proc) {
                event.flags |= flag::UNRESOLVED;
            }
            return true;
        };
        let leads_out = mount.fstype == b"proc" && below(path, &mount.point).is_some_and(leads_out_of_proc);
        if leads_out {
            event.flags |= flag::UNRESOLVED;
        }
        leads_out
    }

    /// The mount table of a namespace, read through a process in it when it is not known.
    fn table(&mut self, namespace: u32, process: ProcessId, mono: u64, procfs: &Procfs) -> Option<&Table> {
        if self.tables.get(&namespace).is_none_or(|table| table.expires <= mono) {
            if self.tables.len() >= NAMESPACES {
                self.tables.clear();
            }
            let is_own = procfs.own_mntns() == Some(namespace);
            let text = if is_own { procfs.own_mountinfo() } else { procfs.mountinfo(process) };
            self.tables.insert(namespace, Table::new(text.as_deref(), mono));
        }
        self.tables.get(&namespace)
    }
}

/// Whether a name inside /proc goes through one of its links to elsewhere.
fn leads_out_of_proc(inside: &[u8]) -> bool {
    inside.split(|&byte| byte == b'/').any(|part| WAYS_OUT.contains(&part))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use globset::GlobBuilder;

    use super::super::procfs::tests::FakeProc;
    use super::*;
    use crate::event::{File, Task};

    const MOUNTS: &str = "1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / /proc rw - proc x rw\n\
        3 1 0:3 / /sys rw - sysfs x rw\n4 3 0:4 / /sys/fs/bpf rw - bpf x rw\n5 1 0:5 / /dev/pts rw - devpts x rw\n\
        7 1 0:2 / /jail/proc rw - proc x rw\n6 3 0:6 / /sys/fs/cgroup rw - tmpfs x rw\n";

    fn event(path: &'static str, flags: u64) -> Event<'static> {
        let file = File { path: Some(Cow::Borrowed(path.as_bytes())), ..File::default() };
        let task = Some(Task { pid: 7, start: 50_000_000, mntns: 1, ..Task::default() });
        Event { mono: 1, kind: Kind::FileDelete, errno: 0, task, flags, body: Body::File(file) }
    }

    fn host() -> FakeProc {
        let fake = FakeProc::new();
        fake.process(7, 5, None);
        fake.file("7/mountinfo", MOUNTS);
        fake
    }

    #[test]
    fn names_below_pseudo_file_systems_are_left_out() {
        let (fake, mut scope) = (host(), Scope::default());
        let mut admits = |path, flags| scope.admits(&mut event(path, flags), &fake.procfs());
        let argument = flag::FROM_ARGUMENT;
        for path in ["/proc/1/oom_score_adj", "/sys/kernel/x", "/dev/pts/3", "/proc", "/jail/proc/x"] {
            assert!(!admits(path, argument), "{path}");
            assert!(admits(path, 0), "the kernel itself gave {path}");
            assert!(admits(path, argument | flag::UNRESOLVED), "{path} may lead elsewhere");
        }
        for path in ["/etc/passwd", "/process", "/sys/fs/cgroup/x", "/sys/fs/bpf/link/x", "/dev/sda"] {
            assert!(admits(path, argument), "{path}");
        }
    }

    #[test]
    fn ways_out_of_proc_are_recorded_as_unresolved() {
        let (fake, mut scope) = (host(), Scope::default());
        for path in ["/proc/self/root/etc/shadow", "/proc/7/fd/3", "/proc/7/task/8/cwd/x"] {
            let mut event = event(path, flag::FROM_ARGUMENT);
            assert!(scope.admits(&mut event, &fake.procfs()), "{path}");
            assert_ne!(event.flags & flag::UNRESOLVED, 0, "{path}");
        }
    }

    #[test]
    fn a_mount_makes_the_table_be_read_again() {
        let (fake, mut scope) = (host(), Scope::default());
        let argument = flag::FROM_ARGUMENT;
        assert!(!scope.admits(&mut event("/proc/x", argument), &fake.procfs()));
        fake.file("7/mountinfo", &MOUNTS.replace("- proc", "- tmpfs"));
        assert!(!scope.admits(&mut event("/proc/x", argument), &fake.procfs()));
        let mut mount = Event { kind: Kind::Mount, ..event("/proc", argument) };
        assert!(scope.admits(&mut mount, &fake.procfs()));
        assert!(scope.admits(&mut event("/proc/x", argument), &fake.procfs()));
    }

    #[test]
    fn without_a_mount_table_everything_is_recorded() {
        let (fake, mut scope) = (FakeProc::new(), Scope::default());
        let named = || event("/proc/x", flag::FROM_ARGUMENT);
        assert!(scope.admits(&mut named(), &fake.procfs()));
        let host = host();
        assert!(scope.admits(&mut named(), &host.procfs()), "not asked again at once");
        assert!(!scope.admits(&mut Event { mono: 2 * PATIENCE_NS, ..named() }, &host.procfs()));
    }

    #[test]
    fn globs_of_the_configuration_leave_files_out() {
        let fake = host();
        let glob = |glob: &str| GlobBuilder::new(glob).literal_separator(true).build().unwrap();
        let mut scope = Scope::new(vec![glob("/var/cache/**"), glob("/tmp/*.swp")]).unwrap();
        let mut admits = |path| scope.admits(&mut event(path, 0), &fake.procfs());
        assert!(!admits("/var/cache/a/b"));
        assert!(!admits("/tmp/x.swp"));
        assert!(admits("/tmp/a/x.swp"));
    }
}
