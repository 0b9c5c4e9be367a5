//! rust-src of exactly the pinned rustc, in its sysroot: building `core` for the BPF target needs it.
use super::{debian, say};
use crate::{command, workspace};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Leaves a complete rust-src in the sysroot: from rustup, or where rustup can't download, from Debian.
pub fn prepare() -> Result<()> {
    let place = sysroot()?.join("lib/rustlib/src/rust");
    if is_complete(&place) {
        return Ok(());
    }
    if fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_symlink()) {
        say(&format!("removing the dangling link {}", place.display()));
        fs::remove_file(&place).with_context(|| format!("could not remove {}", place.display()))?;
    }
    say("rust-src is missing: asking rustup for it");
    match from_rustup() {
        Ok(()) if is_complete(&place) => return Ok(()),
        Ok(()) => say("rustup is content, but the sources are not complete"),
        Err(error) => say(&format!("{error:#}")),
    }
    let version = rustc_version()?;
    let unpacked = debian::rust_src(&version, &workspace::tools().join("rust-src"))?;
    link(&unpacked, &place)
}

/// `library/Cargo.lock` is what `-Z build-std` reads first.
fn is_complete(place: &Path) -> bool {
    place.join("library/core/src/lib.rs").is_file() && place.join("library/Cargo.lock").is_file()
}

fn from_rustup() -> Result<()> {
    let mut rustup = Command::new("rustup");
    rustup.current_dir(workspace::root()).args(["component", "add", "rust-src"]);
    command::output(&mut rustup).map(drop)
}

fn link(source: &Path, place: &Path) -> Result<()> {
    let parent = place.parent().context("the sysroot has no parent folder")?;
    fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
    say(&format!("linking {} to {}", place.display(), source.display()));
    std::os::unix::fs::symlink(source, place)
        .with_context(|| format!("could not make the link {}", place.display()))
}

fn sysroot() -> Result<PathBuf> {
    rustc(&["--print", "sysroot"]).map(|text| PathBuf::from(text.trim()))
}

fn rustc_version() -> Result<String> {
    let text = rustc(&["--version"])?;
    text.split_whitespace().nth(1).map(str::to_owned).context("rustc did not say its version")
}

fn rustc(args: &[&str]) -> Result<String> {
    command::output(Command::new("rustc").current_dir(workspace::root()).args(args))
}
