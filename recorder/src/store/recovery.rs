//! What a writer finds at its start: where the log stands, how the last recorder ended, what the next segment commits to.
//! Only reads; a torn tail and damage stay as they are.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::directory::{Directory, SegmentFile};
use super::format::{FrameHeader, Previous, SegmentHeader, segment_flag};
use super::frames::{Frames, Payloads, Step};
use super::position::Position;
use super::reader::SegmentReader;
use super::tombstone::Tombstone;
use super::{CHECKPOINT_FILE, StoreError, Torn, checkpoint_file};
use crate::chain::key::{Domain, OriginPublic};
use crate::chain::{Hash, once};

/// Most lost frames whose places in the tree are filled; more can't be in one segment.
const MAX_MISSING: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where the log stands; `epoch` is that of the last recorder.
    pub position: Position,
    /// Number of the next segment.
    pub segment_no: u32,
    /// Attempt in the next segment's name.
    pub attempt: u16,
    /// What the next segment's header states about the last one.
    pub previous: Option<Previous>,
    /// Flags of the next segment.
    pub flags: u16,
    /// Whether the last recorder ended in order.
    pub clean: bool,
    /// Length of the last segment's torn tail.
    pub torn_bytes: u64,
    /// The first damage that was met.
    pub damage: Option<String>,
    /// Wall time of the last event or segment.
    pub last_time: Option<i64>,
    /// Boot id of the last recorder.
    pub boot_id: Option<[u8; 16]>,
}

/// Looks at the end of a store, as far back as there is a segment whose header holds.
pub(super) fn recover(directory: &Directory, key: &OriginPublic) -> Result<Found, StoreError> {
    let mut segments = directory.segments();
    // A crash between making a segment and its first byte leaves an empty file, which is used again.
    if let [before @ .., last] = segments
        && length(&last.path)? == 0
    {
        segments = before;
    }
    let Some(last) = segments.last() else { return Ok(Found { clean: true, ..Found::default() }) };
    let mut found = Found::default();
    let base = find_base(segments, key, directory, &mut found)?;
    if let Some((_, header)) = &base {
        found.start_from(header);
    }
    let first = base.as_ref().map_or(0, |(index, _)| *index);
    for segment in segments.get(first..).unwrap_or_default() {
        let end = found.walk(segment)?;
        found.segment_no = found.segment_no.saturating_add(1);
        if segment == last {
            found.commit_to(segment, end)?;
        }
    }
    let next = found.position.next_frame();
    let same_name =
        segments.iter().filter(|segment| segment.first_frame == next).map(|segment| segment.attempt);
    found.attempt = same_name.max().map_or(Some(0), |last| last.checked_add(1)).ok_or_else(|| {
        let what = "too many recorders ended before their first frame; move the store away".to_owned();
        StoreError::Unusable { path: directory.path().to_owned(), what }
    })?;
    Ok(found)
}

/// Refuses a store that has fewer frames than this host signed a checkpoint for. Going on would give their numbers to
/// other frames: two checkpoints of one size that contradict each other, for which no honest host can answer.
pub(super) fn check_size(
    state_dir: &Path,
    store: &Path,
    key: &OriginPublic,
    frames: u64,
) -> Result<(), StoreError> {
    let path = state_dir.join(CHECKPOINT_FILE);
    let signed = checkpoint_file::read(&path)?.filter(|checkpoint| checkpoint.verify(key).is_ok());
    match signed {
        Some(checkpoint) if checkpoint.size() > frames => Err(StoreError::RolledBack {
            path: store.to_owned(),
            frames,
            signed: checkpoint.size(),
            checkpoint: path,
        }),
        _ => Ok(()),
    }
}

