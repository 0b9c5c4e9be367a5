//! Section `[redact]`: what is blanked in the record.

use serde::{Deserialize, Serialize};

use super::Broken;
use crate::redact::pattern::Patterns;

/// Section `[redact]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redact {
    /// Whether secrets in arguments are blanked at all.
    pub enabled: bool,
    /// Whether the built-in rules are in force.
    pub builtin: bool,
    /// Own rules: regular expressions over the command line with a group `secret`.
    pub patterns: Vec<String>,
}

impl Default for Redact {
    fn default() -> Self {
        Self { enabled: true, builtin: true, patterns: Vec::new() }
    }
}

impl Redact {
    pub(super) fn judge(&self) -> Result<(), Broken> {
        let compiled = Patterns::compile(&self.patterns);
        compiled.map(drop).map_err(|error| ("redact.patterns", error.to_string()))
    }
}
