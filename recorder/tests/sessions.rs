//! What `session`, `tree` and `blame` tell of a made-up record, as docs/sessions.md shows it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError};
use serde_json::Value;

/// 2026-11-23T14:05:30Z.
const START: i64 = 1_795_442_730_000_000_000;
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sessions.md");
/// A user that no machine has, and how the page calls it.
const ANN: (&str, &str) = ("uid 54321", "anna.lind");

/// A store with one login: ssh, sudo, a file made and renamed over another one.
struct Record {
    folder: tempfile::TempDir,
}

/// Lines of the record, a quarter of a second apart.
#[derive(Default)]
struct Lines {
    lines: String,
    ends: Vec<u32>,
}

impl Lines {
    fn time(&self) -> i64 {
        START + i64::try_from(self.ends.len()).unwrap() * 250_000_000
    }

    fn add(&mut self, members: &str, flags: &str) {
        let seq = self.ends.len();
        let time = jiff::Timestamp::from_nanosecond(self.time().into()).unwrap();
        self.lines +=
            &format!("{{\"seq\":{seq},\"t\":\"{time:.9}\",\"mono\":{seq},{members},\"flags\":[{flags}]}}\n");
        self.ends.push(u32::try_from(self.lines.len()).unwrap());
    }

    /// An event of a process: number, parent, effective user, program.
    fn event(
        &mut self,
        kind: &str,
        (pid, parent, euid, exe): (u32, u32, u32, &str),
        session: &str,
        more: &str,
    ) {
        let (loginuid, result) = match (session, kind) {
            (_, "auth_failed") => ("null", "EACCES"),
            ("null", _) => ("null", "ok"),
            _ => ("54321", "ok"),
        };
        let comm = exe.rsplit('/').next().unwrap();
        let flags = if kind == "exec" && comm == "sudo" { "\"setuid\"" } else { "" };
        self.add(
            &format!(
                "\"kind\":\"{kind}\",\"result\":\"{result}\",\"pid\":{pid},\"tid\":{pid},\"ppid\":{parent},\
                 \"key\":\"0a1b2c3d-{pid}-{pid}0000\",\"pkey\":\"0a1b2c3d-{parent}-{parent}0000\",\"comm\":\"{comm}\",\
                 \"exe\":\"{exe}\",\"uid\":{euid},\"euid\":{euid},\"gid\":0,\"egid\":0,\"loginuid\":{loginuid},\
                 \"session\":{session},\"cgroup\":null,\"container\":null,\"mntns\":1,\"pidns\":1{more}"
            ),
            flags,
        );
    }

    fn fork(&mut self, by: (u32, u32, u32, &str), child: u32) {
        let more = format!(
            ",\"child\":{child},\"child_tid\":{child},\"child_key\":\"0a1b2c3d-{child}-{child}0000\""
        );
        self.event("fork", by, "3", &more);
    }

    fn pam(&mut self, kind: &str, by: (u32, u32, u32, &str), session: &str, (user, service): (&str, &str)) {
        let rhost = match (service, kind) {
            ("sshd", "auth_failed") => "\"203.0.113.5\"",
            ("sshd", _) => "\"192.0.2.7\"",
            _ => "null",
        };
        let more = format!(
            ",\"user\":\"{user}\",\"service\":\"{service}\",\"rhost\":{rhost},\"tty\":null,\"from\":\"pam\",\"pam_result\":7"
        );
        self.event(kind, by, session, &more);
    }
}

