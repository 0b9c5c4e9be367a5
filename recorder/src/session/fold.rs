//! Events into sessions: takes each line of the record in its order and keeps what is known of every session.

mod kinds;
mod pam;
mod step;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::change;
use super::doubt::{Doubt, What};
use super::key::{ProcessKey, SessionKey};
use super::live::{Live, Process};
use super::login::Session;
use super::origin::Failures;
use crate::event::Kind;
use crate::event::record::{Head, Record, RecordError, scan_number};

/// Most sessions kept; when there are more, those that ended first are left out.
const SESSIONS: usize = 1 << 16;
/// Most doubts kept of one session.
const DOUBTS: usize = 64;
/// Most paths remembered of all sessions, so that each counts once.
const PATHS: usize = 1 << 21;
/// Authentications remembered until a session is opened.
const AUTHENTICATIONS: usize = 1024;

/// What was learnt from the lines so far.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    sessions: HashMap<SessionKey, Session>,
    live: Live,
    paths: HashSet<u64>,
    recent: VecDeque<pam::Authentication>,
    failures: Failures,
    /// When the recorder stopped in order.
    stopped: Option<i64>,
    /// Time of the last event.
    last: i64,
    boot: Option<u32>,
    round: u32,
    left_out: u64,
}

/// An event of a process, taken apart.
struct Seen<'e, 'l> {
    record: &'e Record<'l>,
    t: i64,
    process: ProcessKey,
    parent: Option<ProcessKey>,
    session: Option<SessionKey>,
}

impl Fold {
    /// Takes a line. One that can't be about a session is only glanced at.
    ///
    /// # Errors
    /// When it is not an event, as far as it was read.
    pub fn line(&mut self, line: &[u8]) -> Result<(), RecordError> {
        if let Some(head) = Head::scan(line)
            && !self.live.has_loose()
            && !is_always_read(head.word)
            && scan_number(line, "session").is_none()
        {
            return Ok(());
        }
        self.record(&Record::parse(line)?);
        Ok(())
    }

    /// Takes an event; tells which session it belongs to.
    pub fn record(&mut self, record: &Record<'_>) -> Option<SessionKey> {
        let t = record.wall_ns()?;
        match record.kind {
            Some(Kind::Start) => self.started(record, t),
            Some(Kind::Stop) => self.stopped = Some(t),
            _ => {}
        }
        self.last = t;
        let process = record.key.as_ref().and_then(|key| ProcessKey::parse(key.as_str()))?;
        let parent = record.pkey.as_ref().and_then(|key| ProcessKey::parse(key.as_str()));
        let session = match record.session {
            Some(id) => Some(SessionKey::Kernel { boot: process.boot, id }),
            None => self.live.get(&process).map(|process| process.session),
        };
        let seen = Seen { record, t, process, parent, session };
        self.take(&seen);
        // Logins and new sessions may have given it one.
        seen.session.or_else(|| self.live.get(&process).map(|process| process.session))
    }

    fn take(&mut self, seen: &Seen<'_, '_>) {
        let record = seen.record;
        if let Some(key) = seen.session
            && record.kind != Some(Kind::SessionId)
        {
            self.touch(seen, key);
        }
        match record.kind {
            Some(Kind::SessionId) => self.session_id(seen),
            Some(Kind::Login) => self.login(seen),
            Some(Kind::Logout) => self.logout(seen),
            Some(Kind::AuthOk | Kind::AuthFailed) => self.authentication(seen),
            Some(Kind::Fork) => self.fork(seen),
            Some(Kind::Exec) => self.exec(seen),
            Some(Kind::Exit) => self.exit(seen),
            Some(Kind::Credential) => self.credential(seen),
            Some(Kind::Ptrace) => self.ptrace(seen),
            _ => {}
        }
        self.count(seen);
    }

