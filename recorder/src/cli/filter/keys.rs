//! What a filter asks an index: keys of which each match has at least one, for each option that an index knows.
//!
//! Only what every match has may be asked for; [`Filter::matches`] decides about the events in the frames found.

use super::arguments::{Id, Kinds, Outcome, PathGlob};
use super::{Filter, FilterArguments};
use crate::event::text::unescape;
use crate::store::index::{CONTAINER, Field, key, key_below, program};

/// What a glob may have other than itself.
const WILD: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl Filter {
    /// Sets of keys: every event that matches has a key of each set.
    #[must_use]
    pub fn keys(&self) -> Vec<Vec<u32>> {
        let FilterArguments { kind, pid, uid, user, loginuid, session, exe, path, container, result, .. } =
            &self.arguments;
        let number = |field, number: u32| vec![key(field, number.to_string().as_bytes())];
        let id = |field, Id(id): Id| match id {
            Some(id) => number(field, id),
            None => vec![key(field, b"null")],
        };
        let result = match result {
            Some(Outcome::Error(name)) => Some(vec![key(Field::Result, name.as_bytes())]),
            Some(Outcome::Failed) => Some(vec![key(Field::Result, b"")]),
            Some(Outcome::Ok) | None => None,
        };
        [
            (!kind.is_empty()).then(|| kind.iter().flat_map(of_kinds).collect()),
            pid.map(|pid| number(Field::Pid, pid)),
            uid.map(|uid| number(Field::Uid, uid)),
            user.as_deref().map(|name| of_user(name, self.uid)),
            loginuid.map(|uid| id(Field::Loginuid, uid)),
            session.map(|session| id(Field::Session, session)),
            exe.as_ref().and_then(|glob| of_path(Field::Exe, glob)),
            exe.as_ref().and_then(of_program),
            path.as_ref().and_then(|glob| of_path(Field::Path, glob)),
            container.as_deref().and_then(of_container),
            result,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn of_kinds(Kinds(kinds): &Kinds) -> impl Iterator<Item = u32> + '_ {
    kinds.iter().map(|kind| key(Field::Kind, kind.name().as_bytes()))
}

/// Logins under that name, and what processes of that user did.
fn of_user(name: &str, uid: Option<u32>) -> Vec<u32> {
    let uid = uid.map(|uid| key(Field::Uid, uid.to_string().as_bytes()));
    [Some(key(Field::User, &unescape(name))), uid].into_iter().flatten().collect()
}

/// The path itself, or else the directory that every match is below.
fn of_path(field: Field, glob: &PathGlob) -> Option<Vec<u32>> {
    let wild = glob.pattern.find(WILD);
    let literal = glob.pattern.get(..wild.unwrap_or(glob.pattern.len()))?.as_bytes();
    if wild.is_none() {
        return Some(vec![key(field, literal)]);
    }
    let directory = literal.get(..=memchr::memrchr(b'/', literal)?)?;
    key_below(field, directory).map(|key| vec![key])
}

/// The name of the program, where the glob ends with one.
fn of_program(glob: &PathGlob) -> Option<Vec<u32>> {
    let name = program(glob.pattern.as_bytes());
    let is_wild = |byte: &u8| WILD.contains(&char::from(*byte)) || *byte == b',';
    (!name.is_empty() && !name.iter().any(is_wild)).then(|| vec![key(Field::Program, name)])
}

/// The beginning of a container id, when it is long enough.
fn of_container(id: &str) -> Option<Vec<u32>> {
    unescape(id).get(..CONTAINER).map(|beginning| vec![key(Field::Container, beginning)])
}
