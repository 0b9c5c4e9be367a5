//! What does not belong together: stores of two hosts mixed, a store that was cut or set back under its recorder, one that
//! went on twice, one from another boot. The recorder refuses with a way out, or goes on and says what it found.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod scratch;

use std::path::PathBuf;

use recorder::chain::checkpoint::Checkpoint;
use recorder::store::checkpoint_file;
use recorder::store::format::{SegmentHeader, segment_name};
use recorder::store::writer::{Options, Recovery, Writer};
use recorder::store::{FrameInput, StoreError};
use recorder::verify::VerifyOptions;
use recorder::verify::finding::{Kind, Severity};
use recorder::verify::report::Report;
use recorder::verify::report::Verdict::{Tampered, Unanchored};
use scratch::{EPOCH, SECOND, Scratch, append, edit, frames, options, segments};

const YEAR: i64 = 365 * 24 * 3600 * SECOND;

/// Two segments and the beginning of a third; the recorder was killed.
fn log() -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1_800);
    while segments(&scratch.store()).len() < 3 {
        append(&mut writer, 3).unwrap();
    }
    writer.checkpoint().unwrap();
    scratch
}

fn open_at(scratch: &Scratch, boot: u8, now: i64) -> Result<(Writer, Recovery), StoreError> {
    let options = Options { boot_id: [boot; 16], now, ..options() };
    Writer::open(&scratch.store(), &scratch.state(), options)
}

fn open(scratch: &Scratch) -> Result<(Writer, Recovery), StoreError> {
    open_at(scratch, 7, EPOCH)
}

/// The message of a recorder that does not start.
fn refusal(scratch: &Scratch) -> String {
    open(scratch).err().map(|error| error.to_string()).unwrap()
}

fn checkpoint_of(scratch: &Scratch) -> PathBuf {
    scratch.state().join("checkpoint")
}

fn newest(scratch: &Scratch) -> Checkpoint {
    checkpoint_file::read(&checkpoint_of(scratch)).unwrap().unwrap()
}

fn against(scratch: &Scratch, checkpoint: Checkpoint) -> Report {
    scratch.verify_with(&VerifyOptions { checkpoint: Some(checkpoint), ..VerifyOptions::default() })
}

/// Cuts the last frame off, and with it whatever is behind.
fn cut(scratch: &Scratch) {
    let last = segments(&scratch.store()).pop().unwrap();
    let (offset, _) = *frames(&last).last().unwrap();
    edit(&last, |bytes| bytes.truncate(offset));
}

fn record_on(scratch: &Scratch, count: usize) {
    let (mut writer, _) = open(scratch).unwrap();
    (0..count).for_each(|_| assert!(append(&mut writer, 3).is_ok()));
    writer.checkpoint().unwrap();
}

fn boot_of(scratch: &Scratch) -> [u8; 16] {
    let last = segments(&scratch.store()).pop().unwrap();
    SegmentHeader::decode(&std::fs::read(last).unwrap()).unwrap().boot_id
}

#[test]
fn a_cut_log_is_not_continued_against_the_recorders_own_checkpoint() {
    let scratch = log();
    let frames = newest(&scratch).size();
    cut(&scratch);
    let said = refusal(&scratch);
    let numbers = format!("it has {} frames, but this host signed for {frames}", frames - 1);
    assert!(said.contains(&numbers) && said.contains("run `recorder verify`"), "{said}");
    // Nothing was written: the evidence stays as it was found.
    assert_eq!(segments(&scratch.store()).len(), 3);
    let report = against(&scratch, newest(&scratch));
    assert!(report.verdict == Tampered && report.has(Kind::RolledBack), "{:#?}", report.findings);
}

#[test]
fn without_its_checkpoint_the_recorder_goes_on_and_only_the_one_outside_tells() {
    for set_back in [false, true] {
        let scratch = log();
        let outside = newest(&scratch);
        let older = {
            let first = segments(&scratch.store()).remove(1);
            let tree = SegmentHeader::decode(&std::fs::read(first).unwrap()).unwrap().tree;
            Checkpoint::sign(&scratch.key(), tree.size(), tree.root()).unwrap()
        };
        cut(&scratch);
        match set_back {
            true => std::fs::write(checkpoint_of(&scratch), older.to_string()).unwrap(),
            false => std::fs::remove_file(checkpoint_of(&scratch)).unwrap(),
        }
        record_on(&scratch, 5);
        assert_eq!(scratch.verify().verdict, Unanchored);
        assert_eq!(against(&scratch, newest(&scratch)).verdict, Unanchored, "it signed that itself");
        let report = against(&scratch, outside);
        assert!(report.verdict == Tampered && report.has(Kind::CheckpointWrong), "{:#?}", report.findings);
    }
}

#[test]
fn a_store_and_the_state_of_another_host_are_not_brought_together() {
    let (mine, theirs) = (log(), log());
    std::fs::remove_dir_all(mine.store()).unwrap();
    std::fs::rename(theirs.store(), mine.store()).unwrap();
    let said = refusal(&mine);
    assert!(said.contains("names another origin key") && said.contains("move the store away"), "{said}");
    // With the key of the one beside the segments of the other.
    let line = format!("{}\n", mine.key().public());
    std::fs::write(mine.store().join("origin.pub"), line).unwrap();
    let said = refusal(&mine);
    assert!(said.contains("was written under another origin key"), "{said}");
}

