//! Hooks that no longer fire are told within a round of the canary, which itself leaves nothing in the record.
#![cfg(feature = "capture")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use support::record::Record;
use support::{Daemon, LIMIT, RECORDER, Sandbox, inject, signal, wait_for};

/// Where Debian and Ubuntu keep libpam; the others are in `capture::load`.
const LIBPAM: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/libpam.so.0", "/usr/lib64/libpam.so.0", "/usr/lib/libpam.so.0"];
const QUICK: &str = "[capture]\ncanary = \"1s\"\n";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.configure(QUICK);
    sandbox
}

/// What `/proc` tells of each descriptor of a process: its number and its `key: value` lines.
fn descriptors(pid: u32) -> Vec<(u32, String)> {
    let directory = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("fdinfo");
    let entries = directory.filter_map(|entry| {
        let entry = entry.ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, std::fs::read_to_string(entry.path()).ok()?))
    });
    entries.collect()
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// Programs that are attached in one place, and the hooks: of a system call on every kernel, of another where system calls
/// are what is hooked.
const SINGLES: [(&str, &str); 2] = [
    ("setns_exit", "tracepoint/syscalls/sys_exit_setns"),
    ("close_enter", "tracepoint/syscalls/sys_enter_close"),
];

/// Closes each link of a process to one of [`SINGLES`]; their hooks. Old kernels don't tell the tracepoint of a link, so
/// it is found by its program.
fn take_away(pid: u32) -> HashSet<&'static str> {
    let programs: Vec<_> = aya::programs::loaded_programs().filter_map(Result::ok).collect();
    let hook_of = |id: &str| {
        let program = programs.iter().find(|program| id.parse() == Ok(program.id()))?;
        let name = program.name_as_str()?;
        // The kernel keeps 15 bytes of a name.
        SINGLES.iter().find(|(single, _)| single.get(..15).unwrap_or(single) == name).map(|(_, hook)| *hook)
    };
    let mut taken = HashSet::new();
    for (number, text) in descriptors(pid) {
        let program = value(&text, "link_id").and_then(|_| value(&text, "prog_id"));
        if let Some(hook) = program.and_then(hook_of) {
            inject::close(pid, number);
            taken.insert(hook);
        }
    }
    taken
}

