//! Full tiles of the outer tree as files: read, listed, written as frames come, made anew where they are missing.
//!
//! Partial tiles are not stored: they follow from the frames of the segments (`tree_hashes`).

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::fixed::is_immutable;
use super::frames::open_segment;
use super::medium::Medium;
use super::tree_hashes::TreeHashes;
use super::writer::Immutable;
use crate::chain::Hash;
use crate::chain::proof::{HashSource as _, root};
use crate::chain::tile::{BYTES, HEIGHT, Tile, TileBuilder, TileId, derive};
use crate::chain::tree::Frontier;

/// Folder of the tiles, inside the store.
pub const TILE_DIRECTORY: &str = "tile";
/// Folders in one another below it: a level, and seven for the longest number.
const MAX_DEPTH: usize = 9;

/// The full tiles of a store, for readers.
#[derive(Clone, Debug)]
pub struct Tiles {
    store: PathBuf,
}

/// What is in the folder of the tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files that are named like full tiles, in order.
    pub tiles: Vec<TileId>,
    /// Everything else but folders, by its path in the store.
    pub others: Vec<PathBuf>,
}

impl Tiles {
    /// The tiles of the store at `path`, which may have none.
    #[must_use]
    pub fn of(store: &Path) -> Self {
        Self { store: store.to_owned() }
    }

    /// Reads a full tile; `None` when there is none. Whether its hashes are right is not known here.
    ///
    /// # Errors
    /// When it can't be read, or has not the length of a full tile: a crash can leave that for a while, and so does a
    /// recorder at work for a moment.
    pub fn read(&self, tile: TileId) -> Result<Option<Tile>, StoreError> {
        let Some(bytes) = self.bytes(tile)? else { return Ok(None) };
        let what = format!("a full tile has {BYTES} bytes, this file has {} or more", bytes.len());
        Tile::from_bytes(tile.level(), tile.index(), bytes)
            .map(Some)
            .ok_or(StoreError::Unusable { path: self.path(tile), what })
    }

    /// Reads what is there of a full tile, at most a byte more than one has; `None` when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn bytes(&self, tile: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(file) = self.open(tile)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(BYTES + 1);
        let read = file.take(BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(StoreError::io(&self.path(tile), "reading a tile"))?;
        Ok(Some(bytes))
    }

    /// Names of all files in the folder of the tiles; nothing when there is no such folder.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        self.list_into(Path::new(TILE_DIRECTORY), MAX_DEPTH, &mut listing)?;
        listing.tiles.sort();
        listing.others.sort();
        Ok(listing)
    }

    fn list_into(&self, folder: &Path, depth: usize, listing: &mut Listing) -> Result<(), StoreError> {
        let path = self.store.join(folder);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(StoreError::io(&path, "reading the tiles"))?,
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io(&path, "reading the tiles"))?;
            let name = folder.join(entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match name.to_str().and_then(TileId::parse).filter(|tile| tile.is_full() && !is_folder) {
                Some(tile) => listing.tiles.push(tile),
                None if is_folder && depth > 0 => self.list_into(&name, depth - 1, listing)?,
                None => listing.others.push(name),
            }
        }
        Ok(())
    }

    fn path(&self, tile: TileId) -> PathBuf {
        self.store.join(tile.path())
    }

    fn open(&self, tile: TileId) -> Result<Option<File>, StoreError> {
        match open_segment(&self.path(tile)) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Whether the tile is there and will stay as it is.
    fn is_finished(&self, tile: TileId, immutable: Immutable) -> Result<bool, StoreError> {
        let path = self.path(tile);
        let Some(file) = self.open(tile)? else { return Ok(false) };
        let length = file.metadata().map_err(StoreError::io(&path, "reading the length"))?.len();
        let fixed = immutable == Immutable::Off || is_immutable(&file).unwrap_or(false);
        Ok(fixed && length == BYTES as u64)
    }
}

