//! `docs/verify.py`, the verifier that knows nothing of ours but docs/format.md, kept running to check many stores.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use recorder::verify::{VerifyOptions, verify};
use serde_json::{Value, json};

use super::Scratch;

/// Its program.
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verify.py");

/// What ends a check that could not be made.
const COULD_NOT: u8 = 70;

/// All that this test program needs, or why there are none. They are started before any test writes a store: a child
/// that is just being made has a copy of the lock of each open store, and the next start would find it in use.
static STRANGERS: LazyLock<Result<Vec<Mutex<Stranger>>, &str>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    missing().map_or_else(|| Ok((0..processors).map(|_| Mutex::new(Stranger::start())).collect()), Err)
});

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

/// Whether there are any; if not, says so, and the test ends. To be asked before a test does anything else.
#[expect(clippy::print_stdout, reason = "a test that can't run says so")]
pub fn can_run() -> bool {
    STRANGERS.as_ref().inspect_err(|why| println!("SKIPPED: {why}")).is_ok()
}

/// The same, without a word.
pub fn is_there() -> bool {
    STRANGERS.is_ok()
}

/// What one of them answers to a line of `--batch`.
pub fn ask(question: &Value) -> Value {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let strangers = STRANGERS.as_ref().unwrap();
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % strangers.len();
    let idle = strangers.iter().find_map(|stranger| stranger.try_lock().ok());
    idle.unwrap_or_else(|| strangers.get(next).unwrap().lock().unwrap()).ask(question)
}

/// Lets both verifiers check a store; the exit code, or what each says when they differ.
pub fn compare(scratch: &Scratch, options: &VerifyOptions) -> Result<u8, String> {
    let kept = options.checkpoint.as_ref().map(|checkpoint| {
        let path = scratch.store().with_file_name("kept");
        std::fs::write(&path, checkpoint.to_string()).unwrap();
        path
    });
    let ours = verify(&scratch.store(), options, &mut |_| {});
    let code = ours.as_ref().map_or(COULD_NOT, |report| report.verdict.exit_code());
    let theirs =
        ask(&json!({"store": scratch.store(), "checkpoint": kept, "headers_only": options.headers_only}));
    if theirs.get("exit_code") == Some(&code.into()) {
        return Ok(code);
    }
    let ours = ours.map_or_else(
        |error| error.to_string(),
        |report| format!("{:?} {:?}", report.verdict, report.findings),
    );
    Err(format!("recorder verify: {ours}\n    docs/verify.py: {theirs}"))
}

struct Stranger {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Stranger {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.args([PROGRAM, "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, questions, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the stranger has ended: {:?}", self.child.try_wait());
        serde_json::from_str(&answer).unwrap()
    }
}
