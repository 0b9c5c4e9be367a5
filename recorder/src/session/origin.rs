//! Failed authentications by where they came from. Bounded: whoever guesses passwords chooses the names.

use std::collections::BTreeMap;

use crate::event::record::{Record, Text};

/// Most origins kept apart; further ones are counted together.
const ORIGINS: usize = 4096;
/// Most users of an origin that are named.
const USERS: usize = 16;

/// Where attempts came from: remote host, if any, and service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Remote host; `None` for this host.
    pub rhost: Option<String>,
    /// PAM service.
    pub service: Option<String>,
}

/// Attempts from one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed.
    pub count: u64,
    /// First and last, wall time in ns.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// How many for each user; a user that nobody named is `None`.
    pub users: BTreeMap<Option<String>, u64>,
    /// Attempts for users beyond those named.
    pub others: u64,
}

/// All failed authentications outside of sessions.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    origins: BTreeMap<Origin, Attempts>,
    /// From origins that were too many to keep apart.
    beyond: u64,
}

impl Failures {
    /// Takes an `auth_failed` event, or a refused `login`.
    pub fn add(&mut self, record: &Record<'_>, t: i64) {
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        let origin = Origin { rhost: owned(&record.rhost), service: owned(&record.service) };
        if self.origins.len() >= ORIGINS && !self.origins.contains_key(&origin) {
            self.beyond += 1;
            return;
        }
        let attempts = self.origins.entry(origin).or_default();
        if attempts.count == 0 {
            attempts.first = t;
        }
        attempts.count += 1;
        attempts.last = t;
        let user = owned(&record.user);
        if attempts.users.len() >= USERS && !attempts.users.contains_key(&user) {
            attempts.others += 1;
        } else {
            *attempts.users.entry(user).or_default() += 1;
        }
    }

    /// Origins, those with most attempts first.
    #[must_use]
    pub fn origins(&self) -> Vec<(&Origin, &Attempts)> {
        let mut origins: Vec<_> = self.origins.iter().collect();
        origins.sort_by_key(|(_, attempts)| std::cmp::Reverse(attempts.count));
        origins
    }

    /// Attempts from origins that are not kept apart.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }
}
