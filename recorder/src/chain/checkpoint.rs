//! Checkpoints (C2SP tlog-checkpoint): size and root of a host's tree, signed by its origin key, cosigned by witnesses.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use super::key::{self, KeyError, OriginKey, OriginPublic};
use super::note::{Note, NoteError};
use super::{Hash, base64};

/// Signature type of an Ed25519 cosignature with its time.
pub(super) const COSIGNATURE_ED25519: u8 = 4;
/// Largest tree: other implementations count leaves in signed numbers.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// Why a checkpoint was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note, or not signed by the key.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// Not origin, size and root.
    #[error("its text is not an origin, a size and a root hash, one a line")]
    Shape,
    /// The checkpoint of another log.
    #[error("it is of another origin than the key")]
    Origin,
    /// A time that no cosignature can have.
    #[error("the time of the cosignature is beyond its limit")]
    Time,
}

/// What a checkpoint says, together with its signatures. Nothing in it may be believed before
/// [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    note: Note,
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// States that the tree of the key's log has `size` leaves and that root. Nothing but durable frames may be in it, and
    /// never two roots of one size.
    ///
    /// # Errors
    /// When the tree is larger than any can be.
    pub fn sign(key: &OriginKey, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if size > MAX_SIZE {
            return Err(CheckpointError::Shape);
        }
        let origin = key.public().name().to_owned();
        let note = Note::sign(format!("{origin}\n{size}\n{}\n", base64::encode(&root)), key)?;
        Ok(Self { note, origin, size, root })
    }

    /// Reads a checkpoint. Extension lines are allowed, as the specification has it; we write none.
    ///
    /// # Errors
    /// When the bytes are anything else than one whole checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let text = note.text().strip_suffix('\n').unwrap_or_default();
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Shape);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(CheckpointError::Shape);
        }
        let origin = origin.to_owned();
        let size = decimal(size).filter(|size| *size <= MAX_SIZE).ok_or(CheckpointError::Shape)?;
        let root = hash(root).ok_or(CheckpointError::Shape)?;
        Ok(Self { note, origin, size, root })
    }

    /// Checks that this is a checkpoint of that key's log and that the key signed it.
    ///
    /// # Errors
    /// When it isn't.
    pub fn verify(&self, key: &OriginPublic) -> Result<(), CheckpointError> {
        if self.origin != key.name() {
            return Err(CheckpointError::Origin);
        }
        Ok(self.note.verify(key)?)
    }

    /// Whether it says nothing but origin, size and root, under one signature.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.note.text().lines().count() == 3 && self.note.signature_count() == 1
    }

    /// When a witness cosigned it, in seconds since 1970; `None` when it didn't.
    ///
    /// # Errors
    /// When there is a cosignature by the witness that does not hold, or more than one.
    pub fn cosigned_by(&self, witness: &WitnessPublic) -> Result<Option<u64>, CheckpointError> {
        match self.note.signature(&witness.name, witness.id_number()) {
            Ok(bytes) => witness.time_of(bytes, self.note.text()).map(Some),
            Err(NoteError::Unsigned) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a cosignature line as a witness answers with (without its newline).
    ///
    /// # Errors
    /// When it is no signature line, or there is no room for it.
    pub fn add(&mut self, line: &str) -> Result<(), CheckpointError> {
        Ok(self.note.add(line)?)
    }

    /// The same with no signatures but those by the origin's key.
    #[must_use]
    pub fn bare(&self, key: &OriginPublic) -> Self {
        Self { note: self.note.only(key), ..self.clone() }
    }

    /// What is signed: the text up to the newline of its last line.
    #[must_use]
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves of the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }
}

/// The note, as it is kept and sent.
impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}

/// The public key of a witness: a C2SP verifier key of type 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPublic {
    name: String,
    key: VerifyingKey,
    id: Hash,
}

