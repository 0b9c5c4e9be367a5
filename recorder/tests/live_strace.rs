//! An independent witness: ordinary programs under `strace`, and the record of the same processes.
//!
//! What the two may differ in, and why, is the list [`ALLOWED`]; anything else fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use support::Sandbox;
use support::record::{Record, tree};
use support::strace::{self, Call, Seen};

/// Differences in form that are meant, applied on the way to the comparison.
const ALLOWED: [(&str, &str); 6] = [
    (
        "write",
        "the record folds the writes of an open file: one event at the first, one with the sums at the close",
    ),
    (
        "argv of a script",
        "strace shows what the caller passed, the record what the program got: interpreter first",
    ),
    ("thread", "a thread is not a process: its clone and end are not recorded"),
    ("create or not", "strace does not say whether O_CREAT made the file: told from what was there before"),
    ("credentials, namespaces, the kernel itself", "live_auditor has the truth about those"),
    ("EAGAIN, EINTR, restarts", "the call did not happen, or happened again and is recorded then"),
];

/// What the issue asks for, one after the other.
const SCRIPT: &str = r#"
set -e
mkdir repo && cd repo
git init -q .
git config user.email flight@example.org; git config user.name Flight
for n in 1 2 3 4 5 6 7 8; do mkdir -p d$n/e; seq 1 $((n * 50)) > d$n/e/f; echo $n > "d$n/with space"; done
git add . && git commit -q -m first
for n in 1 2 3; do echo more >> d$n/e/f; git rm -q "d$n/with space"; git mv d$n/e/f d$n/g; git commit -q -a -m $n; done
git gc -q
cd ..
tar -cf all.tar repo && mkdir out && tar -xf all.tar -C out
cp -a out copy
chmod -R go-w copy && ln -s copy link && mv copy moved && rm -rf out
/usr/bin/python3 -m venv --without-pip venv
venv/bin/python -c 'open("from python", "w").write("x")'
(apt-get download -q hello && dpkg -x hello_*.deb unpacked) || echo "no network: apt-get download failed"
/no/such/program || true
sh -c 'kill -TERM $$' || true
"#;

/// Every path that is there before, in the places that the script may touch.
fn existing(roots: &[&Path]) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut open: Vec<_> = roots.iter().map(|root| root.to_path_buf()).collect();
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else {
                found.insert(support::ledger::escape(std::os::unix::ffi::OsStrExt::as_bytes(
                    path.as_os_str(),
                )));
            }
        }
    }
    found
}

/// The script's process tree under strace: its calls and its first pid.
fn run_script(sandbox: &Sandbox) -> (u64, Vec<Call>) {
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    let script = sandbox.path().join("script");
    std::fs::write(&script, SCRIPT).expect("script");
    let trace = sandbox.path().join("trace");
    let mut command = Command::new("strace");
    command.args(strace::OPTIONS).arg(&trace).arg("/bin/sh").arg(&script).current_dir(&home);
    command.env("HOME", &home).env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8");
    let output = command.output().expect("strace");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    eprint!("{}{said}", String::from_utf8_lossy(&output.stdout));
    let calls = strace::read(&trace, &home);
    (u64::from(calls.first().expect("calls").tid), calls)
}

/// An event of the record in the witness's terms; `None` for the kinds that are compared by sums.
fn seen(event: &Record) -> Option<Seen> {
    let text = |key: &str| event.text(key).unwrap_or_default().to_owned();
    let (kind, result) = (event.kind().to_owned(), event.result().to_owned());
    let base = Seen { kind, result, ..Seen::default() };
    Some(match event.kind() {
        "credential" | "session_id" | "namespace" | "syscall" | "ptrace" | "bpf" => return None,
        "file_write" if event.has_flag("first") || event.has_flag("close") => return None,
        "exec" | "exec_failed" => {
            let words = event.value["argv"].to_string();
            let argv: Vec<String> = serde_json::from_str(&words).expect("argv");
            let path_to =
                if event.text("interp").is_some() { "(script)".to_owned() } else { format!("{argv:?}") };
            Seen { detail: text("file"), path_to, ..base }
        }
        "fork" => Seen { detail: event.number("child").unwrap_or(0).to_string(), ..base },
        "exit" => {
            let end = event.text("signal").map_or_else(
                || format!("exited with {}", event.number("code").unwrap_or(999)),
                |signal| format!("killed by {signal}"),
            );
            Seen { detail: format!("{} {end}", event.pid()), ..base }
        }
        _ => Seen { path: text("path"), path_to: text("path_to"), ..base },
    })
}

