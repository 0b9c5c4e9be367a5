//! Any bytes as a segment: reading ends, finds nothing twice, and reads on behind damage without a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use recorder::store::format::{SegmentHeader, is_torn, segment_name};
use recorder::store::reader::SegmentReader;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes[..header.encoded_len()]);
    }
    let _either_way = is_torn(bytes, 0);
    let path = FOLDER.path().join(segment_name(0, 0));
    std::fs::write(&path, bytes).unwrap();
    let Ok(Some(mut reader)) = SegmentReader::open(&path) else { return };
    let mut lines = Vec::new();
    let mut behind = reader.offset();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                assert!(frame.offset >= behind && reader.offset() <= bytes.len() as u64);
                behind = reader.offset();
                if frame.decompress(&mut lines).is_ok() {
                    assert_eq!(lines.len(), frame.header.raw_len as usize);
                }
            }
            Ok(None) => break,
            Err(_) if reader.skip_damage().unwrap() => assert!(reader.offset() > behind),
            Err(_) => break,
        }
    }
});
