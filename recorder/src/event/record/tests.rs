//! Lines read back: whole, cut, and made by someone else.

use serde_json::Value as Json;

use super::*;
use crate::event::Body;
use crate::event::json::tests::{example, line};

#[test]
fn every_line_comes_back_with_all_its_values() {
    for &kind in Kind::ALL {
        let line = line(&example(kind));
        let record = Record::parse(line.as_bytes()).unwrap();
        assert_eq!((record.seq, record.kind), (7, Some(kind)));
        assert_eq!(record.wall_ns(), Some(1_795_477_686_000_000_001));
        let head = Head::scan(line.as_bytes()).unwrap();
        assert_eq!((head.seq, head.t, head.mono), (record.seq, record.t.as_str(), record.mono));
        assert_eq!((head.word, head.result), (kind.name(), record.result.as_str()));
        assert_eq!(scan_number(line.as_bytes(), "pid"), record.pid.map(u64::from));
        assert_eq!(scan_number(line.as_bytes(), "ino"), record.ino);
        if !matches!(example(kind).body, Body::Recorder(_)) {
            every_key_is_a_field(&record);
        }
    }
}

/// No key of a written line is passed over by the reader.
fn every_key_is_a_field(record: &Record<'_>) {
    let map: serde_json::Map<String, Json> = serde_json::from_str(record.line).unwrap();
    let shown = format!("{record:?}");
    for (key, value) in map.iter().filter(|(key, value)| *key != "kind" && !value.is_null()) {
        assert!(!shown.contains(&format!(" {key}: None")), "{key} of {:?} is not read", record.kind);
        assert!(shown.contains(&format!(" {key}: ")), "{key} of {:?} has no field ({value})", record.kind);
    }
}

#[test]
fn bytes_that_are_not_utf8_come_back() {
    let line = line(&example(Kind::Exec));
    let record = Record::parse(line.as_bytes()).unwrap();
    let argv = record.argv.unwrap();
    assert_eq!(
        argv.iter().map(|text| text.bytes().into_owned()).collect::<Vec<_>>(),
        [b"vim".to_vec(), b"".to_vec(), b"caf\xe9 \"x\"\n".to_vec()]
    );
    assert_eq!(argv[2].printable(), r#"caf\xe9 "x"\n"#);
}

#[test]
fn keys_and_kinds_of_newer_writers_are_no_fault() {
    let line = br#"{"seq":1,"t":"x","mono":2,"kind":"warp","result":"ok","coil":{"a":[1]},"flags":["new"]}"#;
    let record = Record::parse(line).unwrap();
    assert_eq!((record.kind, record.word.as_str(), record.wall_ns()), (None, "warp", None));
    assert_eq!(record.value("coil"), Some(serde_json::json!({"a": [1]})));
    assert!(record.has_flag("new") && record.is_ok() && record.pid.is_none());
    assert!(Record::parse(b"{\"seq\":1}").is_err());
    assert!(Record::parse(b"{\"seq\":1,\"t\":\"\xff\"}").is_err());
    assert_eq!(Head::scan(br#"{"t":"x","seq":1}"#), None);
}

#[test]
fn a_key_inside_a_string_is_not_mistaken_for_one() {
    let line = br#"{"seq":1,"path":",\"pid\":9,","x":"pid","pid":5}"#;
    assert_eq!(scan_number(line, "pid"), Some(5));
    assert_eq!(scan_number(br#"{"seq":1,"pid":null}"#, "pid"), None);
    assert_eq!(scan_number(line, "uid"), None);
}
