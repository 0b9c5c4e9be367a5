//! What the verifier goes through for each program on each kernel: a table in docs/testing.md, kept true by the guests.
use crate::workspace;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// How the table's first line begins.
const HEADER: &str = "| program |";
/// A program may cost this many hundredths of what the table says: compilers and kernels change a little.
const TOLERANCE: u64 = 125;
/// Set to `1`, the table is written anew.
const UPDATE: &str = "UPDATE_GOLDEN";

/// Instructions by program, then by kernel series.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Costs(BTreeMap<String, BTreeMap<String, u64>>);

impl Costs {
    /// Takes a guest's measurement; of several on one kernel the largest counts.
    pub fn add(&mut self, series: &str, program: &str, instructions: u64) {
        let row = self.0.entry(program.to_owned()).or_default();
        let known = row.entry(series.to_owned()).or_default();
        *known = instructions.max(*known);
    }

    /// Nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is measured but not in the table, or costs clearly more than the table says. Kernels that the table doesn't
    /// have are not compared.
    fn findings(&self, table: &Self) -> Vec<String> {
        let known: Vec<&String> = table.0.values().flat_map(BTreeMap::keys).collect();
        let mut findings = Vec::new();
        for (program, row) in &self.0 {
            for (series, measured) in row.iter().filter(|(series, _)| known.contains(series)) {
                match table.0.get(program).and_then(|row| row.get(series)) {
                    None => findings
                        .push(format!("{program} on {series}: {measured} instructions, not in the table")),
                    Some(told) if measured * 100 > told * TOLERANCE => {
                        findings.push(format!(
                            "{program} on {series}: {measured} instructions, the table says {told}"
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
        findings
    }

    /// The measurements; kernels that were not measured keep what `table` has of them.
    fn over(&self, table: Self) -> Self {
        let measured: Vec<String> = self.0.values().flat_map(BTreeMap::keys).cloned().collect();
        let mut all = Self::default();
        for (program, row) in table.0 {
            for (series, count) in row.into_iter().filter(|(series, _)| !measured.contains(series)) {
                all.add(&series, &program, count);
            }
        }
        for (program, row) in &self.0 {
            for (series, count) in row {
                all.add(series, program, *count);
            }
        }
        all
    }

    /// As docs/testing.md has it.
    pub fn table(&self) -> String {
        let mut series: Vec<&String> = self.0.values().flat_map(BTreeMap::keys).collect();
        series.sort_by_key(|series| series.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>().ok());
        series.dedup();
        let mut text = HEADER.to_owned();
        for name in &series {
            let _ = write!(text, " {name} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(series.len()));
        text.push('\n');
        for (program, row) in &self.0 {
            let _ = write!(text, "| `{program}` |");
            for name in &series {
                let count = row.get(*name).map_or_else(|| "-".to_owned(), u64::to_string);
                let _ = write!(text, " {count} |");
            }
            text.push('\n');
        }
        text
    }

    /// Reads a table.
    fn parse(text: &str) -> Self {
        let cells =
            |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let mut lines = text.lines();
        let header: Vec<String> = lines.next().map(cells).unwrap_or_default();
        let mut costs = Self::default();
        for row in lines.skip(1).map(cells) {
            let row: Vec<String> = row;
            let program = row.first().map_or("", |cell| cell.trim_matches('`'));
            for (series, cell) in header.iter().zip(&row).skip(1) {
                if let Ok(count) = cell.parse() {
                    costs.add(series, program, count);
                }
            }
        }
        costs
    }
}

/// Compares with the table in the page, or writes it anew when the variable asks for that; gives what doesn't fit.
pub fn check(costs: &Costs) -> Result<Vec<String>> {
    let page = fs::read_to_string(page()).with_context(|| format!("could not read {}", page().display()))?;
    let (before, table, after) = parts(&page).context("docs/testing.md has no table of verifier costs")?;
    let table = Costs::parse(table);
    if std::env::var(UPDATE).as_deref() == Ok("1") {
        fs::write(self::page(), format!("{before}{}{after}", costs.over(table).table()))?;
        println!("vm: wrote the table of verifier costs in docs/testing.md");
        return Ok(Vec::new());
    }
    Ok(costs.findings(&table))
}

fn page() -> PathBuf {
    workspace::root().join("docs/testing.md")
}

/// The page before the table, the table, and the page behind it.
fn parts(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_at_checked(page.find(HEADER)?)?;
    let length: usize =
        rest.split_inclusive('\n').take_while(|line| line.starts_with('|')).map(str::len).sum();
    let (table, after) = rest.split_at_checked(length)?;
    Some((before, table, after))
}

#[cfg(test)]
mod tests {
    use super::{Costs, parts};

    const PAGE: &str =
        "# T\n\n| program | 6.1 | 6.12 |\n|---|---:|---:|\n| `a` | 100 | 200 |\n| `b` | - | 50 |\n\nend\n";

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let (before, table, after) = parts(PAGE).unwrap();
        assert_eq!((before, after), ("# T\n\n", "\nend\n"));
        assert_eq!(Costs::parse(table).table(), table);
    }

    #[test]
    fn what_costs_more_or_is_new_is_found() {
        let table = Costs::parse(parts(PAGE).unwrap().1);
        let mut costs = Costs::default();
        costs.add("6.1", "a", 126);
        costs.add("6.12", "a", 250);
        costs.add("6.12", "c", 1);
        costs.add("7", "a", 9999);
        assert_eq!(
            costs.findings(&table),
            ["a on 6.1: 126 instructions, the table says 100", "c on 6.12: 1 instructions, not in the table"]
        );
    }

    #[test]
    fn an_update_keeps_the_kernels_that_were_not_measured() {
        let table = Costs::parse(parts(PAGE).unwrap().1);
        let mut costs = Costs::default();
        costs.add("6.12", "c", 7);
        costs.add("7", "a", 8);
        let expected = "| program | 6.1 | 6.12 | 7 |\n|---|---:|---:|---:|\n| `a` | 100 | - | 8 |\n| `c` | - | 7 | - |\n";
        assert_eq!(costs.over(table).table(), expected);
    }
}
