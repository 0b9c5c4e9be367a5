//! What people type and what they get: output, messages and exit codes of the reading verbs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use recorder::chain::hex;
use recorder::daemon::control::{FrameStored, Server, Shared, socket_path, state_directory};
use recorder::redact::commitment::{Place, commit};
use recorder::store::directory::Directory;
use recorder::store::salt_key;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError};
use serde_json::Value;

/// 2026-11-23T14:05:30Z.
const START: i64 = 1_795_442_730_000_000_000;

/// A store in a folder of its own, and its writer.
struct Sandbox {
    folder: tempfile::TempDir,
    writer: Option<Writer>,
    /// What the next frame is about.
    time: i64,
}

impl Sandbox {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("log")).unwrap();
        let mut sandbox = Self { folder, writer: None, time: START };
        sandbox.open();
        sandbox
    }

    /// Events 0 to 5 in three frames of two segments, ended in order.
    fn with_events() -> Self {
        let mut sandbox = Self::empty();
        sandbox.frame(&[
            r#""kind":"exec","result":"ok","pid":10,"comm":"sh","exe":"/bin/sh","uid":0,"loginuid":1000,"session":3,"container":null,"argv":["sh","-c","id; echo \"ü,\""]"#,
            r#""kind":"file_create","result":"ok","pid":11,"comm":"vi","exe":"/usr/bin/vi","uid":1000,"loginuid":1000,"session":3,"container":null,"path":"/etc/a.conf""#,
        ]);
        sandbox.frame(&[
            r#""kind":"file_rename","result":"EACCES","pid":11,"comm":"vi","exe":"/usr/bin/vi","uid":1000,"loginuid":1000,"session":3,"container":null,"path":"/etc/a.conf","path_to":"/etc/sub/b.conf""#,
        ]);
        sandbox.reopen();
        sandbox.frame(&[
            "\"kind\":\"file_delete\",\"result\":\"ok\",\"pid\":12,\"comm\":\"rm\",\"exe\":\"/bin/rm\",\"uid\":0,\"loginuid\":null,\"session\":null,\"container\":\"abc123\",\"path\":\"/tmp/\\u001b]0;x\\u0007\u{202e}caf\u{10FFE9}\"",
            r#""kind":"auth_failed","result":"EACCES","pid":13,"comm":"sshd","exe":"/usr/sbin/sshd","uid":0,"loginuid":null,"session":null,"container":null,"user":"mallory","rhost":"192.0.2.7""#,
            r#""kind":"gap","result":"ok","class":"files","lost":12"#,
        ]);
        sandbox.close();
        sandbox
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn open(&mut self) {
        let options = Options { immutable: Immutable::Off, ..Options::new([7; 16], self.time) };
        let opened = loop {
            // A program that another test is just starting holds every lock of this process until it has started.
            match Writer::open(&self.store(), &state_directory(&self.store()), options.clone()) {
                Err(StoreError::InUse { .. }) => std::thread::yield_now(),
                opened => break opened,
            }
        };
        self.writer = Some(opened.unwrap().0);
    }

    fn close(&mut self) {
        self.writer.take().unwrap().close(self.time).unwrap();
    }

    /// Ends the segment and begins another one.
    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Stores one frame of events, a second apart; each is given from its kind on.
    fn frame(&mut self, events: &[&str]) -> u64 {
        let writer = self.writer.as_mut().unwrap();
        let (mut lines, mut ends, t_first) = (String::new(), Vec::new(), self.time);
        for (seq, event) in (writer.next_seq()..).zip(events) {
            let time = jiff::Timestamp::from_nanosecond(self.time.into()).unwrap();
            lines += &format!("{{\"seq\":{seq},\"t\":\"{time:.9}\",\"mono\":{seq},{event},\"flags\":[]}}\n");
            ends.push(u32::try_from(lines.len()).unwrap());
            self.time += 1_000_000_000;
        }
        let t_last = self.time - 1_000_000_000;
        let frame = FrameInput { lines: lines.as_bytes(), ends: &ends, t_first, t_last, lost_total: 0 };
        writer.append(&frame).unwrap().frame_no
    }

    fn recorder(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recorder"));
        command
            .args(arguments)
            .env("RECORDER_STORE", self.store())
            .env("TZ", "UTC")
            .env_remove("RECORDER_PAGER");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.recorder(arguments).output().unwrap())
    }

    /// Numbers of the events that a query finds.
    fn found(&self, arguments: &[&str]) -> Vec<u64> {
        let ended = self.run(&[&["query", "-o", "jsonl"], arguments].concat());
        assert_eq!(ended.code, i32::from(ended.out.is_empty()), "{arguments:?}: {}", ended.err);
        let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
        ended.out.lines().map(seq).collect()
    }

    /// Changes one byte of a segment, counted from its end when negative.
    fn damage(&self, segment: usize, offset: i64) -> String {
        let path = Directory::open(&self.store()).unwrap().segments()[segment].path.clone();
        let mut bytes = std::fs::read(&path).unwrap();
        let place = usize::try_from(if offset < 0 { bytes.len() as i64 + offset } else { offset }).unwrap();
        bytes[place] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

/// A run of the program.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn each_filter_finds_its_events() {
    let sandbox = Sandbox::with_events();
    let table: &[(&[&str], &[u64])] = &[
        (&[], &[0, 1, 2, 3, 4, 5]),
        (&["--no-index"], &[0, 1, 2, 3, 4, 5]),
        (&["--kind", "exec,gap"], &[0, 5]),
        (&["--pid", "11"], &[1, 2]),
        (&["--uid", "1000"], &[1, 2]),
        (&["--user", "root"], &[0, 3, 4]),
        (&["--user", "mallory"], &[4]),
        (&["--loginuid", "1000"], &[0, 1, 2]),
        (&["--session", "3"], &[0, 1, 2]),
        (&["--session", "none"], &[3, 4]),
        (&["--exe", "/usr/bin/*"], &[1, 2]),
        (&["--path", "/etc/*"], &[1, 2]),
        (&["--path", "/etc/sub/*"], &[2]),
        (&["--path", "/tmp/**caf?"], &[3]),
        (&["--container", "abc"], &[3]),
        (&["--host", "no-such-host"], &[]),
        (&["--result", "failed"], &[2, 4]),
        (&["--result", "EPERM"], &[]),
        (&["--grep", "\"ü,\""], &[0]),
        (&["--since", "2026-11-23T14:05:33Z"], &[3, 4, 5]),
        (&["--until", "@1795442731"], &[0, 1]),
        (&["--since", "2026-11-23 14:05:31", "--until", "2026-11-23 14:05:32"], &[1, 2]),
        (&["--since", "tomorrow", "--until", "+2d"], &[]),
        (&["-n", "2"], &[4, 5]),
        (&["-n", "0"], &[]),
        (&["-r"], &[5, 4, 3, 2, 1, 0]),
        (&["-r", "-n", "2", "--uid", "1000"], &[2, 1]),
        (&["-n", "2", "--path", "/etc/"], &[1, 2]),
    ];
    for (arguments, expected) in table {
        assert_eq!(sandbox.found(arguments), *expected, "{arguments:?}");
    }
}

