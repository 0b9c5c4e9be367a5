//! The first promise: what is done to a file is found by `query`, told in a sentence, and `verify` has nothing to say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use support::{LIMIT, Sandbox, wait_for};

#[test]
#[ignore = "root: cargo xtask test"]
fn what_is_done_to_a_file_is_found_and_holds_against_verify() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.record();
    let note = sandbox.path().join("note");
    std::fs::write(&note, "secret").expect("note");
    std::fs::remove_file(&note).expect("removal");
    let path = note.to_str().expect("UTF-8");
    let found = wait_for("the removal", LIMIT, || {
        let output = sandbox.run("query", &["--path", path]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.contains("deleted").then_some(text)
    });
    for what in ["created", "wrote to", "(6 bytes)", "deleted"] {
        assert!(found.contains(what), "no `{what}` in:\n{found}");
    }
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    sandbox.assert_nothing_lost(&sandbox.events());
    sandbox.assert_intact();
}
