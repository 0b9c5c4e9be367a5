//! Running other programs: cargo with our tools on its PATH, and errors that name the command.
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `cargo`, in the workspace, with the tools folder first on PATH so that the build finds bpf-linker.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).env("PATH", path_with_tools());
    // What `cargo run` told this program about itself must not reach the builds it starts.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

fn path_with_tools() -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::iter::once(workspace::tools().join("bin"));
    std::env::join_paths(tools.chain(std::env::split_paths(&old))).unwrap_or(old)
}

/// Runs a command with its output shown; fails when it can't start or doesn't succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command quietly and gives what it printed; the error carries the last line of its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start {}", line(command)))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        let reason = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        bail!("{} failed: {}", line(command), reason.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether PATH has a program of this name.
pub fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// Where PATH has a program of this name.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live in sbin folders that an ordinary user's PATH leaves out.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
