//! Tests of `store::index`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;

use super::keys::{CONTAINER, Extractor, program};
use super::*;
use crate::event::json::{LineContext, Writer};
use crate::event::text::unescape;
use crate::event::{Body, Event, Exec, File, Kind, Login, Redaction, Task, Value as Fact};
use crate::store::format::{FrameHeader, FrameKind};

/// What the page says, by a real JSON parser.
fn keys_by_the_page(line: &str) -> BTreeSet<u32> {
    let members: serde_json::Map<String, Json> = serde_json::from_str(line).unwrap();
    let text = |name: &str| match members.get(name) {
        Some(Json::String(text)) => Some(unescape(text).into_owned()),
        _ => None,
    };
    let number = |name: &str| match members.get(name) {
        Some(value @ (Json::Number(_) | Json::Null)) => Some(value.to_string().into_bytes()),
        _ => None,
    };
    let mut keys = BTreeSet::new();
    let mut add = |field, value: Option<Vec<u8>>| keys.extend(value.map(|value| key(field, &value)));
    add(Field::Kind, text("kind"));
    let failed = text("result").filter(|result| result != b"ok");
    add(Field::Result, failed.clone());
    add(Field::Result, failed.map(|_| Vec::new()));
    add(Field::Pid, number("pid"));
    add(Field::Uid, number("uid"));
    add(Field::Loginuid, number("loginuid").or(Some(b"null".to_vec())));
    add(Field::Session, number("session").or(Some(b"null".to_vec())));
    add(Field::Program, text("exe").map(|exe| program(&exe).to_vec()));
    add(Field::Container, text("container").and_then(|id| Some(id.get(..CONTAINER)?.to_vec())));
    add(Field::User, text("user"));
    for (field, name) in [(Field::Exe, "exe"), (Field::Path, "path"), (Field::Path, "path_to")] {
        let Some(path) = text(name) else { continue };
        let borders = (1..path.len()).filter(|at| path[*at] == b'/');
        for at in borders.take(MAX_DEPTH) {
            add(field, Some(path[..=at].to_vec()));
        }
        add(field, Some(path));
    }
    keys
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-z0-9./]{1,9}".prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => select(vec![&b"\"pid\":"[..], b"\\", b"\",\"path\":\"/x", b"}", b"\n", b"\xf4\x8f\xbf\xbf"])
            .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => select(vec!["etc", "usr", "home", "a", "b", "ü", ""])
            .prop_map(|part| part.as_bytes().to_vec()),
        1 => bytes(),
    ];
    let several = prop::collection::vec(part, 0..6)
        .prop_map(|parts| parts.into_iter().flat_map(|part| [b"/".to_vec(), part].concat()).collect());
    prop_oneof![20 => several, 1 => Just(b"/d".repeat(40)), 1 => bytes()]
}

fn task() -> impl Strategy<Value = Task<'static>> {
    let ids = (0..40_u32, 0..3_u32, prop::option::of(0..3_u32), prop::option::of(0..3_u32));
    let container = prop::option::of("[0-9a-f]{0,64}");
    (ids, prop::option::of(path()), prop::option::of(bytes()), container).prop_map(
        |((pid, uid, loginuid, session), exe, cgroup, container)| Task {
            pid,
            uid,
            loginuid,
            session,
            exe: exe.map(Cow::Owned),
            cgroup: cgroup.map(Cow::Owned),
            container: container.map(Cow::Owned),
            // Some prefix of the members is the same, and some number is the beginning of another.
            pidns: if uid == 0 { 12 } else { 123 },
            ..crate::event::sample_bytes::task()
        },
    )
}

fn redaction(is_cut: bool) -> Redaction {
    Redaction { argument: 1, is_env: false, at: 2, rule: "word", is_cut, key: [1; 4], commitment: [2; 32] }
}

