//! Signed notes (C2SP signed-note): a text and who signed it, as text. Strict: one note for each byte string.

use std::fmt;

use super::base64;
use super::key::{Domain, OriginKey, OriginPublic, is_key_name};

/// Longest note that is read: room for sixteen post-quantum signatures, which a verifier must accept.
pub const MAX_NOTE: usize = 128 << 10;
/// Most signatures of a note.
pub const MAX_SIGNATURES: usize = 64;

/// What a signature line begins with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why a note was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than a note can be.
    #[error("longer than {MAX_NOTE} bytes")]
    Long,
    /// Not UTF-8, or with control characters.
    #[error("not plain UTF-8 text")]
    Text,
    /// No text, blank line and signatures.
    #[error("not a text, a blank line and signature lines")]
    Shape,
    /// A line that is not `— <name> <base64>`.
    #[error("a signature line is not of the form `\u{2014} <name> <base64>`")]
    SignatureLine,
    /// Too many signatures.
    #[error("more than {MAX_SIGNATURES} signatures")]
    Signatures,
    /// Nobody trusted signed it.
    #[error("no signature by the key")]
    Unsigned,
    /// Two signatures by the same key.
    #[error("two signatures by the key")]
    Doubled,
    /// The trusted key's signature is wrong.
    #[error("the signature by the key does not hold")]
    Signature,
}

/// A text with signatures, none of them checked yet: nothing in it may be believed before [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// When the bytes are anything else than one whole note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::Long);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        if !is_plain(whole) {
            return Err(NoteError::Text);
        }
        let end = whole.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, lines) = whole.split_at_checked(end + 1).ok_or(NoteError::Shape)?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.filter(|lines| !lines.is_empty()).ok_or(NoteError::Shape)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Signs a text.
    ///
    /// # Errors
    /// When notes can't have that text: it must end with a newline and have no other control characters.
    pub fn sign(text: String, key: &OriginKey) -> Result<Self, NoteError> {
        if !is_plain(&text) {
            return Err(NoteError::Text);
        }
        if !text.ends_with('\n') {
            return Err(NoteError::Shape);
        }
        let bytes = key.sign(Domain::Note, text.as_bytes()).to_vec();
        let public = key.public();
        let signature = NoteSignature { name: public.name().to_owned(), id: public.id_number(), bytes };
        Ok(Self { text, signatures: vec![signature] })
    }

    /// The text with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Number of its signature lines.
    pub(super) const fn signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// Checks that `key` signed the text. Signatures by other keys say nothing and are passed over.
    ///
    /// # Errors
    /// When there is no signature by that key, more than one, or a wrong one.
    pub fn verify(&self, key: &OriginPublic) -> Result<(), NoteError> {
        let bytes = self.signature(key.name(), key.id_number())?;
        let signature = bytes.try_into().map_err(|_| NoteError::Signature)?;
        let holds = key.verifies(Domain::Note, self.text.as_bytes(), signature);
        if holds { Ok(()) } else { Err(NoteError::Signature) }
    }

    /// Adds a signature line of somebody else, such as a witness answers with (without its newline).
    ///
    /// # Errors
    /// When it is no signature line, or the note has no room for it.
    pub fn add(&mut self, line: &str) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        self.signatures.push(NoteSignature::parse(line)?);
        Ok(())
    }

    /// The same text with the signatures of one key only.
    pub(super) fn only(&self, key: &OriginPublic) -> Self {
        let of_key = |line: &&NoteSignature| line.name == key.name() && line.id == key.id_number();
        Self { text: self.text.clone(), signatures: self.signatures.iter().filter(of_key).cloned().collect() }
    }

    /// The bytes of the one signature by the key of that name and id.
    pub(super) fn signature(&self, name: &str, id: u32) -> Result<&[u8], NoteError> {
        let mut found = self.signatures.iter().filter(|line| line.name == name && line.id == id);
        let signature = found.next().ok_or(NoteError::Unsigned)?;
        if found.next().is_some() { Err(NoteError::Doubled) } else { Ok(&signature.bytes) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        for NoteSignature { name, id, bytes } in &self.signatures {
            let signature = base64::encode(&[&id.to_be_bytes(), bytes.as_slice()].concat());
            writeln!(formatter, "{SIGNATURE_PREFIX}{name} {signature}")?;
        }
        Ok(())
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or(NoteError::SignatureLine)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
        let decoded = base64::decode(encoded).ok_or(NoteError::SignatureLine)?;
        match decoded.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() && is_key_name(name) => {
                Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
            }
            _ => Err(NoteError::SignatureLine),
        }
    }
}

