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

/// Lower-case hexadecimal, as it stands in the record, in file names and in addresses.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes behind [`hex`], digits in either case; `None` when it is not exactly that many.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |letter: &u8| char::from(*letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{hex, unhex};

    #[test]
    fn hexadecimal_is_read_as_written() {
        assert_eq!(unhex(&hex(&[0, 0x1f, 0xff])), Some([0, 0x1f, 0xff]));
        for text in ["", "00", "00000", "0000000", "0g0000", "é0000"] {
            assert_eq!(unhex::<3>(text), None, "{text:?}");
        }
    }
}
