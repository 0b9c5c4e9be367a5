//! Which events touch the store itself: clearing a flag, mounting over it, moving it away, writing to it. They are marked
//! (`store`), recorded whatever the configuration excludes, and not kept waiting.
//!
//! The recorder's own work is recorded like anybody's, but not marked; [`Guard::is_own_work`] says what that is.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use recorder_common::sample::flag;
use rustix::fs::IFlags;

use super::mounts::below;
use super::procfs::{ProcessId, Procfs};
use crate::event::{Body, Event, File, Inode, Kind, Task};
use crate::store::format::parse_segment_name;
use crate::store::{CHECKPOINT_BESIDE, CHECKPOINT_FILE, ORIGIN_FILE};

/// `MS_UNBINDABLE`, `MS_PRIVATE`, `MS_SLAVE` and `MS_SHARED`: they change how later mounts spread and hide nothing. Every
/// start of a container or of a service with a mount namespace does that to `/`.
const PROPAGATION: u64 = 0xf << 17;
/// Most inodes of the store that are remembered; a store with more segments is known by its paths alone.
const FILES: usize = 1 << 16;

/// The store, as events name it.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Where it is, without links in the name; empty when there is none.
    path: Vec<u8>,
    /// The files of the newest checkpoint, which the recorder replaces every few seconds.
    checkpoint: [Vec<u8>; 2],
    /// Device (kernel form) and inode number of the directory and of what is in it.
    files: HashSet<(u32, u64)>,
    /// The recorder, and its helper.
    recorder: Option<ProcessId>,
    helper: Option<ProcessId>,
    /// Mount namespaces in which the host's paths are: the recorder's own and that of the first process.
    namespaces: Vec<u32>,
}

impl Guard {
    /// Watches over the store at `path`, which this process and `helper` write to; checkpoints are in `state_dir`.
    #[must_use]
    pub fn new(path: &Path, state_dir: &Path, helper: Option<u32>, procfs: &Procfs) -> Self {
        let state_dir = std::fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut guard = Self {
            checkpoint: [CHECKPOINT_FILE, CHECKPOINT_BESIDE]
                .map(|name| state_dir.join(name).into_os_string().into_vec()),
            files: HashSet::new(),
            recorder: procfs.process(std::process::id()),
            helper: helper.and_then(|pid| procfs.process(pid)),
            namespaces: [procfs.own_mntns(), procfs.mntns(1)].into_iter().flatten().collect(),
            path: path.clone().into_os_string().into_vec(),
        };
        guard.learn(&path);
        guard
    }

    /// Remembers the inodes of the directory and of what is in it.
    fn learn(&mut self, path: &Path) {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.chain([path.to_owned()]) {
            if let Ok(meta) = path.symlink_metadata() {
                let device = rustix::fs::major(meta.dev()) << 20 | rustix::fs::minor(meta.dev());
                self.remember(device, meta.ino());
            }
        }
    }

    fn remember(&mut self, device: u32, inode: u64) {
        if self.files.len() < FILES {
            self.files.insert((device, inode));
        }
    }

