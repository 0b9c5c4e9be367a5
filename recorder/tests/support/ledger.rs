//! The ledger: what a program says it did, one JSON line per system call, and what the record must say about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One call, and the event that it must leave behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Number of the operation, unique in a run.
    pub op: String,
    /// System call, with `:variant` behind it where one call does several things.
    pub call: String,
    /// `ok` or errno name.
    pub result: String,
    /// Who called.
    pub pid: u32,
    /// The calling thread.
    pub tid: u32,
    /// Real and effective ids at the call: uid, euid, gid, egid.
    pub ids: [u32; 4],
    /// `CLOCK_BOOTTIME` before and after the call.
    pub t0: u64,
    pub t1: u64,
    /// The event; `None` when the call must leave none.
    pub expect: Option<Expect>,
}

/// An expected event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Expect {
    pub kind: String,
    /// `ok` or errno name.
    pub result: String,
    /// `path` as an event spells it.
    pub path: Option<String>,
    pub path_to: Option<String>,
    /// The paths as the kernel's own entry has them, for a record that does not go by the caller's names.
    pub real: Option<String>,
    pub real_to: Option<String>,
    /// Only one of the families can tell it on this kernel.
    #[serde(default)]
    pub is_optional: bool,
    /// Flags that must be there.
    pub must: Vec<String>,
    /// Flags that may be there.
    pub may: Vec<String>,
    /// Further fields with their values.
    pub fields: Map<String, Value>,
}

impl Expect {
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), result: "ok".to_owned(), ..Self::default() }
    }

    pub fn path(mut self, path: &[u8]) -> Self {
        self.path = Some(escape(path));
        self
    }

    pub fn to(mut self, path: &[u8]) -> Self {
        self.path_to = Some(escape(path));
        self
    }

    pub fn must(mut self, flags: &[&str]) -> Self {
        for flag in flags {
            if !self.must.iter().any(|known| known == flag) {
                self.must.push((*flag).to_owned());
            }
        }
        self
    }

    pub fn may(mut self, flags: &[&str]) -> Self {
        self.may.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// A field of bytes, escaped.
    pub fn text(self, key: &str, bytes: &[u8]) -> Self {
        self.field(key, escape(bytes))
    }
}

/// Bytes as events spell them: an invalid byte `b` is U+10FF00 + b, and a real character from U+10FF80 on goes byte
/// by byte. Written again here from the contract, so that the recorder's own code has a witness.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if (0x10_ff80..=0x10_ffff).contains(&u32::from(character)) {
                push_raw(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        push_raw(&mut text, chunk.invalid());
    }
    text
}

fn push_raw(text: &mut String, bytes: &[u8]) {
    text.extend(bytes.iter().filter_map(|byte| char::from_u32(0x10_ff00 + u32::from(*byte))));
}
