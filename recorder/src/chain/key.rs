//! The origin key of a host: Ed25519, named and written as in C2SP signed notes. Where it is kept is not decided here.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Hash, base64, sha256};

/// An Ed25519 signature.
pub type SignatureBytes = [u8; 64];

/// Algorithm byte of C2SP note keys: Ed25519.
const NOTE_ED25519: u8 = 1;
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// What a signature is for; the text keeps a signature of one thing from passing as one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A frame header's leaf.
    Frame,
    /// A segment header.
    Segment,
    /// The text of a C2SP note. It has no prefix, and can't begin like the others: a note has no NUL byte.
    Note,
}

impl Domain {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Frame => b"krec/frame/v1\0",
            Self::Segment => b"krec/segment/v1\0",
            Self::Note => b"",
        }
    }

    pub(super) fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.prefix(), bytes].concat()
    }
}

/// Why a key text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `<name>+<8 hex digits>+<base64>`.
    #[error("not a key line of the form <name>+<key id>+<base64>")]
    Shape,
    /// A name that note keys can't have.
    #[error("the name is empty or has white space, control characters or `+` in it")]
    Name,
    /// Another algorithm, or a wrong number of bytes.
    #[error("not an Ed25519 key")]
    Algorithm,
    /// The key id does not belong to name and key.
    #[error("the key id does not belong to this name and key")]
    Id,
}

/// The private half: signs. Erased from memory when dropped; never shown by `Debug`.
pub struct OriginKey {
    public: OriginPublic,
    signing: SigningKey,
}

impl OriginKey {
    /// Makes the key of `name` from 32 secret random bytes.
    ///
    /// # Errors
    /// When note keys can't have that name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let signing = SigningKey::from_bytes(seed);
        let public = OriginPublic::new(name, signing.verifying_key())?;
        Ok(Self { public, signing })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &OriginPublic {
        &self.public
    }

    /// Signs `bytes` for one purpose.
    #[must_use]
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> SignatureBytes {
        self.signing.sign(&domain.message(bytes)).to_bytes()
    }

    /// The private key as one line of text.
    #[must_use]
    pub fn to_private_text(&self) -> Zeroizing<String> {
        private_text((&self.public.name, self.public.id_number()), NOTE_ED25519, &self.signing)
    }

    /// Reads what [`to_private_text`](Self::to_private_text) wrote.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_private_text(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = read_private(text, NOTE_ED25519)?;
        let key = Self::from_seed(name, &seed)?;
        if key.public.id_number() == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OriginKey({})", self.public)
    }
}

/// The public half: a name and a key. Its text form is a C2SP note verifier key:
/// `host1.example.org/recorder+7b8ef332+AS0m…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPublic {
    name: String,
    key: VerifyingKey,
    id: Hash,
}

impl OriginPublic {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), key, id: long_id(name, NOTE_ED25519, &key) })
    }

    /// Reads a verifier key line (without its newline).
    ///
    /// # Errors
    /// When the text is not exactly the line of an Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = split(text)?;
        let public = Self::new(name, ed25519(&bytes, NOTE_ED25519)?)?;
        if public.id_number() == id { Ok(public) } else { Err(KeyError::Id) }
    }

    /// Name of the origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over name and key; the first four bytes are the C2SP key id.
    #[must_use]
    pub const fn id(&self) -> &Hash {
        &self.id
    }

    /// Whether `signature` is this key's over `bytes` for that purpose.
    #[must_use]
    pub fn verifies(&self, domain: Domain, bytes: &[u8], signature: &SignatureBytes) -> bool {
        self.key.verify_strict(&domain.message(bytes), &Signature::from_bytes(signature)).is_ok()
    }

    /// Whether both have the same key, whatever their names are.
    #[must_use]
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }

    pub(super) const fn id_number(&self) -> u32 {
        short_id(&self.id)
    }
}

impl fmt::Display for OriginPublic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[NOTE_ED25519], self.key.as_bytes().as_slice()].concat();
        write!(formatter, "{}+{:08x}+{}", self.name, self.id_number(), base64::encode(&key))
    }
}

/// A private key as one line: Go's form of it, with the algorithm that its signatures have.
pub(super) fn private_text(
    (name, id): (&str, u32),
    algorithm: u8,
    signing: &SigningKey,
) -> Zeroizing<String> {
    let mut secret = Zeroizing::new(vec![algorithm]);
    secret.extend_from_slice(signing.as_bytes());
    let mut encoded = base64::encode(&secret);
    let text = format!("{PRIVATE_PREFIX}{name}+{id:08x}+{encoded}");
    encoded.zeroize();
    Zeroizing::new(text)
}

