//! The store under attack and under failure, live: whoever touches it is told at once, and why it failed is in the record
//! as soon as there is a record again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::record::Record;
use support::{Daemon, LIMIT, RECORDER, Sandbox, signal, wait_for};

const LONG: Duration = Duration::from_secs(120);

fn system(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("run");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a command that is refused.
fn refused(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("run");
    assert!(!output.status.success(), "{program} {arguments:?} was not refused");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn segments(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store).expect("store");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "zst"));
    paths.sort();
    paths
}

/// `lsattr` of a file: its flags as letters.
fn flags(path: &Path) -> String {
    let output = Command::new("lsattr").arg("-d").arg(path).output().expect("lsattr");
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap_or_default().replace(['-', 'e'], "")
}

/// Events of some kinds, by `query --kind`, that carry the flag.
fn marked(sandbox: &Sandbox, kinds: &str) -> Vec<Record> {
    let output = sandbox.run("query", &["--kind", kinds, "--output", "jsonl"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(Record::parse).filter(|event| event.has_flag("store")).collect()
}

/// Waits for one marked event and the line in the log; gives the event.
fn told(sandbox: &Sandbox, daemon: &Daemon, kind: &str, path: &Path) -> Record {
    let event = wait_for(&format!("{kind} of {}", path.display()), LIMIT, || {
        marked(sandbox, kind).into_iter().rfind(|event| event.text("path") == Some(text(path)))
    });
    let logged = daemon.said().lines().any(|line| {
        line.contains(" error ") && line.contains(&format!("kind={kind}")) && line.contains(text(path))
    });
    assert!(logged, "{kind} of {} is not in the log: {}", path.display(), daemon.said());
    event
}

#[test]
#[ignore = "root: cargo xtask test"]
fn whoever_touches_the_store_is_told() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.record();
    let store = sandbox.store();
    let segment = segments(&store).remove(0);

    system("chattr", &["-a", text(&segment)]);
    assert_eq!(told(&sandbox, &daemon, "attr_flags", &segment).result(), "ok");
    system("chattr", &["+a", text(&segment)]);

    // Attempts count.
    refused("rm", &["-f", text(&segment)]);
    assert_eq!(told(&sandbox, &daemon, "file_delete", &segment).result(), "EPERM");
    refused("truncate", &["-s", "0", text(&segment)]);
    refused("chmod", &["0644", text(&segment)]);
    assert_eq!(told(&sandbox, &daemon, "attr_mode", &segment).result(), "EPERM");
    refused("chown", &["65534", text(&store)]);
    assert_eq!(told(&sandbox, &daemon, "attr_owner", &store).result(), "EPERM");
    refused("mv", &[text(&segment), text(&sandbox.path().join("away"))]);
    assert_eq!(told(&sandbox, &daemon, "file_rename", &segment).result(), "EPERM");
    refused("mv", &["-T", text(&store), text(&sandbox.path().join("away"))]);
    assert_eq!(told(&sandbox, &daemon, "file_rename", &store).result(), "EPERM");

    // The directory above has no flag: the rename succeeds, and is told all the same.
    let (parent, away) = (sandbox.path(), sandbox.path().with_extension("away"));
    system("mv", &["-T", text(parent), text(&away)]);
    system("mv", &["-T", text(&away), text(parent)]);
    let moved = told(&sandbox, &daemon, "file_rename", parent);
    assert_eq!((moved.result(), moved.text("path_to")), ("ok", Some(text(&away))));

    // Only the shell of that namespace sees this mount.
    let hide = format!("mount -t tmpfs none {0} && umount {0}", store.display());
    system("unshare", &["--mount", "sh", "-c", &hide]);
    let hidden = told(&sandbox, &daemon, "mount", &store);
    assert_eq!((hidden.result(), hidden.text("fstype")), ("ok", Some("tmpfs")));
    told(&sandbox, &daemon, "unmount", &store);
    // A bind mount of it under another name: files are known by their inodes there.
    let elsewhere = sandbox.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let same = elsewhere.join(segment.file_name().unwrap());
    let bind = format!(
        "mount --bind {} {} && ! rm -f {same} && chattr -a {same} && chattr +a {same}",
        store.display(),
        elsewhere.display(),
        same = same.display()
    );
    system("unshare", &["--mount", "sh", "-c", &bind]);
    told(&sandbox, &daemon, "attr_flags", &same);
    // A link to it.
    std::os::unix::fs::symlink(&store, sandbox.path().join("link")).unwrap();
    let linked = sandbox.path().join("link").join(segment.file_name().unwrap());
    refused("rm", &["-f", text(&linked)]);
    told(&sandbox, &daemon, "file_delete", &linked);

    for event in marked(&sandbox, "attr_flags,mount,file_rename") {
        eprintln!("{} {} {:?} {:?}", event.kind(), event.result(), event.text("path"), event.flags());
    }
    // Whoever could still write to a complete segment is told when it is sealed.
    let held = std::fs::OpenOptions::new().append(true).open(&segment).unwrap();
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    assert!(
        said.lines().any(|line| line.contains(" error ") && line.contains("held open for writing")),
        "{said}"
    );
    drop(held);
    sandbox.assert_nothing_lost(&sandbox.events());
    assert_eq!((flags(&store), flags(&segment)), ("a".to_owned(), "ia".to_owned()));
    sandbox.assert_intact();
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_recorder_does_not_accuse_itself() {
    let mut sandbox = Sandbox::new();
    sandbox.configure("[store]\nsegment_size = \"1MiB\"\nsegment_age = \"1m\"\n");
    let daemon = sandbox.record();
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let mut number = 0_u64;
    let store = sandbox.store();
    wait_for("a second segment", LONG, || {
        for _ in 0..500 {
            number += 1;
            let name = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            std::fs::write(home.join(format!("{name:016x}{:016x}", name.wrapping_mul(name | 1))), b"x")
                .unwrap();
        }
        (segments(&store).len() > 1).then_some(())
    });
    let pid = daemon.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim();
    eprintln!("locked: {locked}");
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    assert!(!said.contains("the store was touched") && !said.contains("held open"), "{said}");
    // As root its memory is locked, and what the record says of it is so.
    let start = &sandbox.events()[0];
    assert_eq!(start.value["memory_locked"], locked != "0 kB", "{start:?} {locked}");
    assert_ne!(said.contains("memory is not locked"), locked != "0 kB", "{said}");
    let events = sandbox.events();
    let marked: Vec<_> = events.iter().filter(|event| event.has_flag("store")).collect();
    assert!(marked.is_empty(), "{marked:#?}");
    // Its work is in the record all the same, a handful of events for each file.
    let segments = segments(&store);
    let own =
        events.iter().filter(|event| event.kind().starts_with("attr_") || event.kind().starts_with("file_"));
    let own: Vec<_> =
        own.filter(|event| event.text("path").is_some_and(|path| path.starts_with(text(&store)))).collect();
    assert!(
        own.iter().any(|event| event.kind() == "file_create" && event.pid() == u64::from(pid)),
        "{own:#?}"
    );
    assert!(
        own.iter().any(|event| event.kind() == "attr_flags" && event.pid() != u64::from(pid)),
        "{own:#?}"
    );
    let paths: std::collections::HashSet<_> = own.iter().filter_map(|event| event.text("path")).collect();
    eprintln!("{} events of its own on {} files and directories", own.len(), paths.len());
    assert!(own.len() <= 8 * paths.len(), "{own:#?}");
    for segment in &segments {
        assert_eq!(flags(segment), "ia", "{}", segment.display());
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn without_its_helper_it_stops_and_the_next_start_says_why() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.record();
    let helper = daemon.helper("sealer");
    signal(helper, libc::SIGKILL);
    let status = daemon.wait();
    let said = daemon.said();
    eprintln!("{said}");
    assert_eq!(status.code(), Some(70), "{said}");
    // Not the last line on a machine so busy that events were lost.
    let last = said.lines().rfind(|line| line.contains("sealing helper")).unwrap_or(&said);
    assert!(last.contains(&format!("pid {helper}")), "{last}");
    assert!(last.contains("rather than going on without protection"), "{last}");
    // The last events, the stop among them, are on disk; only the seal is missing, which the next start mends.
    let segment = segments(&sandbox.store()).remove(0);
    assert_eq!(flags(&segment), "a");
    let before = sandbox.events();
    assert_eq!(
        before.last().map(|event| (event.kind(), event.text("reason"))),
        Some(("stop", Some("failure")))
    );
    let failure = failure_told(&sandbox, before.len());
    assert!(failure.contains("sealing helper"), "{failure}");
    assert_eq!(flags(&segment), "ia");
    sandbox.assert_intact();
}

/// Starts once more; gives what the start event says of the last failure. The start after it says nothing any more.
fn failure_told(sandbox: &Sandbox, before: usize) -> String {
    let kept = sandbox.path().join("store.state/last-failure");
    assert!(kept.exists(), "the reason was kept");
    let (status, said) = sandbox.record().stop();
    assert!(status.success(), "{said}");
    assert!(!kept.exists(), "the reason is in the record now");
    let events = sandbox.events();
    let start = &events[before];
    assert_eq!(start.kind(), "start", "{start:?}");
    let failure = start.text("failure").expect("failure").to_owned();
    eprintln!("failure: {failure}");
    let (status, said) = sandbox.record().stop();
    assert!(status.success(), "{said}");
    let events = sandbox.events();
    let last = events.iter().rfind(|event| event.kind() == "start").unwrap();
    assert!(last.value["failure"].is_null(), "{last:?}");
    failure
}

/// A file system in a file of the sandbox, mounted at its store.
struct Loop {
    at: PathBuf,
}

impl Loop {
    fn ext4(sandbox: &Sandbox) -> Self {
        let (image, at) = (sandbox.path().join("image"), sandbox.store());
        system("truncate", &["-s", "64M", text(&image)]);
        system("mkfs.ext4", &["-q", "-F", text(&image)]);
        std::fs::create_dir(&at).expect("mount point");
        // What the kernel does by itself when a disk fails.
        system("mount", &["-o", "loop,errors=remount-ro", text(&image), text(&at)]);
        system("chmod", &["2750", text(&at)]);
        Self { at }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_store_that_turned_read_only_stops_it_and_the_next_start_says_why() {
    let sandbox = Sandbox::new();
    let disk = Loop::ext4(&sandbox);
    let mut daemon = sandbox.record();
    let before = sandbox.events().len();
    // Refused while files are open for writing, unless the file system itself gives up.
    system("mount", &["-o", "remount,abort", text(&disk.at)]);
    let home = sandbox.path().join("home");
    wait_for("the end of recording", LIMIT, || {
        std::fs::write(&home, b"x").unwrap();
        daemon.said().contains("recorder: ").then_some(())
    });
    let status = daemon.wait();
    let said = daemon.said();
    eprintln!("{said}");
    assert_eq!(status.code(), Some(70), "{said}");
    assert!(said.contains(text(&sandbox.store())), "{said}");
    // As long as it is so, each start is refused; the reason stays the first one.
    let kept = std::fs::read_to_string(sandbox.path().join("store.state/last-failure")).unwrap();
    assert_eq!(sandbox.run("daemon", &[]).status.code(), Some(70));
    assert_eq!(std::fs::read_to_string(sandbox.path().join("store.state/last-failure")).unwrap(), kept);
    system("umount", &[text(&disk.at)]);
    system("mount", &["-o", "loop", text(&sandbox.path().join("image")), text(&disk.at)]);
    let shown = sandbox.events().len();
    assert!(shown >= before, "{shown} of {before} events");
    let failure = failure_told(&sandbox, shown);
    assert!(failure.contains("ead-only file system") || failure.contains("Input/output error"), "{failure}");
    assert!(kept.contains(&failure), "{kept}");
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_state_directory_elsewhere_leaves_the_control_socket_where_readers_look() {
    let sandbox = Sandbox::new();
    let (elsewhere, config) = (sandbox.path().join("keys"), sandbox.path().join("recorder.toml"));
    let (store, state_dir) = (sandbox.store().display().to_string(), elsewhere.display().to_string());
    std::fs::write(&config, format!("[store]\ndir = {store:?}\nstate_dir = {state_dir:?}\n")).unwrap();
    let recorder = |verb: &str| {
        let mut command = Command::new(RECORDER);
        command.arg(verb).arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut daemon = recorder("daemon").spawn().expect("daemon");
    wait_for("a recorder that answers", LIMIT, || {
        assert_eq!(daemon.try_wait().unwrap(), None, "the daemon ended");
        recorder("status").status().unwrap().success().then_some(())
    });
    signal(daemon.id(), libc::SIGTERM);
    assert!(daemon.wait().unwrap().success());
    assert!(elsewhere.join("checkpoint").is_file());
}
