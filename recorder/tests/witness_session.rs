//! What docs/operations.md shows of witnesses is what happens: its session is run as it stands, on another port.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod scratch;

use std::path::Path;
use std::process::Command;

use recorder::daemon::control::state_directory;
use recorder::store::writer::Writer;
use scratch::{append, options};

/// The commands of the first console block of that section.
fn session() -> Vec<String> {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    let section = page.split("## Witnesses outside the host\n").nth(1).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(|line| line.strip_prefix("$ ").unwrap().to_owned()).collect()
}

#[test]
fn the_session_of_the_manual_ends_verified() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("log");
    let (mut writer, _) = Writer::open(&store, &state_directory(&store), options()).unwrap();
    (0..3).for_each(|_| assert!(append(&mut writer, 2).is_ok()));
    writer.checkpoint().unwrap();
    drop(writer);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    // In the background it takes the place of its shell, so that it is what ends.
    let run = r#"recorder() { case "$*" in *serve*) exec "$RECORDER" "$@";; *) "$RECORDER" "$@";; esac; }"#;
    let mut script = format!("set -e; {run}\n");
    let mut commands = session();
    let last = commands.pop().unwrap();
    for command in commands {
        // A person sees that it listens before typing on.
        let serves = command.ends_with('&');
        script.push_str(&command.replace("8443", &port));
        script.push('\n');
        if serves {
            script.push_str("witness=$!; trap 'kill $witness' EXIT\n");
            script.push_str(&format!("for _ in $(seq 600); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done\n"));
        }
    }
    script.push_str(&format!("set +e; {last}; code=$?; kill $witness; trap - EXIT; exit $code\n"));
    let done = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("RECORDER", env!("CARGO_BIN_EXE_recorder"))
        .env("RECORDER_STORE", &store)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    // With a warning: this store was written without append-only files.
    assert_eq!(done.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("VERIFIED WITH WARNINGS") && said.contains("by w1.example.org"), "{said}");
}
