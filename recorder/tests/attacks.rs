//! The attack corpus: each way to cheat, early, in the middle and late in the log, before and after a checkpoint that left the
//! host; the verdict and the finding that each of the six must give, with the right segment and frame.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
#![expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]

#[path = "attacks/anchor.rs"]
mod anchor;
#[path = "attacks/bit.rs"]
mod bit;
#[path = "attacks/bytes.rs"]
mod bytes;
#[path = "attacks/forgery.rs"]
mod forgery;
#[path = "attacks/frame.rs"]
mod frame;
#[path = "attacks/length.rs"]
mod length;
#[path = "attacks/lie.rs"]
mod lie;
mod scratch;
#[path = "attacks/seal.rs"]
mod seal;
#[path = "attacks/segment.rs"]
mod segment;
#[path = "attacks/tile.rs"]
mod tile;
#[path = "attacks/told.rs"]
mod told;
#[path = "attacks/tombstone.rs"]
mod tombstone;
#[path = "attacks/victim.rs"]
mod victim;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use recorder::verify::finding::{Finding, Kind, Severity};
use recorder::verify::report::Report;
use recorder::verify::report::Verdict::{self, Incomplete, Tampered, Unanchored};
use scratch::stranger;
use victim::{Case, Spot, Victim};

/// How exactly a finding must name the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The log as a whole.
    Log,
    Segment,
    Frame,
}

/// What one of the six combinations must give.
#[derive(Clone, Copy, Debug)]
struct Expected {
    verdict: Verdict,
    kind: Option<Kind>,
    at: At,
}

/// Without the checkpoint covering the place, and with it: early, middle, late.
type Table = [[Expected; 3]; 2];

const fn caught(kind: Kind, at: At) -> Expected {
    Expected { verdict: Tampered, kind: Some(kind), at }
}

/// What can't be told from an honest log of this host: at most worth a warning.
const fn unseen(kind: Option<Kind>) -> Expected {
    Expected { verdict: Unanchored, kind, at: At::Log }
}

const fn incomplete(kind: Kind, at: At) -> Expected {
    Expected { verdict: Incomplete, kind: Some(kind), at }
}

/// The same for all six.
const fn always(expected: Expected) -> Table {
    [[expected; 3]; 2]
}

/// What only an anchor outside the host can show.
const fn anchored(without: [Expected; 3], with: Expected) -> Table {
    [without, [with; 3]]
}

/// The same early and in the middle; late it depends on the anchor.
const fn late(else_where: Expected, without: Expected, with: Expected) -> Table {
    [[else_where, else_where, without], [else_where, else_where, with]]
}

/// The same with and without the anchor.
const fn by_place(places: [Expected; 3]) -> Table {
    [places; 2]
}

/// One way to cheat.
struct Row {
    cheat: String,
    victim: Victim,
    act: Box<dyn Fn(&mut Case) -> Spot + Send + Sync>,
    expected: Table,
}

fn row(
    cheat: impl Into<String>,
    act: impl Fn(&mut Case) -> Spot + Send + Sync + 'static,
    expected: Table,
) -> Row {
    Row { cheat: cheat.into(), victim: Victim::Log, act: Box::new(act), expected }
}

fn rows() -> Vec<Row> {
    let mut rows = vec![row("nothing at all", |_| Spot::default(), always(unseen(Some(Kind::NoEnd))))];
    rows.extend(bytes::rows());
    rows.extend(length::rows());
    rows.extend(frame::rows());
    rows.extend(segment::rows());
    rows.extend(forgery::rows());
    rows.extend(lie::rows());
    rows.extend(seal::rows());
    rows.extend(anchor::rows());
    rows.extend(tile::rows());
    rows.extend(tombstone::rows());
    rows.extend(told::rows());
    rows
}

/// What is wrong with a report; nothing when it is as expected.
fn judge(expected: &Expected, spot: &Spot, report: &Report) -> Option<String> {
    let is_it = |finding: &&Finding| Some(finding.kind) == expected.kind;
    let names = |finding: &Finding| match expected.at {
        At::Log => finding.severity == Severity::Warning || finding.segment.is_none(),
        At::Segment => finding.segment == spot.segment,
        At::Frame => finding.segment == spot.segment && finding.frames == spot.frames,
    };
    let told = expected.kind.is_none() || report.findings.iter().filter(is_it).any(names);
    // Nobody in front of the place is blamed.
    let blamed = report.findings.iter().filter(|finding| finding.severity == Severity::Tampered);
    let mut blamed = blamed.filter_map(|finding| finding.segment.as_ref());
    let innocent = spot.segment.as_ref().is_none_or(|place| blamed.all(|blamed| blamed >= place));
    if report.verdict == expected.verdict && told && innocent {
        return None;
    }
    let findings = report.findings.iter().map(|finding| format!("\n    {:?}: {finding}", finding.kind));
    Some(format!(
        "expected {expected:?} at {spot:?}, got {:?}{}",
        report.verdict,
        findings.collect::<String>()
    ))
}

/// Runs the six combinations of a row; gives its line of the summary and what is wrong.
fn attempt(row: &Row) -> (String, Vec<String>) {
    let mut line = format!("{:<72}", row.cheat);
    let mut wrong = Vec::new();
    for (covered, places) in row.expected.iter().enumerate() {
        for (place, expected) in places.iter().enumerate() {
            let mut case = Case::new(row.victim, place, covered == 1);
            let spot = (row.act)(&mut case);
            let report = case.scratch.verify_with(&case.options);
            let short = report.verdict.name().chars().next().unwrap();
            let kind = expected.kind.map_or_else(String::new, |kind| format!("{kind:?}"));
            write!(line, " {short} {kind:<18}").unwrap();
            if let Some(why) = judge(expected, &spot, &report) {
                let when = if covered == 1 { "covered" } else { "not covered" };
                wrong.push(format!("{}, place {place}, {when}: {why}", row.cheat));
            }
        }
    }
    (line, wrong)
}

/// Runs something for each number below `count`, on all processors; gives the results in order.
fn for_each<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let taken = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = taken.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = act(index);
                    done.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn every_cheat_has_its_verdict_and_its_place_early_and_late_anchored_or_not() {
    let rows = rows();
    assert!(rows.len() >= 40, "{}", rows.len());
    let attempts = for_each(rows.len(), |index| attempt(&rows[index]));
    println!(
        "T TAMPERED, U UNANCHORED, I INCOMPLETE; early, middle, late: not covered by the checkpoint, covered"
    );
    attempts.iter().for_each(|(line, _)| println!("{line}"));
    let wrong: Vec<String> = attempts.into_iter().flat_map(|(_, wrong)| wrong).collect();
    println!("{} rows, {} combinations, {} wrong", rows.len(), rows.len() * 6, wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Half of the combinations, as a second program takes its time.
#[test]
fn a_stranger_comes_to_the_same_verdicts() {
    if !stranger::can_run() {
        return;
    }
    let rows = rows();
    let differ = for_each(rows.len(), |index| {
        let row = &rows[index];
        let mut differ = Vec::new();
        for (place, covered) in [(0, false), (1, true), (2, false)] {
            let mut case = Case::new(row.victim, place, covered);
            (row.act)(&mut case);
            if let Err(how) = stranger::compare(&case.scratch, &case.options) {
                differ.push(format!("{}, place {place}, covered {covered}:\n    {how}", row.cheat));
            }
        }
        differ
    });
    let differ = differ.concat();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
