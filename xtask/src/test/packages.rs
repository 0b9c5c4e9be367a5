//! Programs that tests drive: real logins, independent witnesses and readers. Installed only on a CI machine.
use crate::{command, workspace};
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A program, and the Debian package it comes from.
const PROGRAMS: &[(&str, &str)] = &[
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("sshpass", "sshpass"),
    ("pamtester", "pamtester"),
    ("sudo", "sudo"),
    ("strace", "strace"),
    ("zstd", "zstd"),
    ("cron", "cron"),
    ("setfattr", "attr"),
    ("git", "git"),
    ("systemd-analyze", "systemd"),
    ("python3", "python3"),
    ("go", "golang-go"),
    ("openssl", "openssl"),
    ("c++", "g++"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("qemu-system-x86_64", "qemu-system-x86"),
];

/// A library in source, and the Debian package it comes from.
const LIBRARIES: &[(&str, &str)] =
    &[("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog", "golang-golang-x-mod-dev")];

/// A module of Python, and the Debian package it comes from.
const MODULES: &[(&str, &str)] = &[("cryptography", "python3-cryptography"), ("ensurepip", "python3-venv")];

/// Keeps package scripts from starting services; ours only while we install.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing when `CI=true` and root; else names it, and the tests that need it skip themselves.
pub fn prepare() -> Result<()> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !command::exists(program));
    let libraries = LIBRARIES.iter().filter(|(folder, _)| !Path::new(folder).is_dir());
    let modules = MODULES.iter().filter(|(module, _)| !imports(module));
    let missing: Vec<&str> = programs.chain(libraries).chain(modules).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !workspace::is_root() || std::env::var("CI").as_deref() != Ok("true") {
        println!("    not installed, so some tests will skip themselves: {}", missing.join(" "));
        return Ok(());
    }
    println!("    installing for the tests: {}", missing.join(" "));
    let _policy = Policy::deny_starts()?;
    command::output(apt().args(["update", "-q"]))?;
    let install = ["install", "-y", "-q", "--no-install-recommends", "--no-upgrade"];
    command::output(apt().args(install).args(missing)).map(drop)
}

/// Whether Python finds the module, wherever it was installed from.
fn imports(module: &str) -> bool {
    let output = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    output.is_ok_and(|output| output.status.success())
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// A policy that refuses service starts, removed on drop; a policy that is there already is respected.
struct Policy {
    ours: bool,
}

impl Policy {
    fn deny_starts() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("could not write {POLICY}"))?;
        let policy = Self { ours: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
