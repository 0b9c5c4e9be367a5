//! The store is what docs/format.md says, and any zstd program reads it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod scratch;

use std::path::{Path, PathBuf};
use std::process::Command;

use recorder::chain::key::{Domain, OriginKey, OriginPublic};
use recorder::chain::{once, sha256, tree};
use recorder::store::FrameInput;
use recorder::store::format::{FrameHeader, FrameKind, SegmentHeader, frame_flag};
use recorder::store::reader::SegmentReader;
use recorder::store::writer::{Immutable, Options, Writer};
use recorder::verify::report::Verdict;
use scratch::{Scratch, append, lines, segments};

const PAGE: &str = include_str!("../../docs/format.md");
/// 2027-01-15 08:00:00 UTC.
const START: i64 = 1_800_000_000_000_000_000;

/// The text between a fence of that kind, the last one of its kind on the page, and the next fence.
fn block(fence: &str) -> &'static str {
    let opening = format!("```{fence}\n");
    let (_, rest) = PAGE.rsplit_once(opening.as_str()).unwrap();
    rest.split_once("```").unwrap().0
}

fn example_bytes() -> Vec<u8> {
    let digits = block("hex").split_whitespace();
    digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Writes the example's log with the real writer.
fn record_example(scratch: &Scratch) -> PathBuf {
    std::fs::create_dir(scratch.state()).unwrap();
    let key = OriginKey::from_seed("example/recorder", &[1; 32]).unwrap();
    let file = scratch.state().join("origin.key");
    std::fs::write(&file, key.to_private_text().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let boot_id = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let options = Options { immutable: Immutable::Off, ..Options::new(boot_id, START) };
    let (mut writer, _) = Writer::open(&scratch.store(), &scratch.state(), options).unwrap();
    let text = block("json").as_bytes();
    let ends: Vec<u32> = memchr_ends(text);
    let frame =
        FrameInput { lines: text, ends: &ends, t_first: START, t_last: START + 1_000_000_000, lost_total: 0 };
    writer.append(&frame).unwrap();
    writer.close(START + 2_000_000_000).unwrap();
    segments(&scratch.store()).remove(0)
}

fn memchr_ends(text: &[u8]) -> Vec<u32> {
    let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(index, _)| u32::try_from(index + 1).unwrap()).collect()
}

/// Refreshes the example: `UPDATE_GOLDEN=1 cargo test --test format`.
fn update(scratch: &Scratch, segment: &Path) {
    let bytes = std::fs::read(segment).unwrap();
    let rows: Vec<String> = bytes
        .chunks(32)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    let origin = std::fs::read_to_string(scratch.store().join("origin.pub")).unwrap();
    let page = PAGE.replace(block("hex"), &format!("{}\n", rows.join("\n")));
    let page = page.replace(block("text"), &origin);
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format.md"), page).unwrap();
}

#[test]
fn the_example_of_the_page_is_what_the_writer_writes() {
    let scratch = Scratch::new();
    let segment = record_example(&scratch);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update(&scratch, &segment);
        return;
    }
    assert_eq!(std::fs::read_to_string(scratch.store().join("origin.pub")).unwrap(), block("text"));
    let written = std::fs::read(&segment).unwrap();
    let shown = example_bytes();
    // The keys are new each time. Payload bytes may differ with another release of zstd, and with them the digest and
    // what hangs on it.
    assert_eq!(written[..224], shown[..224]);
    assert_eq!(written[256..384 - 68], shown[256..384 - 68]);
    assert_eq!(written[384..384 + 44], shown[384..384 + 44]);
}

