//! Paths of cgroups by their id, and the container that a path names.
//!
//! The id of a cgroup is the inode number of its directory. A process that still runs tells its own path, which counts
//! only when the directory has the right number; for others the tree is walked, at most once a second.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::PathBuf;

use super::mounts::{Mounts, below};
use super::procfs::{ProcessId, Procfs};

/// Most cgroups remembered, and most directories looked at in a walk.
const CAPACITY: usize = 16_384;
/// How long an unknown id is not asked for again, and the least time between two walks.
const PATIENCE_NS: u64 = 1_000_000_000;
/// Deepest directory looked at.
const DEPTH: usize = 64;

/// A cgroup as events show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Path below the root of the hierarchy.
    pub path: Vec<u8>,
    /// Id of the container, when the path names one.
    pub container: Option<String>,
}

/// What is known of the cgroup v2 hierarchy.
#[derive(Clone, Debug, Default)]
pub struct CgroupTable {
    /// Where the hierarchy is mounted, and which part of it.
    mount: Option<(PathBuf, Vec<u8>)>,
    known: HashMap<u64, Cgroup>,
    /// Ids that were not found, and when that was.
    missing: HashMap<u64, u64>,
    walked: Option<u64>,
}

impl CgroupTable {
    /// Uses the hierarchy of this mount table; without one, no id has a path.
    #[must_use]
    pub fn new(mounts: &Mounts) -> Self {
        let mount = mounts.of_type(b"cgroup2");
        let mount = mount.map(|mount| (PathBuf::from(OsStr::from_bytes(&mount.point)), mount.root.clone()));
        Self { mount, ..Self::default() }
    }

    /// The cgroup with this id, if it was found.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Cgroup> {
        self.known.get(&id)
    }

    /// Looks for a cgroup that is not known yet. `process` is one that was in it at `mono`.
    pub fn learn(&mut self, id: u64, process: ProcessId, mono: u64, procfs: &Procfs) {
        if id == 0 || self.mount.is_none() || self.known.contains_key(&id) {
            return;
        }
        let is_recent = |then: u64| mono.saturating_sub(then) < PATIENCE_NS;
        if self.missing.get(&id).copied().is_some_and(is_recent) {
            return;
        }
        if self.ask(id, process, procfs) {
            return;
        }
        if !self.walked.is_some_and(is_recent) {
            self.walked = Some(mono);
            self.walk();
        }
        if !self.known.contains_key(&id) {
            if self.missing.len() >= CAPACITY {
                self.missing.clear();
            }
            self.missing.insert(id, mono);
        }
    }

    /// Asks the process; true when its answer is the cgroup with this id.
    fn ask(&mut self, id: u64, process: ProcessId, procfs: &Procfs) -> bool {
        let Some((point, root)) = &self.mount else { return false };
        let Some(path) = procfs.cgroup(process) else { return false };
        let Some(inside) = below(&path, root) else { return false };
        let mut directory = point.clone().into_os_string().into_vec();
        directory.extend_from_slice(inside);
        let is_it = fs::symlink_metadata(OsStr::from_bytes(&directory)).is_ok_and(|found| found.ino() == id);
        if is_it {
            self.insert(id, path);
        }
        is_it
    }

    /// Learns every cgroup there is.
    fn walk(&mut self) {
        let Some((point, root)) = self.mount.clone() else { return };
        if let Ok(found) = fs::symlink_metadata(&point) {
            self.insert(found.ino(), root.clone());
        }
        let prefix = root.strip_suffix(b"/").unwrap_or(&root).to_vec();
        let mut waiting = vec![(point, prefix, 0)];
        let mut seen = 0;
        while let Some((directory, path, depth)) = waiting.pop() {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|found| found.is_dir()) {
                    continue;
                }
                seen += 1;
                if seen > CAPACITY || depth > DEPTH {
                    return;
                }
                let name = [b"/", entry.file_name().as_bytes()].concat();
                let path = [&path[..], &name].concat();
                self.insert(entry.ino(), path.clone());
                waiting.push((entry.path(), path, depth + 1));
            }
        }
    }

    fn insert(&mut self, id: u64, path: Vec<u8>) {
        if self.known.contains_key(&id) {
            return;
        }
        if self.known.len() >= CAPACITY {
            self.known.clear();
        }
        let container = container(&path).map(str::to_owned);
        self.known.insert(id, Cgroup { path, container });
    }
}

