//! Salted commitments: they tell later what a blanked secret was, to whoever has both the secret and the salt. Pure.
//!
//! The salt is derived from a key of the state directory, so it is nowhere in the record: with the record alone, not
//! even a weak secret can be found by guessing.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::chain::{Hash, hex};

/// What a salt is made for; keeps it apart from anything else that a key like this may serve.
const SALT_DOMAIN: &[u8] = b"recorder redaction salt v1\0";
/// The same for the number by which a record names the key.
const ID_DOMAIN: &[u8] = b"recorder redaction key id v1\0";

/// Sixteen bytes that nobody can guess.
pub type Salt = [u8; 16];

/// First bytes of a hash of the key: which key made a salt.
pub type KeyId = [u8; 4];

/// The event and the place in its list of redactions that a salt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the event.
    pub seq: u64,
    /// Its boot-clock time: a number can come back after a crash, but not with the same time.
    pub mono: u64,
    /// Place in the list, from 0.
    pub index: u32,
}

/// The key that salts are derived from.
#[derive(Clone)]
pub struct SaltKey {
    mac: Hmac<Sha256>,
    id: KeyId,
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltKey").field("id", &hex(&self.id)).finish_non_exhaustive()
    }
}

impl SaltKey {
    /// The key with these secret random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let digest: Hash = Sha256::new().chain_update(ID_DOMAIN).chain_update(bytes).finalize().into();
        let [a, b, c, d, ..] = digest;
        // HMAC fills a key up with zeros to a whole block.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self { mac: Hmac::new((&*block).into()), id: [a, b, c, d] }
    }

    /// Names the key without telling anything about it.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The salt for one secret of one event: the first half of
    /// `HMAC-SHA256(key, domain || seq || mono || index)`, numbers little-endian.
    #[must_use]
    pub fn salt(&self, place: Place) -> Salt {
        let mut mac = self.mac.clone();
        mac.update(SALT_DOMAIN);
        mac.update(&place.seq.to_le_bytes());
        mac.update(&place.mono.to_le_bytes());
        mac.update(&place.index.to_le_bytes());
        let full: Hash = mac.finalize().into_bytes().into();
        let mut salt = Salt::default();
        for (to, from) in salt.iter_mut().zip(full) {
            *to = from;
        }
        salt
    }
}

/// `SHA-256(salt || secret)`.
#[must_use]
pub fn commit(salt: &Salt, secret: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

/// Whether a secret is the one committed to; `Some` with the number of its bytes that were. Of a secret that was cut
/// it is the beginning, whose length nobody wrote down.
#[must_use]
pub fn opens(commitment: &Hash, salt: &Salt, secret: &[u8], is_cut: bool) -> Option<usize> {
    if !is_cut {
        return (commit(salt, secret) == *commitment).then_some(secret.len());
    }
    let mut hasher = Sha256::new().chain_update(salt);
    let opens_after = |byte: &u8| {
        hasher.update([*byte]);
        Hash::from(hasher.clone().finalize()) == *commitment
    };
    secret.iter().position(opens_after).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { seq: 7, mono: 5_123_456_789, index: 0 };

    #[test]
    fn every_place_has_a_salt_of_its_own() {
        let key = SaltKey::new(&[7; 32]);
        let others =
            [Place { seq: 8, ..PLACE }, Place { mono: PLACE.mono + 1, ..PLACE }, Place { index: 1, ..PLACE }];
        for other in others {
            assert_ne!(key.salt(PLACE), key.salt(other), "{other:?}");
        }
        assert_eq!(key.salt(PLACE), SaltKey::new(&[7; 32]).salt(PLACE));
        assert_ne!(key.salt(PLACE), SaltKey::new(&[8; 32]).salt(PLACE));
        assert_ne!(key.id(), SaltKey::new(&[8; 32]).id());
    }

    /// Computed with Python's hmac and hashlib, so that anybody can.
    #[test]
    fn salt_and_commitment_are_the_documented_ones() {
        let key = SaltKey::new(&[7; 32]);
        let salt = key.salt(PLACE);
        assert_eq!(hex(&key.id()), "cc9d4571");
        assert_eq!(hex(&salt), "37e78536a659c8d4c105fe33c3be6fda");
        assert_eq!(
            hex(&commit(&salt, b"hunter2")),
            "78b0290857409aa1c291ae54654db88f3a1b4275bd6d995a07744f7988a2afe0"
        );
    }

    #[test]
    fn only_the_secret_opens_its_commitment() {
        let salt = SaltKey::new(&[7; 32]).salt(PLACE);
        let whole = commit(&salt, b"hunter2");
        assert_eq!(opens(&whole, &salt, b"hunter2", false), Some(7));
        assert_eq!(opens(&whole, &salt, b"hunter23", false), None);
        assert_eq!(opens(&whole, &[0; 16], b"hunter2", false), None);
        let beginning = commit(&salt, b"hun");
        assert_eq!(opens(&beginning, &salt, b"hunter2", true), Some(3));
        assert_eq!(opens(&beginning, &salt, b"hunter2", false), None);
        assert_eq!(opens(&beginning, &salt, b"hurter2", true), None);
        assert_eq!(opens(&beginning, &salt, b"", true), None);
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", SaltKey::new(&[7; 32])), "SaltKey { id: \"cc9d4571\", .. }");
    }
}
