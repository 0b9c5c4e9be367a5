//! Follows the outer tree over the segments, and compares it with everything that was said about it: the headers of
//! segments, the checkpoints in seals, a checkpoint from outside, the tiles.

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::{Finding, Kind};
use super::segment::Segment;
use crate::chain::Hash;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::tile::{Tile, TileBuilder, TileId, WIDTH, fits};
use crate::chain::tree::Frontier;
use crate::store::tiles::Tiles;

/// Checkpoints from outside whose size the tree had, and whether it was the same tree.
pub(super) type Compared<'a> = Vec<(&'a Checkpoint, bool)>;

const OTHER_HASHES: &str = "it has other hashes than the frames give";

/// What is said about the tree, and how far it was followed.
pub(super) struct Tree<'a> {
    tiles: Tiles,
    /// Tiles that were there before the segments were looked at, and were not met yet.
    listed: BTreeSet<TileId>,
    /// What was said outside of the store; with each, once the tree had its size, whether it was the same.
    said: Vec<(&'a Checkpoint, Option<bool>)>,
    /// The tree so far, as long as every frame was met.
    now: Option<Frontier>,
    /// The same for the tiles; none where the tree was not followed from its beginning.
    builder: Option<TileBuilder>,
    findings: Vec<Finding>,
}

impl<'a> Tree<'a> {
    /// Looks which tiles there are. To be called before the segments are listed: what a recorder adds meanwhile is then
    /// in the segments at least.
    pub(super) fn new(store: &Path) -> Self {
        let tiles = Tiles::of(store);
        let mut findings = Vec::new();
        let listing = tiles.list().unwrap_or_else(|error| {
            findings.push(Finding::new(Kind::Unreadable, error.to_string()));
            Default::default()
        });
        findings.extend(listing.others.iter().map(|name| {
            let sentence = format!("{:?} is no part of the store and was left out", name.display());
            Finding::new(Kind::UnknownFile, sentence)
        }));
        let (now, builder) = (Some(Frontier::new()), Some(TileBuilder::new()));
        let listed = listing.tiles.into_iter().collect();
        Self { tiles, listed, said: Vec::new(), now, builder, findings }
    }

    /// Takes up checkpoints from outside, which the origin signed. To be called before anything is followed.
    pub(super) fn expect(&mut self, said: impl IntoIterator<Item = &'a Checkpoint>) {
        self.said.extend(said.into_iter().map(|said| (said, None)));
        let empty = Frontier::new();
        self.compare(&empty);
    }

    /// The tree over all frames in front of the next segment, when all of them were met.
    pub(super) const fn now(&self) -> Option<&Frontier> {
        self.now.as_ref()
    }

    /// Frames that are not walked, or not there: the tree goes on with what the next header says of it.
    pub(super) fn lose(&mut self) {
        (self.now, self.builder) = (None, None);
    }

    /// Takes up a segment's frames; behind the tree that its header states where frames in front of it are missing.
    pub(super) fn follow(&mut self, stated: &Frontier, leaves: &[Option<Hash>], segment: &mut Segment<'_>) {
        let said = segment.walk.as_ref().and_then(|walk| walk.checkpoint.clone());
        if self.now.as_ref() != Some(stated) && segment.is_genuine() {
            self.lose();
        }
        // Where all frames in front were met, they count, and not what somebody says.
        let mut tree = self.now.take().unwrap_or_else(|| stated.clone());
        self.compare(&tree);
        for leaf in leaves {
            if let Some(said) =
                said.as_ref().filter(|said| said.size() == tree.size() && *said.root() != tree.root())
            {
                let sentence =
                    format!("the checkpoint in the seal is of another tree of {} frames", said.size());
                segment.find(Kind::CheckpointWrong, sentence);
            }
            let Some(leaf) = leaf else { return self.lose() };
            tree.push(*leaf);
            let full = self.builder.as_mut().map_or_else(Vec::new, |builder| builder.push(*leaf));
            full.iter().for_each(|tile| self.compare_tile(tile));
            self.compare(&tree);
        }
        self.now = Some(tree);
    }

