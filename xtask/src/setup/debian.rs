//! rust-src from the Debian archive, through package lists of our own: nothing is installed, /etc/apt is only read.
use super::say;
use crate::command;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The suite that carries the pinned version.
const SUITE: &str = "trixie-backports";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads and unpacks the package into `folder`; gives the folder to link as the sysroot's `src/rust`.
pub fn rust_src(version: &str, folder: &Path) -> Result<PathBuf> {
    let by_hand = "run `rustup component add rust-src` on a machine that can reach static.rust-lang.org, \
                   or install a rust-src of the same version by hand";
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !system.lines().any(|line| line == "ID=debian") {
        bail!("rustup could not bring it, and only Debian's archive has rust-src {version}: {by_hand}");
    }
    let mirror = mirror().with_context(|| format!("found no Debian mirror under /etc/apt: {by_hand}"))?;
    say(&format!("taking rust-src {version} from {SUITE} of {mirror}, through private package lists"));
    let apt = Apt::prepare(folder, &mirror)?;
    apt.run("apt-get", &["update", "-q"])?;
    let package = apt.newest(version)?;
    apt.run("apt-get", &["download", "-q", &package])?;
    let unpacked = folder.join("unpacked");
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            command::output(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&unpacked))?;
            fs::remove_file(entry.path())?;
        }
    }
    let source = unpacked.join(format!("usr/src/rustc-{version}"));
    if !source.is_dir() {
        bail!("the package {package} has no usr/src/rustc-{version}");
    }
    Ok(source)
}

/// apt with its sources, lists and cache in a folder of ours.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn prepare(folder: &Path, mirror: &str) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        for part in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("could not make {}", folder.display()))?;
        }
        let signed =
            if Path::new(KEYRING).is_file() { format!("Signed-By: {KEYRING}\n") } else { String::new() };
        let source = format!("Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\n{signed}");
        fs::write(folder.join("parts/backports.sources"), source)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let own = |name: &str, part: &str| format!("{name}={}", self.folder.join(part).display());
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-o", "Dir::Etc::SourceList=/dev/null", "-o", "APT::Sandbox::User=root"]);
        command.args([
            "-o",
            &own("Dir::Etc::SourceParts", "parts"),
            "-o",
            &own("Dir::State::Lists", "lists"),
        ]);
        command.args(["-o", &own("Dir::Cache", "cache")]);
        command::output(command.args(args))
    }

    /// `rust-src=<full version>` of the wanted upstream version.
    fn newest(&self, version: &str) -> Result<String> {
        let known = self.run("apt-cache", &["madison", "rust-src"])?;
        let full = known.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
        let wanted = format!("{version}+");
        let found = full.into_iter().find(|full| *full == version || full.starts_with(&wanted));
        found
            .map(|full| format!("rust-src={full}"))
            .with_context(|| format!("{SUITE} has no rust-src {version}"))
    }
}

/// The machine's own Debian mirror, from either format of sources.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").ok()?.flatten().map(|entry| entry.path()));
    files.sort();
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "sources" => mirror_in_stanzas(&text),
            "list" => mirror_in_lines(&text),
            _ => None,
        }
    })
}

/// The main archive is the one whose URI ends in `/debian`: security and third-party archives don't carry the suite.
fn is_main_archive(uri: &str) -> bool {
    uri.contains("://") && uri.trim_end_matches('/').ends_with("/debian")
}

fn mirror_in_stanzas(text: &str) -> Option<String> {
    let uris = text.lines().filter_map(|line| line.strip_prefix("URIs:"));
    uris.flat_map(str::split_whitespace).find(|uri| is_main_archive(uri)).map(str::to_owned)
}

fn mirror_in_lines(text: &str) -> Option<String> {
    let sources = text.lines().filter(|line| line.trim_start().starts_with("deb"));
    sources.flat_map(str::split_whitespace).find(|word| is_main_archive(word)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_both_formats() {
        let stanzas = "Types: deb\nURIs: http://deb.example/debian-security\n\nTypes: deb\nURIs: http://a.example/debian/\n";
        assert_eq!(mirror_in_stanzas(stanzas).as_deref(), Some("http://a.example/debian/"));
        let lines = "# deb http://no.example/debian x main\ndeb [signed-by=/k.gpg] https://b.example/debian bookworm main\n";
        assert_eq!(mirror_in_lines(lines).as_deref(), Some("https://b.example/debian"));
        assert_eq!(mirror_in_lines("deb https://packages.example/apt cloud main"), None);
    }
}
