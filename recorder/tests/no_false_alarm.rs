//! Recorders are killed, hosts lose their power, disks fill up, clocks jump: more than a thousand times, at every call of the
//! store, and nobody is accused of tampering, nothing acknowledged is missing, and the next start goes on.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod scratch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use recorder::store::retention::Policy;
use recorder::store::writer::{Options, Writer};
use recorder::store::{FrameInput, StoreError, checkpoint_file};
use recorder::verify::VerifyOptions;
use recorder::verify::finding::Kind;
use recorder::verify::report::Report;
use recorder::verify::report::Verdict::{Incomplete, Unanchored};
use scratch::disk::{Dice, Disk, Journal, Partial, Plan, cut_power};
use scratch::retired::retire;
use scratch::{EPOCH, SECOND, Scratch, lines, options, segments};

const HOUR: i64 = 3600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;
const READ_ONLY: i32 = 30;
const IO_ERROR: i32 = 5;

/// What ends a recorder.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It is killed: what it wrote stays.
    Kill,
    /// The host loses its power.
    Power,
    /// So many calls fail, then there is room again.
    Full(usize),
    /// The file system becomes read-only, or the disk breaks.
    Fails(i32),
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power cut",
            Self::Full(_) => "full disk",
            Self::Fails(READ_ONLY) => "read-only",
            Self::Fails(_) => "I/O error",
        }
    }
}

/// What is there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// Nothing, not even a directory.
    Fresh,
    /// A log that ended in order.
    Stopped,
    /// A log with a torn tail.
    Torn,
    /// A log just before its first tile is full.
    Tile,
    /// A log from which retention removed one segment, and will remove two more.
    Retired,
}

impl Base {
    fn copy(self) -> Scratch {
        static STOPPED: LazyLock<Scratch> = LazyLock::new(|| {
            let scratch = Scratch::new();
            let mut writer = scratch.writer(2_000);
            (0..4).for_each(|step| assert!(put(&mut writer, 20, EPOCH + step).is_ok()));
            writer.close(EPOCH + 10).unwrap();
            scratch
        });
        static TORN: LazyLock<Scratch> = LazyLock::new(|| {
            let scratch = STOPPED.copy();
            drop(scratch.writer(1 << 20));
            let last = segments(&scratch.store()).pop().unwrap();
            scratch::edit(&last, |bytes| bytes.extend([0; 700]));
            scratch
        });
        static TILE: LazyLock<Scratch> = LazyLock::new(|| {
            let scratch = Scratch::new();
            let mut writer = scratch.writer(1 << 20);
            put(&mut writer, 1, EPOCH).unwrap();
            (0..252).for_each(|beat| drop(writer.heartbeat(EPOCH + beat, 0).unwrap()));
            writer.close(EPOCH + 300).unwrap();
            scratch
        });
        static RETIRED: LazyLock<Scratch> = LazyLock::new(retired_once);
        match self {
            Self::Fresh => Scratch::new(),
            Self::Stopped => STOPPED.copy(),
            Self::Torn => TORN.copy(),
            Self::Tile => TILE.copy(),
            Self::Retired => RETIRED.copy(),
        }
    }

    fn policy(self) -> Policy {
        Policy { keep_age_ns: (self == Self::Retired).then_some(5_000 * SECOND), ..Policy::default() }
    }
}

/// Four segments of an hour each. The first one is old enough when the last one is begun; two more are when the test begins.
fn retired_once() -> Scratch {
    let scratch = Scratch::new();
    let begin = EPOCH - 40_000 * SECOND;
    let options = Options { now: begin, retention: Base::Retired.policy(), ..options() };
    let mut writer = scratch.start(&options).0;
    for (hour, beats) in [(0, 100), (1, 80), (2, 60), (3, 30)] {
        let now = begin + hour * 3_700 * SECOND;
        put(&mut writer, 1, now).unwrap();
        (0..beats).for_each(|_| drop(writer.heartbeat(now, 0).unwrap()));
    }
    let now = begin + 3 * 3_700 * SECOND;
    assert_eq!(retire(&mut writer, now).unwrap(), 1);
    writer.close(now).unwrap();
    scratch
}

/// A way to end, repeated at every call until the recorder ends in order.
#[derive(Clone, Copy, Debug)]
struct Series {
    end: End,
    base: Base,
    partial: Partial,
    chunk: usize,
    /// How far the clock jumps in the middle, and again at the next start.
    jump: i64,
    seed: u64,
}

