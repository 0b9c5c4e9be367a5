//! A line read back: what readers see of an event. Borrows from the line; keys that a newer writer added are passed
//! over.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};

use super::{Kind, clock, errno, text};

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not the JSON of an event.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
}

/// Text of an event, with the escape of [`text`] still in it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// Escaped, as in the line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes as the host had them.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        text::unescape(&self.0)
    }

    /// For a terminal.
    #[must_use]
    pub fn printable(&self) -> Cow<'_, str> {
        text::printable(&self.0)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// serde's own `Cow` copies inside an `Option`.
        struct Borrow;

        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrow)
    }
}

/// One event. A field that the kind does not have, or that was null, is `None`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are the keys of the line, which docs/events.md describes")]
pub struct Record<'a> {
    /// The line itself, without its end.
    #[serde(skip)]
    pub line: &'a str,
    /// Position in the host's log.
    pub seq: u64,
    /// Wall time, RFC 3339.
    #[serde(borrow)]
    pub t: Text<'a>,
    /// Boot-clock ns.
    pub mono: u64,
    /// What happened. `None` for a kind that this version does not know; see [`Self::word`].
    #[serde(skip)]
    pub kind: Option<Kind>,
    /// The kind's word.
    #[serde(borrow, rename = "kind")]
    pub word: Text<'a>,
    /// `ok` or an errno name.
    #[serde(borrow)]
    pub result: Text<'a>,
    /// Facts that a reader must not miss.
    #[serde(borrow, default)]
    pub flags: Vec<Text<'a>>,
    pub pid: Option<u32>,
    pub tid: Option<u32>,
    pub ppid: Option<u32>,
    #[serde(borrow)]
    pub key: Option<Text<'a>>,
    #[serde(borrow)]
    pub pkey: Option<Text<'a>>,
    #[serde(borrow)]
    pub comm: Option<Text<'a>>,
    #[serde(borrow)]
    pub exe: Option<Text<'a>>,
    pub uid: Option<u32>,
    pub euid: Option<u32>,
    pub gid: Option<u32>,
    pub egid: Option<u32>,
    pub loginuid: Option<u32>,
    pub session: Option<u32>,
    #[serde(borrow)]
    pub cgroup: Option<Text<'a>>,
    #[serde(borrow)]
    pub container: Option<Text<'a>>,
    pub mntns: Option<u32>,
    pub pidns: Option<u32>,
    #[serde(borrow)]
    pub root: Option<Text<'a>>,
    #[serde(borrow)]
    pub argv: Option<Vec<Text<'a>>>,
    pub argc: Option<u64>,
    #[serde(borrow)]
    pub env: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub cwd: Option<Text<'a>>,
    #[serde(borrow)]
    pub file: Option<Text<'a>>,
    #[serde(borrow)]
    pub interp: Option<Text<'a>>,
    pub child: Option<u32>,
    pub child_tid: Option<u32>,
    #[serde(borrow)]
    pub child_key: Option<Text<'a>>,
    pub code: Option<u8>,
    #[serde(borrow)]
    pub signal: Option<Text<'a>>,
    #[serde(borrow)]
    pub path: Option<Text<'a>>,
    #[serde(borrow)]
    pub path_to: Option<Text<'a>>,
    #[serde(borrow)]
    pub dev: Option<Text<'a>>,
    pub ino: Option<u64>,
    #[serde(borrow)]
    pub mode: Option<Text<'a>>,
    pub owner: Option<u32>,
    pub group: Option<u32>,
    #[serde(borrow)]
    pub mode_set: Option<Text<'a>>,
    pub owner_set: Option<u32>,
    pub group_set: Option<u32>,
    pub bytes: Option<u64>,
    pub calls: Option<u64>,
    #[serde(borrow)]
    pub xattr: Option<Text<'a>>,
    #[serde(borrow)]
    pub bits: Option<Text<'a>>,
    #[serde(borrow)]
    pub source: Option<Text<'a>>,
    #[serde(borrow)]
    pub fstype: Option<Text<'a>>,
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
    #[serde(borrow)]
    pub service: Option<Text<'a>>,
    #[serde(borrow)]
    pub rhost: Option<Text<'a>>,
    #[serde(borrow)]
    pub tty: Option<Text<'a>>,
    #[serde(borrow)]
    pub from: Option<Text<'a>>,
    pub pam_result: Option<i32>,
    #[serde(borrow)]
    pub caps_gained: Option<Text<'a>>,
    #[serde(borrow)]
    pub caps_lost: Option<Text<'a>>,
    #[serde(borrow)]
    pub caps_set: Option<Text<'a>>,
    #[serde(borrow)]
    pub call: Option<Text<'a>>,
    pub old_uid: Option<u32>,
    pub old_euid: Option<u32>,
    pub old_gid: Option<u32>,
    pub old_egid: Option<u32>,
    pub suid: Option<u32>,
    pub sgid: Option<u32>,
    pub fsuid: Option<u32>,
    pub fsgid: Option<u32>,
    pub uid_set: Option<u32>,
    pub euid_set: Option<u32>,
    pub suid_set: Option<u32>,
    pub fsuid_set: Option<u32>,
    pub gid_set: Option<u32>,
    pub egid_set: Option<u32>,
    pub sgid_set: Option<u32>,
    pub fsgid_set: Option<u32>,
    pub groups_set: Option<Vec<u32>>,
    #[serde(borrow)]
    pub command: Option<Text<'a>>,
    #[serde(borrow)]
    pub bpf_type: Option<Text<'a>>,
    pub id: Option<u64>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub params: Option<Text<'a>>,
    pub target: Option<u32>,
    #[serde(borrow)]
    pub clock: Option<Text<'a>>,
    #[serde(borrow)]
    pub time_set: Option<Text<'a>>,
    #[serde(borrow)]
    pub namespaces: Option<Vec<Text<'a>>>,
    pub ns: Option<u64>,
    pub utsns: Option<u64>,
}

