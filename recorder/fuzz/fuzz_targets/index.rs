//! Any bytes as the parts of an index, their digests put right so that what is behind them is reached, and as event
//! lines that an index is made of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder::chain::sha256;
use recorder::store::StoreError;
use recorder::store::format::{FRAME_HEADER, FrameHeader, FrameKind};
use recorder::store::index::{Builder, Index};

/// Reads from memory as from a segment.
fn reader(file: &[u8]) -> impl Fn(u64, usize) -> Result<Vec<u8>, StoreError> + '_ {
    |offset, length| {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        Ok(file[from..file.len().min(from.saturating_add(length))].to_vec())
    }
}

/// An index of `frames` frames with that frame table and one block of keys, in a file that is as long as it says.
fn assemble(frames: u8, frames_len: u16, table: &[u8], block: &[u8]) -> Vec<u8> {
    let digest = |bytes: &[u8]| sha256(bytes)[..8].to_vec();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut directory = Vec::new();
    if !block.is_empty() {
        directory = [&7u32.to_le_bytes()[..], &length(block), &digest(block)].concat();
    }
    let whole = table.len() + block.len() + directory.len() + 72;
    let mut footer = b"KIX1".to_vec();
    footer.extend(u32::try_from(whole).unwrap().to_le_bytes());
    footer.extend(u32::from(frames).to_le_bytes());
    footer.extend(length(table));
    footer.extend(u32::from(!block.is_empty()).to_le_bytes());
    footer.extend([0; 4]);
    footer.extend(u64::from(frames_len).to_le_bytes());
    footer.extend([0; 16]);
    footer.extend(digest(table));
    footer.extend(digest(&directory));
    footer.extend(digest(&footer));
    [&vec![0; frames_len.into()][..], table, block, &directory, &footer].concat()
}

fn ask(file: &[u8]) {
    let read = reader(file);
    let Ok(Some(index)) = Index::open(&read, file.len() as u64) else { return };
    if let Ok(table) = index.frame_table(&read) {
        assert!((0..index.frames()).all(|frame| table.get(frame).is_some()));
    }
    for key in [0, 7, 8, 1_000, u32::MAX] {
        if let Ok(runs) = index.frames_with(&read, key) {
            assert!(runs.iter().all(|frame| frame < index.frames()));
        }
    }
}

/// What was made of lines can be read, whatever the lines are, and knows the frame.
fn build(lines: &[u8]) {
    let header = FrameHeader {
        kind: FrameKind::Data,
        flags: 0,
        epoch: 1,
        frame_no: 0,
        first_seq: 0,
        count: 1,
        raw_len: 2,
        payload_len: 90,
        t_first: 5,
        t_last: 6,
        lost_total: 0,
        prev_link: [0; 32],
        inner_root: [0; 32],
        payload_sha256: [0; 32],
        next_pk: [1; 32],
        signature: [0; 64],
    };
    let mut builder = Builder::default();
    builder.add_frame(&header, lines);
    let frames = vec![0; FRAME_HEADER + 90];
    let file = [frames, builder.finish()].concat();
    let read = reader(&file);
    let index = Index::open(&read, file.len() as u64).unwrap().unwrap();
    assert_eq!(index.frame_table(&read).unwrap().get(0).unwrap().payload_len, 90);
    assert!(index.frames_without_keys(&read).is_ok());
}

fuzz_target!(|bytes: &[u8]| {
    ask(bytes);
    build(bytes);
    let [frames, low, high, split, parts @ ..] = bytes else { return };
    let (table, block) = parts.split_at(usize::from(*split).min(parts.len()));
    ask(&assemble(*frames, u16::from_le_bytes([*low, *high]), table, block));
});
