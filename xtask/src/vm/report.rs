//! What a guest reported: the outcome of each step, with the reason where it isn't `ok`.
use super::plan::{Family, Step};
use crate::test::tally::{SKIPPED, Tally};
use std::time::Duration;

/// The two families of docs/design.md; what else `probe` names is common to both.
const FAMILIES: [&str; 2] = ["object", "syscall"];

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every test of the program passed.
    Passed,
    /// A test failed, or the program did.
    Failed(String),
    /// The program gave up by itself and said why.
    Skipped(String),
    /// The guest didn't come to it.
    NotRun(String),
}

impl Outcome {
    /// One word for the table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
            Self::NotRun(_) => "NOT RUN",
        }
    }

    /// Why it isn't `ok`.
    pub fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(reason) | Self::Skipped(reason) | Self::NotRun(reason) => reason,
        }
    }

    /// Whether the run as a whole fails by it.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotRun(_))
    }
}

/// One row for a step.
pub struct Row {
    /// The test program.
    name: String,
    /// How the guest calls it.
    id: String,
    /// Families that it may use.
    family: Family,
    /// Seconds of the guest's clock.
    seconds: u64,
    /// How it ended.
    pub outcome: Outcome,
    limit: u64,
}

impl Row {
    /// `object` is what is in force where the object family may be used.
    fn line(&self, place: &str, object: Option<&str>) -> String {
        let family = match (self.family, object) {
            (Family::Object, Some(object)) => object,
            (family, _) => family.word(),
        };
        let (word, reason) = (self.outcome.word(), self.outcome.reason());
        let line =
            format!("{place} {family:<14} {:<16} {:>4} s  {word:<8} {reason}", self.name, self.seconds);
        line.trim_end().to_owned()
    }
}

/// Filled line by line while the guest runs.
pub struct Report {
    /// A row for each step of the plan.
    pub rows: Vec<Row>,
    /// Families of hooks in force where the object family may be used, as `live_probe` found them.
    family: Option<String>,
    /// What each program cost the verifier.
    pub costs: Vec<(String, u64)>,
    /// The end of the console of a guest that broke off.
    last_words: Vec<String>,
    current: Option<usize>,
    lines: Vec<String>,
    is_done: bool,
    /// Rows that have ended, and rows that were told.
    ended: usize,
    told: usize,
}

impl Report {
    /// Nothing has run yet.
    pub fn new(steps: &[Step]) -> Self {
        let outcome = Outcome::NotRun("the guest did not come to it".to_owned());
        let row = |step: &Step| Row {
            name: step.name.clone(),
            id: step.id(),
            family: step.family,
            seconds: 0,
            outcome: outcome.clone(),
            limit: step.limit,
        };
        Self {
            rows: steps.iter().map(row).collect(),
            family: None,
            costs: Vec::new(),
            last_words: Vec::new(),
            current: None,
            lines: Vec::new(),
            is_done: false,
            ended: 0,
            told: 0,
        }
    }

    /// Whether the guest said that it ran the whole plan.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Takes a line; gives the time within which the next word of the guest itself must come, where that changes.
    pub fn read(&mut self, line: &str) -> Option<Duration> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["@kernel", _] => Some(Duration::ZERO),
            ["@begin", name] => {
                self.current = self.rows.iter().position(|row| row.id == *name);
                self.lines.clear();
                self.current.and_then(|index| self.rows.get(index)).map(|row| Duration::from_secs(row.limit))
            }
            ["@end", _, code, seconds] => {
                self.end(code.parse().unwrap_or(-1), seconds.parse().unwrap_or(0));
                Some(Duration::ZERO)
            }
            ["@done"] => {
                self.is_done = true;
                self.ended = self.rows.len();
                None
            }
            ["families:", families @ ..] => {
                let two: Vec<&str> =
                    families.iter().copied().filter(|name| FAMILIES.contains(name)).collect();
                let is_chosen = |row: &Row| row.family == Family::Object;
                if self.current.and_then(|index| self.rows.get(index)).is_some_and(is_chosen) {
                    self.family = Some(two.join("+"));
                }
                None
            }
            ["cost:", program, count] => {
                self.costs.extend(count.parse().ok().map(|count| ((*program).to_owned(), count)));
                None
            }
            _ => {
                self.lines.push(line.to_owned());
                None
            }
        }
    }

    fn end(&mut self, code: i32, seconds: u64) {
        let outcome = outcome(code, &self.lines);
        self.ended = self.current.map_or(self.ended, |index| index + 1);
        if let Some(row) = self.current.take().and_then(|index| self.rows.get_mut(index)) {
            row.seconds = seconds;
            row.outcome = match outcome {
                Outcome::Failed(_) if seconds >= row.limit => {
                    Outcome::Failed(format!("took longer than {} s", row.limit))
                }
                outcome => outcome,
            };
        }
    }

    /// Lines for what has ended since the last call, and whether each tells of a failure. `place` is kernel and lsm.
    pub fn news(&mut self, place: &str) -> Vec<(String, bool)> {
        let ended = self.rows.iter().take(self.ended).skip(self.told);
        let mut news: Vec<(String, bool)> =
            ended.map(|row| (row.line(place, self.family.as_deref()), row.outcome.is_failure())).collect();
        self.told = self.ended;
        news.extend(self.last_words.drain(..).map(|line| (format!("    console: {line}"), true)));
        news
    }

    /// The guest ended, or says nothing more, before the end of the plan.
    pub fn broke_off(&mut self, how: &str, last_words: &[String]) {
        self.last_words = last_words.to_vec();
        self.ended = self.rows.len();
        let panic =
            last_words.iter().find_map(|line| line.find("Kernel panic").and_then(|at| line.get(at..)));
        let reason = panic.map_or_else(|| format!("the guest {how}"), str::to_owned);
        let at = self
            .current
            .take()
            .or_else(|| self.rows.iter().position(|row| matches!(row.outcome, Outcome::NotRun(_))));
        if let Some(row) = at.and_then(|index| self.rows.get_mut(index)) {
            row.outcome = Outcome::Failed(reason);
        }
    }
}

