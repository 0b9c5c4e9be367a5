//! The processes of a part of the record as a tree: who made whom, what each ran, and when it ended. The tree follows
//! forks, so a process that changed its parent stays where it came from.

use std::collections::BTreeMap;

use super::key::ProcessKey;
use crate::event::Kind;
use crate::event::record::{Record, Text};

/// Most processes kept.
const CAPACITY: usize = 1 << 18;
/// Most programs kept of one process.
const PROGRAMS: usize = 64;
/// Most generations looked through.
const DEPTH: usize = 1024;

/// A program that a process ran; texts with the escape of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Wall time in ns.
    pub t: i64,
    /// The event.
    pub seq: u64,
    /// Program file.
    pub exe: Option<String>,
    /// Its arguments.
    pub argv: Vec<String>,
    /// Real and effective user.
    pub uids: (Option<u32>, Option<u32>),
    /// It got privileges by its file.
    pub is_setuid: bool,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Wall time in ns.
    pub t: i64,
    /// Exit code.
    pub code: Option<u8>,
    /// Signal that ended it.
    pub signal: Option<String>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Who made it; where the fork was not seen, its parent when it was first seen.
    pub parent: Option<ProcessKey>,
    /// When it was made; `None` when that was not seen.
    pub born: Option<i64>,
    /// Time of its first event.
    pub first: i64,
    /// What it ran, in order.
    pub programs: Vec<Program>,
    /// The program it ran when it was first seen, where its start was not.
    pub exe: Option<String>,
    /// Its end.
    pub end: Option<End>,
    /// The parent that it got when its own went away.
    pub adopted: Option<ProcessKey>,
}

/// Processes by their keys.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    processes: BTreeMap<ProcessKey, Process>,
    beyond: u64,
}

impl Tree {
    /// Takes an event of a process.
    pub fn add(&mut self, record: &Record<'_>) {
        let Some((t, key)) = record.wall_ns().zip(key_of(&record.key)) else { return };
        let parent = key_of(&record.pkey);
        let Some(process) = self.entry(key, t) else { return };
        if process.parent.is_none() {
            process.parent = parent;
        } else if parent.is_some() && process.parent != parent {
            process.adopted = parent;
        }
        if process.exe.is_none() && record.kind != Some(Kind::Exec) {
            process.exe = owned(&record.exe);
        }
        match record.kind {
            Some(Kind::Exec) if process.programs.len() < PROGRAMS => {
                process.programs.push(program(record, t))
            }
            Some(Kind::Exit) if !record.has_flag("thread") => {
                process.end = Some(End { t, code: record.code, signal: owned(&record.signal) });
            }
            Some(Kind::Fork) if !record.has_flag("thread") => self.born(record, key, t),
            _ => {}
        }
    }

    /// Takes only what a fork says of the new process.
    pub fn add_child(&mut self, record: &Record<'_>) {
        if let Some((t, parent)) = record.wall_ns().zip(key_of(&record.key)) {
            self.born(record, parent, t);
        }
    }

    fn born(&mut self, record: &Record<'_>, parent: ProcessKey, t: i64) {
        let Some(child) = key_of(&record.child_key) else { return };
        let exe = owned(&record.exe);
        if let Some(process) = self.entry(child, t) {
            (process.parent, process.born) = (Some(parent), Some(t));
            process.exe = process.exe.take().or(exe);
        }
    }

    fn entry(&mut self, key: ProcessKey, t: i64) -> Option<&mut Process> {
        if self.processes.len() >= CAPACITY && !self.processes.contains_key(&key) {
            self.beyond += 1;
            return None;
        }
        Some(self.processes.entry(key).or_insert_with(|| Process { first: t, ..Process::default() }))
    }

    /// A process.
    #[must_use]
    pub fn get(&self, key: &ProcessKey) -> Option<&Process> {
        self.processes.get(key)
    }

