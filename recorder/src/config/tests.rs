//! Configuration as a person writes it, right and wrong.
use std::path::PathBuf;

use super::*;
use std::fs;
use tempfile::TempDir;

/// A folder with a `recorder.toml` and drop-ins.
fn written(main: &str, drop_ins: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("recorder.toml");
    fs::write(&path, main).unwrap();
    let inside = folder.path().join("recorder.toml.d");
    fs::create_dir(&inside).unwrap();
    for (name, text) in drop_ins {
        fs::write(inside.join(name), text).unwrap();
    }
    (folder, path)
}

/// The error for a file, without the folder's name.
fn error(main: &str) -> String {
    let (folder, path) = written(main, &[]);
    let message = Config::load(Some(&path)).unwrap_err().to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let (_folder, path) = written("", &[]);
    let (config, origins) = Config::load(Some(&path)).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.settings(&origins).iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn every_documented_default_is_the_code_s_default() {
    let shipped = include_str!("../../../systemd/recorder.toml");
    let is_setting = |line: &&str| line.starts_with('[') || (line.starts_with('#') && line.contains(" = "));
    let active: String = shipped
        .lines()
        .filter(is_setting)
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let documented: toml::Table = active.parse().unwrap();
    assert_eq!(documented, toml::Table::try_from(Config::default()).unwrap());
    let (_folder, path) = written(&active, &[]);
    assert_eq!(Config::load(Some(&path)).unwrap().0, Config::default());
    let (_folder, path) = written(shipped, &[]);
    assert_eq!(Config::load(Some(&path)).unwrap().0, Config::default());
}

#[test]
fn later_files_win_and_each_value_knows_its_line() {
    let main = "[store]\nsegment_size = \"8MiB\"\nsegment_age = \"10m\"\n";
    let (folder, path) = written(
        main,
        &[
            ("20-b.toml", "\n[store]\nsegment_size = \"32MiB\"\n"),
            ("10-a.toml", "[store]\nsegment_size = \"16MiB\"\n[capture]\nexclude = [\"/srv/cache/**\"]\n"),
            ("note.txt", "not read"),
        ],
    );
    let (config, origins) = Config::load(Some(&path)).unwrap();
    assert_eq!(config.store.segment_size, Size::mebibytes(32));
    assert_eq!(config.store.segment_age, Period::minutes(10));
    assert_eq!(config.capture.exclude, ["/srv/cache/**"]);
    let drop_ins = folder.path().join("recorder.toml.d");
    assert_eq!(origins.of("store.segment_size"), Origin::File { path: drop_ins.join("20-b.toml"), line: 3 });
    assert_eq!(origins.of("store.segment_age"), Origin::File { path, line: 3 });
    assert_eq!(origins.of("store.dir"), Origin::Default);
    let show = config.settings(&origins);
    let age = show.iter().find(|setting| setting.key == "store.segment_age").unwrap();
    assert_eq!(age.value, "\"10m\"");
    assert_eq!(show.len(), 24);
}

#[test]
fn unknown_keys_are_named_with_line_and_nearest() {
    assert_eq!(
        error("[store]\ndir = \"/a\"\nsegmnt_size = \"1MiB\"\n"),
        "recorder.toml:3: unknown key `store.segmnt_size`; did you mean `store.segment_size`?"
    );
    assert_eq!(error("[stor]\n"), "recorder.toml:1: unknown key `stor`; did you mean `store`?");
    assert_eq!(
        error("\n[capture]\nfrobnicate = 1\n"),
        "recorder.toml:3: unknown key `capture.frobnicate`; docs/operations.md lists the known ones"
    );
    assert_eq!(
        error("dir = \"/a\"\n"),
        "recorder.toml:1: unknown key `dir`; docs/operations.md lists the known ones"
    );
}

#[test]
fn wrong_values_are_named_with_line_and_key() {
    let cases = [
        (
            "[store]\n\nsegment_size = \"64 potatoes\"",
            "recorder.toml:3: `store.segment_size`: `64 potatoes` is not a size such as \"64MiB\" (units B, KiB, MiB, GiB)",
        ),
        (
            "[store]\nsegment_size = \"99999999999GiB\"",
            "recorder.toml:2: `store.segment_size`: `99999999999GiB` is not a size such as \"64MiB\" (units B, KiB, MiB, GiB)",
        ),
        (
            "[store]\nsegment_size = \"1KiB\"",
            "recorder.toml:2: `store.segment_size`: 1KiB is not between 1MiB and 4GiB",
        ),
        (
            "[store]\nsegment_age = \"soon\"",
            "recorder.toml:2: `store.segment_age`: `soon` is not a length of time such as \"90s\", \"10m\" or \"1h 30m\"",
        ),
        (
            "[store]\nsegment_age = \"5s\"",
            "recorder.toml:2: `store.segment_age`: 5s is not between 1m and 7 days",
        ),
        ("[store]\nimmutable = true", "recorder.toml:2: `store.immutable`: "),
        ("[store]\ndir = \"log\"", "recorder.toml:2: `store.dir`: `log` is not an absolute path"),
        (
            "[store]\nstate_dir = \"/var/log/recorder/key\"",
            "recorder.toml:2: `store.state_dir`: lies inside store.dir",
        ),
        (
            "[capture]\n\nfamily = \"object\"",
            "recorder.toml:3: `capture.family`: unknown variant `object`, expected `auto` or `syscall`",
        ),
        (
            "[capture]\nring_files = \"3MiB\"",
            "recorder.toml:2: `capture.ring_files`: 3MiB is not a power of two, which the kernel wants of a ring",
        ),
        ("[capture]\nexclude = [\"/a/[\"]", "recorder.toml:2: `capture.exclude`: "),
        ("[capture]\nexclude = \"/a\"", "recorder.toml:2: `capture.exclude`: "),
        ("[capture]\nenv = [\"A=b\"]", "recorder.toml:2: `capture.env`: `A=b` is not the name of a variable"),
        (
            "[redact]\nenabled = true\npatterns = [\n  \"--pin (?P<secret>[0-9]+)\",\n  \"(?P<secret>\",\n]",
            "recorder.toml:3: `redact.patterns`: pattern 2, `(?P<secret>`: unclosed group",
        ),
        (
            "[redact]\npatterns = [\"pin\"]",
            "recorder.toml:2: `redact.patterns`: pattern 1, `pin`: it has no group",
        ),
        ("[redact]\npatterns = [3]", "recorder.toml:2: `redact.patterns`: "),
        ("[redact]\nenabled = \"on\"", "recorder.toml:2: `redact.enabled`: "),
        ("store = 1", "recorder.toml:1: `store`: "),
        ("[store\n", "recorder.toml:1: "),
    ];
    for (text, expected) in cases {
        let found = error(text);
        assert!(found.starts_with(expected), "{text:?} gave {found:?}");
    }
}

#[test]
fn wrong_limits_of_retention_are_named_too() {
    let cases = [
        (
            "[store]\nkeep_age = \"for ever\"",
            "recorder.toml:2: `store.keep_age`: `for ever` is not a length of time such as \"90s\", \"10m\" or \"1h 30m\", or \"off\"",
        ),
        ("[store]\nkeep_age = \"10m\"", "recorder.toml:2: `store.keep_age`: 10m is less than 1h"),
        (
            "[store]\nkeep_size = \"100MiB\"",
            "recorder.toml:2: `store.keep_size`: 100MiB is less than two segments (store.segment_size is 64MiB)",
        ),
        (
            "[store]\nhold = [\n\"2026-11-01/2026-11-07\",\n\"november\"]",
            "recorder.toml:2: `store.hold`: `november` is not a range of time such as",
        ),
    ];
    for (text, expected) in cases {
        let found = error(text);
        assert!(found.starts_with(expected), "{text:?} gave {found:?}");
    }
}

#[test]
fn limits_of_retention_reach_the_writer() {
    assert!(!Config::default().store.policy().removes(), "evidence is not deleted unless you say so");
    let text = "[store]\nkeep_age = \"90d\"\nkeep_size = \"10GiB\"\nhold = [\"2026-11-01/2026-11-07\"]";
    let (_folder, path) = written(text, &[]);
    let (config, origins) = Config::load(Some(&path)).unwrap();
    let policy = config.store.policy();
    assert_eq!(policy.keep_age_ns, Some(90 * 86_400 * 1_000_000_000));
    assert_eq!((policy.keep_bytes, policy.holds.len()), (Some(10 << 30), 1));
    let shown = config.settings(&origins).into_iter().find(|setting| setting.key == "store.hold").unwrap();
    assert_eq!(shown.value, "[\"2026-11-01/2026-11-07\"]");
}

#[test]
fn a_wrong_default_in_a_drop_in_is_blamed_on_the_drop_in() {
    let (_folder, path) = written("", &[("a.toml", "[store]\ngroup = \"\"\n")]);
    let message = Config::load(Some(&path)).unwrap_err().to_string();
    assert!(message.contains("recorder.toml.d/a.toml:2: `store.group`"), "{message}");
}

#[test]
fn only_a_file_that_was_named_must_exist() {
    let folder = TempDir::new().unwrap();
    let error = Config::load(Some(&folder.path().join("no.toml"))).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let (_folder, path) = written(&"# long\n".repeat(200_000), &[]);
    assert!(matches!(Config::load(Some(&path)).unwrap_err(), ConfigError::TooLong { .. }));
}

#[test]
fn the_state_follows_the_store() {
    let (_folder, path) = written("[store]\ndir = \"/data/record\"\n", &[]);
    let (config, _) = Config::load(Some(&path)).unwrap();
    assert_eq!(config.store.state_dir, Path::new("/data/record.state"));
    let elsewhere = Config::default().at(Path::new("/tmp/x"));
    assert_eq!(elsewhere.store.state_dir, Path::new("/tmp/x.state"));
    let same = Config::default().at(Path::new("/var/log/recorder"));
    assert_eq!(same, Config::default());
}

#[test]
fn sizes_and_periods_are_written_as_they_are_read() {
    for text in ["1B", "1023B", "1KiB", "1025B", "64MiB", "3GiB", "0B"] {
        assert_eq!(Size::try_from(text.to_owned()).unwrap().to_string(), text);
    }
    assert_eq!(Size::try_from("64 MiB".to_owned()), Ok(Size::mebibytes(64)));
    for text in ["", "MiB", "64", "64mb", "-1B", "1.5MiB", "64MiB "] {
        assert!(Size::try_from(text.to_owned()).is_err(), "{text:?}");
    }
    for (text, nanoseconds) in [("90s", 90_000_000_000), ("1h 30m", 5_400_000_000_000)] {
        assert_eq!(Period::try_from(text.to_owned()).unwrap().nanoseconds(), nanoseconds);
    }
    assert_eq!(Period::hours(1).to_string(), "1h");
    for text in ["0s", "-1h", "10", "tomorrow", ""] {
        assert!(Period::try_from(text.to_owned()).is_err(), "{text:?}");
    }
}
