//! Tamper evidence: pure functions from bytes to hashes, trees and signatures; no clock, no file.
//!
//! An event line is a leaf of its frame's inner tree, a frame header is a leaf of the host's outer tree; both trees are
//! those of RFC 6962. Where any of it is kept is not decided here.
#![forbid(unsafe_code)]

pub mod add_checkpoint;
pub(crate) mod base64;
pub mod checkpoint;
pub mod key;
pub mod note;
pub mod once;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod witness_key;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// The digits of a hash, as file names and addresses have it.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash with these 64 digits, in lower case.
#[must_use]
pub fn unhex(text: &str) -> Option<Hash> {
    let plain = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2).filter(|_| plain)?, 16).ok()?;
    }
    Some(hash)
}
