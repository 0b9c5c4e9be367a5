//! Checks each segment against its neighbours: nothing missing, swapped, cut or changed between them.

use std::collections::BTreeSet;

use super::finding::{Finding, Kind};
use super::segment::Segment;
use super::tree::{Compared, Tree};
use super::walk::{Expected, Walk};
use crate::chain::key::Domain;
use crate::chain::{Hash, once};
use crate::store::format::{Previous, SegmentHeader, segment_flag};

/// What goes from one segment to the next.
pub(super) struct Joint<'a> {
    /// Number that the next segment must have.
    number: u32,
    /// The outer tree so far.
    tree: Tree<'a>,
    /// What the next header must follow; `None` when the frames in front of it were not met.
    end: Option<Expected>,
    /// Start of the recorder that wrote the last segment.
    epoch: u32,
    /// The boot that it ran under; `None` when its segment was not met.
    boot_id: Option<[u8; 16]>,
    /// Lost events of starts that are over.
    lost_before: u64,
    /// Lost events of the current start.
    lost: u64,
    not_append_only: u64,
    /// The keys that starts of the recorder announced.
    start_keys: BTreeSet<Hash>,
}

impl<'a> Joint<'a> {
    /// In front of the first segment.
    pub(super) const fn new(tree: Tree<'a>) -> Self {
        let end = Some(Expected::at_the_beginning());
        Self {
            number: 0,
            tree,
            end,
            epoch: 0,
            boot_id: None,
            lost_before: 0,
            lost: 0,
            not_append_only: 0,
            start_keys: BTreeSet::new(),
        }
    }

    /// Takes up the next segment behind `before`; adds what it finds to either.
    pub(super) fn take(&mut self, before: Option<&mut Segment<'_>>, segment: &mut Segment<'_>) {
        if let Some(header) = segment.header.clone() {
            let expected = self.number;
            if header.segment_no > expected {
                let missing = header.segment_no - expected;
                segment.find(
                    Kind::SegmentMissing,
                    format!("{missing} segments in front of this one are missing"),
                );
            } else if header.segment_no < expected {
                segment
                    .find(Kind::SegmentOrder, "the segment is there a second time, or too late".to_owned());
            }
            if header.segment_no != expected {
                self.tree.lose();
                self.boot_id = None;
            } else {
                self.check_start(before.as_deref(), segment, &header);
                self.check_joint(before, segment, &header);
            }
            self.number = header.segment_no;
            self.not_append_only += u64::from(header.flags & segment_flag::NOT_APPEND_ONLY != 0);
            if header.starts_epoch() && !self.start_keys.insert(header.next_pk) {
                let sentence = "the recorder starts with the one-time key of an earlier start".to_owned();
                segment.find(Kind::EpochBroken, sentence);
            }
            if header.epoch != self.epoch {
                self.lost_before += self.lost;
                self.lost = 0;
            }
            self.epoch = header.epoch;
            self.boot_id = Some(header.boot_id);
        } else {
            self.boot_id = None;
        }
        self.number = self.number.saturating_add(1);
        self.follow(segment);
        if !segment.is_genuine() {
            // What is in a segment of somebody else does not speak against the next one.
            self.end = None;
            self.tree.lose();
        }
    }

    /// Keeps the tree and the loss counter going.
    fn follow(&mut self, segment: &mut Segment<'_>) {
        if segment.headless {
            return;
        }
        let Some(walk) = &mut segment.walk else {
            self.end = None;
            return self.tree.lose();
        };
        self.end = walk.end;
        self.lost = walk.end.map_or(self.lost, |end| end.lost_total.max(self.lost));
        // Nobody needs them behind this: their memory goes with each segment.
        let mut leaves = std::mem::take(&mut walk.leaves);
        if let (true, Some(header), Some(end)) = (segment.removed, &segment.header, walk.end) {
            leaves = self.tree.leaves_of(header.first_frame, end.frame_no);
            if !ends_in(leaves.last(), header, &end) {
                let sentence = "what the tombstone ends with is not what the tree has there";
                segment.find(Kind::TombstoneWrong, sentence.to_owned());
            }
        }
        match segment.header.as_ref().map(|header| header.tree.clone()) {
            Some(stated) => self.tree.follow(&stated, &leaves, segment),
            None => self.tree.lose(),
        }
    }