    /// Every process, by its key.
    pub fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Process)> {
        self.processes.iter()
    }

    /// Events of processes that were too many to keep.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Each process with the depth below its root: parents before children, children by their beginning. A process
    /// whose parent is not among those that `is_shown` is a root.
    #[must_use]
    pub fn walk(&self, is_shown: &dyn Fn(&ProcessKey, &Process) -> bool) -> Vec<(usize, ProcessKey)> {
        let shown: Vec<(&ProcessKey, &Process)> =
            self.processes.iter().filter(|(key, process)| is_shown(key, process)).collect();
        let mut children: BTreeMap<Option<ProcessKey>, Vec<ProcessKey>> = BTreeMap::new();
        for (key, _) in &shown {
            children.entry(self.shown_parent(key, is_shown)).or_default().push(**key);
        }
        for list in children.values_mut() {
            list.sort_by_key(|key| (self.processes.get(key).map(|process| process.first), *key));
        }
        let mut order = Vec::with_capacity(shown.len());
        let mut open: Vec<(usize, ProcessKey)> = roots(&children);
        while let Some((depth, key)) = open.pop() {
            order.push((depth, key));
            let below = children.get(&Some(key)).into_iter().flatten().rev();
            open.extend(below.map(|child| (depth + 1, *child)));
        }
        order
    }

    /// The nearest shown process above. A damaged record could hold a ring of parents, so that has an end.
    fn shown_parent(
        &self,
        key: &ProcessKey,
        is_shown: &dyn Fn(&ProcessKey, &Process) -> bool,
    ) -> Option<ProcessKey> {
        let mut above = self.processes.get(key)?.parent;
        for _ in 0..DEPTH {
            let parent = above?;
            let process = self.processes.get(&parent)?;
            // A parent is older than its children.
            if parent.start > key.start || parent == *key {
                return None;
            }
            if is_shown(&parent, process) {
                return Some(parent);
            }
            above = process.parent;
        }
        None
    }

    /// Whether `key` is `root` or below it.
    #[must_use]
    pub fn is_below(&self, key: &ProcessKey, root: &ProcessKey) -> bool {
        let mut above = Some(*key);
        for _ in 0..DEPTH {
            match above {
                Some(found) if found == *root => return true,
                Some(found) => above = self.processes.get(&found).and_then(|process| process.parent),
                None => return false,
            }
        }
        false
    }
}

impl Process {
    /// The program at the end.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.programs.last()
    }

    /// Whether it ran at that time, as far as is known.
    #[must_use]
    pub fn ran_at(&self, t: i64) -> bool {
        let began = self.born.is_none_or(|born| born <= t);
        began && self.end.as_ref().is_none_or(|end| t <= end.t)
    }
}

fn roots(children: &BTreeMap<Option<ProcessKey>, Vec<ProcessKey>>) -> Vec<(usize, ProcessKey)> {
    children.get(&None).into_iter().flatten().rev().map(|key| (0, *key)).collect()
}

fn program(record: &Record<'_>, t: i64) -> Program {
    Program {
        t,
        seq: record.seq,
        exe: owned(&record.exe),
        argv: record.argv.iter().flatten().map(|argument| argument.as_str().to_owned()).collect(),
        uids: (record.uid, record.euid),
        is_setuid: record.has_flag("setuid"),
    }
}

/// A process key of an event.
#[must_use]
pub fn key_of(text: &Option<Text<'_>>) -> Option<ProcessKey> {
    text.as_ref().and_then(|text| ProcessKey::parse(text.as_str()))
}

fn owned(text: &Option<Text<'_>>) -> Option<String> {
    text.as_ref().map(|text| text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tree: &mut Tree, t: u32, kind: &str, (pid, parent): (u32, u32), more: &str) {
        let line = format!(
            "{{\"seq\":{t},\"t\":\"2026-11-24T00:00:{t:02}.000000000Z\",\"mono\":1,\"kind\":\"{kind}\",\"result\":\"ok\",\
             \"pid\":{pid},\"key\":\"0000000a-{pid}-{pid}\",\"pkey\":\"0000000a-{parent}-{parent}\"{more},\"flags\":[]}}"
        );
        tree.add(&Record::parse(line.as_bytes()).unwrap());
    }

    #[test]
    fn a_tree_follows_forks_whoever_the_parent_is_later() {
        let mut tree = Tree::default();
        add(&mut tree, 1, "fork", (2, 1), ",\"child_key\":\"0000000a-3-3\",\"exe\":\"/bin/sh\"");
        add(&mut tree, 2, "exec", (3, 2), ",\"exe\":\"/bin/ls\",\"argv\":[\"ls\"]");
        add(&mut tree, 3, "fork", (2, 1), ",\"child_key\":\"0000000a-4-4\"");
        add(&mut tree, 4, "fork", (3, 2), ",\"child_key\":\"0000000a-5-5\"");
        add(&mut tree, 5, "exit", (3, 2), ",\"code\":0");
        add(&mut tree, 6, "exit", (5, 1), ",\"code\":1");
        let walk: Vec<(usize, u32)> =
            tree.walk(&|_, _| true).into_iter().map(|(depth, key)| (depth, key.pid)).collect();
        assert_eq!(walk, [(0, 2), (1, 3), (2, 5), (1, 4)]);
        let key = |pid: u32| ProcessKey { boot: 10, pid, start: pid.into() };
        assert_eq!(tree.get(&key(5)).unwrap().adopted, Some(key(1)));
        assert!(tree.is_below(&key(5), &key(2)) && !tree.is_below(&key(4), &key(3)));
        // Without the shell in between, its children stay below what is shown.
        let without: Vec<(usize, u32)> =
            tree.walk(&|key, _| key.pid != 3).into_iter().map(|(depth, key)| (depth, key.pid)).collect();
        assert_eq!(without, [(0, 2), (1, 4), (1, 5)]);
        let end = tree.get(&key(3)).unwrap().end.clone().unwrap().t;
        assert!(tree.get(&key(3)).unwrap().ran_at(end) && !tree.get(&key(3)).unwrap().ran_at(end + 1));
    }
}
