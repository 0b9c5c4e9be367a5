//! One way to cheat per row, and what `verify` must say about it. Nothing local may ever pass as verified.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use recorder::chain::key::OriginPublic;
use recorder::store::format::{FrameHeader, Seal, SegmentHeader, segment_flag};
use recorder::verify::VerifyOptions;
use recorder::verify::finding::Kind;
use recorder::verify::report::Verdict::{self, Incomplete, Tampered, Unanchored};
use scratch::forge::Forgery;
use scratch::{EPOCH, SECOND, Scratch, append, edit, frames, segments};

/// Three segments of several frames, each ended in order.
fn victim() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(3_000);
    while segments(&scratch.store()).len() < 4 {
        append(&mut writer, 3).unwrap();
    }
    drop(writer);
    let last = segments(&scratch.store()).pop().unwrap();
    std::fs::remove_file(last).unwrap();
    scratch
}

/// Three segments of several frames; the newest is not ended, as after a kill.
fn running() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(3_000);
    while segments(&scratch.store()).len() < 3 {
        append(&mut writer, 3).unwrap();
    }
    append(&mut writer, 3).unwrap();
    append(&mut writer, 3).unwrap();
    drop(writer);
    scratch
}

struct Row {
    cheat: &'static str,
    store: fn() -> Scratch,
    act: fn(&Scratch, &[PathBuf]),
    verdict: Verdict,
    finds: Option<Kind>,
}

const fn row(
    cheat: &'static str,
    store: fn() -> Scratch,
    act: fn(&Scratch, &[PathBuf]),
    verdict: Verdict,
    finds: Option<Kind>,
) -> Row {
    Row { cheat, store, act, verdict, finds }
}

fn flip(path: &Path, offset: usize) {
    edit(path, |bytes| bytes[offset] ^= 0x10);
}

/// Offset of frame `index` of a segment and of the one behind it.
fn span(path: &Path, index: usize) -> std::ops::Range<usize> {
    let (offset, header) = frames(path)[index];
    offset..offset + usize::try_from(header.frame_len()).unwrap()
}

/// One segment of several frames, not ended: all of it since one start of the recorder.
fn alone() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    for _ in 0..4 {
        append(&mut writer, 3).unwrap();
    }
    drop(writer);
    scratch
}

/// The same, ended in order.
fn ended() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    for _ in 0..4 {
        append(&mut writer, 3).unwrap();
    }
    writer.close(EPOCH + 60 * SECOND).unwrap();
    scratch
}

/// Changes the index in the seal of a segment.
fn set_index(forgery: &mut Forgery, change: impl FnOnce(&mut Vec<u8>)) {
    let (_, payload) = forgery.frames.last_mut().unwrap();
    let seal = Seal::decode(payload).unwrap();
    let (checkpoint, mut index) = (seal.checkpoint.to_vec(), seal.index.to_vec());
    change(&mut index);
    Seal { checkpoint: &checkpoint, index: &index }.encode(payload).unwrap();
}

/// Changes a segment as somebody can who has the origin key and makes new one-time keys from frame `from` on.
fn forge(scratch: &Scratch, path: &Path, from: Option<usize>, change: impl FnOnce(&mut Forgery)) {
    let mut forgery = Forgery::of(path);
    change(&mut forgery);
    forgery.write(path, &scratch.key(), from, true);
}

/// Changes a segment that holds the lies of its own recorder: every signature is right.
fn lie(scratch: &Scratch, path: &Path, change: impl FnOnce(&mut Forgery)) {
    forge(scratch, path, None, change);
}

fn packed(lines: &[u8]) -> Vec<u8> {
    recorder::store::payload::Packer::new(1).unwrap().pack(lines).unwrap().to_vec()
}

const HIDDEN: &[u8] = &[0x57, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, b'h', b'i', b'd', b'e'];