impl Record {
    fn new() -> Self {
        let mut lines = Lines::default();
        lines.add("\"kind\":\"start\",\"result\":\"ok\",\"boot\":\"0a1b2c3d00004000800000000000abcd\"", "");
        let guess = (90, 80, 0, "/usr/sbin/sshd");
        for user in ["root", "admin"] {
            lines.pam("auth_failed", guess, "null", (user, "sshd"));
        }
        log_in(&mut lines);
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("log");
        std::fs::create_dir(&store).unwrap();
        let options = Options { immutable: Immutable::Off, ..Options::new([7; 16], START) };
        let mut writer = loop {
            // A program that another test is just starting holds every lock of this process until it has started.
            match Writer::open(&store, &folder.path().join("state"), options.clone()) {
                Err(StoreError::InUse { .. }) => std::thread::yield_now(),
                opened => break opened.unwrap().0,
            }
        };
        let (t_first, t_last) = (START, lines.time());
        let frame =
            FrameInput { lines: lines.lines.as_bytes(), ends: &lines.ends, t_first, t_last, lost_total: 0 };
        writer.append(&frame).unwrap();
        writer.close(t_last).unwrap();
        Self { folder }
    }

    /// Exit code, output and messages.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_recorder"))
            .args(arguments)
            .env("RECORDER_STORE", self.folder.path().join("log"))
            .env("TZ", "UTC")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }
}

fn log_in(lines: &mut Lines) {
    let sshd = (100, 80, 0, "/usr/sbin/sshd");
    let shell = (101, 100, 54321, "/bin/bash");
    let sudo = (102, 101, 0, "/usr/bin/sudo");
    let root = (103, 102, 0, "/bin/sh");
    let mv = (104, 103, 0, "/usr/bin/mv");
    lines.pam("auth_ok", sshd, "null", ("anna.lind", "sshd"));
    lines.event("session_id", sshd, "3", ",\"call\":\"write\"");
    lines.pam("login", sshd, "3", ("anna.lind", "sshd"));
    lines.fork(sshd, 101);
    lines.event(
        "exec",
        shell,
        "3",
        ",\"argv\":[\"-bash\"],\"argc\":1,\"cwd\":\"/home/anna.lind\",\"file\":\"/bin/bash\"",
    );
    lines.fork((101, 100, 54321, "/bin/bash"), 102);
    lines.event(
        "exec",
        sudo,
        "3",
        ",\"argv\":[\"sudo\",\"sh\",\"-c\",\"echo hi > /etc/motd.new; mv /etc/motd.new /etc/motd\"]",
    );
    lines.pam("login", sudo, "3", ("root", "sudo"));
    lines.fork(sudo, 103);
    lines.event(
        "exec",
        root,
        "3",
        ",\"argv\":[\"sh\",\"-c\",\"echo hi > /etc/motd.new; mv /etc/motd.new /etc/motd\"]",
    );
    lines.event("file_create", root, "3", ",\"path\":\"/etc/motd.new\",\"dev\":\"8:1\",\"ino\":77");
    lines.event(
        "file_write",
        root,
        "3",
        ",\"path\":\"/etc/motd.new\",\"dev\":\"8:1\",\"ino\":77,\"bytes\":3",
    );
    lines.fork(root, 104);
    lines.event("exec", mv, "3", ",\"argv\":[\"mv\",\"/etc/motd.new\",\"/etc/motd\"]");
    lines.event(
        "file_rename",
        mv,
        "3",
        ",\"path\":\"/etc/motd.new\",\"path_to\":\"/etc/motd\",\"dev\":\"8:1\",\"ino\":77",
    );
    lines.event("exit", mv, "3", ",\"code\":0,\"signal\":null");
    lines.event("exit", root, "3", ",\"code\":0,\"signal\":null");
    lines.pam("logout", sudo, "3", ("root", "sudo"));
    lines.event("exit", sudo, "3", ",\"code\":0,\"signal\":null");
    lines.event("exit", shell, "3", ",\"code\":0,\"signal\":null");
    lines.pam("logout", sshd, "3", ("anna.lind", "sshd"));
    lines.event("exit", sshd, "3", ",\"code\":0,\"signal\":null");
}

