//! A store from which three segments were removed, verified with any bytes in the place of one thing that retention left:
//! a tombstone, a tile, the events about the removal. What is as it was is no tampering, and everything else is.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use recorder::chain::key::{Domain, OriginKey};
use recorder::chain::once::OneTimeKey;
use recorder::chain::sha256;
use recorder::chain::tree::{Frontier, leaf_hash};
use recorder::store::FrameInput;
use recorder::store::format::{FRAME_HEADER, FrameHeader, FrameKind, SegmentHeader};
use recorder::store::payload::Packer;
use recorder::store::reader::SegmentReader;
use recorder::store::retention::{Hold, Policy, Removal};
use recorder::store::tombstone::{Tombstone, tombstone_name};
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::verify::report::Report;
use recorder::verify::report::Verdict::{self, Tampered, Unanchored};
use recorder::verify::{VerifyOptions, verify};

/// 2027-01-15 08:00 UTC.
const NOW: i64 = 1_800_000_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
/// Stands for the right digest in the events, which is another one in each process.
const DIGEST: u8 = b'@';

static VICTIM: LazyLock<Victim> = LazyLock::new(Victim::make);

struct Victim {
    folder: tempfile::TempDir,
    key: OriginKey,
    /// Tombstones of a segment that ended in order, one that a crash ended, and another that ended in order.
    tombstones: Vec<(PathBuf, Vec<u8>)>,
    /// The tile with the hashes of all that is gone.
    tile: (PathBuf, Vec<u8>),
    /// The segment that is left, and its two parts but for the events about the removal.
    last: (PathBuf, Vec<u8>),
    header: SegmentHeader,
    first: (FrameHeader, Vec<u8>),
    lines: Vec<u8>,
    digest: String,
}

impl Victim {
    fn make() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let removal = record(&folder);
        let store = folder.path().join("store");
        let text = fs::read_to_string(folder.path().join("state/origin.key")).unwrap();
        let mut tombstones = Vec::new();
        for victim in &removal.victims {
            let header = &victim.tombstone.header;
            fs::remove_file(store.join(&victim.name)).unwrap();
            let path = store.join(tombstone_name(header.first_frame, header.attempt));
            tombstones.push((path.clone(), fs::read(path).unwrap()));
        }
        let tile = store.join("tile/0/000");
        let last = store.join("seg-0000000256.krl.zst");
        let mut reader = SegmentReader::open(&last).unwrap().unwrap();
        let header = reader.header().clone();
        let frame = reader.next_frame().unwrap().unwrap();
        let victim = Self {
            key: OriginKey::from_private_text(text.trim_end()).unwrap(),
            tombstones,
            tile: (tile.clone(), fs::read(tile).unwrap()),
            last: (last, Vec::new()),
            header,
            first: (frame.header, frame.payload.clone()),
            lines: told(&removal),
            digest: removal.tombstones_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            folder,
        };
        let last = (victim.last.0.clone(), victim.tell(&victim.lines));
        fs::write(&last.0, &last.1).unwrap();
        let victim = Self { last, ..victim };
        let report = victim.report(false);
        assert_eq!(report.verdict, Unanchored, "{:#?}", report.findings);
        victim
    }

    /// The last segment with these events in a frame about removals, signed as its own recorder does.
    fn tell(&self, lines: &[u8]) -> Vec<u8> {
        let lines = self.filled(lines);
        let keys: [OneTimeKey; 3] = std::array::from_fn(|_| OneTimeKey::generate().unwrap());
        let publics = [keys[0].public(), keys[1].public(), keys[2].public()];
        let [first_key, second_key, _] = keys;
        let mut header = self.header.clone();
        header.next_pk = publics[0];
        header.signature = self.key.sign(Domain::Segment, &header.signed());
        let (mut first, payload) = self.first.clone();
        (first.prev_link, first.next_pk) = (header.link(), publics[1]);
        first.signature = first_key.sign(Domain::Frame, &first.leaf());
        let mut packer = Packer::new(1).unwrap();
        let packed = packer.pack(&lines).unwrap();
        let mut tree = Frontier::new();
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| {
            tree.push(leaf_hash(line.strip_suffix(b"\n").unwrap_or(line)));
        });
        let mut second = FrameHeader {
            kind: FrameKind::Tomb,
            frame_no: first.frame_no + 1,
            first_seq: first.next_seq(),
            count: u32::try_from(tree.size()).unwrap(),
            raw_len: u32::try_from(lines.len()).unwrap(),
            payload_len: u32::try_from(packed.len()).unwrap(),
            prev_link: first.leaf_hash(),
            inner_root: tree.root(),
            payload_sha256: sha256(packed),
            next_pk: publics[2],
            ..first
        };
        second.signature = second_key.sign(Domain::Frame, &second.leaf());
        let mut bytes = header.encode();
        first.encode(&mut bytes);
        bytes.extend(payload);
        second.encode(&mut bytes);
        bytes.extend(packed);
        bytes
    }

    fn filled(&self, lines: &[u8]) -> Vec<u8> {
        let fill = |byte: &u8| match *byte {
            DIGEST => self.digest.as_bytes().to_vec(),
            byte => vec![byte],
        };
        lines.iter().flat_map(fill).collect()
    }

    fn report(&self, headers_only: bool) -> Report {
        let options = VerifyOptions { headers_only, jobs: 1, ..VerifyOptions::default() };
        verify(&self.folder.path().join("store"), &options, &mut |_| {}).unwrap()
    }

    /// The verdict with other bytes in a file, which is as before then.
    fn with(&self, (path, right): &(PathBuf, Vec<u8>), bytes: &[u8], headers_only: bool) -> Verdict {
        fs::write(path, bytes).unwrap();
        let verdict = self.report(headers_only).verdict;
        fs::write(path, right).unwrap();
        verdict
    }

    /// The verdict with a file more.
    fn beside(&self, name: &str, bytes: &[u8], headers_only: bool) -> Verdict {
        let path = self.folder.path().join("store").join(name);
        fs::write(&path, bytes).unwrap();
        let verdict = self.report(headers_only).verdict;
        fs::remove_file(path).unwrap();
        verdict
    }
}