impl Series {
    const fn new(end: End, base: Base) -> Self {
        Self { end, base, partial: Partial::Half, chunk: usize::MAX, jump: 0, seed: 0 }
    }

    fn plan(&self, at: usize) -> Plan {
        let (fails, errno) = match self.end {
            End::Kill | End::Power => (usize::MAX, IO_ERROR),
            End::Full(fails) => (fails, 28),
            End::Fails(errno) => (usize::MAX, errno),
        };
        Plan { at, fails, errno, partial: self.partial, chunk: self.chunk }
    }
}

/// Appends a frame of `count` events that don't compress well, so that frames are longer than a block.
fn put(writer: &mut Writer, count: u64, now: i64) -> Result<u64, StoreError> {
    put_all(writer, &[count], now)
}

/// Appends frames with one wait for the disk; gives the number of the event behind them.
fn put_all(writer: &mut Writer, counts: &[u64], now: i64) -> Result<u64, StoreError> {
    let mut first = writer.next_seq();
    let mut frames = Vec::new();
    for count in counts {
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for seq in first..first + count {
            let mut dice = Dice(seq);
            let noise: String = (0..8).map(|_| format!("{:x}", dice.roll(usize::MAX))).collect();
            lines.extend(format!("{{\"seq\":{seq},\"kind\":\"exec\",\"path\":\"/{noise}\"}}\n").into_bytes());
            ends.push(u32::try_from(lines.len()).unwrap());
        }
        first += count;
        frames.push((lines, ends));
    }
    let inputs: Vec<_> = frames
        .iter()
        .map(|(lines, ends)| FrameInput { lines, ends, t_first: now, t_last: now, lost_total: 0 })
        .collect();
    let stored = writer.append_all(&inputs)?;
    Ok(stored.last().map_or(first, |last| last.first_seq + u64::from(last.count)))
}

/// What a recorder did before it ended.
struct Past {
    /// Events that it said are safe.
    acknowledged: u64,
    /// Whether it ended in order, and nothing failed before.
    ended: bool,
    /// Every checkpoint that was ever under its name, the first one perhaps none.
    checkpoints: Vec<Option<Vec<u8>>>,
}

fn newest_checkpoint(scratch: &Scratch) -> PathBuf {
    scratch.state().join("checkpoint")
}

impl Past {
    fn look(&mut self, scratch: &Scratch) {
        self.checkpoints.push(std::fs::read(newest_checkpoint(scratch)).ok());
    }
}

/// Records until the disk strikes.
fn record(scratch: &Scratch, series: &Series, plan: Plan, journal: &Arc<Mutex<Journal>>) -> Past {
    let mut past = Past { acknowledged: 0, ended: false, checkpoints: Vec::new() };
    if scratch.store().exists() {
        past.acknowledged = next_seq(&lines(&scratch.store()));
    }
    past.look(scratch);
    let opened = Options { segment_bytes: 4_000, retention: series.base.policy(), ..options() };
    let between = Disk::between(scratch, plan, journal);
    let writer = match Writer::open_on(&scratch.store(), &scratch.state(), opened, between) {
        Ok((writer, _)) => writer,
        Err(error) => {
            assert!(matches!(error, StoreError::Io { .. }), "{series:?}: {error}");
            return past;
        }
    };
    if let Err(error) = work(writer, scratch, series.jump, &mut past) {
        assert!(!matches!(error, StoreError::Latched { .. }), "{error}");
    }
    past
}

/// Number of the event behind these.
fn next_seq(lines: &[String]) -> u64 {
    lines.last().map_or(0, |line| seq_of(line) + 1)
}

fn seq_of(line: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
}

/// One recorder's life.
fn work(mut writer: Writer, scratch: &Scratch, jump: i64, past: &mut Past) -> Result<(), StoreError> {
    let later = EPOCH.saturating_add(jump);
    // A removal that fails is no failure of the record, as long as its frame was written.
    let retired = retire(&mut writer, EPOCH).map(drop);
    if retired.is_ok() {
        past.acknowledged = writer.next_seq();
    }
    for (counts, now) in [
        (&[3u64][..], EPOCH),
        (&[20, 1, 20], EPOCH + SECOND),
        (&[], EPOCH + 2 * SECOND),
        (&[2, 30], later),
        (&[1], later.saturating_add(SECOND)),
    ] {
        let stored = match counts {
            [] => writer.heartbeat(now, 0).map(|beat| beat.first_seq),
            counts => put_all(&mut writer, counts, now),
        };
        match stored {
            Ok(next) => past.acknowledged = next,
            Err(error) => {
                // Whether there is room again or not: only a new start may write.
                assert!(matches!(put(&mut writer, 1, now), Err(StoreError::Latched { .. })));
                assert!(matches!(writer.checkpoint(), Err(StoreError::Latched { .. })));
                retired?;
                return Err(error);
            }
        }
        writer.checkpoint()?;
        past.look(scratch);
    }
    writer.close(later)?;
    past.look(scratch);
    past.ended = retired.is_ok();
    Ok(())
}

