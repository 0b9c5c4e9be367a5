//! Root: every hook that this kernel has is taken, so nothing that can change a file goes by unseen.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
#[ignore = "root: cargo xtask test"]
fn no_hook_is_missing() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_recorder")).args(["probe", "--output", "json"]).output().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let missing: Vec<_> = rows.iter().filter(|row| row.get("state").unwrap() == "missing").collect();
    let attached = rows.iter().filter(|row| row.get("state").unwrap() == "attached");
    let families: BTreeSet<_> = attached.filter_map(|row| row.get("family")?.as_str()).collect();
    println!("families: {}", families.into_iter().collect::<Vec<_>>().join(" "));
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(rows.len() > 80, "only {} hooks", rows.len());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
