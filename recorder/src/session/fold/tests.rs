//! Tests of `session::fold`: made-up lines, and the sessions that they are.

use super::*;
use crate::session::login::State;

const BOOT: u32 = 0x0a;
const LATER: u32 = 0x0b;

/// Lines of one host, a second apart.
struct Log {
    fold: Fold,
    boot: u32,
    seq: u64,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { fold: Fold::default(), boot: BOOT, seq: 0 };
        log.about("start", &format!(",\"boot\":\"{BOOT:08x}0000\""));
        log
    }

    fn about(&mut self, kind: &str, more: &str) {
        self.add(&format!("\"kind\":\"{kind}\",\"result\":\"ok\"{more}"));
    }

    fn add(&mut self, members: &str) {
        let seq = self.seq;
        self.seq += 1;
        let t = format!("2026-11-24T{:02}:{:02}:{:02}.000000000Z", seq / 3600 % 24, seq / 60 % 60, seq % 60);
        let flags = if members.contains("/usr/bin/sudo") { "\"setuid\"" } else { "" };
        let line = format!("{{\"seq\":{seq},\"t\":\"{t}\",\"mono\":{seq},{members},\"flags\":[{flags}]}}");
        self.fold.line(line.as_bytes()).unwrap();
    }

    /// An event of a process of uid `uid`; session 0 is none.
    fn event(&mut self, kind: &str, (pid, session, uid): (u32, u32, u32), more: &str) {
        let id = if session == 0 { "null".to_owned() } else { session.to_string() };
        let loginuid = if session == 0 { "null" } else { "1000" };
        let boot = self.boot;
        let result = if kind == "auth_failed" { "EACCES" } else { "ok" };
        self.add(&format!(
            "\"kind\":\"{kind}\",\"result\":\"{result}\",\"pid\":{pid},\"key\":\"{boot:08x}-{pid}-{pid}\",\
             \"pkey\":\"{boot:08x}-1-1\",\"exe\":\"/bin/x\",\"uid\":{uid},\"euid\":{uid},\"loginuid\":{loginuid},\
             \"session\":{id}{more}"
        ));
    }

    fn fork(&mut self, pid: u32, session: u32, uid: u32, child: u32) {
        let boot = self.boot;
        self.event(
            "fork",
            (pid, session, uid),
            &format!(",\"child\":{child},\"child_key\":\"{boot:08x}-{child}-{child}\""),
        );
    }

    /// sshd[100] logs in alice (uid 1000) as session 3, whose shell is 101.
    fn log_in(&mut self) {
        self.event("session_id", (100, 3, 0), ",\"call\":\"write\"");
        self.event(
            "login",
            (100, 3, 0),
            ",\"user\":\"alice\",\"service\":\"sshd\",\"rhost\":\"10.0.0.5\",\"from\":\"pam\"",
        );
        self.fork(100, 3, 0, 101);
        self.event("exec", (101, 3, 1000), ",\"argv\":[\"sh\"]");
    }

    fn log_out(&mut self) {
        self.event("exit", (101, 3, 1000), ",\"code\":0");
        self.event("logout", (100, 3, 0), ",\"user\":\"alice\",\"service\":\"sshd\"");
        self.event("exit", (100, 3, 0), ",\"code\":0");
    }

    fn sessions(&self) -> Vec<Session> {
        self.fold.sessions()
    }

    fn one(&self) -> Session {
        let sessions = self.sessions();
        assert_eq!(sessions.len(), 1, "{sessions:#?}");
        sessions.into_iter().next().unwrap()
    }
}

#[test]
fn a_login_has_its_facts_and_ends_with_its_last_process() {
    let mut log = Log::new();
    log.event("auth_failed", (100, 0, 0), ",\"user\":\"alice\",\"service\":\"sshd\",\"rhost\":\"10.0.0.5\"");
    log.event("auth_ok", (100, 0, 0), ",\"user\":\"alice\"");
    log.log_in();
    log.event("file_create", (101, 3, 1000), ",\"path\":\"/a\"");
    log.event("file_write", (101, 3, 1000), ",\"path\":\"/a\"");
    assert_eq!(log.one().state(), State::Open);
    log.log_out();
    let session = log.one();
    let pam = session.pam.clone().unwrap();
    assert_eq!((pam.user.as_deref(), pam.rhost.as_deref()), (Some("alice"), Some("10.0.0.5")));
    assert!(pam.is_authenticated && pam.failures == 1);
    assert_eq!(session.loginuid, Some(1000));
    assert_eq!(session.begun.unwrap().process.pid, 100);
    assert_eq!(session.key, SessionKey::Kernel { boot: BOOT, id: 3 });
    assert!(matches!(session.state(), State::Ended(_)) && session.pam_closed.is_some());
    let counts = session.counts;
    assert_eq!((counts.processes, counts.commands, counts.files, counts.changes), (2, 1, 1, 2));
    assert!(session.steps.is_empty() && session.doubts.is_empty(), "{session:#?}");
    assert_eq!(log.fold.failures().origins()[0].1.count, 1);
}

#[test]
fn what_runs_on_after_the_logout_keeps_the_session() {
    let mut log = Log::new();
    log.log_in();
    log.fork(101, 3, 1000, 102);
    log.log_out();
    assert!(matches!(log.one().state(), State::ClosedByPam(_, 1)));
    log.event("exit", (102, 3, 1000), "");
    assert!(matches!(log.one().state(), State::Ended(_)));
}

