//! What evidence costs: writing, waiting for the disk, reading and verifying, without a framework.
//! `cargo bench -p recorder --bench store -- [DIR] [events]` measures on the disk of DIR; `cargo xtask bench store`.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use recorder::store::directory::Directory;
use recorder::store::format::FRAME_HEADER;
use recorder::store::medium::{Files, Medium};
use recorder::store::reader::SegmentReader;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError};
use recorder::verify::{VerifyOptions, verify};
use rustix::time::{ClockId, clock_gettime};

/// The daemon's frame.
const FRAME: usize = recorder::daemon::frame::FRAME_BYTES;
/// Frames of one event, for the time that the disk takes.
const SINGLES: usize = 500;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let directory = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let events: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let lines = Lines::make(20_000);
    let store = directory.path().join("store");
    let discarded = write(&directory.path().join("discard"), events, &lines, true)?;
    let durable = write(&store, events, &lines, false)?;
    let (read, sizes) = read(&store)?;
    let (full, headers) = (check(&store, false)?, check(&store, true)?);
    let mut waits = singles(&directory.path().join("singles"), &lines)?;
    waits.sort_by(f64::total_cmp);
    let mut out = io::stdout().lock();
    let line_bytes = lines.text.len() / lines.ends.len();
    writeln!(out, "{events} events of {line_bytes} bytes, on {}", directory.path().display())?;
    writeln!(out, "{:<34}{:>14}{:>14}{:>18}", "", "CPU us/event", "events/s", "events/s/core")?;
    for (name, spent) in [
        ("append, without a disk", discarded),
        ("append, durable (budget 250 k)", durable),
        ("read", read),
        ("verify, 1 job (budget 1 M)", full),
        ("verify --headers-only, 1 job", headers),
    ] {
        writeln!(out, "{name:<34}{}", spent.row(events))?;
    }
    let share = |bytes: u64| bytes as f64 / events as f64;
    writeln!(out, "on disk {:.1} B/event (budget 40)", share(sizes.all))?;
    writeln!(
        out,
        "integrity {:.2} B/event (budget 2): headers, seals without index, tiles",
        share(sizes.integrity)
    )?;
    writeln!(out, "index {:.2} B/event", share(sizes.index))?;
    let at = |part: f64| waits.get((part * SINGLES as f64) as usize).copied().unwrap_or(f64::NAN);
    writeln!(out, "one event, append to durable: p50 {:.2} ms, p99 {:.2} ms (budget 10)", at(0.5), at(0.99))?;
    let headers_s = headers.wall_us / events as f64 * 86.0;
    writeln!(out, "86 M events, headers only, 1 job: {headers_s:.0} s (budget 30)")?;
    Ok(())
}

