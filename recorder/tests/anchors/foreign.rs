//! A witness and a client that others wrote: `aics-witness` from PyPI, in a folder of its own below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use recorder::chain::key::OriginKey;

use super::Process;

/// The one that the tests were written with.
const PACKAGE: &str = "aics-witness==0.1.0";

/// The folder with its programs, installed once; `None` where that can't be done, and the test says so.
#[expect(clippy::print_stdout, reason = "a test that can't run says so")]
pub fn programs() -> Option<&'static Path> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PROGRAMS.get_or_init(install);
    found.as_deref().inspect_err(|why| println!("SKIPPED: {PACKAGE} can't be installed: {why}")).ok()
}

fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aics-witness");
    let programs = folder.join("bin");
    let whole = folder.join("whole");
    if whole.is_file() {
        return Ok(programs);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    // Its metadata asks for a newer Python than it needs.
    run(Command::new(programs.join("pip")).args(["install", "-q", "--ignore-requires-python", PACKAGE]))?;
    std::fs::write(whole, PACKAGE).map_err(|error| error.to_string())?;
    Ok(programs)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The foreign witness.
pub struct Foreign {
    dir: tempfile::TempDir,
    pub url: String,
    vkey: String,
    _process: Process,
}

impl Foreign {
    pub fn knowing(programs: &Path, key: &OriginKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("witness.json");
        let program = |arguments: &[&str]| {
            let mut command = Command::new(programs.join("aics-witness"));
            command.args(arguments).arg("--config").arg(&config);
            command
        };
        let init =
            program(&["init", "--name", "foreign.example/w1", "--listen", "127.0.0.1:0"]).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let vkey = String::from_utf8(init.stdout).unwrap().trim().to_owned();
        let public = key.public();
        let add = ["add-log", "--origin", public.name(), "--vkey", &public.to_string()];
        assert!(program(&add).status().unwrap().success());
        let process = Process::start(&mut program(&["serve"]));
        let url = process.hear("listening on ").trim_end_matches('/').to_owned();
        Self { dir, url, vkey, _process: process }
    }

    pub fn line(&self) -> String {
        format!("witness foreign {} {}", self.vkey, self.url)
    }
}
