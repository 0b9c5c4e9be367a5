//! What does not fit together in a session: ways to get away from the login behind an act, and how they show.

use std::fmt::Write as _;

use super::key::{ProcessKey, SessionKey};

/// One thing that a person should look at. Some have harmless causes; none is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Wall time in ns.
    pub t: i64,
    /// The event that shows it.
    pub seq: u64,
    /// The process that did it.
    pub process: ProcessKey,
    /// What it is.
    pub what: What,
}

/// Kinds of doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A process that was in this session set its login user anew and got another session.
    Rewritten {
        /// The new login user.
        loginuid: Option<u32>,
        /// The new session.
        to: SessionKey,
    },
    /// A process that was in this session unset its login user.
    Reset,
    /// A process tried to change its login user; result of the call.
    Tried(String),
    /// This session was begun by a process of another session.
    BegunWithin(SessionKey),
    /// A process of this session took hold of one that is not, or not known to be, of it.
    Traced {
        /// Its process id, as the caller numbers it.
        target: u32,
        /// Its session, when it is known.
        session: Option<SessionKey>,
        /// `ATTACH`, `POKETEXT`.
        command: String,
    },
    /// A process of another session took hold of one of this session.
    TracedBy {
        /// Process id.
        target: u32,
        /// The session of who did it.
        session: Option<SessionKey>,
        /// `ATTACH`, `POKETEXT`.
        command: String,
    },
}

impl What {
    /// The word in JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rewritten { .. } => "loginuid_rewritten",
            Self::Reset => "loginuid_unset",
            Self::Tried(_) => "loginuid_refused",
            Self::BegunWithin(_) => "begun_within_session",
            Self::Traced { .. } => "traced_other_session",
            Self::TracedBy { .. } => "traced_by_other_session",
        }
    }
}

impl Doubt {
    /// A sentence without its end; `name` names users, `session` sessions.
    #[must_use]
    pub fn sentence(&self, name: &dyn Fn(u32) -> String, session: &dyn Fn(SessionKey) -> String) -> String {
        let process = self.process.pid;
        let of = |key: &Option<SessionKey>| key.map_or_else(|| "no session".to_owned(), session);
        let mut line = format!("process {process} ");
        let _ = match &self.what {
            What::Rewritten { loginuid, to } => {
                let user = loginuid.map_or_else(|| "nobody".to_owned(), name);
                write!(line, "rewrote its login user to {user} and went on as {}", session(*to))
            }
            What::Reset => {
                write!(line, "unset its login user, to leave the session; what it did then is told here")
            }
            What::Tried(result) => write!(line, "tried to change its login user ({result})"),
            What::BegunWithin(key) => write!(line, "began this session from within {}", session(*key)),
            What::Traced { target, session, command } => {
                write!(line, "used ptrace {command} on process {target}, which is of {}", of(session))
            }
            What::TracedBy { target, session, command } => {
                write!(line, "of {} used ptrace {command} on process {target} of this session", of(session))
            }
        };
        line
    }
}