    /// Checks who signed the header: the origin key where the recorder started, else the key that the seal before it
    /// announced.
    fn check_start(&self, before: Option<&Segment<'_>>, segment: &mut Segment<'_>, header: &SegmentHeader) {
        let known = before.is_some() || header.segment_no == 0;
        let starts = header.epoch == self.epoch.saturating_add(1);
        if known && (header.starts_epoch() != starts || (!starts && header.epoch != self.epoch)) {
            let sentence = format!(
                "the segment is of start {} of the recorder and does not follow start {}",
                header.epoch, self.epoch
            );
            segment.find(Kind::EpochBroken, sentence);
        } else if !starts && self.boot_id.is_some_and(|boot_id| boot_id != header.boot_id) {
            let sentence =
                "the segment is of another boot than the one before, and no start lies between them";
            segment.find(Kind::EpochBroken, sentence.to_owned());
        }
        // Where the segment before is cut, the key that was announced for this one is not there any more.
        let is_announced = before.is_none_or(|before| {
            before.walk.as_ref().is_some_and(|walk| walk.ended || is_as_stated(walk, header))
        });
        let key = self.end.and_then(|end| end.key).filter(|_| !header.starts_epoch() && is_announced);
        let genuine = |key| once::verifies(&key, Domain::Segment, &header.signed(), &header.signature);
        if !key.is_none_or(genuine) {
            let sentence =
                "the header of the segment is not signed by the one-time key that was announced for it";
            segment.find(Kind::SegmentSignature, sentence.to_owned());
        }
    }

    /// Checks that a segment goes on where the log in front of it ends; the first one, where there is none.
    fn check_joint(
        &mut self,
        before: Option<&mut Segment<'_>>,
        segment: &mut Segment<'_>,
        header: &SegmentHeader,
    ) {
        let behind_removed = before.as_ref().is_some_and(|before| before.removed);
        if let (Some(before), Some(previous)) = (before, header.previous) {
            if (previous.first_frame, previous.attempt) != (before.file.first_frame, before.file.attempt) {
                let sentence = "the segment was not made behind the one that is in front of it".to_owned();
                segment.find(Kind::SegmentOrder, sentence);
                return;
            }
            // What somebody else says does not speak against the segment before.
            if let Some(walk) = before.walk.take_if(|_| segment.is_genuine()) {
                if before.removed {
                    check_removed_end(before, !header.starts_epoch());
                } else {
                    check_end(before, &walk, &previous, !header.starts_epoch());
                }
                before.walk = Some(walk);
            }
        }
        // Where frames are missing in front of it, its tree can't be checked.
        let end = self.end.map_or(header.first_frame, |end| end.frame_no);
        let checked = self.tree.now().filter(|tree| **tree != header.tree && end == header.first_frame);
        if let Some(tree) = checked {
            let size = tree.size();
            if behind_removed {
                self.tree.tiles_are_wrong(size);
            } else {
                let sentence = format!("the tree over {size} frames is not the one that the header states");
                segment.find(Kind::TreeRoot, sentence);
            }
        }
        if let Some(end) = self.end {
            check_position(segment, &end, header);
        }
    }

