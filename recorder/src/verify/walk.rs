//! Walks every byte of one segment and checks what can be checked without its neighbours.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::contents::{self, Events, Fault};
use super::finding::{Finding, Kind};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::{Domain, OriginPublic};
use crate::chain::{Hash, once};
use crate::store::format::{FRAME_HEADER, FormatError, FrameHeader, FrameKind, SegmentHeader};
use crate::store::frames::{Frame, Frames, Payloads, Step};
use crate::store::reader::SegmentReader;
use crate::store::retention::told::{self, Told};
use crate::store::{StoreError, Torn};

const AFTER_END: &str = "the recorder had ended the segment in front of these bytes";
/// Findings of one segment that are listed one by one.
const MAX_FINDINGS: usize = 100;

/// What a walk needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub key: Option<&'a OriginPublic>,
    pub headers_only: bool,
    /// In front of the range that was asked for.
    pub in_front: bool,
    pub since: i64,
    pub until: i64,
}

/// What a walk found out about a segment.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Walked for its keys only.
    pub in_front: bool,
    /// Length of the file.
    pub length: u64,
    /// End of the last frame that holds.
    pub valid_length: u64,
    /// Digest of the whole file, unless only headers were asked for.
    pub sha256: Option<Hash>,
    /// What a crash left at the end.
    pub torn: Option<Torn>,
    /// Leaf hashes in order; `None` where the frame is not there.
    pub leaves: Vec<Option<Hash>>,
    /// The first frame.
    pub first: Option<FrameHeader>,
    /// What a frame behind the last one would say; `None` when that can't be known.
    pub end: Option<Expected>,
    /// First and last frame before anything was found wrong.
    pub proven: Option<(FrameHeader, FrameHeader)>,
    /// Number of frames.
    pub frame_count: u64,
    /// Number of events.
    pub event_count: u64,
    /// Frames with events in the time that was asked for.
    pub in_range: u64,
    /// What the seal says about the tree in front of it, signed by the origin key.
    pub checkpoint: Option<Checkpoint>,
    /// What it tells of removed segments.
    pub told: Vec<Told>,
    /// Whether the last frame ends the segment and nothing follows.
    pub ended: bool,
    /// Whether the recorder ended in order with the last frame.
    pub stopped: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Walks the segment at `path`, whose header was read and checked for bytes already.
pub(super) fn walk(
    path: &Path,
    header: Option<&SegmentHeader>,
    rules: Rules<'_>,
) -> Result<Walk, StoreError> {
    let mut frames = Frames::open(path)?;
    let length = frames.length()?;
    let walk = Walk { length, in_front: rules.in_front, ..Walk::default() };
    let (name, has_header) = (name_of(path), header.is_some());
    let mut walker = Walker { walk, rules, name, events: Events::default(), has_header, unlisted: 0 };
    match header {
        Some(header) => {
            walker.walk.valid_length = header.encoded_len() as u64;
            frames.seek(header.encoded_len() as u64);
            walker.walk.end = Some(Expected::after_header(header));
            walker.walk_frames(&mut frames)?;
        }
        None if SegmentReader::open(path).is_ok_and(|reader| reader.is_none()) => {
            walker.walk.torn = Some(Torn { offset: 0, length });
        }
        // Without a header that holds the frames have no place; that they are there is still worth telling.
        None => {
            if frames.skip_damage()? {
                walker.walk_frames(&mut frames)?;
            }
        }
    }
    if !rules.headers_only {
        walker.walk.sha256 = Some(digest(&frames, length)?);
    }
    Ok(walker.walk)
}

/// File name, for findings.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn digest(frames: &Frames, length: u64) -> Result<Hash, StoreError> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(1 << 18);
        let bytes = frames.read(offset, wanted)?;
        if bytes.is_empty() {
            break;
        }
        hash.update(&bytes);
        offset += bytes.len() as u64;
    }
    Ok(hash.finalize().into())
}

/// What the next frame must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub frame_no: u64,
    pub first_seq: u64,
    pub prev_link: Hash,
    pub epoch: u32,
    pub lost_total: u64,
    /// The one-time key that was announced for it; `None` when the header in front is not there, zeros when none was.
    pub key: Option<Hash>,
}

impl Expected {
    /// In front of everything. No key is announced there: only a start of the recorder, which the origin key signs, can
    /// follow.
    pub(super) const fn at_the_beginning() -> Self {
        Self { frame_no: 0, first_seq: 0, prev_link: [0; 32], epoch: 0, lost_total: 0, key: Some([0; 32]) }
    }

    fn after_header(header: &SegmentHeader) -> Self {
        Self {
            frame_no: header.first_frame,
            first_seq: header.first_seq,
            prev_link: header.link(),
            epoch: header.epoch,
            lost_total: 0,
            key: Some(header.next_pk),
        }
    }

