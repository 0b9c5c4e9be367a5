//! Each rule finds what it forbids, and leaves good code alone.
use super::document::{Verbs, unknown_verbs};
use super::source::Source;
use super::{findings_in, word};
use std::path::Path;

fn source(path: &str, text: &str) -> Source {
    Source::parse(Path::new(path), text.to_owned()).unwrap()
}

fn messages(path: &str, text: &str) -> Vec<String> {
    findings_in(&source(path, text)).iter().map(ToString::to_string).collect()
}

fn function(name: &str, lines: usize) -> String {
    format!("fn {name}() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
}

#[test]
fn good_code_has_no_findings() {
    let text = format!("//! What it is.\n{}", function("short", 60));
    assert_eq!(messages("recorder/src/store/writer.rs", &text), Vec::<String>::new());
}

#[test]
fn a_long_function_is_found_with_its_line() {
    let text = format!("//! What it is.\n{}impl A {{ {} }}", function("long", 61), function("longer", 70));
    let found = messages("recorder/src/a.rs", &text);
    assert_eq!(
        found,
        [
            "recorder/src/a.rs:2: `long` has 61 lines, at most 60",
            "recorder/src/a.rs:63: `longer` has 70 lines, at most 60"
        ]
    );
}

#[test]
fn a_long_function_can_be_excused_or_a_test() {
    let excused = "#[expect(clippy::too_many_lines, reason = \"a table\")]\n";
    let text = format!(
        "//! What it is.\n{excused}{}#[cfg(test)]\nmod tests {{\n{}}}\n",
        function("table", 90),
        function("scenario", 300)
    );
    assert_eq!(messages("recorder/src/a.rs", &text), Vec::<String>::new());
    let long = format!("//! What it is.\n{}", function("scenario", 500));
    assert_eq!(messages("recorder/tests/live.rs", &long), Vec::<String>::new());
    assert_eq!(messages("recorder/src/event/tests.rs", &long), Vec::<String>::new());
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let code = "//! What it is.\n".to_owned() + &"const A: u8 = 1;\n".repeat(399);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const B: u8 = 1;\n".repeat(200));
    assert_eq!(messages("recorder/src/a.rs", &(code.clone() + &tests)), Vec::<String>::new());
    let found = messages("recorder/src/a.rs", &(code + "const C: u8 = 1;\n" + &tests));
    assert_eq!(found, ["recorder/src/a.rs:1: 401 lines without tests, at most 400: split by noun"]);
}

#[test]
fn drawers_and_doubled_names_are_found() {
    for path in ["recorder/src/util.rs", "recorder/src/store/helpers.rs", "recorder/src/common/mod.rs"] {
        assert_eq!(word::names(&source(path, "//! A.")).len(), 1, "{path}");
    }
    assert_eq!(word::names(&source("recorder/src/store/store.rs", "//! A.")).len(), 1);
    for path in ["recorder-common/src/lib.rs", "recorder/src/store/mod.rs", "recorder/src/capture/commons.rs"]
    {
        assert_eq!(word::names(&source(path, "//! A.")).len(), 0, "{path}");
    }
}

#[test]
fn a_file_opens_with_what_it_is() {
    assert_eq!(
        messages("recorder/src/a.rs", "use std::fs;\n"),
        ["recorder/src/a.rs:1: opens without a `//!` line that says what this is"]
    );
}

#[test]
fn an_ignored_test_says_why() {
    let text =
        "//! A.\n#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"root: cargo xtask test\"]\nfn b() {}\n";
    let found = messages("recorder/tests/a.rs", text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("recorder/tests/a.rs:3: an ignored test says why"), "{found:?}");
}

#[test]
fn a_probe_names_its_hook() {
    let text = "//! A.\n/// Hook: `tp_btf/sched_process_exec`.\n#[btf_tracepoint(function = \"f\")]\nfn a() {}\n\
                /// Runs at open.\n#[tracepoint]\nfn b() {}\n";
    let found = messages("recorder-ebpf/src/probe/a.rs", text);
    assert_eq!(
        found,
        ["recorder-ebpf/src/probe/a.rs:7: probe `b` lacks the doc line \"Hook: `kernel hook`\""]
    );
}

#[test]
fn commands_in_documents_exist() {
    let verbs = Verbs {
        recorder: ["query", "verify"].map(str::to_owned).into(),
        xtask: ["run", "test"].map(str::to_owned).into(),
    };
    let text = "recorder dance\n```\n$ sudo recorder query --store /x\n# target/release/recorder verfy\ncargo xtask run\n\
                cargo xtask tset\ncargo build\nrecorder: 3 events\n```\nrecorder sing\n";
    let found = unknown_verbs(Path::new("README.md"), text, &verbs);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["README.md:4: `recorder verfy` does not exist", "README.md:6: `cargo xtask tset` does not exist"]
    );
}