impl WitnessPublic {
    pub(super) fn new(name: &str, key: VerifyingKey) -> Result<Self, KeyError> {
        if !key::is_key_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), key, id: key::long_id(name, COSIGNATURE_ED25519, &key) })
    }

    /// Reads a verifier key line (without its newline).
    ///
    /// # Errors
    /// When the text is not exactly the line of a witness's Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = key::split(text)?;
        let public = Self::new(name, key::ed25519(&bytes, COSIGNATURE_ED25519)?)?;
        if public.id_number() == id { Ok(public) } else { Err(KeyError::Id) }
    }

    /// Name of the witness.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over name and key; the first four bytes are the C2SP key id.
    #[must_use]
    pub const fn id(&self) -> &Hash {
        &self.id
    }

    /// Whether both have the same key, whatever their names are.
    #[must_use]
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }

    pub(super) const fn id_number(&self) -> u32 {
        key::short_id(&self.id)
    }

    /// The time of a cosignature (C2SP tlog-cosignature, v1), once it holds.
    fn time_of(&self, cosignature: &[u8], text: &str) -> Result<u64, CheckpointError> {
        let wrong = NoteError::Signature;
        let (time, signature) = cosignature.split_first_chunk().ok_or(wrong)?;
        let time = u64::from_be_bytes(*time);
        if time > i64::MAX as u64 {
            return Err(CheckpointError::Time);
        }
        let signature = Signature::from_bytes(signature.try_into().map_err(|_| wrong)?);
        self.key.verify_strict(&cosigned_text(time, text), &signature).map_err(|_| wrong)?;
        Ok(time)
    }
}

impl fmt::Display for WitnessPublic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[COSIGNATURE_ED25519], self.key.as_bytes().as_slice()].concat();
        write!(formatter, "{}+{:08x}+{}", self.name, self.id_number(), base64::encode(&key))
    }
}

