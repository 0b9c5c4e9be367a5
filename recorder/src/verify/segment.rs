//! One segment under verification: its header checked against its name and the key, and its walk once it was walked.

use super::finding::{Finding, Kind};
use super::walk::{Expected, Rules, Walk, name_of, walk};
use crate::chain::key::{Domain, OriginPublic};
use crate::store::StoreError;
use crate::store::directory::SegmentFile;
use crate::store::format::{FrameHeader, SegmentHeader};
use crate::store::reader::SegmentReader;
use crate::store::tombstone::Tombstone;

/// A minute, for frames whose events are older than the segment that they begin.
const SLACK: i64 = 60_000_000_000;

/// What is known about a segment.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub file: &'a SegmentFile,
    pub name: String,
    /// `None` when it is torn, changed or unreadable.
    pub header: Option<SegmentHeader>,
    /// Retention removed it: what is known about it is in its tombstone.
    pub removed: bool,
    /// Header of its seal, in its tombstone.
    pub seal: Option<FrameHeader>,
    /// The header is a part of one, as a crash leaves it.
    pub headless: bool,
    pub walk: Option<Walk>,
    /// What is wrong with it as a whole.
    pub findings: Vec<Finding>,
    /// What is worth knowing about it.
    pub notes: Vec<Finding>,
}

impl<'a> Segment<'a> {
    /// Reads and checks the header.
    pub(super) fn open(file: &'a SegmentFile, key: Option<&OriginPublic>) -> Self {
        let mut segment = Self::unread(file);
        match SegmentReader::open(&file.path) {
            Ok(Some(reader)) => {
                let header = reader.header().clone();
                segment.check(&header, key);
                segment.header = Some(header);
            }
            Ok(None) => segment.headless = true,
            Err(StoreError::Damaged { what, .. }) => {
                segment.find(Kind::SegmentHeader, format!("the header of the segment was changed: {what}"));
            }
            Err(error) => segment.find(Kind::Unreadable, error.to_string()),
        }
        segment
    }

    /// Reads and checks the tombstone of a removed segment.
    pub(super) fn open_tombstone(file: &'a SegmentFile, key: Option<&OriginPublic>) -> Self {
        let mut segment = Self { removed: true, ..Self::unread(file) };
        match Tombstone::read(file) {
            Ok((tombstone, _)) => {
                segment.check(&tombstone.header, key);
                segment.header = Some(tombstone.header);
                segment.seal = tombstone.seal;
            }
            Err(StoreError::Damaged { what, .. }) => {
                segment.find(Kind::TombstoneWrong, format!("the tombstone was changed: {what}"));
            }
            Err(error) => segment.find(Kind::Unreadable, error.to_string()),
        }
        segment
    }

    fn unread(file: &'a SegmentFile) -> Self {
        Self {
            file,
            name: name_of(&file.path),
            header: None,
            removed: false,
            seal: None,
            headless: false,
            walk: None,
            findings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Stands in for the walk of a removed segment in front of `next`; its leaves are in the tiles.
    pub(super) fn walk_tombstone(&mut self, next: Option<&SegmentHeader>) {
        let Some(header) = &self.header else { return };
        let end = match (&self.seal, next) {
            (Some(seal), _) => Some(Expected {
                frame_no: seal.frame_no.saturating_add(1),
                first_seq: seal.next_seq(),
                prev_link: seal.leaf_hash(),
                epoch: seal.epoch,
                lost_total: seal.lost_total,
                key: Some(seal.next_pk),
            }),
            // A crash ended it: its successor is what is signed.
            (None, Some(next)) => Some(Expected {
                frame_no: next.first_frame,
                first_seq: next.first_seq,
                prev_link: next.prev_link,
                epoch: header.epoch,
                lost_total: 0,
                key: None,
            }),
            (None, None) => None,
        };
        let stopped = self.seal.is_some_and(|seal| seal.is_stop());
        let ended = self.seal.is_some();
        self.walk = Some(Walk { in_front: true, end, ended, stopped, ..Walk::default() });
    }

    fn check(&mut self, header: &SegmentHeader, key: Option<&OriginPublic>) {
        if let Some(key) = key {
            if header.origin != *key.id() {
                self.find(Kind::ForeignSegment, format!("the segment is not of the origin {}", key.name()));
            } else if header.starts_epoch()
                && !key.verifies(Domain::Segment, &header.signed(), &header.signature)
            {
                let sentence = "the header of the segment is not signed by the origin key".to_owned();
                self.find(Kind::SegmentSignature, sentence);
            }
        }
        if (header.first_frame, header.attempt) != (self.file.first_frame, self.file.attempt) {
            self.find(Kind::SegmentName, format!("the segment is {} by its header", header.file_name()));
        }
    }

    /// Adds a finding about the segment as a whole.
    pub(super) fn find(&mut self, kind: Kind, sentence: String) {
        self.findings.push(Finding::new(kind, sentence).in_segment(&self.name));
    }

    /// Walks the segment. Frames are checked against the key only where the header is of that key.
    pub(super) fn walk(&self, rules: Rules<'_>) -> Result<Walk, StoreError> {
        let foreign = self.findings.iter().any(|finding| finding.kind == Kind::ForeignSegment);
        let key = rules.key.filter(|_| !foreign);
        walk(&self.file.path, self.header.as_ref(), Rules { key, ..rules })
    }

    /// Its walk, when it was asked for and not walked for its keys only.
    pub(super) fn asked(&self) -> Option<&Walk> {
        self.walk.as_ref().filter(|walk| !walk.in_front)
    }

    /// Whether it can have frames from that range of time. `next` is the segment behind it.
    pub(super) fn overlaps(&self, next: Option<&Self>, rules: Rules<'_>) -> bool {
        let begins = self.header.as_ref().map_or(i64::MIN, |header| header.created.saturating_sub(SLACK));
        let ends = next.and_then(|next| next.header.as_ref());
        let ends = ends.map_or(i64::MAX, |header| header.created.saturating_add(SLACK));
        begins <= rules.until && ends >= rules.since
    }

    /// Whether its header is signed by the key that it must be, as far as that can be known.
    pub(super) fn is_genuine(&self) -> bool {
        let forged = |kind| matches!(kind, Kind::ForeignSegment | Kind::SegmentSignature);
        self.findings.iter().all(|finding| !forged(finding.kind))
    }

    /// Whether nothing about it is other than it must be.
    pub(super) fn is_whole(&self) -> bool {
        self.findings.is_empty() && self.walk.as_ref().is_none_or(|walk| walk.findings.is_empty())
    }
}
