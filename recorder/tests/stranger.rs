//! Two verifiers, one of which knows only docs/format.md, say the same of every store, whatever happened to it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use recorder::chain::key::{Domain, OriginKey};
use recorder::chain::once::OneTimeKey;
use recorder::chain::tree::leaf_hash;
use recorder::store::StoreError;
use recorder::store::format::{FRAME_HEADER, SegmentHeader};
use recorder::store::writer::{Options, Writer};
use scratch::stranger::Stranger;
use scratch::{EPOCH, SECOND, Scratch, append, edit, frames, options, segments};

const UNANCHORED: u8 = 5;
const TAMPERED: u8 = 2;

/// Opens the store again, as the next start of the recorder does, and writes some frames.
fn start_again(scratch: &Scratch, segment_bytes: u64) -> Writer {
    try_again(scratch, segment_bytes).unwrap()
}

/// The same where the recorder may refuse the store.
fn try_again(scratch: &Scratch, segment_bytes: u64) -> Result<Writer, StoreError> {
    let options = Options { segment_bytes, ..options() };
    let mut writer = Writer::open(&scratch.store(), &scratch.state(), options)?.0;
    for _ in 0..3 {
        append(&mut writer, 2)?;
    }
    Ok(writer)
}

fn last(scratch: &Scratch) -> PathBuf {
    segments(&scratch.store()).pop().unwrap()
}

/// Cuts the last segment at `keep` bytes.
fn cut(scratch: &Scratch, keep: usize) {
    edit(&last(scratch), |bytes| bytes.truncate(keep));
}

/// Stopped in order, with a heartbeat.
fn stopped() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = start_again(&scratch, 1 << 20);
    writer.heartbeat(EPOCH + 50 * SECOND, 3).unwrap();
    writer.close(EPOCH + 60 * SECOND).unwrap();
    scratch
}

/// Killed, with several segments.
fn killed() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(2_500);
    while segments(&scratch.store()).len() < 3 {
        append(&mut writer, 3).unwrap();
    }
    drop(writer);
    drop(start_again(&scratch, 2_500));
    scratch
}

/// Torn in a frame, then torn in its next header, then empty, then stopped, then killed: a start after each.
fn many_starts() -> Scratch {
    let scratch = Scratch::new();
    drop(start_again(&scratch, 1 << 20));
    let (offset, _) = frames(&last(&scratch))[2];
    cut(&scratch, offset + 300);
    drop(scratch.writer(1 << 20));
    cut(&scratch, 100);
    drop(scratch.writer(1 << 20));
    cut(&scratch, 0);
    start_again(&scratch, 2_500).close(EPOCH + 100 * SECOND).unwrap();
    drop(start_again(&scratch, 1 << 20));
    scratch
}

/// A segment without a frame, and after it one whose tail has blocks that were never written.
fn holes() -> Scratch {
    let scratch = Scratch::new();
    drop(scratch.writer(1 << 20));
    drop(start_again(&scratch, 1 << 20));
    let (offset, _) = frames(&last(&scratch))[2];
    let border = (offset + FRAME_HEADER).next_multiple_of(512);
    edit(&last(&scratch), |bytes| {
        bytes.truncate(border.min(bytes.len()));
        bytes.resize(border + 700, 0);
    });
    drop(start_again(&scratch, 1 << 20));
    edit(&last(&scratch), |bytes| bytes.resize(bytes.len().next_multiple_of(512) + 600, 0));
    scratch
}

/// The last segment was damaged; the next start said so and went on.
fn damaged() -> Scratch {
    let scratch = killed();
    let path = last(&scratch);
    let (offset, _) = frames(&path)[1];
    edit(&path, |bytes| bytes[offset + 20] ^= 1);
    drop(start_again(&scratch, 1 << 20));
    scratch
}

/// Enough frames for a tile, which is there.
fn with_tiles() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(40_000);
    for _ in 0..300 {
        append(&mut writer, 1).unwrap();
    }
    writer.close(EPOCH + 400 * SECOND).unwrap();
    assert!(scratch.store().join("tile/0/000").exists());
    scratch
}

