//! Re-derives everything the store claims and names what does not hold.
//!
//! Pure judgement over what `store` reads and `chain` computes: no clock, no socket, no daemon; it never writes. Threads
//! end before `verify` returns.
#![forbid(unsafe_code)]

pub mod anchor;
mod contents;
pub mod event;
pub mod finding;
mod join;
pub mod report;
mod retention;
mod segment;
mod tree;
mod walk;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::store::access::LOST_AND_FOUND;
use crate::store::directory::{Directory, SegmentFile};
use crate::store::format::SegmentHeader;
use crate::store::frames::Frames;
use crate::store::retention::told::{self, Newest};
use crate::store::tiles::TILE_DIRECTORY;
use crate::store::{ORIGIN_FILE, StoreError};
use anchor::{Anchored, Trust};
use finding::{Finding, Kind};
use join::Joint;
use report::{Asked, Proven, Report, judge};
use segment::Segment;
use tree::Tree;
use walk::Rules;

/// What to verify, and how.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Only what was recorded from here on (ns since 1970).
    pub since: Option<i64>,
    /// Only what was recorded up to here.
    pub until: Option<i64>,
    /// Leave payloads unread: headers, chain and signatures only.
    pub headers_only: bool,
    /// Segments looked at in parallel; 0 for one per processor.
    pub jobs: usize,
    /// The origin key to trust; without it the one beside the segments, which whoever owns the host can replace.
    pub key: Option<OriginPublic>,
    /// A checkpoint that was kept elsewhere, or that this host signed last: the log must have what it covers.
    pub checkpoint: Option<Checkpoint>,
    /// No segment may have been removed that was younger, ns.
    pub retention: Option<i64>,
    /// Whom to believe outside the host, and what they said.
    pub trust: Option<Trust>,
}

/// How often a store that retention removes from meanwhile is looked at again.
const LOOKS: u32 = 4;

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segments done.
    pub segments: usize,
    /// Segments to do.
    pub of: usize,
    /// Frames done.
    pub frames: u64,
    /// Events done.
    pub events: u64,
    /// Bytes done.
    pub bytes: u64,
}

/// Verifies the store at `path` as it is now; frames that a live recorder adds meanwhile are left out.
///
/// # Errors
/// When the store can't be looked at, at all; everything else is a finding.
pub fn verify(
    path: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, StoreError> {
    let mut look = verify_once(path, options, progress)?;
    for _ in 1..LOOKS {
        if look.is_stable {
            break;
        }
        look = verify_once(path, options, progress)?;
    }
    Ok(look.report)
}

/// One look at a store.
struct Look {
    report: Report,
    /// Nothing was removed meanwhile.
    is_stable: bool,
}

fn verify_once(
    path: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Look, StoreError> {
    let mut tree = Tree::new(path);
    let directory = Directory::open(path)?;
    let mut findings = strays(&directory);
    let key = trusted_key(&directory, options, &mut findings);
    findings.extend(check_checkpoint(options, key.as_ref()));
    let receipts = anchor::signed(options.trust.as_ref(), key.as_ref(), &mut findings);
    tree.expect(options.checkpoint.iter().chain(receipts));
    let rules = Rules {
        key: key.as_ref(),
        headers_only: options.headers_only,
        in_front: false,
        since: options.since.unwrap_or(i64::MIN),
        until: options.until.unwrap_or(i64::MAX),
    };
    let newest = newest_told(&directory, &mut findings);
    findings.extend(retention::check_tombstones(&directory, newest.as_ref()));
    let mut segments = in_log_order(&directory, rules.key);
    let told_in = newest.and_then(|newest| directory.segments().get(newest.place));
    let chosen = choose(&segments, rules, told_in);
    walk_all(&mut segments, &chosen, options.jobs, progress);
    findings.extend(retention::check_told(&directory, &segments));
    let mut joint = Joint::new(tree);
    for index in 0..segments.len() {
        if let Some((segment, before)) = segments.get_mut(..=index).and_then(<[_]>::split_last_mut) {
            joint.take(before.last_mut(), segment);
        }
    }
    retention::check_limits(&mut segments, options.retention);
    let ending = joint.finish(segments.last_mut());
    findings.extend(ending.findings);
    let anchored = anchor::judge(options, &ending.compared, &mut findings);
    let is_compared = |kept: &&Checkpoint| ending.compared.iter().any(|(said, _)| said == kept);
    let report = Report {
        lost: ending.lost,
        checkpoint: options.checkpoint.as_ref().filter(is_compared).map(Checkpoint::size),
        removed: retention::ranges(&segments),
        ..report(options, (key.as_ref(), anchored), &segments, findings)
    };
    let now = Directory::open(path)?;
    let is_there = |segment| now.segments().binary_search(segment).is_ok();
    let is_stable = now.tombstones() == directory.tombstones() && directory.segments().iter().all(is_there);
    Ok(Look { report, is_stable })
}

/// The newest events of retention, where there is any tombstone at all.
fn newest_told(directory: &Directory, findings: &mut Vec<Finding>) -> Option<Newest> {
    if directory.tombstones().is_empty() {
        return None;
    }
    told::newest(directory).unwrap_or_else(|error| {
        findings.push(Finding::new(Kind::Unreadable, error.to_string()));
        None
    })
}

/// Segments, and the tombstones of those that were removed.
fn in_log_order<'a>(directory: &'a Directory, key: Option<&OriginPublic>) -> Vec<Segment<'a>> {
    let there = directory.segments().iter().map(|file| Segment::open(file, key));
    let removed = directory.removed().map(|file| Segment::open_tombstone(file, key));
    let mut segments: Vec<_> = there.chain(removed).collect();
    segments.sort_by_key(|segment| (segment.file.first_frame, segment.file.attempt));
    segments
}

