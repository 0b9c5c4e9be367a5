//! `docs/verify.py`, the verifier that knows nothing of ours but docs/format.md, kept running to check many stores.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use recorder::chain::checkpoint::Checkpoint;
use recorder::verify::{VerifyOptions, verify};
use serde_json::Value;

use super::Scratch;

/// Its program.
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verify.py");

/// What ends a check that could not be made.
const COULD_NOT: u8 = 70;

pub struct Stranger {
    child: Child,
    answers: BufReader<ChildStdout>,
    headers_only: bool,
}

/// Why the program can't run here, if it can't.
fn missing() -> Option<&'static str> {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs("python3", &["-c", "import sys; assert sys.version_info >= (3, 11)"]) {
        Some("python3, 3.11 or later, can't be run here; install the package python3")
    } else if !runs("python3", &["-c", "import cryptography"]) {
        Some("Python has no `cryptography` here; install the package python3-cryptography")
    } else if !runs("zstd", &["--version"]) {
        Some("the program `zstd` can't be run here; install the package zstd")
    } else {
        None
    }
}

impl Stranger {
    /// Starts it; `None` where it can't run, and that is said.
    #[expect(clippy::print_stdout, reason = "a test that can't run says so")]
    pub fn start(headers_only: bool) -> Option<Self> {
        if let Some(why) = missing() {
            println!("SKIPPED: {why}");
            return None;
        }
        let mut command = Command::new("python3");
        command.arg(PROGRAM).arg("--batch").args(headers_only.then_some("--headers-only"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, answers, headers_only })
    }

    /// What it says of a store, and of a checkpoint that somebody kept in a file.
    fn report(&mut self, store: &Path, kept: Option<&Path>) -> Value {
        let kept = kept.map(|kept| format!("\t{}", kept.display())).unwrap_or_default();
        let question = format!("{}{kept}\n", store.display());
        self.child.stdin.as_mut().unwrap().write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Lets both verifiers check a store; what each says when their exit codes differ.
    pub fn compare(&mut self, scratch: &Scratch, checkpoint: Option<&Checkpoint>) -> Result<u8, String> {
        let options = VerifyOptions {
            headers_only: self.headers_only,
            checkpoint: checkpoint.cloned(),
            ..VerifyOptions::default()
        };
        let kept = scratch.store().with_file_name("kept");
        checkpoint.inspect(|checkpoint| std::fs::write(&kept, checkpoint.to_string()).unwrap());
        let ours = verify(&scratch.store(), &options, &mut |_| {});
        let code = ours.as_ref().map_or(COULD_NOT, |report| report.verdict.exit_code());
        let theirs = self.report(&scratch.store(), checkpoint.map(|_| kept.as_path()));
        if theirs.get("exit_code").and_then(Value::as_u64) == Some(code.into()) {
            return Ok(code);
        }
        let ours = ours.map_or_else(
            |error| error.to_string(),
            |report| format!("{:?} {:?}", report.verdict, report.findings),
        );
        Err(format!("recorder verify: {ours}\n    docs/verify.py: {theirs}"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
