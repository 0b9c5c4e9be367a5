//! Re-derives everything the store claims and names what does not hold.
//!
//! Pure judgement over `store::reader` and `chain`: no clock, no socket, no daemon; it never writes.
#![forbid(unsafe_code)]

pub mod finding;
pub mod report;

use std::path::Path;

use crate::chain::key::OriginPublic;
use crate::store::StoreError;
use report::Report;

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
}

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
    let _ = (options, progress);
    Err(StoreError::Unusable { path: path.to_owned(), what: "the verifier is being built".to_owned() })
}