static BYTES: &[Row] = &[
    row("nothing at all", victim, |_, _| {}, Unanchored, None),
    row("nothing, recorder killed", running, |_, _| {}, Unanchored, Some(Kind::NoEnd)),
    row("segment: prefix", victim, |_, s| flip(&s[1], 0), Tampered, Some(Kind::SegmentHeader)),
    row("segment: magic", victim, |_, s| flip(&s[1], 9), Tampered, Some(Kind::SegmentHeader)),
    row("segment: field", victim, |_, s| flip(&s[1], 40), Tampered, Some(Kind::SegmentHeader)),
    row("segment: frontier", victim, |_, s| flip(&s[1], 320), Tampered, Some(Kind::SegmentHeader)),
    row("frame: prefix", victim, |_, s| flip(&s[1], span(&s[1], 1).start), Tampered, Some(Kind::FrameHeader)),
    row(
        "frame: field",
        victim,
        |_, s| flip(&s[1], span(&s[1], 1).start + 50),
        Tampered,
        Some(Kind::FrameHeader),
    ),
    row(
        "frame: signature",
        victim,
        |_, s| flip(&s[1], span(&s[1], 1).start + 210),
        Tampered,
        Some(Kind::FrameHeader),
    ),
    row(
        "frame: checksum",
        victim,
        |_, s| flip(&s[1], span(&s[1], 1).start + 265),
        Tampered,
        Some(Kind::FrameHeader),
    ),
    row("payload", victim, |_, s| flip(&s[1], span(&s[1], 1).start + 280), Tampered, Some(Kind::PayloadHash)),
    row(
        "payload of the last frame",
        running,
        |_, s| flip(&s[2], span(&s[2], 1).end - 1),
        Tampered,
        Some(Kind::PayloadHash),
    ),
    row(
        "header of the last frame",
        running,
        |_, s| flip(&s[2], span(&s[2], 1).start + 30),
        Tampered,
        Some(Kind::FrameHeader),
    ),
    row(
        "public key",
        victim,
        |s, _| flip(&s.store().join("origin.pub"), 3),
        Tampered,
        Some(Kind::OriginReplaced),
    ),
    row(
        "public key taken away",
        victim,
        |s, _| std::fs::remove_file(s.store().join("origin.pub")).unwrap(),
        Tampered,
        Some(Kind::OriginMissing),
    ),
];

