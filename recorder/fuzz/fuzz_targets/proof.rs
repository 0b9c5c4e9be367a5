//! Any bytes as the proof of an event, as paths through trees of any size, and as the name of a tile.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use recorder::chain::Hash;
use recorder::chain::key::OriginKey;
use recorder::chain::proof::{check_consistency, check_inclusion};
use recorder::chain::tile::TileId;
use recorder::chain::tlog_proof::TlogProof;
use recorder::verify::event::EventProof;

static KEY: LazyLock<OriginKey> = LazyLock::new(|| OriginKey::from_seed("fuzz/recorder", &[9; 32]).unwrap());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
    }
    if let Ok(proof) = EventProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        assert!(proof.verify(KEY.public()).is_err());
    }
    if let Some(tile) =
        std::str::from_utf8(bytes).ok().and_then(|text| TileId::parse(text).map(|tile| (tile, text)))
    {
        assert_eq!(tile.0.path(), tile.1);
    }
    let Some((numbers, hashes)) = bytes.split_first_chunk::<16>() else { return };
    let (place, size) = numbers.split_at(8);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let (place, size) = (number(place), number(size));
    let path: Vec<Hash> = hashes.as_chunks().0.to_vec();
    let root = [1; 32];
    assert!(check_inclusion(&[0; 32], place, (size, &root), &path).is_err());
    let same = place == size && path.is_empty();
    assert_eq!(check_consistency((place, &root), (size, &root), &path).is_ok(), same);
});
