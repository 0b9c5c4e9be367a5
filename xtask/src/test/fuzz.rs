//! A short run of every fuzz target, from its seeds, on the pinned stable toolchain. What a finding was made with is kept.

use super::stage::Stages;
use super::tally::Tally;
use crate::{command, workspace};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Stable flags of the compiler that make a program count which code it reaches. `recorder/fuzz/README.md` has them, too.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Ccodegen-units=1",
];
/// What the flags are for; build scripts go without them when it is named.
const MACHINE: &str = "x86_64-unknown-linux-gnu";
/// Seconds for each target.
const SECONDS: u32 = 10;

/// Builds the targets and runs each; one that finds something is a failed test. Skipped, loudly, where they can't be built.
pub fn run(stages: &mut Stages, tally: &mut Tally) {
    const NAME: &str = "fuzzing";
    if let Some(why) = obstacle() {
        stages.skip(NAME, &why);
        tally.skipped += 1;
        return;
    }
    let flags = FLAGS.join("\x1f");
    let manifest = folder().join("Cargo.toml");
    let mut build = command::cargo();
    build.args(["build", "--release", "--locked", "--target", MACHINE, "--manifest-path"]).arg(manifest);
    build.arg("--target-dir").arg(target()).env("CARGO_ENCODED_RUSTFLAGS", flags);
    stages.built(NAME, tally, &mut build, run_all);
}

/// Why nothing can be fuzzed here, if it can't.
fn obstacle() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some(format!("the flags are for x86-64, this machine is {}", std::env::consts::ARCH));
    }
    let compilers = ["c++", "g++", "clang++"];
    if std::env::var_os("CXX").is_none() && !compilers.iter().any(|name| command::exists(name)) {
        return Some("libFuzzer needs a C++ compiler: `apt-get install g++`".to_owned());
    }
    let manifest = folder().join("Cargo.toml");
    let fetched =
        command::output(command::cargo().args(["fetch", "--locked", "--manifest-path"]).arg(manifest));
    fetched.err().map(|error| format!("its crates could not be loaded: {error:#}"))
}

fn folder() -> PathBuf {
    workspace::root().join("recorder/fuzz")
}

/// Where it is built, so that a change of other flags builds nothing anew.
fn target() -> PathBuf {
    workspace::target().join("fuzz")
}

/// Every target is a file; the compiler has seen to it that each is built.
fn names() -> Result<Vec<String>> {
    let targets = folder().join("fuzz_targets");
    let entries = fs::read_dir(&targets).with_context(|| format!("could not read {}", targets.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Puts what longer runs came upon where the targets begin. What an earlier run of this left there goes: each finds the same.
fn unpack_corpus() -> Result<()> {
    let (corpus, packed) = (target().join("corpus"), folder().join("corpus.tar.gz"));
    if corpus.exists() {
        fs::remove_dir_all(&corpus).with_context(|| format!("could not remove {}", corpus.display()))?;
    }
    command::output(Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(target())).map(drop)
}

/// Runs the targets on all processors; gives the line of each, or what it found.
fn run_all() -> Result<Vec<Result<String>>> {
    unpack_corpus()?;
    let waiting = Mutex::new(names()?);
    let next = || waiting.lock().ok().and_then(|mut names| names.pop());
    let done = Mutex::new(Vec::new());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let outcome = fuzz(&name);
                    let Ok(mut done) = done.lock() else { break };
                    done.push((name, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(done.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Runs one target for some seconds.
fn fuzz(name: &str) -> Result<String> {
    let program = target().join(MACHINE).join("release").join(name);
    let finds = target().join("finds");
    let corpus = target().join("corpus").join(name);
    for folder in [&finds, &corpus] {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    let mut prefix = finds.into_os_string();
    prefix.push(format!("/{name}-"));
    let mut command = Command::new(&program);
    command.arg(format!("-max_total_time={SECONDS}")).args(["-print_final_stats=1", "-timeout=10"]);
    command.arg(format!("-artifact_prefix={}", prefix.display())).arg(corpus);
    command.arg(folder().join("seeds").join(name)).current_dir(target());
    let output = command.output().with_context(|| format!("could not start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}", finding(name, &program, &said));
    }
    summary(name, &said).with_context(|| format!("fuzz target {name} ended without having run"))
}

/// How much a target ran.
fn summary(name: &str, said: &str) -> Option<String> {
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units: "))?;
    let reached = said.rsplit_once(" cov: ").and_then(|(_, rest)| rest.split(' ').next());
    let reached = reached.map_or_else(String::new, |points| format!(", {points} points in the code reached"));
    Some(format!("{name}: {} executions in {SECONDS} s{reached}", runs.trim()))
}

/// What a person needs to see a finding again.
fn finding(name: &str, program: &Path, said: &str) -> String {
    let written = said.rsplit_once("Test unit written to ").and_then(|(_, rest)| rest.lines().next());
    let why = said.lines().skip_while(|line| !line.contains("panicked at")).take(2).collect::<Vec<_>>();
    let why =
        if why.is_empty() { said.lines().last().unwrap_or("no message").to_owned() } else { why.join(" ") };
    match written {
        Some(file) => format!(
            "fuzz target {name} found something: {why}; the input is kept in {file}; to see it again: {} {file}",
            program.display()
        ),
        None => format!("fuzz target {name} failed and kept no input: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{finding, summary};
    use std::path::Path;

    #[test]
    fn a_run_is_told_in_a_line() {
        let said = "#2\tINITED cov: 3 ft: 4 corp: 1/1b\n#9\tNEW    cov: 522 ft: 9 corp: 2/3b\n\
                    Done 9 runs in 10 second(s)\nstat::number_of_executed_units: 9\n";
        let line = "note: 9 executions in 10 s, 522 points in the code reached";
        assert_eq!(summary("note", said).as_deref(), Some(line));
        assert_eq!(summary("note", "nothing"), None);
    }

    #[test]
    fn a_finding_names_its_cause_its_input_and_how_to_see_it_again() {
        let said = "thread '<unnamed>' panicked at a.rs:1:2:\nleft is not right\n  0: main\n\
                    artifact_prefix='/t/note-'; Test unit written to /t/note-crash-1\nBase64: AA==\n";
        let told = finding("note", Path::new("/t/note"), said);
        assert!(told.contains("panicked at a.rs:1:2: left is not right"), "{told}");
        assert!(
            told.ends_with("kept in /t/note-crash-1; to see it again: /t/note /t/note-crash-1"),
            "{told}"
        );
        let killed = finding("note", Path::new("/t/note"), "");
        assert!(killed.contains("kept no input: no message"), "{killed}");
    }
}
