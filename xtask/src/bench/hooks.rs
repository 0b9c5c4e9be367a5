//! `bench hooks`: what each program costs those who run into it, here or in guests, and what unrecorded calls pay.
use crate::{command, setup, vm, workspace};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::process::Stdio;

/// The program that every kernel and both families have: the others are told as multiples of it.
const MEASURE: &str = "process_fork";
const TEST: &str = "live_price";

/// What `bench hooks` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Measure in guests with these kernels, by series, instead of here; only ratios mean something there
    #[arg(long, value_delimiter = ',', value_name = "SERIES")]
    kernel: Vec<String>,
}

/// Runs the ground truth's program while the kernel counts, and prints a table for each place and family.
pub fn run(args: &Args) -> Result<()> {
    if !args.kernel.is_empty() {
        for (place, log) in vm::logs_of(TEST, &args.kernel)? {
            for part in log.split("@begin ").skip(1) {
                let name = part.split_whitespace().next().unwrap_or_default();
                print!("{}", table(&format!("{place}, {name}"), part));
            }
        }
        return Ok(());
    }
    if !workspace::is_root() {
        bail!("this needs root: it attaches probes");
    }
    setup::run()?;
    setup::tracefs()?;
    let mut cargo = command::cargo();
    cargo.args(["test", "--quiet", "--package", "recorder", "--test", TEST]);
    cargo.args(["--", "--ignored", "--show-output", "--test-threads=1"]);
    let done = cargo.stderr(Stdio::inherit()).output().context("could not start cargo")?;
    let text = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        bail!("the measurement failed:\n{text}");
    }
    print!("{}", table("this machine", &text));
    Ok(())
}

/// One program of a measurement.
struct Price<'a> {
    program: &'a str,
    family: &'a str,
    runs: u64,
    each: u64,
}

/// The tables of one run, from the lines that the test printed.
fn table(place: &str, text: &str) -> String {
    let prices: Vec<Price<'_>> = text.lines().filter_map(price).collect();
    let measure = prices.iter().find(|price| price.program == MEASURE).map_or(0, |price| price.each);
    let mut table = format!("{place}\n");
    let _ = writeln!(
        table,
        "{:<24}{:<10}{:>9}{:>10}{:>14}",
        "program", "family", "runs", "ns/run", "x process_fork"
    );
    for price in &prices {
        let ratio = price.each as f64 / measure.max(1) as f64;
        let _ = writeln!(
            table,
            "{:<24}{:<10}{:>9}{:>10}{ratio:>14.2}",
            price.program, price.family, price.runs, price.each
        );
    }
    for line in text.lines().filter(|line| line.starts_with("price of an event: ")) {
        let _ = writeln!(table, "{line}");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("ratio: ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [call, object, all] = words.as_slice() {
            let _ =
                writeln!(table, "{call:<8} with the object family alone x{object}, with every hook x{all}");
        }
    }
    table.push('\n');
    table
}

fn price(line: &str) -> Option<Price<'_>> {
    let words: Vec<&str> = line.strip_prefix("price: ")?.split_whitespace().collect();
    let [program, family, runs, each] = words.as_slice() else { return None };
    Some(Price { program, family, runs: runs.parse().ok()?, each: each.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn programs_are_told_as_multiples_of_one() {
        let text = "noise\nprice: process_fork common 10 200\nprice: unlink_leave object 4 500\n\
                    price of an event: 900 ns (5 events)\nratio: getpid 1.01 1.30\n";
        let table = table("here", text);
        let words: Vec<&str> = table.lines().nth(3).unwrap().split_whitespace().collect();
        assert_eq!(words, ["unlink_leave", "object", "4", "500", "2.50"]);
        assert!(table.contains("price of an event: 900 ns"), "{table}");
        assert!(
            table.contains("getpid   with the object family alone x1.01, with every hook x1.30"),
            "{table}"
        );
    }
}
