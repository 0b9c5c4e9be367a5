//! Retention at work on a scratch store: segments are removed and told of, as the daemon does it.

use std::path::{Path, PathBuf};

use recorder::event::clock::Clock;
use recorder::store::format::{FRAME_HEADER, SegmentHeader};
use recorder::store::retention::Removal;
use recorder::store::tombstone::tombstone_name;
use recorder::store::writer::Writer;
use recorder::store::{FrameInput, StoreError};
use serde_json::{Value, json};

use super::{frames, segments};

/// The time as events have it.
pub fn text_of(time: i64) -> String {
    String::from_utf8(Clock::default().text(time).to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The events about a removal, without what nobody checks.
fn events(first: u64, removal: &Removal) -> Vec<Value> {
    let event = |(seq, victim): (u64, &recorder::store::retention::Victim)| {
        json!({
            "seq": seq, "t": text_of(removal.decided), "kind": "tombstone", "segment": victim.name,
            "from": text_of(victim.from), "to": text_of(victim.to), "reason": victim.reason.name(),
            "decided": text_of(removal.decided),
            "keep_age": removal.policy.keep_age_ns.map(|age| age / super::SECOND),
            "keep_size": removal.policy.keep_bytes,
            "hold": removal.policy.holds.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "tombstones": removal.tombstones, "tombstones_sha256": hex(&removal.tombstones_sha256),
        })
    };
    (first..).zip(&removal.victims).map(event).collect()
}

/// One line for each event.
pub fn lines_of(events: &[Value]) -> Vec<u8> {
    events.iter().map(|event| format!("{event}\n")).collect::<String>().into_bytes()
}

/// Removes whatever the policy wants removed at that time; gives the number of segments.
pub fn retire(writer: &mut Writer, now: i64) -> Result<usize, StoreError> {
    let mut count = 0;
    while writer.retention_is_due() {
        let Some(removal) = writer.retire(now)? else { continue };
        let lines = lines_of(&events(writer.next_seq(), &removal));
        let ends: Vec<u32> =
            memchr::memchr_iter(b'\n', &lines).map(|end| u32::try_from(end + 1).unwrap()).collect();
        let (lines, ends) = (&lines[..], &ends[..]);
        writer.append_tombs(&FrameInput { lines, ends, t_first: now, t_last: now, lost_total: 0 })?;
        writer.remove(&removal)?;
        count += removal.victims.len();
    }
    Ok(count)
}

/// Path and bytes of the tombstone that a segment which is there would leave, as anybody can make it.
pub fn tombstone_of(segment: &Path) -> (PathBuf, Vec<u8>) {
    let bytes = std::fs::read(segment).unwrap();
    let header = SegmentHeader::decode(&bytes).unwrap();
    let name = tombstone_name(header.first_frame, header.attempt);
    let seal = frames(segment).last().filter(|(_, frame)| frame.is_seal()).map(|(offset, _)| *offset);
    let seal = seal.map_or(&[][..], |offset| bytes.get(offset..offset + FRAME_HEADER).unwrap());
    (segment.with_file_name(name), [bytes.get(..header.encoded_len()).unwrap(), seal].concat())
}

/// Keeps a copy of every segment beside the state.
pub fn back_up(scratch: &super::Scratch) {
    let folder = scratch.state().join("backup");
    std::fs::create_dir_all(&folder).unwrap();
    for segment in segments(&scratch.store()) {
        std::fs::copy(&segment, folder.join(segment.file_name().unwrap())).unwrap();
    }
}
