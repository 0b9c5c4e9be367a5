//! What is attached, where, and what is missing and why: the answer of `recorder probe`.

use recorder_common::kind::Kind;
use serde::Serialize;

use super::hooks::Hook;
use super::{Capture, CaptureError, Choice, Sizes};
use crate::config::Family;

/// Whether a hook delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In place.
    Attached,
    /// This kernel has no such call, so nobody can make it.
    Absent,
    /// Not in place, but hooks of another family serve the kind; `why` says what refused this one.
    Replaced,
    /// Not in place; `why` says the reason.
    Missing,
}

/// One hook, or one kernel field that is absent.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeRow {
    /// The kinds of event it serves, separated by blanks.
    pub event: String,
    /// Where it is attached, as people write it.
    pub hook: String,
    /// Attach family: `object`, `syscall`, `common`, `pam`, or `field`.
    pub family: &'static str,
    /// Whether it delivers.
    pub state: State,
    /// Why not; of one that is attached, why nothing proves that it fires.
    pub why: Option<String>,
}

impl ProbeRow {
    pub(super) fn new(hook: &Hook, state: State, why: Option<String>) -> Self {
        let family = match hook.place {
            super::hooks::Place::Btf(_) => "common",
            super::hooks::Place::Tracepoint(_) => "syscall",
            super::hooks::Place::Pam { .. } => "pam",
        };
        Self { event: hook.kind.name().to_owned(), hook: hook.name(), family, state, why }
    }

    pub(super) fn object(kinds: &[Kind], hook: String, state: State, why: Option<String>) -> Self {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        Self { event: names.join(" "), hook, family: "object", state, why }
    }

    pub(super) fn absent_field(field: &str) -> Self {
        Self {
            event: String::new(),
            hook: field.to_owned(),
            family: "field",
            state: State::Missing,
            why: Some("this kernel's types have no such field; what it tells is left out".to_owned()),
        }
    }
}

/// Attaches everything once, detaches it, and tells how it went. Records nothing.
///
/// # Errors
/// As [`Capture::start`].
pub fn probe_report(family: Family) -> Result<Vec<ProbeRow>, CaptureError> {
    let sizes = Sizes { critical: 1 << 16, files: 1 << 16 };
    let capture = Capture::start_with(sizes, Choice { family, ..Choice::default() })?;
    Ok(capture.rows().to_vec())
}
