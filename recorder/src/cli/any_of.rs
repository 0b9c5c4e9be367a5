//! A search for events that are about any of several things; what the verbs that put events together ask for.

use super::filter::SLACK_NS;
use super::scan::Search;
use crate::event::Kind;
use crate::event::record::{Head, Record, RecordError, scan_number};
use crate::store::index::{Field, key};

/// One thing to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Every event of this audit session; `None`: of no session.
    Session(Option<u32>),
    /// Every event of this kind.
    Kind(Kind),
    /// Every event of a process with this number.
    Pid(u32),
    /// Every event that names this path, as the host had it.
    Path(Vec<u8>),
}

/// Events about any of the terms, in a span of time; without terms every event.
#[derive(Clone, Debug, Default)]
pub struct AnyOf {
    /// What to look for.
    pub terms: Vec<Term>,
    /// Not before, wall time in ns.
    pub since: Option<i64>,
    /// Not after.
    pub until: Option<i64>,
}

impl AnyOf {
    /// Events about any of these.
    #[must_use]
    pub const fn new(terms: Vec<Term>) -> Self {
        Self { terms, since: None, until: None }
    }

    fn is_in_time(&self, record: &Record<'_>) -> bool {
        let is_in =
            |t: i64| self.since.is_none_or(|since| since <= t) && self.until.is_none_or(|until| t <= until);
        (self.since.is_none() && self.until.is_none()) || record.wall_ns().is_some_and(is_in)
    }
}

impl Term {
    fn key(&self) -> u32 {
        let number = |field, number: u32| key(field, number.to_string().as_bytes());
        match self {
            Self::Session(Some(id)) => number(Field::Session, *id),
            Self::Session(None) => key(Field::Session, b"null"),
            Self::Kind(kind) => key(Field::Kind, kind.name().as_bytes()),
            Self::Pid(pid) => number(Field::Pid, *pid),
            Self::Path(path) => key(Field::Path, path),
        }
    }

    fn is_about(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Session(id) => record.pid.is_some() && record.session == *id,
            Self::Kind(kind) => record.kind == Some(*kind),
            Self::Pid(pid) => record.pid == Some(*pid),
            Self::Path(path) => {
                let paths = [&record.path, &record.path_to];
                paths.into_iter().flatten().any(|named| *named.bytes() == **path)
            }
        }
    }

    /// False when the line is surely not about it.
    fn may_be_about(&self, head: &Head<'_>, line: &[u8]) -> bool {
        match self {
            Self::Session(id) => scan_number(line, "session") == id.map(u64::from),
            Self::Kind(kind) => head.word == kind.name(),
            Self::Pid(pid) => scan_number(line, "pid") == Some(u64::from(*pid)),
            Self::Path(_) => true,
        }
    }
}

impl Search for AnyOf {
    fn keys(&self) -> Vec<Vec<u32>> {
        let keys: Vec<u32> = self.terms.iter().map(Term::key).collect();
        if keys.is_empty() { Vec::new() } else { vec![keys] }
    }

    fn may_match_in(&self, (t_first, t_last): (i64, i64)) -> bool {
        let (first, last) = (t_first.min(t_last), t_first.max(t_last));
        self.since.is_none_or(|since| since <= last.saturating_add(SLACK_NS))
            && self.until.is_none_or(|until| first.saturating_sub(SLACK_NS) <= until)
    }

    fn next_line<'d>(&self, data: &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
        if data.is_empty() {
            return None;
        }
        let (line, behind) = data.split_at_checked(memchr::memchr(b'\n', data).unwrap_or(data.len()))?;
        Some((line, behind.get(1..).unwrap_or_default()))
    }

    fn matches(&self, line: &[u8]) -> Result<bool, RecordError> {
        let is_timeless = self.since.is_none() && self.until.is_none();
        if self.terms.is_empty() && is_timeless {
            return Ok(true);
        }
        if let Some(head) = Head::scan(line)
            && !self.terms.is_empty()
            && !self.terms.iter().any(|term| term.may_be_about(&head, line))
        {
            return Ok(false);
        }
        let record = Record::parse(line)?;
        let is_meant = self.terms.is_empty() || self.terms.iter().any(|term| term.is_about(&record));
        Ok(is_meant && self.is_in_time(&record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"seq\":1,\"t\":\"2026-11-23T14:05:30.000000000Z\",\"mono\":1,\"kind\":\"file_rename\",\
                        \"result\":\"ok\",\"pid\":42,\"session\":3,\"path\":\"/a\",\"path_to\":\"/b\",\"flags\":[]}";

    fn finds(terms: &[Term]) -> bool {
        AnyOf::new(terms.to_vec()).matches(LINE.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_found_by_any_of_the_terms() {
        let path = |path: &str| Term::Path(path.as_bytes().to_vec());
        for term in
            [Term::Session(Some(3)), Term::Kind(Kind::FileRename), Term::Pid(42), path("/a"), path("/b")]
        {
            assert!(finds(&[Term::Kind(Kind::Exec), term]));
        }
        for term in
            [Term::Session(Some(4)), Term::Session(None), Term::Kind(Kind::Exec), Term::Pid(4), path("/c")]
        {
            assert!(!finds(&[term]));
        }
        assert!(finds(&[]));
        let t = Record::parse(LINE.as_bytes()).unwrap().wall_ns();
        let at = |since, until| AnyOf { terms: Vec::new(), since, until }.matches(LINE.as_bytes()).unwrap();
        assert!(at(t, t) && !at(t.map(|t| t + 1), None) && !at(None, t.map(|t| t - 1)));
    }
}
