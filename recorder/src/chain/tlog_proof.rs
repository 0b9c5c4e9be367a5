//! Offline proofs (C2SP tlog-proof): a leaf is at a place of the tree that a checkpoint signs. What the leaf is, and what
//! the opaque extra bytes mean, is not decided here.

use std::fmt;

use super::Hash;
use super::base64;
use super::checkpoint::{Checkpoint, CheckpointError, decimal, hash};
use super::key::OriginPublic;
use super::note::MAX_NOTE;
use super::proof::{MAX_HASHES, ProofError, check_inclusion};

/// Most extra bytes that are read: the longest event and what belongs to it.
pub const MAX_EXTRA: usize = (1 << 20) + (1 << 12);
/// Longest proof that is read.
pub const MAX_PROOF: usize = MAX_EXTRA.div_ceil(3) * 4 + MAX_HASHES * 45 + MAX_NOTE + 128;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Longer than a proof can be.
    #[error("longer than {MAX_PROOF} bytes")]
    Long,
    /// Not lines of text, one after the other as the specification has them.
    #[error("not a `{FIRST_LINE}` text: {0}")]
    Shape(&'static str),
    /// The checkpoint does not hold.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not hold.
    #[error("its path through the tree: {0}")]
    Path(#[from] ProofError),
}

/// A proof, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes for whoever knows what the leaf is; nothing vouches for them.
    pub extra: Vec<u8>,
    /// Position of the leaf.
    pub index: u64,
    /// Hashes from the leaf upwards.
    pub path: Vec<Hash>,
    /// What the path leads to.
    pub checkpoint: Checkpoint,
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// When the bytes are anything else than one whole proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_PROOF {
            return Err(TlogProofError::Long);
        }
        let shape = TlogProofError::Shape;
        let text = std::str::from_utf8(bytes).map_err(|_| shape("it is not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(shape("it has no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(shape("it begins otherwise"));
        }
        let encoded = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.get(6..));
        let extra =
            encoded.map_or(Some(Vec::new()), base64::decode).ok_or(shape("the extra is not base64"))?;
        if encoded.is_some_and(str::is_empty) || extra.len() > MAX_EXTRA {
            return Err(shape("the extra is empty or too long"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(shape("it has no index"))?;
        let path: Option<Vec<Hash>> = lines.take(MAX_HASHES + 1).map(hash).collect();
        let path = path.ok_or(shape("a line of the path is not a hash"))?;
        if path.len() > MAX_HASHES {
            return Err(shape("the path is too long"));
        }
        Ok(Self { extra, index, path, checkpoint: Checkpoint::parse(checkpoint.as_bytes())? })
    }

    /// Checks that the origin signed a tree that has a leaf with that hash at this place.
    ///
    /// # Errors
    /// When it didn't.
    pub fn verify(&self, leaf: &Hash, key: &OriginPublic) -> Result<(), TlogProofError> {
        self.checkpoint.verify(key)?;
        let tree = (self.checkpoint.size(), self.checkpoint.root());
        Ok(check_inclusion(leaf, self.index, tree, &self.path)?)
    }
}

/// The text of the proof.
impl fmt::Display for TlogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{FIRST_LINE}")?;
        if !self.extra.is_empty() {
            writeln!(formatter, "extra {}", base64::encode(&self.extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(formatter, "{}", base64::encode(hash))?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::{TlogProof, TlogProofError};
    use crate::chain::checkpoint::{Checkpoint, CheckpointError};
    use crate::chain::key::OriginKey;
    use crate::chain::note::NoteError;
    use crate::chain::proof::tests::Leaves;
    use crate::chain::proof::{MAX_HASHES, ProofError, inclusion};

    fn key(seed: u8) -> OriginKey {
        OriginKey::from_seed("host/recorder", &[seed; 32]).unwrap()
    }

    fn proof(extra: &[u8]) -> TlogProof {
        let leaves = Leaves::counted(100);
        let checkpoint = Checkpoint::sign(&key(1), 100, leaves.root(100)).unwrap();
        TlogProof { extra: extra.to_vec(), index: 42, path: inclusion(&leaves, 42, 100).unwrap(), checkpoint }
    }

    #[test]
    fn is_the_text_of_the_specification() {
        let text = proof(b"more").to_string();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra bW9yZQ==", "index 42"]);
        assert_eq!((lines[10], lines[11], lines[12]), ("", "host/recorder", "100"));
        assert!(!proof(b"").to_string().contains("extra"));
        for proof in [proof(b"more"), proof(b"")] {
            assert_eq!(TlogProof::parse(proof.to_string().as_bytes()), Ok(proof));
        }
    }

    #[test]
    fn holds_for_its_leaf_place_and_key_only() {
        let leaves = Leaves::counted(100);
        let good = proof(b"");
        assert_eq!(good.verify(&leaves.0[42], key(1).public()), Ok(()));
        assert_eq!(good.verify(&leaves.0[41], key(1).public()), Err(ProofError::Root.into()));
        let unsigned = TlogProofError::Checkpoint(CheckpointError::Note(NoteError::Unsigned));
        assert_eq!(good.verify(&leaves.0[42], key(2).public()), Err(unsigned));
        let moved = TlogProof { index: 43, ..good.clone() };
        assert_eq!(moved.verify(&leaves.0[42], key(1).public()), Err(ProofError::Root.into()));
        let beyond = TlogProof { index: 100, ..good.clone() };
        assert!(matches!(
            beyond.verify(&leaves.0[42], key(1).public()),
            Err(TlogProofError::Path(ProofError::Range { .. }))
        ));
        let shorter = TlogProof { path: good.path[1..].to_vec(), ..good };
        assert_eq!(shorter.verify(&leaves.0[42], key(1).public()), Err(ProofError::Length.into()));
    }

    #[test]
    fn refuses_what_is_no_proof() {
        let good = proof(b"more").to_string();
        let hash = good.lines().nth(3).unwrap();
        for (bad, part) in [
            (good.replace("@v1", "@v2"), "begins otherwise"),
            (format!(" {good}"), "begins otherwise"),
            (good.replace("extra bW9yZQ==", "extra "), "empty or too long"),
            (good.replace("bW9yZQ==", "bW9yZQ"), "not base64"),
            (good.replace("extra bW9yZQ==", "extra bW9yZQ==\nextra bW9yZQ=="), "no index"),
            (good.replace("index 42\n", ""), "no index"),
            (good.replace("index 42", "index 042"), "no index"),
            (good.replace("index 42", "index -1"), "no index"),
            (good.replace("index 42", "index 42 "), "no index"),
            (good.replace(hash, &hash[4..]), "not a hash"),
            (good.replace(hash, &format!("{hash} ")), "not a hash"),
            (good.replace(hash, &[hash; MAX_HASHES].join("\n")), "too long"),
            (good.replace('\n', "\r\n"), "no blank line"),
            (good.replace("\n\n", "\n"), "no blank line"),
            (good.replacen("\n\n", "\n\n\n", 1), "its checkpoint"),
            (format!("{good}more\n"), "its checkpoint"),
        ] {
            let error = TlogProof::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}: {bad}");
        }
        assert_eq!(TlogProof::parse(b"\xff"), Err(TlogProofError::Shape("it is not UTF-8")));
        assert_eq!(TlogProof::parse(&vec![b' '; super::MAX_PROOF + 1]), Err(TlogProofError::Long));
    }
}