impl<'a> Record<'a> {
    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// When it is not the JSON of an event.
    pub fn parse(line: &'a [u8]) -> Result<Self, RecordError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = str::from_utf8(line).map_err(serde_json::Error::custom)?;
        let mut record: Self = serde_json::from_str(line)?;
        record.line = line;
        record.kind = Kind::from_name(record.word.as_str());
        Ok(record)
    }

    /// Wall time in ns since 1970.
    #[must_use]
    pub fn wall_ns(&self) -> Option<i64> {
        clock::parse(self.t.as_str())
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn has_flag(&self, word: &str) -> bool {
        self.flags.iter().any(|flag| flag.as_str() == word)
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.result.as_str() == "ok"
    }

    /// 0, or the errno; `None` for a name that this version does not know.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        errno::number(self.result.as_str())
    }

    /// The path as the host had it.
    #[must_use]
    pub fn path_bytes(&self) -> Option<Cow<'_, [u8]>> {
        self.path.as_ref().map(Text::bytes)
    }

    /// Any key of the line, also those of the recorder's own events and of newer writers. Parses the line again.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<serde_json::Value> {
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(self.line).ok()?;
        map.get(key).cloned()
    }
}

/// What the beginning of a line tells without parsing the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Position in the host's log.
    pub seq: u64,
    /// Wall time, RFC 3339.
    pub t: &'a str,
    /// Boot-clock ns.
    pub mono: u64,
    /// The kind's word.
    pub word: &'a str,
    /// `ok` or an errno name.
    pub result: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the fixed beginning of a line; `None` when it does not begin as this writer's lines do, so that only
    /// [`Record::parse`] can tell.
    #[must_use]
    pub fn scan(line: &'a [u8]) -> Option<Self> {
        let (seq, rest) = leading_number(line.strip_prefix(b"{\"seq\":")?)?;
        let (t, rest) = plain_text(rest.strip_prefix(b",\"t\":\"")?)?;
        let (mono, rest) = leading_number(rest.strip_prefix(b",\"mono\":")?)?;
        let (word, rest) = plain_text(rest.strip_prefix(b",\"kind\":\"")?)?;
        let (result, _) = plain_text(rest.strip_prefix(b",\"result\":\"")?)?;
        Some(Self { seq, t, mono, word, result })
    }
}

/// The number at a key of the top level, found without parsing. A key can't be mistaken: inside a string its quotes
/// would stand behind backslashes. `None` as well when the value is null or no number.
#[must_use]
pub fn scan_number(line: &[u8], key: &str) -> Option<u64> {
    let mut rest = line;
    loop {
        let at = memchr::memmem::find(rest, key.as_bytes())?;
        let (before, found) = rest.split_at_checked(at)?;
        let behind = found.get(key.len()..)?;
        if before.ends_with(b",\"")
            && let Some(value) = behind.strip_prefix(b"\":")
        {
            return leading_number(value).map(|(number, _)| number);
        }
        rest = behind;
    }
}

fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(count)?;
    let add = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    (count > 0).then(|| digits.iter().try_fold(0, add)).flatten().map(|number| (number, rest))
}

/// A string without escapes, up to its closing quote.
fn plain_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(memchr::memchr2(b'"', b'\\', bytes)?)?;
    Some((str::from_utf8(text).ok()?, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests;
