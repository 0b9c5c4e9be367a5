//! A secret on a command line is not in the store, not even for a moment, and can be proved all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::process::Command;

use support::{LIMIT, Sandbox, wait_for};

/// Not in this program's own arguments, and nowhere else on the host.
const SECRET: &str = "hunter2-of-the-live-test";

#[test]
#[ignore = "root: cargo xtask test"]
fn a_secret_is_blanked_on_its_way_to_the_disk_and_can_be_proved() {
    let mut sandbox = Sandbox::new();
    sandbox.configure("[redact]\npatterns = [\"--pin (?P<secret>\\\\S+)\"]\n");
    let daemon = sandbox.record();
    let run = |arguments: &[&str]| Command::new("true").args(arguments).status().expect("true");
    run(&["--password", SECRET]);
    run(&[&format!("https://bob:{SECRET}@example.org/")]);
    run(&["--pin", SECRET]);
    let no_program = Command::new("/nonexistent/program").arg(format!("--token={SECRET}")).status();
    assert!(no_program.is_err());
    run(&["-p", "/srv/last"]);
    let events = wait_for("the last program", LIMIT, || {
        let events = sandbox.events();
        let is_last = events.iter().any(|event| event.value["argv"][2] == "/srv/last");
        is_last.then_some(events)
    });
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");

    for entry in std::fs::read_dir(sandbox.store()).expect("store") {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("read");
        let text = zstd::decode_all(&*bytes).unwrap_or(bytes);
        assert!(!String::from_utf8_lossy(&text).contains(SECRET));
    }
    let redacted: Vec<_> = events.iter().filter(|event| event.has_flag("redacted")).collect();
    let shown: Vec<_> = redacted.iter().map(|event| event.value["argv"].to_string()).collect();
    for expected in [
        r#"["true","--password","[redacted]"]"#,
        r#"["true","https://bob:[redacted]@example.org/"]"#,
        r#"["true","--pin","[redacted]"]"#,
        r#"["/nonexistent/program","--token=[redacted]"]"#,
    ] {
        assert!(shown.iter().any(|argv| argv == expected), "{expected} is not in {shown:?}");
    }
    let config = events.iter().find(|event| event.kind() == "config").expect("config");
    let config = config.text("config").expect("text");
    assert!(config.contains("[redact]") && config.contains("--pin (?P<secret>"), "{config}");

    let ours = redacted.iter().find(|event| event.value["argv"][1] == "--password").expect("ours");
    let file = sandbox.path().join("secret");
    for (secret, code) in [(SECRET, 0), ("another", 1)] {
        std::fs::write(&file, secret).expect("secret");
        let arguments = [
            "check",
            &ours.number("seq").expect("seq").to_string(),
            "--secret-file",
            file.to_str().expect("UTF-8"),
        ];
        let output = sandbox.run("redaction", &arguments);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
    sandbox.assert_nothing_lost(&events);
    sandbox.assert_intact();
}

#[test]
#[ignore = "root: cargo xtask test"]
fn variables_that_were_asked_for_are_recorded_and_no_others() {
    let mut sandbox = Sandbox::new();
    sandbox.configure("[capture]\nenv = [\"LD_LIBRARY_PATH\", \"APP_TOKEN\", \"NOT_SET\"]\n");
    let daemon = sandbox.record();
    let run = |tag: &str, long: usize| {
        let mut command = Command::new("true");
        command
            .arg(tag)
            .env_clear()
            .env("HOME_OF_THE_TEST", "kept to itself")
            .env("FILLER", "x".repeat(long));
        command.env("LD_LIBRARY_PATH", "/srv/lib").env("APP_TOKEN", SECRET).status().expect("true");
    };
    run("variables", 1);
    run("too many", 10_000);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    let of = |tag: &str| {
        let is_it = |event: &&support::record::Record| {
            event.kind() == "exec" && event.value["argv"].get(1).is_some_and(|argument| argument == tag)
        };
        events.iter().find(is_it).unwrap_or_else(|| panic!("{tag}"))
    };
    let event = of("variables");
    let mut env: Vec<_> =
        event.value["env"].as_array().expect("env").iter().map(|text| text.as_str()).collect();
    env.sort_unstable();
    assert_eq!(env, [Some("APP_TOKEN=[redacted]"), Some("LD_LIBRARY_PATH=/srv/lib")]);
    assert!(event.has_flag("redacted") && !event.has_flag("cut"), "{:?}", event.flags());
    assert!(event.value["redacted"][0].get("env").is_some(), "{}", event.value["redacted"]);
    assert!(of("too many").has_flag("cut"), "what lies behind 8 KiB was not looked at");
    let all = events.iter().map(|event| event.value.to_string()).collect::<String>();
    assert!(!all.contains("HOME_OF_THE_TEST") && !all.contains(SECRET));
    sandbox.assert_intact();
}
