//! What the kernel's events say of sessions: begun, joined, left, ended.

use super::{Fold, Seen};
use crate::event::record::Record;
use crate::session::doubt::What;
use crate::session::key::{ProcessKey, SessionKey};
use crate::session::live::Process;
use crate::session::login::Begun;

impl Fold {
    /// The recorder began to record: on another boot, or after a time that nobody recorded.
    pub(super) fn started(&mut self, record: &Record<'_>, t: i64) {
        let boot = match record.value("boot") {
            Some(serde_json::Value::String(boot)) => {
                boot.get(..8).and_then(|boot| u32::from_str_radix(boot, 16).ok())
            }
            _ => None,
        };
        let Some(boot) = boot else { return };
        self.boot = Some(boot);
        self.round += 1;
        self.live.keep_boot(boot);
        let since = self.stopped.take().unwrap_or(if self.last == 0 { t } else { self.last });
        for session in self.sessions.values_mut().filter(|session| session.ended.is_none()) {
            if session.key.boot() == boot {
                session.unrecorded_since = Some(since);
            } else {
                session.is_boot_over = true;
                session.running = 0;
            }
        }
    }

    /// The login user of a process was set, unset, or refused to be.
    pub(super) fn session_id(&mut self, seen: &Seen<'_, '_>) {
        let before = self.live.get(&seen.process).copied();
        let old = before.map(|process| process.session);
        let in_kernel_session = matches!(old, Some(SessionKey::Kernel { .. }));
        if !seen.record.is_ok() {
            if let Some(key) = seen.session {
                self.touch(seen, key);
                self.doubt(key, seen, What::Tried(seen.record.result.as_str().to_owned()));
            }
            return;
        }
        let Some(id) = seen.record.session else {
            if let (Some(old), Some(before)) = (old, before)
                && in_kernel_session
            {
                self.doubt(old, seen, What::Reset);
                self.live.put(seen.process, Process { is_escaped: true, ..before });
            }
            return;
        };
        let new = SessionKey::Kernel { boot: seen.process.boot, id };
        let within = old.filter(|old| *old != new);
        if let Some(old) = within.filter(|_| in_kernel_session) {
            self.doubt(old, seen, What::Rewritten { loginuid: seen.record.loginuid, to: new });
            self.doubt(new, seen, What::BegunWithin(old));
        }
        self.touch(seen, new);
        let session = self.session(new, seen.t);
        session.loginuid = seen.record.loginuid;
        session.begun = Some(Begun { t: seen.t, process: seen.process, within });
    }

    /// A new process belongs where its parent does.
    pub(super) fn fork(&mut self, seen: &Seen<'_, '_>) {
        let Some(key) = seen.session else { return };
        let child = seen.record.child_key.as_ref().and_then(|key| ProcessKey::parse(key.as_str()));
        let Some(child) = child.filter(|_| !seen.record.has_flag("thread")) else { return };
        if self.live.is_gone(&child) || self.live.get(&child).is_some() {
            return;
        }
        let parent = self.live.get(&seen.process).copied();
        let process = Process {
            session: key,
            parent: Some(seen.process),
            euid: parent.map_or(seen.record.euid, |parent| parent.euid),
            step: parent.and_then(|parent| parent.step),
            is_setuid: parent.is_some_and(|parent| parent.is_setuid),
            is_escaped: parent.is_some_and(|parent| parent.is_escaped),
            round: self.round,
        };
        if self.live.put(child, process) {
            let session = self.session(key, seen.t);
            session.running += 1;
            session.ended = None;
            session.counts.processes += 1;
        }
    }

    pub(super) fn exit(&mut self, seen: &Seen<'_, '_>) {
        if seen.record.has_flag("thread") {
            return;
        }
        if let Some(process) = self.live.remove(&seen.process) {
            self.leave(process.session, seen.t);
        }
    }

    /// Only who takes hold of something of another session is a doubt.
    pub(super) fn ptrace(&mut self, seen: &Seen<'_, '_>) {
        let Some(target) = seen.record.target.filter(|target| *target > 0 && seen.record.is_ok()) else {
            return;
        };
        let boot = seen.process.boot;
        let of_target = self.live.by_pid(boot, target).map(|(_, process)| process.session);
        if of_target == seen.session {
            return;
        }
        let command = seen.record.command.as_ref().or(seen.record.call.as_ref());
        let command = command.map(|command| command.as_str().to_owned()).unwrap_or_default();
        if let Some(key) = seen.session {
            self.doubt(key, seen, What::Traced { target, session: of_target, command: command.clone() });
        }
        if let Some(key) = of_target {
            self.doubt(key, seen, What::TracedBy { target, session: seen.session, command });
        }
    }
}
