//! The logs that are attacked, and one attempt at one of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use recorder::chain::checkpoint::Checkpoint;
use recorder::store::directory::Directory;
use recorder::store::format::{FrameHeader, SegmentHeader};
use recorder::store::retention::{Hold, Policy};
use recorder::store::writer::{Options, Writer};
use recorder::store::{FrameInput, checkpoint_file};
use recorder::verify::VerifyOptions;

use crate::scratch::retired::{back_up, retire, text_of};
use crate::scratch::{EPOCH, SECOND, Scratch, append, edit, frames, options, segments};

/// Segments of each start of the recorder.
const EACH: usize = 3;
/// The same where retention is at work.
const EACH_RETAINED: usize = 5;

/// A log, and the part of it that a row attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// Three starts of three segments: the first ended in order, the second one by a kill; the third is at work.
    Log,
    /// Three starts of one segment and somewhat more than one full tile each.
    Tiles,
    /// Three starts of five segments, of each of which the next start removed the first two. The fourth is at work.
    Retained,
}

impl Victim {
    /// Number of segments for each start.
    const fn each(self) -> usize {
        match self {
            Self::Log => EACH,
            Self::Tiles => 1,
            Self::Retained => EACH_RETAINED,
        }
    }

    pub fn copy(self) -> Scratch {
        static LOG: LazyLock<Scratch> = LazyLock::new(log);
        static TILES: LazyLock<Scratch> = LazyLock::new(tiles);
        static RETAINED: LazyLock<Scratch> = LazyLock::new(retained);
        match self {
            Self::Log => LOG.copy(),
            Self::Tiles => TILES.copy(),
            Self::Retained => RETAINED.copy(),
        }
    }
}

fn open(scratch: &Scratch, boot: u8, segment_bytes: u64) -> Writer {
    let options = Options { segment_bytes, boot_id: [boot; 16], ..options() };
    Writer::open(&scratch.store(), &scratch.state(), options).unwrap().0
}

/// A log of another host looks the same, but for its key.
pub fn log() -> Scratch {
    let scratch = Scratch::new();
    for boot in 1..=3u8 {
        let mut writer = open(&scratch, boot, 3_500);
        while segments(&scratch.store()).len() < EACH * usize::from(boot) {
            append(&mut writer, 3).unwrap();
        }
        (0..3).for_each(|_| assert!(append(&mut writer, 3).is_ok()));
        writer.checkpoint().unwrap();
        if boot == 1 {
            writer.close(EPOCH + 500 * SECOND).unwrap();
        }
    }
    assert_eq!(segments(&scratch.store()).len(), 3 * EACH);
    scratch
}

fn tiles() -> Scratch {
    let scratch = Scratch::new();
    for boot in 1..=3u8 {
        let mut writer = open(&scratch, boot, 1 << 20);
        append(&mut writer, 3).unwrap();
        (0..260).for_each(|beat| assert!(writer.heartbeat(EPOCH + beat, 0).is_ok()));
        writer.checkpoint().unwrap();
    }
    scratch
}

/// Holds keep what was recorded from two hours after a start on. A segment ends after an hour, and the first two of each start
/// just in front of the end of a tile.
fn retained() -> Scratch {
    let begin = |boot: u8| EPOCH + i64::from(boot) * 20_000 * SECOND;
    let hold = |boot| {
        let (from, to) = (begin(boot) + 8_000 * SECOND, begin(boot) + 19_000 * SECOND);
        Hold::try_from(format!("{}/{}", text_of(from), text_of(to))).unwrap()
    };
    let holds = (1..=3).map(hold).collect();
    let retention = Policy { keep_age_ns: Some(1_000 * SECOND), holds, ..Policy::default() };
    let scratch = Scratch::new();
    for boot in 1..=4u8 {
        let now = begin(boot);
        let options = Options { boot_id: [boot; 16], now, retention: retention.clone(), ..options() };
        let mut writer = Writer::open(&scratch.store(), &scratch.state(), options).unwrap().0;
        let line = format!("{{\"seq\":{},\"kind\":\"exec\"}}\n", writer.next_seq());
        let (lines, ends) = (line.as_bytes(), &[u32::try_from(line.len()).unwrap()][..]);
        writer.append(&FrameInput { lines, ends, t_first: now, t_last: now, lost_total: 0 }).unwrap();
        let removed = retire(&mut writer, now).unwrap();
        assert_eq!(removed, if boot == 1 { 0 } else { 2 });
        let hours = if boot == 4 { &[10][..] } else { &[110, 110, 11, 11, 12] };
        for (hour, beats) in (0..).zip(hours) {
            let beat = now + hour * 3_700 * SECOND;
            (0..*beats).for_each(|_| assert!(writer.heartbeat(beat, 0).is_ok()));
        }
        back_up(&scratch);
        match boot {
            1 => writer.close(now + 15_000 * SECOND).unwrap(),
            _ => writer.checkpoint().unwrap(),
        }
    }
    assert_eq!(in_log_order(&scratch.store()).len(), 3 * EACH_RETAINED + 1);
    scratch
}

