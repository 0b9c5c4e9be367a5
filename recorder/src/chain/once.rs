//! One-time keys: each signs exactly one header and is erased. They live in memory only; nothing here writes one down.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::Hash;
use super::key::{Domain, SignatureBytes};

/// A private key for one signature. Erased from memory when it is used or dropped.
pub struct OneTimeKey(SigningKey);

impl OneTimeKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut())?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public half, as the header in front announces it.
    #[must_use]
    pub fn public(&self) -> Hash {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `bytes` for one purpose, and is gone.
    #[must_use]
    pub fn sign(self, domain: Domain, bytes: &[u8]) -> SignatureBytes {
        self.0.sign(&domain.message(bytes)).to_bytes()
    }
}

/// Whether `signature` is over `bytes` for that purpose by the one-time key whose public half is `public`.
#[must_use]
pub fn verifies(public: &Hash, domain: Domain, bytes: &[u8], signature: &SignatureBytes) -> bool {
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(&domain.message(bytes), &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{OneTimeKey, verifies};
    use crate::chain::key::Domain;

    #[test]
    fn a_signature_holds_for_its_key_bytes_and_purpose_only() {
        let (key, other) = (OneTimeKey::generate().unwrap(), OneTimeKey::generate().unwrap());
        let public = key.public();
        assert_ne!(public, other.public());
        let signature = key.sign(Domain::Frame, b"leaf");
        assert!(verifies(&public, Domain::Frame, b"leaf", &signature));
        assert!(!verifies(&public, Domain::Segment, b"leaf", &signature));
        assert!(!verifies(&public, Domain::Frame, b"fael", &signature));
        assert!(!verifies(&other.public(), Domain::Frame, b"leaf", &signature));
        // The key that announces nothing signs nothing: a small-order point.
        assert!(!verifies(&[0; 32], Domain::Frame, b"leaf", &signature));
    }
}
