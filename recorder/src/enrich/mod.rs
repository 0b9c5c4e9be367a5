//! Who did it: completes events from the process table, cgroups and PAM calls.

pub mod cgroup;
pub mod guard;
pub mod mounts;
pub mod pam;
pub mod process_table;
pub mod procfs;
pub mod roots;
pub mod scope;
pub mod users;

use std::borrow::Cow;
use std::path::Path;

use recorder_common::sample::flag;

use crate::event::decode::PamCall;
use crate::event::{Body, Event, Kind, Task};
use cgroup::CgroupTable;
use guard::Guard;
use mounts::Mounts;
use pam::PamTable;
use process_table::ProcessTable;
use procfs::{ProcessId, Procfs};
use roots::Roots;
use scope::Scope;

/// What is known about the host's processes; it learns from every event that passes. Takes its time from the events,
/// which come in the order of their time.
#[derive(Debug)]
pub struct Enricher {
    procfs: Procfs,
    processes: ProcessTable,
    cgroups: CgroupTable,
    pam: PamTable,
    roots: Roots,
    scope: Scope,
    guard: Guard,
    /// Environment variables that are kept.
    names: Vec<Vec<u8>>,
}

impl Enricher {
    /// Starts with the processes and mounts that the given /proc shows now; excludes nothing by configuration.
    #[must_use]
    pub fn new(procfs_root: &Path) -> Self {
        let procfs = Procfs::new(procfs_root);
        let mut processes = ProcessTable::default();
        processes.snapshot(&procfs);
        let mounts = Mounts::parse(&procfs.own_mountinfo().unwrap_or_default());
        let cgroups = CgroupTable::new(&mounts);
        Self {
            procfs,
            processes,
            cgroups,
            pam: PamTable::default(),
            roots: Roots::default(),
            scope: Scope::default(),
            guard: Guard::default(),
            names: Vec::new(),
        }
    }

    /// How many processes are known: at first those that ran before.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// With the configuration's rules of what is recorded.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Keeps these variables of each program's environment; all others are forgotten here.
    #[must_use]
    pub fn keeping(self, names: &[String]) -> Self {
        Self { names: names.iter().map(|name| name.as_bytes().to_vec()).collect(), ..self }
    }

    /// Watches over the store at `path`, which this process and `helper` write to; checkpoints are in `state_dir`.
    #[must_use]
    pub fn guarding(self, path: &Path, state_dir: &Path, helper: Option<u32>) -> Self {
        let guard = Guard::new(path, state_dir, helper, &self.procfs);
        Self { guard, ..self }
    }

    /// Completes an event; `None` when it is out of scope and not to be recorded.
    pub fn enrich<'a>(&'a mut self, mut event: Event<'a>) -> Option<Event<'a>> {
        // Both look: the scope learns of mounts. What touches the store is recorded whatever is excluded.
        let is_admitted = self.scope.admits(&mut event, &self.procfs);
        if self.guard.is_checkpoint(&event) || (!self.guard.marks(&mut event) && !is_admitted) {
            return None;
        }
        self.learn(&event);
        self.complete(&mut event);
        Some(event)
    }

    /// Takes a call into libpam; the event is the login fact that it decided, if it did.
    pub fn pam<'a>(&'a mut self, call: PamCall<'a>) -> Option<Event<'a>> {
        let mut event = self.pam.call(call)?;
        self.learn(&event);
        self.complete(&mut event);
        Some(event)
    }

    fn learn(&mut self, event: &Event<'_>) {
        let Some(task) = &event.task else { return };
        let (process, mono) = (process(task), event.mono);
        if event.kind == Kind::Exec {
            self.processes.exec(process, task.exe.as_deref(), mono);
        } else {
            self.processes.learn(process, mono, &self.procfs);
        }
        match &event.body {
            Body::Fork(fork) => {
                let child = ProcessId::new(fork.child_pid, fork.child_start);
                self.processes.fork(process, child, mono);
            }
            Body::Exit(_) if event.flags & flag::THREAD == 0 => {
                self.processes.exit(process, mono);
                self.pam.exit(task.pid);
            }
            Body::Exit(_)
            | Body::Exec(_)
            | Body::File(_)
            | Body::Login(_)
            | Body::Credential(_)
            | Body::System(_)
            | Body::Recorder(_) => {}
        }
        self.cgroups.learn(task.cgroup_id, process, mono, &self.procfs);
        self.roots.learn(task, shown_root(event), mono, &self.procfs);
    }