static FRAMES: &[Row] = &[
    row(
        "take a frame out",
        victim,
        |_, s| edit(&s[1], |b| drop(b.drain(span(&s[1], 1)))),
        Tampered,
        Some(Kind::FrameMissing),
    ),
    row(
        "take the first frame out",
        victim,
        |_, s| edit(&s[1], |b| drop(b.drain(span(&s[1], 0)))),
        Tampered,
        Some(Kind::FrameMissing),
    ),
    row(
        "swap two frames",
        victim,
        |_, s| {
            edit(&s[1], |b| {
                let (first, second) = (span(&s[1], 1), span(&s[1], 2));
                b[first.start..second.end].rotate_left(first.len());
            })
        },
        Tampered,
        Some(Kind::FrameRepeated),
    ),
    row(
        "double the last frame",
        running,
        |_, s| {
            edit(&s[2], |b| {
                b.extend_from_within(span(&s[2], 1));
            })
        },
        Tampered,
        Some(Kind::FrameRepeated),
    ),
    row(
        "cut the log at a frame border",
        running,
        |_, s| edit(&s[2], |b| b.truncate(span(&s[2], 1).start)),
        Unanchored,
        Some(Kind::NoEnd),
    ),
    row(
        "cut the log behind a segment header",
        running,
        |_, s| edit(&s[2], |b| b.truncate(span(&s[2], 0).start)),
        Unanchored,
        Some(Kind::NoEnd),
    ),
    row(
        "cut a middle segment at a frame border",
        victim,
        |_, s| edit(&s[1], |b| b.truncate(span(&s[1], 2).start)),
        Tampered,
        Some(Kind::SegmentChanged),
    ),
    row(
        "cut the log in a frame header",
        running,
        |_, s| edit(&s[2], |b| b.truncate(span(&s[2], 1).start + 100)),
        Unanchored,
        Some(Kind::TornTail),
    ),
    row(
        "cut the log in a payload",
        running,
        |_, s| edit(&s[2], |b| b.truncate(span(&s[2], 1).end - 1)),
        Unanchored,
        Some(Kind::TornTail),
    ),
    row(
        "cut the log in a segment header",
        running,
        |_, s| edit(&s[2], |b| b.truncate(200)),
        Unanchored,
        Some(Kind::TornTail),
    ),
    row(
        "cut a middle segment in a frame",
        victim,
        |_, s| edit(&s[1], |b| b.truncate(span(&s[1], 2).start + 300)),
        Tampered,
        Some(Kind::SegmentCut),
    ),
    row(
        "append zeros to an open log",
        running,
        |_, s| edit(&s[2], |b| b.extend([0; 700])),
        Unanchored,
        Some(Kind::TornTail),
    ),
    row(
        "append zeros to an ended log",
        victim,
        |_, s| edit(&s[2], |b| b.extend([0; 700])),
        Tampered,
        Some(Kind::BytesAfterEnd),
    ),
    row(
        "append zeros to a middle segment",
        victim,
        |_, s| edit(&s[1], |b| b.extend([0; 700])),
        Tampered,
        Some(Kind::BytesAfterEnd),
    ),
    row(
        "append more zeros than a frame can have",
        running,
        |_, s| edit(&s[2], |b| b.extend(vec![0; 17 << 20])),
        Tampered,
        Some(Kind::UncoveredBytes),
    ),
    row(
        "append junk",
        running,
        |_, s| edit(&s[2], |b| b.extend(b"junk")),
        Tampered,
        Some(Kind::UncoveredBytes),
    ),
    row(
        "append a hidden skippable frame",
        running,
        |_, s| edit(&s[2], |b| b.extend(HIDDEN)),
        Tampered,
        Some(Kind::UncoveredBytes),
    ),
    row(
        "append plain zstd",
        running,
        |_, s| edit(&s[2], |b| b.extend(packed(b"{}\n"))),
        Tampered,
        Some(Kind::UncoveredBytes),
    ),
    row(
        "hide a skippable frame between frames",
        running,
        |_, s| {
            edit(&s[2], |b| {
                let at = span(&s[2], 1).start;
                b.splice(at..at, HIDDEN.iter().copied());
            })
        },
        Tampered,
        Some(Kind::UncoveredBytes),
    ),
];

