//! A session as the record tells it: each fact with who asserts it.

use super::doubt::Doubt;
use super::key::{ProcessKey, SessionKey};
use crate::enrich::users::Users;

/// Who asserts a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The kernel: nobody without its rights can make it say so.
    Kernel,
    /// PAM and the program that called it.
    Pam,
}

impl From {
    /// The word in JSON, as in the events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Pam => "pam",
        }
    }
}

/// What PAM was told when it opened a session; texts with the escape of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PamFacts {
    /// Wall time in ns.
    pub t: i64,
    /// User.
    pub user: Option<String>,
    /// Service: `sshd`, `su`, `cron`.
    pub service: Option<String>,
    /// Remote host.
    pub rhost: Option<String>,
    /// Terminal.
    pub tty: Option<String>,
    /// It opened the session; false when it refused.
    pub is_ok: bool,
    /// PAM itself authenticated the user for it; a key of ssh is checked by sshd.
    pub is_authenticated: bool,
    /// Failures before, in the same transaction.
    pub failures: u32,
}

/// The kernel set the login user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Wall time in ns.
    pub t: i64,
    /// The process that set it.
    pub process: ProcessKey,
    /// The session that this process was in before.
    pub within: Option<SessionKey>,
}

/// Somebody in a session became somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Wall time in ns.
    pub t: i64,
    /// The process that made it.
    pub process: ProcessKey,
    /// Its program.
    pub program: Option<String>,
    /// The step around it, by its place in the list.
    pub within: Option<usize>,
    /// Effective user before; the kernel's word.
    pub from_uid: Option<u32>,
    /// Effective user that the program's file gave.
    pub gained_uid: Option<u32>,
    /// Capabilities that it gave.
    pub gained_caps: Option<String>,
    /// Effective user of the first program that ran behind it.
    pub to_uid: Option<u32>,
    /// What PAM says of it.
    pub pam: Option<PamFacts>,
    /// The process in which PAM opened it.
    pub pam_process: Option<ProcessKey>,
    /// When PAM closed it.
    pub closed: Option<i64>,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes seen.
    pub processes: u64,
    /// Programs started.
    pub commands: u64,
    /// Changes of files that succeeded.
    pub changes: u64,
    /// Paths that were changed.
    pub files: u64,
    /// There were more paths than were remembered.
    pub files_at_least: bool,
    /// Whatever was refused or failed.
    pub failures: u64,
    /// Failed authentications among them.
    pub auth_failures: u64,
    /// Steps, also those that are not kept.
    pub steps: u64,
    /// Doubts, also those that are not kept.
    pub doubts: u64,
}

/// How a session stands at the end of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Processes of it run, as far as is known.
    Open,
    /// PAM closed it, and so many processes of it still run.
    ClosedByPam(i64, usize),
    /// Its last process ended.
    Ended(i64),
    /// The host was started again; the time is the last that was seen of it.
    EndedByRestart(i64),
    /// The recorder was not running from that time on, and nothing of the session was seen since.
    Unknown(i64),
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub key: SessionKey,
    /// Login user; the kernel's word.
    pub loginuid: Option<u32>,
    /// How it began; `None` when it is older than the record, or only PAM's.
    pub begun: Option<Begun>,
    /// What PAM says of it.
    pub pam: Option<PamFacts>,
    /// When PAM closed it.
    pub pam_closed: Option<i64>,
    /// First and last event of it.
    pub seen: (i64, i64),
    /// The process of the first event.
    pub first: Option<ProcessKey>,
    /// Exit of the last process that was known, when none is left.
    pub ended: Option<i64>,
    /// Processes that run.
    pub running: usize,
    /// Those of them that were seen since the recorder last started.
    pub confirmed: usize,
    /// When the recorder stopped, of the last time that it did while the session was open.
    pub unrecorded_since: Option<i64>,
    /// The boot of the session is over.
    pub is_boot_over: bool,
    /// Counters.
    pub counts: Counts,
    /// Steps to other users, the first ones.
    pub steps: Vec<Step>,
    /// What does not fit together, the first ones.
    pub doubts: Vec<Doubt>,
}

impl Session {
    /// A session of which nothing is known but that it is there.
    #[must_use]
    pub fn new(key: SessionKey, t: i64) -> Self {
        Self {
            key,
            loginuid: None,
            begun: None,
            pam: None,
            pam_closed: None,
            seen: (t, t),
            first: None,
            ended: None,
            running: 0,
            confirmed: 0,
            unrecorded_since: None,
            is_boot_over: false,
            counts: Counts::default(),
            steps: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        if let Some(t) = self.ended {
            return State::Ended(t);
        }
        if self.is_boot_over {
            return State::EndedByRestart(self.seen.1);
        }
        if let (Some(since), 0) = (self.unrecorded_since, self.confirmed) {
            return State::Unknown(since);
        }
        match self.pam_closed {
            Some(t) => State::ClosedByPam(t, self.running),
            None => State::Open,
        }
    }

    /// Whether processes of it run, as far as is known.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state(), State::Open | State::ClosedByPam(..))
    }

    /// When it began, and who says so; `None` when it is older than the record.
    #[must_use]
    pub fn start(&self) -> Option<(i64, From)> {
        match (self.begun, &self.pam, self.key) {
            (Some(begun), _, _) => Some((begun.t, From::Kernel)),
            (None, Some(pam), SessionKey::Pam(_)) => Some((pam.t, From::Pam)),
            _ => None,
        }
    }

    /// When it ended, and who says so.
    #[must_use]
    pub const fn end(&self) -> Option<(i64, From)> {
        match self.state() {
            State::Ended(t) => Some((t, From::Kernel)),
            State::ClosedByPam(t, _) => Some((t, From::Pam)),
            State::Open | State::EndedByRestart(_) | State::Unknown(_) => None,
        }
    }

    /// Whether anything of it can have been in this span of time.
    #[must_use]
    pub fn overlaps(&self, since: Option<i64>, until: Option<i64>) -> bool {
        let last = match self.state() {
            State::Open | State::ClosedByPam(..) => i64::MAX,
            State::Ended(t) => t.max(self.seen.1),
            State::EndedByRestart(_) | State::Unknown(_) => self.seen.1,
        };
        since.is_none_or(|since| since <= last) && until.is_none_or(|until| self.seen.0 <= until)
    }

    /// The user for whom PAM opened it, when the kernel's login user is another one: name, and id of that name.
    #[must_use]
    pub fn disagreement<'s>(&'s self, users: &Users) -> Option<(&'s str, u32)> {
        let pam = self.pam.as_ref().filter(|pam| pam.is_ok)?;
        let name = pam.user.as_deref()?;
        let named = users.id(name)?;
        let is_same = users.name(self.loginuid?) == Some(name) || Some(named) == self.loginuid;
        (!is_same).then_some((name, named))
    }
}