/// Milliseconds that frames of one event each take to be durable.
fn singles(store: &Path, lines: &Lines) -> Result<Vec<f64>> {
    let options = Options { immutable: Immutable::Off, ..Options::new([0; 16], 0) };
    let (mut writer, _) = Writer::open(store, &store.with_extension("state"), options)?;
    let end = *lines.ends.first().context("lines")?;
    let text = lines.text.get(..end).context("lines")?;
    let frame =
        FrameInput { lines: text, ends: &[u32::try_from(end)?], t_first: 0, t_last: 0, lost_total: 0 };
    let mut waits = Vec::with_capacity(SINGLES);
    for _ in 0..SINGLES {
        let begin = Instant::now();
        writer.append(&frame)?;
        waits.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(waits)
}

/// Bytes of a store.
#[derive(Default)]
struct Sizes {
    all: u64,
    integrity: u64,
    index: u64,
}

/// Event lines as a build makes them: much the same, never quite.
struct Lines {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    fn make(count: u64) -> Self {
        let mut lines = Self { text: Vec::new(), ends: Vec::new() };
        for seq in 0..count {
            let pid = 20_000 + seq / 7 % 30_000;
            let nanos = seq.wrapping_mul(7_919_173) % 1_000_000_000;
            let seconds = seq / 900 % 60;
            let name = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let line = format!(
                "{{\"seq\":{seq},\"t\":\"2026-11-24T00:00:{seconds:02}.{nanos:09}Z\",\"mono\":{},\"kind\":\"file_create\",\
                 \"result\":\"ok\",\"pid\":{pid},\"tid\":{pid},\"ppid\":{},\"key\":\"8f14e45f-{pid}-{}\",\
                 \"pkey\":\"8f14e45f-{}-81230{}\",\"comm\":\"rustc\",\"exe\":\"/usr/local/bin/rustc\",\"uid\":1000,\"euid\":1000,\
                 \"gid\":1000,\"egid\":1000,\"loginuid\":1000,\"session\":3,\"cgroup\":\"/user.slice/user-1000.slice\",\
                 \"container\":null,\"mntns\":4026531841,\"pidns\":4026531836,\"path\":\"/home/u/target/debug/deps/lib{name:06x}.rmeta\",\
                 \"dev\":\"254:0\",\"ino\":{},\"mode\":\"0100644\",\"flags\":[]}}\n",
                81_230_000_000_000 + seq * 111_317,
                pid - 13,
                81_230_000 + pid * 3_331,
                pid - 13,
                pid % 977,
                1_310_720 + name % 500_000,
            );
            lines.text.extend(line.into_bytes());
            lines.ends.push(lines.text.len());
        }
        lines
    }
}

#[derive(Clone, Copy)]
struct Spent {
    cpu_us: f64,
    wall_us: f64,
}

impl Spent {
    fn on(act: impl FnOnce() -> Result<()>) -> Result<Self> {
        let cpu = || {
            let now = clock_gettime(ClockId::ProcessCPUTime);
            now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
        };
        let (before, started) = (cpu(), Instant::now());
        act()?;
        Ok(Self { cpu_us: cpu() - before, wall_us: started.elapsed().as_secs_f64() * 1e6 })
    }

    fn row(self, events: u64) -> String {
        let count = events as f64;
        let (cpu, wall) = (self.cpu_us / count, self.wall_us / count);
        format!("{cpu:>14.3}{:>14.0}{:>18.0}", 1e6 / wall, 1e6 / cpu)
    }
}

/// Takes everything and keeps nothing, so that only computing is measured.
struct Discard(Files);

impl Medium for Discard {
    fn begin(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.begin(name)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn fix(&mut self, _name: &str, _bytes: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn seal(&mut self, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove(&mut self, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

fn write(store: &Path, events: u64, lines: &Lines, discard: bool) -> Result<Spent> {
    let options = Options { immutable: Immutable::Off, ..Options::new([0; 16], 0) };
    let between =
        |files| -> Box<dyn Medium> { if discard { Box::new(Discard(files)) } else { Box::new(files) } };
    let state = store.with_extension("state");
    let (mut writer, _) = Writer::open_on(store, &state, options, between)?;
    let mut ends: Vec<u32> = Vec::new();
    Spent::on(|| {
        let mut written = 0;
        let mut line = 0usize;
        while written < events {
            let start = line.checked_sub(1).and_then(|before| lines.ends.get(before)).map_or(0, |end| *end);
            ends.clear();
            while let Some(end) = lines.ends.get(line).filter(|end| **end - start <= FRAME) {
                ends.push(u32::try_from(end - start)?);
                line += 1;
            }
            let Some(last) = ends.last() else {
                line = 0;
                continue;
            };
            let text = lines.text.get(start..start + *last as usize).context("lines")?;
            writer.append(&FrameInput { lines: text, ends: &ends, t_first: 0, t_last: 0, lost_total: 0 })?;
            written += ends.len() as u64;
        }
        Ok(())
    })
}

fn read(store: &Path) -> Result<(Spent, Sizes)> {
    let mut sizes = Sizes::default();
    let spent = Spent::on(|| {
        let mut raw = Vec::new();
        for segment in Directory::open(store)?.segments() {
            sizes.all += segment.path.metadata()?.len();
            let Some(mut reader) = SegmentReader::open(&segment.path)? else { continue };
            sizes.integrity += reader.offset();
            while let Some(frame) = reader.next_frame()? {
                // A hash of each frame is in a tile, or will be.
                sizes.integrity += FRAME_HEADER as u64 + 32;
                sizes.all += 32;
                if frame.header.is_seal() {
                    let checkpoint = reader.seal_checkpoint(&frame)?.len() as u64;
                    sizes.integrity += checkpoint;
                    sizes.index += u64::from(frame.header.payload_len) - checkpoint;
                }
                frame.decompress(&mut raw)?;
            }
        }
        Ok(())
    })?;
    Ok((spent, sizes))
}

fn check(store: &Path, headers_only: bool) -> Result<Spent> {
    let options = VerifyOptions { headers_only, jobs: 1, ..VerifyOptions::default() };
    Spent::on(|| {
        let report = verify(store, &options, &mut |_| {})?;
        anyhow::ensure!(report.exit_code == 5, "{:?}", report.findings);
        Ok(())
    })
}
