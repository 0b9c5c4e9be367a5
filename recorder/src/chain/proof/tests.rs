//! Proofs agree with the definition of RFC 6962 at every size, with another implementation, and with nothing else.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;

use super::{
    HashSource, MAX_HASHES, MakeError, ProofError, check_consistency, check_inclusion, consistency,
    inclusion, root,
};
use crate::chain::tree::{Frontier, leaf_hash, node_hash};
use crate::chain::{Hash, sha256};

/// A tree in memory, hashed anew for each question.
pub struct Leaves(pub Vec<Hash>);

impl Leaves {
    /// The leaves `0`, `1`, ... as eight bytes each.
    pub fn counted(count: u64) -> Self {
        Self((0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect())
    }

    pub fn root(&self, size: u64) -> Hash {
        let mut tree = Frontier::new();
        self.0[..size as usize].iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    }
}

impl HashSource for Leaves {
    type Error = Infallible;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        let width = 1 << level;
        let first = index as usize * width;
        Ok(mth(&self.0[first..first + width]))
    }
}

fn largest_power_below(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

/// RFC 6962 section 2.1.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// RFC 6962 section 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if index < middle {
        [path(index, left), vec![mth(right)]].concat()
    } else {
        [path(index - middle, right), vec![mth(left)]].concat()
    }
}

/// RFC 6962 section 2.1.2.
fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if old <= middle {
        [subproof(old, left, whole), vec![mth(right)]].concat()
    } else {
        [subproof(old - middle, right, false), vec![mth(left)]].concat()
    }
}

/// What a forger might hand in instead of a proof.
fn mutations(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut mutated = vec![[proof, &[[7; 32]]].concat(), [&[[7; 32]], proof].concat()];
    for index in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[index][31] ^= 1;
        let mut shorter = proof.to_vec();
        shorter.remove(index);
        mutated.extend([flipped, shorter]);
    }
    mutated
}

#[test]
fn inclusion_agrees_with_the_definition_at_every_size_and_place() {
    let leaves = Leaves::counted(70);
    for size in 1..=70 {
        let whole = root(&leaves, size).unwrap();
        assert_eq!(whole, mth(&leaves.0[..size as usize]));
        for index in 0..size {
            let proof = inclusion(&leaves, index, size).unwrap();
            assert_eq!(proof, path(index as usize, &leaves.0[..size as usize]), "{index} of {size}");
            let leaf = &leaves.0[index as usize];
            assert_eq!(check_inclusion(leaf, index, (size, &whole), &proof), Ok(()));
            for wrong in 0..size {
                let other = check_inclusion(leaf, wrong, (size, &whole), &proof).is_ok();
                assert_eq!(other, wrong == index, "{index} as {wrong} of {size}");
            }
            for forged in mutations(&proof) {
                assert!(check_inclusion(leaf, index, (size, &whole), &forged).is_err());
            }
            assert!(check_inclusion(&[1; 32], index, (size, &whole), &proof).is_err());
        }
    }
}

#[test]
fn consistency_agrees_with_the_definition_at_every_pair_of_sizes() {
    let leaves = Leaves::counted(70);
    let roots: Vec<Hash> = (0..=70).map(|size| root(&leaves, size).unwrap()).collect();
    for new in 1..=70 {
        for old in 0..=new {
            let (o, n) = (old as usize, new as usize);
            let proof = consistency(&leaves, old, new).unwrap();
            let defined = if old == 0 { Vec::new() } else { subproof(o, &leaves.0[..n], true) };
            assert_eq!(proof, defined, "{old} to {new}");
            assert_eq!(
                check_consistency((old, &roots[o]), (new, &roots[n]), &proof),
                Ok(()),
                "{old} to {new}"
            );
            assert!(check_consistency((old, &[9; 32]), (new, &roots[n]), &proof).is_err());
            assert!(old == 0 || check_consistency((old, &roots[o]), (new, &[9; 32]), &proof).is_err());
            for forged in mutations(&proof) {
                assert!(check_consistency((old, &roots[o]), (new, &roots[n]), &forged).is_err());
            }
        }
    }
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let leaves = Leaves::counted(4);
    let beyond = ProofError::Range { place: 4, size: 4 };
    assert_eq!(inclusion(&leaves, 4, 4), Err(MakeError::Proof(beyond)));
    assert_eq!(consistency(&leaves, 5, 4), Err(MakeError::Proof(ProofError::Range { place: 5, size: 4 })));
    let empty = sha256(b"");
    assert_eq!(root(&leaves, 0), Ok(empty));
    assert_eq!(check_inclusion(&empty, 0, (0, &empty), &[]), Err(ProofError::Range { place: 0, size: 0 }));
    assert_eq!(check_consistency((0, &[1; 32]), (4, &[2; 32]), &[]), Err(ProofError::OldRoot));
    assert_eq!(check_consistency((4, &[1; 32]), (4, &[2; 32]), &[]), Err(ProofError::OldRoot));
    assert_eq!(
        check_consistency((5, &[1; 32]), (4, &[2; 32]), &[]),
        Err(ProofError::Range { place: 5, size: 4 })
    );
    // The largest sizes there are must not overflow anything.
    let long = [[3; 32]; MAX_HASHES];
    assert!(check_inclusion(&[0; 32], u64::MAX - 1, (u64::MAX, &empty), &long).is_err());
    assert!(check_consistency((u64::MAX - 1, &empty), (u64::MAX, &empty), &long).is_err());
    assert!(check_consistency((1 << 63, &empty), (u64::MAX, &empty), &long).is_err());
}

fn output(hash: &Hash) -> sha2::digest::Output<Sha256> {
    (*hash).into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_with_ct_merkle(size in 1..600u64, first in any::<prop::sample::Index>()) {
        let index = first.index(size as usize);
        let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..size).for_each(|number| oracle.push(number.to_be_bytes().to_vec()));
        let leaves = Leaves::counted(size);
        let whole = root(&leaves, size).unwrap();
        prop_assert_eq!(oracle.root().as_bytes().to_vec(), whole.to_vec());

        let ours = inclusion(&leaves, index as u64, size).unwrap();
        let theirs = oracle.prove_inclusion(index);
        prop_assert_eq!(theirs.as_bytes(), ours.concat());
        let digests: Vec<_> = ours.iter().map(output).collect();
        let there = RootHash::<Sha256>::new(output(&whole), size);
        let leaf = (index as u64).to_be_bytes().to_vec();
        there.verify_inclusion(&leaf, index as u64, &InclusionProof::from_digests(&digests)).unwrap();

        let old = index as u64 + 1;
        let ours = consistency(&leaves, old, size).unwrap();
        let theirs = oracle.prove_consistency((size - old) as usize);
        prop_assert_eq!(theirs.as_bytes(), ours.concat());
        let digests: Vec<_> = ours.iter().map(output).collect();
        let smaller = RootHash::<Sha256>::new(output(&leaves.root(old)), old);
        there.verify_consistency(&smaller, &ConsistencyProof::from_digests(&digests)).unwrap();
    }
}
