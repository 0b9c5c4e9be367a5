//! The Rust files of the workspace, parsed.
use super::Finding;
use anyhow::{Context as _, Result};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// One Rust file.
pub struct Source {
    /// Relative to the workspace.
    pub path: PathBuf,
    pub text: String,
    pub syntax: syn::File,
}

impl Source {
    /// Parses a file's text.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        let syntax = syn::parse_file(&text).with_context(|| format!("{} does not parse", path.display()))?;
        Ok(Self { path: path.to_owned(), text, syntax })
    }

    /// Test code has no size limits.
    pub fn is_test(&self) -> bool {
        let folders = ["tests", "benches", "examples"];
        let in_folder = self.path.iter().any(|part| folders.iter().any(|folder| part == *folder));
        in_folder || self.path.file_name().is_some_and(|name| name == "tests.rs")
    }

    /// A finding in this file.
    pub fn finding(&self, line: usize, message: String) -> Finding {
        Finding { path: self.path.clone(), line, message }
    }
}

/// First to last line of a syntax element.
pub fn lines(element: &impl syn::spanned::Spanned) -> RangeInclusive<usize> {
    let span = element.span();
    span.start().line..=span.end().line
}

/// Whether the attributes leave this out of ordinary builds, or make it a test.
pub fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg_test = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
        cfg_test || attribute.path().is_ident("test")
    })
}

/// Every Rust file of the workspace, in path order.
pub fn of_workspace(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in ["recorder", "recorder-common", "recorder-ebpf", "xtask"] {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        sources.push(Source::parse(path.strip_prefix(root).unwrap_or(&path), text)?);
    }
    Ok(sources)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}
