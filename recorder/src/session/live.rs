//! The processes of sessions that run, as forks and exits tell. Bounded.

use std::collections::{HashMap, HashSet, VecDeque};

use super::key::{ProcessKey, SessionKey};

/// Most processes followed at once.
const CAPACITY: usize = 1 << 18;
/// Processes that ended lately: their last events may come behind their exit, from another ring.
const GONE: usize = 1 << 13;

/// A process of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its session.
    pub session: SessionKey,
    /// Who made it.
    pub parent: Option<ProcessKey>,
    /// Its effective user when it last started a program, or was made.
    pub euid: Option<u32>,
    /// The innermost step that it is behind.
    pub step: Option<usize>,
    /// Its program has privileges by its file, so that it changes users as it likes.
    pub is_setuid: bool,
    /// The kernel does not count it to its session any more.
    pub is_escaped: bool,
    /// How often the recorder had started when it was last seen.
    pub round: u32,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Live {
    processes: HashMap<ProcessKey, Process>,
    gone: HashSet<ProcessKey>,
    gone_order: VecDeque<ProcessKey>,
    /// Those that events can't be told to belong to by the kernel's session alone.
    loose: usize,
    beyond: u64,
}

impl Live {
    /// A process, while it runs.
    #[must_use]
    pub fn get(&self, key: &ProcessKey) -> Option<&Process> {
        self.processes.get(key)
    }

    /// As [`get`](Self::get). Session and escape must not be changed through it.
    pub fn get_mut(&mut self, key: &ProcessKey) -> Option<&mut Process> {
        self.processes.get_mut(key)
    }

    /// A process by its number.
    #[must_use]
    pub fn by_pid(&self, boot: u32, pid: u32) -> Option<(&ProcessKey, &Process)> {
        self.processes.iter().find(|(key, _)| key.boot == boot && key.pid == pid)
    }

    /// Whether it ended a short while ago.
    #[must_use]
    pub fn is_gone(&self, key: &ProcessKey) -> bool {
        self.gone.contains(key)
    }

    /// Whether there are processes whose session only this table knows.
    #[must_use]
    pub const fn has_loose(&self) -> bool {
        self.loose > 0
    }

    /// Processes that were too many to follow.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Every process.
    pub fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Process)> {
        self.processes.iter()
    }

    /// Adds or replaces a process; false when there is no room.
    pub fn put(&mut self, key: ProcessKey, process: Process) -> bool {
        if self.processes.len() >= CAPACITY && !self.processes.contains_key(&key) {
            self.beyond += 1;
            return false;
        }
        self.loose += usize::from(is_loose(&process));
        if let Some(before) = self.processes.insert(key, process) {
            self.loose -= usize::from(is_loose(&before));
        }
        true
    }

    /// A process ended.
    pub fn remove(&mut self, key: &ProcessKey) -> Option<Process> {
        if self.gone.insert(*key) {
            self.gone_order.push_back(*key);
        }
        if self.gone_order.len() > GONE
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
        let process = self.processes.remove(key)?;
        self.loose -= usize::from(is_loose(&process));
        Some(process)
    }

    /// Forgets the processes of other boots.
    pub fn keep_boot(&mut self, boot: u32) {
        self.processes.retain(|key, _| key.boot == boot);
        self.loose = self.processes.values().filter(|process| is_loose(process)).count();
    }
}

const fn is_loose(process: &Process) -> bool {
    process.is_escaped || matches!(process.session, SessionKey::Pam(_))
}