/// A checkpoint that the origin key did not sign proves nothing.
fn check_checkpoint(options: &VerifyOptions, key: Option<&OriginPublic>) -> Option<Finding> {
    let why = options.checkpoint.as_ref()?.verify(key?).err()?;
    Some(Finding::new(Kind::CheckpointWrong, format!("the checkpoint to compare with does not hold: {why}")))
}

/// The key that signatures are checked with: the one given, or else the one beside the segments.
fn trusted_key(
    directory: &Directory,
    options: &VerifyOptions,
    findings: &mut Vec<Finding>,
) -> Option<OriginPublic> {
    match (directory.origin(), &options.key) {
        (Ok(beside), Some(given)) if beside != *given => {
            let sentence = format!("origin.pub names another key ({beside}) than the one to trust ({given})");
            findings.push(Finding::new(Kind::OriginReplaced, sentence));
        }
        (Ok(beside), None) => return Some(beside),
        (Err(StoreError::Key { .. }), None) if directory.segments().is_empty() => {
            let sentence = "origin.pub is not whole and nothing was recorded: the first start was cut short";
            findings.push(Finding::new(Kind::Unreadable, sentence));
        }
        (Err(StoreError::Key { source, .. }), _) => {
            findings.push(Finding::new(Kind::OriginReplaced, format!("origin.pub is not a key: {source}")));
        }
        (Err(StoreError::Io { source, .. }), None) if source.kind() == std::io::ErrorKind::NotFound => {
            let sentence = "origin.pub is gone, so no signature can be checked; give the key with --key";
            findings.push(Finding::new(Kind::OriginMissing, sentence));
        }
        (Err(error), None) => findings.push(Finding::new(Kind::Unreadable, error.to_string())),
        // A key from outside needs nothing beside the segments.
        (Ok(_) | Err(_), Some(_)) => {}
    }
    options.key.clone()
}

/// Names what is in the store but is no part of it.
fn strays(directory: &Directory) -> Vec<Finding> {
    let known = [ORIGIN_FILE, LOST_AND_FOUND, TILE_DIRECTORY];
    let unknown = directory.others().iter().filter(|name| known.iter().all(|known| *name != known));
    let findings = unknown.map(|name| {
        let shown = name.to_string_lossy();
        if shown.starts_with("seg-") || begins_like_a_segment(&directory.path().join(name)) {
            let sentence = "a segment under a name that segments don't have".to_owned();
            return Finding::new(Kind::SegmentName, sentence).in_segment(&shown);
        }
        Finding::new(Kind::UnknownFile, format!("{shown:?} is no part of the store and was left out"))
    });
    findings.collect()
}

fn begins_like_a_segment(path: &Path) -> bool {
    let bytes = Frames::open(path).and_then(|frames| frames.read(0, 16));
    bytes.is_ok_and(|bytes| SegmentHeader::begins(&bytes))
}

/// What is walked: the segments that can have something from the range asked for, and of those in front, back to the
/// start of the recorder, the headers. The keys that signed the range come from there. The same for the segment that tells
/// of all that was removed.
fn choose<'a>(
    segments: &[Segment<'_>],
    rules: Rules<'a>,
    told_in: Option<&SegmentFile>,
) -> Vec<(usize, Rules<'a>)> {
    let overlaps = |index: &usize| {
        segments.get(*index).is_some_and(|segment| segment.overlaps(segments.get(index + 1), rules))
    };
    let asked: Vec<usize> = (0..segments.len()).filter(overlaps).collect();
    let starts = |index: &usize| {
        let header = segments.get(*index).and_then(|segment| segment.header.as_ref());
        header.is_some_and(SegmentHeader::starts_epoch)
    };
    let start_of = |index: usize| (0..=index).rev().find(starts).unwrap_or(0);
    let first = asked.first().copied().unwrap_or(0);
    let told_in = segments.iter().position(|segment| told_in.is_some_and(|file| segment.file == file));
    let for_told = told_in.map_or(0..0, |index| start_of(index)..index + 1);
    let mut in_front: Vec<usize> = (start_of(first)..first).chain(for_told).collect();
    in_front.retain(|index| !asked.contains(index));
    in_front.sort_unstable();
    in_front.dedup();
    let in_front =
        in_front.into_iter().map(|index| (index, Rules { in_front: true, headers_only: true, ..rules }));
    in_front.chain(asked.into_iter().map(|index| (index, rules))).collect()
}