    fn after(header: &FrameHeader) -> Self {
        Self {
            frame_no: header.frame_no.saturating_add(1),
            first_seq: header.next_seq(),
            prev_link: header.leaf_hash(),
            epoch: header.epoch,
            lost_total: header.lost_total,
            key: Some(header.next_pk),
        }
    }
}

struct Walker<'a> {
    walk: Walk,
    rules: Rules<'a>,
    name: String,
    events: Events,
    has_header: bool,
    unlisted: u64,
}

impl Walker<'_> {
    fn walk_frames(&mut self, frames: &mut Frames) -> Result<(), StoreError> {
        while frames.offset() < self.walk.length {
            let payloads = if self.rules.headers_only { Payloads::Tombs } else { Payloads::All };
            match frames.step(payloads)? {
                Step::Frame(frame) => {
                    frames.seek(frame.offset + frame.header.frame_len());
                    self.frame(&frame);
                }
                Step::End => break,
                Step::Torn(torn) if self.walk.ended => {
                    self.add(Finding::new(Kind::BytesAfterEnd, AFTER_END).at(torn.offset));
                    break;
                }
                Step::Torn(torn) => {
                    self.walk.torn = Some(torn);
                    break;
                }
                Step::Damaged(what) => {
                    if !self.damage(frames, what)? {
                        break;
                    }
                }
            }
        }
        if self.unlisted > 0 {
            let more = format!("{} more findings of this segment are not listed", self.unlisted);
            let kind = self.walk.findings.last().map_or(Kind::UncoveredBytes, |finding| finding.kind);
            self.walk.findings.push(Finding::new(kind, more).in_segment(&self.name));
        }
        Ok(())
    }

    fn add(&mut self, finding: Finding) {
        if self.walk.findings.len() < MAX_FINDINGS {
            self.walk.findings.push(finding.in_segment(&self.name));
        } else {
            self.unlisted += 1;
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.header(&frame.header, frame.offset);
        if !self.rules.headers_only
            && let Err((kind, sentence)) = self.contents(frame)
        {
            let header = &frame.header;
            let finding =
                Finding::new(kind, sentence).at(frame.offset).frames(header.frame_no, header.frame_no);
            self.add(finding.events(header.first_seq, u64::from(header.count)));
        }
        if frame.header.kind == FrameKind::Tomb {
            match told::of_frame(frame) {
                Ok(told) => self.walk.told.extend(told),
                Err(why) => self.add(Finding::new(Kind::PayloadShape, why).at(frame.offset)),
            }
        }
        if self.walk.findings.is_empty() {
            let first = self.walk.proven.map_or(frame.header, |(first, _)| first);
            self.walk.proven = Some((first, frame.header));
            self.walk.valid_length = frame.offset + frame.header.frame_len();
        }
    }

    /// Checks a header against the key and the frames before it.
    fn header(&mut self, header: &FrameHeader, offset: u64) {
        let here = |kind, sentence: &str| {
            let finding = Finding::new(kind, sentence).at(offset).frames(header.frame_no, header.frame_no);
            finding.events(header.first_seq, u64::from(header.count))
        };
        if self.walk.ended {
            self.add(here(Kind::BytesAfterEnd, AFTER_END));
        }
        let announced = self.walk.end.filter(|end| end.frame_no == header.frame_no).and_then(|end| end.key);
        let genuine = |key| once::verifies(&key, Domain::Frame, &header.leaf(), &header.signature);
        if !announced.is_none_or(genuine) {
            let sentence = "the frame is not signed by the one-time key that was announced for it";
            self.add(here(Kind::FrameSignature, sentence));
        }
        if let Some(expected) = self.walk.end {
            if header.frame_no < expected.frame_no {
                let sentence = "the frame is there a second time, or behind frames that came later";
                self.add(here(Kind::FrameRepeated, sentence));
                return;
            }
            if header.frame_no > expected.frame_no {
                self.missing(header, &expected, offset);
            } else if header.prev_link != expected.prev_link {
                self.add(here(Kind::ChainBroken, "the frame was not made behind the frame before it"));
            } else if header.first_seq != expected.first_seq {
                self.add(here(Kind::EventNumbers, "its event numbers do not follow those before"));
            }
            if header.epoch != expected.epoch {
                self.add(here(
                    Kind::CounterBack,
                    "the frame is of another start of the recorder than its segment",
                ));
            }
            if header.lost_total < expected.lost_total {
                self.add(here(Kind::CounterBack, "fewer events are lost in total than before"));
            }
        }
        self.take(header);
    }

    fn take(&mut self, header: &FrameHeader) {
        let walk = &mut self.walk;
        walk.leaves.push(Some(header.leaf_hash()));
        walk.end = Some(Expected::after(header));
        walk.first.get_or_insert(*header);
        walk.frame_count += 1;
        walk.event_count += u64::from(header.count);
        walk.ended = header.is_seal();
        walk.stopped = header.is_stop();
        let overlaps = header.t_last >= self.rules.since && header.t_first <= self.rules.until;
        walk.in_range += u64::from(header.count > 0 && overlaps);
    }

    fn missing(&mut self, header: &FrameHeader, expected: &Expected, offset: u64) {
        let finding =
            Finding::new(Kind::FrameMissing, "frames are missing in front of this place").at(offset);
        let events = header.first_seq.saturating_sub(expected.first_seq);
        self.add(finding.frames(expected.frame_no, header.frame_no - 1).events(expected.first_seq, events));
        self.walk.leaves.push(None);
    }

    /// Checks what a frame holds, whose payload has the right digest.
    fn contents(&mut self, frame: &Frame) -> Result<(), Fault> {
        if !frame.header.is_seal() {
            return self.events.check(frame);
        }
        let seal = contents::seal(frame)?;
        self.walk.checkpoint = Some(contents::checkpoint(&seal, &frame.header, self.rules.key)?);
        // Behind anything that is wrong the index can't be known, nor without a header that says where the frames begin.
        if self.has_header && self.walk.findings.is_empty() {
            return self.events.check_index(&seal);
        }
        Ok(())
    }

    /// Names what is wrong at the current place and goes behind it; `false` when nothing whole follows.
    fn damage(&mut self, frames: &mut Frames, what: FormatError) -> Result<bool, StoreError> {
        let offset = frames.offset();
        let begun = frames.read(offset, FRAME_HEADER)?;
        if let (FormatError::PayloadHash, Ok(header)) = (what, FrameHeader::decode(&begun)) {
            let finding = Finding::new(Kind::PayloadHash, what.to_string()).at(offset);
            let finding = finding.frames(header.frame_no, header.frame_no);
            self.add(finding.events(header.first_seq, u64::from(header.count)));
            self.header(&header, offset);
            frames.seek(offset + header.frame_len());
            return Ok(true);
        }
        let found = frames.skip_damage()?;
        let behind = if found { frames.offset() } else { self.walk.length };
        let next = if found { FrameHeader::decode(&frames.read(behind, FRAME_HEADER)?).ok() } else { None };
        let length = behind - offset;
        let kind = self.what_was_there(&begun, next.as_ref());
        let finding = match kind {
            Kind::BytesAfterEnd => Finding::new(kind, AFTER_END),
            Kind::FrameHeader => Finding::new(kind, format!("the header of the frame was changed: {what}")),
            _ => Finding::new(kind, format!("{length} bytes belong to no frame: {what}")),
        };
        let finding = finding.at(offset);
        match (kind, self.walk.end, next) {
            (Kind::FrameHeader, Some(expected), Some(next)) => {
                let events = next.first_seq.saturating_sub(expected.first_seq);
                let finding = finding.frames(expected.frame_no, next.frame_no.saturating_sub(1));
                self.add(finding.events(expected.first_seq, events));
                // The hole is told; what follows is checked from the next frame on.
                self.walk.leaves.push(None);
                let (epoch, lost_total, key) = (expected.epoch, expected.lost_total, None);
                let (frame_no, first_seq, prev_link) = (next.frame_no, next.first_seq, next.prev_link);
                self.walk.end = Some(Expected { frame_no, first_seq, prev_link, epoch, lost_total, key });
            }
            (Kind::FrameHeader, Some(expected), None) => {
                self.add(finding.frames(expected.frame_no, expected.frame_no));
                self.walk.leaves.push(None);
                self.walk.end = None;
            }
            _ => self.add(finding),
        }
        Ok(found)
    }

    /// Whether bytes that are no frame were one once, or were put there.
    fn what_was_there(&self, begun: &[u8], next: Option<&FrameHeader>) -> Kind {
        if self.walk.ended {
            return Kind::BytesAfterEnd;
        }
        match (self.walk.end, next) {
            (Some(expected), Some(next)) if next.frame_no > expected.frame_no => Kind::FrameHeader,
            (_, None) if begun.starts_with(&FrameHeader::pattern()) || was_a_frame(begun) => {
                Kind::FrameHeader
            }
            _ => Kind::UncoveredBytes,
        }
    }
}

/// Whether bytes are a frame header but for the first ones, which are the same in each.
fn was_a_frame(begun: &[u8]) -> bool {
    let mut mended = FrameHeader::pattern();
    mended.extend(begun.iter().skip(mended.len()));
    FrameHeader::decode(&mended).is_ok()
}
