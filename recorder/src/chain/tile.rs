//! Tiles (C2SP tlog-tiles): the hashes of the tree in blocks of 256, their names, and how they come about one leaf after
//! the other. No file: where tiles are kept is not decided here.

use super::Hash;
use super::proof::HashSource;
use super::tree::Frontier;

/// Levels of the tree that a tile spans.
pub const HEIGHT: u32 = 8;
/// Hashes of a full tile.
pub const WIDTH: u64 = 1 << HEIGHT;
/// Bytes of a full tile.
pub const BYTES: usize = WIDTH as usize * HASH;
/// What a disk writes whole or not at all.
const BLOCK: usize = 512;
/// Highest level of tiles that a tree can have: it has fewer than 2^63 leaves.
pub const MAX_LEVEL: u32 = 7;

const HASH: usize = size_of::<Hash>();
const PREFIX: &str = "tile/";

/// Which tile: the hashes of `width` subtrees of `256^level` leaves each, the first one at `256 * index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u32,
    index: u64,
    width: u64,
}

impl TileId {
    /// A full tile.
    #[must_use]
    pub const fn full(level: u32, index: u64) -> Self {
        Self { level, index, width: WIDTH }
    }

    /// The full tile that has the hash of a subtree in it or below it.
    #[must_use]
    pub const fn holding(level: u32, index: u64) -> Self {
        let first = index << (level % HEIGHT);
        Self::full(level / HEIGHT, first >> HEIGHT)
    }

    /// The tiles that a tree of `size` leaves has, level by level, each level's partial one last.
    pub fn of_tree(size: u64) -> impl Iterator<Item = Self> {
        (0..=MAX_LEVEL).flat_map(move |level| {
            let hashes = size >> (HEIGHT * level);
            let full = hashes >> HEIGHT;
            let rest = hashes % WIDTH;
            let partial = Some(Self { level, index: full, width: rest }).filter(|_| rest > 0);
            (0..full).map(move |index| Self::full(level, index)).chain(partial)
        })
    }

    /// Level of the tile; 0 has the leaves.
    #[must_use]
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// Position in its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Number of its hashes, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u64 {
        self.width
    }

    /// Whether it has all its hashes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Its name: `tile/0/x001/x234/067`, with `.p/<width>` behind it when it is partial.
    #[must_use]
    pub fn path(&self) -> String {
        let mut number = format!("{:03}", self.index % 1000);
        let mut above = self.index / 1000;
        while above > 0 {
            number = format!("x{:03}/{number}", above % 1000);
            above /= 1000;
        }
        let partial = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("{PREFIX}{}/{number}{partial}", self.level)
    }

    /// Reads a name; `None` for anything that [`path`](Self::path) would not have written.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, number) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let (number, width) = match number.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
            None => (number, WIDTH),
        };
        let mut index = 0u64;
        for part in number.split('/') {
            let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(digits)?;
        }
        let tile = Self { level: level.parse().ok().filter(|level| *level <= MAX_LEVEL)?, index, width };
        (tile.path() == path).then_some(tile)
    }
}

/// A full tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    bytes: Vec<u8>,
}

impl Tile {
    /// Takes the bytes of a full tile; `None` when their number is not that of one.
    #[must_use]
    pub fn from_bytes(level: u32, index: u64, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == BYTES).then_some(Self { id: TileId::full(level, index), bytes })
    }

    /// Which tile it is.
    #[must_use]
    pub const fn id(&self) -> TileId {
        self.id
    }

    /// Its hashes, one behind the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `there` is what a power cut leaves of this tile.
    #[must_use]
    pub fn is_begun_by(&self, there: &Self) -> bool {
        self.id == there.id && fits(&there.bytes, &self.bytes)
    }

    /// Its hashes.
    pub fn hashes(&self) -> impl Iterator<Item = Hash> + '_ {
        self.bytes.as_chunks().0.iter().copied()
    }

    /// Root over all of it: a hash of the tile above.
    #[must_use]
    pub fn root(&self) -> Hash {
        root_of(self.hashes())
    }

    /// Hash of a subtree; `None` when it is not within this tile.
    #[must_use]
    pub fn subtree(&self, level: u32, index: u64) -> Option<Hash> {
        if TileId::holding(level, index) != self.id {
            return None;
        }
        let inside = level % HEIGHT;
        let first = usize::try_from((index << inside) % WIDTH).ok()?;
        Some(root_of(self.hashes().skip(first).take(1 << inside)))
    }
}

