//! Two verifiers, one of which knows only docs/format.md, say the same of every store, whatever happened to it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::{Domain, OriginKey};
use recorder::chain::once::OneTimeKey;
use recorder::chain::proof::{inclusion, root};
use recorder::chain::tree::leaf_hash;
use recorder::store::StoreError;
use recorder::store::format::{FRAME_HEADER, SegmentHeader};
use recorder::store::payload::Packer;
use recorder::store::writer::{Options, Writer};
use recorder::verify::VerifyOptions;
use recorder::verify::event::EventProof;
use recorder::verify::finding::Kind;
use scratch::forge::Forgery;
use scratch::stranger;
use scratch::{EPOCH, SECOND, Scratch, append, base64, edit, frames, options, segments};
use serde_json::json;

const TAMPERED: u8 = 2;
const INCOMPLETE: u8 = 3;
const UNANCHORED: u8 = 5;
const COULD_NOT: u8 = 70;

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

/// The same of a log that fills tiles meanwhile, `tile/` at last or at first.
fn copied_live_with_tiles(tiles_last: bool) -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(20_000);
    let mut record = |frames: i64| {
        append(&mut writer, 1).unwrap();
        (0..frames).for_each(|beat| drop(writer.heartbeat(EPOCH + beat, 0).unwrap()));
    };
    record(300);
    let copy = Scratch::new();
    std::fs::create_dir_all(copy.store().join("tile/0")).unwrap();
    let mut take = |path: &Path| {
        std::fs::copy(path, copy.store().join(path.strip_prefix(scratch.store()).unwrap())).unwrap();
        record(100);
    };
    let tiles =
        || std::fs::read_dir(scratch.store().join("tile/0")).unwrap().map(|tile| tile.unwrap().path());
    if !tiles_last {
        tiles().for_each(|tile| take(&tile));
    }
    segments(&scratch.store()).iter().for_each(|segment| take(segment));
    if tiles_last {
        tiles().for_each(|tile| take(&tile));
    }
    take(&scratch.store().join("origin.pub"));
    let wanted = if tiles_last { Kind::TileAhead } else { Kind::NoEnd };
    assert!(copy.verify().has(wanted), "{:#?}", copy.verify().findings);
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
    ("copied live, tiles first", || copied_live_with_tiles(false), UNANCHORED),
    ("copied live, tiles last", || copied_live_with_tiles(true), UNANCHORED),
];

/// What a case that fails prints: only how the verifiers differ.
fn agree(scratch: &Scratch) -> Result<(), TestCaseError> {
    for headers_only in [false, true] {
        let options = VerifyOptions { headers_only, ..VerifyOptions::default() };
        stranger::compare(scratch, &options).map_err(TestCaseError::fail)?;
    }
    Ok(())
}

