//! The first file system of a guest: busybox, the modules of its kernel, and a script that hands over to the disk.
use super::kernel::Kernel;
use anyhow::{Context as _, Result};
use cpio::newc;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Writes it as the kernel wants it; not compressed, because emulated processors unpack slowly.
pub fn write(kernel: &Kernel, busybox: &Path, place: &Path) -> Result<()> {
    let file = File::create(place).with_context(|| format!("could not write {}", place.display()))?;
    let mut archive = Archive { out: BufWriter::new(file), inode: 0 };
    for folder in ["bin", "dev", "proc", "disk", "modules"] {
        archive.add(folder, DIRECTORY, &[])?;
    }
    archive.device("dev/console", 5, 1)?;
    archive.add("bin/busybox", PROGRAM, &fs::read(busybox)?)?;
    archive.add("init", PROGRAM, include_bytes!("init.sh"))?;
    let mut order = String::new();
    for module in &kernel.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.add(&format!("modules/{name}"), PROGRAM, &fs::read(module)?)?;
        order.push_str(&name);
        order.push('\n');
    }
    archive.add("modules/order", PROGRAM, order.as_bytes())?;
    newc::trailer(archive.out)?.flush().context("could not finish the initramfs")
}

struct Archive {
    out: BufWriter<File>,
    inode: u32,
}

impl Archive {
    fn builder(&mut self, name: &str, mode: u32) -> newc::Builder {
        self.inode += 1;
        newc::Builder::new(name).ino(self.inode).mode(mode)
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let mut writer = self.builder(name, mode).write(&mut self.out, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        let builder = self.builder(name, CHARACTER_DEVICE).rdev_major(major).rdev_minor(minor);
        builder.write(&mut self.out, 0).finish()?;
        Ok(())
    }
}