static FORGERY: &[Row] = &[
    row(
        "change a frame and sign it with a new key",
        alone,
        |s, p| forge(s, &p[0], Some(1), |f| f.frames[1].0.t_last += 1),
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "change the last frame and sign it with a new key",
        alone,
        |s, p| forge(s, &p[0], Some(3), |f| f.frames[3].0.t_last += 1),
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "change events and sign everything from there on with new keys",
        running,
        |s, p| forge(s, &p[2], Some(0), |f| f.set_lines(1, b"{}\n{}\n{}\n")),
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "cut the tail and go on with new keys",
        alone,
        |s, p| {
            forge(s, &p[0], Some(2), |f| {
                f.frames.truncate(3);
                f.set_lines(2, b"{}\n{}\n{}\n");
            });
        },
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "write a rotated segment anew with the origin key",
        running,
        |s, p| lie(s, &p[2], |f| f.header.created += 1),
        Tampered,
        Some(Kind::SegmentSignature),
    ),
    row(
        "call a rotated segment a start",
        running,
        |s, p| lie(s, &p[2], |f| f.header.flags |= segment_flag::EPOCH),
        Tampered,
        Some(Kind::EpochBroken),
    ),
    row(
        "a start that skips a number",
        alone,
        |s, p| {
            lie(s, &p[0], |f| {
                f.header.epoch += 1;
                f.frames.iter_mut().for_each(|(header, _)| header.epoch += 1);
            });
        },
        Tampered,
        Some(Kind::EpochBroken),
    ),
    row(
        "a frame that announces another key than it did",
        alone,
        |_, p| rewrite(&p[0], 1, |header| header.next_pk[0] ^= 1),
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "trailing bytes inside a payload",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[1].1.extend(HIDDEN)),
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "two zstd frames in a payload",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[1].1.extend(packed(b"{}\n"))),
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "a payload that does not unpack to its length",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[1].0.raw_len += 1),
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "a payload that would unpack to a hundred times what is allowed",
        alone,
        |s, p| {
            lie(s, &p[0], |f| {
                f.frames[1].1 = zstd::bulk::compress(&vec![b'\n'; 100 << 20], 1).unwrap();
                f.frames[1].0.raw_len = 1 << 20;
            });
        },
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "an index that hides the events of a path",
        ended,
        |s, p| lie(s, &p[0], |f| set_index(f, |index| index[100] ^= 1)),
        Tampered,
        Some(Kind::Index),
    ),
    row("no index", ended, |s, p| lie(s, &p[0], |f| set_index(f, Vec::clear)), Tampered, Some(Kind::Index)),
    row(
        "other events than the root has",
        alone,
        |s, p| lie(s, &p[0], |f| f.set_lines(1, b"{}\n{}\n{}\n")),
        Tampered,
        Some(Kind::InnerRoot),
    ),
    row(
        "fewer events than counted",
        alone,
        |s, p| lie(s, &p[0], |f| f.set_lines(1, b"{}\n{}\n")),
        Tampered,
        Some(Kind::EventCount),
    ),
    row(
        "renumber events",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[2].0.first_seq += 5),
        Tampered,
        Some(Kind::EventNumbers),
    ),
    row(
        "a frame of another start",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[2].0.epoch += 1),
        Tampered,
        Some(Kind::CounterBack),
    ),
    row(
        "a loss counter that goes back",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames[1].0.lost_total = 7),
        Tampered,
        Some(Kind::CounterBack),
    ),
    row(
        "leave a frame out and renumber nothing",
        alone,
        |s, p| lie(s, &p[0], |f| drop(f.frames.remove(1))),
        Tampered,
        Some(Kind::FrameMissing),
    ),
    row(
        "a chain that is not one",
        alone,
        |s, p| {
            let mut forgery = Forgery::of(&p[0]);
            forgery.frames[2].0.prev_link[0] ^= 1;
            forgery.write(&p[0], &s.key(), None, false);
        },
        Tampered,
        Some(Kind::ChainBroken),
    ),
    row(
        "go on behind a stop",
        stopped,
        |s, p| lie(s, &p[0], |f| f.frames.push(f.frames[0].clone())),
        Tampered,
        Some(Kind::BytesAfterEnd),
    ),
    row(
        "hide bytes in a seal",
        stopped,
        |s, p| lie(s, &p[0], |f| f.frames[2].1.extend(HIDDEN)),
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "take the seal off and leave the next segment",
        victim,
        |_, s| edit(&s[0], |b| b.truncate(span(&s[0], frames(&s[0]).len() - 1).start)),
        Tampered,
        Some(Kind::SegmentChanged),
    ),
    row(
        "another tree in a header",
        running,
        |s, p| {
            lie(s, &p[2], |f| {
                let (size, mut nodes) = (f.header.tree.size(), f.header.tree.nodes().to_vec());
                nodes[0][0] ^= 1;
                f.header.tree = recorder::chain::tree::Frontier::from_parts(size, nodes).unwrap();
            })
        },
        Tampered,
        Some(Kind::TreeRoot),
    ),
    row(
        "change a segment header without a key",
        running,
        |_, s| {
            let mut header = header_of(&s[2]);
            header.created += 1;
            edit(&s[2], |b| drop(b.splice(..header.encoded_len(), header.encode())));
        },
        Tampered,
        Some(Kind::SegmentSignature),
    ),
    row(
        "everything since a start, written anew with the origin key: only an anchor can tell",
        alone,
        |s, p| lie(s, &p[0], |f| f.frames.truncate(2)),
        Unanchored,
        Some(Kind::NoEnd),
    ),
];

/// One segment with a stop in order.
fn stopped() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    append(&mut writer, 3).unwrap();
    append(&mut writer, 3).unwrap();
    writer.close(EPOCH + 100 * SECOND).unwrap();
    scratch
}