/// A copy that was made while the recorder wrote: the names first, then file by file.
fn copied_live() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(2_500);
    for _ in 0..5 {
        append(&mut writer, 3).unwrap();
    }
    let copy = Scratch::new();
    std::fs::create_dir_all(copy.store()).unwrap();
    for path in segments(&scratch.store()).into_iter().chain([scratch.store().join("origin.pub")]) {
        std::fs::copy(&path, copy.store().join(path.file_name().unwrap())).unwrap();
        append(&mut writer, 3).unwrap();
        append(&mut writer, 3).unwrap();
    }
    copy
}

type Make = fn() -> Scratch;
const STORES: &[(&str, Make, u8)] = &[
    ("stopped", stopped, UNANCHORED),
    ("killed", killed, UNANCHORED),
    ("many starts", many_starts, UNANCHORED),
    ("holes", holes, UNANCHORED),
    ("damaged", damaged, TAMPERED),
    ("with tiles", with_tiles, UNANCHORED),
    ("copied live", copied_live, UNANCHORED),
];

/// What a case that fails prints: only how the verifiers differ.
fn agree(stranger: &RefCell<Stranger>, scratch: &Scratch) -> Result<(), TestCaseError> {
    stranger.borrow_mut().compare(scratch, None).map(drop).map_err(TestCaseError::fail)
}

#[test]
fn both_say_the_same_of_what_a_recorder_leaves() {
    for headers_only in [false, true] {
        let Some(mut stranger) = Stranger::start(headers_only) else { return };
        for (name, make, expected) in STORES {
            let code = stranger.compare(&make(), None).unwrap_or_else(|how| panic!("{name}: {how}"));
            assert_eq!(code, *expected, "{name}, headers only: {headers_only}");
        }
    }
}

fn runner(cases: u32) -> TestRunner {
    let default = Config::default();
    let cases = if default.cases == 256 { cases } else { default.cases };
    TestRunner::new(Config { cases, failure_persistence: None, ..default })
}

fn place(at: f64, length: usize) -> usize {
    ((at * length as f64) as usize).min(length.saturating_sub(1))
}

