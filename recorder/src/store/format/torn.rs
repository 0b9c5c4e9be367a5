//! What a crash leaves at the end of a segment, told apart from damage.

use super::frame::{FrameHeader, FrameKind};
use super::{
    FRAME_HEADER, FormatError, MAX_FRAME, MAX_SEGMENT_HEADER, PREFIX, SEGMENT_HEADER, SEGMENT_MAGIC,
    SEGMENT_SKIPPABLE, TREE_SIZE_OFFSET, VERSION, put_prefix,
};
use crate::chain::sha256;

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// Whether `rest`, the bytes from the end of the last whole frame (at `offset`) to the end of the file, is what a crash
/// leaves: the beginning of a frame (of a segment header at offset 0), or one with a hole in it, where blocks were never
/// written and read as zeros. Behind a hole may be anything that was being written, but no seal: what is in front of
/// one was durable before.
#[must_use]
pub fn is_torn(rest: &[u8], offset: u64) -> bool {
    let whole = if offset == 0 { MAX_SEGMENT_HEADER as u64 } else { MAX_FRAME };
    if rest.len() as u64 > whole {
        return false;
    }
    let hole = first_hole(rest, offset);
    let begun = rest.get(..hole.unwrap_or(rest.len())).unwrap_or(rest);
    begins_a_frame(begun, rest.len(), hole.is_some(), offset) && !(hole.is_some() && ends_with_a_seal(rest))
}

/// Where the first block begins, or the part of one that belongs to `rest`, that holds nothing but zeros.
fn first_hole(rest: &[u8], offset: u64) -> Option<usize> {
    let mut start = 0;
    while start < rest.len() {
        let border = (offset + start as u64 + 1).next_multiple_of(SECTOR) - offset;
        let end = usize::try_from(border).unwrap_or(usize::MAX).min(rest.len());
        if rest.get(start..end)?.iter().all(|byte| *byte == 0) {
            return Some(start);
        }
        start = end;
    }
    None
}

/// Whether `begun`, which a hole or the end of the file follows, is the beginning and not the whole of a header or frame.
/// `length` is that of all bytes there are.
fn begins_a_frame(begun: &[u8], length: usize, hole: bool, offset: u64) -> bool {
    if offset == 0 {
        return begins_a_segment(begun);
    }
    match FrameHeader::decode(begun) {
        Ok(header) => (begun.len() as u64) < header.frame_len(),
        Err(FormatError::Short) => {
            let prefix = FrameHeader::pattern();
            (length < FRAME_HEADER || hole)
                && begun.iter().zip(&prefix).all(|(byte, expected)| byte == expected)
        }
        Err(_) => false,
    }
}

/// The same for a segment header, whose length its tree size tells.
fn begins_a_segment(begun: &[u8]) -> bool {
    let number = |range: std::ops::Range<usize>| Some(u64::from_le_bytes(begun.get(range)?.try_into().ok()?));
    let nodes = number(TREE_SIZE_OFFSET..TREE_SIZE_OFFSET + 8).map(u64::count_ones);
    let whole = nodes.map_or(MAX_SEGMENT_HEADER, |nodes| SEGMENT_HEADER + 32 * nodes as usize);
    let mut prefix = Vec::with_capacity(PREFIX);
    put_prefix(&mut prefix, SEGMENT_SKIPPABLE, whole);
    prefix.extend(SEGMENT_MAGIC);
    prefix.push(VERSION);
    // In front of the tree size the stated length can't be checked.
    let checked = |index: &usize| nodes.is_some() || !(4..PREFIX).contains(index);
    let mut pairs = begun.iter().zip(&prefix).enumerate().filter(|(index, _)| checked(index));
    begun.len() < whole && pairs.all(|(_, (byte, expected))| byte == expected)
}

/// Whether the last bytes are a whole seal.
fn ends_with_a_seal(rest: &[u8]) -> bool {
    let mut pattern = FrameHeader::pattern();
    pattern.push(FrameKind::Seal as u8);
    let seal = memchr::memmem::rfind(rest, &pattern).and_then(|start| rest.get(start..));
    let Some((seal, Ok(header))) = seal.map(|seal| (seal, FrameHeader::decode(seal))) else { return false };
    let payload = seal.get(FRAME_HEADER..).unwrap_or_default();
    header.frame_len() == seal.len() as u64 && sha256(payload) == header.payload_sha256
}

#[cfg(test)]
mod tests {
    use super::is_torn;
    use crate::store::format::{FRAME_HEADER, FrameHeader, FrameKind, MAX_FRAME};

    fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
        let has_events = kind.has_events();
        let header = FrameHeader {
            kind,
            flags: 0,
            epoch: 1,
            frame_no: 3,
            first_seq: 5,
            count: u32::from(has_events),
            raw_len: if has_events { 2000 } else { 0 },
            payload_len: u32::try_from(payload.len()).unwrap(),
            t_first: 1,
            t_last: 1,
            lost_total: 0,
            prev_link: [1; 32],
            inner_root: [1; 32],
            payload_sha256: crate::chain::sha256(payload),
            next_pk: [1; 32],
            signature: [1; 64],
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_frame_with_a_hole_is_torn_wherever_the_hole_is() {
        let bytes = frame(FrameKind::Data, &[7; 1500]);
        for offset in [1024, 1000, 1535] {
            let borders = (offset + 1..offset + bytes.len()).filter(|at| at % 512 == 0);
            let starts: Vec<usize> = [0].into_iter().chain(borders.map(|at| at - offset)).collect();
            for (index, start) in starts.iter().enumerate() {
                let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
                let mut holed = bytes.clone();
                holed[*start..end].fill(0);
                assert!(is_torn(&holed, offset as u64), "{offset}: {start} to {end}");
                // What was written at the same time follows, whole or not.
                if end < bytes.len() {
                    let with_more = [holed.as_slice(), &bytes, b"x"].concat();
                    assert!(is_torn(&with_more, offset as u64), "{offset}: {start} to {end}");
                }
            }
        }
    }

    #[test]
    fn zeros_that_fill_no_block_are_a_change() {
        let bytes = frame(FrameKind::Data, &[7; 1500]);
        for (start, end) in [(0, 511), (1, 512), (512, 1023), (600, 1100), (1100, 1110)] {
            let mut changed = bytes.clone();
            changed[start..end].fill(0);
            assert!(!is_torn(&changed, 1024), "{start} to {end}");
        }
        // The last bytes, up to the end, but from no border on.
        let mut changed = bytes.clone();
        let length = changed.len();
        changed[length - 100..].fill(0);
        assert!(!is_torn(&changed, 1024));
    }

    #[test]
    fn a_hole_in_front_of_a_seal_is_no_crash() {
        let bytes = frame(FrameKind::Data, &[7; 1500]);
        let seal = frame(FrameKind::Seal, b"checkpoint and index");
        let mut holed = bytes.clone();
        holed[512..1024].fill(0);
        assert!(!is_torn(&[holed.as_slice(), &seal].concat(), 1024));
        assert!(is_torn(&[holed.as_slice(), &seal[..seal.len() - 1]].concat(), 1024));
    }

    #[test]
    fn a_hole_behind_a_frame_or_a_tail_too_long_is_no_crash() {
        let mut bytes = frame(FrameKind::Data, &[7; 1500]);
        bytes[FRAME_HEADER + 3] ^= 1;
        bytes.extend([0; 2000]);
        assert!(!is_torn(&bytes, 1024));
        assert!(is_torn(&vec![0; MAX_FRAME as usize], 1024));
        assert!(!is_torn(&vec![0; MAX_FRAME as usize + 1], 1024));
    }
}