/// Changes a frame's header and makes its checksum right.
fn rewrite(path: &Path, index: usize, change: impl FnOnce(&mut FrameHeader)) {
    let (offset, mut header) = frames(path)[index];
    change(&mut header);
    let mut encoded = Vec::new();
    header.encode(&mut encoded);
    edit(path, |bytes| drop(bytes.splice(offset..offset + encoded.len(), encoded)));
}

fn header_of(path: &Path) -> SegmentHeader {
    SegmentHeader::decode(&std::fs::read(path).unwrap()).unwrap()
}

fn swap(one: &Path, other: &Path) {
    let (first, second) = (std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    std::fs::write(one, second).unwrap();
    std::fs::write(other, first).unwrap();
}

static SEGMENTS: &[Row] = &[
    row(
        "take the first segment away",
        victim,
        |_, s| std::fs::remove_file(&s[0]).unwrap(),
        Tampered,
        Some(Kind::SegmentMissing),
    ),
    row(
        "take a middle segment away",
        victim,
        |_, s| std::fs::remove_file(&s[1]).unwrap(),
        Tampered,
        Some(Kind::SegmentMissing),
    ),
    row("take the last segment away", victim, |_, s| std::fs::remove_file(&s[2]).unwrap(), Unanchored, None),
    row(
        "take all segments away",
        victim,
        |_, s| s.iter().for_each(|path| std::fs::remove_file(path).unwrap()),
        Incomplete,
        Some(Kind::NothingFound),
    ),
    row("swap two segments", victim, |_, s| swap(&s[0], &s[1]), Tampered, Some(Kind::SegmentName)),
    row(
        "rename a segment",
        victim,
        |_, s| std::fs::rename(&s[1], s[1].with_file_name("seg-0000000001.krl.zst")).unwrap(),
        Tampered,
        Some(Kind::SegmentName),
    ),
    row(
        "hide the last segment under another name",
        victim,
        |_, s| std::fs::rename(&s[2], s[2].with_file_name("notes.txt")).unwrap(),
        Tampered,
        Some(Kind::SegmentName),
    ),
    row(
        "put a copy beside",
        victim,
        |_, s| {
            std::fs::copy(&s[1], s[1].with_file_name("seg-0000000099.krl.zst")).unwrap();
        },
        Tampered,
        Some(Kind::SegmentOrder),
    ),
    row("empty a middle segment", victim, |_, s| edit(&s[1], Vec::clear), Tampered, Some(Kind::SegmentCut)),
    row(
        "a segment of another host",
        victim,
        |_, s| {
            let other = victim();
            let name = s[1].file_name().unwrap();
            std::fs::copy(other.store().join(name), &s[1]).unwrap();
        },
        Tampered,
        Some(Kind::ForeignSegment),
    ),
    row(
        "a file of somebody else",
        victim,
        |s, _| std::fs::write(s.store().join("README"), "hello").unwrap(),
        Unanchored,
        Some(Kind::UnknownFile),
    ),
    row(
        "a segment that is a link",
        victim,
        |_, s| {
            let aside = s[1].parent().unwrap().with_file_name("aside");
            std::fs::rename(&s[1], &aside).unwrap();
            std::os::unix::fs::symlink(aside, &s[1]).unwrap();
        },
        Incomplete,
        Some(Kind::Unreadable),
    ),
];

#[test]
fn every_cheat_has_its_verdict_and_its_finding() {
    let rows = || [BYTES, FRAMES, FORGERY, SEGMENTS].into_iter().flatten();
    assert!(rows().count() >= 55, "{}", rows().count());
    let mut wrong = Vec::new();
    for row in rows() {
        let scratch = (row.store)();
        (row.act)(&scratch, &segments(&scratch.store()));
        let report = scratch.verify();
        let told = row.finds.is_none_or(|kind| report.has(kind));
        if report.verdict != row.verdict || !told {
            let findings: Vec<String> =
                report.findings.iter().map(|finding| format!("\n    {:?} {finding}", finding.kind)).collect();
            wrong.push(format!("{}: {:?}{}", row.cheat, report.verdict, findings.concat()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_whole_store_of_another_host_passes_only_without_the_right_key() {
    let (mine, theirs) = (victim(), victim());
    let key: OriginPublic = mine.key().public().clone();
    assert_eq!(theirs.verify().verdict, Unanchored);
    let options = VerifyOptions { key: Some(key), ..VerifyOptions::default() };
    assert_eq!(mine.verify_with(&options).verdict, Unanchored);
    let report = theirs.verify_with(&options);
    assert_eq!(report.verdict, Tampered);
    assert!(report.has(Kind::OriginReplaced) && report.has(Kind::ForeignSegment));
}

#[test]
fn a_finding_names_segment_frame_and_events() {
    let scratch = victim();
    let paths = segments(&scratch.store());
    flip(&paths[1], span(&paths[1], 1).start + 280);
    let (_, header) = frames(&paths[1])[1];
    let report = scratch.verify();
    let finding = report.findings.iter().find(|finding| finding.kind == Kind::PayloadHash).unwrap();
    assert_eq!(finding.frames, Some((header.frame_no, header.frame_no)));
    assert_eq!(finding.events, Some((header.first_seq, header.first_seq + 2)));
    assert_eq!(report.proven.frames, Some((0, header.frame_no - 1)));
    let name = paths[1].file_name().unwrap().to_str().unwrap();
    assert!(finding.to_string().starts_with(name), "{finding}");
}

#[test]
fn headers_alone_show_what_headers_can_show() {
    let options = VerifyOptions { headers_only: true, ..VerifyOptions::default() };
    let scratch = victim();
    assert_eq!(scratch.verify_with(&options).verdict, Unanchored);
    let paths = segments(&scratch.store());
    edit(&paths[1], |bytes| drop(bytes.drain(span(&paths[1], 1))));
    let report = scratch.verify_with(&options);
    assert_eq!(report.verdict, Tampered);
    assert!(report.has(Kind::FrameMissing));
}

#[test]
fn a_range_without_events_is_incomplete_never_good() {
    let scratch = victim();
    let early = VerifyOptions { until: Some(0), ..VerifyOptions::default() };
    let report = scratch.verify_with(&early);
    assert_eq!(report.verdict, Incomplete);
    assert!(report.has(Kind::NothingFound));
    let some = VerifyOptions { since: Some(EPOCH + 2 * SECOND), ..VerifyOptions::default() };
    assert_eq!(scratch.verify_with(&some).verdict, Unanchored);
}

#[test]
fn no_single_byte_can_change_unseen() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1_200);
    for _ in 0..3 {
        append(&mut writer, 2).unwrap();
    }
    drop(writer);
    assert_eq!(scratch.verify().verdict, Unanchored);
    let mut paths = segments(&scratch.store());
    assert!(paths.len() >= 2);
    paths.push(scratch.store().join("origin.pub"));
    for path in &paths {
        let good = std::fs::read(path).unwrap();
        for offset in 0..good.len() {
            let mask = u8::try_from(1 + (offset * 7919) % 255).unwrap();
            let mut bad = good.clone();
            bad[offset] ^= mask;
            std::fs::write(path, &bad).unwrap();
            let report = scratch.verify();
            assert_eq!(report.verdict, Tampered, "{} byte {offset} ^ {mask}", path.display());
        }
        std::fs::write(path, &good).unwrap();
    }
    assert_eq!(scratch.verify().verdict, Unanchored);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_change_of_any_bytes_is_tampering(
        which in 0..3usize,
        at in 0.0..1.0f64,
        bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let scratch = victim();
        let path = &segments(&scratch.store())[which];
        let good = std::fs::read(path).unwrap();
        let mut bad = good.clone();
        let offset = (at * good.len() as f64) as usize;
        for (place, byte) in bad[offset..].iter_mut().zip(&bytes) {
            *place = *byte;
        }
        std::fs::write(path, &bad).unwrap();
        let verdict = scratch.verify().verdict;
        prop_assert_eq!(verdict, if good == bad { Unanchored } else { Tampered });
    }
}
