//! What a verification can find: one kind per way of cheating, damage or caution, with its place and a plain sentence.

use std::fmt;

use serde::Serialize;

/// How a finding counts for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// True and worth knowing; nothing is missing or changed.
    Warning,
    /// Something asked for could not be looked at.
    Incomplete,
    /// Someone or something changed the evidence.
    Tampered,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The public origin key is gone from the store.
    OriginMissing,
    /// The public origin key is not a key, or not the one that is trusted.
    OriginReplaced,
    /// A segment that another key signed.
    ForeignSegment,
    /// A segment header whose bytes do not hold.
    SegmentHeader,
    /// A segment header whose signature is wrong.
    SegmentSignature,
    /// A segment under another name than its own, or under none.
    SegmentName,
    /// Segments that are not there.
    SegmentMissing,
    /// A segment that is not the one that its successor names.
    SegmentOrder,
    /// A segment that was changed after the next one was begun.
    SegmentChanged,
    /// A segment that ends in the middle, though its successor says that it was whole.
    SegmentCut,
    /// A frame whose header does not hold.
    FrameHeader,
    /// A frame whose signature is wrong.
    FrameSignature,
    /// Frames that are not there.
    FrameMissing,
    /// A frame that is there twice, or too late.
    FrameRepeated,
    /// A frame that does not follow the frame before it.
    ChainBroken,
    /// Event numbers that leave some out or come again.
    EventNumbers,
    /// Payload bytes that are not those that were signed.
    PayloadHash,
    /// A payload that is not exactly one zstd frame.
    PayloadShape,
    /// Events that are not those that were signed.
    InnerRoot,
    /// Another number of events than stated.
    EventCount,
    /// An index that does not say what is in the frames: it would hide events from queries.
    Index,
    /// A counter that went back.
    CounterBack,
    /// A start of the recorder that is left out, comes again, or is none.
    EpochBroken,
    /// The tree over all frames is not the one that a segment header states.
    TreeRoot,
    /// A checkpoint that is of another tree, or signed by nobody who may.
    CheckpointWrong,
    /// The log is shorter than it was once.
    RolledBack,
    /// A tile that has other hashes than the frames give.
    TileWrong,
    /// Tombstones that are not those of the segments that retention removed.
    TombstoneWrong,
    /// A segment that retention must have kept.
    RemovedTooEarly,
    /// Bytes that belong to no frame.
    UncoveredBytes,
    /// Something behind the frame that ended a segment.
    BytesAfterEnd,
    /// A segment or the store that could not be read.
    Unreadable,
    /// Nothing was recorded in the range that was asked for.
    NothingFound,
    /// A crash left a part of a frame that was never acknowledged.
    TornTail,
    /// The recorder did not end in order.
    UncleanStop,
    /// The log has no end: nothing says that the recorder stopped.
    NoEnd,
    /// Events that the recorder could not keep up with.
    Lost,
    /// Segments were written without the append-only flag.
    NotAppendOnly,
    /// A tile that a crash left out or unfinished.
    TileUnfinished,
    /// A tile that has hashes of frames which are not there.
    TileAhead,
    /// A file that is no part of the store.
    UnknownFile,
    /// A receipt of a witness that says nothing, or not what it seems to.
    ReceiptWrong,
}

impl Kind {
    /// How it counts.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::OriginMissing
            | Self::OriginReplaced
            | Self::ForeignSegment
            | Self::SegmentHeader
            | Self::SegmentSignature
            | Self::SegmentName
            | Self::SegmentMissing
            | Self::SegmentOrder
            | Self::SegmentChanged
            | Self::SegmentCut
            | Self::FrameHeader
            | Self::FrameSignature
            | Self::FrameMissing
            | Self::FrameRepeated
            | Self::ChainBroken
            | Self::EventNumbers
            | Self::PayloadHash
            | Self::PayloadShape
            | Self::InnerRoot
            | Self::EventCount
            | Self::Index
            | Self::CounterBack
            | Self::EpochBroken
            | Self::TreeRoot
            | Self::CheckpointWrong
            | Self::RolledBack
            | Self::TileWrong
            | Self::TombstoneWrong
            | Self::RemovedTooEarly
            | Self::UncoveredBytes
            | Self::BytesAfterEnd => Severity::Tampered,
            Self::Unreadable | Self::NothingFound => Severity::Incomplete,
            Self::TornTail
            | Self::UncleanStop
            | Self::NoEnd
            | Self::Lost
            | Self::NotAppendOnly
            | Self::TileUnfinished
            | Self::TileAhead
            | Self::UnknownFile
            | Self::ReceiptWrong => Severity::Warning,
        }
    }
}

/// One thing that was found. Its `Display` is the sentence with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How it counts.
    pub severity: Severity,
    /// File name of the segment.
    pub segment: Option<String>,
    /// Byte in the segment.
    pub offset: Option<u64>,
    /// First and last frame concerned.
    pub frames: Option<(u64, u64)>,
    /// First and last event concerned, as far as known.
    pub events: Option<(u64, u64)>,
    /// What it means, in plain words.
    pub sentence: String,
}

impl Finding {
    /// A finding without a place.
    pub(crate) fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self {
            kind,
            severity: kind.severity(),
            segment: None,
            offset: None,
            frames: None,
            events: None,
            sentence,
        }
    }

    /// In a segment.
    #[must_use]
    pub(crate) fn in_segment(mut self, name: &str) -> Self {
        self.segment = Some(name.to_owned());
        self
    }

    /// At a byte of the segment.
    #[must_use]
    pub(crate) const fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// About these frames.
    #[must_use]
    pub(crate) const fn frames(mut self, first: u64, last: u64) -> Self {
        self.frames = Some((first, last));
        self
    }

    /// About `count` events from `first` on; nothing when there are none.
    #[must_use]
    pub(crate) const fn events(mut self, first: u64, count: u64) -> Self {
        if let Some(more) = count.checked_sub(1) {
            self.events = Some((first, first.saturating_add(more)));
        }
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(segment) = &self.segment {
            write!(formatter, "{segment}")?;
            if let Some(offset) = self.offset {
                write!(formatter, " at byte {offset}")?;
            }
            range(formatter, "frame", self.frames)?;
            range(formatter, "event", self.events)?;
            write!(formatter, ": ")?;
        }
        write!(formatter, "{}", self.sentence)
    }
}

fn range(formatter: &mut fmt::Formatter<'_>, what: &str, range: Option<(u64, u64)>) -> fmt::Result {
    match range {
        None => Ok(()),
        Some((first, last)) if first == last => write!(formatter, ", {what} {first}"),
        Some((first, last)) => write!(formatter, ", {what}s {first} to {last}"),
    }
}
