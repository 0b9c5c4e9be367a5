//! Tests of `cli::output`.

use std::sync::{Arc, Mutex};

use super::*;

const LINES: [&str; 2] = [
    "{\"seq\":7,\"t\":\"2026-11-23T14:05:30.000000000Z\",\"mono\":1,\"kind\":\"exec\",\"result\":\"ok\",\"pid\":12,\"exe\":\"/bin/sh\",\
     \"argv\":[\"sh\",\"-c\",\"echo \\\"a,b\\\"\\n\\u001b[2J\u{202e}\"],\"flags\":[]}",
    "{\"seq\":8,\"t\":\"2026-11-23T14:05:31.000000000Z\",\"mono\":1,\"kind\":\"file_delete\",\"result\":\"EACCES\",\"pid\":12,\
     \"exe\":null,\"path\":\"/tmp/caf\u{10FFE9}, \\\"x\\\"\",\"flags\":[\"cut\"]}",
];

fn written(format: Format, fields: &[&str], lines: &[&str]) -> String {
    let fields = fields.iter().map(|&name| name.to_owned()).collect();
    let arguments = OutputArguments { output: format, fields, color: Colour::Never, no_pager: true };
    let memory = Arc::new(Mutex::new(Vec::new()));
    let mut printer = Printer::with_sink(&arguments, Users::default(), Sink::Memory(Arc::clone(&memory)));
    printer.is_terminal = false;
    for line in lines {
        printer.event(line.as_bytes()).unwrap();
    }
    assert_eq!(printer.finish().unwrap(), lines.len() as u64);
    let bytes = memory.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_lines_are_the_stored_bytes() {
    assert_eq!(written(Format::Jsonl, &[], &LINES), format!("{}\n{}\n", LINES[0], LINES[1]));
}

#[test]
fn chosen_fields_keep_the_order_asked_for_and_lacking_ones_are_left_out() {
    assert_eq!(
        written(Format::Jsonl, &["pid", "path", "seq"], &LINES),
        "{\"pid\":12,\"seq\":7}\n{\"pid\":12,\"path\":\"/tmp/caf\u{10FFE9}, \\\"x\\\"\",\"seq\":8}\n"
    );
}

#[test]
fn json_is_one_array_also_of_nothing() {
    let all: Vec<serde_json::Value> = serde_json::from_str(&written(Format::Json, &[], &LINES)).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(written(Format::Json, &[], &[]), "[]\n");
}

#[test]
fn csv_quotes_what_rfc_4180_wants_quoted() {
    assert_eq!(
        written(Format::Csv, &["seq", "exe", "path", "argv"], &LINES),
        "seq,exe,path,argv\r\n\
         7,/bin/sh,,\"[\"\"sh\"\",\"\"-c\"\",\"\"echo \\\"\"a,b\\\"\"\\n\\u001b[2J\u{202e}\"\"]\"\r\n\
         8,,\"/tmp/caf\u{10FFE9}, \"\"x\"\"\",\r\n"
    );
    assert_eq!(written(Format::Csv, &["seq"], &[]), "seq\r\n");
}

#[test]
fn people_never_get_bytes_that_steer_a_terminal() {
    for format in [Format::Human, Format::Table] {
        let fields: &[&str] = if format == Format::Table { &["seq", "argv", "path"] } else { &[] };
        let text = written(format, fields, &LINES);
        assert!(
            text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}' || c >= '\u{10FF80}')),
            "{text}"
        );
        assert!(text.contains("\\u{202e}") && text.contains("\\xe9"), "{text}");
    }
}

#[test]
fn json_on_a_terminal_escapes_bidi_and_still_means_the_same() {
    let json = "{\"a\":\"\u{202e}é\u{10FFE9}\"}";
    let mut out = Vec::new();
    fields::write_json(&mut out, json.as_bytes(), true).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "{\"a\":\"\\u202eé\\udbff\\udfe9\"}");
    let same: [serde_json::Value; 2] =
        [serde_json::from_str(json).unwrap(), serde_json::from_str(&text).unwrap()];
    assert_eq!(same[0], same[1]);
}

#[test]
fn human_lines_begin_with_local_time() {
    let expected = human::local_time("2026-11-23T14:05:30.000000000Z");
    assert!(written(Format::Human, &[], &LINES).starts_with(&expected));
    assert_eq!(human::local_time("soon\u{7}"), "soon\\x07");
}