/// Whether a file can be what is there of a tile whose first hashes are `known`: each block as it must be, or never written
/// and zeros. It may be short, and nothing is asked of what lies behind the known hashes.
#[must_use]
pub fn fits(there: &[u8], known: &[u8]) -> bool {
    let as_known =
        |(found, known): (&[u8], &[u8])| found.iter().zip(known).all(|(found, known)| found == known);
    let mut blocks = there.chunks(BLOCK).zip(known.chunks(BLOCK));
    there.len() <= BYTES && blocks.all(|blocks| as_known(blocks) || blocks.0.iter().all(|byte| *byte == 0))
}

/// The bytes of any tile of a tree, full or partial, derived from the hashes of subtrees.
///
/// # Errors
/// When the source has no answer.
pub fn derive<S: HashSource>(source: &S, tile: TileId) -> Result<Vec<u8>, S::Error> {
    let first = tile.index << HEIGHT;
    let mut bytes = Vec::with_capacity(BYTES);
    for index in first..first + tile.width {
        bytes.extend(source.subtree(HEIGHT * tile.level, index)?);
    }
    Ok(bytes)
}

/// Takes leaf hashes one after the other and gives each tile as soon as it is full. Keeps at most 256 hashes a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TileBuilder {
    size: u64,
    /// For each level the hashes that are in no full tile yet.
    pending: Vec<Vec<Hash>>,
}

impl TileBuilder {
    /// Begins with an empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, pending: Vec::new() }
    }

    /// Goes on behind `size` leaves, whose hashes are asked for as far as they are in no full tile.
    ///
    /// # Errors
    /// When the source has no answer.
    pub fn resume<S: HashSource>(size: u64, source: &S) -> Result<Self, S::Error> {
        let mut pending = Vec::new();
        for level in 0..=MAX_LEVEL {
            let hashes = size >> (HEIGHT * level);
            let first = hashes & !(WIDTH - 1);
            let hashes = (first..hashes).map(|index| source.subtree(HEIGHT * level, index));
            pending.push(hashes.collect::<Result<_, _>>()?);
        }
        Ok(Self { size, pending })
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tiles that have some hashes already, and these, one behind the other.
    pub fn begun(&self) -> impl Iterator<Item = (TileId, Vec<u8>)> + '_ {
        (0..=MAX_LEVEL).zip(&self.pending).filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            (TileId::full(level, self.size >> (HEIGHT * (level + 1))), hashes.concat())
        })
    }

    /// Adds a leaf; gives the tiles that it fills, from level 0 upwards. Most leaves fill none.
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        let mut full = Vec::new();
        let mut hash = leaf;
        self.size = self.size.saturating_add(1);
        for level in 0..=MAX_LEVEL {
            let place = level as usize;
            if self.pending.len() <= place {
                self.pending.push(Vec::new());
            }
            let Some(pending) = self.pending.get_mut(place) else { break };
            pending.push(hash);
            if pending.len() < WIDTH as usize {
                break;
            }
            let index = (self.size >> (HEIGHT * (level + 1))).saturating_sub(1);
            let tile = Tile { id: TileId::full(level, index), bytes: pending.concat() };
            pending.clear();
            hash = tile.root();
            full.push(tile);
        }
        full
    }
}

