//! One session in detail: its process tree, and what was done moment by moment.

use std::collections::HashMap;

use super::change;
use super::fold::Fold;
use super::key::{ProcessKey, SessionKey};
use super::process::{Tree, key_of};
use crate::enrich::users::Users;
use crate::event::Kind;
use crate::event::record::{Record, RecordError};
use crate::event::sentence::{sentence, who};

/// Most moments kept; the rest is counted.
const MOMENTS: usize = 100_000;

/// What was done to one path by one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who did it, as in other sentences.
    pub who: String,
    /// Path, with the escape of the line.
    pub path: String,
    /// New name, or what a link points to.
    pub path_to: Option<String>,
    /// What was done, in order, each once.
    pub verbs: Vec<&'static str>,
    /// Bytes written.
    pub bytes: u64,
    /// Events.
    pub count: u64,
}

/// A line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall time in ns.
    pub t: i64,
    /// The event; of a change the first one.
    pub seq: u64,
    /// Kind of that event.
    pub kind: Kind,
    /// Whose deed it is.
    pub process: Option<ProcessKey>,
    /// Whether it succeeded.
    pub is_ok: bool,
    /// A sentence, fit for a terminal; of a change the program.
    pub text: String,
    /// A change of a file.
    pub change: Option<Change>,
}

/// The story of one session, as far as it was read.
#[derive(Debug)]
pub struct Story {
    key: SessionKey,
    users: Users,
    fold: Fold,
    tree: Tree,
    moments: Vec<Moment>,
    /// By path: process, other path, place in `moments`.
    changes: HashMap<String, Vec<(ProcessKey, Option<String>, usize)>>,
    beyond: u64,
}

impl Story {
    /// The story of this session; `users` names ids.
    #[must_use]
    pub fn new(key: SessionKey, users: Users) -> Self {
        Self {
            key,
            users,
            fold: Fold::default(),
            tree: Tree::default(),
            moments: Vec::new(),
            changes: HashMap::new(),
            beyond: 0,
        }
    }

    /// Takes a line of the record, in its order.
    ///
    /// # Errors
    /// When it is not an event.
    pub fn line(&mut self, line: &[u8]) -> Result<(), RecordError> {
        let record = Record::parse(line)?;
        let session = self.fold.record(&record);
        if session == Some(self.key) {
            self.tree.add(&record);
            self.tell(&record);
        } else if record.key.is_none() && self.is_open() {
            self.tell(&record);
        }
        Ok(())
    }

    /// What is known of the session; `None` when no event was of it.
    #[must_use]
    pub fn session(&self) -> Option<super::login::Session> {
        self.fold.sessions().into_iter().find(|session| session.key == self.key)
    }

    /// Its processes.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What was done, by time.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Moments that were too many to keep.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The names of users.
    #[must_use]
    pub const fn users(&self) -> &Users {
        &self.users
    }

    /// Leaves out the moments outside of a span of time.
    pub fn keep_between(&mut self, (since, until): (Option<i64>, Option<i64>)) {
        let is_in = |t: i64| since.is_none_or(|since| since <= t) && until.is_none_or(|until| t <= until);
        self.moments.retain(|moment| is_in(moment.t));
    }

    fn is_open(&self) -> bool {
        self.fold.is_open(self.key)
    }

    fn tell(&mut self, record: &Record<'_>) {
        let Some((kind, t)) = record.kind.zip(record.wall_ns()) else { return };
        let process = key_of(&record.key);
        if let (Some(verb), Some(process), true) = (change::verb(kind), process, record.is_ok()) {
            self.change(record, (kind, verb), process, t);
        } else if is_told(kind, record) {
            self.push(Moment {
                t,
                seq: record.seq,
                kind,
                process,
                is_ok: record.is_ok(),
                text: sentence(record, &self.users),
                change: None,
            });
        }
    }

    /// Adds to the change of the same path by the same process, or begins one. After a rename a name means another
    /// file, so that a later change is one of its own.
    fn change(
        &mut self,
        record: &Record<'_>,
        (kind, verb): (Kind, &'static str),
        process: ProcessKey,
        t: i64,
    ) {
        let path = record.path.as_ref().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let path_to = record.path_to.as_ref().map(|path| path.as_str().to_owned());
        let bytes = if record.has_flag("close") || kind == Kind::FileMapWrite { record.bytes } else { None };
        let known = self.changes.get(&path).into_iter().flatten();
        let known = known.rev().find(|(by, to, _)| *by == process && *to == path_to).map(|(_, _, at)| *at);
        if let Some(change) = known.and_then(|at| self.moments.get_mut(at)?.change.as_mut()) {
            if !change.verbs.contains(&verb) {
                change.verbs.push(verb);
            }
            change.bytes += bytes.unwrap_or(0);
            change.count += 1;
        } else {
            let text = record.comm.as_ref().map(|comm| comm.printable().into_owned()).unwrap_or_default();
            let bytes = bytes.unwrap_or(0);
            let change = Change {
                who: who(record, &self.users),
                path: path.clone(),
                path_to: path_to.clone(),
                verbs: vec![verb],
                bytes,
                count: 1,
            };
            let seq = record.seq;
            let moment =
                Moment { t, seq, kind, process: Some(process), is_ok: true, text, change: Some(change) };
            let at = self.moments.len();
            if self.push(moment) {
                self.changes.entry(path.clone()).or_default().push((process, path_to, at));
            }
        }
        if matches!(kind, Kind::FileRename | Kind::FileDelete | Kind::DirDelete) {
            self.changes.remove(&path);
        }
    }

    fn push(&mut self, moment: Moment) -> bool {
        if self.moments.len() >= MOMENTS {
            self.beyond += 1;
            return false;
        }
        self.moments.push(moment);
        true
    }
}

/// Whether an event is a line of the story. Forks and exits are in the tree; credentials that changed are in the steps.
fn is_told(kind: Kind, record: &Record<'_>) -> bool {
    match kind {
        Kind::Fork | Kind::Exit | Kind::Config | Kind::Tombstone => false,
        Kind::Credential => !record.is_ok(),
        _ => true,
    }
}
