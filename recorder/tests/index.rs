//! The index of a segment is what docs/format.md says, and a program that only knows the page makes the same bytes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::path::PathBuf;

use recorder::chain::sha256;
use recorder::store::FrameInput;
use recorder::store::format::{FrameHeader, FrameKind};
use recorder::store::index::Builder;
use recorder::store::reader::SegmentReader;
use scratch::{EPOCH, SECOND, Scratch, segments, stranger};
use serde_json::json;

const PAGE: &str = include_str!("../../docs/format.md");

/// The text of the first block with that fence.
fn block(fence: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(format!("\n```{fence}\n").as_str()).unwrap();
    rest.split_once("```").unwrap().0
}

fn header(payload_len: u32, lines: &str, t_first: i64, t_last: i64) -> FrameHeader {
    FrameHeader {
        kind: if lines.is_empty() { FrameKind::Heartbeat } else { FrameKind::Data },
        flags: 0,
        epoch: 1,
        frame_no: 0,
        first_seq: 0,
        count: u32::try_from(lines.lines().count()).unwrap(),
        raw_len: u32::try_from(lines.len()).unwrap(),
        payload_len,
        t_first: EPOCH + t_first * SECOND,
        t_last: EPOCH + t_last * SECOND,
        lost_total: 0,
        prev_link: [0; 32],
        inner_root: [0; 32],
        payload_sha256: [0; 32],
        next_pk: [0; 32],
        signature: [0; 64],
    }
}

fn example() -> Vec<u8> {
    let lines: Vec<&str> = block("lines").split_inclusive('\n').collect();
    let (first, last) = (lines[..2].concat(), lines[2]);
    let mut builder = Builder::new();
    builder.add_frame(&header(90, &first, 0, 1), first.as_bytes());
    builder.add_frame(&header(13, "", 11, 11), b"");
    builder.add_frame(&header(70, last, 12, 12), last.as_bytes());
    builder.finish()
}

#[test]
fn the_example_of_the_page_is_what_the_builder_makes() {
    let rows: Vec<String> = example()
        .chunks(32)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    let rows = format!("{}\n", rows.join("\n"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let page = PAGE.replace(&format!("```index\n{}```", block("index")), &format!("```index\n{rows}```"));
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format.md"), page).unwrap();
        return;
    }
    assert_eq!(rows, block("index"), "UPDATE_GOLDEN=1 writes it anew");
}

/// A number in LEB128 and what is behind it.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let value = bytes[..length].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    (value, &bytes[length..])
}

