//! Proofs in the tree of RFC 6962: that a leaf is in it, and that it only grew. Made from the hashes of complete
//! subtrees, wherever those are kept; checked without them.

use super::tree::{Frontier, node_hash};
use super::{Hash, sha256};

/// Longest proof that anybody can need: a path through a tree of 2^63 leaves, and one node beside it.
pub const MAX_HASHES: usize = 64;

/// Knows the hashes of complete subtrees.
pub trait HashSource {
    /// Why a hash can't be had.
    type Error;

    /// Hash of the complete subtree over the leaves from `index * 2^level` to just before `(index + 1) * 2^level`;
    /// level 0 is the hash of a leaf.
    ///
    /// # Errors
    /// When it can't be had.
    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// All leaf hashes of a tree at hand.
impl HashSource for Vec<Hash> {
    type Error = ProofError;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, ProofError> {
        let beyond = ProofError::Range { place: index, size: self.len() as u64 };
        let width = 1u64.checked_shl(level).ok_or(beyond)?;
        let first = index.checked_mul(width).and_then(|first| usize::try_from(first).ok()).ok_or(beyond)?;
        let width = usize::try_from(width).map_err(|_| beyond)?;
        let leaves = self.get(first..).and_then(|leaves| leaves.get(..width)).ok_or(beyond)?;
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        Ok(tree.root())
    }
}

/// Why there is no proof, or why one does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A leaf or a tree that is not within the other tree.
    #[error("the tree of {size} leaves has no place {place}")]
    Range {
        /// The leaf, or the size of the smaller tree.
        place: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// More or fewer hashes than the sizes call for.
    #[error("the proof has too many or too few hashes")]
    Length,
    /// The hashes lead somewhere else.
    #[error("the proof does not lead to the root of the tree")]
    Root,
    /// The smaller tree is another one.
    #[error("the proof does not lead to the root of the smaller tree")]
    OldRoot,
}

/// A proof that can't be made: a wrong question, or the source's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeError<E> {
    /// The question makes no sense.
    Proof(ProofError),
    /// The source has no answer.
    Source(E),
}

impl<E> From<E> for MakeError<E> {
    fn from(error: E) -> Self {
        Self::Source(error)
    }
}

/// Root of the tree over the first `size` leaves.
///
/// # Errors
/// When the source has no answer.
pub fn root<S: HashSource>(source: &S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 { Ok(sha256(b"")) } else { range(source, 0, size) }
}

/// The hashes that lead from leaf `index` to the root of the tree over the first `size` leaves, from the leaf upwards.
///
/// # Errors
/// When there is no such leaf, or the source has no answer.
pub fn inclusion<S: HashSource>(source: &S, index: u64, size: u64) -> Result<Vec<Hash>, MakeError<S::Error>> {
    if index >= size {
        return Err(MakeError::Proof(ProofError::Range { place: index, size }));
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(range(source, middle, end)?);
            end = middle;
        } else {
            path.push(range(source, begin, middle)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show that the tree over the first `old` leaves is the beginning of that over the first `new`; none
/// are needed when the smaller one is empty or the same.
///
/// # Errors
/// When the older tree is the larger one, or the source has no answer.
pub fn consistency<S: HashSource>(source: &S, old: u64, new: u64) -> Result<Vec<Hash>, MakeError<S::Error>> {
    if old > new {
        return Err(MakeError::Proof(ProofError::Range { place: old, size: new }));
    }
    let mut path = Vec::new();
    if old == 0 {
        return Ok(path);
    }
    let (mut begin, mut end) = (0, new);
    while old < end {
        let middle = begin + split(end - begin);
        if old <= middle {
            path.push(range(source, middle, end)?);
            end = middle;
        } else {
            path.push(range(source, begin, middle)?);
            begin = middle;
        }
    }
    // The checker knows the old root itself; a smaller part of the old tree it must be told.
    if begin > 0 {
        path.push(range(source, begin, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that `leaf` is at `index` in the tree of `size` leaves with that root.
///
/// # Errors
/// When the path does not show that.
pub fn check_inclusion(
    leaf: &Hash,
    index: u64,
    (size, root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range { place: index, size });
    }
    let mut node = *leaf;
    let (mut place, mut last) = (index, size - 1);
    for beside in path {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            node = node_hash(beside, &node);
            climb(&mut place, &mut last);
        } else {
            node = node_hash(&node, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if node == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old.0` leaves with root `old.1` is the beginning of the tree of `new.0` leaves.
///
/// # Errors
/// When the path does not show that.
pub fn check_consistency(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return Err(ProofError::Range { place: old_size, size: new_size });
    }
    if old_size == 0 || old_size == new_size {
        let known = if old_size == new_size { *new_root } else { sha256(b"") };
        let fits = *old_root == known;
        return if !path.is_empty() {
            Err(ProofError::Length)
        } else if fits {
            Ok(())
        } else {
            Err(ProofError::OldRoot)
        };
    }
    // Complete subtrees of the old tree are left behind; where it is one itself, the path begins with its root.
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    let whole = place.trailing_ones();
    place >>= whole;
    last >>= whole;
    let (seed, rest) = if old_size.is_power_of_two() {
        (old_root, path)
    } else {
        path.split_first().ok_or(ProofError::Length)?
    };
    let (mut old_node, mut new_node) = (*seed, *seed);
    for beside in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            old_node = node_hash(beside, &old_node);
            new_node = node_hash(beside, &new_node);
            climb(&mut place, &mut last);
        } else {
            new_node = node_hash(&new_node, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_node != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new_node == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// Skips the levels at which a node at the right edge has nothing beside it.
const fn climb(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        *place >>= 1;
        *last >>= 1;
    }
}

/// Where a tree of `size` leaves, two at least, is split: at the largest power of two below its size.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Root over the leaves from `begin` to just before `end`, at least one. In every tree split as RFC 6962 says, `begin`
/// is a multiple of the largest power of two in such a range.
fn range<S: HashSource>(source: &S, begin: u64, end: u64) -> Result<Hash, S::Error> {
    let mut nodes = Vec::new();
    let mut from = begin;
    while from < end {
        let level = (end - from).ilog2();
        nodes.push(source.subtree(level, from >> level)?);
        from += 1 << level;
    }
    let right = nodes.pop();
    let root = right.map(|right| nodes.iter().rev().fold(right, |right, left| node_hash(left, &right)));
    Ok(root.unwrap_or_else(|| sha256(b"")))
}

#[cfg(test)]
pub(super) mod tests;