fn root_of(hashes: impl Iterator<Item = Hash>) -> Hash {
    let mut tree = Frontier::new();
    hashes.for_each(|hash| tree.push(hash));
    tree.root()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BYTES, Tile, TileBuilder, TileId, derive};
    use crate::chain::proof::HashSource as _;
    use crate::chain::proof::tests::Leaves;

    #[test]
    fn names_are_those_of_the_specification() {
        for (tile, name) in [
            (TileId::full(0, 0), "tile/0/000"),
            (TileId::full(0, 999), "tile/0/999"),
            (TileId::full(1, 1000), "tile/1/x001/000"),
            (TileId::full(0, 1_234_067), "tile/0/x001/x234/067"),
            (TileId { level: 7, index: 67, width: 255 }, "tile/7/067.p/255"),
            (TileId { level: 0, index: 1_234_067, width: 1 }, "tile/0/x001/x234/067.p/1"),
            (TileId::full(0, u64::MAX), "tile/0/x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(tile.path(), name);
            assert_eq!(TileId::parse(name), Some(tile));
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/8/000",
            "tile/-1/000",
            "tile/0/x000",
            "tile/0/001/002",
            "tile/0/x000/001",
            "tile/0/x001/x002",
            "tile/0/+01",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/entries/000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/../000",
            "tile/0/x099/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TileId::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_size_has_the_tiles_of_the_specification() {
        // Its own example: 70,000 = 273 * 256 + 112.
        let tiles: Vec<TileId> = TileId::of_tree(70_000).collect();
        let of =
            |level, full| tiles.iter().filter(|tile| tile.level == level && tile.is_full() == full).count();
        let shape = [(of(0, true), of(0, false)), (of(1, true), of(1, false)), (of(2, true), of(2, false))];
        assert_eq!((shape, tiles.len()), ([(273, 1), (1, 1), (0, 1)], 277));
        let widths: Vec<u64> = tiles.iter().map(TileId::width).filter(|width| *width < 256).collect();
        assert_eq!(widths, [112, 17, 1]);
        let names: Vec<String> = TileId::of_tree(256).map(|tile| tile.path()).collect();
        assert_eq!(names, ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(TileId::of_tree(0).count(), 0);
    }

    #[test]
    fn full_tiles_come_out_as_leaves_go_in_wherever_one_resumes() {
        const SIZE: u64 = 66_000;
        let leaves = Leaves::counted(SIZE);
        let mut tiles = BTreeMap::new();
        let mut builder = TileBuilder::new();
        for (index, leaf) in leaves.0.iter().enumerate() {
            let size = index as u64;
            // Where it changes, and now and then.
            if size % 8192 < 2 || size > 65_500 && size.is_multiple_of(97) {
                let again = TileBuilder::resume(size, &leaves).unwrap();
                let trimmed = |builder: &TileBuilder| {
                    let mut pending = builder.pending.clone();
                    pending.resize(8, Vec::new());
                    (builder.size, pending)
                };
                assert_eq!(trimmed(&again), trimmed(&builder), "{size}");
            }
            tiles.extend(builder.push(*leaf).into_iter().map(|tile| (tile.id(), tile)));
        }
        assert_eq!(builder.size(), SIZE);
        let expected: Vec<TileId> = TileId::of_tree(SIZE).filter(TileId::is_full).collect();
        assert!(tiles.keys().eq(&expected), "{:?}", tiles.keys());
        for (id, tile) in &tiles {
            assert_eq!(tile.bytes(), derive(&leaves, *id).unwrap(), "{id:?}");
        }
        let partial = TileId { level: 1, index: 1, width: 1 };
        assert_eq!(derive(&leaves, partial).unwrap(), leaves.subtree(8, 256).unwrap());
    }

    #[test]
    fn subtrees_come_out_of_their_tile() {
        let leaves = Leaves::counted(65_536);
        let tile = |id: TileId| Tile::from_bytes(id.level, id.index, derive(&leaves, id).unwrap()).unwrap();
        for (level, index, id) in [
            (0, 300, TileId::full(0, 1)),
            (3, 37, TileId::full(0, 1)),
            (7, 3, TileId::full(0, 1)),
            (8, 77, TileId::full(1, 0)),
            (12, 15, TileId::full(1, 0)),
        ] {
            assert_eq!(TileId::holding(level, index), id);
            assert_eq!(tile(id).subtree(level, index), Some(leaves.subtree(level, index).unwrap()));
        }
        assert_eq!(tile(TileId::full(0, 1)).subtree(0, 0), None);
        assert_eq!(tile(TileId::full(0, 1)).root(), leaves.subtree(8, 1).unwrap());
        assert_eq!(Tile::from_bytes(0, 0, vec![0; BYTES - 1]), None);
    }

    #[test]
    fn a_tile_without_some_of_its_blocks_is_begun_and_any_other_is_not() {
        let leaves = Leaves::counted(256);
        let bytes = derive(&leaves, TileId::full(0, 0)).unwrap();
        let tile = |bytes: &[u8]| Tile::from_bytes(0, 0, bytes.to_vec()).unwrap();
        let whole = tile(&bytes);
        assert!(whole.is_begun_by(&whole) && whole.is_begun_by(&tile(&[0; BYTES])));
        let mut holed = bytes.clone();
        holed[512..1024].fill(0);
        assert!(whole.is_begun_by(&tile(&holed)));
        for (start, end) in [(0, 511), (700, 1100), (BYTES - 8, BYTES)] {
            let mut changed = bytes.clone();
            changed[start..end].fill(0);
            assert!(!whole.is_begun_by(&tile(&changed)), "{start} to {end}");
        }
        let elsewhere = Tile::from_bytes(0, 1, bytes).unwrap();
        assert!(!whole.is_begun_by(&elsewhere));
    }
}
