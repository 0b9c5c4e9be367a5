//! Old segments are removed as configured and never otherwise; what is left still proves itself, and whoever removes
//! something by hand is found.
#![cfg(feature = "capture")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::proof::{check_consistency, check_inclusion, consistency, inclusion};
use recorder::daemon::about;
use recorder::event::json::{self, LineContext};
use recorder::store::directory::{Directory, SegmentFile};
use recorder::store::format::{FRAME_HEADER, FrameKind, SegmentHeader};
use recorder::store::medium::{Files, Medium};
use recorder::store::retention::{Hold, Policy, Reason, Removal};
use recorder::store::tiles::Tiles;
use recorder::store::tree_hashes::TreeHashes;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError, checkpoint_file};
use recorder::verify::finding::Kind;
use recorder::verify::report::{Report, Verdict};
use recorder::verify::{VerifyOptions, verify};
use rustix::fs::{IFlags, ioctl_getflags};
use scratch::{EPOCH, SECOND, Scratch, append, edit, frames, options, segments, stranger};

/// Time of the end of [`filled`].
const NOW: i64 = EPOCH + 700 * SECOND;

fn by_age(seconds: i64) -> Policy {
    Policy { keep_age_ns: Some(seconds * SECOND), ..Policy::default() }
}

fn by_size(bytes: u64) -> Policy {
    Policy { keep_bytes: Some(bytes), ..Policy::default() }
}

fn with(policy: &Policy) -> Options {
    Options { segment_bytes: 20_000, retention: policy.clone(), ..options() }
}

fn open(scratch: &Scratch, policy: &Policy) -> Writer {
    let (writer, recovery) = scratch.start(&with(policy));
    assert_eq!((recovery.damage, recovery.no_tiles, recovery.no_retention), (None, None, None));
    writer
}

/// 700 frames, one event a second in each, in some fifteen segments; the recorder is still at work.
fn filled(policy: &Policy) -> (Scratch, Writer) {
    filled_up_to(700, policy)
}

fn filled_up_to(events: u64, policy: &Policy) -> (Scratch, Writer) {
    let scratch = Scratch::new();
    let mut writer = open(&scratch, policy);
    while writer.next_seq() < events {
        append(&mut writer, 1).unwrap();
    }
    (scratch, writer)
}

/// The frame that tells of a removal, as the daemon makes it.
fn tell(writer: &mut Writer, removal: &Removal) -> Result<(), StoreError> {
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    let mut json = json::Writer::default();
    for (seq, event) in (writer.next_seq()..).zip(about::tombstones(1, removal)) {
        json.append(&mut lines, &LineContext { seq, wall_ns: removal.decided, boot: "b" }, &event);
        ends.push(u32::try_from(lines.len()).unwrap());
    }
    let (t_first, t_last) = (removal.decided, removal.decided);
    let frame = FrameInput { lines: &lines, ends: &ends, t_first, t_last, lost_total: 0 };
    writer.append_tombs(&frame).map(drop)
}

/// Removes whatever the policy wants removed; gives the names.
fn retire(writer: &mut Writer, now: i64) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    while writer.retention_is_due() {
        let Some(removal) = writer.retire(now)? else { continue };
        tell(writer, &removal)?;
        writer.remove(&removal)?;
        names.extend(removal.victims.iter().map(|victim| victim.name.clone()));
    }
    Ok(names)
}

fn names(store: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    segments(store).iter().map(name).collect()
}

fn tombstones(store: &Path) -> Vec<PathBuf> {
    Directory::open(store).unwrap().removed().map(|file| file.path.clone()).collect()
}

fn intact(scratch: &Scratch) -> Report {
    let report = scratch.verify();
    // Where it can't run, the tests of its own say so.
    if stranger::is_there() {
        assert_eq!(
            stranger::compare(scratch, &VerifyOptions::default()),
            Ok(Verdict::Unanchored.exit_code())
        );
    }
    assert_eq!(report.verdict, Verdict::Unanchored, "{:#?}", report.findings);
    let headers = VerifyOptions { headers_only: true, ..VerifyOptions::default() };
    let report_of_headers = scratch.verify_with(&headers);
    assert_eq!(report_of_headers.verdict, Verdict::Unanchored, "{:#?}", report_of_headers.findings);
    report
}

