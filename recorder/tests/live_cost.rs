//! Root: no program is near what the kernel's verifier gives up at. Prints what each one costs on this kernel.
#![cfg(feature = "capture")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use recorder::capture::{Capture, Choice, Sizes};

/// A quarter of what the kernel gives up at. The dearest, `uring_submit`, reads every kind of request.
const LIMIT: u32 = 250_000;

#[test]
#[ignore = "root: cargo xtask test"]
fn no_program_is_near_the_limit_of_the_verifier() {
    let sizes = Sizes { critical: 1 << 16, files: 1 << 16 };
    // With all that a recorder can be set to.
    let capture = Capture::start_with(sizes, Choice { environment: true, ..Choice::default() }).unwrap();
    let costs = capture.costs();
    for cost in &costs {
        println!("cost: {} {}", cost.name, cost.instructions.unwrap_or(0));
    }
    assert!(costs.len() > 10, "only {} programs are loaded", costs.len());
    let dear: Vec<_> =
        costs.iter().filter(|cost| cost.instructions.is_none_or(|count| count > LIMIT)).collect();
    assert!(dear.is_empty(), "{dear:#?}");
}
