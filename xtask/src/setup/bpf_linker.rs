//! bpf-linker of exactly the version that fits the LLVM inside the pinned rustc.
use super::say;
use crate::{command, workspace};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Later versions want an LLVM of their own on the machine.
const VERSION: &str = "0.10.4";

/// Reuses a fitting bpf-linker, or builds one into the tools folder.
pub fn prepare() -> Result<()> {
    let ours = workspace::tools().join("bin/bpf-linker");
    if fits(&ours) || fits(Path::new("bpf-linker")) {
        return Ok(());
    }
    say(&format!("building bpf-linker {VERSION} into {} (about two minutes)", workspace::tools().display()));
    let build = workspace::tools().join("build");
    command::run(
        command::cargo()
            .args(["install", "bpf-linker", "--locked", "--force", "--version", VERSION, "--root"])
            .arg(workspace::tools())
            .arg("--target-dir")
            .arg(&build),
    )?;
    let _ = std::fs::remove_dir_all(build);
    Ok(())
}

fn fits(program: &Path) -> bool {
    command::output(Command::new(program).arg("--version"))
        .is_ok_and(|text| text.split_whitespace().last() == Some(VERSION))
}
