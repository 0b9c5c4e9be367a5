//! Which segments are removed, and what is known about them by then. Only reads: the writer removes, and tells it.

mod hold;
pub mod told;

pub use hold::Hold;

use super::StoreError;
use super::directory::{Directory, SegmentFile};
use super::format::{SegmentHeader, segment_flag};
use super::reader::SegmentReader;
use super::tombstone::Tombstone;
use crate::chain::Hash;
use crate::chain::tile::WIDTH;

/// Most segments that are removed at once; looking at them keeps frames waiting.
const BATCH: usize = 16;
/// A minute, for frames whose events are older than the segment that they begin.
const SLACK: i64 = 60_000_000_000;

/// What is kept. Without any limit everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Segments that ended so long ago are removed, ns.
    pub keep_age_ns: Option<i64>,
    /// The oldest segments are removed while all together have more bytes.
    pub keep_bytes: Option<u64>,
    /// What stays all the same.
    pub holds: Vec<Hold>,
}

impl Policy {
    /// Whether anything may be removed at all.
    #[must_use]
    pub const fn removes(&self) -> bool {
        self.keep_age_ns.is_some() || self.keep_bytes.is_some()
    }

    fn holds(&self, from: i64, to: i64) -> bool {
        self.holds.iter().any(|hold| hold.overlaps(from, to))
    }
}

/// Why a segment is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is older than it must be kept.
    Age,
    /// The store is larger than it may be.
    Size,
}

impl Reason {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// A segment that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// File name of the segment.
    pub name: String,
    /// What stays of it.
    pub tombstone: Tombstone,
    /// Number of the first frame behind it.
    pub next_frame: u64,
    /// Number of the first event behind it.
    pub next_seq: u64,
    /// Time of its first event or its making, whichever is earlier.
    pub from: i64,
    /// Time of its last event or of the next segment's making, whichever is later.
    pub to: i64,
    /// Length of its file.
    pub bytes: u64,
    /// SHA-256 of its file, as the next segment states it.
    pub sha256: Hash,
    /// Why.
    pub reason: Reason,
}

/// Segments that are removed together, and what all tombstones are then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The segments, oldest first.
    pub victims: Vec<Victim>,
    /// The policy in force.
    pub policy: Policy,
    /// When it was decided, ns since 1970.
    pub decided: i64,
    /// Number of tombstones of removed segments, these included.
    pub tombstones: u64,
    /// Digest over them; see `docs/format.md`, "Retention".
    pub tombstones_sha256: Hash,
}

/// What a policy asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is to be removed, oldest first.
    pub victims: Vec<Victim>,
    /// Bytes of all segments that are there.
    pub bytes: u64,
    /// Whether more is to be removed when these are gone.
    pub is_cut: bool,
}

/// Chooses what is to be removed at time `now` of a log of `frames` frames. Segments stay that are not what the next one
/// says of them: they are evidence of something else. The last one stays in any case.
///
/// # Errors
/// When the store can't be read.
pub fn choose(directory: &Directory, policy: &Policy, now: i64, frames: u64) -> Result<Choice, StoreError> {
    let mut choice = Choice::default();
    let mut lengths = Vec::new();
    for segment in directory.segments() {
        lengths.push(
            std::fs::metadata(&segment.path)
                .map_err(StoreError::io(&segment.path, "reading the length"))?
                .len(),
        );
    }
    choice.bytes = lengths.iter().sum();
    let mut left = choice.bytes;
    let before_last = directory.segments().split_last().map_or(&[][..], |(_, before)| before);
    for (segment, length) in before_last.iter().zip(lengths) {
        let Some((header, next)) = ends(directory, segment, length)? else { continue };
        // From here on leaves are in no full tile yet, and only the frames have them.
        if next.first_frame > frames & !(WIDTH - 1) {
            break;
        }
        let (from, to) = (header.created.saturating_sub(SLACK), header.created.max(next.created));
        let Some(reason) = reason(policy, now.saturating_sub(to), left) else { continue };
        if policy.holds(from, to.saturating_add(SLACK)) {
            continue;
        }
        let Some(victim) = inspect(segment, header, &next, reason)? else { continue };
        // The same with the times of the events themselves.
        let is_young =
            reason == Reason::Age && reason_is_age(policy, now.saturating_sub(victim.to)).is_none();
        if is_young || policy.holds(victim.from, victim.to) {
            continue;
        }
        if choice.victims.len() == BATCH {
            choice.is_cut = true;
            break;
        }
        left -= length;
        choice.victims.push(victim);
    }
    Ok(choice)
}

