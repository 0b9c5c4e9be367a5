//! What the kernel must offer: when it is not there, the message names it and the way out.
#![cfg(feature = "capture")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod support;

use std::process::{Command, Stdio};

use recorder::capture::needs::features;
use support::{RECORDER, Sandbox};

/// What the daemon says in a mount namespace where `hide` took something away.
fn refusal_after(hide: &str) -> String {
    let sandbox = Sandbox::new();
    let script = format!("{hide} && exec \"$0\" daemon --store \"$1\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, RECORDER]).arg(sandbox.store()).stdin(Stdio::null());
    let output = command.output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(70), "{said}");
    said
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_kernel_without_btf_is_named_with_the_option_that_gives_it() {
    let said = refusal_after("mount -t tmpfs none /sys/kernel/btf");
    assert!(said.contains("/sys/kernel/btf/vmlinux") && said.contains("CONFIG_DEBUG_INFO_BTF"), "{said}");
}

#[test]
#[ignore = "root: cargo xtask test"]
fn without_tracefs_the_command_that_mounts_it_is_named() {
    let said = refusal_after("umount --lazy /sys/kernel/tracing");
    assert!(said.contains("mount -t tracefs none /sys/kernel/tracing"), "{said}");
}

/// A kernel that lacks a feature is refused with what it lacks; on every other one the probes load.
#[test]
#[ignore = "root: cargo xtask test"]
fn a_kernel_that_is_too_old_is_told_what_it_lacks() {
    let features = features();
    for feature in &features {
        let word = if feature.is_there == Some(true) { "yes" } else { "no" };
        println!("feature: {} | {} | {} | {word}", feature.name, feature.since, feature.purpose);
    }
    let missing: Vec<_> = features.iter().filter(|feature| feature.is_there != Some(true)).collect();
    for verb in ["probe", "daemon"] {
        if missing.is_empty() && verb == "daemon" {
            continue;
        }
        let sandbox = Sandbox::new();
        let output = sandbox.command(verb).output().expect("recorder");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if missing.is_empty() {
            assert!(output.status.success(), "{said}");
            continue;
        }
        println!("{verb}: {}", said.trim_end());
        assert_eq!(output.status.code(), Some(70), "{said}");
        assert!(said.contains("is too old for the recorder"), "{said}");
        for feature in &missing {
            assert!(said.contains(&format!("{} (Linux {}", feature.name, feature.since)), "{said}");
        }
    }
}