/// What the output and the exit code of a test program say.
fn outcome(code: i32, lines: &[String]) -> Outcome {
    let mut tally = Tally::default();
    lines.iter().for_each(|line| tally.read(line));
    let skipped = lines.iter().find_map(|line| line.strip_prefix(SKIPPED));
    match (code, tally.passed, skipped) {
        (0, 1.., _) => Outcome::Passed,
        (0, _, Some(reason)) => Outcome::Skipped(reason.to_owned()),
        (0, _, None) => Outcome::Failed("no test of it ran".to_owned()),
        _ => Outcome::Failed(reason(lines).unwrap_or_else(|| format!("exit code {code}"))),
    }
}

/// The message of the first panic: the line after the one that names the place.
fn reason(lines: &[String]) -> Option<String> {
    let at = lines.iter().position(|line| line.contains("panicked at "))?;
    let message = lines.get(at + 1).map_or("", String::as_str);
    Some(message.chars().take(160).collect())
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Report};
    use crate::vm::plan;

    fn after(lines: &[&str]) -> Report {
        let steps = plan::steps(&["live_a".to_owned(), "live_b".to_owned()], plan::Family::Object, &[]);
        let mut report = Report::new(&steps);
        for line in lines {
            report.read(line);
        }
        report
    }

    fn outcomes(report: &Report) -> Vec<&Outcome> {
        report.rows.iter().map(|row| &row.outcome).collect()
    }

    const PASSED: &str =
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s";

    #[test]
    fn passed_failed_and_skipped_are_told_apart() {
        let report =
            after(&["@kernel 6.1.0", "@begin live_a@object", PASSED, "", "@end live_a@object 0 3", "@done"]);
        assert!(report.is_done());
        assert!(matches!(outcomes(&report)[..], [Outcome::Passed, Outcome::NotRun(_)]));
        let report = after(&["@begin live_a@object", "families: common object pam syscall"]);
        assert_eq!(report.family.as_deref(), Some("object+syscall"));
        let report =
            after(&["@begin live_a@object", "SKIPPED: no such thing", PASSED, "@end live_a@object 0 3"]);
        assert_eq!(outcomes(&report)[0], &Outcome::Skipped("no such thing".to_owned()));
        let report = after(&[
            "@begin live_b@object",
            "thread 'x' panicked at a.rs:1:",
            "3 differences",
            "@end live_b@object 101 3",
        ]);
        assert_eq!(outcomes(&report)[1], &Outcome::Failed("3 differences".to_owned()));
    }

    #[test]
    fn each_row_is_told_once() {
        let mut report =
            after(&["@begin live_a@object", PASSED, "@end live_a@object 0 3", "@begin live_b@object"]);
        assert_eq!(
            report.news("6.1 bpf"),
            [("6.1 bpf object         live_a              3 s  ok".to_owned(), false)]
        );
        assert_eq!(report.news("6.1 bpf"), []);
        report.broke_off("hangs", &["last".to_owned()]);
        let told: Vec<String> = report.news("6.1 bpf").into_iter().map(|(line, _)| line).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].ends_with("FAILED   the guest hangs") && told[1] == "    console: last", "{told:?}");
    }

    #[test]
    fn a_filter_that_fits_no_test_is_a_failure() {
        let report = after(&[
            "@begin live_a@object",
            &PASSED.replace("1 passed", "0 passed"),
            "@end live_a@object 0 3",
        ]);
        assert_eq!(outcomes(&report)[0], &Outcome::Failed("no test of it ran".to_owned()));
    }

    #[test]
    fn a_panic_of_the_guest_is_the_reason_of_the_step_that_ran() {
        let mut report =
            after(&["@begin live_a@object", PASSED, "@end live_a@object 0 3", "@begin live_b@object"]);
        report.broke_off("ended early", &["[    9.1] Kernel panic - not syncing: Oops".to_owned()]);
        assert_eq!(outcomes(&report)[1], &Outcome::Failed("Kernel panic - not syncing: Oops".to_owned()));
        let mut silent = after(&[]);
        silent.broke_off("hangs", &[]);
        assert_eq!(outcomes(&silent)[0], &Outcome::Failed("the guest hangs".to_owned()));
    }
}
