//! `cargo xtask vm`: boots kernels that this machine doesn't run, and runs the recorder's live tests on each.
mod boot;
mod cost;
mod disk;
mod initramfs;
mod kernel;
mod plan;
mod report;

use crate::test::tally::Tally;
use crate::{command, setup};
use anyhow::{Context as _, Result, bail};
use boot::{Boot, Tell};
use cost::Costs;
use kernel::{Archive, Kernel, folder};
use plan::{Family, Step};
use report::{Outcome, Report};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "Examples:
  cargo xtask vm
  cargo xtask vm --kernel 6.1 --lsm none --test live_probe
  cargo xtask vm --kernel 6.12 --lsm none --family both --test live_truth
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
    /// Families of hooks that the daemons may use
    #[arg(long, value_enum, default_value_t = Family::Both)]
    family: Family,
    /// Guests at the same time; each has two emulated processors
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    jobs: usize,
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

/// What is booted and run.
pub struct Choice {
    /// A series, and whether BPF is among the security modules.
    boots: Vec<(String, bool)>,
    steps: Vec<Step>,
    jobs: usize,
    limit: Duration,
}

impl Choice {
    /// What `cargo xtask test` runs: the oldest kernel there is and a current one, one with and one without BPF among
    /// the security modules.
    pub fn of_stage() -> Self {
        let boots = vec![("6.1".to_owned(), false), ("6.12".to_owned(), true)];
        Self { boots, steps: plan::stage(), jobs: 2, limit: Duration::from_mins(25) }
    }

    fn of(args: &Args) -> Self {
        let choices = args.lsm.choices();
        let boots = args.kernel.iter().flat_map(|series| choices.iter().map(|lsm| (series.clone(), *lsm)));
        let (steps, jobs) = (plan::steps(&args.test, args.family, &args.args), args.jobs.max(1));
        Self { boots: boots.collect(), steps, jobs, limit: Duration::from_hours(6) }
    }

    /// How many results there will be.
    pub fn count(&self) -> usize {
        self.boots.len() * self.steps.len()
    }

    /// Fetches what is missing; the error says why nothing can be booted here.
    pub fn fetch(&self) -> Result<()> {
        if !command::exists("qemu-system-x86_64") {
            bail!(
                "QEMU is not installed: `apt-get install --no-install-recommends qemu-system-x86` brings it"
            );
        }
        std::fs::create_dir_all(folder())?;
        let _lock = lock()?;
        let mut archive = Archive::new();
        archive.busybox()?;
        self.boots.iter().try_for_each(|(series, _)| archive.kernel(series).map(drop))
    }
}

/// Boots each kernel with each choice of security modules and prints the table; fails when anything failed.
pub fn run(args: &Args) -> Result<()> {
    let choice = Choice::of(args);
    choice.fetch()?;
    setup::run()?;
    let mut tally = Tally::default();
    test(&choice, &mut tally, &|line, _| println!("{line}"))?;
    println!("vm: {}", tally.closing_line());
    if tally.failed > 0 {
        bail!("logs are in {}", folder().join("logs").display());
    }
    Ok(())
}

/// Runs one test program on each kernel, under each family of hooks, and gives the logs by kernel.
pub fn logs_of(test: &str, series: &[String]) -> Result<Vec<(String, String)>> {
    let boots = series.iter().map(|series| (series.clone(), false)).collect();
    let steps = plan::steps(&[test.to_owned()], Family::Both, &[]);
    let choice = Choice { boots, steps, jobs: 1, limit: Duration::from_hours(1) };
    choice.fetch()?;
    setup::run()?;
    let mut tally = Tally::default();
    self::test(&choice, &mut tally, &|line, _| println!("{line}"))?;
    let log = |series: &String| {
        let path = folder().join("logs").join(format!("{series}-none.log"));
        let text = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok((series.clone(), String::from_utf8_lossy(&text).into_owned()))
    };
    series.iter().map(log).collect()
}

/// Runs what is chosen and adds it to the sums; `tell` gets each line, and whether it tells of a failure.
pub fn test(choice: &Choice, tally: &mut Tally, tell: Tell<'_>) -> Result<()> {
    let end = Instant::now() + choice.limit;
    let (kernels, disk, _lock) = prepare(choice)?;
    let boots: Vec<Boot<'_>> = choice
        .boots
        .iter()
        .filter_map(|(series, has_bpf_lsm)| {
            let kernel = kernels.iter().find(|kernel| kernel.series == *series)?;
            Some(Boot { kernel, has_bpf_lsm: *has_bpf_lsm, initramfs: initramfs(series), disk: &disk })
        })
        .collect();
    let mut costs = Costs::default();
    for group in boots.chunks(choice.jobs) {
        for boot in group {
            tell(&format!("vm: booting {} ({})", boot.name(), boot.kernel.release), false);
        }
        for (boot, report) in group.iter().zip(at_once(group, &choice.steps, end, tell)) {
            let report = report?;
            report.costs.iter().for_each(|(program, count)| costs.add(&boot.kernel.series, program, *count));
            count(&report, tally);
        }
    }
    if costs.is_empty() {
        return Ok(());
    }
    tell(&format!("instructions that the verifier went through:\n{}", costs.table().trim_end()), false);
    for finding in cost::check(&costs)? {
        tell(&format!("verifier cost: {finding} (UPDATE_GOLDEN=1 writes the table anew)"), true);
        tally.failed += 1;
    }
    Ok(())
}

/// Runs a few guests beside each other.
fn at_once(boots: &[Boot<'_>], steps: &[Step], end: Instant, tell: Tell<'_>) -> Vec<Result<Report>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            boots.iter().map(|boot| scope.spawn(move || boot.run(&boot.fitting(steps), end, tell))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Report>>| {
            thread.join().unwrap_or_else(|_| bail!("the thread that watches a guest broke down"))
        };
        threads.into_iter().map(join).collect()
    })
}

/// The lock keeps a second run away from these files.
fn lock() -> Result<File> {
    let lock = File::create(folder().join("lock"))?;
    lock.lock().context("could not wait for another `cargo xtask vm`")?;
    Ok(lock)
}

fn initramfs(series: &str) -> PathBuf {
    folder().join(format!("initramfs-{series}.cpio"))
}

/// Kernels with their initramfs, and the disk.
fn prepare(choice: &Choice) -> Result<(Vec<Kernel>, PathBuf, File)> {
    let lock = lock()?;
    let mut archive = Archive::new();
    let busybox = archive.busybox()?;
    let mut kernels = Vec::new();
    for (series, _) in &choice.boots {
        let kernel = archive.kernel(series)?;
        initramfs::write(&kernel, &busybox, &initramfs(series))?;
        kernels.push(kernel);
    }
    let programs = plan::build(&choice.steps)?;
    let disk = disk::write(&programs, &plan::text(&choice.steps), &busybox)?;
    Ok((kernels, disk, lock))
}

fn count(report: &Report, tally: &mut Tally) {
    for row in &report.rows {
        match row.outcome {
            Outcome::Passed => tally.passed += 1,
            Outcome::Skipped(_) => tally.skipped += 1,
            Outcome::Failed(_) | Outcome::NotRun(_) => tally.failed += 1,
        }
    }
}