#[test]
fn the_host_is_the_one_of_the_origin_key() {
    let sandbox = Sandbox::with_events();
    let origin = std::fs::read_to_string(sandbox.store().join("origin.pub")).unwrap();
    let host = origin.split('/').next().unwrap();
    assert_eq!(sandbox.found(&["--host", host]).len(), 6);
}

#[test]
fn nothing_found_is_1_and_says_so() {
    let sandbox = Sandbox::with_events();
    let ended = sandbox.run(&["query", "--pid", "4000000"]);
    assert_eq!((ended.code, &*ended.out, &*ended.err), (1, "", "recorder: no event matches\n"));
    assert_eq!(sandbox.run(&["show", "6"]).code, 1);
    assert_eq!(Sandbox::empty().run(&["log"]).code, 1);
}

#[test]
fn a_command_line_that_makes_no_sense_is_64_and_says_what_would() {
    let sandbox = Sandbox::with_events();
    let table: &[(&[&str], &str)] = &[
        (&["query", "--since", "10 parsecs ago"], "yesterday"),
        (&["query", "--kind", "exce"], "exec_failed"),
        (&["query", "--output", "xml"], "jsonl"),
        (&["query", "--result", "bad"], "EACCES"),
        (&["query", "--path", "/[a"], "unclosed character class"),
        (&["query", "--since", "@20", "--until", "@10"], "--until"),
        (&["show", "first"], "invalid digit"),
        (&["quary"], "query"),
        (&["verify", "--since", "@20", "--until", "@10"], "--until"),
    ];
    for (arguments, hint) in table {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, &*ended.out), (64, ""), "{arguments:?}");
        assert!(
            ended.err.starts_with("recorder: ") && ended.err.contains(hint),
            "{arguments:?}: {}",
            ended.err
        );
    }
}

