//! A place to run the recorder in: a directory, a daemon, a way to wait, and a clean end.

pub mod compare;
pub mod inject;
pub mod ledger;
pub mod program;
pub mod record;
pub mod strace;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use record::Record;
use tempfile::TempDir;

/// The binary under test.
pub const RECORDER: &str = env!("CARGO_BIN_EXE_recorder");
/// How long a condition may take on a busy two-core machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// How many times slower this machine is: set where processors are emulated.
const SLOWNESS: &str = "RECORDER_TEST_SLOWNESS";
/// `capture.family` for every daemon; the configuration's own default where it isn't set.
pub const FAMILY: &str = "RECORDER_TEST_FAMILY";

/// Waits until `condition` gives a value; says what was awaited when it does not. Where processors are emulated it
/// waits longer.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let slowness = std::env::var(SLOWNESS).ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    let limit = limit * slowness;
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to one process.
pub fn signal(pid: u32, number: i32) {
    let pid = i32::try_from(pid).expect("pid");
    // SAFETY: kill takes numbers only; the pid is one that this test started and has not yet waited for.
    unsafe { libc::kill(pid, number) };
}

/// A running `recorder daemon`.
pub struct Daemon {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its helper that was started with this word.
    pub fn helper(&self, word: &str) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(children).expect("children");
        let mut pids = children.split_whitespace().map(|pid| pid.parse::<u32>().expect("pid"));
        let has_word = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|&byte| byte == 0).nth(1) == Some(word.as_bytes())
        };
        pids.find(has_word).expect(word)
    }

    /// What it wrote to stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("stderr").clone()
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> (ExitStatus, String) {
        signal(self.pid(), libc::SIGTERM);
        let status = self.wait();
        (status, self.said())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        signal(self.pid(), libc::SIGKILL);
        self.wait();
    }

    /// Its exit status, once it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the daemon's end", LIMIT, || child.try_wait().expect("wait"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A directory on the root file system with a store in it.
pub struct Sandbox {
    directory: TempDir,
    config: Option<PathBuf>,
}

impl Sandbox {
    /// A new one; others may enter it, so that other users can be refused further in.
    pub fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("recorder-test-").tempdir_in("/var/tmp").expect("tempdir");
        std::fs::set_permissions(
            directory.path(),
            <std::fs::Permissions as PermissionsExt>::from_mode(0o755),
        )
        .expect("mode");
        let mut sandbox = Self { directory, config: None };
        if let Ok(family) = std::env::var(FAMILY) {
            sandbox.choose_family(&family);
        }
        sandbox
    }

    /// Chooses the families of hooks, whatever else is configured before or later.
    pub fn choose_family(&mut self, family: &str) {
        let path = self.path().join("recorder.toml");
        let drop_ins = self.path().join("recorder.toml.d");
        std::fs::create_dir_all(&drop_ins).expect("drop-ins");
        std::fs::write(drop_ins.join("family.toml"), format!("[capture]\nfamily = \"{family}\"\n"))
            .expect("drop-in");
        if !path.exists() {
            std::fs::write(&path, "").expect("config");
        }
        self.config = Some(path);
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// Writes a configuration that the daemon then uses.
    pub fn configure(&mut self, text: &str) {
        let path = self.path().join("recorder.toml");
        std::fs::write(&path, text).expect("config");
        self.config = Some(path);
    }

    /// A command of the recorder on this store.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(RECORDER);
        command.arg(verb).arg("--store").arg(self.store()).stdin(Stdio::null());
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
    }

    /// Starts the daemon; it may end at once when it refuses.
    pub fn spawn(&self) -> Daemon {
        start(self.command("daemon"))
    }

    /// Starts the daemon and waits until it records.
    pub fn record(&self) -> Daemon {
        self.wait_until_it_records(self.spawn())
    }

    /// The same, after something was done to the command.
    pub fn record_prepared(&self, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command("daemon");
        prepare(&mut command);
        self.wait_until_it_records(start(command))
    }

    /// The same, started by another program, which must become it.
    pub fn record_by(&self, program: &[&str]) -> Daemon {
        let daemon = self.command("daemon");
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg("--").arg(daemon.get_program()).args(daemon.get_args());
        command.stdin(Stdio::null());
        self.wait_until_it_records(start(command))
    }

    fn wait_until_it_records(&self, mut daemon: Daemon) -> Daemon {
        wait_for("recording", LIMIT, || {
            let said = daemon.said();
            if said.contains("recording store=") {
                return Some(());
            }
            if let Some(status) = daemon.child.try_wait().expect("wait") {
                panic!("the daemon ended with {status}:\n{said}");
            }
            None
        });
        daemon
    }

    /// Runs a verb to its end.
    pub fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb).args(arguments).output().expect("recorder")
    }

    /// Every durable event.
    pub fn events(&self) -> Vec<Record> {
        let output = self.run("query", &["--output", "jsonl"]);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "query: {code:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(Record::parse).collect()
    }

    /// No event was lost while recording; the time before it began is a gap of its own.
    pub fn assert_nothing_lost(&self, events: &[Record]) {
        let is_loss = |event: &&Record| event.kind() == "gap" && event.text("cause") != Some("not_recording");
        let gaps: Vec<_> = events.iter().filter(is_loss).collect();
        assert!(gaps.is_empty(), "{gaps:#?}");
    }

    /// Nothing is wrong with the store, whatever was lost: another test may have flooded every recorder on this machine.
    pub fn assert_honest(&self) {
        let output = self.run("verify", &["--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 5)), "{text}");
        assert!(!text.contains("tampering"), "{text}");
    }

    /// The verdict of `verify` on a store without anchors: consistent, nothing lost, exit code 5.
    pub fn assert_intact(&self) {
        let output = self.run("verify", &["--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: serde_json::Value = serde_json::from_str(&text).expect("report");
        assert_eq!(output.status.code(), Some(5), "{text}");
        let findings = report.get("findings").and_then(|findings| findings.as_array()).map_or(0, Vec::len);
        assert_eq!(findings, 0, "{text}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        release(self.path());
    }
}

/// Starts a daemon whose stderr is kept.
fn start(mut command: Command) -> Daemon {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("daemon");
    let said = Arc::new(Mutex::new(String::new()));
    let stderr = child.stderr.take().expect("stderr");
    let to = Arc::clone(&said);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut to = to.lock().expect("stderr");
            to.push_str(&line);
            to.push('\n');
        }
    });
    Daemon { child, said }
}

/// Takes `+a` and `+i` off everything below a directory, so that it can be removed.
pub fn release(path: &Path) {
    let _ = Command::new("chattr").args(["-R", "-f", "-i", "-a"]).arg(path).stderr(Stdio::null()).status();
}