/// A line as the recorder writes it.
fn line() -> impl Strategy<Value = String> {
    let kinds = prop::sample::select(Kind::ALL.to_vec());
    let head = (any::<u64>(), kinds, select(vec![0, 2, 13, 300]), any::<u32>());
    (head, prop::option::of(task()), path(), prop::option::of(path()), bytes()).prop_map(
        |((mono, kind, errno, flags), task, path, path_to, bytes)| {
            let body = match kind {
                Kind::Exec => Body::Exec(Exec {
                    argv: vec![Cow::Borrowed(&bytes), Cow::Borrowed(&path)],
                    redacted: [redaction(true), redaction(false)][..flags as usize % 3].to_vec(),
                    ..Exec::default()
                }),
                Kind::Login => Body::Login(Login { user: Some(Cow::Borrowed(&bytes)), ..Login::default() }),
                Kind::Gap => Body::Recorder(vec![
                    (
                        "names",
                        Fact::List(vec!["a\"]".to_owned(), String::from_utf8_lossy(&bytes).into_owned()]),
                    ),
                    ("known", Fact::Bool(true)),
                    ("rest", Fact::Null),
                ]),
                _ => Body::File(File {
                    path: Some(Cow::Borrowed(&path)),
                    path_to: path_to.as_deref().map(Cow::Borrowed),
                    xattr: Some(&bytes),
                    ..File::default()
                }),
            };
            let event = Event { mono, kind, errno, task, flags: flags.into(), body };
            let mut out = Vec::new();
            let context = LineContext { seq: mono / 3, wall_ns: 1_795_477_686_000_000_001, boot: "0a1b2c3d" };
            Writer::default().append(&mut out, &context, &event);
            String::from_utf8(out).unwrap()
        },
    )
}

/// The header of a frame that stands alone.
fn header(lines: &[u8], t_first: i64, t_last: i64) -> FrameHeader {
    FrameHeader {
        kind: FrameKind::Data,
        flags: 0,
        epoch: 1,
        frame_no: 0,
        first_seq: 0,
        count: memchr::memchr_iter(b'\n', lines).count() as u32,
        raw_len: lines.len() as u32,
        payload_len: 20 + lines.len() as u32 / 7,
        t_first,
        t_last,
        lost_total: 0,
        prev_link: [0; 32],
        inner_root: [0; 32],
        payload_sha256: [0; 32],
        next_pk: [0; 32],
        signature: [0; 64],
    }
}

fn index_of(builder: &mut Builder, frames: &[(String, i64)]) -> Vec<u8> {
    for (lines, time) in frames {
        builder
            .add_frame(&header(lines.as_bytes(), *time, time.wrapping_add(1_000_000_000)), lines.as_bytes());
    }
    builder.finish()
}

/// A file with `frames_len` bytes in front of the index.
fn file_with(index: &[u8]) -> Vec<u8> {
    let footer = &index[index.len() - FOOTER..];
    let frames_len = u64::from_le_bytes(footer[24..32].try_into().unwrap());
    let mut file = vec![0; frames_len as usize];
    file.extend(index);
    file
}

fn reading(file: &[u8]) -> impl Fn(u64, usize) -> Result<Vec<u8>, StoreError> + '_ {
    |offset, length| {
        let rest = file.get(offset as usize..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest).to_vec())
    }
}

fn frames() -> impl Strategy<Value = Vec<(String, i64)>> {
    let lines = prop::collection::vec(line(), 0..12).prop_map(|lines| lines.concat());
    prop::collection::vec((lines, any::<i64>()), 0..20)
}