    /// The sessions, by the time of their first event.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        let mut sessions = self.sessions.clone();
        for session in sessions.values_mut() {
            (session.running, session.confirmed) = (0, 0);
        }
        for (_, process) in self.live.iter() {
            if let Some(session) = sessions.get_mut(&process.session) {
                session.running += 1;
                session.confirmed += usize::from(process.round == self.round);
            }
        }
        let mut sessions: Vec<Session> = sessions.into_values().collect();
        sessions.sort_by_key(|session| (session.seen.0, session.key));
        sessions
    }

    /// Whether a session has begun and not ended.
    #[must_use]
    pub fn is_open(&self, key: SessionKey) -> bool {
        self.sessions.get(&key).is_some_and(|session| session.ended.is_none() && !session.is_boot_over)
    }

    /// Failed authentications outside of sessions.
    #[must_use]
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Sessions that were too many to keep.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Processes that were too many to follow: running ones may be missing.
    #[must_use]
    pub const fn unfollowed(&self) -> u64 {
        self.live.beyond()
    }

    /// The processes of sessions that run, as far as is known.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    fn session(&mut self, key: SessionKey, t: i64) -> &mut Session {
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(&key) {
            self.make_room();
        }
        self.sessions.entry(key).or_insert_with(|| Session::new(key, t))
    }

    /// Leaves out an eighth: those that ended first, or began first where none has ended.
    fn make_room(&mut self) {
        let mut order: Vec<(bool, i64, SessionKey)> = self
            .sessions
            .values()
            .map(|session| (session.end().is_none(), session.seen.1, session.key))
            .collect();
        order.sort_unstable();
        for (_, _, key) in order.iter().take(SESSIONS / 8) {
            self.sessions.remove(key);
            self.left_out += 1;
        }
    }

    /// The event is of this session: so is its process.
    fn touch(&mut self, seen: &Seen<'_, '_>, key: SessionKey) {
        let (t, process, round) = (seen.t, seen.process, self.round);
        let session = self.session(key, t);
        session.seen.1 = session.seen.1.max(t);
        session.first.get_or_insert(process);
        if session.loginuid.is_none() {
            session.loginuid = seen.record.loginuid;
        }
        let is_over = self.live.is_gone(&process) || seen.record.kind == Some(Kind::Exit);
        match self.live.get_mut(&process) {
            Some(known) if known.session == key => known.round = round,
            None if is_over => {}
            Some(_) | None => self.join(process, key, seen),
        }
    }

    /// Counts a process to a session, and no more to the one that it was in.
    fn join(&mut self, process: ProcessKey, key: SessionKey, seen: &Seen<'_, '_>) {
        let before = self.live.get(&process).copied();
        let fresh = Process {
            session: key,
            parent: seen.parent,
            euid: seen.record.euid,
            step: None,
            is_setuid: false,
            is_escaped: false,
            round: self.round,
        };
        if self.live.put(process, fresh) {
            if let Some(before) = before {
                self.leave(before.session, seen.t);
            }
            let session = self.session(key, seen.t);
            session.running += 1;
            session.ended = None;
            session.counts.processes += 1;
        }
    }

    /// One process less.
    fn leave(&mut self, key: SessionKey, t: i64) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.running = session.running.saturating_sub(1);
            if session.running == 0 {
                session.ended = Some(t);
            }
        }
    }

    fn doubt(&mut self, key: SessionKey, seen: &Seen<'_, '_>, what: What) {
        let doubt = Doubt { t: seen.t, seq: seen.record.seq, process: seen.process, what };
        let session = self.session(key, seen.t);
        // Stepping through a program asks for the same again and again.
        if session.doubts.iter().any(|known| known.process == doubt.process && known.what == doubt.what) {
            return;
        }
        session.counts.doubts += 1;
        if session.doubts.len() < DOUBTS {
            session.doubts.push(doubt);
        }
    }

    fn count(&mut self, seen: &Seen<'_, '_>) {
        let Some(key) = seen.session else { return };
        let record = seen.record;
        let is_change = record.kind.is_some_and(|kind| change::verb(kind).is_some());
        let is_new = is_change && record.is_ok() && self.is_new_path(key, record);
        let is_full = self.paths.len() >= PATHS;
        let counts = &mut self.session(key, seen.t).counts;
        if !record.is_ok() {
            counts.failures += 1;
            counts.auth_failures += u64::from(record.kind == Some(Kind::AuthFailed));
        } else if is_change {
            counts.changes += 1;
            counts.files += u64::from(is_new);
            counts.files_at_least |= is_full;
        }
        counts.commands += u64::from(record.kind == Some(Kind::Exec));
    }

    fn is_new_path(&mut self, key: SessionKey, record: &Record<'_>) -> bool {
        let Some(path) = &record.path else { return false };
        let mut hasher = DefaultHasher::new();
        (key, path.as_str()).hash(&mut hasher);
        let hash = hasher.finish();
        self.paths.len() < PATHS && self.paths.insert(hash)
    }
}

/// Kinds that may be about a session that the line does not name.
fn is_always_read(word: &str) -> bool {
    matches!(
        word,
        "session_id" | "login" | "logout" | "auth_ok" | "auth_failed" | "ptrace" | "start" | "stop"
    )
}

#[cfg(test)]
mod tests;
