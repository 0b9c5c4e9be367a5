//! What an event is filed under: the keys of a line. Writer, verifier and queries all get them from here.
//!
//! A key is a hash. Two values with the same key only cost a look at frames that hold no match.

use std::borrow::Cow;

use super::line::{Members, Text, Value};
use super::{EVERY_QUERY, MAX_DEPTH};
use crate::event::text::unescape;

/// Which member of a line a key is about. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// `kind`.
    Kind = 1,
    /// `result`, unless `ok`; with the empty value: any such result.
    Result = 2,
    /// `pid`.
    Pid = 3,
    /// `uid`.
    Uid = 4,
    /// `loginuid`; `null` when there is none.
    Loginuid = 5,
    /// `session`; `null` when there is none.
    Session = 6,
    /// `exe`, and each directory above it with its `/`.
    Exe = 7,
    /// What is behind the last `/` of `exe`.
    Program = 8,
    /// `path` and `path_to`, and each directory above them with its `/`.
    Path = 9,
    /// The first 12 bytes of `container`.
    Container = 10,
    /// `user`.
    User = 11,
}

/// Bytes of a container id that are filed; shorter beginnings are not looked up.
pub const CONTAINER: usize = 12;

/// FNV-1a, 64 bits: one pass over a path gives the keys of its directories too.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

const fn step(state: u64, byte: u8) -> u64 {
    (state ^ byte as u64).wrapping_mul(PRIME)
}

const fn start(field: Field) -> u64 {
    step(OFFSET, field as u8)
}

/// The key of a state: both halves, because the last bytes only reach some of the bits. Never [`EVERY_QUERY`].
const fn fold(state: u64) -> u32 {
    let key = (state >> 32) as u32 ^ state as u32;
    if key == EVERY_QUERY { 1 } else { key }
}

/// The key of a value: bytes as the host had them, numbers as digits.
#[must_use]
pub fn key(field: Field, value: &[u8]) -> u32 {
    fold(value.iter().fold(start(field), |state, byte| step(state, *byte)))
}

/// The key of everything below a directory, which is given with its last `/`; `None` for the root, which has none.
#[must_use]
pub fn key_below(field: Field, directory: &[u8]) -> Option<u32> {
    let borders = directory.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0);
    let (last, _) = borders.take(MAX_DEPTH).last()?;
    directory.get(..=last).map(|directory| key(field, directory))
}

/// A line that is not of the recorder's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strange;

/// Finds the keys of frames.
pub(super) struct Extractor {
    keys: Vec<u32>,
    /// Keys that were met lately, each with the number of its frame, to pass over most repetitions.
    met: Box<[u64; MET]>,
    frame: u64,
}

const MET: usize = 1 << 12;

impl Extractor {
    pub(super) fn new() -> Self {
        Self { keys: Vec::new(), met: Box::new([0; MET]), frame: 0 }
    }

    /// The keys of a frame's lines, each once and in order.
    pub(super) fn keys(&mut self, lines: &[u8]) -> Result<&[u32], Strange> {
        self.keys.clear();
        self.frame += 1;
        let mut walk = Walk { found: self, tasks: [&[]; TASKS], trail: Trail::default() };
        let mut rest = lines;
        while !rest.is_empty() {
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at_checked(length).ok_or(Strange)?;
            walk.line(line).ok_or(Strange)?;
            rest = behind.get(1..).unwrap_or_default();
        }
        self.keys.sort_unstable();
        self.keys.dedup();
        Ok(&self.keys)
    }

    #[inline]
    fn add(&mut self, key: u32) {
        let marked = self.frame << 32 | u64::from(key);
        if let Some(met) = self.met.get_mut(key as usize % MET)
            && *met != marked
        {
            *met = marked;
            self.keys.push(key);
        }
    }
}

/// A way through the lines of a frame. What it remembers of them only saves work: many lines say the same.
struct Walk<'x, 'l> {
    found: &'x mut Extractor,
    /// The members `pid` to `pidns` of some tasks, with the comma behind them.
    tasks: [&'l [u8]; TASKS],
    trail: Trail<'l>,
}

const TASKS: usize = 1 << 5;

/// The last path and the states of its hash behind each `/`: the next path often begins the same.
#[derive(Default)]
struct Trail<'l> {
    field: Option<Field>,
    path: &'l [u8],
    borders: Vec<(usize, u64)>,
}

/// Which of the members that count as null when they are absent a line has.
#[derive(Default)]
struct Present {
    loginuid: bool,
    session: bool,
}