proptest! {
    // Each case has hundreds of lines.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn keys_are_what_a_json_parser_finds(lines in prop::collection::vec(line(), 1..20)) {
        let expected: BTreeSet<u32> = lines.iter().flat_map(|line| keys_by_the_page(line)).collect();
        let mut extractor = Extractor::new();
        for text in [lines.concat(), lines.concat()] {
            let found = extractor.keys(text.as_bytes()).unwrap();
            prop_assert!(found.is_sorted());
            prop_assert_eq!(found.iter().copied().collect::<BTreeSet<u32>>(), expected.clone());
        }
    }

    #[test]
    fn every_frame_is_found_by_each_of_its_keys(frames in frames()) {
        let index = index_of(&mut Builder::new(), &frames);
        let file = file_with(&index);
        let read = reading(&file);
        let opened = Index::open(&read, file.len() as u64).unwrap().unwrap();
        prop_assert_eq!(opened.frames() as usize, frames.len());
        let mut expected: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (frame, (lines, _)) in (0..).zip(&frames) {
            for key in lines.lines().flat_map(keys_by_the_page) {
                expected.entry(key).or_default().insert(frame);
            }
        }
        for (key, frames) in &expected {
            let found = opened.frames_with(&read, *key).unwrap();
            prop_assert_eq!(&found.iter().collect::<BTreeSet<u32>>(), frames);
        }
        prop_assert!(opened.frames_without_keys(&read).unwrap().is_empty());
        let table = opened.frame_table(&read).unwrap();
        let (mut offset, mut events) = (0, 0);
        for (frame, (lines, time)) in (0..).zip(&frames) {
            let header = header(lines.as_bytes(), *time, time.wrapping_add(1_000_000_000));
            let place = *table.get(frame).unwrap();
            prop_assert_eq!((place.offset, place.events_before, place.count), (offset, events, header.count));
            prop_assert_eq!((place.t_first, place.t_last), (header.t_first, header.t_last));
            for event in events..events + u64::from(header.count) {
                prop_assert_eq!(table.frame_of_event(event), Some(frame));
            }
            offset += header.frame_len();
            events += u64::from(header.count);
        }
        prop_assert_eq!((table.frame_of_event(events), offset), (None, opened.frames_len()));
    }

    #[test]
    fn sets_of_frames_come_back_and_combine(
        a in prop::collection::btree_set(0..60_u32, 0..40),
        b in prop::collection::btree_set(0..60_u32, 0..40),
    ) {
        let (one, other): (Runs, Runs) = (a.iter().copied().collect(), b.iter().copied().collect());
        prop_assert!(one.and(&other).iter().eq(a.intersection(&b).copied()));
        prop_assert!(one.or(&other).iter().eq(a.union(&b).copied()));
        if !a.is_empty() {
            let mut bytes = Vec::new();
            one.encode(&mut bytes);
            let mut numbers = Numbers { rest: &bytes, end: bytes.len() as u64 };
            prop_assert_eq!(Runs::decode(&mut numbers, 60).unwrap(), one);
            prop_assert!(numbers.rest.is_empty());
        }
    }

    #[test]
    fn changed_bytes_are_noticed(frames in frames(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let index = index_of(&mut Builder::new(), &frames);
        let mut file = file_with(&index);
        let start = file.len() - index.len();
        let key = Extractor::new().keys(frames.first().map_or(b"", |(lines, _)| lines.as_bytes()))
            .unwrap().first().copied();
        let at = start + place.index(index.len());
        file[at] ^= 1_u8 << bit;
        let read = reading(&file);
        match Index::open(&read, file.len() as u64) {
            // The rest of the segment is read, then: the magic is not there, or what is there is wrong.
            Ok(None) => prop_assert!(at >= file.len() - FOOTER && at < file.len() - FOOTER + 4),
            Err(_) => prop_assert!(at >= start),
            Ok(Some(opened)) => {
                let table = opened.frame_table(&read);
                let found = key.map(|key| opened.frames_with(&read, key));
                let is_whole = |runs: &Result<Runs, IndexError>| runs.as_ref().is_ok_and(|runs| runs.iter().next() == Some(0));
                // A part is right or refused; the byte that changed is in one that is refused or was not read.
                prop_assert!(table.is_err() || found.as_ref().is_none_or(|runs| runs.is_err() || is_whole(runs)));
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        mut bytes in prop::collection::vec(any::<u8>(), FOOTER..400),
        numbers in prop::array::uniform5(0..300_u32),
    ) {
        let footer = bytes.len() - FOOTER;
        bytes[footer..footer + 4].copy_from_slice(&MAGIC);
        for (at, number) in (footer + 4..).step_by(4).zip(numbers) {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[footer + 20..footer + 24].fill(0);
        let own = digest(&bytes[footer..footer + 64]);
        bytes[footer + 64..].copy_from_slice(&own);
        let read = reading(&bytes);
        let _refused = Index::open(&read, bytes.len() as u64);
        let mut numbers = Numbers { rest: &bytes, end: bytes.len() as u64 };
        while numbers.next().is_ok() || Runs::decode(&mut numbers, 50).is_ok() {}
    }
}

#[test]
fn every_kind_of_event_is_written_in_the_form_that_has_keys() {
    use crate::event::json::tests::{example, line};
    for &kind in Kind::ALL {
        let line = line(&example(kind));
        let keys: BTreeSet<u32> =
            Extractor::new().keys(line.as_bytes()).unwrap_or(&[]).iter().copied().collect();
        assert_eq!(keys, keys_by_the_page(&line), "{line}");
    }
}

#[test]
fn lines_of_another_form_put_their_frame_into_every_query() {
    let ours = r#"{"seq":1,"kind":"exec","pid":7,"names":["a",1,null],"list":[{"pid":8,"b":"]"},{}],"n":-1.5e+3,"flags":[]}"#;
    assert!(Extractor::new().keys(ours.as_bytes()).is_ok());
    for strange in [
        "",
        "x",
        "{}",
        "{\"pid\":7",
        "{\"pid\":7} ",
        " {\"pid\":7}",
        "{\"pid\": 7}",
        "{\"pid\" :7}",
        "{\"pid\":7,}",
        "{\"pid\":}",
        "{\"p\\u0069d\":7}",
        "{\"path\":\"/a\\q\"}",
        "{\"path\":\"/a\\ud800\"}",
        "{\"path\":\"/a}",
        "{\"a\":{\"pid\":7}}",
        "{\"a\":[[7]]}",
        "{\"a\":[{\"b\":[7]}]}",
        "{\"a\":\"\\",
        "{\"a\":\"\\\"}",
    ] {
        let lines = format!("{ours}\n{strange}\n");
        assert!(Extractor::new().keys(lines.as_bytes()).is_err(), "{strange}");
        let frames = [(format!("{ours}\n"), 5), (lines, 6)];
        let file = file_with(&index_of(&mut Builder::new(), &frames));
        let read = reading(&file);
        let index = Index::open(&read, file.len() as u64).unwrap().unwrap();
        assert!(index.frames_without_keys(&read).unwrap().iter().eq([1]), "{strange}");
        assert!(index.frames_with(&read, key(Field::Pid, b"7")).unwrap().iter().eq([0]), "{strange}");
    }
    let invalid = [&b"{\"path\":\"/a"[..], b"\xff\"}"].concat();
    assert!(Extractor::new().keys(&invalid).is_err());
}

#[test]
fn escapes_of_other_writers_mean_the_same() {
    let ours = "{\"path\":\"/etc/a b\"}";
    let foreign = "{\"path\":\"\\/etc\\/a\\u0020b\"}";
    let keys = |line: &str| Extractor::new().keys(line.as_bytes()).unwrap().to_vec();
    assert_eq!(keys(ours), keys(foreign));
    assert!(keys(ours).contains(&key(Field::Path, b"/etc/a b")));
    assert!(keys("{\"path\":\"/caf\u{10ffe9}\"}").contains(&key(Field::Path, b"/caf\xe9")));
}

#[test]
fn frames_beyond_the_most_pairs_are_in_every_query() {
    let frame = |pid: u32| (format!("{{\"pid\":{pid},\"loginuid\":1,\"session\":2}}\n"), 0);
    let mut builder = Builder::new();
    builder.max_pairs = 8;
    let file = file_with(&index_of(&mut builder, &[frame(1), frame(2), frame(3), frame(1)]));
    let read = reading(&file);
    let index = Index::open(&read, file.len() as u64).unwrap().unwrap();
    assert!(index.frames_without_keys(&read).unwrap().iter().eq([2, 3]));
    assert!(index.frames_with(&read, key(Field::Pid, b"1")).unwrap().iter().eq([0]));
}

#[test]
fn an_index_that_is_too_long_goes_without_keys_or_is_left_out() {
    let frames = [("{\"pid\":7,\"path\":\"/etc/x\"}\n".to_owned(), 3), (String::new(), 9)];
    let mut builder = Builder::new();
    let whole = index_of(&mut builder, &frames);
    builder.max_len = whole.len() - 1;
    let file = file_with(&index_of(&mut builder, &frames));
    assert!(file.len() < file_with(&whole).len());
    let read = reading(&file);
    let index = Index::open(&read, file.len() as u64).unwrap().unwrap();
    assert!(index.frames_without_keys(&read).unwrap().iter().eq(0..2));
    assert_eq!(index.frame_table(&read).unwrap().frames(|_| true), Runs::before(2));
    builder.max_len = 80;
    assert!(index_of(&mut builder, &frames).is_empty());
}

#[test]
fn a_builder_begins_again_after_each_segment() {
    let frames = [("{\"pid\":7,\"path\":\"/etc/x\"}\n".to_owned(), 3), (String::new(), 9)];
    let mut builder = Builder::new();
    let first = index_of(&mut builder, &frames);
    assert_eq!(index_of(&mut builder, &frames), first);
    assert_eq!(index_of(&mut builder, &[]), index_of(&mut Builder::new(), &[]));
}

#[test]
fn many_keys_fill_several_blocks() {
    let frames: Vec<(String, i64)> = (0..40)
        .map(|frame| {
            let line = |pid| format!("{{\"pid\":{pid},\"path\":\"/tmp/{pid}\"}}\n");
            ((frame * 100..frame * 100 + 110).map(line).collect(), frame)
        })
        .collect();
    let file = file_with(&index_of(&mut Builder::new(), &frames));
    let read = reading(&file);
    let index = Index::open(&read, file.len() as u64).unwrap().unwrap();
    for pid in 0..4010_u32 {
        let found = index.frames_with(&read, key(Field::Pid, pid.to_string().as_bytes())).unwrap();
        let frame = (pid / 100).min(39);
        assert!(found.iter().any(|found| found == frame), "{pid}");
        assert!(found.iter().count() <= 3, "{pid}");
    }
    let everywhere = index.frames_with(&read, key_below(Field::Path, b"/tmp/").unwrap()).unwrap();
    assert!(everywhere.iter().eq(0..40));
}
