//! What a verification can find: one variant per kind of cheating, damage or caution.

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A segment that is not there.
    SegmentMissing {
        /// File name of the segment behind the hole.
        segment: String,
        /// Segments missing before it.
        missing: u32,
    },
}