/// Rounds so far, as `status` tells of the last one.
fn last_round(sandbox: &Sandbox) -> Option<String> {
    let output = sandbox.run("status", &["--output", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(status["daemon"]["canary"]["last"].as_str()?.to_owned())
}

/// Waits until one more whole round has ended.
fn wait_for_round(sandbox: &Sandbox) {
    for _ in 0..2 {
        let before = last_round(sandbox);
        wait_for("a round of the canary", LIMIT, || (last_round(sandbox) != before).then_some(()));
    }
}

/// Events of this kind about hooks, once there are `count` of them.
fn hooks(sandbox: &Sandbox, kind: &str, count: usize) -> Vec<Record> {
    wait_for(&format!("{count} events of kind {kind}"), LIMIT, || {
        let events: Vec<_> = sandbox.events().into_iter().filter(|event| event.kind() == kind).collect();
        (events.len() >= count).then_some(events)
    })
}

fn names(events: &[Record]) -> HashSet<&str> {
    events.iter().filter_map(|event| event.text("hook")).collect()
}

fn stop(daemon: Daemon) -> String {
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    said
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_hook_that_was_taken_away_is_told() {
    let sandbox = sandbox();
    let daemon = sandbox.record();
    wait_for_round(&sandbox);
    let taken = take_away(daemon.pid());
    assert!(taken.contains(SINGLES[0].1), "{taken:?}");
    let dead = hooks(&sandbox, "hook_dead", taken.len());
    assert_eq!(names(&dead), taken);
    for event in &dead {
        assert_eq!(event.text("severity"), Some("critical"), "{event:?}");
        assert!(event.text("why").expect("why").contains("did not fire"), "{event:?}");
        assert!(event.text("seen").expect("seen") < event.text("t").expect("t"), "{event:?}");
    }
    let status = sandbox.run("status", &[]);
    let status = String::from_utf8(status.stdout).expect("UTF-8");
    for name in &taken {
        assert!(status.contains(&format!("DEAD      {name} (")), "{status}");
    }
    wait_for_round(&sandbox);
    let said = stop(daemon);
    let told = said.lines().filter(|line| line.contains("error a hook is dead")).count();
    assert_eq!(told, taken.len(), "{said}");
    assert_eq!(hooks(&sandbox, "hook_dead", taken.len()).len(), taken.len(), "told once");
    sandbox.assert_honest();
}

#[test]
#[ignore = "root: cargo xtask test"]
fn nobody_can_edit_the_maps() {
    let sandbox = sandbox();
    let daemon = sandbox.record();
    let descriptors = descriptors(daemon.pid());
    let maps = descriptors.iter().filter(|(_, text)| value(text, "map_type").is_some());
    // A ring can't be frozen: whoever takes samples out of it leaves holes.
    let (rings, others): (Vec<_>, Vec<_>) = maps.partition(|(_, text)| value(text, "map_type") == Some("27"));
    assert_eq!(rings.len(), 2, "{descriptors:#?}");
    assert!(others.len() >= 8, "{others:#?}");
    for (_, text) in others {
        assert_eq!(value(text, "frozen"), Some("1"), "{text}");
        let id = value(text, "map_id").expect("id").parse().expect("number");
        assert_eq!(edit(id), Err(libc::EPERM), "{text}");
    }
    stop(daemon);
}

/// Writes zeroes over the first entry of a map, as `bpftool map update` does.
fn edit(id: u32) -> Result<(), i32> {
    const MAP_UPDATE: libc::c_int = 2;
    const MAP_FROM_ID: libc::c_int = 14;
    let bpf = |command: libc::c_int, words: &[u64]| {
        // SAFETY: `words` is a `union bpf_attr` with addresses of memory that is large enough for any of our maps.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, words.as_ptr(), size_of_val(words)) };
        if result < 0 {
            Err(std::io::Error::last_os_error().raw_os_error().expect("errno"))
        } else {
            Ok(result)
        }
    };
    let map = bpf(MAP_FROM_ID, &[u64::from(id)]).expect("the map");
    let (key, value) = (vec![0_u8; 4096], vec![0_u8; 16 << 20]);
    let result = bpf(MAP_UPDATE, &[map.cast_unsigned(), key.as_ptr() as u64, value.as_ptr() as u64, 0]);
    // SAFETY: a descriptor that was just made here.
    unsafe { libc::close(i32::try_from(map).expect("descriptor")) };
    result.map(drop)
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_canary_leaves_nothing_and_nobody_can_pass_for_it() {
    let sandbox = sandbox();
    let daemon = sandbox.record();
    wait_for_round(&sandbox);
    // The same program with the same words, started by somebody else, and the same calls.
    let mut other = Command::new(RECORDER).arg("canary").spawn().expect("recorder");
    let pid = u64::from(other.id());
    other.wait().expect("wait");
    // SAFETY: the kernel refuses an address that can't be read.
    unsafe { libc::syscall(libc::SYS_unlink, -1_i64) };
    let us = u64::from(std::process::id());
    wait_for_round(&sandbox);
    let daemon_pid = u64::from(daemon.pid());
    let said = stop(daemon);
    assert!(!said.contains("hook is dead"), "{said}");
    let events = sandbox.events();
    let of = |kind: &str, who: u64| {
        events.iter().filter(|event| event.kind() == kind && event.pid() == who).count()
    };
    assert_eq!((of("exec", pid), of("exit", pid)), (1, 1), "somebody else's");
    let is_ours = |event: &&Record| event.pid() == us && event.kind() == "file_delete";
    assert!(events.iter().filter(is_ours).any(|event| event.result() == "EFAULT"));
    let canary: Vec<_> = events
        .iter()
        .filter(|event| event.pid() == daemon_pid || event.number("ppid") == Some(daemon_pid))
        .filter(|event| event.result() != "ok" || matches!(event.kind(), "fork" | "exec" | "exit"))
        // The helper that seals is started before, and ends while the record is still open.
        .filter(|event| event.text("comm") != Some("recorder") || event.kind() != "exit")
        .collect();
    assert!(canary.is_empty(), "{canary:#?}");
}

/// A daemon in a mount namespace of its own, where another file can be put in the place of libpam without touching the
/// host's.
struct Apart {
    sandbox: Sandbox,
    daemon: Daemon,
    libpam: &'static str,
}

impl Apart {
    fn new() -> Self {
        let sandbox = sandbox();
        let libpam = LIBPAM.into_iter().find(|path| Path::new(path).exists()).expect("libpam");
        std::fs::copy(libpam, sandbox.path().join("libpam.so.0")).expect("copy");
        let daemon = sandbox.record_by(&["unshare", "--mount", "--propagation", "private"]);
        wait_for_round(&sandbox);
        Self { sandbox, daemon, libpam }
    }

    fn inside(&self, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.daemon.pid().to_string()]).args(arguments);
        assert!(command.status().expect("nsenter").success(), "{arguments:?}");
    }

    fn replace_libpam(&self) {
        let copy = self.sandbox.path().join("libpam.so.0");
        self.inside(&["mount", "--bind", copy.to_str().expect("UTF-8"), self.libpam]);
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_libpam_that_was_replaced_gets_its_probes() {
    let apart = Apart::new();
    apart.replace_libpam();
    let dead = hooks(&apart.sandbox, "hook_dead", 1);
    let back = hooks(&apart.sandbox, "hook_back", 1);
    assert_eq!((names(&dead), names(&back)), (HashSet::from(["libpam"]), HashSet::from(["libpam"])));
    assert!(dead[0].text("why").expect("why").contains("was replaced"), "{dead:?}");
    assert_eq!(dead[0].text("seen"), back[0].text("dead_since"), "logins may be missing between");
    // The canary calls into the new file, and every hook fires; back to the old one, which has its probes still.
    wait_for_round(&apart.sandbox);
    // The probes in it hold the file.
    apart.inside(&["umount", "--lazy", apart.libpam]);
    hooks(&apart.sandbox, "hook_back", 2);
    wait_for_round(&apart.sandbox);
    let said = stop(apart.daemon);
    assert!(!said.contains("can't have probes"), "{said}");
    let told = apart.sandbox.events().into_iter().filter(|event| event.kind().starts_with("hook_"));
    let told: Vec<_> = told.collect();
    assert_eq!(names(&told), HashSet::from(["libpam"]), "{told:#?}");
    apart.sandbox.assert_honest();
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_libpam_that_can_t_have_probes_is_dead_until_it_is_the_old_one_again() {
    let apart = Apart::new();
    signal(apart.daemon.helper("attacher"), libc::SIGKILL);
    apart.replace_libpam();
    let dead = hooks(&apart.sandbox, "hook_dead", 14);
    assert!(names(&dead).iter().all(|name| name.contains("libpam:")), "{dead:#?}");
    assert!(dead.iter().all(|event| event.text("why").is_some_and(|why| why.contains("was replaced"))));
    apart.inside(&["umount", apart.libpam]);
    let back = hooks(&apart.sandbox, "hook_back", 14);
    assert_eq!(names(&back), names(&dead));
    let said = stop(apart.daemon);
    assert!(said.contains("the new file can't have probes"), "{said}");
    apart.sandbox.assert_honest();
}