#[test]
fn without_a_limit_nothing_is_ever_removed() {
    let (scratch, mut writer) = filled(&Policy::default());
    assert!(!writer.retention_is_due());
    assert!(retire(&mut writer, i64::MAX).unwrap().is_empty() && tombstones(&scratch.store()).is_empty());
}

#[test]
fn old_segments_go_and_what_is_left_proves_itself() {
    let (scratch, mut writer) = filled(&by_age(300));
    let before = names(&scratch.store());
    let removed = retire(&mut writer, NOW).unwrap();
    assert!(removed.len() > 5 && before.starts_with(&removed), "{removed:?}");
    assert_eq!(names(&scratch.store()), before[removed.len()..]);
    assert!(!writer.retention_is_due());
    append(&mut writer, 1).unwrap();
    writer.close(NOW).unwrap();
    let report = intact(&scratch);
    let [range] = &report.removed[..] else { panic!("{:?}", report.removed) };
    assert_eq!((range.segments as usize, range.first_event), (removed.len(), 0));
    assert!(range.until <= NOW - 300 * SECOND && range.until > NOW - 360 * SECOND, "{range:?}");
    assert_eq!(report.proven.events.unwrap().0, range.next_event);
    // The limit that somebody knows from outside.
    let outside = |seconds| VerifyOptions { retention: Some(seconds * SECOND), ..VerifyOptions::default() };
    assert_eq!(scratch.verify_with(&outside(300)).verdict, Verdict::Unanchored);
    let report = scratch.verify_with(&outside(600));
    assert!(report.verdict == Verdict::Tampered && report.has(Kind::RemovedTooEarly));
}

#[test]
fn a_store_that_is_too_large_loses_its_oldest_segments() {
    let (scratch, mut writer) = filled(&by_size(200_000));
    let removed = retire(&mut writer, NOW).unwrap();
    let left =
        |store: &Path| -> u64 { segments(store).iter().map(|path| fs::metadata(path).unwrap().len()).sum() };
    assert!(!removed.is_empty() && left(&scratch.store()) < 210_000);
    // It is due again once it has grown.
    assert!(!writer.retention_is_due());
    while !writer.retention_is_due() {
        append(&mut writer, 1).unwrap();
    }
    assert_eq!(retire(&mut writer, NOW).unwrap().len(), 1);
    intact(&scratch);
}

#[test]
fn frames_stay_until_a_full_tile_has_their_hashes() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch, &by_age(1));
    while append(&mut writer, 1).unwrap().frame_no < 250 {}
    assert!(segments(&scratch.store()).len() > 4);
    assert!(retire(&mut writer, i64::MAX / 2).unwrap().is_empty());
    intact(&scratch);
}

#[test]
fn a_hold_keeps_segments_and_leaves_a_hole_around_them_no_doubt() {
    let hold = "2027-01-15T08:02:30Z/2027-01-15T08:02:40Z".to_owned();
    let policy = Policy { holds: vec![Hold::try_from(hold).unwrap()], ..by_age(100) };
    let (scratch, mut writer) = filled(&policy);
    let before = names(&scratch.store());
    let removed = retire(&mut writer, NOW).unwrap();
    let kept: Vec<_> = before.iter().filter(|name| !removed.contains(name)).collect();
    assert!(removed.contains(&before[0]) && kept[0] < removed.last().unwrap(), "{kept:?} {removed:?}");
    drop(writer);
    let report = intact(&scratch);
    assert_eq!(report.removed.len(), 2, "{:?}", report.removed);
    // Once the hold is lifted they go as well, and the recorder goes on where it was.
    let mut writer = open(&scratch, &by_age(100));
    assert!(!retire(&mut writer, NOW).unwrap().is_empty());
    append(&mut writer, 1).unwrap();
    drop(writer);
    assert_eq!(intact(&scratch).removed.len(), 1);
}