/// What a power cut does outside of the segments.
fn lose_names(scratch: &Scratch, past: &Past, dice: &mut Dice) {
    let file = newest_checkpoint(scratch);
    // A new name for the newest checkpoint may not have reached the disk; its bytes were there first.
    match &past.checkpoints[dice.roll(past.checkpoints.len())] {
        Some(bytes) => std::fs::write(&file, bytes).unwrap(),
        None => drop(std::fs::remove_file(&file)),
    }
    if scratch.state().exists() && dice.flips() {
        std::fs::write(file.with_extension("new"), vec![0; dice.roll(200)]).unwrap();
    }
    let origin = scratch.store().join("origin.pub");
    if origin.exists() && segments(&scratch.store()).is_empty() {
        let line = std::fs::read(&origin).unwrap();
        match dice.roll(3) {
            0 => std::fs::write(&origin, &line[..dice.roll(line.len())]).unwrap(),
            1 => std::fs::write(&origin, vec![0; dice.roll(line.len()) + 1]).unwrap(),
            _ => {}
        }
    }
}

fn check(scratch: &Scratch) -> Report {
    let checkpoint = checkpoint_file::read(&newest_checkpoint(scratch)).unwrap();
    scratch.verify_with(&VerifyOptions { checkpoint, ..VerifyOptions::default() })
}

/// One recorder ends, the next one starts. `true` when the first one came to its end in order.
fn run(series: &Series, at: usize) -> bool {
    let what = format!("{series:?} at call {at}");
    let scratch = series.base.copy();
    let journal = Arc::default();
    let past = record(&scratch, series, series.plan(at), &journal);
    let mut dice = Dice(series.seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
    end(&scratch, series, &journal, &past, &mut dice);
    check_end(&scratch, &past, &what);
    start_again(&scratch, series, past.acknowledged, &what);
    past.ended
}

/// What happens to the disk when the recorder is gone.
fn end(scratch: &Scratch, series: &Series, journal: &Mutex<Journal>, past: &Past, dice: &mut Dice) {
    if matches!(series.end, End::Power) {
        cut_power(scratch, &journal.lock().unwrap(), dice);
        lose_names(scratch, past, dice);
    }
}

/// Before anything is started again.
fn check_end(scratch: &Scratch, past: &Past, what: &str) {
    if scratch.store().exists() {
        let report = check(scratch);
        let nothing = past.acknowledged == 0 && report.verdict == Incomplete;
        assert!(report.verdict == Unanchored || nothing, "{what}: {:#?}", report.findings);
    }
}

/// One store, and a power cut after the other; gives their number.
fn cut_again_and_again(seed: u64) -> usize {
    const ROUNDS: usize = 40;
    let scratch = Scratch::new();
    let mut dice = Dice(seed);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let series = Series { partial: Partial::EACH[dice.roll(4)], ..Series::new(End::Power, Base::Fresh) };
        let journal = Arc::default();
        let past = record(&scratch, &series, series.plan(dice.roll(60)), &journal);
        end(&scratch, &series, &journal, &past, &mut dice);
        let what = format!("seed {seed}, round {round}");
        check_end(&scratch, &past, &what);
        acknowledged = acknowledged.max(past.acknowledged);
        assert!(!scratch.store().exists() || lines(&scratch.store()).len() as u64 >= acknowledged, "{what}");
    }
    start_again(&scratch, &Series::new(End::Power, Base::Fresh), acknowledged, "after all rounds");
    ROUNDS
}

