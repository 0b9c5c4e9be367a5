//! The disk of a guest: an ext4 image with the programs under test and the few of this machine that tests drive.
use super::kernel::{emptied, folder};
use super::plan::Programs;
use crate::command;
use anyhow::{Context as _, Result};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sparse: what isn't written takes no space.
const SIZE: &str = "1G";

/// Programs of this machine that tests want as they are, not as busybox has them. The first two are always there.
const PROGRAMS: [&str; 14] = [
    "sh",
    "true",
    "bash",
    "mount",
    "umount",
    "unshare",
    "chattr",
    "lsattr",
    "setfattr",
    "zstd",
    "strace",
    "findmnt",
    "mkfs.ext4",
    "setpriv",
];

/// Libraries that the recorder looks at without being linked to them.
const LIBRARIES: [&str; 1] = ["/usr/lib/x86_64-linux-gnu/libpam.so.0"];

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n";

/// Makes the image anew: it takes a second or two, and is never out of date.
pub fn write(programs: &Programs, plan: &str, busybox: &Path) -> Result<PathBuf> {
    let root = Root { place: emptied(&folder().join("root"))?, copied: HashSet::new() };
    let image = folder().join("disk.ext4");
    root.fill(programs, plan, busybox)?;
    if image.exists() {
        fs::remove_file(&image)?;
    }
    let mut mke2fs = Command::new("/sbin/mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d"]);
    command::output(mke2fs.arg(folder().join("root")).arg(&image).arg(SIZE))
        .context("making a disk image needs e2fsprogs")?;
    Ok(image)
}

/// The files of the image, while they are collected.
struct Root {
    place: PathBuf,
    copied: HashSet<PathBuf>,
}

impl Root {
    fn fill(mut self, programs: &Programs, plan: &str, busybox: &Path) -> Result<()> {
        for name in ["bin", "sbin", "lib", "lib64"] {
            fs::create_dir_all(self.place.join("usr").join(name))?;
            symlink(format!("usr/{name}"), self.place.join(name))?;
        }
        for name in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp", "vm"] {
            fs::create_dir_all(self.place.join(name))?;
        }
        for name in ["tmp", "var/tmp"] {
            fs::set_permissions(self.place.join(name), fs::Permissions::from_mode(0o1777))?;
        }
        self.text("etc/passwd", USERS, 0o644)?;
        self.text("etc/group", GROUPS, 0o644)?;
        self.text("vm/plan", plan, 0o644)?;
        self.text("vm/start", include_str!("start.sh"), 0o755)?;
        for program in PROGRAMS {
            if let Some(path) = command::find(program) {
                self.with_libraries(&path)?;
            }
        }
        LIBRARIES
            .iter()
            .map(Path::new)
            .filter(|path| path.is_file())
            .try_for_each(|path| self.with_libraries(path))?;
        // Tests name the recorder by the path it was built at.
        self.stripped(&programs.recorder, &programs.recorder)?;
        for (name, path) in &programs.tests {
            self.stripped(path, &Path::new("/vm").join(name))?;
        }
        self.applets(busybox)
    }

    fn text(&self, name: &str, content: &str, mode: u32) -> Result<()> {
        let to = self.place.join(name);
        fs::write(&to, content).with_context(|| format!("could not write {}", to.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    fn inside(&self, path: &Path) -> Result<PathBuf> {
        let to = self.place.join(path.strip_prefix("/").unwrap_or(path));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        Ok(to)
    }

    /// Debug information is most of a test program, and no test reads it.
    fn stripped(&mut self, from: &Path, to: &Path) -> Result<()> {
        let place = self.inside(to)?;
        command::output(Command::new("strip").arg("--strip-debug").arg("-o").arg(&place).arg(from))
            .context("binutils make the programs small")?;
        self.libraries_of(from)
    }

    fn with_libraries(&mut self, path: &Path) -> Result<()> {
        if self.copied.insert(path.to_owned()) {
            let to = self.inside(path)?;
            fs::copy(path, &to).with_context(|| format!("could not copy {}", path.display()))?;
            self.libraries_of(path)?;
        }
        Ok(())
    }

    fn libraries_of(&mut self, path: &Path) -> Result<()> {
        // A program without libraries makes ldd fail.
        let Ok(list) = command::output(Command::new("ldd").arg(path)) else { return Ok(()) };
        let libraries: Vec<PathBuf> =
            list.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect();
        libraries.iter().filter(|path| path.is_file()).try_for_each(|path| {
            if self.copied.insert(path.clone()) {
                let to = self.inside(path)?;
                fs::copy(path, &to).with_context(|| format!("could not copy {}", path.display()))?;
            }
            Ok(())
        })
    }

    /// busybox under each of its names that no real program has.
    fn applets(&self, busybox: &Path) -> Result<()> {
        let to = self.place.join("usr/bin/busybox");
        fs::copy(busybox, &to).with_context(|| format!("could not copy {}", busybox.display()))?;
        let names = command::output(Command::new(busybox).arg("--list"))?;
        for name in names.lines() {
            let is_there = ["usr/bin", "usr/sbin"]
                .iter()
                .any(|folder| self.place.join(folder).join(name).symlink_metadata().is_ok());
            if !is_there {
                symlink("busybox", self.place.join("usr/bin").join(name))?;
            }
        }
        Ok(())
    }
}
