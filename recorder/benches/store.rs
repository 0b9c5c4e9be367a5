//! What evidence costs: CPU and wall time per event of writing, reading and verifying, without a framework.
//! `cargo bench -p recorder --bench store -- [DIR] [events]`; one JSON object on stdout.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use recorder::store::directory::Directory;
use recorder::store::medium::{Files, Medium};
use recorder::store::reader::SegmentReader;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::store::{FrameInput, StoreError};
use recorder::verify::{VerifyOptions, verify};
use rustix::time::{ClockId, clock_gettime};

const FRAME: usize = 64 << 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let directory = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let events: u64 = arguments.next().map_or(Ok(300_000), |count| count.parse())?;
    let lines = Lines::make(20_000);
    let discarded = write(&directory.path().join("discard"), events, &lines, true)?;
    let store = directory.path().join("store");
    let durable = write(&store, events, &lines, false)?;
    let (read, bytes) = read(&store)?;
    let full = check(&store, false)?;
    let headers = check(&store, true)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{{\"events\":{events},\"line_bytes\":{},", lines.text.len() / lines.ends.len())?;
    writeln!(out, " \"disk_bytes_per_event\":{:.1},", bytes as f64 / events as f64)?;
    for (name, spent) in
        [("write_no_disk", discarded), ("write_durable", durable), ("read", read), ("verify", full)]
    {
        writeln!(out, " \"{name}\":{},", spent.per(events))?;
    }
    writeln!(out, " \"verify_headers\":{}}}", headers.per(events))?;
    Ok(())
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

    fn per(self, events: u64) -> String {
        let count = events as f64;
        let (cpu, wall) = (self.cpu_us / count, self.wall_us / count);
        format!(
            "{{\"cpu_us_per_event\":{cpu:.3},\"wall_us_per_event\":{wall:.3},\"events_per_s\":{:.0}}}",
            1e6 / wall
        )
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

fn read(store: &Path) -> Result<(Spent, u64)> {
    let mut bytes = 0;
    let spent = Spent::on(|| {
        let mut raw = Vec::new();
        for segment in Directory::open(store)?.segments() {
            bytes += segment.path.metadata()?.len();
            let Some(mut reader) = SegmentReader::open(&segment.path)? else { continue };
            while let Some(frame) = reader.next_frame()? {
                frame.decompress(&mut raw)?;
            }
        }
        Ok(())
    })?;
    Ok((spent, bytes))
}

fn check(store: &Path, headers_only: bool) -> Result<Spent> {
    let options = VerifyOptions { headers_only, jobs: 1, ..VerifyOptions::default() };
    Spent::on(|| {
        let report = verify(store, &options, &mut |_| {})?;
        anyhow::ensure!(report.exit_code == 5, "{:?}", report.findings);
        Ok(())
    })
}