/// What the witness saw, in the same terms.
fn witnessed(calls: &[Call], existed: HashSet<String>) -> Vec<Seen> {
    let mut all: Vec<Seen> = strace::promised(calls, existed).into_iter().map(|(seen, _)| seen).collect();
    let plain = |kind: &str, detail: String| Seen {
        kind: kind.to_owned(),
        result: "ok".to_owned(),
        detail,
        ..Seen::default()
    };
    let is_thread = |call: &&Call| call.line.contains("CLONE_THREAD");
    let forks = calls.iter().filter(|call| !is_thread(call)).filter_map(strace::child_of);
    all.extend(forks.map(|child| plain("fork", child.to_string())));
    let end = |(pid, end): (u32, String)| {
        plain("exit", format!("{pid} {}", end.trim_end_matches(" (core dumped)")))
    };
    all.extend(strace::ends(calls).into_iter().map(end));
    all
}

fn count(all: impl IntoIterator<Item = Seen>) -> BTreeMap<Seen, i64> {
    let mut counts = BTreeMap::new();
    for seen in all {
        *counts.entry(seen).or_insert(0) += 1;
    }
    counts
}

/// A script's argv differs by rule: where the record says "(script)", any argv of that file will do.
fn fold_scripts(witness: &mut [Seen], record: &[Seen]) {
    let mut scripts: HashMap<(&str, &str), usize> = HashMap::new();
    for seen in record.iter().filter(|seen| seen.path_to == "(script)") {
        *scripts.entry((&seen.kind, &seen.detail)).or_default() += 1;
    }
    for seen in witness {
        if let Some(left) =
            scripts.get_mut(&(seen.kind.as_str(), seen.detail.as_str())).filter(|left| **left > 0)
        {
            *left -= 1;
            "(script)".clone_into(&mut seen.path_to);
        }
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn strace_and_the_record_tell_the_same_story() {
    let sandbox = Sandbox::new();
    let existed =
        existing(&[Path::new("/var/lib/apt"), Path::new("/var/cache/apt"), Path::new("/var/lib/dpkg")]);
    let daemon = sandbox.record();
    let (pid, calls) = run_script(&sandbox);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let events = tree(&events, pid);
    let record: Vec<Seen> = events.iter().filter_map(seen).collect();
    let mut witness = witnessed(&calls, existed);
    fold_scripts(&mut witness, &record);
    let mut table: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    witness.iter().for_each(|seen| table.entry(seen.kind.clone()).or_default()[0] += 1);
    record.iter().for_each(|seen| table.entry(seen.kind.clone()).or_default()[1] += 1);
    let (witness, record) = (count(witness), count(record));
    let mut differences = Vec::new();
    for seen in witness.keys().chain(record.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (theirs, ours) = (witness.get(seen).unwrap_or(&0), record.get(seen).unwrap_or(&0));
        if theirs != ours {
            differences.push(format!("strace {theirs}, record {ours}: {seen:?}"));
        }
    }
    differences.extend(compare_writes(&calls, &events));
    eprintln!("{:<16}{:>9}{:>9}", "kind", "strace", "record");
    for (kind, [theirs, ours]) in &table {
        eprintln!("{kind:<16}{theirs:>9}{ours:>9}");
    }
    for (what, why) in ALLOWED {
        eprintln!("allowed: {what}: {why}");
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    assert!(differences.is_empty(), "{} differences", differences.len());
    sandbox.assert_intact();
}

/// Per path: the bytes that strace saw go in are the bytes that the close summaries sum up to.
fn compare_writes(calls: &[Call], events: &[Record]) -> Vec<String> {
    let theirs = strace::written(calls);
    let mut ours: HashMap<String, [u64; 2]> = HashMap::new();
    for event in events.iter().filter(|event| event.kind() == "file_write" && event.result() == "ok") {
        let sums = ours.entry(event.text("path").unwrap_or_default().to_owned()).or_default();
        if event.has_flag("close") {
            sums[1] += event.number("bytes").unwrap_or(0);
        } else {
            sums[0] += 1;
        }
    }
    eprintln!("{} files written, {} bytes", theirs.len(), theirs.values().sum::<u64>());
    let mut differences = Vec::new();
    for path in theirs.keys().chain(ours.keys()).collect::<HashSet<_>>() {
        let bytes = theirs.get(path).copied().unwrap_or(0);
        let [first, closed] = ours.get(path).copied().unwrap_or_default();
        if bytes != closed || (bytes > 0) != (first > 0) {
            differences.push(format!("strace wrote {bytes}, record {closed} in {first} open files: {path}"));
        }
    }
    differences
}
