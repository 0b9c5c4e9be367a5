//! Packages from the Debian archive through package lists of our own: nothing is installed, /etc/apt is only read.
use crate::command;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with its sources, lists and cache in a folder of ours.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Empties `folder` and reads the lists of `suites` into it, from the mirror that this machine uses itself.
    pub fn prepare(folder: &Path, suites: &[&str]) -> Result<Self> {
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        if !system.lines().any(|line| line == "ID=debian") {
            bail!("this is not Debian, so its archive is not at hand");
        }
        let mirror = mirror().context("found no Debian mirror under /etc/apt")?;
        let _ = fs::remove_dir_all(folder);
        for part in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("could not make {}", folder.display()))?;
        }
        let signed =
            if Path::new(KEYRING).is_file() { format!("Signed-By: {KEYRING}\n") } else { String::new() };
        let suites = suites.join(" ");
        super::say(&format!("reading the lists of {suites} of {mirror}, apart from the system's own"));
        let source = format!("Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\n{signed}");
        fs::write(folder.join("parts/archive.sources"), source)?;
        let apt = Self { folder: folder.to_owned() };
        apt.run("apt-get", &["update", "-q"])?;
        Ok(apt)
    }

    /// Runs a program of apt on our lists; gives what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
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

    /// Downloads a package, `name` or `name=version`, and unpacks it into `place`.
    pub fn unpack(&self, package: &str, place: &Path) -> Result<()> {
        self.run("apt-get", &["download", "-q", package])?;
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "deb") {
                command::output(Command::new("dpkg").arg("-x").arg(entry.path()).arg(place))?;
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
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

/// The main archive is the one whose URI ends in `/debian`: security and third-party archives don't carry the suites.
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
