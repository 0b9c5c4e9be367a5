//! Finds the events that a session's story is made of, by the index: its own, and those of others that are about it.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;

use crate::cli::any_of::{AnyOf, Term};
use crate::cli::query::durable_frames;
use crate::cli::scan::Scan;
use crate::enrich::users::Users;
use crate::event::Kind;
use crate::event::record::Record;
use crate::session::doubt::What;
use crate::session::key::SessionKey;
use crate::session::process::key_of;
use crate::session::story::Story;

/// How long before its first event the authentication of a session can have begun.
const BEFORE_NS: i64 = 600_000_000_000;
/// How long after its last event something can still be about it.
const AFTER_NS: i64 = 60_000_000_000;
/// Kinds that are about a session without naming it.
const ABOUT: [Kind; 10] = [
    Kind::SessionId,
    Kind::Login,
    Kind::Logout,
    Kind::AuthOk,
    Kind::AuthFailed,
    Kind::Ptrace,
    Kind::Start,
    Kind::Gap,
    Kind::HookDead,
    Kind::HookBack,
];

/// A session as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest one with this number.
    Newest(u32),
    /// Exactly this one.
    Exactly(SessionKey),
}

impl Wanted {
    /// Reads `3`, `0a1b2c3d-3` or a process key.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = || text.parse().ok().map(Self::Newest);
        number()
            .or_else(|| SessionKey::parse(text).map(Self::Exactly))
            .ok_or_else(|| "neither a session's number nor BOOT-NUMBER nor the key of a process".to_owned())
    }

    fn term(self) -> Term {
        match self {
            Self::Newest(id) | Self::Exactly(SessionKey::Kernel { id, .. }) => Term::Session(Some(id)),
            Self::Exactly(SessionKey::Pam(process)) => Term::Pid(process.pid),
        }
    }

    /// The session that an event found by the term is of.
    fn session_of(self, record: &Record<'_>) -> Option<SessionKey> {
        let process = key_of(&record.key)?;
        match self {
            Self::Newest(id) => Some(SessionKey::Kernel { boot: process.boot, id }),
            Self::Exactly(key @ SessionKey::Kernel { boot, .. }) => (boot == process.boot).then_some(key),
            Self::Exactly(key @ SessionKey::Pam(opener)) => (opener == process).then_some(key),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(id) => id.fmt(f),
            Self::Exactly(key) => key.fmt(f),
        }
    }
}

/// A span of time, each end if there is one.
type Span = (Option<i64>, Option<i64>);

/// The story of a session between two times, and how often something could not be read; `None` when no event is of it.
///
/// # Errors
/// When the store can't be read.
pub fn gather(store: &Path, wanted: &Wanted, span: Span, users: Users) -> Result<(Option<Story>, u64)> {
    let end = durable_frames(store);
    let Some((key, last)) = edge(store, *wanted, end, true)? else { return Ok((None, 0)) };
    let exactly = Wanted::Exactly(key);
    let first = edge(store, exactly, end, false)?.map_or(last, |(_, first)| first);
    let mut terms = vec![exactly.term()];
    if matches!(key, SessionKey::Pam(_)) {
        terms.push(Term::Session(None));
    }
    terms.extend(ABOUT.map(Term::Kind));
    let mut search = AnyOf { terms, since: Some(first - BEFORE_NS), until: Some(last + AFTER_NS) };
    let (mut story, mut problems) = read(store, &search, end, Story::new(key, users.clone()))?;
    let is_left = |story: &Story| {
        story.session().is_some_and(|session| session.doubts.iter().any(|doubt| doubt.what == What::Reset))
    };
    if is_left(&story) && !search.terms.contains(&Term::Session(None)) {
        // What left the session is of no session: all of that has to be gone through.
        search.terms.push(Term::Session(None));
        search.until = span.1;
        (story, problems) = read(store, &search, end, Story::new(key, users))?;
    }
    // Whether it is open still depends on what became of the recorder and the host.
    let after = AnyOf {
        terms: [Kind::Start, Kind::Stop].map(Term::Kind).to_vec(),
        since: search.until,
        until: span.1,
    };
    let (mut story, more) = read(store, &after, end, story)?;
    story.keep_between(span);
    Ok((Some(story), problems + more))
}

fn read(store: &Path, search: &AnyOf, end: u64, mut story: Story) -> Result<(Story, u64)> {
    let mut scan = Scan::open(store, search, end)?;
    scan.forward(&mut |line| {
        story.line(line)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((story, scan.problems()))
}

/// The first or the last event of a session: which one it is, and when that was.
fn edge(store: &Path, wanted: Wanted, end: u64, is_last: bool) -> Result<Option<(SessionKey, i64)>> {
    let search = AnyOf::new(vec![wanted.term()]);
    let mut scan = Scan::open(store, &search, end)?;
    let mut found = None;
    let mut visit = |line: &[u8]| {
        let record = Record::parse(line)?;
        found = wanted.session_of(&record).zip(record.wall_ns());
        Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    if is_last {
        scan.backward(&mut visit)?
    } else {
        scan.forward(&mut visit)?
    }
    Ok(found)
}
