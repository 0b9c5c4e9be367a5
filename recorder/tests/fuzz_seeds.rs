//! The seeds of the fuzz targets are accepted by what they are fed to: fuzzing begins behind the first check.
//! `UPDATE_GOLDEN=1 cargo test --test fuzz_seeds` makes them anew.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod scratch;

use std::path::{Path, PathBuf};

use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::OriginKey;
use recorder::chain::proof::{inclusion, root};
use recorder::store::format::{FRAME_HEADER, FrameHeader, Seal, SegmentHeader, segment_name};
use recorder::store::payload::unpack;
use recorder::store::reader::SegmentReader;
use recorder::store::retention::Hold;
use recorder::store::retention::told::Told;
use recorder::store::tree_hashes::TreeHashes;
use recorder::verify::event::EventProof;
use scratch::retired::lines_of;
use scratch::{Scratch, append, frames, segments};
use serde_json::json;

fn seed(target: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target).join(name)
}

fn update() {
    let scratch = Scratch::new();
    let key = OriginKey::from_seed("example/recorder", &[1; 32]).unwrap();
    let file = scratch.state().join("origin.key");
    std::fs::create_dir(scratch.state()).unwrap();
    std::fs::write(&file, key.to_private_text().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut writer = scratch.writer(1 << 20);
    append(&mut writer, 3).unwrap();
    append(&mut writer, 1).unwrap();
    writer.close(scratch::EPOCH).unwrap();
    let segment = segments(&scratch.store()).remove(0);
    let bytes = std::fs::read(&segment).unwrap();
    let (offset, header) = frames(&segment)[0];
    let frame = &bytes[offset..offset + usize::try_from(header.frame_len()).unwrap()];
    let hashes = TreeHashes::open(&scratch.store()).unwrap();
    let checkpoint = Checkpoint::sign(&key, 3, root(&hashes, 3).unwrap()).unwrap();
    let first = SegmentReader::open(&segment).unwrap().unwrap().next_frame().unwrap().unwrap();
    let mut lines = Vec::new();
    first.decompress(&mut lines).unwrap();
    let path = inclusion(&hashes, 0, 3).unwrap();
    let proof = EventProof::make(&header, &lines, 1, path, checkpoint.clone()).unwrap();
    std::fs::write(seed("segment", "whole"), &bytes).unwrap();
    std::fs::write(seed("frame", "data"), frame).unwrap();
    let mut seal = Vec::new();
    Seal { checkpoint: checkpoint.to_string().as_bytes(), index: b"index" }.encode(&mut seal).unwrap();
    std::fs::write(seed("frame", "seal"), seal).unwrap();
    std::fs::write(seed("index", "lines"), &lines).unwrap();
    std::fs::write(seed("note", "checkpoint"), checkpoint.to_string()).unwrap();
    std::fs::write(seed("note", "key"), key.public().to_string()).unwrap();
    std::fs::write(seed("proof", "event"), proof.to_string()).unwrap();
    std::fs::write(seed("proof", "tile"), "tile/0/x001/x234/067.p/8").unwrap();
    update_tombstones();
}

/// These are changes of a store that the target itself makes: what is changed, how, where, by what.
fn update_tombstones() {
    let hold = "2026-11-01/2026-11-07";
    let event = |(seq, first): (u64, u64)| {
        json!({
            "seq": seq, "kind": "tombstone", "segment": segment_name(first, 0), "reason": "age",
            "to": "2027-01-15T08:00:00.000000000Z", "decided": "2027-01-15T10:00:00.000000000Z",
            "keep_age": 3600, "keep_size": null, "hold": [hold], "tombstones": 3, "tombstones_sha256": "@",
        })
    };
    let events = lines_of(&[(4, 0), (5, 100), (6, 181)].map(event));
    for (name, bytes) in [
        ("tombstone", &[0, 4, 40, 0, 1, 7][..]),
        ("tile", &[1, 0, 40, 0, 1, 7]),
        ("events", &[&[2, 2][..], &events].concat()),
        ("beside", &[3, 0, 0, 0, 0]),
        ("elsewhere", &[4, 0, 44, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("hold", hold.as_bytes()),
    ] {
        std::fs::write(seed("tombstone", name), bytes).unwrap();
    }
}

#[test]
fn seeds_are_accepted() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update();
    }
    let read = |target, name| std::fs::read(seed(target, name)).unwrap();
    assert!(SegmentHeader::decode(&read("segment", "whole")).is_ok());
    let mut reader = SegmentReader::open(&seed("segment", "whole")).unwrap().unwrap();
    while reader.next_frame().unwrap().is_some() {}
    assert_eq!(reader.torn(), None);
    let frame = read("frame", "data");
    let header = FrameHeader::decode(&frame).unwrap();
    unpack(&frame[FRAME_HEADER..], header.raw_len, &mut Vec::new()).unwrap();
    assert!(Seal::decode(&read("frame", "seal")).is_ok());
    assert_eq!(read("index", "lines").last(), Some(&b'\n'));
    assert!(Checkpoint::parse(&read("note", "checkpoint")).is_ok());
    assert!(EventProof::parse(&read("proof", "event")).is_ok());
    let hold = String::from_utf8(read("tombstone", "hold")).unwrap();
    assert!(Hold::try_from(hold).is_ok());
    let events = read("tombstone", "events").split_off(2);
    let told = events.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    let told: Vec<Told> = told.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert!(told.len() == 3 && told.iter().all(|told| told.times().is_some()));
}