impl<'l> Walk<'_, 'l> {
    /// `None` when the line is not of the recorder's form.
    fn line(&mut self, line: &'l [u8]) -> Option<()> {
        let mut members = Members::of(line)?;
        let mut present = Present::default();
        let mut task: &[u8] = &[];
        loop {
            let begin = members.rest();
            if begin.starts_with(b"\"pid\":") {
                if self.tasks.get(task_slot(begin)).is_some_and(|known| members.skip(known)) {
                    present = Present { loginuid: true, session: true };
                    continue;
                }
                task = begin;
            }
            let member = members.next()?;
            self.member(member.name, member.value, &mut present)?;
            if member.is_last {
                break;
            }
            if member.name == b"pidns" && present.loginuid && present.session {
                self.remember(task, members.rest());
            }
        }
        if !present.loginuid {
            self.found.add(key(Field::Loginuid, b"null"));
        }
        if !present.session {
            self.found.add(key(Field::Session, b"null"));
        }
        Some(())
    }

    /// Remembers the members from the beginning of `task` up to `rest`, which is its end.
    fn remember(&mut self, task: &'l [u8], rest: &[u8]) {
        let members = task.len().checked_sub(rest.len()).and_then(|length| task.get(..length));
        if let (Some(known), Some(members)) = (self.tasks.get_mut(task_slot(task)), members) {
            *known = members;
        }
    }

    #[inline]
    fn member(&mut self, name: &[u8], value: Value<'l>, present: &mut Present) -> Option<()> {
        match (name, value) {
            (b"kind", Value::Text(kind)) => self.found.add(key(Field::Kind, &bytes(kind)?)),
            (b"result", Value::Text(result)) => {
                let result = bytes(result)?;
                if *result != *b"ok" {
                    self.found.add(key(Field::Result, &result));
                    self.found.add(key(Field::Result, b""));
                }
            }
            (b"pid", Value::Atom(pid)) => self.found.add(key(Field::Pid, pid)),
            (b"uid", Value::Atom(uid)) => self.found.add(key(Field::Uid, uid)),
            (b"loginuid", Value::Atom(uid)) => {
                present.loginuid = true;
                self.found.add(key(Field::Loginuid, uid));
            }
            (b"session", Value::Atom(session)) => {
                present.session = true;
                self.found.add(key(Field::Session, session));
            }
            (b"exe", Value::Text(exe)) => {
                self.path(Field::Exe, exe)?;
                self.found.add(key(Field::Program, program(&bytes(exe)?)));
            }
            (b"path" | b"path_to", Value::Text(path)) => self.path(Field::Path, path)?,
            (b"container", Value::Text(id)) => {
                if let Some(beginning) = bytes(id)?.get(..CONTAINER) {
                    self.found.add(key(Field::Container, beginning));
                }
            }
            (b"user", Value::Text(user)) => self.found.add(key(Field::User, &bytes(user)?)),
            _ => {}
        }
        Some(())
    }

    /// Adds a path and the directories above it.
    fn path(&mut self, field: Field, text: Text<'l>) -> Option<()> {
        let trail = &mut self.trail;
        let is_same_field = trail.field == Some(field);
        if is_same_field && trail.path == text.raw {
            return Some(());
        }
        let value = bytes(text)?;
        let shared = if is_same_field { common_prefix(trail.path, &value) } else { 0 };
        trail.borders.truncate(trail.borders.partition_point(|(end, _)| *end <= shared));
        let (from, mut state) = trail.borders.last().copied().unwrap_or((0, start(field)));
        for (at, byte) in value.iter().enumerate().skip(from) {
            state = step(state, *byte);
            if *byte == b'/' && at > 0 && trail.borders.len() < MAX_DEPTH {
                trail.borders.push((at + 1, state));
                self.found.add(fold(state));
            }
        }
        self.found.add(fold(state));
        // Only what stands in the line as it is can be compared with the next one.
        trail.field = matches!(value, Cow::Borrowed(_)).then_some(field);
        trail.path = text.raw;
        Some(())
    }
}

/// What is behind the last `/` of a path.
#[must_use]
pub fn program(exe: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', exe).and_then(|at| exe.get(at + 1..)).unwrap_or(exe)
}

/// The bytes that a text stands for, as the host had them; `None` when it is not UTF-8 or its escapes are not JSON.
fn bytes(text: Text<'_>) -> Option<Cow<'_, [u8]>> {
    if text.is_escaped {
        let quoted = [b"\"", text.raw, b"\""].concat();
        let value: String = serde_json::from_slice(&quoted).ok()?;
        return Some(Cow::Owned(unescape(&value).into_owned()));
    }
    if text.raw.is_ascii() {
        return Some(Cow::Borrowed(text.raw));
    }
    std::str::from_utf8(text.raw).ok().map(unescape)
}

/// How many bytes are the same at the front of both.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words = words_a.iter().zip(words_b).take_while(|(a, b)| a == b).count();
    let same = words * 8;
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    same + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Where the members of the task that `bytes` begin with are remembered: its process id decides.
fn task_slot(bytes: &[u8]) -> usize {
    let digits = bytes.get(6..).and_then(|digits| digits.first_chunk()).copied().unwrap_or_default();
    let mixed = u64::from_le_bytes(digits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - TASKS.ilog2())) as usize
}
