//! Sums of what cargo's test programs report.

/// A test that can't run on this machine prints a line that begins with this, says why, and returns.
pub const SKIPPED: &str = "SKIPPED: ";

/// Tests by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: i64,
    pub failed: i64,
    /// Marked `#[ignore]`, so not run.
    pub ignored: i64,
    /// Run, but given up by themselves for a reason they named.
    pub skipped: i64,
}

impl Tally {
    /// Adds what one line of a test program's output reports, if it reports something.
    pub fn read(&mut self, line: &str) {
        if line.starts_with(SKIPPED) {
            // The test program counts it as passed, later, which it isn't.
            self.skipped += 1;
            self.passed -= 1;
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for count in counts.split(['.', ';']) {
            let mut words = count.split_whitespace();
            let number = words.next().and_then(|number| number.parse::<i64>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                (Some(number), Some("ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Takes over the sums of a stage.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped += other.skipped;
    }

    /// The last line of a run.
    pub fn closing_line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored + self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed() {
        let mut tally = Tally::default();
        tally.read("running 3 tests");
        tally.read(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        tally.read("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s");
        assert_eq!(tally, Tally { passed: 13, failed: 2, ignored: 3, skipped: 0 });
        assert_eq!(tally.closing_line(), "13 passed, 2 failed, 3 skipped");
    }

    #[test]
    fn a_test_that_skips_itself_is_not_passed() {
        let mut tally = Tally::default();
        tally.read("SKIPPED: systemd-analyze is not installed");
        tally.read(
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        assert_eq!(tally, Tally { passed: 1, failed: 0, ignored: 0, skipped: 1 });
    }
}
