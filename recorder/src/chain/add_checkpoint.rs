//! What a log asks of a witness (C2SP tlog-witness, `add-checkpoint`): the text, not the way it is sent.

use std::fmt;

use super::checkpoint::{Checkpoint, CheckpointError, decimal, hash};
use super::note::MAX_NOTE;
use super::{Hash, base64};

/// Most lines of a consistency proof.
pub const MAX_PROOF: usize = 63;
/// Longest request that is read.
pub const MAX_REQUEST: usize = 32 + MAX_PROOF * 45 + MAX_NOTE;

/// Why a text is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than a request can be.
    #[error("longer than {MAX_REQUEST} bytes")]
    Long,
    /// Not the lines that the specification has.
    #[error("{0}")]
    Shape(&'static str),
    /// Not a checkpoint behind the empty line.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

/// Asks to cosign a checkpoint, and shows that the tree only grew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the tree that the witness cosigned last.
    pub old: u64,
    /// From that tree to the one of the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint; nothing of it is checked yet.
    pub checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// When the bytes are anything else than one whole request.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let shape = RequestError::Shape;
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::Long);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| shape("it is not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(shape("it has no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or(shape("its first line is not `old <size>`"))?;
        let proof: Option<Vec<Hash>> = lines.take(MAX_PROOF + 1).map(hash).collect();
        let proof = proof.ok_or(shape("a line of the proof is not a hash"))?;
        if proof.len() > MAX_PROOF {
            return Err(shape("the proof has more than 63 lines"));
        }
        Ok(Self { old, proof, checkpoint: Checkpoint::parse(checkpoint.as_bytes())? })
    }
}

/// The text that is sent.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(formatter, "{}", base64::encode(hash))?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::{AddCheckpoint, MAX_PROOF, MAX_REQUEST, RequestError};
    use crate::chain::checkpoint::Checkpoint;
    use crate::chain::key::OriginKey;

    fn request(hashes: usize) -> AddCheckpoint {
        let key = OriginKey::from_seed("host/recorder", &[1; 32]).unwrap();
        let checkpoint = Checkpoint::sign(&key, 100, [7; 32]).unwrap();
        AddCheckpoint { old: 42, proof: vec![[9; 32]; hashes], checkpoint }
    }

    #[test]
    fn is_the_text_of_the_specification() {
        for hashes in [0, 1, MAX_PROOF] {
            let text = request(hashes).to_string();
            assert!(text.starts_with("old 42\n"), "{text}");
            assert_eq!(text.lines().nth(hashes + 1), Some(""));
            assert_eq!(AddCheckpoint::parse(text.as_bytes()), Ok(request(hashes)));
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        let good = request(2).to_string();
        for bad in [
            String::new(),
            good.replace("old 42", "old 042"),
            good.replace("old 42", "old -1"),
            good.replace("old 42", "new 42"),
            good.replace("old 42\n", "old 42\n\n"),
            good.replace("CQkJ", "CQk"),
            good.replacen("\n\n", "\n", 1),
            good.replace('\n', "\r\n"),
            request(MAX_PROOF + 1).to_string(),
            format!("{good}more\n"),
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(AddCheckpoint::parse(&vec![b' '; MAX_REQUEST + 1]), Err(RequestError::Long));
        assert!(AddCheckpoint::parse(b"\xff").is_err());
    }
}
