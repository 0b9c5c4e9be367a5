//! Documents: a command shown in a fenced block of README.md or docs/ is one that exists.
use super::Finding;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The design names verbs of later issues on purpose.
const NOT_YET_TRUE: &[&str] = &["docs/design.md"];

/// Verbs of the two programs: one file per verb.
pub struct Verbs {
    pub recorder: BTreeSet<String>,
    pub xtask: BTreeSet<String>,
}

/// Checks README.md and docs/*.md against the verbs that the sources have.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut verbs = Verbs {
        recorder: verbs_of(&root.join("recorder/src/cli"))?,
        xtask: verbs_of(&root.join("xtask/src"))?,
    };
    // The one verb that is a part of its own.
    verbs.recorder.insert("daemon".to_owned());
    let mut findings = Vec::new();
    for path in documents(root)? {
        let text = fs::read_to_string(root.join(&path))
            .with_context(|| format!("could not read {}", path.display()))?;
        findings.extend(unknown_verbs(&path, &text, &verbs));
    }
    Ok(findings)
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root.join("docs")).context("could not list docs/")? {
        let path = Path::new("docs").join(entry?.file_name());
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
        .retain(|path| root.join(path).is_file() && !NOT_YET_TRUE.iter().any(|name| path == Path::new(name)));
    found.sort();
    Ok(found)
}

fn verbs_of(folder: &Path) -> Result<BTreeSet<String>> {
    let mut verbs = BTreeSet::from(["help".to_owned()]);
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        if let Some(stem) = entry?.path().file_stem().and_then(|stem| stem.to_str()) {
            verbs.insert(stem.replace('_', "-"));
        }
    }
    Ok(verbs)
}

/// Words after `recorder` or `cargo xtask` in fenced blocks that are no verb.
pub fn unknown_verbs(path: &Path, text: &str, verbs: &Verbs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let Some(verb) = verb_in(line).filter(|_| fenced) else { continue };
        let (program, verb, known) = match verb {
            Verb::Recorder(verb) => ("recorder", verb, &verbs.recorder),
            Verb::Xtask(verb) => ("cargo xtask", verb, &verbs.xtask),
        };
        if !known.contains(verb) {
            let message = format!("`{program} {verb}` does not exist");
            findings.push(Finding { path: path.to_owned(), line: number + 1, message });
        }
    }
    findings
}

enum Verb<'a> {
    Recorder(&'a str),
    Xtask(&'a str),
}

/// The verb of a command line such as `$ sudo target/release/recorder query ...`; none in a line of output.
fn verb_in(line: &str) -> Option<Verb<'_>> {
    let mut words =
        line.split_whitespace().filter(|word| !matches!(*word, "$" | "#" | "sudo" | "-E")).peekable();
    let program = words.next()?;
    if program == "cargo" {
        words.next_if_eq(&"xtask")?;
        return is_verb(words.next()?).map(Verb::Xtask);
    }
    if program != "recorder" && !program.ends_with("/recorder") {
        return None;
    }
    is_verb(words.next()?).map(Verb::Recorder)
}

fn is_verb(word: &str) -> Option<&str> {
    let plain = !word.is_empty()
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && !word.starts_with('-');
    plain.then_some(word)
}
