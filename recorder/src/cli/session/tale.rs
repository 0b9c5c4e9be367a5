//! A session in plain English: what is known of it, what was done, and the tree of its processes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::enrich::users::Users;
use crate::event::sentence::quoted;
use crate::event::text::printable;
use crate::session::key::{ProcessKey, SessionKey};
use crate::session::login::{PamFacts, Session, State, Step};
use crate::session::process::{Process, Program, Tree};
use crate::session::story::{Moment, Story};

/// How users and sessions are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    users: Users,
    /// The newest boot that has a session of that number.
    newest: HashMap<u32, u32>,
}

impl Names {
    /// Names of users; sessions have their whole keys.
    #[must_use]
    pub fn new(users: Users) -> Self {
        Self { users, newest: HashMap::new() }
    }

    /// With short names for those of these sessions that are the newest of their number.
    #[must_use]
    pub fn labelled(self, sessions: &[Session]) -> Self {
        let mut newest = HashMap::new();
        for session in sessions {
            if let SessionKey::Kernel { boot, id } = session.key {
                newest.insert(id, boot);
            }
        }
        Self { newest, ..self }
    }

    /// The name that `recorder session` takes.
    #[must_use]
    pub fn session(&self, key: SessionKey) -> String {
        match key {
            SessionKey::Kernel { boot, id } if self.newest.get(&id) == Some(&boot) => id.to_string(),
            _ => key.to_string(),
        }
    }

    /// `alice`, or `uid 1000`.
    #[must_use]
    pub fn user(&self, uid: u32) -> String {
        self.users.name(uid).map_or_else(|| format!("uid {uid}"), |name| printable(name).into_owned())
    }

    /// The users.
    #[must_use]
    pub const fn users(&self) -> &Users {
        &self.users
    }

    /// Whether it is a session of this user, by the kernel's word or PAM's.
    #[must_use]
    pub fn is_user(&self, session: &Session, name: &str) -> bool {
        let by_kernel =
            session.loginuid.is_some_and(|uid| self.users.name(uid) == Some(name) || uid.to_string() == name);
        by_kernel || session.pam.as_ref().is_some_and(|pam| pam.user.as_deref() == Some(name))
    }
}

/// Writes the story.
///
/// # Errors
/// When the output can't be written.
pub fn write(out: &mut dyn Write, story: &Story, session: &Session) -> Result<()> {
    let names = Names::new(story.users().clone()).labelled(std::slice::from_ref(session));
    for line in head(session, &names) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nWhat happened")?;
    for moment in story.moments() {
        writeln!(out, "  {}  {}", time(moment.t), said(moment))?;
    }
    if story.beyond() > 0 {
        writeln!(out, "  ... and {} more: `recorder query --session` shows them", story.beyond())?;
    }
    writeln!(out, "\nProcesses")?;
    write_tree(out, story.tree(), &|_, _| true, &names)
}

/// What is known of the session, line by line.
#[must_use]
pub fn head(session: &Session, names: &Names) -> Vec<String> {
    let mut lines = vec![title(session, names)];
    if let Some(pam) = &session.pam {
        lines.push(format!("PAM says: {}", facts(pam)));
    } else {
        lines.push("PAM says nothing of it: the login used no PAM, or is older than the record".to_owned());
    }
    lines.push(beginning(session, names));
    lines.push(ending(session));
    let counts = &session.counts;
    let least = if counts.files_at_least { "at least " } else { "" };
    lines.push(format!(
        "It had {} processes, {} commands, {least}{} files changed, {} steps to other users, {} failures",
        counts.processes, counts.commands, counts.files, counts.steps, counts.failures
    ));
    for (at, step) in session.steps.iter().enumerate() {
        lines.push(format!("{}{}", "  ".repeat(depth(&session.steps, at)), step_text(step, names)));
    }
    let name = |uid| names.user(uid);
    let label = |key| names.session(key);
    for doubt in &session.doubts {
        let what = printable(&doubt.sentence(&name, &label)).into_owned();
        lines.push(format!("DOUBT: {}  {what} (event {})", time(doubt.t), doubt.seq));
    }
    if let Some((user, uid)) = session.disagreement(names.users()) {
        lines.push(format!(
            "DOUBT: PAM says that {} (uid {uid}) logged in, the kernel's login user is {}",
            printable(user),
            session.loginuid.map_or_else(|| "unset".to_owned(), |uid| names.user(uid))
        ));
    }
    lines
}