/// What a witness signs.
pub(super) fn cosigned_text(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// A number as C2SP texts write it: decimal, without sign and without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A hash as C2SP texts write it.
pub(super) fn hash(text: &str) -> Option<Hash> {
    base64::decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::{Checkpoint, CheckpointError, MAX_SIZE, WitnessPublic};
    use crate::chain::base64;
    use crate::chain::key::{KeyError, OriginKey, long_id};
    use crate::chain::note::{Note, NoteError};

    fn key() -> OriginKey {
        OriginKey::from_seed("host/recorder", &[1; 32]).unwrap()
    }

    struct Witness(SigningKey);

    impl Witness {
        fn public(&self) -> WitnessPublic {
            let key = self.0.verifying_key();
            let id = long_id("witness.example/w1", 4, &key);
            let bytes = base64::encode(&[&[4], key.as_bytes().as_slice()].concat());
            let digits: String = id[..4].iter().map(|byte| format!("{byte:02x}")).collect();
            WitnessPublic::parse(&format!("witness.example/w1+{digits}+{bytes}")).unwrap()
        }

        fn cosign(&self, text: &str, time: u64) -> String {
            let signature = self.0.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
            let id = long_id("witness.example/w1", 4, &self.0.verifying_key());
            let bytes = [&id[..4], &time.to_be_bytes(), &signature.to_bytes()].concat();
            format!("\u{2014} witness.example/w1 {}", base64::encode(&bytes))
        }
    }

    #[test]
    fn a_checkpoint_is_three_lines_and_a_signature() {
        let checkpoint = Checkpoint::sign(&key(), 20_852_163, [7; 32]).unwrap();
        let text = checkpoint.to_string();
        let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        assert!(
            text.starts_with(&format!("host/recorder\n20852163\n{root}\n\n\u{2014} host/recorder ")),
            "{text}"
        );
        let read = Checkpoint::parse(text.as_bytes()).unwrap();
        assert_eq!(read, checkpoint);
        assert_eq!((read.origin(), read.size(), read.root()), ("host/recorder", 20_852_163, &[7; 32]));
        assert_eq!(read.verify(key().public()), Ok(()));
        let other = OriginKey::from_seed("host/recorder", &[2; 32]).unwrap();
        assert_eq!(read.verify(other.public()), Err(NoteError::Unsigned.into()));
        let other = OriginKey::from_seed("other/recorder", &[1; 32]).unwrap();
        assert_eq!(read.verify(other.public()), Err(CheckpointError::Origin));
        assert_eq!(Checkpoint::sign(&key(), MAX_SIZE + 1, [7; 32]), Err(CheckpointError::Shape));
    }

    #[test]
    fn refuses_what_is_no_checkpoint() {
        let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let signed = |text: String| Note::sign(text, &key()).unwrap().to_string();
        for good in [
            format!("o\n0\n{root}\n"),
            format!("o\n1\n{root}\nmore\nlines\n"),
            format!("o o\n{MAX_SIZE}\n{root}\n"),
        ] {
            assert!(Checkpoint::parse(signed(good).as_bytes()).is_ok());
        }
        for bad in [
            "o\n1\n".to_owned(),
            format!("\n1\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n 1\n{root}\n"),
            format!("o\n{}\n{root}\n", MAX_SIZE + 1),
            format!("o\n99999999999999999999\n{root}\n"),
            format!("o\n1\n{}\n", &root[4..]),
            format!("o\n1\n{}\n", root.trim_end_matches('=')),
            format!("o\n1\n{root} \n"),
            format!("o\n1\n{root}\n\nmore\n"),
            format!("o\n1\n{root}\n\n"),
        ] {
            assert_eq!(
                Checkpoint::parse(signed(bad.clone()).as_bytes()),
                Err(CheckpointError::Shape),
                "{bad:?}"
            );
        }
        assert_eq!(Checkpoint::parse(b"o\n"), Err(NoteError::Shape.into()));
    }

    #[test]
    fn a_cosignature_holds_for_its_witness_time_and_text_only() {
        let witness = Witness(SigningKey::from_bytes(&[3; 32]));
        let public = witness.public();
        assert_eq!(WitnessPublic::parse(&public.to_string()).as_ref(), Ok(&public));
        assert_eq!(WitnessPublic::parse(&key().public().to_string()), Err(KeyError::Algorithm));
        let mut checkpoint = Checkpoint::sign(&key(), 5, [7; 32]).unwrap();
        assert_eq!(checkpoint.cosigned_by(&public), Ok(None));
        let text = checkpoint.note.text().to_owned();
        checkpoint.add(&witness.cosign(&text, 1_679_315_147)).unwrap();
        let read = Checkpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
        assert_eq!(read.verify(key().public()), Ok(()));
        assert_eq!(read.cosigned_by(&public), Ok(Some(1_679_315_147)));
        let other = Witness(SigningKey::from_bytes(&[4; 32])).public();
        assert_eq!(read.cosigned_by(&other), Ok(None));
        for (line, why) in [
            (witness.cosign("host/recorder\n6\n", 1), NoteError::Signature.into()),
            (witness.cosign(&text, 1 << 63), CheckpointError::Time),
            // A time that was changed afterwards.
            (witness.cosign(&text, 1).replace("AAAAAAAAAB", "AAAAAAAAAC"), NoteError::Signature.into()),
            // A plain signature line without a time, as one implementation answers.
            (
                {
                    let id = long_id("witness.example/w1", 4, &witness.0.verifying_key());
                    let plain = [&id[..4], &witness.0.sign(text.as_bytes()).to_bytes()].concat();
                    format!("\u{2014} witness.example/w1 {}", base64::encode(&plain))
                },
                NoteError::Signature.into(),
            ),
        ] {
            let mut forged = Checkpoint::sign(&key(), 5, [7; 32]).unwrap();
            forged.add(&line).unwrap();
            assert_eq!(forged.cosigned_by(&public), Err(why), "{line}");
        }
        let mut twice = read;
        twice.add(&witness.cosign(&text, 1_679_315_148)).unwrap();
        assert_eq!(twice.cosigned_by(&public), Err(NoteError::Doubled.into()));
    }
}
