//! Which events are asked for: options become a predicate over event lines.
//!
//! A line is parsed only after the bytes that it must hold have been found in it, and a frame is decompressed only when
//! its times allow a hit. Both only skip what cannot match; [`Filter::matches`] decides.

mod arguments;
mod keys;

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem::Finder;

pub use arguments::{FilterArguments, parse_time};
use arguments::{Id, Kinds, Outcome};

use super::UsageError;
use super::scan::Search;
use super::users;
use crate::event::record::{Head, Record, RecordError, Text};

/// How far an event's time may be outside the times in its frame's header, which name the first and the last event:
/// events of different CPUs can be slightly out of order, and a frame spans a second around a step of the clock.
pub(super) const SLACK_NS: i64 = 10_000_000_000;

/// A predicate over event lines.
#[derive(Clone, Debug)]
pub struct Filter {
    arguments: FilterArguments,
    uid: Option<u32>,
    since: Option<String>,
    until: Option<String>,
    store_host: Option<String>,
    /// Bytes that a matching line holds, the longest first.
    needles: Vec<Finder<'static>>,
    /// Only kind, result and time are asked for.
    is_decided_by_head: bool,
}

impl Filter {
    /// The predicate for these options. `store_host` is the host of events that name none.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn new(arguments: FilterArguments, store_host: Option<String>) -> Result<Self, UsageError> {
        let uid = arguments.user.as_deref().and_then(users::uid_of);
        if let (Some(since), Some(until)) = (arguments.since, arguments.until)
            && since > until
        {
            return Err(UsageError(format!("--since ({since}) is after --until ({until})")));
        }
        let needles = needles(&arguments);
        let (since, until) = (arguments.since.map(time_text), arguments.until.map(time_text));
        let is_decided_by_head = arguments.is_decided_by_head();
        Ok(Self { arguments, uid, since, until, store_host, needles, is_decided_by_head })
    }

    /// The host that recorded this store, as its origin key says.
    #[must_use]
    pub fn store_host(&self) -> Option<&str> {
        self.store_host.as_deref()
    }

    /// The name given with `--user` when this host knows no such user.
    #[must_use]
    pub fn unknown_user(&self) -> Option<&str> {
        self.arguments.user.as_deref().filter(|_| self.uid.is_none())
    }

    /// Whether only events from some time on are asked for.
    #[must_use]
    pub const fn has_since(&self) -> bool {
        self.arguments.since.is_some()
    }

    /// Whether the first and the last time of a frame, or of many, leave room for a match.
    #[must_use]
    pub fn may_match_in(&self, (t_first, t_last): (i64, i64)) -> bool {
        let first = i128::from(t_first.min(t_last)) - i128::from(SLACK_NS);
        let last = i128::from(t_first.max(t_last)) + i128::from(SLACK_NS);
        self.arguments.since.is_none_or(|since| since.as_nanosecond() <= last)
            && self.arguments.until.is_none_or(|until| first <= until.as_nanosecond())
    }

    /// The lines of decompressed frame data that hold every needle.
    #[must_use]
    pub const fn candidates<'f, 'd>(&'f self, data: &'d [u8]) -> Candidates<'f, 'd> {
        Candidates { filter: self, rest: data }
    }

    /// Whether this line is asked for. The rest of the line is only parsed when the filter depends on it.
    ///
    /// # Errors
    /// When the line is not an event, as far as it was parsed.
    pub fn matches(&self, line: &[u8]) -> Result<bool, RecordError> {
        if let Some(head) = Head::scan(line) {
            if !self.matches_head(&head) {
                return Ok(false);
            }
            if self.is_decided_by_head && line.ends_with(b"}") {
                return Ok(true);
            }
        }
        let record = Record::parse(line)?;
        let head = Head {
            seq: record.seq,
            t: record.t.as_str(),
            mono: record.mono,
            word: record.word.as_str(),
            result: record.result.as_str(),
        };
        Ok(self.matches_head(&head)
            && self.matches_body(&record)
            && self.arguments.grep.as_deref().is_none_or(|text| holds_text(line, text)))
    }

    fn matches_head(&self, head: &Head<'_>) -> bool {
        let is_kind = |Kinds(kinds): &Kinds| kinds.iter().any(|kind| kind.name() == head.word);
        let kinds = &self.arguments.kind;
        (kinds.is_empty() || kinds.iter().any(is_kind))
            && self.arguments.result.as_ref().is_none_or(|outcome| outcome.is(head.result))
            && self.is_in_time(head.t)
    }

    fn matches_body(&self, record: &Record<'_>) -> bool {
        let asked = &self.arguments;
        let is_id = |Id(id): Id, found: Option<u32>| record.pid.is_some() && found == id;
        asked.pid.is_none_or(|pid| record.pid == Some(pid))
            && asked.uid.is_none_or(|uid| record.uid == Some(uid))
            && asked.user.as_deref().is_none_or(|name| self.is_user(record, name))
            && asked.loginuid.is_none_or(|id| is_id(id, record.loginuid))
            && asked.session.is_none_or(|id| is_id(id, record.session))
            && asked.container.as_deref().is_none_or(|id| text(&record.container).starts_with(id))
            && asked.flag.is_none_or(|word| record.has_flag(word))
            && asked.host.as_deref().is_none_or(|host| self.store_host.as_deref() == Some(host))
            && asked.exe.as_ref().is_none_or(|glob| glob.matches(&record.exe))
            && asked
                .path
                .as_ref()
                .is_none_or(|glob| glob.matches(&record.path) || glob.matches(&record.path_to))
    }

    fn is_user(&self, record: &Record<'_>, name: &str) -> bool {
        text(&record.user) == name || (self.uid.is_some() && record.uid == self.uid)
    }

    /// A time that can't be read is in no range.
    fn is_in_time(&self, time: &str) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = if time.len() == TIME_LENGTH && time.ends_with('Z') {
            Cow::Borrowed(time)
        } else if let Ok(time) = time.parse::<Timestamp>() {
            Cow::Owned(time_text(time))
        } else {
            return false;
        };
        self.since.as_deref().is_none_or(|since| since <= &*time)
            && self.until.as_deref().is_none_or(|until| &*time <= until)
    }
}

