//! One way to cheat per row, and what `verify` must say about it. Nothing local may ever pass as verified.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use recorder::chain::key::{Domain, OriginPublic};
use recorder::store::format::{FRAME_HEADER, FrameHeader, SegmentHeader};
use recorder::verify::VerifyOptions;
use recorder::verify::finding::Kind;
use recorder::verify::report::Verdict::{self, Incomplete, Tampered, Unanchored};
use scratch::{Scratch, append, edit, frames, segments};

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

/// Replaces a frame's header and payload, checksum right, signature as given by `sign`.
fn forge(path: &Path, index: usize, payload: Option<Vec<u8>>, change: impl FnOnce(&mut FrameHeader)) {
    let range = span(path, index);
    let (_, mut header) = frames(path)[index];
    edit(path, |bytes| {
        let payload = payload.unwrap_or_else(|| bytes[range.start + FRAME_HEADER..range.end].to_vec());
        header.payload_len = u32::try_from(payload.len()).unwrap();
        header.payload_sha256 = recorder::chain::sha256(&payload);
        change(&mut header);
        let mut forged = Vec::new();
        header.encode(&mut forged);
        forged.extend(payload);
        bytes.splice(range, forged);
    });
}

fn packed(lines: &[u8]) -> Vec<u8> {
    recorder::store::payload::Packer::new(1).unwrap().pack(lines).unwrap().to_vec()
}

fn payload_of(path: &Path, index: usize) -> Vec<u8> {
    let range = span(path, index);
    std::fs::read(path).unwrap()[range.start + FRAME_HEADER..range.end].to_vec()
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
        |_, s| edit(&s[2], |b| b.extend(vec![0; 1_100_000])),
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
        "forge a field without the key",
        running,
        |_, s| forge(&s[2], 1, None, |h| h.t_last += 1),
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "forge the events without the key",
        running,
        |_, s| {
            forge(&s[2], 1, Some(packed(b"{}\n{}\n{}\n")), |h| h.raw_len = 9);
        },
        Tampered,
        Some(Kind::FrameSignature),
    ),
    row(
        "trailing bytes inside a payload",
        running,
        |_, s| {
            let payload = [payload_of(&s[2], 1), HIDDEN.to_vec()].concat();
            forge(&s[2], 1, Some(payload), |_| {});
        },
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "two zstd frames in a payload",
        running,
        |_, s| {
            let payload = [payload_of(&s[2], 1), packed(b"{}\n")].concat();
            forge(&s[2], 1, Some(payload), |_| {});
        },
        Tampered,
        Some(Kind::PayloadShape),
    ),
    row(
        "change events with the key, not the root",
        running,
        |scratch, s| {
            let key = scratch.key();
            forge(&s[2], 1, Some(packed(b"{}\n{}\n{}\n")), |h| {
                h.raw_len = 9;
                h.signature = key.sign(Domain::Frame, &h.leaf());
            });
        },
        Tampered,
        Some(Kind::InnerRoot),
    ),
    row(
        "drop an event with the key, not the count",
        running,
        |scratch, s| {
            let key = scratch.key();
            forge(&s[2], 1, Some(packed(b"{}\n{}\n")), |h| {
                h.raw_len = 6;
                h.signature = key.sign(Domain::Frame, &h.leaf());
            });
        },
        Tampered,
        Some(Kind::EventCount),
    ),
    row(
        "re-sign a frame in the middle of the chain",
        running,
        |scratch, s| {
            let key = scratch.key();
            forge(&s[2], 0, None, |h| {
                h.t_last += 1;
                h.signature = key.sign(Domain::Frame, &h.leaf());
            });
        },
        Tampered,
        Some(Kind::ChainBroken),
    ),
    row(
        "renumber events with the key",
        running,
        |scratch, s| {
            let key = scratch.key();
            forge(&s[2], 1, None, |h| {
                h.first_seq += 5;
                h.signature = key.sign(Domain::Frame, &h.leaf());
            });
        },
        Tampered,
        Some(Kind::EventNumbers),
    ),
    row(
        "another epoch with the key",
        running,
        |scratch, s| {
            let key = scratch.key();
            forge(&s[2], 1, None, |h| {
                h.epoch += 1;
                h.signature = key.sign(Domain::Frame, &h.leaf());
            });
        },
        Tampered,
        Some(Kind::CounterBack),
    ),
    row(
        "re-sign a middle segment's header",
        victim,
        |scratch, s| reheader(scratch, &s[1], |h| h.created += 1),
        Tampered,
        Some(Kind::SegmentChanged),
    ),
    row(
        "another tree in the last header",
        running,
        |scratch, s| {
            reheader(scratch, &s[2], |h| {
                let (size, mut nodes) = (h.tree.size(), h.tree.nodes().to_vec());
                nodes[0][0] ^= 1;
                h.tree = recorder::chain::tree::Frontier::from_parts(size, nodes).unwrap();
            })
        },
        Tampered,
        Some(Kind::TreeRoot),
    ),
    row(
        "change a segment header without the key",
        running,
        |_, s| {
            let mut header = header_of(&s[2]);
            header.created += 1;
            edit(&s[2], |b| drop(b.splice(..header.encoded_len(), header.encode())));
        },
        Tampered,
        Some(Kind::SegmentSignature),
    ),
];

fn header_of(path: &Path) -> SegmentHeader {
    SegmentHeader::decode(&std::fs::read(path).unwrap()).unwrap()
}

/// What root with the current key can do to a segment header.
fn reheader(scratch: &Scratch, path: &Path, change: impl FnOnce(&mut SegmentHeader)) {
    let mut header = header_of(path);
    let length = header.encoded_len();
    change(&mut header);
    header.signature = scratch.key().sign(Domain::Segment, &header.signed());
    edit(path, |bytes| drop(bytes.splice(..length, header.encode())));
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
    let some =
        VerifyOptions { since: Some(scratch::EPOCH + 2 * scratch::SECOND), ..VerifyOptions::default() };
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
