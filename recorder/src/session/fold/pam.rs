//! What PAM says: facts of sessions and steps, and failures.

use super::{AUTHENTICATIONS, Fold, Seen};
use crate::event::Kind;
use crate::event::record::Text;
use crate::session::key::{ProcessKey, SessionKey};
use crate::session::login::{PamFacts, Session};

/// An authentication for which no session was opened yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authentication {
    process: ProcessKey,
    parent: Option<ProcessKey>,
    is_ok: bool,
}

impl Fold {
    /// PAM opened a session, or refused to.
    pub(super) fn login(&mut self, seen: &Seen<'_, '_>) {
        let facts = self.facts(seen);
        if !facts.is_ok {
            if seen.session.is_none() {
                self.failures.add(seen.record, seen.t);
            }
            return;
        }
        let Some(key) = seen.session else {
            let key = SessionKey::Pam(seen.process);
            self.touch(seen, key);
            self.session(key, seen.t).pam = Some(facts);
            return;
        };
        let session = self.session(key, seen.t);
        if session.pam.is_none() && is_opener(session, seen.process) {
            session.pam = Some(facts);
        } else {
            self.pam_step(seen, key, facts);
        }
    }

    /// PAM closed a session: that of a step, or the one that all is about.
    pub(super) fn logout(&mut self, seen: &Seen<'_, '_>) {
        let Some(key) = seen.session else { return };
        let facts = self.facts(seen);
        let session = self.session(key, seen.t);
        let is_open_step = |step: &&mut crate::session::login::Step| {
            step.pam_process == Some(seen.process) && step.closed.is_none()
        };
        if let Some(step) = session.steps.iter_mut().rev().find(is_open_step) {
            step.closed = Some(seen.t);
        } else if session.begun.is_none() || is_opener(session, seen.process) {
            session.pam_closed = Some(seen.t);
            session.pam.get_or_insert(facts);
        }
    }

    pub(super) fn authentication(&mut self, seen: &Seen<'_, '_>) {
        let is_ok = seen.record.kind == Some(Kind::AuthOk);
        if self.recent.len() >= AUTHENTICATIONS {
            self.recent.pop_front();
        }
        self.recent.push_back(Authentication { process: seen.process, parent: seen.parent, is_ok });
        if !is_ok && seen.session.is_none() {
            self.failures.add(seen.record, seen.t);
        }
    }

    /// What the event says; authentications are those of the process and of its children.
    fn facts(&mut self, seen: &Seen<'_, '_>) -> PamFacts {
        let (mut is_authenticated, mut failures) = (false, 0);
        self.recent.retain(|past| {
            let is_own = past.process == seen.process || past.parent == Some(seen.process);
            is_authenticated |= is_own && past.is_ok;
            failures += u32::from(is_own && !past.is_ok);
            !is_own
        });
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        let record = seen.record;
        PamFacts {
            t: seen.t,
            user: owned(&record.user),
            service: owned(&record.service),
            rhost: owned(&record.rhost),
            tty: owned(&record.tty),
            is_ok: record.is_ok(),
            is_authenticated,
            failures,
        }
    }
}

/// Whether the process is the one that the session began with.
fn is_opener(session: &Session, process: ProcessKey) -> bool {
    match (session.key, session.begun) {
        (SessionKey::Pam(opener), _) => opener == process,
        (SessionKey::Kernel { .. }, Some(begun)) => begun.process == process,
        (SessionKey::Kernel { .. }, None) => session.first == Some(process),
    }
}
