//! Which events the canary itself made. They are left out of the record, so the rule is narrow: calls of its thread that
//! failed and name nothing, and the one process that it starts as long as that does nothing else.

use crate::event::decode::PamCall;
use crate::event::{Body, Credential, Event, Exec, File, Kind, System, Task};

use super::WORD;

/// The canary's thread, and its process while there is one.
#[derive(Debug)]
pub struct Own {
    process: u32,
    thread: u32,
    /// Pid and start of its process, and whether that has started the program.
    child: Option<((u32, u64), bool)>,
}

impl Own {
    /// The canary of this process on that thread.
    #[must_use]
    pub fn new(thread: u32) -> Self {
        Self { process: std::process::id(), thread, child: None }
    }

    /// Whether the event is the canary's own and nothing else. Learns which process is its own.
    pub fn is_event(&mut self, event: &Event<'_>) -> bool {
        let Some(task) = &event.task else { return false };
        if self.is_child(task) {
            return self.is_of_child(event);
        }
        if task.pid != self.process || task.tid != self.thread {
            return false;
        }
        match &event.body {
            Body::Fork(fork) => {
                self.child = Some(((fork.child_pid, fork.child_start), false));
                true
            }
            Body::File(file) => event.errno != 0 && names_nothing(file),
            Body::Exec(exec) => event.kind == Kind::ExecFailed && is_unreadable(exec),
            Body::Credential(change) => event.errno != 0 && asks_for_nothing(change),
            Body::System(system) => event.errno != 0 && is_about_nothing(system),
            Body::Exit(_) | Body::Login(_) | Body::Recorder(_) => false,
        }
    }

    /// Whether the call into libpam is the canary's own: no program that logs somebody in has no handle.
    #[must_use]
    pub fn is_call(&self, call: &PamCall<'_>) -> bool {
        let has_started = self.child.is_some_and(|(_, has_started)| has_started);
        has_started && self.is_child(&call.task) && call.handle == 0
    }

    fn is_child(&self, task: &Task<'_>) -> bool {
        self.child.is_some_and(|(child, _)| child == (task.pid, task.start))
    }

    /// It may start this recorder as the canary's process, once, and end. Whatever else it does is recorded.
    fn is_of_child(&mut self, event: &Event<'_>) -> bool {
        match (&event.body, &mut self.child) {
            (Body::Exec(exec), Some((_, has_started))) if event.kind == Kind::Exec && !*has_started => {
                *has_started = is_canary(exec);
                // Another program is nobody of ours.
                if !*has_started {
                    self.child = None;
                }
                self.child.is_some()
            }
            (Body::Exit(_), child) => {
                *child = None;
                true
            }
            _ => false,
        }
    }
}

fn names_nothing(file: &File<'_>) -> bool {
    file.path.is_none() && file.path_to.is_none() && file.inode.is_none()
}

/// No id, no group, no capability.
fn asks_for_nothing(change: &Credential<'_>) -> bool {
    let is_none = |id: &(&str, u32)| id.1 == u32::MAX;
    change.ids_set.iter().flatten().all(is_none)
        && change.groups_set.is_none_or(<[u8]>::is_empty)
        && change.caps_set.is_none_or(|caps| caps == 0)
        && (change.caps_gained, change.caps_lost) == (0, 0)
}

/// No file, no name, no process that exists.
fn is_about_nothing(system: &System<'_>) -> bool {
    system.path.is_none()
        && system.name.is_none_or(<[u8]>::is_empty)
        && system.params.is_none_or(<[u8]>::is_empty)
        && system.target.is_none_or(|target| target == u32::MAX)
}

fn is_canary(exec: &Exec<'_>) -> bool {
    exec.file == b"/proc/self/exe" && exec.argv.get(1).is_some_and(|word| **word == *WORD.as_bytes())
}

