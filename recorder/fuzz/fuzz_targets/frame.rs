//! Any bytes as a frame header, its checksum put right so that the fields behind it are reached, and as a payload
//! of events or of a seal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder::store::format::{FRAME_HEADER, FrameHeader, Seal};
use recorder::store::payload::unpack;

fuzz_target!(|bytes: &[u8]| {
    let mut header = bytes[..bytes.len().min(FRAME_HEADER)].to_vec();
    if let Some(covered) = header.len().checked_sub(4).filter(|_| header.len() == FRAME_HEADER) {
        let checksum = crc32c::crc32c(&header[..covered]);
        header[covered..].copy_from_slice(&checksum.to_le_bytes());
    }
    let mut lines = Vec::new();
    if let Ok(read) = FrameHeader::decode(&header) {
        let mut again = Vec::new();
        read.encode(&mut again);
        assert_eq!(again, header);
        let payload = &bytes[FRAME_HEADER..];
        if unpack(payload, read.raw_len, &mut lines).is_ok() {
            assert_eq!(lines.len(), read.raw_len as usize);
        }
    }
    if let Ok(seal) = Seal::decode(bytes) {
        seal.encode(&mut lines).unwrap();
        assert_eq!(lines, bytes);
    }
    // A payload on its own: the first bytes state its length.
    if let Some((length, payload)) = bytes.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        assert!(unpack(payload, length, &mut lines).is_err() || lines.len() == length as usize);
    }
});
