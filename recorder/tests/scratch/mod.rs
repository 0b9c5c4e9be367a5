//! A scratch store for the tests of the evidence: filled through the real writer, on plain files.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod disk;
pub mod forge;
pub mod retired;
pub mod stranger;

use std::path::{Path, PathBuf};

use recorder::chain::key::OriginKey;
use recorder::store::directory::Directory;
use recorder::store::format::FrameHeader;
use recorder::store::reader::SegmentReader;
use recorder::store::writer::{Immutable, Options, Recovery, Writer};
use recorder::store::{Appended, FrameInput, StoreError};
use recorder::verify::report::Report;
use recorder::verify::{VerifyOptions, verify};

pub const SECOND: i64 = 1_000_000_000;
/// Start of the tests' time.
pub const EPOCH: i64 = 1_800_000_000 * SECOND;

pub struct Scratch {
    keep: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        // Memory where there is some: these tests are about bytes, not about a disk.
        let memory = Path::new("/dev/shm");
        let keep = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { keep: keep.unwrap() }
    }

    /// The same store and state once more, with the same modes.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for (from, to) in [(self.store(), copy.store()), (self.state(), copy.state())] {
            if from.exists() {
                copy_all(&from, &to);
            }
        }
        copy
    }

    pub fn store(&self) -> PathBuf {
        self.keep.path().join("store")
    }

    pub fn state(&self) -> PathBuf {
        self.keep.path().join("state")
    }

    /// A writer whose segments are ended after about `segment_bytes`.
    pub fn writer(&self, segment_bytes: u64) -> Writer {
        let options = Options { segment_bytes, ..options() };
        self.start(&options).0
    }

    /// Starts a recorder. A program that another test starts can hold a lock that was just given up, until it is the
    /// program.
    pub fn start(&self, options: &Options) -> (Writer, Recovery) {
        loop {
            match Writer::open(&self.store(), &self.state(), options.clone()) {
                Err(StoreError::InUse { .. }) => std::thread::yield_now(),
                opened => return opened.unwrap(),
            }
        }
    }

    /// The private key, which a cheat who owns the host has.
    pub fn key(&self) -> OriginKey {
        let text = std::fs::read_to_string(self.state().join("origin.key")).unwrap();
        OriginKey::from_private_text(text.trim_end()).unwrap()
    }

    pub fn verify(&self) -> Report {
        self.verify_with(&VerifyOptions::default())
    }

    pub fn verify_with(&self, options: &VerifyOptions) -> Report {
        verify(&self.store(), options, &mut |_| {}).unwrap()
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_all(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

pub fn options() -> Options {
    Options { immutable: Immutable::Off, ..Options::new([7; 16], EPOCH) }
}

/// Appends a frame of `count` events.
pub fn append(writer: &mut Writer, count: u64) -> Result<Appended, StoreError> {
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    let first = writer.next_seq();
    for seq in first..first + count {
        let noise = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        lines.extend(
            format!("{{\"seq\":{seq},\"kind\":\"exec\",\"path\":\"/tmp/{noise:016x}\"}}\n").into_bytes(),
        );
        ends.push(u32::try_from(lines.len()).unwrap());
    }
    let t_first = EPOCH + i64::try_from(first).unwrap() * SECOND;
    let t_last = t_first + i64::try_from(count).unwrap() * SECOND - SECOND;
    writer.append(&FrameInput { lines: &lines, ends: &ends, t_first, t_last, lost_total: 0 })
}

/// Base64 with padding, by hand: tests check ours.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |group: &[u8]| {
        group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - 8 * group.len())
    };
    let group = |group: &[u8]| -> String {
        let letter =
            |digit: usize| char::from(*LETTERS.get((bits(group) >> (18 - 6 * digit)) as usize & 63).unwrap());
        (0..4).map(|digit| if digit <= group.len() { letter(digit) } else { '=' }).collect()
    };
    bytes.chunks(3).map(group).collect()
}

/// Segment files in log order.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    Directory::open(store).unwrap().segments().iter().map(|segment| segment.path.clone()).collect()
}

/// Where each frame of a segment begins, and its header.
pub fn frames(segment: &Path) -> Vec<(usize, FrameHeader)> {
    let mut reader = SegmentReader::open(segment).unwrap().unwrap();
    let mut found = Vec::new();
    while let Some(frame) = reader.next_header().unwrap() {
        found.push((usize::try_from(frame.offset).unwrap(), frame.header));
    }
    found
}

/// Every line in the store, in log order.
pub fn lines(store: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut raw = Vec::new();
    for segment in segments(store) {
        let Some(mut reader) = SegmentReader::open(&segment).unwrap() else { continue };
        while let Some(frame) = reader.next_frame().unwrap() {
            frame.decompress(&mut raw).unwrap();
            lines.extend(std::str::from_utf8(&raw).unwrap().lines().map(str::to_owned));
        }
    }
    lines
}

/// Changes a file as a whole.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}
