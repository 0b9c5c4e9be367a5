//! The outcome of a verification: verdict, what was asked, what is proven, findings.

use serde::Serialize;

use super::anchor::Anchored;
use super::finding::{Finding, Kind, Severity};
use crate::store::format::FrameHeader;

/// The verdict table of the design; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    /// To a fresh, cosigned head.
    Verified = 0,
    /// The same, with something worth knowing.
    VerifiedWithWarnings = 1,
    /// Changed.
    Tampered = 2,
    /// Not there, nothing found, unreadable.
    Incomplete = 3,
    /// The newest cosignature is too old.
    Stale = 4,
    /// Consistent in itself, but nothing outside the host vouches for it.
    Unanchored = 5,
}

impl Verdict {
    /// The verdict as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::VerifiedWithWarnings => "VERIFIED WITH WARNINGS",
            Self::Tampered => "TAMPERED",
            Self::Incomplete => "INCOMPLETE",
            Self::Stale => "STALE",
            Self::Unanchored => "UNANCHORED",
        }
    }

    /// Exit code of `recorder verify`.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self as u8
    }
}

/// A range of time, frames and events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// First and last segment, by file name.
    pub segments: Option<(String, String)>,
    /// First and last frame.
    pub frames: Option<(u64, u64)>,
    /// First and last event.
    pub events: Option<(u64, u64)>,
    /// Wall time of first and last event, ns since 1970.
    pub time: Option<(i64, i64)>,
}

impl Proven {
    /// Adds what is proven in the next segment.
    pub(super) fn extend(&mut self, segment: &str, first: &FrameHeader, last: &FrameHeader) {
        let from = |range: Option<(u64, u64)>, first| range.map_or(first, |(first, _)| first);
        let name = self.segments.take().map_or_else(|| segment.to_owned(), |(first, _)| first);
        self.segments = Some((name, segment.to_owned()));
        self.frames = Some((from(self.frames, first.frame_no), last.frame_no));
        if let Some(last_event) = last.next_seq().checked_sub(1).filter(|last| *last >= first.first_seq) {
            self.events = Some((from(self.events, first.first_seq), last_event));
        }
        self.time = Some((self.time.map_or(first.t_first, |(first, _)| first), last.t_last));
    }
}

/// Segments behind one another that retention removed. Their frames are in the tree all the same, their events are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Number of segments.
    pub segments: u64,
    /// First frame.
    pub first_frame: u64,
    /// The frame behind the last one.
    pub next_frame: u64,
    /// First event.
    pub first_event: u64,
    /// The event behind the last one.
    pub next_event: u64,
    /// When the first segment was begun, ns since 1970.
    pub from: i64,
    /// When the last one ended.
    pub until: i64,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// From, ns since 1970.
    pub since: Option<i64>,
    /// To, ns since 1970.
    pub until: Option<i64>,
    /// Payloads were left unread.
    pub headers_only: bool,
    /// How long every segment must have been kept at least, ns.
    pub retention: Option<i64>,
}

/// What [`super::verify`] found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// What was asked for.
    pub asked: Asked,
    /// What holds without a gap from its first to its last frame.
    pub proven: Proven,
    /// The key that the signatures were checked with, and whether it was given from outside.
    pub origin: Option<String>,
    /// Whether that key came from outside the store.
    pub origin_given: bool,
    /// Segments looked at.
    pub segments: u64,
    /// Frames looked at.
    pub frames: u64,
    /// Events looked at.
    pub events: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// Events that the recorder says were lost.
    pub lost: u64,
    /// Frames of the checkpoint that the log was compared with, when it could be.
    pub checkpoint: Option<u64>,
    /// How far witnesses outside the host vouch for the log.
    pub anchored: Option<Anchored>,
    /// What retention removed.
    pub removed: Vec<Removed>,
    /// What was found, in log order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something of this kind was found.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }

    /// Findings that only warn.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning)
    }
}

/// The verdict over findings, and over what the witnesses say: without those that are trusted, never better than unanchored.
#[must_use]
pub(super) fn judge(findings: &[Finding], anchored: Option<&Anchored>) -> Verdict {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Tampered) => return Verdict::Tampered,
        Some(Severity::Incomplete) => return Verdict::Incomplete,
        Some(Severity::Warning) | None => {}
    }
    let Some(anchored) = anchored.filter(|anchored| anchored.trusted) else { return Verdict::Unanchored };
    // Of a log that goes on, a fresh anchor says that its end is not long ago.
    let warns = |finding: &Finding| finding.kind != Kind::NoEnd;
    match (anchored.fresh, findings.iter().any(warns)) {
        (false, _) => Verdict::Stale,
        (true, true) => Verdict::VerifiedWithWarnings,
        (true, false) => Verdict::Verified,
    }
}