/// The id of the innermost container that a cgroup path names, in the forms of docker, containerd, CRI-O, podman and
/// LXC, with systemd or without.
#[must_use]
pub fn container(path: &[u8]) -> Option<&str> {
    let components: Vec<&str> =
        str::from_utf8(path).ok()?.split('/').filter(|part| !part.is_empty()).collect();
    let parents = std::iter::once("").chain(components.iter().copied());
    parents.zip(components.iter().copied()).filter_map(|(parent, name)| of_component(parent, name)).last()
}

/// `docker-<64 hex>.scope`, a bare `<64 hex>` (docker and kubepods without systemd), `lxc.payload.<name>`, `lxc/<name>`.
fn of_component<'a>(parent: &str, name: &'a str) -> Option<&'a str> {
    if let Some(id) = name.strip_prefix("lxc.payload.") {
        return Some(id).filter(|id| !id.is_empty());
    }
    if parent == "lxc" {
        return Some(name);
    }
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let id = stem.rsplit_once('-').map_or(stem, |(_, id)| id);
    let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // conmon watches over a container from outside.
    (is_id && !stem.contains("conmon")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::FakeProc;
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_are_named_by_their_cgroups() {
        let found = [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/docker/{ID}/init.scope"),
            format!("/kubepods.slice/kubepods-podx.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods/burstable/pod12-34/{ID}"),
            format!("/machine.slice/crio-{ID}.scope"),
            format!("/user.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
        ];
        for path in found {
            assert_eq!(container(path.as_bytes()), Some(ID), "{path}");
        }
        assert_eq!(container(b"/lxc.payload.web/system.slice/x"), Some("web"));
        assert_eq!(container(b"/lxc/db"), Some("db"));
        let none =
            ["/".to_owned(), "/system.slice/ssh.service".to_owned(), format!("/libpod-conmon-{ID}.scope")];
        for path in none {
            assert_eq!(container(path.as_bytes()), None, "{path}");
        }
    }

    /// A directory tree stands in for the hierarchy: inode numbers are all that matters.
    struct Tree {
        fake: FakeProc,
        directory: tempfile::TempDir,
        table: CgroupTable,
    }

    impl Tree {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let line = format!("1 1 0:1 / {} rw - cgroup2 none rw\n", directory.path().display());
            let table = CgroupTable::new(&Mounts::parse(line.as_bytes()));
            Self { fake: FakeProc::new(), directory, table }
        }

        fn make(&self, path: &str) -> u64 {
            let path = self.directory.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::metadata(path).unwrap().ino()
        }

        fn path(&mut self, id: u64, pid: u32, mono: u64) -> Option<String> {
            self.table.learn(id, ProcessId { pid, ticks: 5 }, mono, &self.fake.procfs());
            self.table.get(id).map(|known| String::from_utf8(known.path.clone()).unwrap())
        }
    }

    #[test]
    fn a_walk_finds_paths_at_most_once_a_second() {
        let mut tree = Tree::new();
        let first = tree.make("a/b");
        assert_eq!(tree.path(first, 1, 10).as_deref(), Some("/a/b"));
        let root = fs::metadata(tree.directory.path()).unwrap().ino();
        assert_eq!(tree.path(root, 1, 10).as_deref(), Some("/"));
        let second = tree.make("a/c");
        assert_eq!(tree.path(second, 1, 20), None);
        assert_eq!(tree.path(second, 1, 20 + PATIENCE_NS).as_deref(), Some("/a/c"));
    }

    #[test]
    fn a_process_is_believed_only_with_the_right_inode() {
        let mut tree = Tree::new();
        tree.table.walked = Some(0);
        let (wanted, other) = (tree.make("x"), tree.make("y"));
        tree.fake.process(7, 5, None);
        tree.fake.file("7/cgroup", "0::/y\n");
        assert_eq!(tree.path(wanted, 7, 1), None);
        assert_eq!(tree.path(other, 7, 1).as_deref(), Some("/y"));
    }
}