fn start(folder: &tempfile::TempDir) -> Writer {
    let retention = Policy { keep_age_ns: Some(HOUR), ..Policy::default() };
    let options = Options { immutable: Immutable::Off, retention, ..Options::new([7; 16], NOW) };
    Writer::open(&folder.path().join("store"), &folder.path().join("state"), options).unwrap().0
}

/// Three segments whose frames just fill a tile, and one behind them; decides to remove the three.
fn record(folder: &tempfile::TempDir) -> Removal {
    let event = |writer: &mut Writer| {
        let lines = format!("{{\"seq\":{},\"kind\":\"exec\"}}\n", writer.next_seq());
        let ends = [u32::try_from(lines.len()).unwrap()];
        let (lines, ends) = (lines.as_bytes(), &ends[..]);
        let frame = FrameInput { lines, ends, t_first: NOW, t_last: NOW, lost_total: 0 };
        writer.append(&frame).unwrap();
    };
    for (last_frame, stops) in [(98, true), (180, false), (254, true)] {
        let mut writer = start(folder);
        event(&mut writer);
        while writer.heartbeat(NOW, 0).unwrap().frame_no < last_frame {}
        if stops {
            writer.close(NOW).unwrap();
        }
    }
    let mut writer = start(folder);
    event(&mut writer);
    writer.retire(NOW + 2 * HOUR).unwrap().unwrap()
}

/// The events about a removal, without the digest.
fn told(removal: &Removal) -> Vec<u8> {
    let line = |(index, victim): (usize, &recorder::store::retention::Victim)| {
        let (seq, name, count) = (4 + index, &victim.name, removal.tombstones);
        format!(
            "{{\"seq\":{seq},\"kind\":\"tombstone\",\"segment\":\"{name}\",\"to\":\"2027-01-15T08:00:00.000000000Z\",\
             \"reason\":\"age\",\"decided\":\"2027-01-15T10:00:00.000000000Z\",\"keep_age\":3600,\"keep_size\":null,\
             \"hold\":[],\"tombstones\":{count},\"tombstones_sha256\":\"{}\"}}\n",
            char::from(DIGEST)
        )
    };
    removal.victims.iter().enumerate().map(line).collect::<String>().into_bytes()
}