/// Name, key id and seed of a private key of that algorithm.
pub(super) fn read_private(text: &str, algorithm: u8) -> Result<(&str, u32, Zeroizing<[u8; 32]>), KeyError> {
    let rest = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::Shape)?;
    let (name, id, secret) = split(rest)?;
    let secret = Zeroizing::new(secret);
    match secret.split_first() {
        Some((found, seed)) if *found == algorithm => {
            let seed = seed.try_into().map_err(|_| KeyError::Algorithm)?;
            Ok((name, id, Zeroizing::new(seed)))
        }
        _ => Err(KeyError::Algorithm),
    }
}

/// Whether C2SP notes can have a key of that name.
pub(super) fn is_key_name(name: &str) -> bool {
    let unfit = |letter: char| letter == '+' || letter < ' ' || letter.is_whitespace();
    !name.is_empty() && !name.contains(unfit)
}

/// What C2SP notes derive the id of a key from.
pub(super) fn long_id(name: &str, algorithm: u8, key: &VerifyingKey) -> Hash {
    sha256(&[name.as_bytes(), b"\n", &[algorithm], key.as_bytes()].concat())
}

/// The id as it stands in key and signature lines.
pub(super) const fn short_id(long: &Hash) -> u32 {
    let [a, b, c, d, ..] = *long;
    u32::from_be_bytes([a, b, c, d])
}

/// The Ed25519 key behind an algorithm byte.
pub(super) fn ed25519(bytes: &[u8], algorithm: u8) -> Result<VerifyingKey, KeyError> {
    let key = match bytes.split_first() {
        Some((found, key)) if *found == algorithm => key.try_into().map_err(|_| KeyError::Algorithm)?,
        _ => return Err(KeyError::Algorithm),
    };
    VerifyingKey::from_bytes(key).map_err(|_| KeyError::Algorithm)
}

/// Splits `<name>+<8 hex digits>+<base64>`.
pub(super) fn split(text: &str) -> Result<(&str, u32, Vec<u8>), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Shape);
    };
    let plain = id.len() == 8 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| plain).ok_or(KeyError::Shape)?;
    Ok((name, id, base64::decode(key).ok_or(KeyError::Shape)?))
}

#[cfg(test)]
mod tests {
    use super::{Domain, KeyError, OriginKey, OriginPublic};

    #[test]
    fn reads_the_example_key_of_go_note() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = OriginPublic::parse(text).unwrap();
        assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
        let secret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let pair = OriginKey::from_private_text(secret).unwrap();
        assert_eq!(pair.public(), &key);
        assert_eq!(pair.to_private_text().as_str(), secret);
    }

    #[test]
    fn a_signature_holds_for_its_bytes_key_and_purpose_only() {
        let key = OriginKey::from_seed("host/recorder", &[7; 32]).unwrap();
        let other = OriginKey::from_seed("host/recorder", &[8; 32]).unwrap();
        let signature = key.sign(Domain::Frame, b"leaf");
        assert!(key.public().verifies(Domain::Frame, b"leaf", &signature));
        assert!(!key.public().verifies(Domain::Segment, b"leaf", &signature));
        assert!(!key.public().verifies(Domain::Frame, b"leaf2", &signature));
        assert!(!other.public().verifies(Domain::Frame, b"leaf", &signature));
    }

    #[test]
    fn refuses_wrong_key_lines() {
        let good = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        for (bad, why) in [
            ("", KeyError::Shape),
            (&good.replace("c7", "C7"), KeyError::Shape),
            (&good.replace("c7", "c8"), KeyError::Id),
            (&good.replace("Peter", "Pater"), KeyError::Id),
            (&good.replace("Peter", "Peter "), KeyError::Name),
            (&good.replace("Peter", "Peter\u{1b}"), KeyError::Name),
            (&good.replace("+AR", "+BR"), KeyError::Algorithm),
            (&format!("{good}\n"), KeyError::Shape),
        ] {
            assert_eq!(OriginPublic::parse(bad), Err(why), "{bad:?}");
        }
        assert!(!format!("{:?}", OriginKey::from_seed("h", &[1; 32]).unwrap()).contains("AQEB"));
    }
}
