//! Tamper evidence: pure functions from bytes to hashes, trees and signatures; no clock, no file.
//!
//! An event line is a leaf of its frame's inner tree, a frame header is a leaf of the host's outer tree; both trees are
//! those of RFC 6962. Where any of it is kept is not decided here.
#![forbid(unsafe_code)]

pub(crate) mod base64;
pub mod checkpoint;
pub mod key;
pub mod note;
pub mod once;
pub mod proof;
pub mod tile;
pub mod tlog_proof;
pub mod tree;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