/// Walks the chosen segments, some at a time.
fn walk_all(
    segments: &mut [Segment<'_>],
    chosen: &[(usize, Rules<'_>)],
    jobs: usize,
    progress: &mut dyn FnMut(Progress),
) {
    let is_removed = |index: usize| segments.get(index).is_some_and(|segment| segment.removed);
    let (removed, chosen): (Vec<_>, Vec<_>) = chosen.iter().partition(|(index, _)| is_removed(*index));
    for (index, _) in removed {
        let next = segments.get(index + 1).and_then(|next| next.header.clone());
        if let Some(segment) = segments.get_mut(index) {
            segment.walk_tombstone(next.as_ref());
        }
    }
    let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = if jobs == 0 { available() } else { jobs }.min(chosen.len());
    let taken = AtomicUsize::new(0);
    let (done, finished) = std::sync::mpsc::channel();
    let mut walks = Vec::new();
    let shared: &[Segment<'_>] = segments;
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (done, taken, chosen) = (done.clone(), &taken, &chosen);
            scope.spawn(move || {
                while let Some((index, rules)) = chosen.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    let Some(segment) = shared.get(*index) else { break };
                    if done.send((*index, segment.walk(*rules))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut sum = Progress { segments: 0, of: chosen.len(), frames: 0, events: 0, bytes: 0 };
        for (index, walk) in finished {
            sum.segments += 1;
            if let Ok(walk) = &walk {
                sum.frames += walk.frame_count;
                sum.events += walk.event_count;
                sum.bytes += walk.length;
            }
            progress(sum);
            walks.push((index, walk));
        }
    });
    for (index, walk) in walks {
        let Some(segment) = segments.get_mut(index) else { continue };
        match walk {
            Ok(walk) => segment.walk = Some(walk),
            Err(error) if segment.findings.iter().all(|finding| finding.kind != Kind::Unreadable) => {
                segment.find(Kind::Unreadable, error.to_string());
            }
            Err(_) => {}
        }
    }
}

fn report(
    options: &VerifyOptions,
    (key, anchored): (Option<&OriginPublic>, Option<Anchored>),
    segments: &[Segment<'_>],
    mut findings: Vec<Finding>,
) -> Report {
    let walks = || segments.iter().filter_map(Segment::asked);
    for segment in segments {
        findings.extend(segment.findings.iter().cloned());
        findings.extend(segment.walk.iter().flat_map(|walk| walk.findings.iter().cloned()));
        findings.extend(segment.notes.iter().cloned());
    }
    if walks().map(|walk| walk.in_range).sum::<u64>() == 0 {
        findings
            .push(Finding::new(Kind::NothingFound, "no event was recorded in the range that was asked for"));
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.segment.cmp(&b.segment)));
    let verdict = judge(&findings, anchored.as_ref());
    let (since, until, headers_only) = (options.since, options.until, options.headers_only);
    Report {
        verdict,
        exit_code: verdict.exit_code(),
        asked: Asked { since, until, headers_only, retention: options.retention },
        proven: key.map_or_else(Proven::default, |_| proven(segments)),
        origin: key.map(ToString::to_string),
        origin_given: options.key.is_some(),
        segments: walks().count() as u64,
        frames: walks().map(|walk| walk.frame_count).sum(),
        events: walks().map(|walk| walk.event_count).sum(),
        bytes: walks().map(|walk| walk.length).sum(),
        lost: 0,
        checkpoint: None,
        anchored,
        removed: Vec::new(),
        findings,
    }
}

/// From the first segment that was walked as far as nothing is wrong.
fn proven(segments: &[Segment<'_>]) -> Proven {
    let mut proven = Proven::default();
    let not_asked = |segment: &&Segment<'_>| segment.asked().is_none() && segment.findings.is_empty();
    for segment in segments.iter().skip_while(not_asked) {
        // That the file changed since does not take away from the frames in front of the change.
        let later = |finding: &Finding| matches!(finding.kind, Kind::SegmentChanged | Kind::SegmentCut);
        let sound = segment.findings.iter().all(later);
        // Its events are gone, its place in the log is not.
        if segment.removed && segment.findings.is_empty() {
            continue;
        }
        let Some(walk) = segment.asked().filter(|_| sound) else { break };
        if let Some((first, last)) = walk.proven {
            proven.extend(&segment.name, &first, &last);
        }
        if !segment.is_whole() {
            break;
        }
    }
    proven
}
