//! Whether a witness may cosign: from a request and what is known of its log to an answer. No clock, no file, no socket.

use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::checkpoint::{Checkpoint, CheckpointError};
use crate::chain::key::OriginPublic;
use crate::chain::proof::{ProofError, check_consistency};
use crate::chain::{Hash, sha256};

/// Why a checkpoint is not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key that is known for the log did not sign it.
    #[error("not signed by the key that is known for this log: {0}")]
    NotSigned(CheckpointError),
    /// It asks to go back.
    #[error("the old size is larger than that of the checkpoint")]
    Backwards,
    /// The log and the witness do not mean the same old tree.
    #[error("the newest checkpoint known here is over {known} frames")]
    Conflict {
        /// Size of the tree that was cosigned last.
        known: u64,
    },
    /// The log signed it, and it does not continue what was cosigned.
    #[error("it does not continue the checkpoint over {known} frames: {why}")]
    Inconsistent {
        /// Size of the tree that was cosigned last.
        known: u64,
        /// Why not.
        why: ProofError,
    },
}

/// Decides about a request of the log of `key`, of which `known` was cosigned last.
///
/// # Errors
/// With the reason not to cosign.
pub fn decide(
    request: &AddCheckpoint,
    key: &OriginPublic,
    known: Option<&Checkpoint>,
) -> Result<(), Refusal> {
    let asked = &request.checkpoint;
    asked.verify(key).map_err(Refusal::NotSigned)?;
    if request.old > asked.size() {
        return Err(Refusal::Backwards);
    }
    let empty: Hash = sha256(b"");
    let (known, root) = known.map_or((0, &empty), |known| (known.size(), known.root()));
    if request.old != known {
        return Err(Refusal::Conflict { known });
    }
    check_consistency((known, root), (asked.size(), asked.root()), &request.proof)
        .map_err(|why| Refusal::Inconsistent { known, why })
}

#[cfg(test)]
mod tests {
    use super::{Refusal, decide};
    use crate::chain::Hash;
    use crate::chain::add_checkpoint::AddCheckpoint;
    use crate::chain::checkpoint::Checkpoint;
    use crate::chain::key::OriginKey;
    use crate::chain::proof::{ProofError, consistency, root};
    use crate::chain::tree::leaf_hash;

    fn key(seed: u8) -> OriginKey {
        OriginKey::from_seed("host/recorder", &[seed; 32]).unwrap()
    }

    fn leaves(count: u64, salt: u8) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&[number.to_be_bytes().as_slice(), &[salt]].concat())).collect()
    }

    fn checkpoint(leaves: &Vec<Hash>, size: u64) -> Checkpoint {
        Checkpoint::sign(&key(1), size, root(leaves, size).unwrap()).unwrap()
    }

    fn request(leaves: &Vec<Hash>, old: u64, size: u64) -> AddCheckpoint {
        AddCheckpoint {
            old,
            proof: consistency(leaves, old.min(size), size).unwrap(),
            checkpoint: checkpoint(leaves, size),
        }
    }

    #[test]
    fn every_row_of_the_matrix_has_its_answer() {
        let (tree, fork) = (leaves(1500, 0), leaves(1500, 1));
        let known = checkpoint(&tree, 1000);
        let key = key(1);
        let ask = |request: &AddCheckpoint, known| decide(request, key.public(), known);
        assert_eq!(ask(&request(&tree, 0, 1000), None), Ok(()));
        assert_eq!(ask(&request(&tree, 0, 0), None), Ok(()));
        assert_eq!(ask(&request(&tree, 1000, 1500), Some(&known)), Ok(()));
        assert_eq!(ask(&request(&tree, 1000, 1000), Some(&known)), Ok(()), "again: a sign of life");
        let inconsistent = |why| Err(Refusal::Inconsistent { known: 1000, why });
        assert_eq!(ask(&request(&fork, 1000, 1000), Some(&known)), inconsistent(ProofError::OldRoot));
        assert_eq!(ask(&request(&fork, 1000, 1500), Some(&known)), inconsistent(ProofError::OldRoot));
        let cut = AddCheckpoint { proof: Vec::new(), ..request(&tree, 1000, 1500) };
        assert_eq!(ask(&cut, Some(&known)), inconsistent(ProofError::Length));
        for (old, size) in [(0, 1500), (999, 1500), (900, 900), (1001, 1500)] {
            let refused = ask(&request(&tree, old, size), Some(&known));
            assert_eq!(refused, Err(Refusal::Conflict { known: 1000 }), "{old} {size}");
        }
        assert_eq!(ask(&request(&tree, 5, 1000), None), Err(Refusal::Conflict { known: 0 }));
        assert_eq!(ask(&request(&tree, 1000, 900), Some(&known)), Err(Refusal::Backwards));
        let padded = AddCheckpoint { proof: vec![[0; 32]], ..request(&tree, 0, 1000) };
        let refused = ask(&padded, None);
        assert_eq!(refused, Err(Refusal::Inconsistent { known: 0, why: ProofError::Length }));
    }

    #[test]
    fn another_key_gets_nothing() {
        let tree = leaves(10, 0);
        let refused = decide(&request(&tree, 0, 10), key(2).public(), None);
        assert!(matches!(refused, Err(Refusal::NotSigned(_))), "{refused:?}");
    }
}