#[test]
fn a_folder_that_is_no_store_is_70() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::with_events();
    let empty = folder.path().to_str().unwrap();
    let missing = folder.path().join("missing");
    for verb in [&["query"][..], &["show", "1"], &["verify"], &["status"], &["follow"]] {
        let ended = sandbox.run(&[verb, &["--store", empty]].concat());
        assert_eq!(ended.code, 70, "{verb:?}");
        assert!((ended.out + &ended.err).contains("is not a store"), "{verb:?}");
        let ended = sandbox.run(&[verb, &["--store", missing.to_str().unwrap()]].concat());
        assert_eq!(ended.code, 70, "{verb:?}");
        assert_eq!((ended.out + &ended.err).matches("No such file").count(), 1, "{verb:?}");
    }
}

#[test]
fn jsonl_is_what_zstd_prints_and_json_and_csv_are_read_by_others() {
    let sandbox = Sandbox::with_events();
    let json: Vec<Value> = serde_json::from_str(&sandbox.run(&["query", "-o", "json"]).out).unwrap();
    let lines: Vec<Value> = sandbox
        .run(&["query", "-o", "jsonl"])
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json, lines);
    let csv = sandbox.run(&["query", "-o", "csv", "--fields", "seq,path,argv"]).out;
    let script = "import csv,sys,json\nrows=list(csv.reader(sys.stdin))\nprint(json.dumps(rows))";
    let mut python = Command::new("python3");
    let python = python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut python) = python else {
        println!("SKIPPED: another program reading the csv: python3 is not installed");
        return;
    };
    python.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
    let rows: Vec<Vec<String>> = serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[0], ["seq", "path", "argv"]);
    assert_eq!(rows[1][2], r#"["sh","-c","id; echo \"ü,\""]"#);
    assert_eq!(rows[4][1], json[3]["path"].as_str().unwrap());
}

#[test]
fn a_field_that_no_event_has_is_told() {
    let sandbox = Sandbox::with_events();
    let ended = sandbox.run(&["query", "-o", "csv", "--fields", "seq,pth"]);
    assert_eq!(ended.code, 0);
    assert_eq!(ended.err, "recorder: no event shown has a field \"pth\"\n");
}

