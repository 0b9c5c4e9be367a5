//! A program of the tests: the test binary started again, to do things and print a ledger of what it did.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use super::ledger::Entry;
use super::record::Record;

/// Runs the ignored test `name` in a process of its own, behind `wrapper` when there is one, with these variables set;
/// returns its pid and its ledger.
pub fn run(name: &str, wrapper: &[&str], variables: &[(&str, OsString)]) -> (u64, Vec<Entry>) {
    let exe = std::env::current_exe().expect("exe");
    let mut words: Vec<OsString> = wrapper.iter().map(Into::into).collect();
    words.push(exe.into());
    words.extend(["--ignored", "--exact", name, "--nocapture", "--test-threads=1"].map(Into::into));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(variables.iter().map(|(name, value)| (name, value)));
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
    let pid = u64::from(child.id());
    let output = child.wait_with_output().expect("wait");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{text}", output.status);
    let lines = text.lines().filter_map(|line| line.find("{\"op\"").map(|at| &line[at..]));
    (pid, lines.map(|line| serde_json::from_str(line).expect("ledger line")).collect())
}

/// Takes out the events that starting and ending such a process leaves: the test binary's own exec and exit.
pub fn without_frame(events: Vec<Record>, pid: u64) -> Vec<Record> {
    let exe = std::env::current_exe().expect("exe");
    let is_frame = |event: &Record| {
        event.pid() == pid
            && (event.kind() == "exit" || (event.kind() == "exec" && event.text("exe") == exe.to_str()))
    };
    let (frame, rest): (Vec<_>, Vec<_>) = events.into_iter().partition(is_frame);
    assert_eq!(frame.len(), 2, "one exec and one exit of the program itself: {frame:#?}");
    rest
}
