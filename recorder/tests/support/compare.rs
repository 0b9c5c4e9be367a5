//! Ledger against record: every operation exactly once, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use super::ledger::{Entry, Expect};
use super::record::Record;

/// What came out of a comparison.
#[derive(Default)]
pub struct Outcome {
    /// Per kind: expected, found, wrong, missing, extra.
    pub table: BTreeMap<String, [usize; 5]>,
    /// Every difference in full.
    pub differences: Vec<String>,
    /// The event of each operation that has one.
    pub found: BTreeMap<String, Record>,
}

impl Outcome {
    fn count(&mut self, kind: &str, column: usize) {
        if let Some(cell) = self.table.entry(kind.to_owned()).or_default().get_mut(column) {
            *cell += 1;
        }
    }

    /// The table as text.
    pub fn render(&self) -> String {
        let mut text = format!(
            "{:<16}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
            "kind", "expected", "found", "wrong", "missing", "extra"
        );
        let mut sum = [0; 5];
        for (kind, row) in &self.table {
            let _ =
                writeln!(text, "{kind:<16}{:>9}{:>9}{:>9}{:>9}{:>9}", row[0], row[1], row[2], row[3], row[4]);
            sum.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell);
        }
        let _ =
            writeln!(text, "{:<16}{:>9}{:>9}{:>9}{:>9}{:>9}", "sum", sum[0], sum[1], sum[2], sum[3], sum[4]);
        text
    }
}

/// Compares a ledger with the events of its process tree. Events that the frame around the workload leaves (its own
/// start and end) are to be taken out before.
pub fn compare(ledger: &[Entry], events: &[Record]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut open: Vec<Option<&Record>> = events.iter().map(Some).collect();
    let mut by_process: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        by_process.entry(event.pid()).or_default().push(index);
    }
    let none = Vec::new();
    let mut missing = Vec::new();
    for entry in ledger {
        let Some(expect) = &entry.expect else { continue };
        outcome.count(&expect.kind, 0);
        let candidates = by_process.get(&u64::from(entry.pid)).unwrap_or(&none);
        let found = candidates.iter().copied().find(|index| {
            open.get(*index).copied().flatten().is_some_and(|event| is_this(entry, expect, event))
        });
        let Some(event) = found.and_then(|index| open.get_mut(index).and_then(Option::take)) else {
            if !expect.is_optional {
                missing.push((entry, expect));
            }
            continue;
        };
        outcome.count(&expect.kind, 1);
        outcome.found.insert(entry.op.clone(), event.clone());
        let wrong = differences(entry, expect, event);
        if !wrong.is_empty() {
            outcome.count(&expect.kind, 2);
            outcome.differences.push(format!(
                "wrong: {}\n  ledger {}\n  record {}",
                wrong.join("; "),
                json(entry),
                event.value
            ));
        }
    }
    for (entry, expect) in missing {
        outcome.count(&expect.kind, 3);
        let near: Vec<String> = open
            .iter()
            .flatten()
            .filter(|event| event.pid() == u64::from(entry.pid) && is_within(entry, event))
            .map(|event| format!("\n  near   {}", event.value))
            .collect();
        outcome.differences.push(format!("missing: {}{}", json(entry), near.concat()));
    }
    for event in open.into_iter().flatten() {
        outcome.count(event.kind(), 4);
        let during: Vec<&str> = ledger
            .iter()
            .filter(|entry| u64::from(entry.pid) == event.pid() && is_within(entry, event))
            .map(|entry| entry.op.as_str())
            .collect();
        outcome.differences.push(format!("extra (during {}): {}", during.join(" "), event.value));
    }
    outcome
}

fn json(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

/// The event carries a time between the two that the workload took around the call.
fn is_within(entry: &Entry, event: &Record) -> bool {
    event.number("mono").is_some_and(|mono| entry.t0 <= mono && mono <= entry.t1)
}

/// Whether this event is the one: kind, result, paths and time.
fn is_this(entry: &Entry, expect: &Expect, event: &Record) -> bool {
    event.kind() == expect.kind
        && event.result() == expect.result
        && is_within(entry, event)
        && path_of(expect, event).is_none_or(|path| event.text("path") == Some(path))
        && path_to_of(expect, event).is_none_or(|path| event.text("path_to") == Some(path))
}

/// The record has the kernel's own paths where the ledger has the caller's names: the object family gives them.
fn is_by_object(expect: &Expect, event: &Record) -> bool {
    expect.real.is_some() && !event.flags().contains(&"from_argument")
}

fn path_of<'a>(expect: &'a Expect, event: &Record) -> Option<&'a str> {
    if is_by_object(expect, event) { expect.real.as_deref() } else { expect.path.as_deref() }
}

fn path_to_of<'a>(expect: &'a Expect, event: &Record) -> Option<&'a str> {
    let real = expect.real_to.as_deref().filter(|_| is_by_object(expect, event));
    real.or(expect.path_to.as_deref())
}

/// What else is not as the ledger says.
fn differences(entry: &Entry, expect: &Expect, event: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    let flags = event.flags();
    // What only a caller's name brings along.
    let is_of_name = |flag: &str| matches!(flag, "from_argument" | "unresolved");
    let needed = expect.must.iter().filter(|flag| !(is_by_object(expect, event) && is_of_name(flag)));
    for flag in needed.filter(|flag| !flags.contains(&flag.as_str())) {
        wrong.push(format!("flag {flag} is missing"));
    }
    let is_known = |flag: &str| expect.must.iter().chain(&expect.may).any(|known| known == flag);
    for flag in flags.iter().filter(|flag| !is_known(flag)) {
        wrong.push(format!("flag {flag} is too much"));
    }
    for (key, value) in &expect.fields {
        let recorded = event.value.get(key).unwrap_or(&Value::Null);
        if !is_equal(key, value, recorded) {
            wrong.push(format!("{key} is {recorded}, should be {value}"));
        }
    }
    if entry.tid != 0 && event.number("tid") != Some(u64::from(entry.tid)) {
        wrong.push(format!("tid should be {}", entry.tid));
    }
    for (key, id) in ["uid", "euid", "gid", "egid"].into_iter().zip(entry.ids) {
        if id != u32::MAX && event.number(key) != Some(u64::from(id)) {
            wrong.push(format!("{key} should be {id}"));
        }
    }
    wrong
}

/// Modes are written in octal and bits in hexadecimal; the ledger has numbers.
fn is_equal(key: &str, expected: &Value, recorded: &Value) -> bool {
    let number = |radix, prefix: &str| {
        let text = recorded.as_str()?;
        u64::from_str_radix(text.strip_prefix(prefix).unwrap_or(text), radix).ok()
    };
    match key {
        "mode_set" => number(8, "0") == expected.as_u64(),
        "bits" => number(16, "0x") == expected.as_u64(),
        _ => expected == recorded,
    }
}
