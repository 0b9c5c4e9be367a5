//! Lines as readers get them: the documented examples, and bytes that are no text.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use super::*;
use crate::event::record::Record;
use crate::event::sample_bytes::task;
use crate::event::{Credential, Kind, System};

const BOOT: &str = "0a1b2c3d-0000-4000-8000-000000000000";

/// An event of this kind with every field that the kind can have.
pub(crate) fn example(kind: Kind) -> Event<'static> {
    let full = Task {
        exe: Some(Cow::Borrowed(b"/usr/bin/bash")),
        cgroup: Some(Cow::Borrowed(b"/user.slice/user-1000.slice/session-3.scope")),
        ..task()
    };
    let mut event =
        Event { mono: 5_123_456_789, kind, errno: 0, task: Some(full), flags: 0, body: body(kind) };
    match kind {
        Kind::ExecFailed => event.errno = 2,
        Kind::FileDenied => (event.errno, event.flags) = (13, flag::FROM_ARGUMENT | flag::OPEN),
        Kind::AuthFailed => event.errno = 13,
        Kind::Clock => event.errno = 1,
        Kind::Reboot => event.flags = flag::ATTEMPT,
        Kind::FileCreate => event.flags = flag::OPEN,
        Kind::FileWrite => event.flags = flag::CLOSE,
        Kind::Start
        | Kind::Stop
        | Kind::Gap
        | Kind::Config
        | Kind::Tombstone
        | Kind::HookDead
        | Kind::HookBack => event.task = None,
        _ => {}
    }
    event
}

fn body(kind: Kind) -> Body<'static> {
    match kind {
        Kind::Exec | Kind::ExecFailed => Body::Exec(Exec {
            argv: [&b"vim"[..], b"", b"caf\xe9 \"x\"\n"].map(Cow::Borrowed).to_vec(),
            argc: 3,
            env: Vec::new(),
            redacted: Vec::new(),
            cwd: Some(Cow::Borrowed(b"/home/alice")),
            file: b"/usr/bin/vim",
            interp: Some(b"/bin/sh"),
            inode: (kind == Kind::Exec).then(inode),
            caps_gained: if kind == Kind::Exec { 1 << 13 } else { 0 },
            root: None,
        }),
        Kind::Credential => Body::Credential(Box::new(credential())),
        Kind::SessionId
        | Kind::Module
        | Kind::Bpf
        | Kind::Ptrace
        | Kind::Clock
        | Kind::Hostname
        | Kind::Reboot
        | Kind::Swap
        | Kind::Kexec
        | Kind::Namespace
        | Kind::Syscall => Body::System(Box::new(system(kind))),
        Kind::Fork => Body::Fork(Fork { child_pid: 4300, child_tid: 4300, child_start: 5_123_456_000 }),
        Kind::Exit => Body::Exit(Exit { code: 0, signal: 9 }),
        Kind::Login | Kind::Logout | Kind::AuthOk | Kind::AuthFailed => Body::Login(Login {
            user: Some(Cow::Borrowed(b"alice")),
            service: Some(Cow::Borrowed(b"sshd")),
            rhost: Some(Cow::Borrowed(b"10.0.0.5")),
            tty: Some(Cow::Borrowed(b"ssh")),
            pam_result: if kind == Kind::AuthFailed { 7 } else { 0 },
            from: "pam",
        }),
        Kind::Start
        | Kind::Stop
        | Kind::Gap
        | Kind::Config
        | Kind::Tombstone
        | Kind::HookDead
        | Kind::HookBack => Body::Recorder(vec![
            ("class", Value::Text("files".to_owned())),
            ("count", Value::Number(17)),
            ("names", Value::List(vec!["a".to_owned(), "b".to_owned()])),
            ("known", Value::Bool(true)),
            ("rest", Value::Null),
        ]),
        _ => Body::File(file(kind)),
    }
}