fn start_again(scratch: &Scratch, series: &Series, acknowledged: u64, what: &str) {
    let now = EPOCH.saturating_add(series.jump).saturating_add(series.jump);
    let options = Options { boot_id: [8; 16], now, retention: series.base.policy(), ..options() };
    let (mut writer, recovery) = Writer::open(&scratch.store(), &scratch.state(), options)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let complaints = [&recovery.damage, &recovery.no_tiles, &recovery.no_retention];
    assert_eq!(complaints, [&None, &None, &None], "{what}");
    assert!(recovery.next_seq >= acknowledged, "{what}: {recovery:?}");
    retire(&mut writer, now).unwrap();
    put(&mut writer, 1, now).unwrap();
    let next = writer.next_seq();
    writer.close(now).unwrap();
    let lines = lines(&scratch.store());
    let first = seq_of(&lines[0]);
    for (seq, line) in (first..).zip(&lines) {
        assert_eq!(seq_of(line), seq, "{what}: {line}");
    }
    assert_eq!(first + lines.len() as u64, next, "{what}");
    let report = check(scratch);
    let removed: u64 = report.removed.iter().map(|range| range.segments).sum();
    assert_eq!(removed, if series.base == Base::Retired { 3 } else { 0 }, "{what}: {:?}", report.removed);
    assert_eq!(report.verdict, Unanchored, "{what}: {:#?}", report.findings);
    assert!(report.checkpoint.is_some(), "{what}: not compared with the checkpoint");
    assert!(!report.has(Kind::TileUnfinished) && !report.has(Kind::NoEnd), "{what}: {:#?}", report.findings);
}

/// Everything that is tried.
fn all_series() -> Vec<Series> {
    let mut all = Vec::new();
    for base in [Base::Fresh, Base::Stopped, Base::Torn] {
        for partial in Partial::EACH {
            all.push(Series { partial, ..Series::new(End::Kill, base) });
        }
        for seed in 0..6 {
            let partial = Partial::EACH[seed as usize % 4];
            all.push(Series { seed, partial, ..Series::new(End::Power, base) });
        }
    }
    all.push(Series { chunk: 100, ..Series::new(End::Kill, Base::Fresh) });
    all.push(Series { chunk: 700, seed: 99, ..Series::new(End::Power, Base::Stopped) });
    for end in [End::Full(1), End::Full(3), End::Fails(READ_ONLY), End::Fails(IO_ERROR)] {
        all.push(Series::new(end, Base::Stopped));
        all.push(Series { partial: Partial::Nothing, ..Series::new(end, Base::Fresh) });
    }
    for (seed, jump) in [-HOUR, HOUR + 1, -10 * YEAR, 10 * YEAR, i64::MIN, i64::MAX].into_iter().enumerate() {
        let end = if seed % 2 == 0 { End::Power } else { End::Kill };
        all.push(Series { jump, seed: seed as u64, ..Series::new(end, Base::Stopped) });
    }
    for seed in 0..4 {
        all.push(Series { seed, partial: Partial::All, ..Series::new(End::Power, Base::Tile) });
    }
    for seed in 0..8 {
        let partial = Partial::EACH[seed as usize % 4];
        all.push(Series { seed, partial, ..Series::new(End::Power, Base::Retired) });
    }
    for partial in Partial::EACH {
        all.push(Series { partial, ..Series::new(End::Kill, Base::Retired) });
    }
    for end in [End::Full(1), End::Full(3), End::Fails(READ_ONLY), End::Fails(IO_ERROR)] {
        all.push(Series::new(end, Base::Retired));
    }
    all.push(Series::new(End::Kill, Base::Tile));
    all.push(Series::new(End::Full(1), Base::Tile));
    all
}

#[test]
fn no_crash_no_cut_no_full_disk_and_no_clock_is_called_tampering() {
    let series = all_series();
    let taken = AtomicUsize::new(0);
    let runs = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(series) = series.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    let first = if series.base == Base::Tile { 4 } else { 0 };
                    let count = (first..).take_while(|at| !run(series, *at)).count() + 1;
                    assert!(count > 20, "{series:?}: {count}");
                    let mut runs = runs.lock().unwrap();
                    *runs.entry(series.end.name()).or_insert(0) += count;
                    if series.jump != 0 {
                        *runs.entry("clock jump").or_insert(0) += count;
                    }
                }
            });
        }
    });
    let mut runs = runs.into_inner().unwrap();
    *runs.entry(End::Power.name()).or_insert(0) += (0..3).map(cut_again_and_again).sum::<usize>();
    let all: usize = runs.iter().filter(|(what, _)| **what != "clock jump").map(|(_, count)| count).sum();
    println!("{all} runs, no false alarm: {runs:?}");
    assert!(all >= 1_000, "{all} runs");
}