fn reason(policy: &Policy, age: i64, bytes: u64) -> Option<Reason> {
    let too_many = policy.keep_bytes.is_some_and(|keep| bytes > keep);
    reason_is_age(policy, age).or(too_many.then_some(Reason::Size))
}

fn reason_is_age(policy: &Policy, age: i64) -> Option<Reason> {
    policy.keep_age_ns.is_some_and(|keep| age > keep).then_some(Reason::Age)
}

/// Headers of a segment and of the one made behind it; `None` when they do not fit, or the file not to them.
fn ends(
    directory: &Directory,
    segment: &SegmentFile,
    length: u64,
) -> Result<Option<(SegmentHeader, SegmentHeader)>, StoreError> {
    let place = |file: &SegmentFile| (file.first_frame, file.attempt);
    let first_behind = |files: &[SegmentFile]| files.partition_point(|file| place(file) <= place(segment));
    let (segments, tombstones) = (directory.segments(), directory.tombstones());
    let next = segments.get(first_behind(segments));
    let mut removed = tombstones.iter().skip(first_behind(tombstones));
    let removed = removed.find(|tombstone| !directory.has_segment_of(tombstone));
    let next = match (next, removed) {
        (next, Some(removed)) if next.is_none_or(|next| place(removed) < place(next)) => {
            Tombstone::read(removed).ok().map(|(tombstone, _)| tombstone.header)
        }
        (Some(next), _) => header(next)?,
        (None, _) => None,
    };
    let (Some(header), Some(next)) = (header(segment)?, next) else { return Ok(None) };
    let is_named = next.previous.is_some_and(|previous| {
        (previous.first_frame, previous.attempt, previous.length)
            == (segment.first_frame, segment.attempt, length)
    });
    let is_sound = next.flags & segment_flag::PREVIOUS_DAMAGED == 0;
    Ok((is_named && is_sound).then_some((header, next)))
}

fn header(segment: &SegmentFile) -> Result<Option<SegmentHeader>, StoreError> {
    match SegmentReader::open(&segment.path) {
        Ok(reader) => Ok(reader.map(|reader| reader.header().clone())),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks at every frame header of a segment; `None` when they are not what the next segment was begun behind.
fn inspect(
    segment: &SegmentFile,
    header: SegmentHeader,
    next: &SegmentHeader,
    reason: Reason,
) -> Result<Option<Victim>, StoreError> {
    let (Some(name), Some(previous)) = (segment.name(), next.previous) else { return Ok(None) };
    let Some(mut reader) = SegmentReader::open(&segment.path)? else { return Ok(None) };
    let (mut from, mut to) = (header.created, header.created.max(next.created));
    let (mut next_frame, mut next_seq, mut seal) = (header.first_frame, header.first_seq, None);
    loop {
        match reader.next_header() {
            Ok(Some(frame)) => {
                let frame = frame.header;
                if frame.frame_no != next_frame || frame.first_seq != next_seq || seal.is_some() {
                    return Ok(None);
                }
                (next_frame, next_seq) = (frame.frame_no.saturating_add(1), frame.next_seq());
                (from, to) = (from.min(frame.t_first), to.max(frame.t_last));
                seal = Some(frame).filter(|frame| frame.is_seal());
            }
            Ok(None) => break,
            Err(StoreError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let is_ended = seal.is_some() || next.starts_epoch();
    let fits =
        (next_frame, next_seq, reader.offset()) == (next.first_frame, next.first_seq, previous.valid_length);
    if !is_ended || !fits {
        return Ok(None);
    }
    Ok(Some(Victim {
        name: name.to_owned(),
        tombstone: Tombstone { header, seal },
        next_frame,
        next_seq,
        from,
        to,
        bytes: previous.length,
        sha256: previous.sha256,
        reason,
    }))
}