fn title(session: &Session, names: &Names) -> String {
    let user = session.loginuid.map(|uid| match names.users().name(uid) {
        Some(name) => format!("{} (uid {uid})", printable(name)),
        None => names.user(uid),
    });
    let user =
        user.or_else(|| session.pam.as_ref()?.user.as_deref().map(|name| printable(name).into_owned()));
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    match session.key {
        SessionKey::Kernel { .. } => format!("Session {} of {user}", names.session(session.key)),
        SessionKey::Pam(_) => format!("Session of {user} that only PAM knows: the kernel set no login user"),
    }
}

/// `user alice, service sshd, from 10.0.0.5, terminal ssh`.
fn facts(pam: &PamFacts) -> String {
    let mut line = String::new();
    let parts =
        [("user", &pam.user), ("service", &pam.service), ("from", &pam.rhost), ("terminal", &pam.tty)];
    for (word, text) in parts {
        if let Some(text) = text {
            let comma = if line.is_empty() { "" } else { ", " };
            let _ = write!(line, "{comma}{word} {}", printable(text));
        }
    }
    line.push_str(if pam.is_authenticated { ", authenticated by PAM" } else { ", not authenticated by PAM" });
    if pam.failures > 0 {
        let _ = write!(line, " after {} failed attempts", pam.failures);
    }
    line
}

fn beginning(session: &Session, names: &Names) -> String {
    match (session.begun, session.start()) {
        (Some(begun), _) => {
            let within = begun
                .within
                .map_or_else(String::new, |key| format!(", within session {}", names.session(key)));
            format!("The kernel says: begun {} by process {}{within}", time(begun.t), begun.process.pid)
        }
        (None, Some((t, _))) => format!("PAM says: begun {}", time(t)),
        (None, None) => format!("It is older than the record; first seen {}", time(session.seen.0)),
    }
}

fn ending(session: &Session) -> String {
    match session.state() {
        State::Open => format!("It is open: {} known processes run", session.running),
        State::ClosedByPam(t, running) => {
            format!("Closed by PAM {}, but {running} processes of it still run", time(t))
        }
        State::Ended(t) => format!("The kernel says: its last process ended {}", time(t)),
        State::EndedByRestart(t) => format!("The host was started again; last seen {}", time(t)),
        State::Unknown(t) => {
            format!("The recorder was not running from {} on; whether it ended is not known", time(t))
        }
    }
}

/// How many steps are around this one.
#[must_use]
pub fn depth(steps: &[Step], at: usize) -> usize {
    let mut depth = 1;
    let mut around = steps.get(at).and_then(|step| step.within);
    // A step is made before those inside of it.
    while let Some(outer) = around.filter(|outer| *outer < at && depth < steps.len()) {
        depth += 1;
        around = steps.get(outer).and_then(|step| step.within);
    }
    depth
}

/// `00:50:27.159  alice became root with sudo[4243] (kernel: setuid; PAM: sudo, user root)`.
#[must_use]
pub fn step_text(step: &Step, names: &Names) -> String {
    let uid = |uid: Option<u32>| uid.map_or_else(|| "?".to_owned(), |uid| names.user(uid));
    let program = step.program.as_deref().unwrap_or("?");
    let becomes = match (step.to_uid.or(step.gained_uid), &step.pam) {
        (Some(to), _) => names.user(to),
        (None, Some(pam)) => printable(pam.user.as_deref().unwrap_or("?")).into_owned(),
        (None, None) => "?".to_owned(),
    };
    let mut line = format!(
        "{}  {} became {becomes} with {}[{}]",
        time(step.t),
        uid(step.from_uid),
        printable(program),
        step.process.pid
    );
    let caps =
        step.gained_caps.as_deref().map(|caps| format!(", gaining {}", printable(caps))).unwrap_or_default();
    match (step.gained_uid, step.to_uid) {
        (Some(_), _) => {
            let _ = write!(line, " (kernel: privileges of the program's file{caps})");
        }
        (None, Some(_)) => line.push_str(" (kernel: the user changed)"),
        (None, None) => {}
    }
    if let Some(pam) = &step.pam {
        let _ = write!(line, " (PAM: {})", facts(pam));
    }
    if let Some(t) = step.closed {
        let _ = write!(line, ", closed by PAM {}", time(t));
    }
    line
}

