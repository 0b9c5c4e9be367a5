//! What compare.sh measured, as medians against the runs in which nothing recorded. Needs no hardware counters, which
//! virtual machines lack.
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// The peer that is no peer: nothing records.
const BASE: &str = "none";

/// One run of one load.
type Row<'a> = BTreeMap<&'a str, &'a str>;

/// A table of every load and peer of compare.sh's CSV.
pub fn table(csv: &str) -> Result<String> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().context("the figures are empty")?.split(',').collect();
    let rows: Vec<Row<'_>> = lines.map(|line| names.iter().copied().zip(line.split(',')).collect()).collect();
    let mut table = format!(
        "{:<10}{:<12}{:>8}{:>13}{:>10}{:>10}{:>7}{:>9}\n",
        "load", "peer", "wall x", "total CPU x", "us/event", "events", "lost", "B/event"
    );
    let mut pairs: Vec<(&str, &str)> =
        rows.iter().map(|row| (text(row, "load"), text(row, "peer"))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    for (load, peer) in pairs.into_iter().filter(|(_, peer)| *peer != BASE) {
        let of = |name: &str| {
            rows.iter().filter(|row| text(row, "load") == load && text(row, "peer") == name).collect()
        };
        table.push_str(&line(load, peer, &Runs(of(peer)), &Runs(of(BASE))));
    }
    Ok(table)
}

/// All runs of one load with one peer.
struct Runs<'a>(Vec<&'a Row<'a>>);

impl Runs<'_> {
    fn median(&self, figure: impl Fn(&Row<'_>) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.0.iter().map(|row| figure(row)).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn line(load: &str, peer: &str, runs: &Runs<'_>, base: &Runs<'_>) -> String {
    let total = |row: &Row<'_>| number(row, "cpu_s") + number(row, "daemon_s");
    let wall = |row: &Row<'_>| number(row, "wall_s");
    let events = runs.median(|row| number(row, "events"));
    let extra = runs.median(total) - base.median(total);
    let lost: f64 = runs.0.iter().map(|row| number(row, "lost")).sum();
    let (wall, cpu) = (runs.median(wall) / base.median(wall), runs.median(total) / base.median(total));
    let bytes = runs.median(|row| number(row, "bytes")) / events;
    // A load that makes no events has a slowdown, but no price of an event.
    let price = if events < 100.0 { "-".to_owned() } else { format!("{:.2}", extra / events * 1e6) };
    format!("{load:<10}{peer:<12}{wall:>8.2}{cpu:>13.2}{price:>10}{events:>10.0}{lost:>7.0}{bytes:>9.1}\n")
}

fn text<'a>(row: &Row<'a>, name: &str) -> &'a str {
    row.get(name).copied().unwrap_or_default()
}

fn number(row: &Row<'_>, name: &str) -> f64 {
    text(row, name).parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn medians_are_set_against_nothing() {
        let csv = "round,load,peer,wall_s,cpu_s,instr,daemon_s,events,lost,bytes\n\
                   1,exec1,none,1.0,2.0,<not supported>,0,,,\n\
                   1,exec1,recorder,1.1,2.1,<not supported>,0.1,1000,0,30000\n\
                   2,exec1,none,1.0,2.0,,0,,,\n\
                   2,exec1,recorder,9.0,9.0,,0.1,1000,2,30000\n\
                   3,exec1,none,1.0,2.0,,0,,,\n\
                   3,exec1,recorder,1.0,2.0,,0.1,1000,0,30000\n";
        let table = table(csv).unwrap();
        let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["exec1", "recorder", "1.10", "1.10", "200.00", "1000", "2", "30.0"]);
    }
}