/// Segments, and the tombstones of those that were removed.
fn in_log_order(store: &Path) -> Vec<PathBuf> {
    let directory = Directory::open(store).unwrap();
    let mut files: Vec<_> = directory.segments().iter().chain(directory.removed()).collect();
    files.sort_by_key(|file| (file.first_frame, file.attempt));
    files.into_iter().map(|file| file.path.clone()).collect()
}

/// Where a cheat was done: what a finding must name.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    pub segment: Option<String>,
    pub frames: Option<(u64, u64)>,
}

/// One attempt: a copy of the victim, and what it is verified with.
pub struct Case {
    pub scratch: Scratch,
    pub victim: Victim,
    /// 0 early, 1 in the middle, 2 late.
    pub place: usize,
    /// Segments, or what retention left of them, in log order, before the cheat.
    pub paths: Vec<PathBuf>,
    pub options: VerifyOptions,
}

impl Case {
    /// A checkpoint that left the host before the cheat covers everything, or what was written before the place.
    pub fn new(victim: Victim, place: usize, is_covered: bool) -> Self {
        let scratch = victim.copy();
        let paths = in_log_order(&scratch.store());
        let mut case = Self { scratch, victim, place, paths, options: VerifyOptions::default() };
        case.options.checkpoint = Some(match is_covered {
            true => checkpoint_file::read(&case.scratch.state().join("checkpoint")).unwrap().unwrap(),
            false => case.uncovering(),
        });
        case
    }

    /// The checkpoint over all that was written before the place.
    pub fn uncovering(&self) -> Checkpoint {
        let tree = header_of(self.start()).tree;
        Checkpoint::sign(&self.scratch.key(), tree.size(), tree.root()).unwrap()
    }

    /// The segment with which the recorder started at this place.
    pub fn start(&self) -> &Path {
        &self.paths[self.place * self.victim.each()]
    }

    /// The tombstone of one of the two segments of this start that retention removed.
    pub fn tombstone(&self, index: usize) -> &Path {
        &self.paths[self.place * EACH_RETAINED + index]
    }

    /// One of the three segments of this start that are held.
    pub fn held(&self, index: usize) -> &Path {
        &self.paths[self.place * EACH_RETAINED + 2 + index]
    }

    /// The last segment, whose second frame tells of the newest removal.
    pub fn telling(&self) -> &Path {
        &self.paths[3 * EACH_RETAINED]
    }

    /// The segment behind it, which was ended.
    pub fn rotated(&self) -> &Path {
        &self.paths[self.place * EACH + 1]
    }

    /// The last segment of that start: ended with STOP, left by a kill, or at work.
    pub fn last(&self) -> &Path {
        &self.paths[self.place * EACH + 2]
    }

    /// The segments from the start on.
    pub fn since_start(&self) -> &[PathBuf] {
        &self.paths[self.place * self.victim.each()..]
    }

    pub fn at_segment(&self, path: &Path) -> Spot {
        Spot { segment: Some(name_of(path)), frames: None }
    }

    /// Frame `index` of a segment.
    pub fn at_frame(&self, path: &Path, index: usize) -> Spot {
        let number = frames(path)[index].1.frame_no;
        Spot { frames: Some((number, number)), ..self.at_segment(path) }
    }

    /// Changes one byte of frame `index`, as far behind its beginning.
    pub fn flip_in_frame(&self, path: &Path, index: usize, offset: usize) -> Spot {
        let spot = self.at_frame(path, index);
        flip(path, span(path, index).start + offset);
        spot
    }
}

pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

pub fn header_of(path: &Path) -> SegmentHeader {
    SegmentHeader::decode(&std::fs::read(path).unwrap()).unwrap()
}

pub fn flip(path: &Path, offset: usize) {
    edit(path, |bytes| bytes[offset] ^= 0x10);
}

/// Where frame `index` of a segment is.
pub fn span(path: &Path, index: usize) -> Range<usize> {
    let (offset, header) = frames(path)[index];
    offset..offset + usize::try_from(header.frame_len()).unwrap()
}

/// Index of the last frame of a segment.
pub fn last_frame(path: &Path) -> usize {
    frames(path).len() - 1
}

/// The bytes of a frame.
pub fn bytes_of(path: &Path, index: usize) -> Vec<u8> {
    std::fs::read(path).unwrap()[span(path, index)].to_vec()
}

/// Changes a frame's header and mends its checksum.
pub fn mend(path: &Path, index: usize, change: impl FnOnce(&mut FrameHeader)) {
    let (offset, mut header) = frames(path)[index];
    change(&mut header);
    let mut encoded = Vec::new();
    header.encode(&mut encoded);
    edit(path, |bytes| drop(bytes.splice(offset..offset + encoded.len(), encoded)));
}

/// A compressed frame of these lines, as a recorder makes it.
pub fn packed(lines: &[u8]) -> Vec<u8> {
    recorder::store::payload::Packer::new(1).unwrap().pack(lines).unwrap().to_vec()
}

/// What every zstd program steps over.
pub const HIDDEN: &[u8] = &[0x57, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, b'h', b'i', b'd', b'e'];

impl Victim {
    /// A log of another host.
    pub fn other() -> Scratch {
        static OTHER: LazyLock<Scratch> = LazyLock::new(log);
        OTHER.copy()
    }
}
