//! Compiles the probes for the BPF target, so that plain `cargo build` gives a complete recorder.
//!
//! Not with aya-build: it cannot ask for the v3 instruction set, without which LLVM refuses atomics that return.
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// BPF v3 (Linux 5.12): 32-bit arithmetic, atomics that return what was there. BTF and function info for `bpf_loop`.
const FLAGS: [&str; 4] =
    ["--cfg=bpf_target_arch=\"x86_64\"", "-Ctarget-cpu=v3", "-Cdebuginfo=2", "-Clink-arg=--btf"];
const TARGET: &str = "bpfel-unknown-none";

/// PATH, with the folder first where `cargo xtask setup` puts bpf-linker.
fn path_with_tools() -> Result<OsString> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([workspace].into_iter().chain(std::env::split_paths(&path)))
        .context("a folder in PATH holds a colon")
}

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=../recorder-common");
    println!("cargo:rerun-if-changed=../recorder-ebpf");
    if std::env::var_os("CARGO_FEATURE_CAPTURE").is_none() {
        return Ok(());
    }
    let out = std::env::var("OUT_DIR").context("cargo sets OUT_DIR")?;
    // A target folder of its own: cargo holds the lock of the outer one.
    let target = Path::new(&out).join("probes");
    let status = Command::new(std::env::var("CARGO").context("cargo sets CARGO")?)
        .args(["build", "--quiet", "--release", "--package", "recorder-ebpf", "-Zbuild-std=core"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target)
        // `-Z build-std` on the pinned stable toolchain, for this call only.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", path_with_tools()?)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .env_remove("RUSTC")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .context("cargo could not be started")?;
    ensure!(
        status.success(),
        "building the probes failed; `cargo xtask setup` prepares rust-src and bpf-linker"
    );
    std::fs::copy(target.join(TARGET).join("release/recorder-ebpf"), Path::new(&out).join("recorder-ebpf"))
        .context("the probes were built, but not where expected")?;
    Ok(())
}
