//! Events of a made-up build as a ring holds them: shells start compilers, which make, write, rename and remove files.
#![allow(dead_code, reason = "each bench uses a part of it")]

use anyhow::{Context as _, Result};
use recorder::capture::ring::boot_ns;
use recorder::enrich::Enricher;
use recorder::event::Event;
use recorder::event::decode::{Sample, decode};
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

/// The kernel's boot id, as the events have it.
pub const BOOT: &str = "0a1b2c3d000040008000000000000000";
/// Commands that [`Samples::of_a_build`] has; each is nine events.
const COMMANDS: u32 = 3_000;
/// Commands of one login.
pub const COMMANDS_OF_A_SESSION: u32 = 2_000;
/// The first login.
pub const FIRST_SESSION: u32 = 3;
/// Samples that the daemon reads from a ring at once under load.
const BATCH: usize = 256;
/// Where `mono` is in a sample's header.
const MONO: std::ops::Range<usize> = 24..32;

/// Ring contents.
pub struct Samples(Vec<Vec<u8>>);

impl Samples {
    /// The same commands again and again.
    pub fn of_a_build() -> Self {
        Self((0..COMMANDS).flat_map(command).collect())
    }

    /// Goes round until `events` were taken; times move on as they would.
    pub fn each(
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

/// Where the object file of a command ends up, and what it is called until then.
pub fn object(number: u32) -> (String, String) {
    let name = format!("recorder-{:016x}.o", u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (format!("target/debug/deps/{name}"), format!("{name}.tmp"))
}

/// The process of a command.
pub const fn pid(number: u32) -> u32 {
    20_000 + number % 4_000_000
}

/// The nine events of one command.
pub fn command(number: u32) -> Vec<Vec<u8>> {
    let session = FIRST_SESSION + number / COMMANDS_OF_A_SESSION;
    let pid = pid(number);
    let sample = |pid, kind, flags, args, texts: &[_]| sample((pid, session), kind, flags, args, texts);
    let (name, temporary) = object(number);
    let temporary = format!("{temporary}\0deps\0debug\0target\0project\0alice\0home\0").into_bytes();
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
fn sample(
    (pid, session): (u32, u32),
    kind: Kind,
    flags: u64,
    args: [u64; 4],
    texts: &[(Tag, &[u8])],
) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend((kind as u16).to_ne_bytes());
    bytes.extend([1, u8::try_from(texts.len()).unwrap_or(0)]);
    bytes.extend([0; 8]);
    for number in [7, 0, flags, 3_600_000_000_000, 12_000_000_001, 77] {
        bytes.extend(u64::to_ne_bytes(number));
    }
    for number in
        [pid, pid, 4_000, 1_000, 1_000, 1_000, 1_000, 1_000, session, 4_026_531_841, 4_026_531_836, 0]
    {
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