fn credential() -> Credential<'static> {
    Credential {
        call: "setresuid",
        old: [1000, 0, 100, 100],
        suid: 0,
        sgid: 100,
        fsuid: 0,
        fsgid: 100,
        ids_set: [Some(("uid_set", 0)), Some(("euid_set", 0)), None],
        groups_set: None,
        caps_set: None,
        caps_gained: (1 << 7) | (1 << 6),
        caps_lost: 0,
    }
}

fn system(kind: Kind) -> System<'static> {
    let bare = |call| System { call, ..System::default() };
    let word = |word| Some(Cow::Borrowed(word));
    let path = |path: &'static [u8]| Some(Cow::Borrowed(path));
    match kind {
        Kind::Module => System {
            name: Some(b"dummy"),
            path: path(b"/usr/lib/modules/6.12.0/dummy.ko"),
            params: Some(b"numdummies=2"),
            bits: Some(0),
            ..bare("finit_module")
        },
        Kind::Bpf => System {
            command: word("PROG_LOAD"),
            bpf_type: word("kprobe"),
            id: Some(41),
            name: Some(b"spy"),
            ..bare("bpf")
        },
        Kind::Ptrace => System { command: word("ATTACH"), target: Some(4000), ..bare("ptrace") },
        Kind::Clock => System {
            clock: word("CLOCK_REALTIME"),
            time_set: Some(1_577_836_800_000_000_000),
            ..bare("clock_settime")
        },
        Kind::Hostname => System { name: Some(b"db1"), utsns: Some(4_026_531_838), ..bare("sethostname") },
        Kind::Reboot => System { command: word("RESTART"), ..bare("reboot") },
        Kind::Swap => System { path: path(b"/swapfile"), bits: Some(0), ..bare("swapon") },
        Kind::Kexec => System {
            path: path(b"/boot/vmlinuz"),
            params: Some(b"root=/dev/vda1 ro"),
            bits: Some(0),
            ..bare("kexec_file_load")
        },
        Kind::Namespace => System { namespaces: Some(0x2000_0000), ns: Some(4_026_532_300), ..bare("setns") },
        Kind::Syscall => System { command: word("AF_PACKET SOCK_RAW"), ..bare("socket") },
        _ => bare("write"),
    }
}

fn inode() -> Inode {
    Inode { dev: (254 << 20) | 1, ino: 131_073, mode: 0o100_644, owner: 1000, group: 100 }
}

fn file(kind: Kind) -> File<'static> {
    let mut file =
        File { path: Some(Cow::Borrowed(b"/srv/data/a b")), inode: Some(inode()), ..File::default() };
    let named = Cow::Borrowed(&b"/srv/data/new"[..]);
    match kind {
        Kind::FileWrite => (file.bytes, file.calls) = (Some(8192), Some(2)),
        Kind::FileTruncate | Kind::FileMapWrite => file.bytes = Some(4096),
        Kind::FileRename | Kind::FileLink => (file.path_to, file.inode) = (Some(named), None),
        Kind::FileSymlink => (file.path_to, file.inode) = (Some(Cow::Borrowed(&b"../target"[..])), None),
        Kind::DirCreate => (file.mode_set, file.inode) = (Some(0o755), None),
        Kind::NodeCreate => (file.mode_set, file.inode) = (Some(0o010_644), None),
        Kind::AttrMode => file.mode_set = Some(0o4755),
        Kind::AttrOwner => (file.owner_set, file.group_set) = (Some(0), Some(0)),
        Kind::AttrXattr => file.xattr = Some(b"security.capability"),
        Kind::AttrFlags => file.bits = Some(0x10),
        Kind::Mount => {
            (file.source, file.fstype) = (Some(&b"/dev/sdb1"[..]), Some(&b"ext4"[..]));
            file.bits = Some(0x1001);
        }
        Kind::Unmount => file.bits = Some(2),
        Kind::FileDelete | Kind::DirDelete | Kind::FileDenied => file.inode = None,
        _ => {}
    }
    file
}