/// Newlines are the only control characters of a note.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError};
    use crate::chain::key::{OriginKey, OriginPublic};

    /// The example of the C2SP page.
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const EXAMPLE: &str = "This is an example message.\n\n\
        \u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    /// That of Go's package `note`.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_EXAMPLE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key(seed: u8) -> OriginKey {
        OriginKey::from_seed("host/recorder", &[seed; 32]).unwrap()
    }

    #[test]
    fn published_examples_hold() {
        for (key, example) in [(KEY, EXAMPLE), (GO_KEY, GO_EXAMPLE)] {
            let note = Note::parse(example.as_bytes()).unwrap();
            assert_eq!(note.to_string(), example);
            assert_eq!(note.verify(&OriginPublic::parse(key).unwrap()), Ok(()));
            let changed = Note::parse(example.replacen("ou", "uo", 1).replacen("ex", "xe", 1).as_bytes());
            assert_eq!(
                changed.unwrap().verify(&OriginPublic::parse(key).unwrap()),
                Err(NoteError::Signature)
            );
        }
    }

    #[test]
    fn other_signatures_are_passed_over_and_doubled_ones_are_refused() {
        let text = "line\n\nanother\n".to_owned();
        let ours = Note::sign(text.clone(), &key(1)).unwrap();
        let line = ours.to_string().lines().last().unwrap().to_owned();
        let theirs = Note::sign(text, &key(2)).unwrap().to_string().lines().last().unwrap().to_owned();
        let mut both = Note::parse(ours.to_string().as_bytes()).unwrap();
        both.add(&theirs).unwrap();
        // Nobody knows what this one is, nor needs to.
        both.add("\u{2014} host/recorder AAAAAAE=").unwrap();
        assert_eq!(Note::parse(both.to_string().as_bytes()), Ok(both.clone()));
        assert_eq!(both.verify(key(1).public()), Ok(()));
        assert_eq!(both.verify(key(2).public()), Ok(()));
        assert_eq!(both.verify(key(3).public()), Err(NoteError::Unsigned));
        both.add(&line).unwrap();
        assert_eq!(both.verify(key(1).public()), Err(NoteError::Doubled));
    }

    #[test]
    fn refuses_what_is_no_note() {
        let line = EXAMPLE.lines().last().unwrap();
        for (bad, why) in [
            (String::new(), NoteError::Shape),
            ("text\n".to_owned(), NoteError::Shape),
            ("text\n\n".to_owned(), NoteError::Shape),
            (format!("{line}\n"), NoteError::Shape),
            (EXAMPLE.trim_end().to_owned(), NoteError::Shape),
            (format!("{EXAMPLE}\n"), NoteError::Shape),
            (format!("{EXAMPLE}junk\n"), NoteError::SignatureLine),
            (EXAMPLE.replace('\u{2014}', "-"), NoteError::SignatureLine),
            (EXAMPLE.replace("\u{2014} ", "\u{2014}\u{a0}"), NoteError::SignatureLine),
            (EXAMPLE.replace("com/foo ", "com/foo  "), NoteError::SignatureLine),
            (EXAMPLE.replace("com/foo", "com+foo"), NoteError::SignatureLine),
            (EXAMPLE.replace("example.com/foo", ""), NoteError::SignatureLine),
            (EXAMPLE.replace("com/foo", "com\u{2003}foo"), NoteError::SignatureLine),
            (EXAMPLE.replace("aQM=", "aQM"), NoteError::SignatureLine),
            (EXAMPLE.replace("aQM=", "aQN="), NoteError::SignatureLine),
            ("text\n\n\u{2014} name AAAAAA==\n".to_owned(), NoteError::SignatureLine),
            (EXAMPLE.replace('\n', "\r\n"), NoteError::Text),
            (EXAMPLE.replace("an ", "an\t"), NoteError::Text),
            (format!("text\n\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1)), NoteError::Signatures),
            (" ".repeat(MAX_NOTE + 1), NoteError::Long),
        ] {
            assert_eq!(Note::parse(bad.as_bytes()), Err(why), "{bad:?}");
        }
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::Text));
        assert_eq!(Note::sign("no end".to_owned(), &key(1)), Err(NoteError::Shape));
        assert_eq!(Note::sign("krec/frame/v1\0\n".to_owned(), &key(1)), Err(NoteError::Text));
    }
}
