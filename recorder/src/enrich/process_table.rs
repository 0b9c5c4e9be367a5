//! Which program each process runs: filled by exec, inherited at fork, kept for a while after exit. Bounded, and takes
//! its time from the events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::procfs::{ProcessId, Procfs};

/// Most processes remembered.
const CAPACITY: usize = 65_536;
/// How long a process is remembered after its exit, so that events still in another ring find it.
const LINGER_NS: u64 = 5_000_000_000;
/// Earlier programs remembered for one process.
const HISTORY: usize = 4;

type Program = Option<Arc<[u8]>>;

/// A process and its programs; events of several rings need not come in order.
#[derive(Clone, Debug)]
struct Entry {
    /// Program now, and since when.
    program: Program,
    since: u64,
    /// Earlier ones, newest first.
    earlier: Vec<(Program, u64)>,
}

impl Entry {
    const fn new(program: Program, since: u64) -> Self {
        Self { program, since, earlier: Vec::new() }
    }

    fn at(&self, mono: u64) -> &Program {
        if mono >= self.since {
            return &self.program;
        }
        let earlier = self.earlier.iter().find(|(_, since)| mono >= *since);
        // Older than all that is known: the oldest is the nearest.
        earlier.or(self.earlier.last()).map_or(&self.program, |(program, _)| program)
    }
}

/// The programs of all processes.
#[derive(Clone, Debug)]
pub struct ProcessTable {
    entries: HashMap<ProcessId, Entry>,
    exited: VecDeque<(u64, ProcessId)>,
    capacity: usize,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl ProcessTable {
    fn with_capacity(capacity: usize) -> Self {
        Self { entries: HashMap::new(), exited: VecDeque::new(), capacity }
    }

    /// Takes over every process that runs now.
    pub fn snapshot(&mut self, procfs: &Procfs) {
        for (process, exe) in procfs.processes() {
            self.insert(process, Entry::new(exe.map(Arc::from), 0));
        }
    }

    /// Number of processes remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A process began to run this program.
    pub fn exec(&mut self, process: ProcessId, exe: Option<&[u8]>, mono: u64) {
        let program: Program = exe.map(Arc::from);
        match self.entries.get_mut(&process) {
            Some(entry) => {
                let before = std::mem::replace(&mut entry.program, program);
                entry.earlier.insert(0, (before, entry.since));
                entry.earlier.truncate(HISTORY);
                entry.since = mono;
            }
            None => self.insert(process, Entry::new(program, mono)),
        }
    }

    /// A process was made and runs what its parent runs.
    pub fn fork(&mut self, parent: ProcessId, child: ProcessId, mono: u64) {
        if parent == child {
            return;
        }
        if let Some(program) = self.entries.get(&parent).map(|entry| entry.at(mono).clone())
            && !self.entries.contains_key(&child)
        {
            self.insert(child, Entry::new(program, mono));
        }
    }

    /// A process ended; it is forgotten some seconds later.
    pub fn exit(&mut self, process: ProcessId, mono: u64) {
        self.forget_before(mono.saturating_sub(LINGER_NS));
        if self.entries.contains_key(&process) {
            self.exited.push_back((mono, process));
        }
    }

    /// Makes sure that the process is known, if need be by one look into /proc. No program is an answer too, and stands
    /// for some seconds.
    pub fn learn(&mut self, process: ProcessId, mono: u64, procfs: &Procfs) {
        if self.entries.contains_key(&process) {
            return;
        }
        let program: Program = procfs.exe(process).map(Arc::from);
        if program.is_none() {
            self.exited.push_back((mono, process));
        }
        self.insert(process, Entry::new(program, 0));
    }

    /// The program that a process ran at this time.
    #[must_use]
    pub fn exe(&self, process: ProcessId, mono: u64) -> Option<&[u8]> {
        self.entries.get(&process).and_then(|entry| entry.at(mono).as_deref())
    }

    fn insert(&mut self, process: ProcessId, entry: Entry) {
        while self.entries.len() >= self.capacity {
            let victim = self.exited.pop_front().map(|(_, process)| process);
            let Some(victim) = victim.or_else(|| self.entries.keys().next().copied()) else { break };
            self.entries.remove(&victim);
        }
        self.entries.insert(process, entry);
    }

    fn forget_before(&mut self, mono: u64) {
        while let Some(&(exit, process)) = self.exited.front()
            && exit < mono
        {
            self.exited.pop_front();
            self.entries.remove(&process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::FakeProc;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn process(pid: u32) -> ProcessId {
        ProcessId::new(pid, u64::from(pid) * SECOND)
    }

    #[test]
    fn programs_follow_fork_and_exec_whatever_the_order_of_questions() {
        let mut table = ProcessTable::default();
        table.exec(process(1), Some(b"/bin/sh"), 10);
        table.fork(process(1), process(2), 20);
        table.exec(process(2), Some(b"/bin/ls"), 30);
        table.exec(process(2), Some(b"/bin/cat"), 40);
        let asked = [5, 25, 35, 45].map(|mono| table.exe(process(2), mono).unwrap_or_default());
        assert_eq!(asked, [&b"/bin/sh"[..], b"/bin/sh", b"/bin/ls", b"/bin/cat"]);
        assert_eq!(table.exe(process(1), 50), Some(&b"/bin/sh"[..]));
        assert_eq!(table.exe(process(3), 50), None);
    }

    #[test]
    fn an_exited_process_lingers_and_then_goes() {
        let mut table = ProcessTable::default();
        table.exec(process(1), Some(b"/bin/sh"), SECOND);
        table.exit(process(1), 2 * SECOND);
        assert_eq!(table.exe(process(1), 2 * SECOND), Some(&b"/bin/sh"[..]));
        table.exit(process(9), 6 * SECOND);
        assert_eq!(table.len(), 1);
        table.exit(process(9), 8 * SECOND);
        assert!(table.is_empty());
    }

    #[test]
    fn a_full_table_drops_the_exited_first() {
        let mut table = ProcessTable::with_capacity(3);
        for pid in 1..=3 {
            table.exec(process(pid), Some(b"/x"), SECOND);
        }
        table.exit(process(2), SECOND);
        table.exec(process(4), Some(b"/y"), SECOND);
        assert_eq!(table.exe(process(2), SECOND), None);
        assert!([1, 3, 4].iter().all(|&pid| table.exe(process(pid), SECOND).is_some()));
        table.exec(process(5), Some(b"/z"), SECOND);
        assert_eq!(table.len(), 3);
        assert_eq!(table.exe(process(5), SECOND), Some(&b"/z"[..]));
    }

    #[test]
    fn proc_is_asked_once_for_an_unknown_process() {
        let fake = FakeProc::new();
        fake.process(7, 700, Some("/usr/sbin/sshd"));
        let procfs = fake.procfs();
        let mut table = ProcessTable::default();
        table.snapshot(&procfs);
        assert_eq!(table.exe(process(7), 0), Some(&b"/usr/sbin/sshd"[..]));

        table.learn(process(8), SECOND, &procfs);
        fake.process(8, 800, Some("/bin/late"));
        table.learn(process(8), SECOND, &procfs);
        assert_eq!(table.exe(process(8), 0), None, "the first answer stands");
        table.exit(process(7), 9 * SECOND);
        table.learn(process(8), 9 * SECOND, &procfs);
        assert_eq!(table.exe(process(8), 0), Some(&b"/bin/late"[..]), "but not for ever");
        fake.process(9, 900, Some("/bin/dd"));
        table.learn(process(9), SECOND, &procfs);
        assert_eq!(table.exe(process(9), 0), Some(&b"/bin/dd"[..]));
    }
}
