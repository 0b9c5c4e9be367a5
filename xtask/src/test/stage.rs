//! One stage of a test run: one line a person can read, the whole output in a log, the telling part shown on failure.
use super::tally::{SKIPPED, Tally};
use crate::{command, workspace};
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _, pipe};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Lines shown of a failed stage that has no list of failures.
const TAIL: usize = 60;
/// Characters shown of a line.
const WIDTH: usize = 300;

/// Numbers the stages.
pub struct Stages {
    current: usize,
    total: usize,
}

impl Stages {
    /// A run of this many stages.
    pub fn new(total: usize) -> Self {
        Self { current: 0, total }
    }

    /// A stage that runs here; a failure counts as one failed test.
    pub fn direct(&mut self, name: &str, tally: &mut Tally, work: impl FnOnce() -> Result<()>) {
        let begin = Instant::now();
        let label = self.announce(name);
        match work() {
            Ok(()) => println!("{label} ok ({} s)", begin.elapsed().as_secs()),
            Err(error) => {
                println!("{label} FAILED ({} s): {error:#}", begin.elapsed().as_secs());
                tally.failed += 1;
            }
        }
    }

    /// A stage that counts tests by itself; what it must tell comes before its line.
    pub fn counted(&mut self, name: &str, tally: &mut Tally, work: impl FnOnce(&mut Tally) -> Result<()>) {
        let begin = Instant::now();
        let label = self.announce(name);
        let mut sums = Tally::default();
        let outcome = work(&mut sums);
        let seconds = begin.elapsed().as_secs();
        match outcome {
            Ok(()) if sums.failed == 0 => println!("{label} ok ({seconds} s): {}", sums.closing_line()),
            Ok(()) => println!("{label} FAILED ({seconds} s): {}", sums.closing_line()),
            Err(error) => {
                println!("{label} FAILED ({seconds} s): {error:#}");
                sums.failed += 1;
            }
        }
        tally.add(&sums);
    }

    /// A stage that is one cargo command; its test results are summed.
    pub fn cargo(&mut self, name: &str, tally: &mut Tally, args: &[&str]) {
        let begin = Instant::now();
        let label = self.announce(name);
        let mut sums = Tally::default();
        let outcome = observe(command::cargo().args(args), name, &mut sums);
        let seconds = begin.elapsed().as_secs();
        let counts =
            if args.first() == Some(&"test") { format!(": {}", sums.closing_line()) } else { String::new() };
        match outcome {
            Ok(Output { success: true, lines }) => {
                println!("{label} ok ({seconds} s){counts}");
                lines.iter().filter(|line| line.starts_with(SKIPPED)).for_each(|line| println!("    {line}"));
            }
            Ok(Output { success: false, lines }) => {
                telling(&lines).iter().for_each(|line| println!("    {}", cut(line)));
                println!("{label} FAILED ({seconds} s){counts}; all of it is in {}", log(name).display());
                // A build that failed, or a test program that crashed, has no result line of its own.
                sums.failed = sums.failed.max(1);
            }
            Err(error) => {
                println!("{label} FAILED: {error:#}");
                sums.failed += 1;
            }
        }
        tally.add(&sums);
    }

    /// A stage that builds something and then works with it: one test for each outcome, one line each.
    pub fn built(
        &mut self,
        name: &str,
        tally: &mut Tally,
        build: &mut Command,
        work: impl FnOnce() -> Result<Vec<Result<String>>>,
    ) {
        let begin = Instant::now();
        let label = self.announce(name);
        let done = observe(build, name, &mut Tally::default()).and_then(|Output { success, lines }| {
            if success {
                return work();
            }
            telling(&lines).iter().for_each(|line| println!("    {}", cut(line)));
            bail!("it can't be built; all of it is in {}", log(name).display())
        });
        let seconds = begin.elapsed().as_secs();
        let outcomes = done.unwrap_or_else(|error| vec![Err(error)]);
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        println!("{label} {} ({seconds} s)", if failed == 0 { "ok" } else { "FAILED" });
        for outcome in outcomes {
            match outcome {
                Ok(line) => {
                    println!("    {line}");
                    tally.passed += 1;
                }
                Err(error) => {
                    println!("    {error:#}");
                    tally.failed += 1;
                }
            }
        }
    }

    /// A stage that can't run here, said loudly.
    pub fn skip(&mut self, name: &str, reason: &str) {
        let label = self.announce(name);
        println!("{label} SKIPPED: {reason}");
    }

    fn announce(&mut self, name: &str) -> String {
        self.current += 1;
        let label = format!("stage {}/{} {name} ...", self.current, self.total);
        show_progress(&label);
        label
    }
}

struct Output {
    success: bool,
    lines: Vec<String>,
}

/// Runs a command; on a terminal its newest line is shown in passing.
fn observe(command: &mut Command, name: &str, sums: &mut Tally) -> Result<Output> {
    let place = log(name);
    std::fs::create_dir_all(place.parent().unwrap_or(&place))?;
    let mut log = File::create(&place).with_context(|| format!("could not write {}", place.display()))?;
    let (reader, writer) = pipe().context("could not make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("could not start cargo")?;
    // The command holds the writing ends; the pipe must end with the child.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = Vec::new();
    for bytes in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&bytes).into_owned();
        writeln!(log, "{line}")?;
        sums.read(&line);
        show_progress(line.trim());
        lines.push(line);
    }
    show_progress("");
    Ok(Output { success: child.wait()?.success(), lines })
}

fn log(name: &str) -> std::path::PathBuf {
    workspace::target().join("xtask").join(format!("{}.log", name.replace(' ', "-")))
}

/// Overwrites the terminal's current line; silent elsewhere.
fn show_progress(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let short: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        let _ = write!(stderr, "\r\x1b[K{short}{}", if short.is_empty() { "" } else { "\r" });
    }
}

/// The beginning of a line: some tests compare paths of 4,000 bytes. The log has it whole.
fn cut(line: &str) -> String {
    let mut short: String = line.chars().take(WIDTH).collect();
    if short.len() < line.len() {
        short.push_str(" [...]");
    }
    short
}

/// What a person needs of a failed stage: the output of failed tests and compile errors, else the last lines.
fn telling(lines: &[String]) -> Vec<&String> {
    let mut shown = Vec::new();
    let mut inside = false;
    for line in lines {
        if line == "failures:" || line.starts_with("error") {
            inside = true;
        } else if line.starts_with("test result:") || line == "successes:" {
            inside = false;
        }
        if inside {
            shown.push(line);
        }
    }
    if shown.is_empty() {
        shown = lines.iter().skip(lines.len().saturating_sub(TAIL)).collect();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::telling;

    #[test]
    fn failures_are_shown_wherever_they_stand() {
        let output = "test a ... FAILED\nfailures:\n---- a stdout ----\nleft != right\ntest result: FAILED. 0 passed\nmore";
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        assert_eq!(telling(&lines), ["failures:", "---- a stdout ----", "left != right"]);
        assert_eq!(telling(&lines[5..]), ["more"]);
    }
}