pub(crate) fn line(event: &Event<'_>) -> String {
    let mut out = Vec::new();
    let context = LineContext { seq: 7, wall_ns: 1_795_477_686_000_000_001, boot: BOOT };
    Writer::default().append(&mut out, &context, event);
    String::from_utf8(out).unwrap()
}

#[test]
fn each_kind_has_its_golden_line() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for &kind in Kind::ALL {
        let line = line(&example(kind));
        serde_json::from_str::<Json>(&line).unwrap();
        let path = directory.join(format!("{}.json", kind.name()));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&path, &line).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(line, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
    }
}

#[test]
fn numbers_are_written_as_the_library_writes_them() {
    let mut values = vec![0, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX];
    values.extend((0..64).map(|shift| 1 << shift));
    for value in values {
        let written = |push: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            push(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&|out| push_number(out, value)), value.to_string());
        assert_eq!(written(&|out| push_radix(out, value, 3)), format!("{value:o}"));
        assert_eq!(written(&|out| push_radix(out, value, 4)), format!("{value:x}"));
    }
}

#[test]
fn unknown_values_are_null_and_unknown_errors_are_numbered() {
    let mut event = example(Kind::Exit);
    event.errno = 41;
    event.flags = flag::CUT | flag::FIRST;
    event.task = Some(Task::default());
    let parsed: Json = serde_json::from_str(&line(&event)).unwrap();
    assert_eq!(parsed["result"], "E41");
    assert_eq!(parsed["flags"], serde_json::json!(["cut", "first"]));
    for key in ["exe", "loginuid", "session", "cgroup", "container"] {
        assert_eq!(parsed[key], Json::Null, "{key}");
    }
}

#[test]
fn root_and_environment_are_there_when_they_say_something() {
    let mut event = example(Kind::Exec);
    let plain: Json = serde_json::from_str(&line(&event)).unwrap();
    assert!(plain.get("root").is_none() && plain.get("env").is_none());
    event.task.as_mut().unwrap().root_id = 9;
    let Body::Exec(exec) = &mut event.body else { panic!() };
    exec.env = vec![Cow::Borrowed(b"LD_PRELOAD=/tmp/x.so"), Cow::Borrowed(b"A=\xff")];
    let parsed: Json = serde_json::from_str(&line(&event)).unwrap();
    assert_eq!(parsed.get("root"), Some(&Json::Null), "not found");
    assert_eq!(parsed["env"][0], "LD_PRELOAD=/tmp/x.so");
    event.task.as_mut().unwrap().root = Some(Cow::Borrowed(b"/srv/jail"));
    let line = line(&event);
    let record = Record::parse(line.as_bytes()).unwrap();
    assert_eq!(record.root.as_ref().map(|root| root.as_str()), Some("/srv/jail"));
    assert_eq!(record.env.map(|env| env[1].bytes().into_owned()), Some(b"A=\xff".to_vec()));
}

#[test]
fn the_page_on_events_is_complete_and_its_lines_are_real() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let page = fs::read_to_string(page).unwrap();
    for kind in Kind::ALL {
        assert!(page.contains(&format!("| `{}` |", kind.name())), "kind {} has no row", kind.name());
    }
    for (_, word) in flag::WORDS {
        assert!(page.contains(&format!("| `{word}` |")), "flag {word} has no row");
    }
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with('{')).collect();
    for line in &lines {
        let record = Record::parse(line.as_bytes()).unwrap();
        let kind = record.kind.unwrap();
        // The recorder's own events have keys that depend on the daemon.
        if record.pid.is_some() {
            assert_eq!(*line, super::tests::line(&example(kind)).trim_end(), "{} on the page", kind.name());
        }
        let keys: serde_json::Map<String, Json> = serde_json::from_str(line).unwrap();
        for key in keys.keys() {
            assert!(page.contains(&format!("`{key}`")), "key {key} is not described");
        }
    }
    let shown: std::collections::BTreeSet<_> =
        lines.iter().map(|line| Record::parse(line.as_bytes()).unwrap().kind).collect();
    assert_eq!(shown.len(), Kind::ALL.len(), "a kind has no example line");
}
