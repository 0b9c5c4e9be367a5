//! The hashes of the outer tree as a store has them: out of full tiles, and out of frame headers where there is no tile.
//!
//! Nothing here is checked against a signature: whoever asks compares the root.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::StoreError;
use super::directory::Directory;
use super::reader::SegmentReader;
use super::tiles::Tiles;
use crate::chain::Hash;
use crate::chain::proof::HashSource;
use crate::chain::tile::{Tile, TileId};
use crate::chain::tree::node_hash;

/// Hash that the tree has in place of a leaf that was lost: see `docs/format.md`, "After a crash".
const LOST_LEAF: Hash = [0; 32];

/// A store's tree. What was read stays in memory: 32 bytes a frame of each segment that was needed.
#[derive(Debug)]
pub struct TreeHashes {
    directory: Directory,
    tiles: Option<Tiles>,
    read: RefCell<Read>,
}

#[derive(Debug, Default)]
struct Read {
    tiles: HashMap<TileId, Option<Tile>>,
    segments: HashSet<usize>,
    leaves: HashMap<u64, Hash>,
}

impl TreeHashes {
    /// Prepares to read the tree of the store at `path`; frames that come later are not in it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn open(store: &Path) -> Result<Self, StoreError> {
        let directory = Directory::open(store)?;
        Ok(Self { directory, tiles: Some(Tiles::of(store)), read: RefCell::default() })
    }

    /// The same without the tiles: from the frames only.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn without_tiles(store: &Path) -> Result<Self, StoreError> {
        Ok(Self { tiles: None, ..Self::open(store)? })
    }

    /// Hash of a subtree out of its tile; `None` when there is no such tile.
    fn in_tile(&self, level: u32, index: u64) -> Option<Hash> {
        let tiles = self.tiles.as_ref()?;
        let id = TileId::holding(level, index);
        let mut read = self.read.borrow_mut();
        // A tile that can't be read is as good as none: the frames give it.
        let tile = read.tiles.entry(id).or_insert_with(|| tiles.read(id).ok().flatten());
        tile.as_ref()?.subtree(level, index)
    }

    fn leaf(&self, frame_no: u64) -> Result<Hash, StoreError> {
        let mut read = self.read.borrow_mut();
        if let Some(leaf) = read.leaves.get(&frame_no) {
            return Ok(*leaf);
        }
        let segments = self.directory.segments();
        let next = segments.partition_point(|segment| segment.first_frame <= frame_no);
        // The segment after it knows the last leaf before it, should that be damaged.
        for place in [next.checked_sub(1), Some(next)].into_iter().flatten() {
            if let Some(segment) = segments.get(place).filter(|_| read.segments.insert(place)) {
                read_leaves(&segment.path, &mut read.leaves)?;
            }
        }
        Ok(*read.leaves.entry(frame_no).or_insert(LOST_LEAF))
    }
}

impl HashSource for TreeHashes {
    type Error = StoreError;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, StoreError> {
        if let Some(hash) = self.in_tile(level, index) {
            return Ok(hash);
        }
        let Some(below) = level.checked_sub(1) else { return self.leaf(index) };
        let left = index << 1;
        Ok(node_hash(&self.subtree(below, left)?, &self.subtree(below, left | 1)?))
    }
}

/// Adds the leaf hashes of the frames of a segment, read on behind damage, and what they say of the frame before each.
fn read_leaves(path: &Path, leaves: &mut HashMap<u64, Hash>) -> Result<(), StoreError> {
    let mut reader = match SegmentReader::open(path) {
        Ok(Some(reader)) => reader,
        Ok(None) | Err(StoreError::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let first = reader.header().first_frame;
    // Behind a segment without frames the link is that segment's own, which is no leaf.
    let before = reader.header().previous.filter(|previous| previous.first_frame < first);
    if let Some(last) = first.checked_sub(1).filter(|_| before.is_some()) {
        leaves.entry(last).or_insert(reader.header().prev_link);
    }
    loop {
        match reader.next_header() {
            Ok(Some(frame)) => {
                let header = frame.header;
                leaves.insert(header.frame_no, header.leaf_hash());
                if let Some(last) = header.frame_no.checked_sub(1).filter(|last| *last >= first) {
                    leaves.entry(last).or_insert(header.prev_link);
                }
            }
            Ok(None) => return Ok(()),
            Err(StoreError::Damaged { .. }) => {
                if !reader.skip_damage()? {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}
