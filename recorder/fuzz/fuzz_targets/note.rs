//! Any bytes as a note and as a checkpoint: what is accepted has one text only, and nobody's signature passes by chance.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use recorder::chain::checkpoint::{Checkpoint, WitnessPublic};
use recorder::chain::key::{OriginKey, OriginPublic};
use recorder::chain::note::Note;

static KEY: LazyLock<OriginKey> = LazyLock::new(|| OriginKey::from_seed("fuzz/recorder", &[9; 32]).unwrap());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        assert!(note.verify(KEY.public()).is_err());
    }
    if let Ok(checkpoint) = Checkpoint::parse(bytes) {
        assert_eq!(checkpoint.to_string().as_bytes(), bytes);
        assert!(checkpoint.verify(KEY.public()).is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = OriginPublic::parse(text) {
            assert_eq!(key.to_string(), text);
        }
        if let Ok(key) = WitnessPublic::parse(text) {
            assert_eq!(key.to_string(), text);
        }
    }
});
