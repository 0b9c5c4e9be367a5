//! What an index costs and what it saves: bytes and time per event to make it, and queries with and without it.
//! `cargo bench -p recorder --bench query -- [DIR] [events]`: a made-up build on the disk of DIR.

mod build;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use build::{BOOT, COMMANDS_OF_A_SESSION, FIRST_SESSION, object, pid};
use recorder::enrich::Enricher;
use recorder::event::decode::{Sample, decode};
use recorder::event::json::{LineContext, Writer as Json};
use recorder::store::directory::Directory;
use recorder::store::index::Builder;
use recorder::store::medium::{Files, Medium};
use recorder::store::reader::SegmentReader;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError};
use rustix::time::{ClockId, clock_gettime};

/// As the daemon closes frames under load.
const FRAME: usize = recorder::daemon::frame::FRAME_BYTES;
/// Wall time of the first event: 2027-01-15 08:00:00 UTC.
const START: i64 = 1_800_000_000_000_000_000;
/// Between two events, so that windows of time are worth asking for.
const STEP: i64 = 100_000;
const EVENTS_OF_A_COMMAND: u64 = 9;
/// Every question is asked without the index too, in a store of up to so many events.
const COMPARED: u64 = 10_000_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let folder = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let events: u64 = arguments.next().map_or(Ok(2_000_000), |count| count.parse())?;
    let store = folder.path().join("store");
    record(&store, events)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{events} events of a build, on {}", folder.path().display())?;
    let made = make_indexes(&store)?;
    let per_event = |bytes: u64| bytes as f64 / events as f64;
    writeln!(
        out,
        "{} segments, {:.1} B/event, of which the index is {:.2}\n\
         index: CPU {:.3} us/event to collect, {:.3} to sort and write; decompressing takes {:.3}\n",
        made.segments,
        per_event(made.bytes),
        per_event(made.index_bytes),
        made.collecting.as_secs_f64() * 1e6 / events as f64,
        made.writing.as_secs_f64() * 1e6 / events as f64,
        made.reading.as_secs_f64() * 1e6 / events as f64,
    )?;
    writeln!(
        out,
        "{:<30}{:>10}{:>12}{:>14}{:>16}",
        "query", "matches", "index ms", "no index ms", "M events/s"
    )?;
    for (number, (name, options)) in questions(events).into_iter().enumerate() {
        let (matches, fast) = ask(&store, &options, &[])?;
        write!(out, "{name:<30}{matches:>10}{:>12.1}", fast.as_secs_f64() * 1e3)?;
        // Reading everything for each question takes too long in a large store.
        if number == 0 || events <= COMPARED {
            let (expected, slow) = ask(&store, &options, &["--no-index"])?;
            ensure!(matches == expected, "{name}: {matches} events with the index, {expected} without");
            let slow = slow.as_secs_f64();
            write!(out, "{:>14.1}{:>16.2}", slow * 1e3, events as f64 / slow / 1e6)?;
        }
        writeln!(out)?;
        out.flush()?;
    }
    let middle = u32::try_from(events / 2 / EVENTS_OF_A_COMMAND).unwrap_or(u32::MAX);
    let session = (FIRST_SESSION + middle / COMMANDS_OF_A_SESSION).to_string();
    let path = format!("/home/alice/project/{}", object(middle).0);
    for (name, words) in [
        ("session, as a story", vec!["session", &session]),
        ("blame", vec!["blame", &path, "-n", "5"]),
        ("list of sessions", vec!["session"]),
    ] {
        let spent = run(&store, &words)?;
        writeln!(out, "{name:<30}{:>22.1}", spent.as_secs_f64() * 1e3)?;
    }
    Ok(())
}

/// Runs another verb; its time.
fn run(store: &Path, words: &[&str]) -> Result<Duration> {
    let mut verb = Command::new(env!("CARGO_BIN_EXE_recorder"));
    let started = Instant::now();
    let output =
        verb.args(words).arg("--store").arg(store).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("running the verb")?;
    ensure!(matches!(output.status.code(), Some(0 | 1)), "{words:?} failed: {}", output.status);
    Ok(started.elapsed())
}

