//! What an event costs from the ring's bytes to the disk: decode, enrich, line, chain, compress, write, sync.
//! `cargo bench -p recorder --bench pipeline -- [DIR] [events]` measures on the disk of DIR; one row a stage.

mod build;

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use build::{BOOT, Samples};
use recorder::capture::ring::wall_ns;
use recorder::daemon::control::Shared;
use recorder::daemon::lines::Lines;
use recorder::daemon::sink::Sink;
use recorder::enrich::Enricher;
use recorder::event::json::{LineContext, Writer as Json};
use recorder::store::writer::{Immutable, Options, Writer};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let folder = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let events: usize = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let mut samples = Samples::of_a_build();
    let mut out = io::stdout().lock();
    writeln!(out, "{events} events of a build, on {}", folder.path().display())?;
    writeln!(
        out,
        "{:<34}{:>12}{:>14}{:>14}{:>9}",
        "stage", "events/s", "CPU us/event", "events/s/core", "B/event"
    )?;
    let decoded = decode_and_enrich(&mut samples, events)?;
    writeln!(out, "{}", decoded.row("decode, enrich", events))?;
    let (lines, line_bytes) = make_lines(&mut samples, events)?;
    writeln!(out, "{}{line_bytes:>9.0}", lines.row("decode, enrich, line", events))?;
    let (durable, disk_bytes) = all(&mut samples, events, &folder.path().join("store"))?;
    writeln!(out, "{}{disk_bytes:>9.1}", durable.row("all of it, durable", events))?;
    Ok(())
}

/// Wall and CPU time of all threads.
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl Spent {
    fn on(work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (wall, cpu) = (Instant::now(), cpu_time());
        work()?;
        Ok(Self { wall: wall.elapsed(), cpu: cpu_time() - cpu })
    }

    fn row(&self, stage: &str, events: usize) -> String {
        let (wall, cpu) = (self.wall.as_secs_f64(), self.cpu.as_secs_f64());
        let count = events as f64;
        format!("{stage:<34}{:>12.0}{:>14.2}{:>14.0}", count / wall, cpu / count * 1e6, count / cpu)
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn decode_and_enrich(samples: &mut Samples, events: usize) -> Result<Spent> {
    let mut enricher = Enricher::new(Path::new("/proc"));
    Spent::on(|| {
        samples.each(events, &mut enricher, |event| {
            std::hint::black_box(event);
            Ok(())
        })
    })
}

fn make_lines(samples: &mut Samples, events: usize) -> Result<(Spent, f64)> {
    let mut enricher = Enricher::new(Path::new("/proc"));
    let (mut json, mut line, mut bytes, mut seq) = (Json::default(), Vec::new(), 0, 0);
    let spent = Spent::on(|| {
        samples.each(events, &mut enricher, |event| {
            line.clear();
            json.append(
                &mut line,
                &LineContext { seq, wall_ns: event.mono.cast_signed(), boot: BOOT },
                event,
            );
            (bytes, seq) = (bytes + line.len(), seq + 1);
            Ok(())
        })
    })?;
    Ok((spent, bytes as f64 / events as f64))
}

fn all(samples: &mut Samples, events: usize, store: &Path) -> Result<(Spent, f64)> {
    let options = Options { immutable: Immutable::Off, ..Options::new([7; 16], wall_ns()) };
    let (writer, recovery) = Writer::open(store, &store.with_extension("state"), options)?;
    let sink = Sink::start(writer, Shared::new(store, BOOT, recovery.next_frame), wall_ns)?;
    let mut lines = Lines::new(sink, BOOT, recovery.next_seq);
    let mut enricher = Enricher::new(Path::new("/proc"));
    let spent = Spent::on(|| {
        samples.each(events, &mut enricher, |event| {
            lines.write(event).map_err(|_| anyhow::anyhow!("the store takes no more"))
        })?;
        let _ = lines.flush();
        lines.finish().context("finishing the store")
    })?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(store)? {
        bytes += entry?.metadata()?.len();
    }
    Ok((spent, bytes as f64 / events as f64))
}
