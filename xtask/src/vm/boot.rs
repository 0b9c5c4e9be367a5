//! One boot: QEMU with an emulated processor, the console in a file, the guest's report read line by line.
use super::kernel::{self, Kernel, folder};
use super::plan::Step;
use super::report::Report;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// From power on to the first line of the report: about 10 s on an idle machine.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// What a guest may take beyond the limits of its tests.
const GRACE: Duration = Duration::from_secs(60);
/// Bytes of a line that are read; the rest of it is dropped.
const LINE: usize = 64 * 1024;

/// Takes a line for the person who waits, and whether it tells of a failure.
pub type Tell<'a> = &'a (dyn Fn(&str, bool) + Sync);

/// One kernel under one choice of security modules.
pub struct Boot<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Whether the kernel has BPF among its security modules.
    pub has_bpf_lsm: bool,
    /// First file system.
    pub initramfs: PathBuf,
    /// The disk; what the guest writes to it is forgotten.
    pub disk: &'a Path,
}

/// QEMU, ended when this is dropped.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Boot<'_> {
    /// Short name, such as `6.1-bpf`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.kernel.series, self.lsm())
    }

    /// The steps that are for this kernel: the guest leaves out the others.
    pub fn fitting(&self, steps: &[Step]) -> Vec<Step> {
        let number = kernel::number(&self.kernel.release);
        steps.iter().filter(|step| step.since <= number).cloned().collect()
    }

    /// `bpf` or `none`.
    pub fn lsm(&self) -> &'static str {
        if self.has_bpf_lsm { "bpf" } else { "none" }
    }

    /// The file with everything that the kernel wrote to its console.
    pub fn console(&self) -> PathBuf {
        folder().join("logs").join(format!("{}.console", self.name()))
    }

    /// The file with the report and the output of the tests.
    pub fn log(&self) -> PathBuf {
        folder().join("logs").join(format!("{}.log", self.name()))
    }

    /// Boots, runs the plan that is on the disk, and waits for its end. A guest that hangs or panics is no error here:
    /// the report tells, and so does `tell` while it goes. At `end` it is broken off.
    pub fn run(&self, steps: &[Step], end: Instant, tell: Tell<'_>) -> Result<Report> {
        let place = format!("{:<6} {:<5}", self.kernel.series, self.lsm());
        fs::create_dir_all(folder().join("logs"))?;
        let mut guest = Guest(self.qemu().spawn().context("could not start qemu-system-x86_64")?);
        let lines = read(guest.0.stdout.take().context("QEMU has no output")?);
        let mut log = File::create(self.log())?;
        let mut report = Report::new(steps);
        let mut deadline = end.min(Instant::now() + BOOT_LIMIT);
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    writeln!(log, "{line}")?;
                    let limit = report.read(&line);
                    report.news(&place).iter().for_each(|(line, is_failure)| tell(line, *is_failure));
                    deadline = limit.map_or(deadline, |limit| end.min(Instant::now() + limit + GRACE));
                    if report.is_done() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let how = if Instant::now() >= end { "took the whole time of this run" } else { "hangs" };
                    report.broke_off(how, &self.last_words());
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    report.broke_off("ended early", &self.last_words());
                    break;
                }
            }
        }
        report.news(&place).iter().for_each(|(line, is_failure)| tell(line, *is_failure));
        Ok(report)
    }

    fn qemu(&self) -> Command {
        let lsm = if self.has_bpf_lsm { "landlock,lockdown,yama,bpf" } else { "landlock,lockdown,yama" };
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // QEMU 7.2 emulates cmpxchg16b in a way that makes kernel 6.12 panic.
        let cpus = if self.kernel.series.starts_with('7') { "1" } else { "2" };
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", cpus, "-m", "2048"]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(&self.initramfs);
        command.arg("-append").arg(format!("console=ttyS0 panic=-1 oops=panic quiet lsm={lsm}"));
        command.arg("-drive").arg(format!("file={},format=raw,if=virtio,snapshot=on", self.disk.display()));
        command.arg("-serial").arg(format!("file:{}", self.console().display()));
        command.args(["-serial", "stdio"]);
        // The snapshot is a temporary file, which can grow.
        command.env("TMPDIR", folder());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    /// The end of the console: where a panic or a stuck processor is told.
    fn last_words(&self) -> Vec<String> {
        let text = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(25)).map(|line| (*line).to_owned()).collect()
    }
}

/// Lines of the guest's report, as they come.
fn read(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = line.get(..LINE).unwrap_or(&line);
            let text = String::from_utf8_lossy(line).trim_end_matches('\r').to_owned();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    receiver
}
