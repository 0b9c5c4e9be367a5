//! What a verification says beside its verdict, and changes of any kind: the ways to cheat one by one are in `attacks.rs`.
//! Nothing local may ever pass as verified.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::path::Path;

use proptest::prelude::*;
use recorder::chain::key::OriginPublic;
use recorder::verify::VerifyOptions;
use recorder::verify::finding::Kind;
use recorder::verify::report::Verdict::{Incomplete, Tampered, Unanchored};
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

fn flip(path: &Path, offset: usize) {
    edit(path, |bytes| bytes[offset] ^= 0x10);
}

/// Offset of frame `index` of a segment and of the one behind it.
fn span(path: &Path, index: usize) -> std::ops::Range<usize> {
    let (offset, header) = frames(path)[index];
    offset..offset + usize::try_from(header.frame_len()).unwrap()
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
fn a_segment_with_a_changed_header_is_not_torn_because_a_hole_follows() {
    let scratch = victim();
    let mut writer = scratch.writer(1 << 20);
    append(&mut writer, 3).unwrap();
    drop(writer);
    let last = segments(&scratch.store()).pop().unwrap();
    flip(&last, 40);
    edit(&last, |bytes| bytes.resize(bytes.len().next_multiple_of(512) + 600, 0));
    let report = scratch.verify();
    assert_eq!(report.verdict, Tampered, "{:?}", report.findings);
    assert!(report.has(Kind::SegmentHeader), "{:?}", report.findings);
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
