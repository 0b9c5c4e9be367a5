//! Where things are: the workspace, its target folder, the tools kept there.
use std::path::{Path, PathBuf};

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The folder cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The folder of tools that `setup` prepared; goes away with `cargo clean`.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// The `recorder` program of a release or debug build.
pub fn recorder(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" }).join("recorder")
}

/// Whether this process may mount, attach probes and install packages.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
