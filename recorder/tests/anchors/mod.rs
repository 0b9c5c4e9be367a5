//! Witnesses for the tests: ours as a process, a foreign one from PyPI, and liars; a host that ships to them.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod foreign;
pub mod liar;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recorder::chain::Hash;
use recorder::chain::add_checkpoint::AddCheckpoint;
use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::OriginKey;
use recorder::chain::proof::{consistency, root};
use recorder::chain::tree::leaf_hash;

use crate::scratch::Scratch;

pub const RECORDER: &str = env!("CARGO_BIN_EXE_recorder");
/// Far above what anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A process whose messages are read as they come; ended when dropped.
pub struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, heard) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, said }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What follows `word` in the first line that has it, up to white space.
    pub fn hear(&self, word: &str) -> String {
        wait_for(word, || {
            let said = self.said();
            let rest = said.split_once(word)?.1.to_owned();
            rest.contains(char::is_whitespace)
                .then(|| rest.split_whitespace().next().unwrap_or("").to_owned())
        })
    }

    pub fn hears(&self, word: &str) {
        wait_for(&format!("{word} in {}", self.said()), || self.said().contains(word).then_some(()));
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Our witness.
pub struct Witness {
    pub dir: tempfile::TempDir,
    pub url: String,
    process: Option<Process>,
}

impl Witness {
    /// One of that name that knows a host by the key of its log.
    pub fn knowing(name: &str, key: &OriginKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        ours(dir.path(), &["key", "--name", name]);
        let enrolled = dir.path().join("enrolled");
        std::fs::write(&enrolled, format!("# from the host\nlog {}\n", key.public())).unwrap();
        ours(dir.path(), &["add", enrolled.to_str().unwrap()]);
        let mut witness = Self { dir, url: String::new(), process: None };
        witness.serve("127.0.0.1:0");
        witness
    }

    pub fn serve(&mut self, listen: &str) {
        let dir = self.dir.path().to_str().unwrap();
        let mut command = Command::new(RECORDER);
        let process = Process::start(command.args(["witness", "--dir", dir, "serve", "--listen", listen]));
        self.url = process.hear("witnessing url=");
        self.process = Some(process);
    }

    /// Its line of a policy, with its address.
    pub fn line(&self) -> String {
        format!("{} {}", ours(self.dir.path(), &["key"]).trim_end(), self.url)
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Killed and started again on the same address.
    pub fn restart(&mut self) {
        self.kill();
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        self.serve(&address);
    }
}

/// What `recorder witness` prints.
pub fn ours(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(RECORDER).args(["witness", "--dir"]).arg(dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The files of a host that ships: its configuration and policy, beside the store.
pub struct Shipping<'a> {
    pub scratch: &'a Scratch,
    pub receipts: PathBuf,
    pub policy: PathBuf,
    config: PathBuf,
}

impl<'a> Shipping<'a> {
    /// Ships to the witnesses of these lines, of which `needed` are enough.
    pub fn to(scratch: &'a Scratch, lines: &[String], needed: usize) -> Self {
        Self::with(scratch, lines, needed, "")
    }

    /// The same with more settings.
    pub fn with(scratch: &'a Scratch, lines: &[String], needed: usize, more: &str) -> Self {
        let folder = scratch.store().parent().unwrap().to_owned();
        let (receipts, policy) = (folder.join("receipts"), folder.join("policy"));
        let config = folder.join("recorder.toml");
        let names: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        let text = format!(
            "log {}\n{}\ngroup all-of-them {needed} {}\nquorum all-of-them\n",
            scratch.key().public(),
            lines.join("\n"),
            names.join(" ")
        );
        std::fs::write(&policy, text).unwrap();
        let text = format!(
            "[store]\ndir = {:?}\nstate_dir = {:?}\n[anchor]\npolicy = {:?}\nreceipts = {:?}\n{more}",
            scratch.store(),
            scratch.state(),
            policy,
            receipts
        );
        std::fs::write(&config, text).unwrap();
        Self { scratch, receipts, policy, config }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(RECORDER);
        command.args(arguments).arg("--config").arg(&self.config).env_remove("RECORDER_STORE");
        command
    }

    /// `recorder ship`, until dropped.
    pub fn follow(&self) -> Process {
        Process::start(&mut self.command(&["ship"]))
    }

    pub fn once(&self) -> (i32, String) {
        ended(&self.command(&["ship", "--once"]).output().unwrap())
    }

    /// `recorder verify` as somebody does who kept the policy; with more arguments.
    pub fn verify(&self, more: &[&str]) -> (i32, String) {
        let policy = self.policy.to_str().unwrap();
        let arguments = [&["verify", "--policy", policy], more].concat();
        ended(&self.command(&arguments).output().unwrap())
    }

    /// The same as the host itself does, which has only its own configuration.
    pub fn verify_here(&self) -> (i32, String) {
        ended(&self.command(&["verify"]).output().unwrap())
    }
}

/// Exit code and all that was printed.
pub fn ended(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A log that is nothing but its tree.
pub struct Tree {
    pub key: OriginKey,
    leaves: Vec<Hash>,
}

impl Tree {
    /// With another `salt`, another history of the same host.
    pub fn of(name: &str, salt: u8) -> Self {
        let leaves = (0..1_500u64).map(|number| leaf_hash(&[&number.to_be_bytes()[..], &[salt]].concat()));
        Self { key: OriginKey::from_seed(name, &[1; 32]).unwrap(), leaves: leaves.collect() }
    }

    pub fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint::sign(&self.key, size, root(&self.leaves, size).unwrap()).unwrap()
    }

    pub fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        let proof = consistency(&self.leaves, old.min(size), size).unwrap();
        AddCheckpoint { old, proof, checkpoint: self.checkpoint(size) }
    }
}

/// An answer as it came: status, type, body.
pub fn post(url: &str, body: &str) -> (u16, String, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    let mut answer = agent.post(format!("{url}/add-checkpoint")).send(body).unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.body_mut().read_to_string().unwrap())
}