#[test]
fn both_say_the_same_of_what_a_recorder_leaves() {
    if !stranger::can_run() {
        return;
    }
    for (name, make, expected) in STORES {
        let scratch = make();
        for headers_only in [false, true] {
            let options = VerifyOptions { headers_only, ..VerifyOptions::default() };
            let code = stranger::compare(&scratch, &options).unwrap_or_else(|how| panic!("{name}: {how}"));
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
    if !stranger::can_run() {
        return;
    }
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
        agree(&scratch)
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

#[test]
fn both_say_the_same_of_a_torn_end_and_of_what_comes_after() {
    if !stranger::can_run() {
        return;
    }
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
        agree(&scratch)?;
        if again && try_again(&scratch, 1 << 20).is_ok() {
            agree(&scratch)?;
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
    if !stranger::can_run() {
        return;
    }
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
        agree(&scratch)
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

/// `y` = 1: whatever is signed, the base point and 1 are a signature by this key where small order is not refused.
const NEUTRAL: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 1;
    key
};
/// The same point, written as p + 1.
const NOT_CANONICAL: [u8; 32] = {
    let mut key = [0xFF; 32];
    (key[0], key[31]) = (0xEE, 0x7F);
    key
};
const ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Gives frame `index` another signature and a checksum that fits.
fn set_signature(path: &Path, index: usize, change: impl FnOnce(&mut [u8])) {
    let (offset, _) = frames(path)[index];
    edit(path, |bytes| {
        change(&mut bytes[offset + 200..offset + 264]);
        let checksum = crc32c::crc32c(&bytes[offset..offset + 264]);
        bytes[offset + 264..offset + 268].copy_from_slice(&checksum.to_le_bytes());
    });
}

#[test]
fn both_refuse_keys_and_signatures_that_lax_libraries_let_pass() {
    if !stranger::can_run() {
        return;
    }
    let scratch = killed_alone();
    let (path, key) = (last(&scratch), scratch.key());
    let announces = frames(&path)[0].0 + 168;
    for weak in [NEUTRAL, NOT_CANONICAL] {
        let case = scratch.copy();
        edit(&last(&case), |bytes| bytes[announces..announces + 32].copy_from_slice(&weak));
        sign_anew(&last(&case), &headers(&path), &key, announces..announces + 32);
        set_signature(&last(&case), 1, |signature| {
            signature.fill(0x66);
            signature[0] = 0x58;
            signature[32..].copy_from_slice(&NEUTRAL);
        });
        assert_eq!(stranger::compare(&case, &VerifyOptions::default()), Ok(TAMPERED));
    }
    // The same signature once more: its scalar and the order of the group.
    let case = scratch.copy();
    set_signature(&last(&case), 1, |signature| {
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
    });
    assert_eq!(stranger::compare(&case, &VerifyOptions::default()), Ok(TAMPERED));
}

/// One segment, not ended.
fn killed_alone() -> Scratch {
    let scratch = Scratch::new();
    drop(start_again(&scratch, 1 << 20));
    scratch
}

fn zstd_with(lines: &[u8], configure: impl FnOnce(&mut zstd::Encoder<'_, Vec<u8>>)) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    configure(&mut encoder);
    encoder.write_all(lines).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn both_say_the_same_of_every_form_of_a_payload() {
    if !stranger::can_run() {
        return;
    }
    let scratch = killed_alone();
    let path = last(&scratch);
    let mut bodies: Vec<(&str, Vec<u8>, &[u8])> = Vec::new();
    for lines in
        [&b"{}\n{}\n"[..], b"\n\n", b"{}\r\nx\n", b"{}\n{}", b"{}\n{}\n{}\n", b"{}{}\n", b"\0\n\xFF\n"]
    {
        bodies.push(("as a recorder packs it", Packer::new(1).unwrap().pack(lines).unwrap().to_vec(), lines));
    }
    let lines = b"{\"seq\":2}\n{\"seq\":3}\n";
    let good = Packer::new(1).unwrap().pack(lines).unwrap().to_vec();
    let sized = |encoder: &mut zstd::Encoder<'_, Vec<u8>>| {
        encoder.set_pledged_src_size(Some(lines.len() as u64)).unwrap();
    };
    bodies.push(("no size, no checksum", zstd_with(lines, |_| {}), lines));
    bodies.push(("size, no checksum", zstd_with(lines, sized), lines));
    bodies.push(("no size, checksum", zstd_with(lines, |e| e.include_checksum(true).unwrap()), lines));
    bodies.push((
        "a block of its own kind",
        zstd_with(&[b'\n'; 900], |e| {
            e.include_checksum(true).unwrap();
            e.set_pledged_src_size(Some(900)).unwrap();
        }),
        &[b'\n'; 900],
    ));
    bodies.push(("twice", [good.clone(), good.clone()].concat(), lines));
    bodies.push((
        "behind what zstd steps over",
        [&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0], &good[..]].concat(),
        lines,
    ));
    bodies.push(("cut", good[..good.len() - 1].to_vec(), lines));
    for at in 4..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            bodies.push(("a bit", changed, lines));
        }
    }
    let mut differ = Vec::new();
    for (name, payload, lines) in bodies {
        let case = scratch.copy();
        let mut forgery = Forgery::of(&path);
        let (header, place) = &mut forgery.frames[1];
        header.raw_len = u32::try_from(lines.len()).unwrap();
        let hashes: Vec<_> =
            lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n').map(leaf_hash).collect();
        header.inner_root = root(&hashes, hashes.len() as u64).unwrap();
        *place = payload.clone();
        forgery.write(&last(&case), &scratch.key(), None, true);
        if let Err(how) = stranger::compare(&case, &VerifyOptions::default()) {
            differ.push(format!("{name} {payload:02x?} {}: {how}", String::from_utf8_lossy(lines)));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// A text with a few changes of the kinds that parsers differ in.
fn changed_text() -> impl Strategy<Value = Vec<(f64, bool, &'static str)>> {
    let pieces = prop::sample::select(vec![
        "\n",
        "\r",
        " ",
        "0",
        "1",
        "+",
        "/",
        "=",
        "A",
        "B",
        "\u{2014} ",
        "\u{2014} x AAAAAGhpZGU=\n",
        "\t",
        "\0",
        "\x7f",
        "\u{85}",
        "\u{a0}",
        "\u{660}",
        "extension\n",
        "\n\n",
        "",
    ]);
    prop::collection::vec((0.0..1.0f64, any::<bool>(), pieces), 0..4)
}

fn apply(text: &str, changes: &[(f64, bool, &str)]) -> String {
    let mut text = text.to_owned();
    for (at, replace, piece) in changes {
        let mut at = place(*at, text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        if *replace && let Some(old) = text[at..].chars().next() {
            text.replace_range(at..at + old.len_utf8(), piece);
        } else {
            text.insert_str(at, piece);
        }
    }
    text
}

#[test]
fn both_say_the_same_of_a_checkpoint_that_somebody_kept() {
    if !stranger::can_run() {
        return;
    }
    let scratch = killed_alone();
    let leaves: Vec<_> = frames(&last(&scratch)).iter().map(|(_, frame)| frame.leaf_hash()).collect();
    let key = scratch.key();
    let notes: Vec<String> = (0..4)
        .map(|size| {
            Checkpoint::sign(&key, size, root(&leaves, size.min(3)).unwrap_or([0; 32])).unwrap().to_string()
        })
        .collect();
    let kept = scratch.state().join("kept");
    // Some are signed once more as they are: what the origin itself might write.
    let outcome = runner(300).run(&(0..4usize, changed_text(), any::<bool>()), |(size, changes, sign)| {
        let mut text = notes[size].clone();
        if sign {
            let (head, _) = text.split_once("\n\n").unwrap();
            let head = apply(&format!("{head}\n"), &changes);
            let signature = [&key.public().id()[..4], &key.sign(Domain::Note, head.as_bytes())].concat();
            let encoded = base64(&signature);
            text = format!("{head}\n\u{2014} {} {encoded}\n", key.public().name());
        } else {
            text = apply(&text, &changes);
        }
        std::fs::write(&kept, &text).unwrap();
        let code = Checkpoint::parse(text.as_bytes()).map_or(COULD_NOT, |checkpoint| {
            let options = VerifyOptions { checkpoint: Some(checkpoint), ..VerifyOptions::default() };
            scratch.verify_with(&options).verdict.exit_code()
        });
        let theirs = stranger::ask(&json!({"store": scratch.store(), "checkpoint": kept}));
        prop_assert_eq!(&theirs["exit_code"], code, "{:?} {}", text, theirs);
        Ok(())
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

#[test]
fn both_say_the_same_of_a_proof() {
    if !stranger::can_run() {
        return;
    }
    let scratch = killed_alone();
    let (path, key) = (last(&scratch), scratch.key());
    let leaves: Vec<_> = frames(&path).iter().map(|(_, frame)| frame.leaf_hash()).collect();
    let checkpoint = Checkpoint::sign(&key, 3, root(&leaves, 3).unwrap()).unwrap();
    let lines: Vec<String> =
        scratch::lines(&scratch.store()).iter().map(|line| format!("{line}\n")).collect();
    let (_, header) = frames(&path)[1];
    let way = inclusion(&leaves, 1, 3).unwrap();
    let proof =
        EventProof::make(&header, lines[2..4].concat().as_bytes(), 1, way, checkpoint).unwrap().to_string();
    let (file, origin) = (scratch.state().join("proof"), key.public().to_string());
    let extra = proof.lines().nth(1).unwrap();
    let letters = prop::sample::select("ABghij019+/=".chars().collect::<Vec<_>>());
    let cases = (changed_text(), 0.0..1.0f64, letters);
    let outcome = runner(300).run(&cases, |(changes, at, letter)| {
        let at = "extra ".len() + place(at, extra.len());
        let mut changed = extra.to_owned();
        if at < changed.len() {
            changed.replace_range(at..=at, letter.encode_utf8(&mut [0; 4]));
        }
        let text = apply(&proof.replace(extra, &changed), &changes);
        std::fs::write(&file, &text).unwrap();
        let code = EventProof::parse(text.as_bytes())
            .map_or(INCOMPLETE, |proof| proof.verify(key.public()).map_or(TAMPERED, |_| UNANCHORED));
        let theirs = stranger::ask(&json!({"proof": file, "key": origin}));
        prop_assert_eq!(&theirs["exit_code"], code, "{:?} {}", text, theirs);
        Ok(())
    });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}
