//! Sessions and stories as JSON: each fact with who asserts it.

use serde_json::{Value, json};

use super::tale::{Names, said};
use crate::cli::removed::time_text;
use crate::event::clock::Clock;
use crate::session::key::{ProcessKey, SessionKey};
use crate::session::login::{From, PamFacts, Session, State, Step};
use crate::session::process::{Process, Program};
use crate::session::story::{Moment, Story};

/// A session as it stands in the list.
#[must_use]
pub fn of_session(session: &Session, names: &Names) -> Value {
    let id = match session.key {
        SessionKey::Kernel { id, .. } => Some(id),
        SessionKey::Pam(_) => None,
    };
    let counts = &session.counts;
    let pam = session.pam.as_ref();
    let of_pam =
        |part: fn(&PamFacts) -> &Option<String>| fact(pam.and_then(|pam| part(pam).clone()), From::Pam);
    let timed = |fact: Option<(i64, From)>| fact.map(|(t, from)| json!({"t": text(t), "from": from.word()}));
    let disagreement = session.disagreement(names.users());
    json!({
        "session": id,
        "key": session.key.to_string(),
        "id": names.session(session.key),
        "loginuid": fact(session.loginuid, From::Kernel),
        "user": of_pam(|pam| &pam.user),
        "service": of_pam(|pam| &pam.service),
        "rhost": of_pam(|pam| &pam.rhost),
        "tty": of_pam(|pam| &pam.tty),
        "authenticated": fact(pam.map(|pam| pam.is_authenticated), From::Pam),
        "leader": fact(session.begun.map(|begun| begun.process.to_string()), From::Kernel),
        "within": session.begun.and_then(|begun| begun.within).map(|key| key.to_string()),
        "start": timed(session.start()),
        "first_seen": text(session.seen.0),
        "end": timed(session.end()),
        "pam_closed": session.pam_closed.map(text),
        "state": state(session),
        "running": session.running,
        "processes": counts.processes,
        "commands": counts.commands,
        "files": counts.files,
        "files_at_least": counts.files_at_least,
        "failures": counts.failures,
        "auth_failures": counts.auth_failures + pam.map_or(0, |pam| u64::from(pam.failures)),
        "steps": session.steps.iter().map(step).collect::<Vec<_>>(),
        "doubts": session.doubts.iter().map(|doubt| json!({
            "t": text(doubt.t),
            "seq": doubt.seq,
            "process": doubt.process.to_string(),
            "doubt": doubt.what.word(),
            "text": doubt.sentence(&|uid| names.user(uid), &|key| names.session(key)),
        })).collect::<Vec<_>>(),
        "pam_disagrees": disagreement.map(|(user, uid)| json!({"user": user, "uid": uid})),
    })
}

/// A story: the session, its moments and its processes.
#[must_use]
pub fn of_story(story: &Story, session: &Session) -> Value {
    let names = Names::new(story.users().clone()).labelled(std::slice::from_ref(session));
    let moments = story.moments().iter().map(of_moment);
    let processes =
        story.tree().walk(&|_, _| true).into_iter().filter_map(|(depth, key)| {
            story.tree().get(&key).map(|process| of_process(&key, process, depth))
        });
    json!({
        "session": of_session(session, &names),
        "moments": moments.collect::<Vec<_>>(),
        "moments_left_out": story.beyond(),
        "processes": processes.collect::<Vec<_>>(),
    })
}

fn of_moment(moment: &Moment) -> Value {
    let change = moment.change.as_ref().map(|change| {
        json!({
            "path": change.path, "path_to": change.path_to, "did": change.verbs, "bytes": change.bytes,
            "events": change.count,
        })
    });
    json!({
        "t": text(moment.t),
        "seq": moment.seq,
        "kind": moment.kind.name(),
        "process": moment.process.map(|process| process.to_string()),
        "ok": moment.is_ok,
        "text": said(moment),
        "change": change,
    })
}

/// A process of a tree.
#[must_use]
pub fn of_process(key: &ProcessKey, process: &Process, depth: usize) -> Value {
    json!({
        "key": key.to_string(),
        "pid": key.pid,
        "depth": depth,
        "parent": process.parent.map(|parent| parent.to_string()),
        "adopted": process.adopted.map(|parent| parent.to_string()),
        "born": process.born.map(text),
        "first_seen": text(process.first),
        "end": process.end.as_ref().map(|end| json!({"t": text(end.t), "code": end.code, "signal": end.signal})),
        "exe": process.exe,
        "programs": process.programs.iter().map(of_program).collect::<Vec<_>>(),
    })
}

/// A program that a process ran.
#[must_use]
pub fn of_program(program: &Program) -> Value {
    json!({
        "t": text(program.t), "seq": program.seq, "exe": program.exe, "argv": program.argv,
        "uid": program.uids.0, "euid": program.uids.1, "setuid": program.is_setuid,
    })
}

fn step(step: &Step) -> Value {
    let pam = step.pam.as_ref();
    json!({
        "t": text(step.t),
        "process": step.process.to_string(),
        "program": step.program,
        "within": step.within,
        "from_uid": fact(step.from_uid, From::Kernel),
        "gained_uid": fact(step.gained_uid, From::Kernel),
        "gained_caps": fact(step.gained_caps.clone(), From::Kernel),
        "to_uid": fact(step.to_uid, From::Kernel),
        "user": fact(pam.and_then(|pam| pam.user.clone()), From::Pam),
        "service": fact(pam.and_then(|pam| pam.service.clone()), From::Pam),
        "closed": step.closed.map(text),
    })
}

const fn state(session: &Session) -> &'static str {
    match session.state() {
        State::Open => "open",
        State::ClosedByPam(..) => "closed_by_pam",
        State::Ended(_) => "ended",
        State::EndedByRestart(_) => "ended_by_restart",
        State::Unknown(_) => "unknown",
    }
}

/// A fact and who asserts it; null when it is not known.
fn fact(value: Option<impl Into<Value>>, from: From) -> Value {
    value.map_or(Value::Null, |value| json!({"value": value.into(), "from": from.word()}))
}

/// Wall time as in the events.
#[must_use]
pub fn text(ns: i64) -> String {
    str::from_utf8(Clock::default().text(ns)).map_or_else(|_| time_text(ns), str::to_owned)
}