#[test]
fn what_a_crash_left_unsealed_is_removed_too() {
    let (scratch, writer) = filled(&Policy::default());
    drop(writer);
    let torn = segments(&scratch.store()).pop().unwrap();
    edit(&torn, |bytes| bytes.truncate(bytes.len() - 7));
    drop(open(&scratch, &Policy::default()));
    let mut writer = open(&scratch, &by_age(1));
    while writer.next_seq() < 800 {
        append(&mut writer, 1).unwrap();
    }
    retire(&mut writer, NOW + 3600 * SECOND).unwrap();
    assert!(!torn.exists());
    drop(writer);
    intact(&scratch);
    // The newest segment that is left may be the one behind a removed one.
    append(&mut open(&scratch, &by_age(1)), 1).unwrap();
    intact(&scratch);
}

#[test]
fn a_second_look_and_a_second_start_remove_nothing_more() {
    let (scratch, mut writer) = filled(&by_age(300));
    assert!(!retire(&mut writer, NOW).unwrap().is_empty());
    let left = names(&scratch.store());
    assert!(writer.retire(NOW).unwrap().is_none());
    drop(writer);
    let mut writer = open(&scratch, &by_age(300));
    assert!(writer.retention_is_due() && writer.retire(NOW).unwrap().is_none());
    assert!(names(&scratch.store()).starts_with(&left));
}

#[test]
fn damaged_segments_are_evidence_and_stay() {
    let (scratch, writer) = filled(&Policy::default());
    drop(writer);
    let paths = segments(&scratch.store());
    let (offset, _) = frames(&paths[1])[3];
    edit(&paths[1], |bytes| bytes[offset + 20] ^= 1);
    edit(&paths[2], |bytes| bytes.extend(b"more"));
    let mut writer = open(&scratch, &by_age(100));
    let removed = retire(&mut writer, NOW).unwrap();
    assert!(!paths[0].exists() && paths[1].exists() && paths[2].exists() && removed.len() > 3);
    assert_eq!(scratch.verify().verdict, Verdict::Tampered);
}

#[test]
fn proofs_reach_across_what_was_removed() {
    let (scratch, mut writer) = filled(&by_age(300));
    writer.checkpoint().unwrap();
    let file = scratch.state().join("checkpoint");
    let old: Checkpoint = checkpoint_file::read(&file).unwrap().unwrap();
    retire(&mut writer, NOW).unwrap();
    append(&mut writer, 1).unwrap();
    writer.checkpoint().unwrap();
    let new: Checkpoint = checkpoint_file::read(&file).unwrap().unwrap();
    let hashes = TreeHashes::open(&scratch.store()).unwrap();
    let proof = consistency(&hashes, old.size(), new.size()).unwrap();
    check_consistency((old.size(), old.root()), (new.size(), new.root()), &proof).unwrap();
    let (_, frame) = frames(&segments(&scratch.store())[0])[2];
    let path = inclusion(&hashes, frame.frame_no, new.size()).unwrap();
    check_inclusion(&frame.leaf_hash(), frame.frame_no, (new.size(), new.root()), &path).unwrap();
    // Checkpoints of any size can be compared, also those in the middle of what is gone.
    for checkpoint in [old, new] {
        let report = scratch
            .verify_with(&VerifyOptions { checkpoint: Some(checkpoint.clone()), ..VerifyOptions::default() });
        assert_eq!((report.verdict, report.checkpoint), (Verdict::Unanchored, Some(checkpoint.size())));
    }
}

#[test]
fn a_part_is_verified_without_what_was_removed() {
    let (scratch, mut writer) = filled(&by_age(300));
    retire(&mut writer, NOW).unwrap();
    for (since, until, verdict) in
        [(500, 550, Verdict::Unanchored), (0, 550, Verdict::Unanchored), (0, 100, Verdict::Incomplete)]
    {
        let at = |seconds| Some(EPOCH + seconds * SECOND);
        let part = VerifyOptions { since: at(since), until: at(until), ..VerifyOptions::default() };
        let report = scratch.verify_with(&part);
        assert_eq!(report.verdict, verdict, "{since} to {until}: {:#?}", report.findings);
    }
}

/// Fails the call number `at` and every later one. When that makes a tombstone, a half of it reaches the disk if `half`.
struct Dying {
    files: Files,
    store: PathBuf,
    left: usize,
    half: bool,
}

impl Dying {
    fn dies(&mut self) -> bool {
        let dies = self.left == 0;
        self.left = self.left.saturating_sub(1);
        dies
    }
}

