//! What an event costs from the ring's bytes to the disk: decode, enrich, line, chain, compress, write, sync.
//! `cargo bench -p recorder --bench pipeline -- [DIR] [events]` measures on the disk of DIR; one row a stage.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use recorder::capture::ring::{boot_ns, wall_ns};
use recorder::daemon::control::Shared;
use recorder::daemon::lines::Lines;
use recorder::daemon::sink::Sink;
use recorder::enrich::Enricher;
use recorder::event::Event;
use recorder::event::decode::{Sample, decode};
use recorder::event::json::{LineContext, Writer as Json};
use recorder::store::writer::{Immutable, Options, Writer};
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;
use rustix::time::{ClockId, clock_gettime};

const BOOT: &str = "0a1b2c3d000040008000000000000000";
/// Commands of the made-up build; each is nine events.
const COMMANDS: u32 = 3_000;
/// Samples that the daemon reads from a ring at once under load.
const BATCH: usize = 256;
/// Where `mono` is in a sample's header.
const MONO: std::ops::Range<usize> = 24..32;

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

/// Ring contents of a build: shells start compilers, which make, write, rename and remove files.
struct Samples(Vec<Vec<u8>>);

impl Samples {
    fn of_a_build() -> Self {
        Self((0..COMMANDS).flat_map(command).collect())
    }

    /// Goes round until `events` were taken; times move on as they would.
    fn each(
        &mut self,
        events: usize,
        enricher: &mut Enricher,
        mut take: impl FnMut(&Event<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut left = events;
        while left > 0 {
            for batch in self.0.chunks_mut(BATCH) {
                let now = boot_ns();
                for (sample, after) in batch.iter_mut().zip(0..left.min(BATCH) as u64) {
                    if let Some(mono) = sample.get_mut(MONO) {
                        mono.copy_from_slice(&(now + after * 1_000).to_ne_bytes());
                    }
                    let Sample::Event(event) = decode(sample).context("a sample of this bench")?.sample
                    else {
                        continue;
                    };
                    if let Some(event) = enricher.enrich(event) {
                        take(&event)?;
                    }
                    left -= 1;
                }
            }
        }
        Ok(())
    }
}

/// The nine events of one command.
fn command(number: u32) -> Vec<Vec<u8>> {
    let pid = 20_000 + number;
    let object = format!("recorder-{:016x}.o", u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let leaf = |name: &str| format!("{name}\0deps\0debug\0target\0project\0alice\0home\0").into_bytes();
    let (temporary, name) = (leaf(&format!("{object}.tmp")), format!("target/debug/deps/{object}"));
    let argv =
        format!("rustc\0--crate-name\0part_{number}\0--edition=2024\0src/part_{number}.rs\0-o\0{name}\0");
    let base: (Tag, &[u8]) = (Tag::Base, b"project\0alice\0home\0");
    let of_name = [base, (Tag::Name, name.as_bytes())];
    let file: [(Tag, &[u8]); 1] = [(Tag::Object, &temporary)];
    vec![
        sample(4_000, Kind::Fork, 0, [u64::from(pid), u64::from(pid), 3_600_000_000_000, 0], &[]),
        sample(
            pid,
            Kind::Exec,
            0,
            [7, 0, 0, 1],
            &[
                (Tag::Exe, b"rustc\0bin\0usr\0"),
                (Tag::Cwd, b"project\0alice\0home\0"),
                (Tag::Given, b"/usr/bin/rustc"),
                (Tag::Argv, argv.as_bytes()),
            ],
        ),
        sample(pid, Kind::FileCreate, flag::OPEN, [0; 4], &file),
        sample(pid, Kind::FileWrite, flag::FIRST, [8_192, 1, 0, 0], &file),
        sample(pid, Kind::FileWrite, flag::CLOSE, [u64::from(number) * 7_919 % 900_000, 9, 0, 0], &file),
        sample(
            pid,
            Kind::FileRename,
            flag::FROM_ARGUMENT,
            [0; 4],
            &[
                base,
                (Tag::Name, name.as_bytes()),
                (Tag::BaseTo, b"project\0alice\0home\0"),
                (Tag::NameTo, name.as_bytes()),
            ],
        ),
        sample(pid, Kind::AttrMode, flag::FROM_ARGUMENT, [0o644, 0, 0, 0], &of_name),
        sample(pid, Kind::FileDelete, flag::FROM_ARGUMENT, [0; 4], &of_name),
        sample(pid, Kind::Exit, 0, [0; 4], &[]),
    ]
}

/// One sample as a probe writes it.
fn sample(pid: u32, kind: Kind, flags: u64, args: [u64; 4], texts: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend((kind as u16).to_ne_bytes());
    bytes.extend([1, u8::try_from(texts.len()).unwrap_or(0)]);
    bytes.extend([0; 8]);
    for number in [7, 0, flags, 3_600_000_000_000, 12_000_000_001, 77] {
        bytes.extend(u64::to_ne_bytes(number));
    }
    for number in [pid, pid, 4_000, 1_000, 1_000, 1_000, 1_000, 1_000, 3, 4_026_531_841, 4_026_531_836, 0] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    bytes.extend(*b"rustc\0\0\0\0\0\0\0\0\0\0\0");
    bytes.extend((131_073 + u64::from(pid)).to_ne_bytes());
    bytes.extend(args.iter().flat_map(|number| number.to_ne_bytes()));
    for number in [(8_u32 << 20) | 1, 0o100_644, 1_000, 1_000] {
        bytes.extend(number.to_ne_bytes());
    }
    for (tag, text) in texts {
        bytes.extend([*tag as u8, 0]);
        bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_ne_bytes());
        bytes.extend(*text);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_ne_bytes();
    bytes.splice(..4, length);
    bytes
}