/// Queries about the middle of the log.
fn questions(events: u64) -> Vec<(&'static str, Vec<String>)> {
    let middle = u32::try_from(events / 2 / EVENTS_OF_A_COMMAND).unwrap_or(u32::MAX);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let time = |offset: u64| {
        let nanos = START + i64::try_from(events / 2 + offset).unwrap_or(0) * STEP;
        format!("@{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    };
    let session = FIRST_SESSION + middle / COMMANDS_OF_A_SESSION;
    vec![
        ("path", words(&["--path", &format!("/home/alice/project/{}", object(middle).0)])),
        ("path that is not there", words(&["--path", "/etc/shadow"])),
        ("path prefix, nothing below", words(&["--path", "/etc/"])),
        ("path prefix and glob", words(&["--path", &format!("/home/*/project/{}", object(middle).0)])),
        ("pid", words(&["--pid", &pid(middle).to_string()])),
        ("session", words(&["--session", &session.to_string()])),
        (
            "pid of that session",
            words(&["--session", &session.to_string(), "--pid", &pid(middle).to_string()]),
        ),
        ("kind that is not there", words(&["--kind", "login"])),
        ("10 s window", words(&["--since", &time(0), "--until", &time(100_000), "--kind", "exec"])),
        ("last 20, newest first", words(&["-n", "20", "-r"])),
    ]
}

/// Runs the program; its matches and its time.
fn ask(store: &Path, options: &[String], more: &[&str]) -> Result<(usize, Duration)> {
    let mut query = Command::new(env!("CARGO_BIN_EXE_recorder"));
    query.args(["query", "-o", "jsonl", "--store"]).arg(store).args(options).args(more);
    let started = Instant::now();
    let output = query.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("running the query")?;
    let spent = started.elapsed();
    ensure!(matches!(output.status.code(), Some(0 | 1)), "the query failed: {}", output.status);
    Ok((output.stdout.iter().filter(|byte| **byte == b'\n').count(), spent))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Appends without waiting for the disk.
struct NoSync(Files);

impl Medium for NoSync {
    fn begin(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.begin(name)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn fix(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.fix(name, bytes)
    }

    fn seal(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.seal(name)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.remove(name)
    }
}

/// Writes the store; every command is another process with another file.
fn record(store: &Path, events: u64) -> Result<()> {
    let options = Options { immutable: Immutable::Off, ..Options::new([7; 16], START) };
    let state = store.with_extension("state");
    let (mut writer, _) = Writer::open_on(store, &state, options, |files| Box::new(NoSync(files)))?;
    let (mut enricher, mut json) = (Enricher::new(Path::new("/proc")), Json::default());
    let (mut lines, mut ends, mut seq) = (Vec::new(), Vec::new(), 0);
    let wall = |seq: u64| START + i64::try_from(seq).unwrap_or(0) * STEP;
    let mut append = |lines: &mut Vec<u8>, ends: &mut Vec<u32>, next: u64| -> Result<()> {
        let (t_first, t_last) = (wall(next - ends.len() as u64), wall(next - 1));
        writer.append(&FrameInput { lines, ends, t_first, t_last, lost_total: 0 })?;
        lines.clear();
        ends.clear();
        Ok(())
    };
    for sample in (0..).flat_map(build::command).take(usize::try_from(events)?) {
        let Sample::Event(event) = decode(&sample).context("a sample of this bench")?.sample else {
            continue;
        };
        let Some(event) = enricher.enrich(event) else { continue };
        json.append(&mut lines, &LineContext { seq, wall_ns: wall(seq), boot: BOOT }, &event);
        ends.push(u32::try_from(lines.len())?);
        seq += 1;
        if lines.len() >= FRAME {
            append(&mut lines, &mut ends, seq)?;
        }
    }
    if !ends.is_empty() {
        append(&mut lines, &mut ends, seq)?;
    }
    ensure!(seq == events, "{} events were passed over", events - seq);
    writer.close(wall(seq))?;
    Ok(())
}

#[derive(Default)]
struct Made {
    segments: usize,
    bytes: u64,
    index_bytes: u64,
    reading: Duration,
    collecting: Duration,
    writing: Duration,
}

/// Makes the index of each segment from its frames, as a verifier does.
fn make_indexes(store: &Path) -> Result<Made> {
    let mut made = Made::default();
    let mut builder = Builder::new();
    let mut raw = Vec::new();
    for segment in Directory::open(store)?.segments() {
        made.segments += 1;
        made.bytes += segment.path.metadata()?.len();
        let Some(mut reader) = SegmentReader::open(&segment.path)? else { continue };
        while let Some(frame) = reader.next_frame()? {
            let started = cpu_time();
            frame.decompress(&mut raw)?;
            let decompressed = cpu_time();
            if !frame.header.is_seal() {
                builder.add_frame(&frame.header, &raw);
            }
            made.reading += decompressed - started;
            made.collecting += cpu_time() - decompressed;
        }
        let started = cpu_time();
        let index = builder.finish();
        made.writing += cpu_time() - started;
        made.index_bytes += index.len() as u64;
        let stored = reader.index()?.with_context(|| format!("{}: no index", segment.path.display()))?;
        ensure!(
            reader.read(stored.start(), index.len())? == index,
            "{}: another index",
            segment.path.display()
        );
    }
    Ok(made)
}
