//! The Merkle tree of RFC 6962, as far as a writer needs it: leaf hashes in, root out, memory for one path.

use sha2::{Digest as _, Sha256};

use super::Hash;

/// Hash of a leaf: `SHA-256(0x00 || data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// Hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The right edge of a growing tree: the roots of its complete subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// Takes up a tree of `size` leaves; `None` when the number of nodes does not belong to that size.
    #[must_use]
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut pending = self.size;
        while pending & 1 == 1 {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
            pending >>= 1;
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, the largest first; one for each bit of the size that is set.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Root of the tree; SHA-256 of nothing when it has no leaf.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return super::sha256(b"") };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Forgets all leaves and keeps the memory.
    pub fn clear(&mut self) {
        self.size = 0;
        self.nodes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Frontier, leaf_hash, node_hash};
    use crate::chain::{Hash, sha256};

    /// RFC 6962 section 2.1 word for word: split at the largest power of two below n.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let split = 1 << (leaves.len() - 1).ilog2();
                node_hash(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn agrees_with_the_published_test_vectors() {
        // Certificate Transparency's own reference vectors (eight leaves).
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = Frontier::new();
        assert_eq!(hex(&tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for input in inputs {
            tree.push(leaf_hash(input));
        }
        assert_eq!(hex(&tree.root()), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn agrees_with_the_definition_at_every_size() {
        let leaves: Vec<Hash> = (0..70u8).map(|byte| leaf_hash(&[byte])).collect();
        let mut tree = Frontier::new();
        for size in 0..=leaves.len() {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "size {size}");
            let again = Frontier::from_parts(tree.size(), tree.nodes().to_vec());
            assert_eq!(again.as_ref(), Some(&tree));
            if let Some(leaf) = leaves.get(size) {
                tree.push(*leaf);
            }
        }
        assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
    }
}
