//! Steps to other users: by the kernel's word (who runs a program), joined with PAM's.

use super::{Fold, Seen};
use crate::event::record::Text;
use crate::session::key::SessionKey;
use crate::session::login::{PamFacts, Step};

/// Most steps kept of one session.
const STEPS: usize = 256;

impl Fold {
    /// A program was started: with privileges by its file, or by another user than the one before.
    pub(super) fn exec(&mut self, seen: &Seen<'_, '_>) {
        let Some(key) = seen.session else { return };
        let is_setuid = seen.record.has_flag("setuid");
        let Some(process) = self.live.get_mut(&seen.process) else { return };
        let (before, within) = (process.euid, process.step);
        process.euid = seen.record.euid;
        process.is_setuid = is_setuid;
        let after = seen.record.euid;
        if is_setuid {
            let caps = seen.record.caps_gained.as_ref().map(|caps| caps.as_str().to_owned());
            let step = Step {
                gained_uid: after,
                gained_caps: caps,
                from_uid: before.or(seen.record.uid),
                ..self.blank(seen, within)
            };
            self.add_step(seen, key, step);
            return;
        }
        let session = self.session(key, seen.t);
        let around = within.and_then(|at| session.steps.get_mut(at));
        match around {
            Some(step) if step.to_uid.is_none() => step.to_uid = after,
            _ if before == after || before.is_none() => {}
            // sshd becomes the user who logged in: that is the session itself.
            None if after == session.loginuid => {}
            // Whoever is root gives privileges up, and needs no step for it.
            _ if before == Some(0) => {}
            _ => {
                let step = Step { from_uid: before, to_uid: after, ..self.blank(seen, within) };
                self.add_step(seen, key, step);
            }
        }
    }

    /// Root without a program that gives it. Programs with privileges by their file change users as they like.
    pub(super) fn credential(&mut self, seen: &Seen<'_, '_>) {
        let record = seen.record;
        let was_root = [record.old_uid, record.old_euid].contains(&Some(0));
        let Some(key) = seen.session.filter(|_| record.is_ok() && !was_root && record.euid == Some(0)) else {
            return;
        };
        let Some(process) = self.live.get_mut(&seen.process).filter(|process| !process.is_setuid) else {
            return;
        };
        process.euid = Some(0);
        let within = process.step;
        let step = Step { from_uid: record.old_euid, to_uid: Some(0), ..self.blank(seen, within) };
        self.add_step(seen, key, step);
    }

    /// PAM opened a session inside of the session. The program that asked for it, or its parent, may be known already
    /// as one with privileges by its file.
    pub(super) fn pam_step(&mut self, seen: &Seen<'_, '_>, key: SessionKey, facts: PamFacts) {
        let process = self.live.get(&seen.process).copied();
        let within = process.and_then(|process| process.step);
        let parent = process.and_then(|process| process.parent);
        let session = self.session(key, seen.t);
        let known = within.and_then(|at| session.steps.get_mut(at)).filter(|step| {
            step.pam.is_none() && (step.process == seen.process || Some(step.process) == parent)
        });
        if let Some(step) = known {
            step.pam = Some(facts);
            // What ran before were helpers of PAM.
            step.to_uid = None;
            step.pam_process = Some(seen.process);
            return;
        }
        let blank = self.blank(seen, within);
        let step =
            Step { pam: Some(facts), pam_process: Some(seen.process), from_uid: seen.record.euid, ..blank };
        self.add_step(seen, key, step);
    }

    fn blank(&self, seen: &Seen<'_, '_>, within: Option<usize>) -> Step {
        Step {
            t: seen.t,
            process: seen.process,
            program: seen.record.exe.as_ref().map(Text::as_str).map(str::to_owned),
            within,
            from_uid: None,
            gained_uid: None,
            gained_caps: None,
            to_uid: None,
            pam: None,
            pam_process: None,
            closed: None,
        }
    }

    fn add_step(&mut self, seen: &Seen<'_, '_>, key: SessionKey, step: Step) {
        let session = self.session(key, seen.t);
        session.counts.steps += 1;
        if session.steps.len() >= STEPS {
            return;
        }
        session.steps.push(step);
        let at = session.steps.len() - 1;
        if let Some(process) = self.live.get_mut(&seen.process) {
            process.step = Some(at);
        }
    }
}
