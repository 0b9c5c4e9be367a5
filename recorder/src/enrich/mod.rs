//! Who did it: completes events from the process table, cgroups and PAM calls.

pub mod process_table;
pub mod procfs;
pub mod users;

use std::borrow::Cow;
use std::path::Path;

use crate::event::{Body, Event, Kind};
use process_table::ProcessTable;
use procfs::{ProcessId, Procfs};
use recorder_common::sample::flag;

/// What is known about the host's processes; it learns from every event that passes.
#[derive(Debug)]
pub struct Enricher {
    procfs: Procfs,
    processes: ProcessTable,
}

impl Enricher {
    /// Starts with the processes that the given /proc shows now.
    #[must_use]
    pub fn new(procfs_root: &Path) -> Self {
        let procfs = Procfs::new(procfs_root);
        let mut processes = ProcessTable::default();
        processes.snapshot(&procfs);
        Self { procfs, processes }
    }

    /// Completes an event; `None` when it is out of scope and not to be recorded.
    pub fn enrich<'a>(&'a mut self, mut event: Event<'a>) -> Option<Event<'a>> {
        self.learn(&event);
        self.complete(&mut event);
        Some(event)
    }

    fn learn(&mut self, event: &Event<'_>) {
        let Some(task) = &event.task else { return };
        let process = ProcessId::new(task.pid, task.start);
        match (&event.body, event.kind) {
            (_, Kind::Exec) => self.processes.exec(process, task.exe.as_deref(), event.mono),
            (Body::Fork(fork), _) => {
                self.processes.learn(process, event.mono, &self.procfs);
                let child = ProcessId::new(fork.child_pid, fork.child_start);
                self.processes.fork(process, child, event.mono);
            }
            (Body::Exit(_), _) if event.flags & flag::THREAD == 0 => {
                self.processes.learn(process, event.mono, &self.procfs);
                self.processes.exit(process, event.mono);
            }
            _ => self.processes.learn(process, event.mono, &self.procfs),
        }
    }

    fn complete<'a>(&'a self, event: &mut Event<'a>) {
        let Some(task) = &mut event.task else { return };
        if task.exe.is_none() {
            let process = ProcessId::new(task.pid, task.start);
            task.exe = self.processes.exe(process, event.mono).map(Cow::Borrowed);
        }
    }
}
