//! Root: every hook that this kernel has is taken, so nothing that can change a file goes by unseen.
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

use std::collections::BTreeSet;
use std::process::Command;

use support::FAMILY;

#[test]
#[ignore = "root: cargo xtask test"]
fn no_hook_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("recorder.toml");
    let family = std::env::var(FAMILY).unwrap_or_else(|_| "auto".to_owned());
    std::fs::write(&config, format!("[capture]\nfamily = \"{family}\"\n")).unwrap();
    let mut probe = Command::new(env!("CARGO_BIN_EXE_recorder"));
    let output = probe.arg("--config").arg(&config).args(["probe", "--output", "json"]).output().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let missing: Vec<_> = rows.iter().filter(|row| row.get("state").unwrap() == "missing").collect();
    let attached = rows.iter().filter(|row| row.get("state").unwrap() == "attached");
    let families: BTreeSet<_> = attached.filter_map(|row| row.get("family")?.as_str()).collect();
    println!("families: {}", families.into_iter().collect::<Vec<_>>().join(" "));
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(rows.len() > 80, "only {} hooks", rows.len());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