#[test]
fn nothing_of_the_recorded_host_steers_a_terminal() {
    let sandbox = Sandbox::with_events();
    for arguments in [&["query"][..], &["query", "-o", "table"], &["show", "3"]] {
        let out = sandbox.run(arguments).out;
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c >= '\u{10FF80}';
        assert!(!out.contains(steers), "{arguments:?}: {out:?}");
        assert!(out.contains("\\u{202e}caf\\xe9"), "{arguments:?}: {out}");
    }
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let sandbox = Sandbox::with_events();
    assert!(!sandbox.run(&["query"]).out.contains('\u{1b}'));
    assert!(sandbox.run(&["query", "--color", "always"]).out.contains('\u{1b}'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let sandbox = Sandbox::with_events();
    let mut child =
        sandbox.recorder(&["query"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, &*ended.err), (0, ""));
}

#[test]
fn show_names_segment_frame_and_offset() {
    let sandbox = Sandbox::with_events();
    let ended = sandbox.run(&["show", "4"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("rhost      192.0.2.7\n"), "{}", ended.out);
    let shown: Value = serde_json::from_str(&sandbox.run(&["show", "4", "-o", "json"]).out).unwrap();
    assert_eq!(shown["event"]["user"], "mallory");
    let segments = Directory::open(&sandbox.store()).unwrap().segments().to_vec();
    let last = segments.last().unwrap().path.file_name().unwrap().to_str().unwrap();
    assert_eq!(shown["segment"], last);
    let place = format!("frame      {}\n", shown["frame"]);
    assert!(ended.out.contains(&place) && ended.out.contains(last), "{}", ended.out);
    let bytes = std::fs::read(&segments.last().unwrap().path).unwrap();
    assert!(shown["offset"].as_u64().unwrap() < bytes.len() as u64);
}

#[test]
fn a_damaged_index_is_named_and_hides_nothing() {
    let sandbox = Sandbox::with_events();
    let whole = sandbox.run(&["query", "-o", "jsonl", "--pid", "11"]);
    assert_eq!((whole.code, whole.out.lines().count(), whole.err.as_str()), (0, 2, ""));
    // The digest of the footer, which ends the first segment.
    let name = sandbox.damage(0, -1);
    let ended = sandbox.run(&["query", "-o", "jsonl", "--pid", "11"]);
    assert_eq!((ended.code, &ended.out), (0, &whole.out), "{}", ended.err);
    assert!(ended.err.contains(&name) && ended.err.contains("index"), "{}", ended.err);
    let without = sandbox.run(&["query", "-o", "jsonl", "--pid", "11", "--no-index"]);
    assert_eq!((without.code, &without.out, without.err.as_str()), (0, &whole.out, ""));
    assert_eq!(sandbox.run(&["show", "1"]).code, 0);
    assert_eq!(sandbox.run(&["verify"]).code, 2);
}

#[test]
fn damage_is_named_and_the_rest_is_shown_but_it_is_70() {
    let mut sandbox = Sandbox::with_events();
    sandbox.open();
    sandbox.frame(&[r#""kind":"gap","result":"ok","lost":1"#]);
    sandbox.close();
    // Into the payload of the only frame with events in the second segment: its header is 268 bytes long.
    let path = Directory::open(&sandbox.store()).unwrap().segments()[1].path.clone();
    let shown: Value = serde_json::from_str(&sandbox.run(&["show", "3", "-o", "json"]).out).unwrap();
    let offset = shown["offset"].as_i64().unwrap() + 300;
    let name = sandbox.damage(1, offset);
    for arguments in [&["query", "-o", "jsonl"][..], &["query", "-o", "jsonl", "-r"]] {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, 70);
        assert_eq!(ended.out.lines().count(), 4, "{}", ended.out);
        let frame = format!("(frame {})", shown["frame"]);
        assert!(ended.err.contains(&name) && ended.err.contains(&frame), "{}", ended.err);
        assert!(ended.err.contains("verify"), "{}", ended.err);
    }
    // A segment whose header is gone.
    std::fs::write(path, [1; 4000]).unwrap();
    let ended = sandbox.run(&["query", "-o", "jsonl"]);
    assert_eq!((ended.code, ended.out.lines().count()), (70, 4), "{}", ended.err);
    assert_eq!(sandbox.run(&["show", "3"]).code, 70);
}

#[test]
fn a_line_that_is_no_event_is_named_and_the_rest_is_shown() {
    let mut sandbox = Sandbox::empty();
    sandbox.frame(&[
        r#""kind":"gap","result":"ok","lost":1"#,
        r#""kind":"gap","result":"ok","lost":}"#,
        r#""kind":"gap","result":"ok","lost":3"#,
    ]);
    for format in ["human", "json", "csv"] {
        for more in [&["-k", "gap"][..], &["-n", "3"], &["--grep", "gap"]] {
            let ended = sandbox.run(&[&["query", "-o", format], more].concat());
            assert_eq!(ended.code, 70, "{format} {more:?}");
            assert!(
                ended.err.contains("event 1 can't") || ended.err.contains("not an event"),
                "{}",
                ended.err
            );
            assert!(format != "json" || serde_json::from_str::<Vec<Value>>(&ended.out).unwrap().len() == 2);
        }
    }
}

#[test]
fn without_a_daemon_follow_and_status_say_how_to_start_it() {
    let sandbox = Sandbox::with_events();
    let ended = sandbox.run(&["follow"]);
    assert_eq!(ended.code, 70);
    let command = format!("`recorder daemon --store {}`", sandbox.store().display());
    assert!(ended.err.contains(&command), "{}", ended.err);
    let ended = sandbox.run(&["status"]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.starts_with("not recording: ") && ended.out.contains(&command), "{}", ended.out);
    assert!(ended.out.contains("2 segments") && ended.out.contains("6 events"), "{}", ended.out);
    assert!(ended.out.contains("ended       in order"), "{}", ended.out);
    let status: Value = serde_json::from_str(&sandbox.run(&["status", "-o", "json"]).out).unwrap();
    assert_eq!((&status["recording"], &status["store"]["events"]), (&Value::Bool(false), &Value::from(6)));
}

#[test]
fn verify_says_its_verdict_first_and_ends_with_its_code() {
    let sandbox = Sandbox::with_events();
    let good = sandbox.run(&["verify"]);
    assert_eq!(good.code, 5, "{}", good.err);
    assert!(good.out.starts_with("UNANCHORED: "), "{}", good.out);
    assert!(good.out.contains("Checked 6 events") && good.out.contains("events 0 to 5"), "{}", good.out);
    assert!(good.out.contains("the key found beside the segments") && good.err.is_empty(), "{}", good.out);
    let key = sandbox.store().join("origin.pub");
    let kept = sandbox.run(&["verify", "--key", key.to_str().unwrap(), "--headers-only", "--jobs", "1"]);
    assert_eq!(kept.code, 5, "{}", kept.err);
    assert!(kept.out.contains("the key you gave") && kept.out.contains("headers only"), "{}", kept.out);
    assert_eq!(sandbox.run(&["verify", "--key", "/dev/null"]).code, 70);
    assert_eq!(sandbox.run(&["verify", "--since", "tomorrow"]).code, 3);
    let name = sandbox.damage(0, -100);
    let bad = sandbox.run(&["verify"]);
    assert_eq!(bad.code, 2);
    assert!(bad.out.starts_with("TAMPERED: ") && bad.out.contains("- tampering: "), "{}", bad.out);
    assert!(bad.out.contains(&name), "{}", bad.out);
    let report: Value = serde_json::from_str(&sandbox.run(&["verify", "--json"]).out).unwrap();
    assert_eq!(report["exit_code"], 2);
}

/// Reads lines until one of them is about event `seq`.
fn read_until(lines: &mut impl Iterator<Item = std::io::Result<String>>, seq: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&seq) {
        let line = lines.next().unwrap().unwrap();
        seen.push(serde_json::from_str::<Value>(&line).unwrap()["seq"].as_u64().unwrap());
    }
    seen
}

#[test]
fn follow_shows_each_event_once_across_segments_and_nothing_before_it_is_durable() {
    let mut sandbox = Sandbox::with_events();
    sandbox.open();
    let frame_no = sandbox.frame(&[r#""kind":"exit","result":"ok","pid":1"#]);
    // This frame is on disk, but the daemon does not vouch for it yet.
    let early = sandbox.frame(&[r#""kind":"exit","result":"ok","pid":2"#]);
    let shared = Shared::new(&sandbox.store(), "b00t", frame_no + 1);
    let server =
        Server::start(&socket_path(&sandbox.store()), &sandbox.store(), Arc::clone(&shared)).unwrap();
    assert_eq!(sandbox.found(&["-n", "1"]), [6]);
    let follow = ["follow", "-o", "jsonl", "-n", "2"];
    let mut child = sandbox.recorder(&follow).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(read_until(&mut lines, 6), [5, 6]);
    let durable = |frame_no| {
        let (segment, now) = ("seg", sandbox.time);
        shared.frame_stored(&FrameStored { frame_no, events: 1, bytes: 1, segment, t_first: now, now });
    };
    durable(early);
    assert_eq!(read_until(&mut lines, 7), [7]);
    sandbox.reopen();
    let later = sandbox.frame(&[r#""kind":"exit","result":"ok","pid":3"#, r#""kind":"gap","result":"ok""#]);
    let (segment, now) = ("seg", sandbox.time);
    shared.frame_stored(&FrameStored { frame_no: later, events: 2, bytes: 1, segment, t_first: now, now });
    assert_eq!(read_until(&mut lines, 9), [8, 9]);
    let status: Value = serde_json::from_str(&sandbox.run(&["status", "-o", "json"]).out).unwrap();
    assert_eq!(status["daemon"]["durable"]["frames"], later + 1);
    server.stop();
    assert!(lines.next().is_none());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(70));
    assert!(err.contains("the daemon stopped"), "{err}");
}

#[test]
fn members_of_the_group_may_read_and_others_are_told_who_may() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can become someone else.
    }
    let sandbox = Sandbox::with_events();
    let group = 54_321;
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let program = sandbox.folder.path().join("recorder");
    std::fs::copy(env!("CARGO_BIN_EXE_recorder"), &program).unwrap();
    open(&program, 0o755);
    open(sandbox.folder.path(), 0o755);
    let inside = std::fs::read_dir(sandbox.store()).unwrap().map(|entry| entry.unwrap().path());
    for path in inside.chain([sandbox.store()]) {
        chown(&path, Some(0), Some(group)).unwrap();
    }
    let run_as = |gid: u32| {
        let mut command = Command::new(&program);
        command.args(["query", "-o", "jsonl"]).env("RECORDER_STORE", sandbox.store()).uid(54_321).gid(gid);
        Ended::from(command.output().unwrap())
    };
    let member = run_as(group);
    assert_eq!((member.code, member.out.lines().count()), (0, 6), "{}", member.err);
    let stranger = run_as(54_322);
    assert_eq!(stranger.code, 70);
    assert!(stranger.err.contains("members of group 54321 may read it"), "{}", stranger.err);
}

#[test]
fn completion_scripts_are_valid() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completion", shell]).out;
        assert!(script.contains("loginuid"), "{shell}");
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
}

#[test]
fn config_check_tells_what_is_wrong() {
    let sandbox = Sandbox::empty();
    let file = sandbox.folder.path().join("recorder.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        sandbox.run(&["config", "check", "--config", file.to_str().unwrap()])
    };
    let good = check("[store]\nsegment_size = \"1 MiB\"\n");
    assert_eq!(good.code, 0, "{}", good.err);
    let bad = check("[store]\nsegment_sise = 1\n");
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("recorder.toml:2") && bad.err.contains("segment_sise"), "{}", bad.err);
}

#[test]
fn a_redacted_secret_is_proved_by_who_has_it() {
    let mut sandbox = Sandbox::empty();
    let state = state_directory(&sandbox.store());
    let key = salt_key::load_or_make(&state).unwrap();
    let seq = sandbox.writer.as_ref().unwrap().next_seq();
    let salt = |index| key.salt(Place { seq, mono: seq, index });
    let entry = |index, secret: &[u8], cut| {
        format!(
            r#"{{"argument":{index},"at":2,"rule":"program",{cut}"salt_key":"{}","commitment":"{}"}}"#,
            hex(&key.id()),
            hex(&commit(&salt(index), secret))
        )
    };
    let list = [entry(0, b"hunter2", ""), entry(1, b"s3c", r#""cut":true,"#)].join(",");
    let event = r#""kind":"exec","result":"ok","pid":10,"argv":["mysql","-p[redacted]"],"redacted":["#;
    sandbox.frame(&[&format!("{event}{list}]"), r#""kind":"exec","result":"ok","pid":11,"argv":["ls"]"#]);
    sandbox.close();
    let file = sandbox.folder.path().join("secret");
    let check = |secret: &str, more: &[&str]| {
        std::fs::write(&file, secret).unwrap();
        let arguments = ["redaction", "check", "0", "--secret-file", file.to_str().unwrap()];
        sandbox.run(&[&arguments[..], more].concat())
    };

    for secret in ["hunter2", "hunter2\n"] {
        let right = check(secret, &[]);
        assert_eq!(
            (right.code, right.out.as_str()),
            (0, "event 0, argument 0 at 2: this is the secret\n"),
            "{}",
            right.err
        );
    }
    let cut = check("s3cret", &[]);
    let said = "event 0, argument 1 at 2: this is the secret, of which the first 3 bytes were recorded\n";
    assert_eq!((cut.code, cut.out.as_str()), (0, said));
    let wrong = check("hunter3", &[]);
    assert_eq!((wrong.code, wrong.out.as_str()), (1, "event 0: this is not what was redacted\n"));

    let mut from_stdin = sandbox.recorder(&["redaction", "check", "0", "--secret-file", "-"]);
    let mut child = from_stdin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hunter2").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));

    let salts = sandbox.run(&["redaction", "salt", "0"]);
    assert_eq!(salts.out.lines().next(), Some(&*format!("argument 0 at 2: salt {}", hex(&salt(0)))));
    // Anybody can do it with a salt and a hash, and we without the key.
    std::fs::remove_file(salt_key::path(&state)).unwrap();
    let missing = check("hunter2", &[]);
    assert_eq!(missing.code, 70);
    assert!(missing.err.contains("redact.key is missing"), "{}", missing.err);
    let salt_file = sandbox.folder.path().join("salt");
    let with_salt = ["--salt-file", salt_file.to_str().unwrap()];
    std::fs::write(&salt_file, hex(&salt(0)) + "\n").unwrap();
    assert_eq!(check("hunter2", &with_salt).code, 0);
    assert_eq!(check("hunter3", &with_salt).code, 1);
    std::fs::write(&salt_file, "00").unwrap();
    assert_eq!(check("hunter2", &with_salt).code, 64);

    // A new key says nothing about what the old one was used for.
    salt_key::load_or_make(&state).unwrap();
    let other = check("hunter2", &[]);
    assert_eq!(other.code, 70);
    assert!(other.err.contains(&format!("was redacted with key {}", hex(&key.id()))), "{}", other.err);
    // What is left is found as it stands.
    assert_eq!(sandbox.found(&["--grep", "p[redacted]"]), [0]);
}

#[test]
fn where_nothing_was_redacted_there_is_nothing_to_prove() {
    let sandbox = Sandbox::with_events();
    for (seq, said) in [("1", "nothing was redacted in event 1"), ("9", "the store has no event 9")] {
        let none = sandbox.run(&["redaction", "salt", seq]);
        assert_eq!(none.code, 1);
        assert!(none.err.contains(said), "{}", none.err);
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let help = Sandbox::empty().run(&["--help"]);
    assert_eq!(help.code, 0);
    for (verbs, code, meaning) in recorder::exit::TABLE {
        assert!(help.out.contains(&format!("{code:>2}  {verbs:<18}  {meaning}")), "{verbs} {code}");
    }
}