#[test]
fn segments_of_two_hosts_in_one_store_are_told_apart() {
    let (mine, theirs) = (log(), log());
    let own: Vec<String> = names(&mine);
    let mut strangers = Vec::new();
    for path in segments(&theirs.store()) {
        let header = SegmentHeader::decode(&std::fs::read(&path).unwrap()).unwrap();
        // Beside the segment of the same number.
        let name = segment_name(header.first_frame, 1);
        std::fs::copy(&path, mine.store().join(&name)).unwrap();
        strangers.push(name);
    }
    let key = Some(mine.key().public().clone());
    for key in [None, key] {
        let report = mine.verify_with(&VerifyOptions { key, ..VerifyOptions::default() });
        assert_eq!(report.verdict, Tampered);
        for name in &strangers {
            let said: Vec<Kind> = kinds_of(&report, name);
            assert!(said.contains(&Kind::ForeignSegment), "{name}: {said:?}");
        }
        for name in &own {
            let said: Vec<Kind> = kinds_of(&report, name);
            let of_content = [Kind::ForeignSegment, Kind::SegmentChanged, Kind::SegmentSignature];
            assert!(said.iter().all(|kind| !of_content.contains(kind)), "{name}: {said:?}");
        }
    }
    // The last one is of somebody else: the recorder does not go on behind it.
    let said = refusal(&mine);
    assert!(said.contains(strangers.last().unwrap()) && said.contains("another origin key"), "{said}");
}

fn names(scratch: &Scratch) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    segments(&scratch.store()).into_iter().map(name).collect()
}

/// What is called tampering in a segment.
fn kinds_of(report: &Report, name: &str) -> Vec<Kind> {
    let tampered = report.findings.iter().filter(|finding| finding.severity == Severity::Tampered);
    tampered.filter(|finding| finding.segment.as_deref() == Some(name)).map(|finding| finding.kind).collect()
}

#[test]
fn a_log_that_went_on_twice_is_two_logs_and_a_checkpoint_knows_one_of_them() {
    let one = log();
    let other = one.copy();
    record_on(&one, 4);
    record_on(&other, 6);
    // Each is right in itself: the same key signed both.
    for (log, fork) in [(&one, &other), (&other, &one)] {
        assert_eq!(log.verify().verdict, Unanchored);
        assert_eq!(against(log, newest(log)).verdict, Unanchored);
        let report = against(log, newest(fork));
        assert!(report.has(Kind::CheckpointWrong) || report.has(Kind::RolledBack), "{:#?}", report.findings);
        assert_eq!(report.verdict, Tampered);
    }
    // Brought together, the second one has no place.
    let last = segments(&other.store()).pop().unwrap();
    let first = SegmentHeader::decode(&std::fs::read(&last).unwrap()).unwrap().first_frame;
    let beside = segment_name(first, 1);
    std::fs::copy(last, one.store().join(&beside)).unwrap();
    let report = one.verify();
    assert_eq!(report.verdict, Tampered);
    let said: Vec<Kind> = kinds_of(&report, &beside);
    assert!(said.contains(&Kind::SegmentName) && said.contains(&Kind::SegmentOrder), "{said:?}");
}

#[test]
fn a_store_from_another_boot_is_continued_and_the_boot_is_told() {
    for (ends_in_order, now) in [(true, EPOCH + YEAR), (false, EPOCH - 10 * YEAR), (false, EPOCH)] {
        let scratch = log();
        let (writer, _) = open_at(&scratch, 1, EPOCH).unwrap();
        if ends_in_order {
            writer.close(EPOCH + SECOND).unwrap();
        } else {
            drop(writer);
        }
        let (mut writer, recovery) = open_at(&scratch, 2, now).unwrap();
        assert_eq!((recovery.previous_boot, recovery.clean), (Some([1; 16]), ends_in_order));
        assert_eq!((recovery.epoch, recovery.damage), (3, None));
        append(&mut writer, 1).unwrap();
        writer.close(now).unwrap();
        assert_eq!(boot_of(&scratch), [2; 16]);
        let report = against(&scratch, newest(&scratch));
        assert_eq!(report.verdict, Unanchored, "{:#?}", report.findings);
        // One kill in front of the first boot, and perhaps one before the second.
        let unclean = report.findings.iter().filter(|finding| finding.kind == Kind::UncleanStop).count();
        assert_eq!(unclean, if ends_in_order { 1 } else { 2 });
    }
}

#[test]
fn a_clock_that_leaps_while_the_boot_stays_the_same_is_no_finding() {
    let scratch = Scratch::new();
    let (mut writer, _) = open_at(&scratch, 1, EPOCH).unwrap();
    let line = b"{\"seq\":0}\n";
    for now in [EPOCH, EPOCH - YEAR, EPOCH + 50 * YEAR, 0, i64::MAX, i64::MIN] {
        let frame = FrameInput { lines: line, ends: &[10], t_first: now, t_last: now, lost_total: 0 };
        writer.append(&frame).unwrap();
    }
    writer.close(EPOCH).unwrap();
    // A leap of more than an hour ends a segment, in either direction.
    assert_eq!(segments(&scratch.store()).len(), 6);
    let report = against(&scratch, newest(&scratch));
    assert_eq!(report.verdict, Unanchored);
    let told: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(told, [Kind::NotAppendOnly]);
}
