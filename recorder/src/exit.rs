//! The exit codes, one table: the program uses it and `--help` prints it.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Done; found; verified; recording.
    pub const OK: Self = Self(0);
    /// Asked for, but nothing is there: no such event, not recording, not valid.
    pub const NOTHING: Self = Self(1);
    /// The command line or the configuration makes no sense.
    pub const USAGE: Self = Self(64);
    /// It could not be done.
    pub const FAILED: Self = Self(70);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Every exit code: verbs, code, meaning. `verify` has verdicts of its own, the rest is the same everywhere.
pub const TABLE: &[(&str, u8, &str)] = &[
    ("query follow show", 0, "found"),
    ("query follow show", 1, "nothing found"),
    ("session tree blame", 0, "found"),
    ("session tree blame", 1, "nothing found"),
    ("prove", 0, "written"),
    ("prove", 1, "no such event, or no checkpoint covers it yet"),
    ("status", 0, "recording"),
    ("status", 1, "not recording"),
    ("probe", 1, "a hook is missing"),
    ("config check", 1, "the configuration is not valid"),
    ("redaction check", 0, "this is the secret"),
    ("redaction check", 1, "it is not, or nothing was redacted"),
    ("ship --once", 0, "the newest checkpoint is anchored"),
    ("ship --once", 1, "too few witnesses cosigned it, or there is none yet"),
    ("verify", 0, "VERIFIED to a fresh, anchored head"),
    ("verify", 1, "VERIFIED WITH WARNINGS"),
    ("verify", 2, "TAMPERED"),
    ("verify", 3, "INCOMPLETE: the range is not there or cannot be read"),
    ("verify", 4, "STALE: the newest anchor is too old"),
    ("verify", 5, "UNANCHORED: consistent, but no trusted anchor"),
    ("every verb", 64, "usage: the command line or the configuration makes no sense"),
    ("every verb", 70, "could not do it, or not all of it"),
];

/// The table as text for `--help`.
#[must_use]
pub fn help() -> String {
    let rows = TABLE.iter().map(|(verbs, code, meaning)| format!("  {code:>2}  {verbs:<18}  {meaning}\n"));
    format!("Exit codes:\n{}", rows.collect::<String>().trim_end_matches('\n'))
}
