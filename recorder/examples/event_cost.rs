//! Prices of the hot path and of reading back, per event: `cargo run --release -p recorder --example event_cost`.

#![expect(clippy::print_stdout, reason = "a measuring tool talks on stdout")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use recorder::config::Redact;
use recorder::enrich::Enricher;
use recorder::event::decode::{Sample, decode};
use recorder::event::json::{LineContext, Writer};
use recorder::event::record::{Head, Record};
use recorder::redact::commitment::SaltKey;
use recorder::redact::{RedactError, Redactor};
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

const ROUNDS: u64 = 300_000;
const BOOT: &str = "0a1b2c3d000040008000000000000000";

/// A sample of a shell's child, with these texts.
fn sample(kind: Kind, flags: u64, texts: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend((kind as u16).to_ne_bytes());
    bytes.extend([1, u8::try_from(texts.len()).unwrap_or(0)]);
    bytes.extend([0; 8]);
    for number in [7, 3_600_000_000_000, flags, 3_599_000_000_001, 12_000_000_001, 77] {
        bytes.extend(u64::to_ne_bytes(number));
    }
    for number in [424_242, 424_242, 4000, 1000, 1000, 1000, 1000, 1000, 3, 4_026_531_841, 4_026_531_836, 0] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    bytes.extend(*b"cargo\0\0\0\0\0\0\0\0\0\0\0");
    for number in [131_073, 3, 0, 0, 0] {
        bytes.extend(u64::to_ne_bytes(number));
    }
    for number in [(8 << 20) | 1, 0o100_644, 1000, 1000] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    for (tag, text) in texts {
        bytes.extend([*tag as u8, 0]);
        bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_ne_bytes());
        bytes.extend(*text);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_ne_bytes();
    for (to, from) in bytes.iter_mut().zip(length) {
        *to = from;
    }
    bytes
}

fn time(what: &str, mut work: impl FnMut(u64)) {
    let start = Instant::now();
    for round in 0..ROUNDS {
        work(round);
    }
    let ns = start.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{what:<32} {ns:>6} ns/event");
}

/// Samples with what they are about.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let write: &[(Tag, &[u8])] = &[(Tag::Object, b"hosts.conf\0etc\0target\0project\0alice\0home\0")];
    let rename: &[(Tag, &[u8])] = &[
        (Tag::Base, b"project\0alice\0home\0"),
        (Tag::Name, b"target/debug/incremental/x-1"),
        (Tag::BaseTo, b"project\0alice\0home\0"),
        (Tag::NameTo, b"target/debug/incremental/x"),
    ];
    let exec: &[(Tag, &[u8])] = &[
        (Tag::Exe, b"rustc\0bin\0usr\0"),
        (Tag::Cwd, b"project\0alice\0home\0"),
        (Tag::Given, b"/usr/bin/rustc"),
    ];
    let compile = b"cc\0-O2\0-Wall\0-Iinclude\0-D_GNU_SOURCE\0-fstack-protector-strong\0-fPIC\0-MMD\0-MF\0build/x.d\0-c\0\
        src/module/part.c\0-o\0build/module/part.o\0";
    let secret = b"mysqldump\0-u\0backup\0-phunter2\0--single-transaction\0shop\0";
    let near = b"curl\0-fsSL\0https://example.org/archive/v1.2.3.tar.gz\0-o\0/tmp/x.tar.gz\0";
    let argv = |argv| [exec, &[(Tag::Argv, argv)]].concat();
    vec![
        ("file_write", sample(Kind::FileWrite, flag::FIRST, write)),
        ("file_rename", sample(Kind::FileRename, flag::FROM_ARGUMENT, rename)),
        ("exec", sample(Kind::Exec, 0, &argv(b"rustc\0--crate-name\0recorder\0src/lib.rs\0"))),
        ("exec of cc", sample(Kind::Exec, 0, &argv(compile))),
        ("exec of curl", sample(Kind::Exec, 0, &argv(near))),
        ("exec with secret", sample(Kind::Exec, 0, &argv(secret))),
    ]
}

fn main() -> Result<(), RedactError> {
    let redactor = Redactor::new(&Redact::default(), SaltKey::new(&[7; 32]))?;
    let mut enricher = Enricher::new(Path::new("/proc"));
    let mut writer = Writer::default();
    for (name, bytes) in &cases() {
        let mut line = Vec::new();
        time(&format!("{name}: decode"), |_| {
            let _ = black_box(decode(black_box(bytes)));
        });
        time(&format!("{name}: and enrich"), |_| {
            if let Ok(decoded) = decode(black_box(bytes))
                && let Sample::Event(event) = decoded.sample
            {
                black_box(enricher.enrich(event));
            }
        });
        time(&format!("{name}: and line"), |seq| {
            line.clear();
            let wall_ns = 1_795_477_686_000_000_000 + i64::try_from(seq).unwrap_or(0) * 1000;
            let context = LineContext { seq, wall_ns, boot: BOOT };
            if let Ok(decoded) = decode(black_box(bytes))
                && let Sample::Event(event) = decoded.sample
                && let Some(event) = enricher.enrich(event)
            {
                writer.append(&mut line, &context, &event);
            }
        });
        time(&format!("{name}: and redact"), |seq| {
            line.clear();
            let context = LineContext { seq, wall_ns: 1_795_477_686_000_000_000, boot: BOOT };
            if let Ok(decoded) = decode(black_box(bytes))
                && let Sample::Event(event) = decoded.sample
                && let Some(event) = enricher.enrich(event)
            {
                let redacted = redactor.redact(seq, &event);
                writer.append(&mut line, &context, redacted.as_ref().unwrap_or(&event));
            }
        });
        if let Ok(Sample::Event(event)) = decode(bytes).map(|decoded| decoded.sample) {
            time(&format!("{name}: redact alone"), |seq| {
                black_box(redactor.redact(seq, black_box(&event)));
            });
        }
        println!("{name}: line of {} bytes", line.len());
        time(&format!("{name}: Record::parse"), |_| {
            let _ = black_box(Record::parse(black_box(&line)));
        });
        time(&format!("{name}: Head::scan"), |_| {
            black_box(Head::scan(black_box(&line)));
        });
    }
    Ok(())
}