fn is_unreadable(exec: &Exec<'_>) -> bool {
    exec.file.is_empty() && exec.argv.is_empty()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::event::decode::PamFunction;
    use crate::event::{Exit, Fork};

    const THREAD: u32 = 77;

    fn task((pid, tid): (u32, u32), start: u64) -> Task<'static> {
        Task { pid, tid, start, ..Task::default() }
    }

    fn event(kind: Kind, errno: i32, task: Task<'static>, body: Body<'static>) -> Event<'static> {
        Event { mono: 1, kind, errno, task: Some(task), flags: 0, body }
    }

    fn file(path: Option<&'static [u8]>) -> Body<'static> {
        Body::File(File { path: path.map(Cow::Borrowed), ..File::default() })
    }

    fn system(path: Option<&'static [u8]>, target: Option<u32>) -> Body<'static> {
        Body::System(Box::new(System { path: path.map(Cow::Borrowed), target, ..System::default() }))
    }

    fn credential(uid: u32) -> Body<'static> {
        let ids_set = [Some(("uid_set", uid)), None, None];
        Body::Credential(Box::new(Credential { ids_set, ..Credential::default() }))
    }

    fn program(file: &'static [u8], word: &'static [u8]) -> Body<'static> {
        let argv = vec![Cow::Borrowed(&b"recorder"[..]), Cow::Borrowed(word)];
        Body::Exec(Exec { argv, argc: 2, file, ..Exec::default() })
    }

    #[test]
    fn only_failed_calls_without_a_name_on_the_canary_s_thread_are_its_own() {
        let mut own = Own::new(THREAD);
        let us = std::process::id();
        let mut is_own = |kind, errno, who, body| own.is_event(&event(kind, errno, task(who, 5), body));
        assert!(is_own(Kind::FileDelete, 14, (us, THREAD), file(None)));
        assert!(is_own(Kind::ExecFailed, 14, (us, THREAD), Body::Exec(Exec::default())));
        assert!(is_own(Kind::Ptrace, 3, (us, THREAD), system(None, Some(u32::MAX))));
        assert!(is_own(Kind::Credential, 22, (us, THREAD), credential(u32::MAX)));
        for (kind, errno, who, body) in [
            (Kind::Ptrace, 3, (us, THREAD), system(None, Some(1))),
            (Kind::Swap, 14, (us, THREAD), system(Some(b"/dev/sda"), None)),
            (Kind::Bpf, 0, (us, THREAD), system(None, None)),
            (Kind::Credential, 22, (us, THREAD), credential(0)),
            (Kind::FileDelete, 14, (us, THREAD + 1), file(None)),
            (Kind::FileDelete, 14, (us + 1, THREAD), file(None)),
            (Kind::FileDelete, 0, (us, THREAD), file(None)),
            (Kind::FileDelete, 2, (us, THREAD), file(Some(b"/etc/shadow"))),
            (Kind::Exec, 0, (us, THREAD), program(b"/proc/self/exe", b"canary")),
            (Kind::ExecFailed, 2, (us, THREAD), program(b"/bin/sh", b"-c")),
            (Kind::Exit, 0, (us, THREAD), Body::Exit(Exit::default())),
        ] {
            assert!(!is_own(kind, errno, who, body), "{kind:?} {errno} {who:?}");
        }
    }

    #[test]
    fn its_process_is_its_own_as_long_as_it_does_what_it_is_for() {
        let us = std::process::id();
        let fork = Body::Fork(Fork { child_pid: 9, child_tid: 9, child_start: 50 });
        let fork = event(Kind::Fork, 0, task((us, THREAD), 5), fork);
        let child = |kind, body| event(kind, 0, task((9, 9), 50), body);
        let mut own = Own::new(THREAD);
        assert!(!own.is_event(&child(Kind::Exit, Body::Exit(Exit::default()))), "not forked yet");
        assert!(own.is_event(&fork));
        assert!(!own.is_event(&child(Kind::FileCreate, file(None))));
        assert!(own.is_event(&child(Kind::Exec, program(b"/proc/self/exe", b"canary"))));
        assert!(!own.is_event(&child(Kind::Exec, program(b"/proc/self/exe", b"canary"))), "once");
        assert!(!own.is_event(&child(Kind::FileDelete, file(Some(b"/etc/passwd")))));
        assert!(own.is_event(&child(Kind::Exit, Body::Exit(Exit::default()))));
        assert!(!own.is_event(&child(Kind::Exit, Body::Exit(Exit::default()))), "the pid of another");

        assert!(own.is_event(&fork));
        assert!(!own.is_event(&child(Kind::Exec, program(b"/bin/sh", b"canary"))), "another program");
        assert!(!own.is_event(&child(Kind::Exit, Body::Exit(Exit::default()))), "its end is an event");
        assert!(own.is_event(&fork));
        let other = event(Kind::Exec, 0, task((9, 9), 51), program(b"/proc/self/exe", b"canary"));
        assert!(!own.is_event(&other), "another process with the same pid");
    }

    #[test]
    fn calls_into_libpam_without_a_handle_are_its_own() {
        let us = std::process::id();
        let mut own = Own::new(THREAD);
        let fork = Body::Fork(Fork { child_pid: 9, child_tid: 9, child_start: 50 });
        own.is_event(&event(Kind::Fork, 0, task((us, THREAD), 5), fork));
        let call = |handle, start| PamCall {
            mono: 1,
            task: task((9, 9), start),
            function: PamFunction::Authenticate,
            handle,
            result: 4,
            flags: 0,
            service: None,
            user: None,
            item: None,
        };
        assert!(!own.is_call(&call(0, 50)), "its program has not started");
        own.is_event(&event(Kind::Exec, 0, task((9, 9), 50), program(b"/proc/self/exe", b"canary")));
        assert!(own.is_call(&call(0, 50)));
        assert!(!own.is_call(&call(0x5000, 50)));
        assert!(!own.is_call(&call(0, 51)));
    }
}
