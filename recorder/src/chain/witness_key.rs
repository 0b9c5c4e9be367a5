//! The private key of a witness: it cosigns checkpoints (C2SP tlog-cosignature, Ed25519). Whether it may is not decided here.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::base64;
use super::checkpoint::{COSIGNATURE_ED25519, Checkpoint, WitnessPublic, cosigned_text};
use super::key::{KeyError, private_text, read_private};

/// Cosigns. Erased from memory when dropped; never shown by `Debug`.
pub struct WitnessKey {
    public: WitnessPublic,
    signing: SigningKey,
}

impl WitnessKey {
    /// Makes the key of `name` from 32 secret random bytes.
    ///
    /// # Errors
    /// When note keys can't have that name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let signing = SigningKey::from_bytes(seed);
        Ok(Self { public: WitnessPublic::new(name, signing.verifying_key())?, signing })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &WitnessPublic {
        &self.public
    }

    /// The signature line (without its newline) that says: at that time, in seconds since 1970, this was the newest
    /// checkpoint of its log that the witness knew, and no other tree of its size.
    #[must_use]
    pub fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> String {
        let signature = self.signing.sign(&cosigned_text(time, checkpoint.text()));
        let id = self.public.id_number().to_be_bytes();
        let bytes = [id.as_slice(), &time.to_be_bytes(), &signature.to_bytes()].concat();
        format!("\u{2014} {} {}", self.public.name(), base64::encode(&bytes))
    }

    /// The private key as one line of text.
    #[must_use]
    pub fn to_private_text(&self) -> Zeroizing<String> {
        private_text((self.public.name(), self.public.id_number()), COSIGNATURE_ED25519, &self.signing)
    }

    /// Reads what [`to_private_text`](Self::to_private_text) wrote.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_private_text(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = read_private(text, COSIGNATURE_ED25519)?;
        let key = Self::from_seed(name, &seed)?;
        if key.public.id_number() == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WitnessKey({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::WitnessKey;
    use crate::chain::checkpoint::{Checkpoint, WitnessPublic};
    use crate::chain::key::{KeyError, OriginKey};

    #[test]
    fn cosigns_what_its_public_half_verifies() {
        let key = WitnessKey::from_seed("witness.example/w1", &[3; 32]).unwrap();
        let origin = OriginKey::from_seed("host/recorder", &[1; 32]).unwrap();
        let mut checkpoint = Checkpoint::sign(&origin, 5, [7; 32]).unwrap();
        checkpoint.add(&key.cosign(&checkpoint, 1_679_315_147)).unwrap();
        let public = WitnessPublic::parse(&key.public().to_string()).unwrap();
        assert_eq!(checkpoint.cosigned_by(&public), Ok(Some(1_679_315_147)));
        assert_eq!(checkpoint.verify(origin.public()), Ok(()));
        assert!(checkpoint.bare(origin.public()).is_bare());
    }

    #[test]
    fn comes_back_from_its_text_and_from_no_other() {
        let key = WitnessKey::from_seed("w", &[3; 32]).unwrap();
        let again = WitnessKey::from_private_text(&key.to_private_text()).unwrap();
        assert_eq!(again.public(), key.public());
        let origin = OriginKey::from_seed("w", &[3; 32]).unwrap();
        let refused = WitnessKey::from_private_text(&origin.to_private_text()).err();
        assert_eq!(refused, Some(KeyError::Algorithm));
        assert!(OriginKey::from_private_text(&key.to_private_text()).is_err());
        assert!(!format!("{key:?}").contains("AwMD"));
    }
}