fn dead() -> io::Error {
    io::Error::other("the recorder died")
}

fn death(name: &str) -> StoreError {
    StoreError::Io { path: name.into(), action: "doing anything", source: dead() }
}

impl Medium for Dying {
    fn begin(&mut self, name: &str) -> Result<(), StoreError> {
        if self.dies() { Err(death(name)) } else { self.files.begin(name) }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.dies() { Err(dead()) } else { self.files.append(bytes) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dies() { Err(dead()) } else { self.files.sync() }
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        if self.dies() { Err(dead()) } else { self.files.sync_directory() }
    }

    fn fix(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if !self.dies() {
            return self.files.fix(name, bytes);
        }
        if self.half && name.ends_with(".tomb") && self.left == 0 && !self.store.join(name).exists() {
            fs::write(self.store.join(name), &bytes[..bytes.len() / 2]).unwrap();
        }
        Err(death(name))
    }

    fn seal(&mut self, name: &str) -> Result<(), StoreError> {
        if self.dies() { Err(death(name)) } else { self.files.seal(name) }
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if self.dies() { Err(death(name)) } else { self.files.remove(name) }
    }
}

/// A copy of a store and its state.
fn copy(from: &Scratch) -> Scratch {
    let to = Scratch::new();
    let mut cp = Command::new("cp");
    cp.arg("-a").args([from.store(), from.state()]).arg(to.store().parent().unwrap());
    assert!(cp.status().unwrap().success());
    to
}

#[test]
fn dying_at_any_step_of_a_removal_is_no_tampering_and_the_next_start_finishes_it() {
    let (template, writer) = filled_up_to(310, &Policy::default());
    drop(writer);
    let policy = by_age(550);
    for half in [false, true] {
        let (mut ended, mut at) = (false, 0);
        while !ended {
            let scratch = copy(&template);
            let dying = |files| -> Box<dyn Medium> {
                Box::new(Dying { files, store: scratch.store(), left: at, half })
            };
            // A removal that failed without a crash leaves a recorder that goes on.
            if let Ok((mut writer, _)) =
                Writer::open_on(&scratch.store(), &scratch.state(), with(&policy), dying)
            {
                ended = retire(&mut writer, NOW).is_ok() && append(&mut writer, 1).is_ok();
                assert!(ended || !writer.retention_is_due());
            }
            let report = scratch.verify();
            assert_eq!(report.verdict, Verdict::Unanchored, "call {at}: {:#?}", report.findings);
            let mut writer = open(&scratch, &policy);
            retire(&mut writer, NOW).unwrap();
            append(&mut writer, 1).unwrap();
            writer.close(NOW).unwrap();
            let report = intact(&scratch);
            assert!(report.removed[0].segments >= 2, "call {at}: {:?}", report.removed);
            assert_eq!(report.removed[0].segments, tombstones(&scratch.store()).len() as u64);
            assert_eq!(Directory::open(&scratch.store()).unwrap().tombstones(), intact_tombstones(&scratch));
            at += 1;
        }
        assert!(at > 12, "{at}");
    }
}

/// Tombstones whose segment is gone: all of them, once a removal is finished.
fn intact_tombstones(scratch: &Scratch) -> Vec<SegmentFile> {
    Directory::open(&scratch.store()).unwrap().removed().cloned().collect()
}

#[test]
fn a_hold_that_comes_after_a_crash_keeps_what_was_told_already() {
    let (scratch, mut writer) = filled(&by_age(300));
    let removal = writer.retire(NOW).unwrap().unwrap();
    tell(&mut writer, &removal).unwrap();
    drop(writer);
    let hold = Hold::try_from("2027-01-01/2027-02-01".to_owned()).unwrap();
    let policy = Policy { holds: vec![hold], ..by_age(300) };
    let mut writer = open(&scratch, &policy);
    assert!(retire(&mut writer, NOW).unwrap().is_empty());
    append(&mut writer, 1).unwrap();
    drop(writer);
    assert!(intact(&scratch).removed.is_empty());
}

/// A store from which segments were removed in order, and the segments that were.
fn retired() -> (Scratch, Vec<(PathBuf, Vec<u8>)>) {
    let (scratch, mut writer) = filled(&by_age(300));
    let before: Vec<_> =
        segments(&scratch.store()).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    retire(&mut writer, NOW).unwrap();
    append(&mut writer, 1).unwrap();
    drop(writer);
    intact(&scratch);
    (scratch, before.into_iter().filter(|(path, _)| !path.exists()).collect())
}

fn tombstone(segment: &Path) -> PathBuf {
    let name = segment.file_name().unwrap().to_str().unwrap();
    segment.with_file_name(name.replace(".krl.zst", ".tomb"))
}

/// Removes a segment and makes its tombstone, as somebody can who has read this program.
fn remove_by_hand(segment: &Path) {
    let bytes = fs::read(segment).unwrap();
    let header = SegmentHeader::decode(&bytes).unwrap().encoded_len();
    let (seal, _) = *frames(segment).last().unwrap();
    fs::write(tombstone(segment), [&bytes[..header], &bytes[seal..seal + FRAME_HEADER]].concat()).unwrap();
    fs::remove_file(segment).unwrap();
}

/// What is done to a store, and what must be found.
type Cheat = (&'static str, fn(&Scratch, &[(PathBuf, Vec<u8>)]), Kind);

static CHEATS: &[Cheat] = &[
    ("change a tombstone", |s, _| edit(&tombstones(&s.store())[2], |b| b[50] ^= 1), Kind::TombstoneWrong),
    (
        "change the seal in one",
        |s, _| edit(&tombstones(&s.store())[2], |b| *b.last_mut().unwrap() ^= 1),
        Kind::TombstoneWrong,
    ),
    (
        "cut the seal off one",
        |s, _| edit(&tombstones(&s.store())[2], |b| b.truncate(b.len() - FRAME_HEADER)),
        Kind::TombstoneWrong,
    ),
    ("empty one", |s, _| edit(&tombstones(&s.store())[2], Vec::clear), Kind::TombstoneWrong),
    (
        "remove the first one",
        |s, _| fs::remove_file(&tombstones(&s.store())[0]).unwrap(),
        Kind::SegmentMissing,
    ),
    ("remove one", |s, _| fs::remove_file(&tombstones(&s.store())[2]).unwrap(), Kind::TombstoneWrong),
    (
        "remove all",
        |s, _| tombstones(&s.store()).iter().for_each(|path| fs::remove_file(path).unwrap()),
        Kind::SegmentMissing,
    ),
    (
        "exchange two",
        |s, _| {
            let all = tombstones(&s.store());
            let first = fs::read(&all[0]).unwrap();
            fs::copy(&all[1], &all[0]).unwrap();
            fs::write(&all[1], first).unwrap();
        },
        Kind::TombstoneWrong,
    ),
    (
        "remove a segment by hand",
        |s, _| fs::remove_file(&segments(&s.store())[1]).unwrap(),
        Kind::SegmentMissing,
    ),
    ("and make its tombstone", |s, _| remove_by_hand(&segments(&s.store())[1]), Kind::TombstoneWrong),
    (
        "the oldest one, as if it were next in turn",
        |s, _| remove_by_hand(&segments(&s.store())[0]),
        Kind::TombstoneWrong,
    ),
    (
        "a tombstone of another host",
        |s, _| {
            let (other, _) = retired();
            fs::copy(&tombstones(&other.store())[2], &tombstones(&s.store())[2]).unwrap();
        },
        Kind::ForeignSegment,
    ),
    (
        "a tombstone of a segment that never was",
        |s, _| {
            assert_ne!(
                fs::copy(&tombstones(&s.store())[0], s.store().join("seg-0000009999.tomb")).unwrap(),
                0
            )
        },
        Kind::TombstoneWrong,
    ),
    (
        "a wrong tombstone beside a segment",
        |s, _| {
            assert_ne!(fs::copy(&tombstones(&s.store())[0], tombstone(&segments(&s.store())[1])).unwrap(), 0)
        },
        Kind::TombstoneWrong,
    ),
    (
        "hide the event",
        |s, _| {
            let last = segments(&s.store()).pop().unwrap();
            let (start, header) =
                frames(&last).into_iter().find(|(_, frame)| frame.kind == FrameKind::Tomb).unwrap();
            edit(&last, |b| drop(b.drain(start..start + usize::try_from(header.frame_len()).unwrap())));
        },
        Kind::TombstoneWrong,
    ),
    (
        "cut the log in front of the event",
        |s, _| {
            let last = segments(&s.store()).pop().unwrap();
            let (start, _) =
                frames(&last).into_iter().find(|(_, frame)| frame.kind == FrameKind::Tomb).unwrap();
            edit(&last, |b| b.truncate(start));
        },
        Kind::TombstoneWrong,
    ),
    (
        "change a tile with hashes of what is gone",
        |s, _| edit(&s.store().join("tile/0/000"), |b| b[32 * 20] ^= 1),
        Kind::TileWrong,
    ),
    ("remove it", |s, _| fs::remove_file(s.store().join("tile/0/000")).unwrap(), Kind::TileWrong),
];

#[test]
fn whoever_removes_something_by_hand_is_found() {
    let mut wrong = Vec::new();
    for (cheat, act, kind) in CHEATS {
        let (scratch, removed) = retired();
        act(&scratch, &removed);
        for headers_only in [false, true] {
            let report = scratch.verify_with(&VerifyOptions { headers_only, ..VerifyOptions::default() });
            if report.verdict != Verdict::Tampered || !report.has(*kind) {
                let findings: Vec<String> =
                    report.findings.iter().map(|found| format!("\n    {:?} {found}", found.kind)).collect();
                wrong.push(format!("{cheat}: {:?}{}", report.verdict, findings.concat()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_stranger_says_the_same_of_what_was_removed_in_order_and_by_hand() {
    if !stranger::can_run() {
        return;
    }
    let mut differ = Vec::new();
    let nothing: Cheat = ("nothing", |_, _| {}, Kind::NoEnd);
    for (cheat, act, _) in CHEATS.iter().chain([&nothing]) {
        let (scratch, removed) = retired();
        act(&scratch, &removed);
        for headers_only in [false, true] {
            let options = VerifyOptions { headers_only, ..VerifyOptions::default() };
            if let Err(how) = stranger::compare(&scratch, &options) {
                differ.push(format!("{cheat}:\n    {how}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_stranger_says_the_same_of_changed_bytes_in_tombstones_and_tiles() {
    if !stranger::can_run() {
        return;
    }
    let (template, _) = retired();
    let mut files = tombstones(&template.store());
    files.extend([template.store().join("tile/0/000"), segments(&template.store()).pop().unwrap()]);
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome =
        runner.run(&(0..files.len(), 0.0..1.0f64, bytes, any::<bool>()), |(file, at, bytes, cut)| {
            let scratch = copy(&template);
            let path = scratch.store().join(files[file].strip_prefix(template.store()).unwrap());
            edit(&path, |old| {
                let at = (at * old.len() as f64) as usize;
                let end = if cut { old.len() } else { (at + bytes.len()).min(old.len()) };
                drop(old.splice(at..end, bytes));
            });
            for headers_only in [false, true] {
                let options = VerifyOptions { headers_only, ..VerifyOptions::default() };
                stranger::compare(&scratch, &options).map_err(TestCaseError::fail)?;
            }
            Ok(())
        });
    outcome.unwrap_or_else(|how| panic!("{how}"));
}

/// Copies a store file by file while `meanwhile` happens: segments, oldest first, then tombstones, then tiles. Says whether a
/// file was gone before its turn came.
fn copy_in_order(from: &Path, to: &Path, mut meanwhile: impl FnMut()) -> bool {
    let mut is_whole = true;
    let mut take = |path: &Path| {
        let place = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        is_whole &= fs::copy(path, place).is_ok();
        meanwhile();
    };
    segments(from).iter().for_each(|path| take(path));
    Directory::open(from).unwrap().tombstones().iter().for_each(|file| take(&file.path));
    Tiles::of(from).list().unwrap().tiles.iter().for_each(|tile| take(&from.join(tile.path())));
    take(&from.join("origin.pub"));
    is_whole
}

#[test]
fn a_copy_that_is_made_while_segments_are_removed_is_no_tampering() {
    for removed_before in [false, true] {
        let (_, count) = copied_while_removing(removed_before, usize::MAX);
        let whole = (0..count).filter(|at| copied_while_removing(removed_before, *at).0).count();
        // A segment that is removed after its turn is in the copy, beside its tombstone.
        assert!(whole > 5 && whole < count, "{whole} of {count}");
    }
}

/// Removes old segments after so many files were copied, and copies again when one was gone. Says whether none was, and how
/// many files there were.
fn copied_while_removing(removed_before: bool, at: usize) -> (bool, usize) {
    let (scratch, mut writer) = filled(&by_age(300));
    if removed_before {
        assert!(!retire(&mut writer, NOW - 250 * SECOND).unwrap().is_empty());
    }
    let copy = Scratch::new();
    let mut count = 0;
    let mut meanwhile = || {
        append(&mut writer, 1).unwrap();
        if count == at {
            while !writer.retention_is_due() {
                append(&mut writer, 1).unwrap();
            }
            assert!(!retire(&mut writer, NOW).unwrap().is_empty());
        }
        count += 1;
    };
    let is_whole = copy_in_order(&scratch.store(), &copy.store(), &mut meanwhile);
    let files = count;
    let is_complete = is_whole || copy_in_order(&scratch.store(), &copy.store(), || {});
    let report = copy.verify();
    assert!(is_complete && report.verdict == Verdict::Unanchored, "{at}: {:#?}", report.findings);
    (is_whole, files)
}

#[test]
fn a_removed_segment_that_is_put_back_is_no_harm() {
    let (scratch, mut removed) = retired();
    let mut writer = open(&scratch, &by_age(300));
    while writer.next_seq() < 900 {
        append(&mut writer, 1).unwrap();
    }
    assert!(!retire(&mut writer, NOW + 120 * SECOND).unwrap().is_empty());
    drop(writer);
    // From a backup, the ones of an earlier removal.
    for (path, bytes) in removed.drain(2..4) {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        intact(&scratch);
    }
    let mut writer = open(&scratch, &by_age(300));
    assert_eq!(retire(&mut writer, NOW + 120 * SECOND).unwrap().len(), 2);
    drop(writer);
    intact(&scratch);
}

#[test]
fn the_recorder_never_vouches_for_what_somebody_else_removed() {
    // While it is stopped: it notices at its start and removes nothing more.
    let (scratch, _) = retired();
    remove_by_hand(&segments(&scratch.store())[1]);
    let (mut writer, recovery) = scratch.start(&with(&by_age(1)));
    assert!(recovery.no_retention.unwrap().contains("run `recorder verify`"));
    assert!(!writer.retention_is_due());
    append(&mut writer, 1).unwrap();
    drop(writer);
    assert!(scratch.verify().has(Kind::TombstoneWrong));
    // While it records: its next event is about what it knows of itself.
    let (scratch, mut writer) = filled(&by_age(400));
    retire(&mut writer, NOW).unwrap();
    remove_by_hand(&segments(&scratch.store())[2]);
    while writer.next_seq() < 900 {
        append(&mut writer, 1).unwrap();
    }
    assert!(!retire(&mut writer, NOW + 120 * SECOND).unwrap().is_empty());
    drop(writer);
    let report = scratch.verify();
    assert!(
        report.verdict == Verdict::Tampered && report.has(Kind::TombstoneWrong),
        "{:#?}",
        report.findings
    );
}

#[test]
fn a_removal_against_its_own_event_is_found() {
    // A recorder that was made to lie: it names limits that were not kept.
    let cheats: [fn(&mut Removal); 3] = [
        |removal| removal.policy.keep_age_ns = Some(100_000 * SECOND),
        |removal| removal.policy.keep_age_ns = None,
        |removal| {
            let hold = "2027-01-15T08:00:00Z/2027-01-15T08:01:00Z".to_owned();
            removal.policy.holds = vec![Hold::try_from(hold).unwrap()];
        },
    ];
    for cheat in cheats {
        let (scratch, mut writer) = filled(&by_age(300));
        let mut removal = writer.retire(NOW).unwrap().unwrap();
        cheat(&mut removal);
        tell(&mut writer, &removal).unwrap();
        writer.remove(&removal).unwrap();
        let report = scratch.verify();
        assert!(
            report.verdict == Verdict::Tampered && report.has(Kind::RemovedTooEarly),
            "{:#?}",
            report.findings
        );
        assert!(!report.has(Kind::TombstoneWrong));
    }
}

#[test]
fn reasons_and_digests_are_in_the_record() {
    let (scratch, mut writer) = filled(&by_size(200_000));
    let removal = writer.retire(NOW).unwrap().unwrap();
    assert!(removal.victims.iter().all(|victim| victim.reason == Reason::Size));
    for victim in &removal.victims {
        let bytes = fs::read(scratch.store().join(&victim.name)).unwrap();
        assert_eq!((recorder::chain::sha256(&bytes), bytes.len() as u64), (victim.sha256, victim.bytes));
    }
    assert_eq!(removal.tombstones, removal.victims.len() as u64);
}

#[test]
fn readers_say_what_was_removed() {
    let (scratch, mut writer) = filled(&by_age(300));
    retire(&mut writer, NOW).unwrap();
    writer.close(NOW).unwrap();
    let recorder = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recorder"));
        let output =
            command.args(arguments).env("RECORDER_STORE", scratch.store()).env("TZ", "UTC").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (_, shown, said) = recorder(&["query", "--since", "2027-01-15 08:00", "-k", "tombstone"]);
    assert!(said.contains("events from 2027-01-15T08:00:00Z to 2027-01-15T08:0"), "{said}");
    assert!(said.contains("were removed under retention"), "{said}");
    let sentence = "retention removed events 0 to 57 for their age between 2027-01-15T08:00:00";
    assert!(shown.contains(sentence), "{shown}");
    let (_, _, said) = recorder(&["query", "--since", "2027-01-15 08:10", "-k", "tombstone"]);
    assert!(!said.contains("removed"), "{said}");
    for verb in ["show", "prove"] {
        let (code, _, said) = recorder(&[verb, "7"]);
        assert!(code == 1 && said.contains("event 7 was removed under retention"), "{code} {said}");
    }
    let (_, shown, _) = recorder(&["status"]);
    assert!(
        shown.contains("removed     ") && shown.contains(" events under retention, up to 2027-01-15 08:0"),
        "{shown}"
    );
    let (code, shown, _) = recorder(&["verify"]);
    assert!(code == 5 && shown.contains("Removed under retention: events 0 to "), "{shown}");
    let (code, shown, _) = recorder(&["verify", "--retention", "1d", "--json"]);
    assert!(
        code == 2 && shown.contains("\"removed_too_early\"") && shown.contains("\"next_event\""),
        "{shown}"
    );
}

/// A folder on a disk that has the flags, which are taken off at the end.
struct Protected(tempfile::TempDir);

impl Drop for Protected {
    fn drop(&mut self) {
        let _ = Command::new("chattr")
            .args(["-R", "-f", "-a", "-i"])
            .arg(self.0.path())
            .stderr(Stdio::null())
            .status();
    }
}

#[test]
fn flags_are_off_only_while_a_segment_is_removed() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: needs root to set flags");
        return;
    }
    let folder = Protected(tempfile::tempdir_in("/var/tmp").unwrap());
    let (store, state) = (folder.0.path().join("store"), folder.0.path().join("state"));
    let options = Options { immutable: Immutable::Required, ..with(&by_age(250)) };
    let (mut writer, _) = Writer::open(&store, &state, options).unwrap();
    while writer.next_seq() < 300 {
        append(&mut writer, 1).unwrap();
    }
    let protection = |path: &Path| {
        let flags = ioctl_getflags(fs::File::open(path).unwrap()).unwrap();
        flags & (IFlags::APPEND | IFlags::IMMUTABLE)
    };
    let removed = retire(&mut writer, EPOCH + 400 * SECOND).unwrap();
    assert!(!removed.is_empty() && removed.iter().all(|name| !store.join(name).exists()));
    assert_eq!(protection(&store), IFlags::APPEND);
    for tombstone in tombstones(&store) {
        assert_eq!(protection(&tombstone), IFlags::IMMUTABLE);
        assert!(fs::remove_file(&tombstone).is_err());
    }
    assert!(!state.join("removing").exists());
    writer.close(NOW).unwrap();
    assert_eq!(verify(&store, &VerifyOptions::default(), &mut |_| {}).unwrap().verdict, Verdict::Unanchored);
}