/// The last segment whose header is whole and signed; `None` when no segment ever had a whole header.
fn find_base(
    segments: &[SegmentFile],
    key: &OriginPublic,
    directory: &Directory,
    found: &mut Found,
) -> Result<Option<(usize, SegmentHeader)>, StoreError> {
    for (index, segment) in segments.iter().enumerate().rev() {
        let header = match SegmentReader::open(&segment.path) {
            Ok(Some(reader)) => reader.header().clone(),
            Ok(None) => continue,
            Err(error @ StoreError::Damaged { .. }) => {
                found.damaged(&error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        if header.origin != *key.id() {
            let what = format!(
                "{} was written under another origin key than {key}; move the store away to begin a new log",
                segment.path.display()
            );
            return Err(StoreError::Unusable { path: directory.path().to_owned(), what });
        }
        if !is_signed(&header, key, directory)? {
            found.damaged(&format!("{}: the signature of its header is wrong", segment.path.display()));
        } else if (header.first_frame, header.attempt) == (segment.first_frame, segment.attempt) {
            return Ok(Some((index, header)));
        } else {
            found.damaged(&format!("{}: it is {} by its header", segment.path.display(), header.file_name()));
        }
    }
    if found.damage.is_none() {
        return Ok(None);
    }
    let what = "no segment header in it holds, so the log can't be continued; verify it, then move it away"
        .to_owned();
    Err(StoreError::Unusable { path: directory.path().to_owned(), what })
}

/// Whether a header is signed by the key that must sign it. Where the seal that announced that key is not there (any
/// more), there is nothing to check it with; `verify` says what that means.
fn is_signed(header: &SegmentHeader, key: &OriginPublic, directory: &Directory) -> Result<bool, StoreError> {
    let signed = header.signed();
    if header.starts_epoch() {
        return Ok(key.verifies(Domain::Segment, &signed, &header.signature));
    }
    let is_before = |file: &&SegmentFile| {
        header.previous.is_some_and(|previous| {
            (previous.first_frame, previous.attempt) == (file.first_frame, file.attempt)
        })
    };
    let mut announced = None;
    if let Some(before) = directory.segments().iter().find(is_before) {
        let Ok(Some(mut reader)) = SegmentReader::open(&before.path) else { return Ok(true) };
        // Damage is found when the segment is walked.
        while let Ok(Some(frame)) = reader.next_header() {
            announced = frame.header.is_seal().then_some(frame.header.next_pk);
        }
    } else if let Some(removed) = directory.tombstones().iter().find(is_before) {
        announced = Tombstone::read(removed).ok().and_then(|(tombstone, _)| Some(tombstone.seal?.next_pk));
    }
    Ok(announced.is_none_or(|key| once::verifies(&key, Domain::Segment, &signed, &header.signature)))
}

fn length(path: &Path) -> Result<u64, StoreError> {
    std::fs::metadata(path).map(|meta| meta.len()).map_err(StoreError::io(path, "reading the length"))
}

/// Length and digest of a whole file.
fn digest(path: &Path) -> Result<(u64, Hash), StoreError> {
    let reading = || StoreError::io(path, "reading");
    let mut file = File::open(path).map_err(reading())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer).map_err(reading())?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
        length += read.len() as u64;
    }
    Ok((length, hash.finalize().into()))
}

impl Found {
    fn damaged(&mut self, what: &str) {
        self.damage.get_or_insert_with(|| what.to_owned());
        self.flags |= segment_flag::PREVIOUS_DAMAGED;
    }

    fn start_from(&mut self, header: &SegmentHeader) {
        self.position = Position {
            epoch: header.epoch,
            next_seq: header.first_seq,
            prev_link: header.link(),
            tree: header.tree.clone(),
        };
        self.segment_no = header.segment_no;
        self.boot_id = Some(header.boot_id);
        self.last_time = Some(header.created);
    }

    /// Follows the frames of a segment; gives the end of those that hold without a gap.
    fn walk(&mut self, segment: &SegmentFile) -> Result<u64, StoreError> {
        self.clean = false;
        self.torn_bytes = 0;
        let mut frames = Frames::open(&segment.path)?;
        let mut valid = 0;
        let mut whole = true;
        match SegmentReader::open(&segment.path) {
            Ok(Some(reader)) => {
                valid = reader.offset();
                frames.seek(valid);
            }
            Ok(None) => {
                self.torn_bytes = frames.length()?;
                return Ok(0);
            }
            Err(_) => {
                whole = false;
                if !frames.skip_damage()? {
                    return Ok(0);
                }
            }
        }
        loop {
            match frames.step(Payloads::All)? {
                Step::Frame(frame) => {
                    frames.seek(frame.offset + frame.header.frame_len());
                    whole &= self.take(&frame.header, &segment.path);
                    if whole {
                        valid = frames.offset();
                    }
                }
                Step::End => break,
                Step::Torn(Torn { length, .. }) => {
                    self.torn_bytes = length;
                    break;
                }
                Step::Damaged(what) => {
                    whole = false;
                    let offset = frames.offset();
                    self.damaged(&format!("{}: damaged at byte {offset}: {what}", segment.path.display()));
                    if !frames.skip_damage()? {
                        break;
                    }
                }
            }
        }
        self.clean &= whole && self.torn_bytes == 0;
        Ok(valid)
    }

    /// Moves behind a frame; `false` when it is not the next one. Numbers are never given twice, so a frame behind a hole
    /// still counts; a doubled one does not.
    fn take(&mut self, header: &FrameHeader, path: &Path) -> bool {
        let follows = self.position.is_followed_by(header);
        if !follows {
            self.damaged(&format!("{}: frames are missing or doubled", path.display()));
            // The key of a frame behind a hole went with the hole. That its epoch fits must do: a made-up frame can only
            // make the log skip numbers, and it stays where `verify` finds it.
            if header.epoch == self.position.epoch {
                self.fill_up_to(header.frame_no, &header.prev_link);
            }
        }
        if header.frame_no == self.position.next_frame() {
            self.position.advance(header, header.leaf_hash());
            self.clean = header.is_stop();
            self.last_time = Some(header.t_last);
        }
        follows
    }

    /// Puts placeholders where frames are missing, so that numbers go on behind them. Only the last missing leaf is known.
    fn fill_up_to(&mut self, frame_no: u64, prev_link: &Hash) {
        let missing = frame_no.saturating_sub(self.position.next_frame());
        if missing > MAX_MISSING {
            return;
        }
        for index in 1..=missing {
            self.position.tree.push(if index == missing { *prev_link } else { [0; 32] });
        }
    }

    fn commit_to(&mut self, segment: &SegmentFile, valid_length: u64) -> Result<(), StoreError> {
        let (length, sha256) = digest(&segment.path)?;
        if self.torn_bytes > 0 {
            self.flags |= segment_flag::PREVIOUS_TORN;
        }
        let (first_frame, attempt) = (segment.first_frame, segment.attempt);
        self.previous = Some(Previous { first_frame, attempt, length, valid_length, sha256 });
        Ok(())
    }
}