/// One line about a moment.
#[must_use]
pub fn said(moment: &Moment) -> String {
    let Some(change) = &moment.change else { return moment.text.clone() };
    let path = printable(&change.path);
    let object = match (&change.path_to, moment.kind) {
        (Some(to), crate::event::Kind::FileLink) => format!("{path} as {}", printable(to)),
        (Some(to), crate::event::Kind::FileSymlink) => format!("{path} -> {}", printable(to)),
        (Some(to), _) => format!("{path} to {}", printable(to)),
        (None, _) => path.into_owned(),
    };
    let bytes = if change.bytes > 0 { format!(" ({} bytes)", change.bytes) } else { String::new() };
    let pid = moment.process.map_or_else(String::new, |process| format!("[{}]", process.pid));
    format!("{} {} {object}{bytes} with {}{pid}", change.who, change.verbs.join(", "), moment.text)
}

/// Writes the tree of the processes that are shown.
///
/// # Errors
/// When the output can't be written.
pub fn write_tree(
    out: &mut dyn Write,
    tree: &Tree,
    is_shown: &dyn Fn(&ProcessKey, &Process) -> bool,
    names: &Names,
) -> Result<()> {
    for (depth, key) in tree.walk(is_shown) {
        if let Some(process) = tree.get(&key) {
            writeln!(out, "  {}{}", "  ".repeat(depth), process_text(&key, process, names))?;
        }
    }
    if tree.beyond() > 0 {
        writeln!(out, "  ... and more: {} events of processes that were too many to keep", tree.beyond())?;
    }
    Ok(())
}

/// `4242  ls -l  root  00:50:27.159 to 00:50:27.160`.
#[must_use]
pub fn process_text(key: &ProcessKey, process: &Process, names: &Names) -> String {
    let mut line = format!("{}  ", key.pid);
    match process.programs.as_slice() {
        [] => {
            let exe = process.exe.as_deref().map_or_else(|| "?".into(), printable);
            let _ = write!(line, "({exe}{})", if process.born.is_some() { ", a copy" } else { "" });
        }
        programs => {
            let shown: Vec<String> = programs.iter().map(|program| said_program(program, names)).collect();
            line.push_str(&shown.join(", then "));
        }
    }
    let _ = match process.born {
        Some(born) => write!(line, "  from {}", time(born)),
        None => write!(line, "  seen from {}", time(process.first)),
    };
    if let Some(end) = &process.end {
        let _ = write!(line, " to {}", time(end.t));
        let _ = match (&end.signal, end.code) {
            (Some(signal), _) => write!(line, ", killed by {}", printable(signal)),
            (None, Some(code)) if code != 0 => write!(line, ", code {code}"),
            _ => Ok(()),
        };
    }
    if let Some(adopted) = process.adopted {
        let _ = write!(line, ", re-parented to process {}", adopted.pid);
    }
    line
}

fn said_program(program: &Program, names: &Names) -> String {
    let user = program.uids.1.map_or_else(String::new, |uid| format!(" as {}", names.user(uid)));
    let setuid = if program.is_setuid { " [setuid]" } else { "" };
    format!("{}{user}{setuid}", command_line(program))
}

/// The command line of a program, quoted where a shell needs it, with the whole path of the file.
#[must_use]
pub fn command_line(program: &Program) -> String {
    let exe = program.exe.as_deref().map_or_else(|| "?".into(), printable);
    let arguments = program.argv.iter().skip(1).map(|argument| quoted(&printable(argument)).into_owned());
    std::iter::once(exe.into_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Local time to the millisecond.
#[must_use]
pub fn time(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).map_or_else(
        |_| format!("@{ns} ns"),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
    )
}
