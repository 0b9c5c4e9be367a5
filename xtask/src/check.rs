//! `cargo xtask check`: the house rules that no lint covers. Each finding is one line: file, line, what to do.
mod document;
mod probe;
mod size;
mod source;
#[cfg(test)]
mod tests;
mod word;

use crate::workspace;
use anyhow::{Result, bail};
use source::Source;
use std::fmt;
use std::path::PathBuf;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// Checks the workspace; fails when a rule is broken.
pub fn run() -> Result<()> {
    let sources = source::of_workspace(workspace::root())?;
    let mut findings: Vec<Finding> = sources.iter().flat_map(findings_in).collect();
    findings.extend(document::check(workspace::root())?);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} broken house rules", findings.len());
    }
    Ok(())
}

fn findings_in(source: &Source) -> Vec<Finding> {
    let rules = [size::file, size::functions, word::names, word::opening, word::ignored, probe::hooks];
    rules.iter().flat_map(|rule| rule(source)).collect()
}