    fn complete<'a>(&'a self, event: &mut Event<'a>) {
        let Some(task) = &mut event.task else { return };
        if task.exe.is_none() && event.kind != Kind::Exec {
            task.exe = self.processes.exe(process(task), event.mono).map(Cow::Borrowed);
        }
        if let Some(cgroup) = self.cgroups.get(task.cgroup_id) {
            task.cgroup = Some(Cow::Borrowed(&cgroup.path));
            task.container = cgroup.container.as_deref().map(Cow::Borrowed);
        }
        task.root = self.roots.get(task).map(Cow::Borrowed);
        if let Body::Exec(exec) = &mut event.body {
            exec.env.retain(|variable| self.is_kept(variable));
        }
    }

    fn is_kept(&self, variable: &[u8]) -> bool {
        self.names
            .iter()
            .any(|name| variable.strip_prefix(&name[..]).is_some_and(|rest| rest.starts_with(b"=")))
    }
}

/// The root directory as the kernel walked it, on the events that have it.
fn shown_root<'a>(event: &'a Event<'_>) -> Option<&'a [u8]> {
    match &event.body {
        Body::Exec(exec) => exec.root.as_deref(),
        Body::System(system) if system.call == "chroot" && event.errno == 0 => system.path.as_deref(),
        _ => None,
    }
}

fn process(task: &Task<'_>) -> ProcessId {
    ProcessId::new(task.pid, task.start)
}

#[cfg(test)]
mod tests {
    use super::procfs::tests::FakeProc;
    use super::*;
    use crate::event::{Exit, File, Fork};

    fn event(pid: u32, kind: Kind, mono: u64, body: Body<'static>) -> Event<'static> {
        let task = Task { pid, start: u64::from(pid) * 10_000_000, ..Task::default() };
        Event { mono, kind, errno: 0, task: Some(task), flags: 0, body }
    }

    fn exe(event: Option<Event<'_>>) -> String {
        let exe = event.unwrap().task.unwrap().exe;
        String::from_utf8(exe.unwrap_or_default().into_owned()).unwrap()
    }

    #[test]
    fn an_event_gets_the_program_of_its_process() {
        let fake = FakeProc::new();
        fake.process(1, 1, Some("/sbin/init"));
        let mut enricher = Enricher::new(fake.directory.path());
        let write = |pid, mono| event(pid, Kind::FileWrite, mono, Body::File(File::default()));
        assert_eq!(exe(enricher.enrich(write(1, 5))), "/sbin/init");

        let fork = Fork { child_pid: 2, child_tid: 2, child_start: 20_000_000 };
        assert_eq!(exe(enricher.enrich(event(1, Kind::Fork, 6, Body::Fork(fork)))), "/sbin/init");
        assert_eq!(exe(enricher.enrich(write(2, 7))), "/sbin/init");
        let mut exec = event(2, Kind::Exec, 8, Body::Exec(crate::event::Exec::default()));
        exec.task.as_mut().unwrap().exe = Some(Cow::Borrowed(b"/bin/dd"));
        assert_eq!(exe(enricher.enrich(exec)), "/bin/dd");
        assert_eq!(exe(enricher.enrich(write(2, 9))), "/bin/dd");
        assert_eq!(exe(enricher.enrich(event(2, Kind::Exit, 10, Body::Exit(Exit::default())))), "/bin/dd");
        assert_eq!(exe(enricher.enrich(write(2, 11))), "/bin/dd", "a late event of an ended process");
        assert_eq!(exe(enricher.enrich(write(3, 12))), "", "unknown");
    }
}
