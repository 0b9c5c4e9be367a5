//! Every single bit of a small log: one event, one seal, the key.

use recorder::store::format::FRAME_HEADER;
use recorder::verify::finding::Kind;
use recorder::verify::report::Verdict::{Tampered, Unanchored};

use crate::for_each;
use crate::scratch::{EPOCH, SECOND, Scratch, append, frames, segments};
use crate::victim::header_of;

/// What a change at `offset` of the segment is called, and of which frame it is.
fn expected(path: &std::path::Path, offset: usize) -> (Kind, Option<(u64, u64)>) {
    if offset < header_of(path).encoded_len() {
        return (Kind::SegmentHeader, None);
    }
    let (start, header) = frames(path).into_iter().rfind(|(start, _)| *start <= offset).unwrap();
    let kind = if offset < start + FRAME_HEADER { Kind::FrameHeader } else { Kind::PayloadHash };
    (kind, Some((header.frame_no, header.frame_no)))
}

fn small() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    append(&mut writer, 1).unwrap();
    writer.close(EPOCH + SECOND).unwrap();
    scratch
}

#[test]
fn every_single_bit_of_a_segment_is_guarded_and_its_place_is_named() {
    let victim = small();
    let path = segments(&victim.store()).remove(0);
    let good = std::fs::read(&path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(victim.verify().verdict, Unanchored);
    // A share of the bytes each, in a copy of its own.
    const SHARES: usize = 16;
    let wrong = for_each(SHARES, |share| {
        let copy = victim.copy();
        let mut wrong = Vec::new();
        for offset in (share..good.len()).step_by(SHARES) {
            let (kind, frame) = expected(&path, offset);
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[offset] ^= 1 << bit;
                std::fs::write(copy.store().join(name), bad).unwrap();
                let report = copy.verify();
                let told = report.findings.iter().any(|found| {
                    found.kind == kind && found.segment.as_deref() == Some(name) && found.frames == frame
                });
                if report.verdict != Tampered || !told {
                    wrong.push(format!("byte {offset} bit {bit}: {kind:?} {frame:?}: {:?}", report.findings));
                }
            }
        }
        wrong
    });
    let wrong = wrong.concat();
    println!("{} bits flipped, {} not caught", good.len() * 8, wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_single_bit_of_the_public_key_is_guarded() {
    let scratch = small();
    let path = scratch.store().join("origin.pub");
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, bad).unwrap();
        assert_eq!(scratch.verify().verdict, Tampered, "bit {bit}");
    }
}
