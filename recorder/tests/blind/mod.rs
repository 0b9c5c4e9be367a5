//! Rows of their own files: file systems, root directories, system calls of 32 bits.

pub mod compat;
pub mod files;
pub mod fuse;
pub mod roots;

use std::path::Path;
use std::process::Command;

use crate::support::Sandbox;
use crate::support::record::{Record, started_by};
use crate::workload::raw::{self, Outcome, c};

/// Environment variables: what the program is to do, and the directory it may use.
pub const ROW: &str = "RECORDER_BLIND_ROW";
pub const HOME: &str = "RECORDER_BLIND_HOME";

pub const MS_BIND: i64 = 4096;
const MS_REC: i64 = 16_384;
const MS_PRIVATE: i64 = 1 << 18;

/// This test program again, as the process of a row.
pub fn row(name: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("exe"));
    command.args(["--ignored", "--exact", "blind_process", "--nocapture", "--test-threads=1"]);
    command.env(ROW, name).env(HOME, home);
    command
}

/// Runs rows while recording, and gives the events of their processes, and all.
pub fn record_rows(sandbox: &Sandbox, home: &Path, rows: &[&str]) -> (Vec<Record>, Vec<Record>) {
    let daemon = sandbox.record();
    for name in rows {
        let output = row(name, home).output().expect("run");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let all = sandbox.events();
    sandbox.assert_nothing_lost(&all);
    (started_by(&all, u64::from(std::process::id())), all)
}

/// A path as a system call takes it.
pub fn c_path(path: &Path) -> std::ffi::CString {
    c(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

/// mount(2); without a type for what needs none.
pub fn mount(source: &Path, at: &Path, fstype: &str, flags: i64, data: &str) -> Outcome {
    let (source, at, fstype, data) = (c_path(source), c_path(at), c(fstype.as_bytes()), c(data.as_bytes()));
    let words = [&source, &at, &fstype].map(|word| word.as_ptr() as i64);
    raw::call(libc::SYS_mount, &[words[0], words[1], words[2], flags, data.as_ptr() as i64])
}

/// A mount namespace for this thread and what it starts: the mounts in it end with them.
pub fn own_mounts() {
    raw::call(libc::SYS_unshare, &[i64::from(libc::CLONE_NEWNS)]).expect("unshare");
    mount(Path::new("none"), Path::new("/"), "", MS_REC | MS_PRIVATE, "").expect("private");
}
