//! rust-src from the Debian archive, for machines where rustup can't download.
use super::apt::Apt;
use super::say;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// The suite that carries the pinned version.
const SUITE: &str = "trixie-backports";

/// Downloads and unpacks the package into `folder`; gives the folder to link as the sysroot's `src/rust`.
pub fn rust_src(version: &str, folder: &Path) -> Result<PathBuf> {
    let by_hand = "run `rustup component add rust-src` on a machine that can reach static.rust-lang.org, \
                   or install a rust-src of the same version by hand";
    say(&format!("taking rust-src {version} from Debian"));
    let apt = Apt::prepare(folder, &[SUITE])
        .with_context(|| format!("rustup could not bring rust-src {version}: {by_hand}"))?;
    let package = newest(&apt, version)?;
    let unpacked = folder.join("unpacked");
    apt.unpack(&package, &unpacked)?;
    let source = unpacked.join(format!("usr/src/rustc-{version}"));
    if !source.is_dir() {
        bail!("the package {package} has no usr/src/rustc-{version}");
    }
    Ok(source)
}

/// `rust-src=<full version>` of the wanted upstream version.
fn newest(apt: &Apt, version: &str) -> Result<String> {
    let known = apt.run("apt-cache", &["madison", "rust-src"])?;
    let full = known.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let wanted = format!("{version}+");
    let found = full.into_iter().find(|full| *full == version || full.starts_with(&wanted));
    found.map(|full| format!("rust-src={full}")).with_context(|| format!("{SUITE} has no rust-src {version}"))
}