#[test]
fn a_stranger_can_read_the_example_with_the_page_alone() {
    let bytes = example_bytes();
    let origin = OriginPublic::parse(block("text").trim_end()).unwrap();
    let number = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let signed = |domain: &str, from: usize, to: usize| [domain.as_bytes(), &bytes[from..to]].concat();
    let by_origin = |domain, from: usize, to: usize| {
        origin.verifies(domain, &bytes[from..to], &bytes[to..to + 64].try_into().unwrap())
    };
    let by_announced = |key: usize, from: usize, to: usize| {
        let (key, signature) =
            (bytes[key..key + 32].try_into().unwrap(), bytes[to..to + 64].try_into().unwrap());
        once::verifies(&key, Domain::Frame, &bytes[from..to], &signature)
    };
    // Segment header: offsets as in the table.
    assert_eq!((number(0, 4), number(4, 4), &bytes[8..12]), (0x184D_2A50, 376, &b"KRS1"[..]));
    assert_eq!((number(12, 1), number(13, 1), number(14, 2)), (1, 1, 9));
    assert_eq!((number(16, 4), number(20, 4), number(24, 8), number(32, 8)), (1, 0, 0, 0));
    assert_eq!(number(40, 8), u64::try_from(START).unwrap());
    assert_eq!(bytes[48..64], std::array::from_fn::<u8, 16, _>(|index| u8::try_from(index).unwrap()));
    assert_eq!(bytes[64..96], *origin.id());
    assert_eq!(bytes[96..128], sha256(b""));
    assert!(bytes[128..224].iter().chain(&bytes[256..316]).all(|byte| *byte == 0));
    assert!(by_origin(Domain::Segment, 8, 316));
    assert!(signed("krec/segment/v1\0", 8, 316).len() == 16 + 308);
    assert_eq!(number(380, 4), u64::from(crc32c::crc32c(&bytes[..380])));
    // Frame 0.
    let frame = 384;
    assert_eq!((number(frame, 4), number(frame + 4, 4)), (0x184D_2A51, 260));
    assert_eq!(&bytes[frame + 8..frame + 12], b"KRF1");
    assert_eq!((number(frame + 20, 8), number(frame + 28, 8), number(frame + 36, 4)), (0, 0, 2));
    let payload_len = usize::try_from(number(frame + 44, 4)).unwrap();
    let payload = &bytes[frame + 268..frame + 268 + payload_len];
    assert_eq!(bytes[frame + 136..frame + 168], sha256(payload));
    assert_eq!(bytes[frame + 72..frame + 104], tree::leaf_hash(&bytes[8..316]));
    assert!(by_announced(224, frame + 8, frame + 200));
    let text = zstd::decode_all(payload).unwrap();
    assert_eq!(text, block("json").as_bytes());
    let lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    let root = tree::node_hash(&tree::leaf_hash(lines[0]), &tree::leaf_hash(lines[1]));
    assert_eq!(bytes[frame + 104..frame + 136], root);
    // Frame 1 ends the log and follows frame 0; nothing is left.
    let end = frame + 268 + payload_len;
    assert_eq!((number(end + 13, 1), number(end + 14, 2)), (5, 4));
    assert_eq!((number(end + 20, 8), number(end + 28, 8)), (1, 2));
    assert_eq!(bytes[end + 72..end + 104], tree::leaf_hash(&bytes[frame + 8..frame + 200]));
    assert!(by_announced(frame + 168, end + 8, end + 200));
    assert!(bytes[end + 168..end + 200].iter().all(|byte| *byte == 0));
    let seal = end + 268;
    assert_eq!((number(seal, 4), &bytes[seal + 8..seal + 12]), (0x184D_2A52, &b"KRX1"[..]));
    let parts = usize::try_from(number(seal + 16, 4) + number(seal + 20, 4)).unwrap();
    assert_eq!(bytes.len(), seal + 24 + parts);
}

#[test]
fn the_reader_reads_the_example() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.store()).unwrap();
    let path = scratch.store().join("seg-0000000000.krl.zst");
    std::fs::write(&path, example_bytes()).unwrap();
    std::fs::write(scratch.store().join("origin.pub"), block("text")).unwrap();
    let mut reader = SegmentReader::open(&path).unwrap().unwrap();
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!((frame.header.frame_no, frame.header.count, frame.header.flags), (0, 2, 0));
    let end = reader.next_frame().unwrap().unwrap();
    assert!(end.header.is_seal() && end.header.is_stop());
    assert_eq!(end.header.count, 0);
    assert!(reader.next_frame().unwrap().is_none() && reader.torn().is_none());
    assert_eq!(scratch.verify().verdict, Verdict::Unanchored);
}

#[test]
fn stock_zstd_prints_exactly_the_lines() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(2_000);
    for count in [1, 40, 3, 200, 2] {
        append(&mut writer, count).unwrap();
    }
    writer.close(START).unwrap();
    let paths = segments(&scratch.store());
    assert!(paths.len() > 1);
    let printed = match Command::new("zstd").args(["-q", "-d", "-c"]).args(&paths).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: the program `zstd` can't be run here ({error}); install the package zstd");
            return;
        }
    };
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let expected: String = lines(&scratch.store()).into_iter().map(|line| line + "\n").collect();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
}

#[test]
fn headers_beyond_a_limit_are_refused_before_anything_is_allocated() {
    let bytes = example_bytes();
    let good = FrameHeader::decode(&bytes[384..]).unwrap();
    let changes: [fn(&mut FrameHeader); 11] = [
        |header| header.raw_len = (1 << 20) + 1,
        |header| header.payload_len = u32::MAX,
        |header| header.payload_len = 0,
        |header| (header.raw_len, header.payload_len) = (1 << 20, 63),
        |header| header.count = 0,
        |header| header.count = header.raw_len,
        |header| header.flags = 1,
        |header| header.flags = frame_flag::STOP,
        |header| header.next_pk = [0; 32],
        |header| header.kind = FrameKind::Heartbeat,
        |header| header.kind = FrameKind::Seal,
    ];
    for change in changes {
        let mut header = good;
        change(&mut header);
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        assert!(FrameHeader::decode(&encoded).is_err(), "{header:?}");
    }
    for length in 0..bytes.len().min(384) {
        assert!(SegmentHeader::decode(&bytes[..length]).is_err());
    }
}