    /// What holds for the log as a whole; `last` is its newest segment.
    pub(super) fn finish(self, last: Option<&mut Segment<'_>>) -> Ending<'a> {
        let lost = self.lost_before + self.lost;
        let (compared, mut findings) = self.tree.finish();
        if lost > 0 {
            let sentence = format!(
                "{lost} events were lost because the recorder could not keep up; gap events tell when"
            );
            findings.push(Finding::new(Kind::Lost, sentence));
        }
        if self.not_append_only > 0 {
            let sentence =
                format!("{} segments were written without the append-only flag", self.not_append_only);
            findings.push(Finding::new(Kind::NotAppendOnly, sentence));
        }
        let Some((last, walk)) = last.and_then(|last| last.walk.take().map(|walk| (last, walk))) else {
            return Ending { lost, compared, findings };
        };
        // A segment without a byte ends nothing: the log has its end in front of it, or none.
        match walk.torn.filter(|torn| torn.length > 0) {
            Some(torn) => {
                let sentence = format!(
                    "{} bytes of a frame that was never acknowledged: a crash, a frame being written at this moment, or a cut",
                    torn.length
                );
                findings.push(Finding::new(Kind::TornTail, sentence).in_segment(&last.name).at(torn.offset));
            }
            None if !walk.stopped && last.is_whole() => {
                let sentence = "the log has no end: recording goes on, the recorder was killed, or frames were \
                                cut off; only an anchor can tell";
                findings.push(Finding::new(Kind::NoEnd, sentence).in_segment(&last.name));
            }
            None => {}
        }
        last.walk = Some(walk);
        Ending { lost, compared, findings }
    }
}

/// What is known at the end of the log.
pub(super) struct Ending<'a> {
    /// Events that the recorder says were lost.
    pub lost: u64,
    /// Checkpoints from outside that could be compared.
    pub compared: Compared<'a>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Whether a segment has the length and the digest that the next one states.
fn is_as_stated(walk: &Walk, next: &SegmentHeader) -> bool {
    next.previous.is_some_and(|stated| {
        walk.length == stated.length && walk.sha256.is_none_or(|sha256| sha256 == stated.sha256)
    })
}

/// Checks the end of a segment against what the next one says about it.
fn check_end(before: &mut Segment<'_>, walk: &Walk, previous: &Previous, same_recorder: bool) {
    let whole = before.findings.is_empty() && walk.findings.is_empty();
    if walk.length != previous.length {
        let sentence = format!(
            "the segment has {} bytes; it had {} when the next one was begun",
            walk.length, previous.length
        );
        before.find(Kind::SegmentChanged, sentence);
    } else if walk.sha256.is_some_and(|sha256| sha256 != previous.sha256) {
        before.find(Kind::SegmentChanged, "the segment was changed after the next one was begun".to_owned());
    } else if whole && walk.valid_length != previous.valid_length {
        before.find(
            Kind::SegmentCut,
            "the segment's frames end elsewhere than the next segment says".to_owned(),
        );
    }
    match walk.torn {
        Some(torn)
            if torn.offset == previous.valid_length && walk.length == previous.length && !same_recorder =>
        {
            let sentence = format!(
                "{} bytes of a frame that a crash left unfinished; no event in it was acknowledged",
                torn.length
            );
            let finding = Finding::new(Kind::TornTail, sentence).in_segment(&before.name).at(torn.offset);
            before.notes.push(finding);
        }
        Some(_) => before.find(Kind::SegmentCut, "the segment ends in the middle of a frame".to_owned()),
        None if !whole || walk.stopped || (walk.ended && same_recorder) => {}
        None if same_recorder => {
            before.find(Kind::SegmentCut, "the same recorder went on without ending the segment".to_owned());
        }
        None => {
            let sentence = "the recorder did not end in order: it was killed, or the host went down";
            before.notes.push(Finding::new(Kind::UncleanStop, sentence).in_segment(&before.name));
        }
    }
}

/// Whether the last leaf of a removed segment is that of the header that the next one follows.
fn ends_in(last: Option<&Option<Hash>>, header: &SegmentHeader, end: &Expected) -> bool {
    match last {
        Some(Some(last)) => *last == end.prev_link,
        // The tile is missing, and that is told.
        Some(None) => true,
        None => header.link() == end.prev_link,
    }
}

/// Only a crash lets a segment end without a seal, and a new start of the recorder follows it.
fn check_removed_end(before: &mut Segment<'_>, same_recorder: bool) {
    if before.seal.is_none() && same_recorder {
        let sentence = "the tombstone has no seal, though the same recorder went on behind the segment";
        before.find(Kind::TombstoneWrong, sentence.to_owned());
    }
}

/// Checks that a segment begins where the one before it ended.
fn check_position(segment: &mut Segment<'_>, end: &Expected, header: &SegmentHeader) {
    if header.first_frame > end.frame_no {
        let finding = Finding::new(Kind::FrameMissing, "frames are missing in front of this segment");
        let finding = finding.in_segment(&segment.name).frames(end.frame_no, header.first_frame - 1);
        let events = header.first_seq.saturating_sub(end.first_seq);
        segment.findings.push(finding.events(end.first_seq, events));
    } else if header.first_frame < end.frame_no {
        segment.find(
            Kind::FrameRepeated,
            "the segment begins in front of the last frame of the one before".to_owned(),
        );
    } else if header.prev_link != end.prev_link {
        segment
            .find(Kind::ChainBroken, "the segment was not made behind the last frame before it".to_owned());
    } else if header.first_seq != end.first_seq {
        segment.find(Kind::EventNumbers, "its event numbers do not follow those before".to_owned());
    }
    let first = segment.walk.as_ref().and_then(|walk| walk.first);
    if first.is_some_and(|first| first.epoch == end.epoch && first.lost_total < end.lost_total) {
        segment.find(Kind::CounterBack, "fewer events are lost in total than before".to_owned());
    }
}
