//! `cargo xtask vm`: boots kernels that this machine doesn't run, and runs the recorder's live tests on each.
mod boot;
mod disk;
mod initramfs;
mod kernel;
mod plan;
mod report;

use crate::{command, setup};
use anyhow::{Context as _, Result, bail};
use boot::Boot;
use kernel::{Archive, Kernel, folder};
use plan::Step;
use report::Report;
use std::fs::File;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  cargo xtask vm
  cargo xtask vm --kernel 6.1 --lsm none --test live_probe
  cargo xtask vm --kernel 7.2 --test live_bounds -- name_of_a_test
Kernels, disk and logs are kept in target/vm. Processors are emulated, so it needs no root and is slow: about 10 s to
the first test.";

/// What `vm` takes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kernels, by series: the newest of each that Debian has
    #[arg(long, value_delimiter = ',', default_value = "6.1,6.12,7", value_name = "SERIES")]
    kernel: Vec<String>,
    /// Whether BPF is among the kernel's security modules
    #[arg(long, value_enum, default_value_t = Lsm::Both)]
    lsm: Lsm,
    /// Only this test program of the recorder; may be given again
    #[arg(long, value_name = "NAME")]
    test: Vec<String>,
    /// Arguments for each test program, such as the name of one test
    #[arg(last = true)]
    args: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Lsm {
    Bpf,
    None,
    Both,
}

impl Lsm {
    fn choices(self) -> &'static [bool] {
        match self {
            Self::Bpf => &[true],
            Self::None => &[false],
            Self::Both => &[false, true],
        }
    }
}

/// Boots each kernel with each choice of security modules and prints the table; fails when anything failed.
pub fn run(args: &Args) -> Result<()> {
    if !command::exists("qemu-system-x86_64") {
        bail!("QEMU is not installed: `apt-get install --no-install-recommends qemu-system-x86` brings it");
    }
    setup::run()?;
    let steps = plan::steps(&args.test, &args.args);
    let (kernels, disk, _lock) = prepare(&args.kernel, &steps)?;
    let mut rows = Vec::new();
    for kernel in &kernels {
        let initramfs = folder().join(format!("initramfs-{}.cpio", kernel.series));
        for has_bpf_lsm in args.lsm.choices().iter().copied() {
            let boot = Boot { kernel, has_bpf_lsm, initramfs: &initramfs, disk: &disk };
            println!("vm: booting {} ({}), lsm {}", kernel.series, kernel.release, boot.lsm());
            let report = boot.run(&steps)?;
            tell(&boot, &report);
            rows.extend(report.rows.into_iter().map(|row| (boot.name(), row)));
        }
    }
    let failed = rows.iter().filter(|(_, row)| row.outcome.is_failure()).count();
    println!("vm: {} of {} ok", rows.len() - failed, rows.len());
    if failed > 0 {
        bail!("{failed} failed; logs are in {}", folder().join("logs").display());
    }
    Ok(())
}

/// Kernels with their initramfs, and the disk; the lock keeps a second run away from these files.
fn prepare(series: &[String], steps: &[Step]) -> Result<(Vec<Kernel>, PathBuf, File)> {
    std::fs::create_dir_all(folder())?;
    let lock = File::create(folder().join("lock"))?;
    lock.lock().context("could not wait for another `cargo xtask vm`")?;
    let mut archive = Archive::new();
    let busybox = archive.busybox()?;
    let kernels = series.iter().map(|series| archive.kernel(series)).collect::<Result<Vec<_>>>()?;
    for kernel in &kernels {
        initramfs::write(kernel, &busybox, &folder().join(format!("initramfs-{}.cpio", kernel.series)))?;
    }
    let programs = plan::build(steps)?;
    let disk = disk::write(&programs, &plan::text(steps), Path::new(&busybox))?;
    Ok((kernels, disk, lock))
}

/// The rows of one boot, and what is left of a guest that broke off.
fn tell(boot: &Boot, report: &Report) {
    for row in &report.rows {
        let line = format!(
            "{:<6} {:<5} {:<8} {:<14} {:>4} s  {:<8} {}",
            boot.kernel.series,
            boot.lsm(),
            "syscall",
            row.name,
            row.seconds,
            row.outcome.word(),
            row.outcome.reason()
        );
        println!("{}", line.trim_end());
    }
    for line in &report.last_words {
        println!("    console: {line}");
    }
}