#[test]
fn steps_are_nested_and_joined_with_what_pam_says() {
    let mut log = Log::new();
    log.log_in();
    // sudo, whose child runs a shell as root, where su becomes uid 1001.
    log.fork(101, 3, 1000, 102);
    log.add(
        "\"kind\":\"exec\",\"result\":\"ok\",\"pid\":102,\"key\":\"0000000a-102-102\",\"pkey\":\"0000000a-101-101\",\
         \"exe\":\"/usr/bin/sudo\",\"uid\":1000,\"euid\":0,\"loginuid\":1000,\"session\":3",
    );
    log.event("login", (102, 3, 0), ",\"user\":\"root\",\"service\":\"sudo\"");
    log.fork(102, 3, 0, 103);
    log.event("exec", (103, 3, 0), "");
    log.fork(103, 3, 0, 104);
    log.event("exec", (104, 3, 0), "");
    log.event("login", (104, 3, 0), ",\"user\":\"bob\",\"service\":\"su\"");
    log.fork(104, 3, 0, 105);
    log.event("exec", (105, 3, 1001), "");
    log.event("logout", (104, 3, 0), "");
    let steps = log.one().steps;
    let shown: Vec<_> = steps
        .iter()
        .map(|step| (step.within, step.to_uid, step.pam.as_ref().unwrap().user.clone().unwrap()))
        .collect();
    assert_eq!(shown, [(None, Some(0), "root".to_owned()), (Some(0), Some(1001), "bob".to_owned())]);
    assert_eq!((steps[0].from_uid, steps[0].closed), (Some(1000), None));
    assert!(steps[1].closed.is_some());
}

#[test]
fn a_login_without_pam_is_told_by_the_kernel_and_one_without_the_kernel_by_pam() {
    let mut log = Log::new();
    log.event("session_id", (100, 3, 0), "");
    log.event("exec", (100, 3, 1000), "");
    log.event("login", (200, 0, 0), ",\"user\":\"bob\",\"service\":\"su\"");
    log.fork(200, 0, 0, 201);
    log.event("exec", (201, 0, 1001), "");
    log.event("exec", (300, 0, 0), "");
    log.event("exit", (201, 0, 1001), "");
    log.event("exit", (200, 0, 0), "");
    let sessions = log.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].pam.is_none() && sessions[0].begun.is_some());
    let (pam, key) = (&sessions[1], sessions[1].key);
    assert!(matches!(key, SessionKey::Pam(process) if process.pid == 200));
    assert_eq!((pam.counts.commands, pam.counts.processes), (1, 2));
    assert!(matches!(pam.state(), State::Ended(_)), "{pam:#?}");
}

#[test]
fn a_restart_of_the_recorder_is_not_the_end_and_one_of_the_host_is() {
    let mut log = Log::new();
    log.log_in();
    log.about("stop", "");
    log.about("start", &format!(",\"boot\":\"{BOOT:08x}0000\""));
    assert!(matches!(log.one().state(), State::Unknown(_)));
    log.event("exec", (101, 3, 1000), "");
    assert_eq!(log.one().state(), State::Open);
    log.about("start", &format!(",\"boot\":\"{LATER:08x}0000\""));
    assert!(matches!(log.one().state(), State::EndedByRestart(_)));
    // The same number on the next boot is another session.
    log.boot = LATER;
    log.event("exec", (101, 3, 1000), "");
    assert_eq!(log.sessions().len(), 2);
    assert!(log.sessions()[1].start().is_none(), "it is older than what was recorded of this boot");
}

#[test]
fn whoever_leaves_a_session_is_followed_and_named() {
    let mut log = Log::new();
    log.log_in();
    log.fork(101, 3, 1000, 102);
    log.event("session_id", (101, 0, 0), "");
    log.event("exec", (101, 0, 0), "");
    log.fork(101, 0, 0, 103);
    log.event("file_create", (103, 0, 0), ",\"path\":\"/hidden\"");
    log.event("session_id", (102, 4, 0), "");
    log.event("ptrace", (102, 4, 0), ",\"command\":\"ATTACH\",\"target\":100");
    let sessions = log.sessions();
    let words = |session: &Session| session.doubts.iter().map(|doubt| doubt.what.word()).collect::<Vec<_>>();
    assert_eq!(words(&sessions[0]), ["loginuid_unset", "loginuid_rewritten", "traced_by_other_session"]);
    assert_eq!(words(&sessions[1]), ["begun_within_session", "traced_other_session"]);
    assert_eq!(sessions[1].begun.unwrap().within, Some(sessions[0].key));
    assert_eq!(sessions[0].counts.files, 1, "done by a child of what left");
    assert_eq!(sessions[0].running, 3);
}

#[test]
fn the_table_of_sessions_is_bounded() {
    let mut log = Log::new();
    for id in 1..=u32::try_from(SESSIONS).unwrap() + 10 {
        log.fold.session(SessionKey::Kernel { boot: BOOT, id }, i64::from(id));
    }
    assert!(log.fold.sessions.len() <= SESSIONS && log.fold.left_out() > 0);
}
