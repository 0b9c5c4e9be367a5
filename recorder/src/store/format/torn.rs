//! What a crash leaves at the end of a segment, told apart from damage.

use super::frame::FrameHeader;
use super::{
    FRAME_HEADER, FormatError, MAX_FRAME, MAX_SEGMENT_HEADER, PREFIX, SEGMENT_HEADER, SEGMENT_MAGIC,
    SEGMENT_SKIPPABLE, TREE_SIZE_OFFSET, VERSION, put_prefix,
};

/// Whether `rest`, the bytes from the end of the last whole frame (at `offset`) to the end of the file, is what a crash
/// leaves: the beginning of a frame (or of a segment header at offset 0), zeros, or the one followed by the other.
#[must_use]
pub fn is_torn(rest: &[u8], offset: u64) -> bool {
    let whole = if offset == 0 { MAX_SEGMENT_HEADER as u64 } else { MAX_FRAME };
    if rest.len() as u64 > whole {
        return false;
    }
    let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
    if zeros == rest.len() {
        return true;
    }
    // The system gives zeros for blocks that it never wrote, so a run of them begins where a sector begins. A shorter
    // run than this is as likely a change of the last bytes of a frame.
    let run_start = rest.len() - zeros;
    let sector = (offset + run_start as u64).next_multiple_of(512) - offset;
    let written = usize::try_from(sector).unwrap_or(usize::MAX);
    let cut = rest.len().checked_sub(written).is_some_and(|run| run >= 16);
    let begun = if cut { rest.get(..written).unwrap_or(rest) } else { rest };
    begins_a_frame(begun, rest.len(), cut, offset)
}

/// Whether `begun` is the beginning, not the whole, of a header or frame that is at least `length` long.
fn begins_a_frame(begun: &[u8], length: usize, cut: bool, offset: u64) -> bool {
    if offset == 0 {
        return begins_a_segment(begun, length, cut);
    }
    match FrameHeader::decode(begun) {
        Ok(header) => (length as u64) < header.frame_len() || (cut && length as u64 == header.frame_len()),
        Err(FormatError::Short) => {
            let prefix = FrameHeader::pattern();
            (length < FRAME_HEADER || cut)
                && begun.iter().zip(&prefix).all(|(byte, expected)| byte == expected)
        }
        Err(_) => false,
    }
}

/// The same for a segment header, whose length its tree size tells.
fn begins_a_segment(begun: &[u8], length: usize, cut: bool) -> bool {
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
    (length < whole || cut) && pairs.all(|(_, (byte, expected))| byte == expected)
}
