//! Words: names that say something, files that open with what they are, ignored tests that say why.
use super::Finding;
use super::source::{Source, lines};
use syn::visit::{self, Visit};

/// Drawers: a helper lives with its only user until there are two, then under its own noun.
const FORBIDDEN: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "types"];

/// No drawers, and no `x/x.rs` behind `x`.
pub fn names(source: &Source) -> Vec<Finding> {
    // The crate's own folder is named by the design.
    let parts: Vec<String> = source
        .path
        .with_extension("")
        .iter()
        .skip(1)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let mut findings = Vec::new();
    for part in parts.iter().filter(|part| FORBIDDEN.contains(&part.as_str())) {
        findings.push(source.finding(1, format!("`{part}` names nothing: use the noun of what is inside")));
    }
    if let [.., folder, file] = parts.as_slice()
        && folder == file
    {
        findings.push(source.finding(1, format!("`{folder}/{file}` says its name twice")));
    }
    findings
}

/// Every file opens with one to five `//!` lines (the picture in a `lib.rs` may be longer).
pub fn opening(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    // A format has one home: its page is included as the module's text.
    if first.starts_with("//! ") || first.starts_with("#![doc = include_str!(") {
        return Vec::new();
    }
    vec![source.finding(1, "opens without a `//!` line that says what this is".to_owned())]
}

/// `#[ignore]` carries its reason.
pub fn ignored(source: &Source) -> Vec<Finding> {
    let mut visitor = Ignored { source, findings: Vec::new() };
    visitor.visit_file(&source.syntax);
    visitor.findings
}

struct Ignored<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Ignored<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if matches!(&attribute.meta, syn::Meta::Path(path) if path.is_ident("ignore")) {
            let line = *lines(attribute).start();
            let message = "an ignored test says why: `#[ignore = \"root: cargo xtask test\"]`".to_owned();
            self.findings.push(self.source.finding(line, message));
        }
        visit::visit_attribute(self, attribute);
    }
}