/// Keeps the tiles of a store up with its frames.
#[derive(Debug)]
pub struct TileWriter {
    /// Nothing when the tree can't be followed; no tile is written then.
    builder: Option<TileBuilder>,
    full: Vec<Tile>,
}

impl TileWriter {
    /// Takes up the tree of all durable frames; tiles that a crash left out are made from the frames. The second value
    /// says why no tiles can be kept, when the store does not give the tree that it must.
    ///
    /// # Errors
    /// When the store can't be read, or a tile can't be written.
    pub fn open(
        store: &Path,
        tree: &Frontier,
        immutable: Immutable,
        medium: &mut dyn Medium,
    ) -> Result<(Self, Option<String>), StoreError> {
        let (size, expected) = (tree.size(), tree.root());
        let mut writer = Self { builder: None, full: Vec::new() };
        let mut hashes = TreeHashes::open(store)?;
        let mut found = root(&hashes, size);
        // A power cut can leave a tile of the right length whose blocks were not all written.
        let distrusted = found.as_ref().is_ok_and(|found| *found != expected);
        if distrusted {
            hashes = TreeHashes::without_tiles(store)?;
            found = root(&hashes, size);
        }
        let why = match found {
            Ok(found) if found == expected => {
                let right = Right { hashes: &hashes, tiles: Tiles::of(store), distrusted, immutable };
                right.rebuild(size, medium)?
            }
            Ok(_) => Some("tiles and frames together do not give the root of the tree".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if why.is_none() {
            writer.builder = Some(TileBuilder::resume(size, &hashes)?);
        }
        Ok((writer, why.map(|why| format!("{}: no tiles are kept: {why}", store.display()))))
    }

    /// Whether tiles are written at all.
    #[must_use]
    pub const fn keeps_tiles(&self) -> bool {
        self.builder.is_some()
    }

    /// Adds the leaf of a frame that was written. Nothing is written yet.
    pub fn push(&mut self, leaf: Hash) {
        if let Some(builder) = &mut self.builder {
            self.full.extend(builder.push(leaf));
        }
    }

    /// Writes the tiles that are full. Their frames must be durable by now.
    ///
    /// # Errors
    /// When one can't be written.
    pub fn flush(&mut self, medium: &mut dyn Medium) -> Result<(), StoreError> {
        for tile in self.full.drain(..) {
            medium.fix(&tile.id().path(), tile.bytes())?;
        }
        Ok(())
    }
}

/// What the full tiles must be.
struct Right<'a> {
    hashes: &'a TreeHashes,
    tiles: Tiles,
    /// Whether tiles that look finished may not be.
    distrusted: bool,
    immutable: Immutable,
}

impl Right<'_> {
    /// Makes the full tiles that are missing or unfinished; says which one does not fit those above it, or the frames.
    fn rebuild(&self, size: u64, medium: &mut dyn Medium) -> Result<Option<String>, StoreError> {
        for id in TileId::of_tree(size).filter(TileId::is_full) {
            let finished = self.tiles.is_finished(id, self.immutable)?;
            if finished && !self.distrusted {
                continue;
            }
            let bytes = derive(self.hashes, id)?;
            let above = HEIGHT * (id.level() + 1);
            let fits =
                |tile: &Tile| self.hashes.subtree(above, id.index()).is_ok_and(|hash| hash == tile.root());
            let Some(tile) = Tile::from_bytes(id.level(), id.index(), bytes).filter(fits) else {
                return Ok(Some(format!("{} can't be made anew from the frames", id.path())));
            };
            let there = if finished { self.tiles.read(id)? } else { None };
            match there {
                Some(there) if there == tile => continue,
                Some(there) if !tile.is_begun_by(&there) => {
                    return Ok(Some(format!("{} has other hashes than the frames give", id.path())));
                }
                _ => {}
            }
            match medium.fix(&id.path(), tile.bytes()) {
                Err(error @ StoreError::Unusable { .. }) => return Ok(Some(error.to_string())),
                fixed => fixed?,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
