//! What README.md shows first is what happens: its session is run as it stands, only elsewhere.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

/// Lines of the first console block: commands (`# ...`) and what they print.
fn session() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let block = readme.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}

/// A person sees `recording` before typing on, and looks again when an event is not there yet: so does this.
const PATIENT: &str = r#"
recorder() {
  case $1 in
    daemon) exec "$RECORDER" "$@";;
    query) for _ in $(seq 600); do
             if "$RECORDER" "$@" >out 2>&1 && grep -q deleted out; then cat out; return; fi; sleep 0.1
           done; cat out; return 1;;
    *) "$RECORDER" "$@" || true;;
  esac
}
ready() { for _ in $(seq 600); do "$RECORDER" status --store "$1" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }
set -e
"#;

#[test]
fn the_session_has_ten_commands_or_fewer_and_all_its_parts() {
    let commands: Vec<String> = session().into_iter().filter(|line| line.starts_with("# ")).collect();
    assert!(commands.len() <= 10, "{commands:#?}");
    for part in ["recorder daemon", "recorder query", "dd of=", "recorder verify"] {
        assert!(commands.iter().any(|command| command.contains(part)), "{part} is missing");
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_session_does_what_it_says() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let note = folder.path().join("demo-note").display().to_string();
    let store = folder.path().join("demo").display().to_string();
    let here = |text: &str| text.replace("/var/tmp/demo", &store).replace("/etc/demo-note", &note);
    let mut script = PATIENT.to_owned();
    for command in session().iter().filter_map(|line| line.strip_prefix("# ")) {
        script.push_str(&here(command));
        script.push('\n');
        if command.contains("recorder daemon") {
            script.push_str(&format!("ready {store}\n"));
        }
    }
    let done = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("RECORDER", env!("CARGO_BIN_EXE_recorder"))
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(Command::new("chattr").args(["-R", "-f", "-a", "-i"]).arg(folder.path()).status().is_ok());
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    for shown in session().iter().filter(|line| !line.starts_with("# ")) {
        // Times, places and the number of hooks differ from run to run; the sentences don't.
        let sentence = match shown.split_once("  ") {
            Some((_, sentence)) => here(sentence),
            None if shown.contains(" info recording ") => "info recording".to_owned(),
            None => shown.split(": ").next().unwrap_or_default().to_owned(),
        };
        assert!(said.contains(&sentence), "{sentence:?} is not in:\n{said}");
    }
}