    /// The leaves of removed frames, which are in full tiles; `None` at the end where they are not.
    pub(super) fn leaves_of(&mut self, first: u64, end: u64) -> Vec<Option<Hash>> {
        let mut leaves = Vec::new();
        let mut next = first;
        while next < end {
            let id = TileId::holding(0, next);
            let Ok(Some(tile)) = self.tiles.read(id) else {
                let sentence = "it is missing or unfinished, and has the hashes of frames that were removed";
                self.findings.push(Finding::new(Kind::TileWrong, format!("{}: {sentence}", id.path())));
                leaves.push(None);
                break;
            };
            let inside = usize::try_from(next % WIDTH).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end - next).unwrap_or(usize::MAX);
            let before = leaves.len();
            leaves.extend(tile.hashes().skip(inside).take(wanted).map(Some));
            next += (leaves.len() - before) as u64;
        }
        leaves
    }

    /// The tiles do not give the tree that the segment behind removed ones states.
    pub(super) fn tiles_are_wrong(&mut self, frames: u64) {
        let sentence = format!(
            "the tiles do not give the tree of the first {frames} frames, of which the last were removed"
        );
        self.findings.push(Finding::new(Kind::TileWrong, sentence));
    }

    /// Compares with the checkpoints from outside where the tree has their size.
    fn compare(&mut self, tree: &Frontier) {
        let mut wrong = None;
        for (said, holds) in self.said.iter_mut().filter(|(said, _)| said.size() == tree.size()) {
            let same = *said.root() == tree.root();
            *holds = Some(same);
            wrong = if same { wrong } else { Some(said.size()) };
        }
        let Some(frames) = wrong else { return };
        if self.findings.iter().all(|found| found.kind != Kind::CheckpointWrong) {
            let sentence = format!(
                "the first {frames} frames are not those that the checkpoint was signed for: the log was written anew"
            );
            self.findings.push(Finding::new(Kind::CheckpointWrong, sentence));
        }
    }

    fn compare_tile(&mut self, tile: &Tile) {
        self.listed.remove(&tile.id());
        let (kind, sentence) = match self.tiles.bytes(tile.id()) {
            Ok(Some(there)) if there == tile.bytes() => return,
            Ok(Some(there)) if fits(&there, tile.bytes()) => {
                let sentence = "parts of it were never written; the next start of the recorder makes it anew";
                (Kind::TileUnfinished, sentence.to_owned())
            }
            Ok(Some(_)) => (Kind::TileWrong, OTHER_HASHES.to_owned()),
            Ok(None) => {
                (Kind::TileUnfinished, "it is missing; the next start of the recorder makes it".to_owned())
            }
            Err(error) => (Kind::Unreadable, error.to_string()),
        };
        self.findings.push(Finding::new(kind, format!("{}: {sentence}", tile.id().path())));
    }

    /// Looks at the tiles that have more than the frames give. The tiles of a copy do when they were copied after the segments
    /// of a recorder at work, and so do those of a log whose end was cut off: unsigned as they are, they can't tell which.
    /// But what they have of frames that are there must be right.
    fn compare_tiles_ahead(&mut self) {
        let Some(builder) = &self.builder else { return };
        for (id, hashes) in builder.begun().filter(|(id, _)| self.listed.contains(id)) {
            let (kind, sentence) = match self.tiles.bytes(id) {
                Ok(Some(there)) if fits(&there, &hashes) => continue,
                Ok(None) => continue,
                Ok(Some(_)) => (Kind::TileWrong, OTHER_HASHES.to_owned()),
                Err(error) => (Kind::Unreadable, error.to_string()),
            };
            self.findings.push(Finding::new(kind, format!("{}: {sentence}", id.path())));
        }
        if let Some(tile) = self.listed.first() {
            let sentence = format!(
                "{} has hashes of frames that are not there: `tile/` was copied after the segments while recording went \
                 on, which is no harm, or the end of the log was cut off; only a checkpoint that was kept elsewhere tells",
                tile.path()
            );
            self.findings.push(Finding::new(Kind::TileAhead, sentence));
        }
    }

    /// What holds at the end of the log, and which checkpoints from outside could be compared, and agree.
    pub(super) fn finish(mut self) -> (Compared<'a>, Vec<Finding>) {
        let end = self.now.as_ref().map(Frontier::size);
        let longest = self.said.iter().map(|(said, _)| said.size()).max();
        if let (Some(end), Some(longest)) = (end, longest)
            && longest > end
        {
            let sentence = format!(
                "the checkpoint covers {longest} frames, the log has {end}: its end was cut off, it was set back, or this is a \
                 copy that was made before the checkpoint"
            );
            self.findings.push(Finding::new(Kind::RolledBack, sentence));
        }
        self.compare_tiles_ahead();
        let compared = self.said.iter().filter_map(|(said, holds)| holds.map(|holds| (*said, holds)));
        (compared.collect(), self.findings)
    }
}