    /// Whether the recorder itself replaced the file of its newest checkpoint. Recording that would never end: the record
    /// of it would want a checkpoint too. Anybody else's hands on that file are recorded.
    #[must_use]
    pub fn is_checkpoint(&self, event: &Event<'_>) -> bool {
        let (Body::File(file), Some(task)) = (&event.body, &event.task) else { return false };
        let is_one = |path: &Option<Cow<'_, [u8]>>| {
            path.as_deref().is_some_and(|path| self.checkpoint.iter().any(|known| known == path))
        };
        let process = ProcessId::new(task.pid, task.start);
        event.errno == 0
            && is_one(&file.path)
            && (file.path_to.is_none() || is_one(&file.path_to))
            && self.recorder.is_some_and(|own| own.is_same(process))
    }

    /// Marks an event that touches the store; whether it does, or is the recorder's own work on it.
    pub fn marks(&mut self, event: &mut Event<'_>) -> bool {
        let Body::File(file) = &event.body else { return false };
        if self.path.is_empty() || !self.is_about_store(event, file) {
            return false;
        }
        let is_new = event.kind == Kind::FileCreate && event.errno == 0;
        let inode = file.inode.filter(|_| is_new && self.is_within(file.path.as_deref()));
        if self.is_own_work(event) {
            self.forget_removed(event.kind, file);
        } else {
            event.flags |= flag::STORE;
        }
        if let Some(Inode { dev, ino, .. }) = inode {
            self.remember(dev, ino);
        }
        true
    }

    /// Retention removes segments; whose inode it is next has nothing to do with the store. The helper takes the flags off
    /// just before, and that event has the inode, which the removal has not.
    fn forget_removed(&mut self, kind: Kind, file: &File<'_>) {
        let is_of_segment = file.path.as_deref().is_some_and(is_segment);
        match (kind, file.inode, file.bits) {
            (Kind::AttrFlags, Some(inode), Some(bits)) if is_of_segment => {
                let protection = u64::from((IFlags::APPEND | IFlags::IMMUTABLE).bits());
                if bits & protection == 0 {
                    self.files.remove(&(inode.dev, inode.ino));
                } else {
                    self.remember(inode.dev, inode.ino);
                }
            }
            // Without a helper there are no flags, and only the store itself tells what is left.
            (Kind::FileDelete, _, _) if self.helper.is_none() => {
                self.files.clear();
                let path = OsStr::from_bytes(&self.path).to_owned();
                self.learn(Path::new(&path));
            }
            _ => {}
        }
    }

    fn is_about_store(&self, event: &Event<'_>, file: &File<'_>) -> bool {
        let (path, path_to) = (file.path.as_deref(), file.path_to.as_deref());
        match event.kind {
            // Whoever may not read the record and tries to changes nothing.
            Kind::FileDenied => false,
            Kind::Mount if file.bits.is_some_and(|bits| bits & PROPAGATION != 0) => false,
            Kind::Mount | Kind::Unmount => {
                let is_of_host = self.is_in_host(event.task.as_ref());
                // Leaving the old root is how every container starts; it hides nothing from anybody else.
                let covers = |path: &[u8]| self.is_below(path) && (is_of_host || path != b"/");
                [path, path_to].into_iter().flatten().any(|path| self.is_within(Some(path)) || covers(path))
                    || self.leads_here(event, path, true)
            }
            Kind::FileRename => {
                let moves = |path: &[u8]| self.is_within(Some(path)) || self.is_below(path);
                [path, path_to].into_iter().flatten().any(moves) || self.leads_here(event, path, true)
            }
            _ => {
                self.is_within(path)
                    || self.is_within(path_to)
                    || file.inode.is_some_and(|inode| self.files.contains(&(inode.dev, inode.ino)))
                    || self.leads_here(event, path, false)
            }
        }
    }

    /// Whether this is the store or something in it.
    fn is_within(&self, path: Option<&[u8]>) -> bool {
        path.is_some_and(|path| below(path, &self.path).is_some())
    }

    /// Whether the store is this directory or lies below it.
    fn is_below(&self, path: &[u8]) -> bool {
        path.first() == Some(&b'/') && below(&self.path, path).is_some()
    }

    /// Whether a caller's name that looks like one of ours leads to the store through links. What was a link a moment ago
    /// may be none any more, so this finds the careless only; the rest is in the record, unmarked.
    fn leads_here(&self, event: &Event<'_>, path: Option<&[u8]>, or_above: bool) -> bool {
        if event.flags & flag::FROM_ARGUMENT == 0 || !self.is_in_host(event.task.as_ref()) {
            return false;
        }
        let path = path.filter(|path| path.first() == Some(&b'/'));
        let Some((parent, name)) = path.and_then(split_last).filter(|(_, name)| self.is_name_of_ours(name))
        else {
            return false;
        };
        let Ok(parent) = std::fs::canonicalize(OsStr::from_bytes(parent)) else { return false };
        let real = parent.join(OsStr::from_bytes(name)).into_os_string().into_vec();
        self.is_within(Some(&real)) || (or_above && self.is_below(&real))
    }

    fn is_name_of_ours(&self, name: &[u8]) -> bool {
        name == ORIGIN_FILE.as_bytes()
            || name.starts_with(b"seg-")
            || self.path.split(|&byte| byte == b'/').any(|part| part == name)
    }

    fn is_in_host(&self, task: Option<&Task<'_>>) -> bool {
        task.is_some_and(|task| self.namespaces.contains(&task.mntns))
    }

    /// What the recorder does to its store day by day: it makes files and directories, sets their owner and mode, and
    /// writes; its helper sets flags and removes old segments. Pid and start time name the one process that may, and
    /// neither pid can be used again while the recorder runs and has not waited for its helper.
    fn is_own_work(&self, event: &Event<'_>) -> bool {
        let Some(task) = &event.task else { return false };
        let (process, Body::File(file)) = (ProcessId::new(task.pid, task.start), &event.body) else {
            return false;
        };
        let is = |own: Option<ProcessId>| own.is_some_and(|own| own.is_same(process));
        match event.kind {
            Kind::FileCreate | Kind::FileWrite | Kind::DirCreate | Kind::AttrMode | Kind::AttrOwner => {
                is(self.recorder)
            }
            // Retention takes flags off and removes; it leaves a tombstone and an event for each segment.
            Kind::AttrFlags => is(self.helper),
            Kind::FileDelete => {
                is(self.helper.or(self.recorder)) && file.path.as_deref().is_some_and(is_segment)
            }
            _ => false,
        }
    }
}

/// Whether the path ends in the name of a segment.
fn is_segment(path: &[u8]) -> bool {
    let name = split_last(path).and_then(|(_, name)| str::from_utf8(name).ok());
    name.is_some_and(|name| parse_segment_name(name).is_some())
}

/// The directory and the last component of a path.
fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b'/', path)?;
    let (parent, name) = path.split_at_checked(at)?;
    let name = name.strip_prefix(b"/").filter(|name| !name.is_empty())?;
    Some((if parent.is_empty() { b"/" } else { parent }, name))
}

#[cfg(test)]
mod tests;