/// Other bytes: the first two say where, the third how many go, the rest what comes there.
fn patched(right: &[u8], patch: &[u8]) -> Vec<u8> {
    let Some((&[low, high, cut], new)) = patch.split_first_chunk() else { return right.to_vec() };
    let from = usize::from(u16::from_le_bytes([low, high])).min(right.len());
    let to = (from + usize::from(cut)).min(right.len());
    [&right[..from], new, &right[to..]].concat()
}

/// Puts the checksums of a segment's header and of a seal's behind it right.
fn mend(bytes: &mut [u8]) {
    let Some(size) = bytes.get(128..136) else { return };
    let nodes = u64::from_le_bytes(size.try_into().unwrap()).count_ones() as usize;
    let (header, seal) = bytes.split_at_mut((384 + 32 * nodes).min(bytes.len()));
    let seal_len = FRAME_HEADER.min(seal.len());
    for part in [header, &mut seal[..seal_len]] {
        if let Some((covered, checksum)) = part.split_last_chunk_mut::<4>() {
            *checksum = crc32c::crc32c(covered).to_le_bytes();
        }
    }
}

fn expected(is_as_before: bool) -> Verdict {
    if is_as_before { Unanchored } else { Tampered }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tombstone) = Tombstone::decode(bytes) {
        assert_eq!(tombstone.encode(), bytes);
    }
    if let Some(hold) = std::str::from_utf8(bytes).ok().and_then(|text| Hold::try_from(text.to_owned()).ok())
    {
        assert_eq!(hold.to_string().as_bytes(), bytes);
        assert!(hold.overlaps(i64::MIN, i64::MAX));
    }
    let [what, how, rest @ ..] = bytes else { return };
    let (headers_only, is_whole, is_mended) = (how & 1 != 0, how & 2 != 0, how & 4 != 0);
    let other = |right: &[u8]| {
        let mut bytes = if is_whole { rest.to_vec() } else { patched(right, rest) };
        if is_mended {
            mend(&mut bytes);
        }
        bytes
    };
    let victim = &*VICTIM;
    let tombstone = &victim.tombstones[usize::from(how >> 3) % victim.tombstones.len()];
    match what % 5 {
        0 => {
            let bytes = other(&tombstone.1);
            assert_eq!(victim.with(tombstone, &bytes, headers_only), expected(bytes == tombstone.1));
        }
        1 => {
            let bytes = other(&victim.tile.1);
            assert_eq!(victim.with(&victim.tile, &bytes, headers_only), expected(bytes == victim.tile.1));
        }
        2 => {
            let lines = if is_whole { rest.to_vec() } else { patched(&victim.lines, rest) };
            let verdict = victim.with(&victim.last, &victim.tell(&lines), headers_only);
            let says_it = victim.filled(&lines).windows(64).any(|text| text == victim.digest.as_bytes());
            assert!(says_it || verdict == Tampered);
            assert!(lines != victim.lines || verdict == Unanchored);
        }
        3 => {
            // Beside its segment it says nothing, unless it is a whole one of another.
            let bytes = other(&tombstone.1);
            let verdict = victim.beside("seg-0000000256.tomb", &bytes, headers_only);
            let header = SegmentHeader::decode(&fs::read(&victim.last.0).unwrap()).unwrap();
            let is_wrong = Tombstone::decode(&bytes).is_ok_and(|tombstone| tombstone.header != header);
            assert_eq!(verdict, expected(!is_wrong));
        }
        _ => {
            // Without a segment, anywhere in the log.
            let Some((number, attempt)) = rest.split_first_chunk::<8>() else { return };
            let attempt = attempt.first().map_or(0, |attempt| u16::from(*attempt));
            let name = tombstone_name(u64::from_le_bytes(*number), attempt);
            let is_there = |path: &PathBuf| {
                path.ends_with(&name) || path.with_extension("").with_extension("tomb").ends_with(&name)
            };
            if victim.tombstones.iter().any(|(path, _)| is_there(path)) || is_there(&victim.last.0) {
                return;
            }
            assert_eq!(victim.beside(&name, &tombstone.1, headers_only), Tampered);
        }
    }
});
