//! The command line: one file per verb.

pub mod time;

/// Parses the command line, runs the verb, prints its error once.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