#[test]
fn the_page_shows_what_the_commands_print() {
    let record = Record::new();
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let mut made = String::new();
    let mut inside = false;
    let mut commands = 0;
    for line in page.lines() {
        let is_fence = line.starts_with("```");
        if is_fence {
            inside = line == "```console";
        }
        if let Some(command) = line.strip_prefix("$ recorder ").filter(|_| inside) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let (code, out, err) = record.run(&words);
            assert_eq!((code, err.as_str()), (0, ""), "{command}");
            made += &format!("{line}\n{}", out.replace(ANN.0, ANN.1));
            commands += 1;
        } else if !inside || is_fence {
            made += &format!("{line}\n");
        }
    }
    assert!(commands >= 4, "{commands}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PAGE, made).unwrap();
        return;
    }
    assert_eq!(made, page, "UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn a_session_is_found_by_number_key_user_and_time() {
    let record = Record::new();
    let count = |arguments: &[&str]| {
        let (code, out, err) = record.run(&[&["session", "-o", "json"], arguments].concat());
        let list: Vec<Value> = serde_json::from_str(&out).unwrap();
        assert_eq!(code, i32::from(list.is_empty()), "{arguments:?}: {err}");
        list.len()
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&["--user", "anna.lind"]), 1);
    assert_eq!(count(&["--user", "bob"]), 0);
    assert_eq!(count(&["--open"]), 0);
    assert_eq!(count(&["--since", "2026-11-23 14:05:31"]), 1);
    assert_eq!(count(&["--since", "2026-11-23 14:06"]), 0);
    assert_eq!(count(&["--until", "2026-11-23 14:05:30"]), 0);
    for id in ["3", "0a1b2c3d-3"] {
        let story = record.json(&["session", id]);
        assert_eq!(story["session"]["key"], "0a1b2c3d-3");
        assert_eq!(story["processes"].as_array().unwrap().len(), 5);
        assert_eq!(story["session"]["state"], "ended");
    }
    let (code, _, err) = record.run(&["session", "4"]);
    assert_eq!((code, err.contains("no session 4")), (1, true), "{err}");
    assert_eq!(record.run(&["session", "0a1b2c3e-3"]).0, 1);
    assert_eq!(record.run(&["session", "x"]).0, 64);
    assert_eq!(record.run(&["session", "-o", "html"]).0, 64);
    assert_eq!(record.run(&["session", "--since", "@20", "--until", "@10"]).0, 64);
}

#[test]
fn a_tree_has_who_ran_and_when() {
    let record = Record::new();
    let pids = |arguments: &[&str]| -> Vec<u64> {
        let tree = record.json(&[&["tree"], arguments].concat());
        tree.as_array().unwrap().iter().map(|process| process["pid"].as_u64().unwrap()).collect()
    };
    assert_eq!(pids(&["s3"]), [100, 101, 102, 103, 104]);
    assert_eq!(pids(&["102"]), [102, 103, 104]);
    assert_eq!(pids(&["0a1b2c3d-103-1030000"]), [103, 104]);
    assert_eq!(pids(&["s3", "--at", "2026-11-23T14:05:31.9Z"]), [100, 101]);
    assert_eq!(record.run(&["tree", "4000000"]).0, 1);
    assert_eq!(record.run(&["tree", "x"]).0, 64);
}

#[test]
fn blame_leads_from_the_file_to_the_login() {
    let record = Record::new();
    let changes = record.json(&["blame", "/etc/motd"]);
    let kinds: Vec<&str> =
        changes.as_array().unwrap().iter().map(|change| change["event"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["file_create", "file_write", "file_rename"]);
    let last = &changes[2];
    let pids: Vec<u64> =
        last["chain"].as_array().unwrap().iter().map(|link| link["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids, [104, 103, 102, 101, 100]);
    assert_eq!(last["origin"]["rhost"]["value"], "192.0.2.7");
    assert_eq!(record.json(&["blame", "/etc/motd", "-n", "1"]).as_array().unwrap().len(), 1);
    assert_eq!(record.run(&["blame", "/etc/motd", "--since", "2026-11-23 15:00"]).0, 1);
    assert_eq!(record.run(&["blame", "/etc/nothing"]).0, 1);
}
