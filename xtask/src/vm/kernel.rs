//! Kernels to boot, as Debian packages: unpacked below the target folder, only what a boot needs is kept.
use crate::setup::apt::Apt;
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// 6.1 comes from the first, 6.12 from the second, 7.x from the third, and 5.10, which is too old for the recorder, from
/// the last.
const SUITES: [&str; 4] = ["bookworm", "bookworm-backports", "trixie-backports", "bullseye"];

/// Modules a guest needs, in the order in which they can be loaded. What a kernel has built in has no file.
const MODULES: [&str; 10] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "loop",
    "brd",
    "fuse",
];

/// `major * 1000 + minor` of a kernel as it names itself; 0 when it can't be told.
pub fn number(release: &str) -> u32 {
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    parts.next().map_or(0, |major| major * 1000 + parts.next().unwrap_or(0))
}

/// A kernel that can be booted.
pub struct Kernel {
    /// As the caller named it, such as `6.12`.
    pub series: String,
    /// As it names itself.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// Module files in loading order.
    pub modules: Vec<PathBuf>,
}

/// busybox and kernels, downloaded when they aren't there yet.
pub struct Archive {
    apt: Option<Apt>,
}

impl Archive {
    /// Nothing is read from the network before something is missing.
    pub fn new() -> Self {
        Self { apt: None }
    }

    fn apt(&mut self) -> Result<&Apt> {
        if self.apt.is_none() {
            self.apt = Some(Apt::prepare(&folder().join("apt"), &SUITES)?);
        }
        self.apt.as_ref().context("apt was prepared")
    }

    /// A statically linked busybox.
    pub fn busybox(&mut self) -> Result<PathBuf> {
        let place = folder().join("busybox");
        if !place.is_file() {
            println!("vm: downloading busybox-static");
            let unpacked = emptied(&folder().join("unpacked"))?;
            self.apt()?.unpack("busybox-static", &unpacked)?;
            move_file(&unpacked.join("bin/busybox"), &place)?;
            fs::remove_dir_all(unpacked)?;
        }
        Ok(place)
    }

    /// The kernel of a series: the one kept from an earlier run, else the newest of the archive.
    pub fn kernel(&mut self, series: &str) -> Result<Kernel> {
        let place = folder().join("kernels").join(series);
        if !place.join("release").is_file() {
            self.fetch(series, &place)?;
        }
        let release = fs::read_to_string(place.join("release"))?.trim().to_owned();
        let file = |name: &str| {
            let names = [format!("{name}.ko"), format!("{name}.ko.xz")];
            names.iter().map(|name| place.join("modules").join(name)).find(|path| path.is_file())
        };
        let modules = MODULES.iter().filter_map(|name| file(name)).collect();
        Ok(Kernel { series: series.to_owned(), release, image: place.join("vmlinuz"), modules })
    }

    fn fetch(&mut self, series: &str, place: &Path) -> Result<()> {
        if series.is_empty() || !series.chars().all(|c| c.is_ascii_digit() || c == '.') {
            bail!("`{series}` is no kernel series: name it like 6.1, 6.12 or 7");
        }
        let apt = self.apt()?;
        let pattern = format!("^linux-(image|binary)-{}\\..*-cloud-amd64$", series.replace('.', "\\."));
        let found = apt.run("apt-cache", &["search", "--names-only", &pattern])?;
        let names = found.lines().filter_map(|line| line.split(' ').next());
        let package = names.max_by_key(|name| rank(name)).map(str::to_owned);
        let package = package.with_context(|| format!("{} have no kernel {series}", SUITES.join(", ")))?;
        let release = package.split('-').skip(2).collect::<Vec<_>>().join("-");
        println!("vm: downloading {package}");
        let unpacked = emptied(&folder().join("unpacked"))?;
        apt.unpack(&package, &unpacked)?;
        // Newer kernels have their modules in a package of their own.
        if package.starts_with("linux-binary-") {
            apt.unpack(&format!("linux-modules-{release}"), &unpacked)?;
        }
        let modules = emptied(&place.join("modules"))?;
        for path in files_below(&unpacked)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let module = name.strip_suffix(".xz").unwrap_or(&name).strip_suffix(".ko");
            if module.is_some_and(|module| MODULES.contains(&module.replace('-', "_").as_str())) {
                move_file(&path, &modules.join(&name))?;
            } else if name.starts_with("vmlinuz") {
                move_file(&path, &place.join("vmlinuz"))?;
            } else if name.starts_with("config-") {
                move_file(&path, &place.join("config"))?;
            }
        }
        fs::remove_dir_all(unpacked)?;
        if !place.join("vmlinuz").is_file() {
            bail!("the package {package} has no vmlinuz");
        }
        // Written last: with it the kernel is complete.
        fs::write(place.join("release"), release)?;
        Ok(())
    }
}

/// Where all of it is kept.
pub fn folder() -> PathBuf {
    workspace::target().join("vm")
}

/// An empty folder.
pub fn emptied(place: &Path) -> Result<PathBuf> {
    if place.is_dir() {
        fs::remove_dir_all(place).with_context(|| format!("could not empty {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("could not make {}", place.display()))?;
    Ok(place.to_owned())
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("could not move {} to {}", from.display(), to.display()))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// The numbers in a package's name, by which versions compare; a package with the plain kernel wins over its twin.
fn rank(name: &str) -> (Vec<u64>, bool) {
    let version = name.split("-cloud").next().unwrap_or(name);
    let digits = version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (digits.collect(), name.starts_with("linux-binary-"))
}

#[cfg(test)]
mod tests {
    use super::{number, rank};

    #[test]
    fn kernels_compare_by_number() {
        assert_eq!(["6.1.0-40-cloud-amd64", "6.12.90", "x"].map(number), [6001, 6012, 0]);
    }

    #[test]
    fn the_newest_package_is_taken() {
        let names = [
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.90+deb12-cloud-amd64",
            "linux-image-6.12.90+deb12.1-cloud-amd64",
            "linux-image-6.12.85+deb12-cloud-amd64",
        ];
        assert_eq!(names.into_iter().max_by_key(|name| rank(name)), Some(names[2]));
        let twins = ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-image-7.3.4+deb13-cloud-amd64"];
        assert_eq!(twins.into_iter().max_by_key(|name| rank(name)), Some(twins[0]));
    }
}