fn key(field: u8, value: &str) -> u64 {
    let bytes = std::iter::once(&field).chain(value.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 32 ^ hash & 0xffff_ffff
}

#[test]
fn a_stranger_can_read_the_example_with_the_page_alone() {
    let bytes: Vec<u8> =
        block("index").split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let fixed = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let length = |at: usize| usize::try_from(fixed(at, 4)).unwrap();
    // Footer.
    let footer = bytes.len() - 72;
    assert_eq!(&bytes[footer..footer + 4], b"KIX1");
    assert_eq!((length(footer + 4), fixed(footer + 8, 4)), (bytes.len(), 3));
    let (table_len, blocks) = (length(footer + 12), length(footer + 16));
    assert_eq!((blocks, fixed(footer + 20, 4)), (1, 0));
    assert_eq!(fixed(footer + 24, 8), 3 * 268 + 90 + 13 + 70);
    assert_eq!(fixed(footer + 32, 8), u64::try_from(EPOCH).unwrap());
    assert_eq!(fixed(footer + 40, 8), u64::try_from(EPOCH + 12 * SECOND).unwrap());
    let directory = footer - 16;
    assert_eq!(bytes[footer + 48..footer + 56], sha256(&bytes[..table_len])[..8]);
    assert_eq!(bytes[footer + 56..footer + 64], sha256(&bytes[directory..footer])[..8]);
    assert_eq!(bytes[footer + 64..], sha256(&bytes[footer..footer + 64])[..8]);
    // Frame table.
    let second = u64::try_from(SECOND).unwrap();
    let mut rest = &bytes[..table_len];
    let start = u64::try_from(EPOCH).unwrap();
    for expected in [90, 2, 2 * start, 2 * second, 13, 0, 20 * second, 0, 70, 1, 2 * second, 0] {
        let (value, behind) = number(rest);
        assert_eq!(value, expected);
        rest = behind;
    }
    assert!(rest.is_empty());
    // The only block.
    let block = &bytes[table_len..directory];
    assert_eq!((length(directory + 4), &bytes[directory + 8..footer]), (block.len(), &sha256(block)[..8]));
    let mut expected = vec![
        (key(1, "exec"), vec![0]),
        (key(1, "file_write"), vec![0]),
        (key(1, "exit"), vec![2 << 2]),
        (key(9, "/etc/"), vec![0]),
        (key(9, "/etc/hosts"), vec![0]),
    ];
    // Two runs of one frame, with one frame between them.
    let both = [(3, "4711"), (5, "1000"), (6, "3")];
    expected.extend(both.map(|(field, value)| (key(field, value), vec![3, 0, 0, 0, 0])));
    expected.sort();
    let (mut rest, mut before) = (block, fixed(directory, 4));
    for (key, numbers) in expected {
        let (difference, behind) = number(rest);
        rest = behind;
        before += difference;
        assert_eq!(before, key);
        for expected in numbers {
            let (value, behind) = number(rest);
            assert_eq!(value, expected);
            rest = behind;
        }
    }
    assert!(rest.is_empty());
}

/// A store whose lines have what is hard to get right.
fn record(scratch: &Scratch) {
    let mut writer = scratch.writer(40_000);
    for round in 0_u64..400 {
        let first = writer.next_seq();
        let lines: Vec<String> = (first..first + 1 + round % 4)
            .map(|seq| match seq % 50 {
                7 if round % 3 == 0 => format!("{{\"seq\":{seq}, \"pid\":1}}\n"),
                8 if round % 2 == 0 => format!("{{\"seq\":{seq},\"path\":\"\\/etc\\/a\\u0020\\ud83d\\ude00\"}}\n"),
                9 if round % 3 == 1 => format!("{{\"seq\":{seq},\"user\":\"\\ud800\"}}\n"),
                10 => format!("{{\"seq\":{seq},\"kind\":\"gap\",\"names\":[\"a\\\"]\",\"b\"],\"redacted\":[{{\"pid\":7}},{{}}],\"flags\":[]}}\n"),
                11 => format!("{{\"seq\":{seq},\"path\":\"{}\"}}\n", "/d".repeat(40)),
                _ => format!(
                    "{{\"seq\":{seq},\"kind\":\"file_write\",\"result\":\"{}\",\"pid\":{},\"comm\":\"a\\\"b\",\"exe\":\
                     \"/usr/bin/p{}\",\"uid\":{},\"loginuid\":null,\"session\":{},\"container\":\"{seq:016x}\",\
                     \"pidns\":1,\"path\":\"/srv/caf\u{10FFE9}/{:x}\",\"path_to\":\"../ü\\n{seq}\",\"flags\":[]}}\n",
                    ["ok", "EACCES"][usize::try_from(seq % 2).unwrap()],
                    seq / 3,
                    seq % 5,
                    seq % 3,
                    seq / 100,
                    seq.wrapping_mul(0x9E37_79B9_7F4A_7C15),
                ),
            })
            .collect();
        let ends: Vec<u32> = lines
            .iter()
            .scan(0, |end, line| {
                *end += u32::try_from(line.len()).unwrap();
                Some(*end)
            })
            .collect();
        let time = EPOCH + i64::try_from(round % 100).unwrap() * SECOND;
        let lines = lines.concat();
        let (t_first, t_last) = (time, time - 5);
        writer
            .append(&FrameInput { lines: lines.as_bytes(), ends: &ends, t_first, t_last, lost_total: 0 })
            .unwrap();
        if round % 20 == 0 {
            writer.heartbeat(time, 0).unwrap();
        }
    }
    writer.close(EPOCH).unwrap();
}

#[test]
fn a_program_that_knows_the_page_makes_the_same_index() {
    if !stranger::can_run() {
        return;
    }
    let scratch = Scratch::new();
    record(&scratch);
    let paths = segments(&scratch.store());
    assert!(paths.len() > 1, "{}", paths.len());
    let said = stranger::ask(&json!({"store": scratch.store()}));
    assert_eq!(said["verdict"], "unanchored", "{said}");
    assert!(said["frames_without_keys"].as_u64().unwrap() > 0, "no line was of another form");
    let has_index =
        |path: &PathBuf| SegmentReader::open(path).unwrap().unwrap().index().unwrap().unwrap().frames() > 0;
    assert!(paths.iter().all(has_index));
}
