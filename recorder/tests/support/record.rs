//! Events as `recorder query --output jsonl` prints them, and the processes that they belong to.

use std::collections::HashSet;

use serde_json::Value;

/// One line of the record.
#[derive(Clone, Debug)]
pub struct Record {
    pub value: Value,
}

impl Record {
    pub fn parse(line: &str) -> Self {
        Self { value: serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")) }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(Value::as_str)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.value.get(key).and_then(Value::as_u64)
    }

    pub fn kind(&self) -> &str {
        self.text("kind").unwrap_or("")
    }

    pub fn result(&self) -> &str {
        self.text("result").unwrap_or("")
    }

    pub fn pid(&self) -> u64 {
        self.number("pid").unwrap_or(0)
    }

    pub fn flags(&self) -> Vec<&str> {
        let flags = self.value.get("flags").and_then(Value::as_array);
        flags.map(|flags| flags.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags().contains(&flag)
    }
}

/// The events of one process and its descendants, found by process keys: a pid may be used again, a key not.
pub fn tree(events: &[Record], root: u64) -> Vec<Record> {
    let keys: HashSet<String> = events
        .iter()
        .filter(|event| event.kind() == "fork" && event.number("child") == Some(root))
        .filter_map(|event| event.text("child_key").map(str::to_owned))
        .collect();
    assert_eq!(keys.len(), 1, "one process with pid {root} was made while recording");
    grow(events, keys)
}

/// The events of everything that one process, itself older than the recording, started meanwhile.
pub fn started_by(events: &[Record], parent: u64) -> Vec<Record> {
    let is_fork = |event: &&Record| event.kind() == "fork" && event.pid() == parent;
    let children = events.iter().filter(is_fork);
    let keys = children.filter_map(|event| event.text("child_key").map(str::to_owned)).collect();
    grow(events, keys)
}

/// The events of these processes and their descendants.
fn grow(events: &[Record], mut keys: HashSet<String>) -> Vec<Record> {
    let mut grown = true;
    while grown {
        let born: Vec<String> = events
            .iter()
            .filter(|event| event.kind() == "fork" && event.text("key").is_some_and(|key| keys.contains(key)))
            .filter_map(|event| event.text("child_key").map(str::to_owned))
            .collect();
        let before = keys.len();
        keys.extend(born);
        grown = keys.len() > before;
    }
    events.iter().filter(|event| event.text("key").is_some_and(|key| keys.contains(key))).cloned().collect()
}