#[test]
fn both_say_the_same_of_changed_bytes() {
    let Some(stranger) = Stranger::start(false) else { return };
    let stranger = RefCell::new(stranger);
    let stores = [stopped(), killed(), many_starts(), holes(), damaged()];
    let bytes = prop::collection::vec(any::<u8>(), 1..40);
    let cases = (0..stores.len(), 0.0..1.0f64, 0.0..1.0f64, bytes, any::<bool>());
    let outcome = runner(150).run(&cases, |(store, file, at, bytes, insert)| {
        let scratch = stores[store].copy();
        let paths = segments(&scratch.store());
        edit(&paths[place(file, paths.len())], |old| {
            let at = place(at, old.len());
            let end = if insert { at } else { (at + bytes.len()).min(old.len()) };
            drop(old.splice(at..end, bytes.iter().copied()));
        });
        agree(&stranger, &scratch)
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

#[test]
fn both_say_the_same_of_a_torn_end_and_of_what_comes_after() {
    let Some(stranger) = Stranger::start(false) else { return };
    let stranger = RefCell::new(stranger);
    let cases =
        (0.0..1.0f64, 0..6u8, 0..1_600usize, prop::collection::vec(any::<u8>(), 1..30), any::<bool>());
    let outcome = runner(150).run(&cases, |(at, how, zeros, junk, again)| {
        let scratch = Scratch::new();
        drop(start_again(&scratch, 1 << 20));
        edit(&last(&scratch), |bytes| {
            bytes.truncate(place(at, bytes.len() + 1));
            match how {
                0 | 1 => {}
                2 => bytes.resize(bytes.len() + zeros, 0),
                3 => bytes.resize(bytes.len().next_multiple_of(512) + zeros % 40, 0),
                4 => {
                    bytes.resize(bytes.len().next_multiple_of(512) + zeros, 0);
                    bytes.extend(&junk);
                }
                _ => bytes.extend(&junk),
            }
        });
        agree(&stranger, &scratch)?;
        if again && try_again(&scratch, 1 << 20).is_ok() {
            agree(&stranger, &scratch)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

/// Where the signed bytes of each header of a segment are, and where what belongs to it ends.
fn headers(path: &Path) -> Vec<(Range<usize>, usize)> {
    let bytes = std::fs::read(path).unwrap();
    let size = SegmentHeader::decode(&bytes).unwrap().encoded_len();
    let mut found = vec![(8..size - 68, size)];
    for (offset, header) in frames(path) {
        let end = offset + usize::try_from(header.frame_len()).unwrap();
        found.push((offset + 8..offset + 200, end));
    }
    found
}

/// Signs every header of a segment anew with the origin key and new one-time keys, as its own recorder could have;
/// what `change` covers stays as it is.
fn sign_anew(path: &Path, headers: &[(Range<usize>, usize)], origin: &OriginKey, change: Range<usize>) {
    edit(path, |bytes| {
        let mut key: Option<OneTimeKey> = None;
        let mut link: Option<[u8; 32]> = None;
        for (index, (signed, _)) in headers.iter().enumerate() {
            let (link_at, key_at) =
                if index == 0 { (192, 224) } else { (signed.start + 64, signed.start + 160) };
            let is_stop = index > 0 && bytes[signed.start + 5] == 5 && bytes[signed.start + 6] == 4;
            let next = OneTimeKey::generate().unwrap();
            let covers = |at: usize| change.start < at + 32 && at < change.end;
            if let Some(link) = link.filter(|_| !covers(link_at)) {
                bytes[link_at..link_at + 32].copy_from_slice(&link);
            }
            if !is_stop && !covers(key_at) {
                bytes[key_at..key_at + 32].copy_from_slice(&next.public());
            }
            let signature = match key.take() {
                None => origin.sign(Domain::Segment, &bytes[signed.clone()]),
                Some(key) => key.sign(Domain::Frame, &bytes[signed.clone()]),
            };
            bytes[signed.end..signed.end + 64].copy_from_slice(&signature);
            let begin = signed.start - 8;
            let checksum = crc32c::crc32c(&bytes[begin..signed.end + 64]);
            bytes[signed.end + 64..signed.end + 68].copy_from_slice(&checksum.to_le_bytes());
            link = Some(leaf_hash(&bytes[signed.clone()]));
            key = Some(next);
        }
    });
}

#[test]
fn both_say_the_same_of_headers_that_their_own_recorder_could_have_written() {
    let Some(stranger) = Stranger::start(false) else { return };
    let stranger = RefCell::new(stranger);
    let stores = [stopped(), many_starts(), holes()];
    let all: Vec<_> = stores.iter().map(|scratch| headers(&last(scratch))).collect();
    let cases = (0..stores.len(), 0.0..1.0f64, 0.0..1.0f64, 1..9usize, 0..4u8, any::<u8>());
    let outcome = runner(200).run(&cases, |(store, header, at, length, how, byte)| {
        let scratch = stores[store].copy();
        let (path, headers) = (last(&scratch), &all[store]);
        let (signed, _) = &headers[place(header, headers.len())];
        let start = signed.start + place(at, signed.len());
        let change = start..(start + length).min(signed.end);
        edit(&path, |bytes| {
            for (index, old) in bytes[change.clone()].iter_mut().enumerate() {
                *old = match (how, index) {
                    (0, _) => byte,
                    (1, 0) => old.wrapping_add(1),
                    (2, 0) => old.wrapping_sub(1),
                    (3, 0) => *old ^ (1 << (byte % 8)),
                    _ => *old,
                };
            }
        });
        sign_anew(&path, headers, &stores[store].key(), change);
        agree(&stranger, &scratch)
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}
