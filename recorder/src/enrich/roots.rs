//! Root directories of processes that have another than the recorder: of containers, and behind chroot. By the host's
//! path where the host sees the directory; it is found once for each, not for each process.

use std::collections::HashMap;

use super::mounts::Mounts;
use super::procfs::{ProcessId, Procfs};
use crate::event::Task;

/// Most directories remembered: more than there are containers on a host.
const CAPACITY: usize = 4096;
/// How soon one that was not found is searched again.
const RETRY_NS: u64 = 1_000_000_000;

/// A root directory: its mount namespace, and the number that the kernel's side gave it.
type Key = (u32, u32);

#[derive(Clone, Debug)]
struct Entry {
    /// By the host's path.
    path: Option<Vec<u8>>,
    /// What the kernel walked last: another one means that the number was given anew.
    walked: Option<Vec<u8>>,
    /// When it was searched.
    since: u64,
}

/// The root directories that events told of.
#[derive(Debug, Default)]
pub struct Roots {
    known: HashMap<Key, Entry>,
}

impl Roots {
    /// Makes sure that the root directory of an event's task is known, as far as it can be. `walked` is its path up to the
    /// root of its mount namespace, on the events that have it.
    pub fn learn(&mut self, task: &Task<'_>, walked: Option<&[u8]>, mono: u64, procfs: &Procfs) {
        if task.root_id == 0 {
            return;
        }
        let key = (task.mntns, task.root_id);
        if let Some(entry) = self.known.get(&key) {
            let is_same = walked.is_none_or(|walked| entry.walked.as_deref().is_none_or(|old| old == walked));
            let is_settled = entry.path.is_some() || mono.saturating_sub(entry.since) < RETRY_NS;
            if is_same && is_settled {
                return;
            }
        }
        let path = find(task, walked, procfs);
        if self.known.len() >= CAPACITY {
            self.known.clear();
        }
        self.known.insert(key, Entry { path, walked: walked.map(<[u8]>::to_vec), since: mono });
    }

    /// The root directory of a task, when it is another than the recorder's and was found.
    #[must_use]
    pub fn get(&self, task: &Task<'_>) -> Option<&[u8]> {
        if task.root_id == 0 {
            return None;
        }
        self.known.get(&(task.mntns, task.root_id))?.path.as_deref()
    }
}

/// The host's path of a root directory. No file system is asked: that of a container may be a program that never answers.
fn find(task: &Task<'_>, walked: Option<&[u8]>, procfs: &Procfs) -> Option<Vec<u8>> {
    let process = ProcessId::new(task.pid, task.start);
    let inside = match walked {
        Some(path) => path.to_vec(),
        None => procfs.root(process, task.tid)?,
    };
    // The recorder may have a namespace of its own, with the host's directories.
    if [procfs.own_mntns(), procfs.mntns(1)].contains(&Some(task.mntns)) {
        return Some(inside);
    }
    if inside != b"/" {
        // Behind chroot in a container: a mount table shows only what lies below the root of its process.
        return None;
    }
    let theirs = Mounts::parse(&procfs.mountinfo_in(process, task.tid, task.mntns)?);
    let mount = theirs.of(b"/")?;
    Mounts::parse(&procfs.own_mountinfo()?).place(&mount.dev, &mount.root)
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::FakeProc;
    use super::*;

    const HOST: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        50 27 0:57 / /var/lib/pods/7/merged rw - overlay overlay rw\n";
    const POD: &str = "60 59 0:57 / / rw - overlay overlay rw\n61 60 0:60 / /proc rw - proc proc rw\n";

    fn task(mntns: u32, root_id: u32) -> Task<'static> {
        Task { pid: 7, tid: 8, start: 70_000_000, mntns, root_id, ..Task::default() }
    }

    fn host() -> FakeProc {
        let fake = FakeProc::new();
        fake.process(7, 7, Some("/bin/sh"));
        for (pid, mntns) in [("self", 11), ("1", 10), ("7/task/8", 12)] {
            let ns = fake.directory.path().join(pid).join("ns");
            std::fs::create_dir_all(&ns).unwrap();
            std::os::unix::fs::symlink(format!("mnt:[{mntns}]"), ns.join("mnt")).unwrap();
        }
        std::fs::write(fake.directory.path().join("self/mountinfo"), HOST).unwrap();
        std::fs::write(fake.directory.path().join("7/task/8/mountinfo"), POD).unwrap();
        fake
    }

    fn told<'a>(
        roots: &'a mut Roots,
        task: &Task<'_>,
        walked: Option<&[u8]>,
        procfs: &Procfs,
    ) -> Option<&'a str> {
        roots.learn(task, walked, 1, procfs);
        roots.get(task).map(|path| str::from_utf8(path).unwrap())
    }

    #[test]
    fn a_root_is_told_by_the_path_that_the_host_has_for_it() {
        let fake = host();
        let procfs = Procfs::new(fake.directory.path());
        let mut roots = Roots::default();
        assert_eq!(told(&mut roots, &task(10, 0), Some(b"/"), &procfs), None, "the host's own");
        assert_eq!(
            told(&mut roots, &task(10, 5), Some(b"/srv/jail"), &procfs),
            Some("/srv/jail"),
            "of pid 1"
        );
        assert_eq!(told(&mut roots, &task(11, 5), Some(b"/srv/own"), &procfs), Some("/srv/own"));
        assert_eq!(told(&mut roots, &task(12, 6), Some(b"/"), &procfs), Some("/var/lib/pods/7/merged"));
        assert_eq!(
            told(&mut roots, &task(12, 7), Some(b"/srv/jail"), &procfs),
            None,
            "chroot in a container"
        );
        assert_eq!(told(&mut roots, &task(10, 5), None, &procfs), Some("/srv/jail"), "remembered");
        assert_eq!(
            told(&mut roots, &task(10, 5), Some(b"/new"), &procfs),
            Some("/new"),
            "the number is another's"
        );
    }

    #[test]
    fn a_process_from_before_is_asked_once() {
        let fake = host();
        let procfs = Procfs::new(fake.directory.path());
        let mut roots = Roots::default();
        assert_eq!(told(&mut roots, &task(12, 6), None, &procfs), None, "nothing shows it yet");
        std::os::unix::fs::symlink("/", fake.directory.path().join("7/task/8/root")).unwrap();
        assert_eq!(told(&mut roots, &task(12, 6), None, &procfs), None, "not searched again so soon");
        roots.learn(&task(12, 6), None, 1 + RETRY_NS, &procfs);
        assert_eq!(roots.get(&task(12, 6)), Some(&b"/var/lib/pods/7/merged"[..]));
    }
}