impl Search for Filter {
    fn keys(&self) -> Vec<Vec<u32>> {
        Self::keys(self)
    }

    fn may_match_in(&self, times: (i64, i64)) -> bool {
        Self::may_match_in(self, times)
    }

    fn next_line<'d>(&self, data: &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
        let mut candidates = self.candidates(data);
        candidates.next().map(|line| (line, candidates.rest))
    }

    fn matches(&self, line: &[u8]) -> Result<bool, RecordError> {
        Self::matches(self, line)
    }
}

/// The text, empty when there is none.
fn text<'t>(text: &'t Option<Text<'_>>) -> &'t str {
    text.as_ref().map(Text::as_str).unwrap_or_default()
}

/// Length of a time as [`time_text`] and the recorder write it.
const TIME_LENGTH: usize = "2026-11-23T14:05:30.000000000Z".len();

/// UTC with nine digits: such texts sort like their times.
fn time_text(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Whether any value of the line, not a key, holds the text.
fn holds_text(line: &[u8], text: &str) -> bool {
    fn holds(value: &serde_json::Value, text: &str) -> bool {
        match value {
            serde_json::Value::String(string) => string.contains(text),
            serde_json::Value::Array(list) => list.iter().any(|value| holds(value, text)),
            serde_json::Value::Object(map) => map.values().any(|value| holds(value, text)),
            serde_json::Value::Null => false,
            other => other.to_string().contains(text),
        }
    }
    serde_json::from_slice(line).is_ok_and(|value| holds(&value, text))
}

/// What the bytes of every matching line hold.
fn needles(asked: &FilterArguments) -> Vec<Finder<'static>> {
    let number = |name: &str, value: Option<u32>| value.map(|value| format!("\"{name}\":{value},"));
    let id = |name: &str, value: Option<Id>| {
        let Id(id) = value?;
        Some(id.map_or_else(|| format!("\"{name}\":null,"), |id| format!("\"{name}\":{id},")))
    };
    let kind = match asked.kind.as_slice() {
        [Kinds(kinds)] => match kinds.as_slice() {
            [kind] => Some(format!("\"kind\":\"{}\"", kind.name())),
            _ => None,
        },
        _ => None,
    };
    let result = match &asked.result {
        Some(Outcome::Ok) => Some("\"result\":\"ok\"".to_owned()),
        Some(Outcome::Error(name)) => Some(format!("\"result\":\"{name}\"")),
        Some(Outcome::Failed) | None => None,
    };
    let container = asked.container.as_deref().map(|id| format!("\"container\":\"{}", plain_run(id, true)));
    let mut needles: Vec<String> = [
        kind,
        number("pid", asked.pid),
        number("uid", asked.uid),
        id("loginuid", asked.loginuid),
        id("session", asked.session),
        asked.exe.as_ref().map(|glob| glob.literal.clone()),
        asked.path.as_ref().map(|glob| glob.literal.clone()),
        container,
        result,
        asked.flag.map(|word| format!("\"{word}\"")),
        asked.grep.as_deref().map(|text| plain_run(text, false).to_owned()),
    ]
    .into_iter()
    .flatten()
    .filter(|needle| !needle.is_empty())
    .collect();
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    needles.iter().map(|needle| Finder::new(needle).into_owned()).collect()
}

/// The longest part (or only the first) that is written the same in JSON, whoever writes it.
fn plain_run(text: &str, only_first: bool) -> &str {
    let mut runs = text.split(|c: char| !matches!(c, ' '..='~') || matches!(c, '"' | '\\'));
    if only_first { runs.next() } else { runs.max_by_key(|run| run.len()) }.unwrap_or_default()
}

/// Iterator of [`Filter::candidates`].
#[derive(Debug)]
pub struct Candidates<'f, 'd> {
    filter: &'f Filter,
    rest: &'d [u8],
}

impl<'d> Iterator for Candidates<'_, 'd> {
    type Item = &'d [u8];

    fn next(&mut self) -> Option<&'d [u8]> {
        while !self.rest.is_empty() {
            let (first, others) = match self.filter.needles.split_first() {
                Some((first, others)) => (first.find(self.rest)?, others),
                None => (0, &[][..]),
            };
            let (before, after) = self.rest.split_at_checked(first)?;
            let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let end = first + memchr::memchr(b'\n', after).unwrap_or(after.len());
            let line = self.rest.get(start..end)?;
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if others.iter().all(|needle| needle.find(line).is_some()) {
                return Some(line);
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
