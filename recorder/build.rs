//! Compiles the probes for the BPF target, so that plain `cargo build` gives a complete recorder.
use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> Result<()> {
    if std::env::var_os("CARGO_FEATURE_CAPTURE").is_none() {
        return Ok(());
    }
    println!("cargo:rerun-if-changed=../recorder-common");
    // SAFETY: the build script has one thread. Building `core` for the BPF target needs `-Z build-std`, which the
    // pinned stable toolchain accepts only under this variable; nothing else in the workspace sees it.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    let toolchain = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "1.95.0".to_owned());
    let probes = Package { name: "recorder-ebpf", root_dir: "../recorder-ebpf", ..Package::default() };
    build_ebpf([probes], Toolchain::Custom(&toolchain))
        .context("building the probes failed; `cargo xtask setup` prepares rust-src and bpf-linker")
}
