//! Tiles of a real store: made from its frames, made anew after a crash, refused when they are not what the frames give.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::{Listing, TILE_DIRECTORY, TileWriter, Tiles};
use crate::chain::Hash;
use crate::chain::proof::{HashSource as _, root};
use crate::chain::tile::{TileId, derive};
use crate::chain::tree::{Frontier, leaf_hash};
use crate::store::fixed::is_immutable;
use crate::store::medium::{Files, Medium as _};
use crate::store::reader::SegmentReader;
use crate::store::tree_hashes::TreeHashes;
use crate::store::writer::{Immutable, Options, Writer};
use crate::store::{FrameInput, directory::Directory};

/// Frames of the scratch store: two full tiles and a part of one.
const FRAMES: u64 = 600;

/// A scratch store of several segments; whatever can't be changed in it is freed at the end.
struct Scratch {
    keep: tempfile::TempDir,
    immutable: Immutable,
}

impl Scratch {
    fn new(immutable: Immutable) -> Self {
        let memory = Path::new("/dev/shm");
        let keep = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let scratch = Self { keep: keep.unwrap(), immutable };
        let options =
            Options { immutable: Immutable::Off, segment_bytes: 50_000, ..Options::new([1; 16], 0) };
        let state = scratch.keep.path().join("state");
        let (mut writer, _) = Writer::open(&scratch.store(), &state, options).unwrap();
        let line = b"{\"seq\":0,\"kind\":\"exec\"}\n";
        let frame = FrameInput { lines: line, ends: &[24], t_first: 0, t_last: 0, lost_total: 0 };
        while writer.append(&frame).unwrap().frame_no + 1 < FRAMES {}
        drop(writer);
        // A store of a recorder that kept no tiles.
        std::fs::remove_dir_all(scratch.store().join(TILE_DIRECTORY)).unwrap();
        scratch
    }

    fn store(&self) -> PathBuf {
        self.keep.path().join("store")
    }

    fn files(&self) -> Files {
        Files::new(File::open(self.store()).unwrap().into(), self.store(), self.immutable)
    }

    fn leaves(&self) -> Vec<Hash> {
        let mut leaves = Vec::new();
        for segment in Directory::open(&self.store()).unwrap().segments() {
            let mut reader = SegmentReader::open(&segment.path).unwrap().unwrap();
            while let Some(frame) = reader.next_header().unwrap() {
                leaves.push(frame.header.leaf_hash());
            }
        }
        leaves
    }

    fn open(&self) -> (TileWriter, Option<String>) {
        let mut tree = Frontier::new();
        self.leaves().into_iter().for_each(|leaf| tree.push(leaf));
        TileWriter::open(&self.store(), &tree, self.immutable, &mut self.files()).unwrap()
    }

    fn tile(&self, index: u64) -> PathBuf {
        self.store().join(TileId::full(0, index).path())
    }

    fn check(&self) {
        let leaves = self.leaves();
        for index in 0..leaves.len() as u64 / 256 {
            let id = TileId::full(0, index);
            assert_eq!(fs::read(self.tile(index)).unwrap(), derive(&leaves, id).unwrap());
            assert_eq!(fs::metadata(self.tile(index)).unwrap().permissions().mode() & 0o7777, 0o640);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        free(&self.store());
    }
}

fn free(path: &Path) {
    let keep = IFlags::APPEND | IFlags::IMMUTABLE;
    if let Ok(file) = File::open(path)
        && let Ok(flags) = ioctl_getflags(&file)
        && flags.intersects(keep)
    {
        ioctl_setflags(&file, flags - keep).unwrap();
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        free(&entry.path());
    }
}

/// Whether the immutable flag can be set where scratch stores are; tells when not.
fn has_immutable() -> bool {
    let memory = Path::new("/dev/shm");
    let probe = if memory.is_dir() {
        tempfile::NamedTempFile::new_in(memory)
    } else {
        tempfile::NamedTempFile::new()
    };
    let probe = probe.unwrap();
    let can =
        ioctl_getflags(&probe).and_then(|flags| ioctl_setflags(&probe, flags | IFlags::IMMUTABLE)).is_ok();
    free(probe.path());
    if !can {
        println!(
            "SKIPPED: needs root and a file system with the immutable flag in {}",
            probe.path().display()
        );
    }
    can
}

#[test]
fn tiles_are_made_from_the_frames_and_go_on_with_them() {
    let scratch = Scratch::new(Immutable::Off);
    assert_eq!(Tiles::of(&scratch.store()).list().unwrap(), Listing::default());
    let (mut writer, why) = scratch.open();
    assert_eq!(why, None);
    scratch.check();
    let mut leaves = scratch.leaves();
    for number in FRAMES..1_100 {
        leaves.push(leaf_hash(&number.to_be_bytes()));
        writer.push(*leaves.last().unwrap());
    }
    assert_eq!(Tiles::of(&scratch.store()).list().unwrap().tiles.len(), 2, "written before they are durable");
    writer.flush(&mut scratch.files()).unwrap();
    let listing = Tiles::of(&scratch.store()).list().unwrap();
    assert_eq!(listing.tiles, [0, 1, 2, 3].map(|index| TileId::full(0, index)));
    for id in listing.tiles {
        let tile = Tiles::of(&scratch.store()).read(id).unwrap().unwrap();
        assert_eq!(tile.bytes(), derive(&leaves, id).unwrap());
    }
}

#[test]
fn the_tree_is_read_with_tiles_and_without_and_behind_damage() {
    let scratch = Scratch::new(Immutable::Off);
    let leaves = scratch.leaves();
    let check = |hashes: TreeHashes| {
        for size in [1, 2, 255, 256, 257, 511, 599, FRAMES] {
            assert_eq!(root(&hashes, size).unwrap(), root(&leaves, size).unwrap(), "{size}");
        }
        assert_eq!(hashes.subtree(3, 70).unwrap(), leaves.subtree(3, 70).unwrap());
    };
    check(TreeHashes::open(&scratch.store()).unwrap());
    scratch.open();
    check(TreeHashes::open(&scratch.store()).unwrap());
    // A header in a segment and the last one of a segment can be lost: the frames after them know their leaves.
    let segments = Directory::open(&scratch.store()).unwrap().segments().to_vec();
    let mut bytes = fs::read(&segments[0].path).unwrap();
    let mut reader = SegmentReader::open(&segments[0].path).unwrap().unwrap();
    let mut offsets = Vec::new();
    while let Some(frame) = reader.next_header().unwrap() {
        offsets.push(frame.offset as usize);
    }
    bytes[offsets[5] + 50] ^= 1;
    bytes[offsets[offsets.len() - 1] + 50] ^= 1;
    fs::write(&segments[0].path, bytes).unwrap();
    check(TreeHashes::without_tiles(&scratch.store()).unwrap());
    // Two in a row can't, and the tile still has them.
    fs::remove_file(&segments[0].path).unwrap();
    check(TreeHashes::open(&scratch.store()).unwrap());
    let alone = TreeHashes::without_tiles(&scratch.store()).unwrap();
    assert_ne!(root(&alone, FRAMES).unwrap(), root(&leaves, FRAMES).unwrap());
}

/// The link of a segment header is the one before it: behind a segment without frames that is no leaf.
#[test]
fn recorders_that_wrote_no_frame_are_no_part_of_the_tree() {
    let scratch = Scratch::new(Immutable::Off);
    let state = scratch.keep.path().join("state");
    let options = Options { immutable: Immutable::Off, ..Options::new([1; 16], 0) };
    for _ in 0..3 {
        drop(Writer::open(&scratch.store(), &state, options.clone()).unwrap());
    }
    let (mut writer, _) = Writer::open(&scratch.store(), &state, options).unwrap();
    let line = b"{\"seq\":0,\"kind\":\"exec\"}\n";
    writer.append(&FrameInput { lines: line, ends: &[24], t_first: 0, t_last: 0, lost_total: 0 }).unwrap();
    let leaves = scratch.leaves();
    // The newest first: nothing of the segments before was read yet.
    let hashes = TreeHashes::open(&scratch.store()).unwrap();
    for frame in [FRAMES, FRAMES - 1] {
        assert_eq!(hashes.subtree(0, frame).unwrap(), leaves[frame as usize], "{frame}");
    }
}

#[test]
fn what_a_crash_left_is_made_anew() {
    let scratch = Scratch::new(Immutable::Off);
    scratch.open();
    for damage in [
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| fs::write(path, []).unwrap(),
        |path: &Path| fs::write(path, [0; 4096]).unwrap(),
        |path: &Path| fs::write(path, vec![0; 9000]).unwrap(),
    ] {
        damage(&scratch.tile(1));
        assert!(!matches!(Tiles::of(&scratch.store()).read(TileId::full(0, 1)), Ok(Some(_))));
        assert_eq!(scratch.open().1, None);
        scratch.check();
    }
    fs::remove_dir_all(scratch.store().join(TILE_DIRECTORY)).unwrap();
    assert_eq!(scratch.open().1, None);
    scratch.check();
}

#[test]
fn without_its_tree_a_store_keeps_no_tiles_and_says_so() {
    let scratch = Scratch::new(Immutable::Off);
    scratch.open();
    fs::write(scratch.tile(1), [7; 8192]).unwrap();
    let (mut writer, why) = scratch.open();
    assert!(why.unwrap().contains("tile/0/001 has other hashes than the frames give"));
    (0..300).for_each(|_| writer.push([1; 32]));
    writer.flush(&mut scratch.files()).unwrap();
    assert_eq!(Tiles::of(&scratch.store()).list().unwrap().tiles.len(), 2);
    // A tree that neither tiles nor frames give.
    let mut other = Frontier::new();
    (0..FRAMES).for_each(|_| other.push([1; 32]));
    let opened = TileWriter::open(&scratch.store(), &other, Immutable::Off, &mut scratch.files());
    assert!(opened.unwrap().1.unwrap().contains("do not give the root of the tree"));
}

#[test]
fn a_tile_whose_blocks_were_not_all_written_is_made_anew() {
    let scratch = Scratch::new(Immutable::Off);
    scratch.open();
    for hole in [0..512, 1024..4096, 0..8192] {
        let mut bytes = fs::read(scratch.tile(1)).unwrap();
        bytes[hole].fill(0);
        fs::write(scratch.tile(1), bytes).unwrap();
        assert_eq!(scratch.open().1, None);
        scratch.check();
    }
}

#[test]
fn strangers_among_the_tiles_are_listed() {
    let scratch = Scratch::new(Immutable::Off);
    scratch.open();
    let folder = scratch.store().join(TILE_DIRECTORY);
    for name in ["0/002.p", "0/0005", "checkpoint", "9"] {
        fs::write(folder.join(name), []).unwrap();
    }
    fs::create_dir(folder.join("0/007")).unwrap();
    std::os::unix::fs::symlink("000", folder.join("0/003")).unwrap();
    let listing = Tiles::of(&scratch.store()).list().unwrap();
    let names: Vec<&str> = listing.others.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, ["tile/0/0005", "tile/0/002.p", "tile/9", "tile/checkpoint"]);
    // A link is no tile, whatever its name: it is listed, and refused when it is read.
    assert_eq!(listing.tiles.len(), 3);
    assert!(Tiles::of(&scratch.store()).read(TileId::full(0, 3)).is_err());
}

#[test]
fn tiles_can_not_be_changed_and_unfinished_ones_are_finished() {
    if !has_immutable() {
        return;
    }
    let scratch = Scratch::new(Immutable::Required);
    assert_eq!(scratch.open().1, None);
    scratch.check();
    for index in [0, 1] {
        assert!(is_immutable(File::open(scratch.tile(index)).unwrap()).unwrap());
        assert!(fs::write(scratch.tile(index), []).is_err());
        assert!(fs::remove_file(scratch.tile(index)).is_err());
    }
    let folder = scratch.store().join("tile/0");
    assert!(ioctl_getflags(File::open(&folder).unwrap()).unwrap().contains(IFlags::APPEND));
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o2750);
    // The same bytes again are as good as written; others are refused.
    let same = fs::read(scratch.tile(0)).unwrap();
    scratch.files().fix("tile/0/000", &same).unwrap();
    let error = scratch.files().fix("tile/0/000", &same[1..]).unwrap_err().to_string();
    assert!(error.contains("has other bytes than the frames give"), "{error}");
    // A crash before the flag, in the middle of the bytes.
    free(&scratch.tile(1));
    fs::write(scratch.tile(1), [0; 100]).unwrap();
    assert_eq!(scratch.open().1, None);
    scratch.check();
    assert!(is_immutable(File::open(scratch.tile(1)).unwrap()).unwrap());
    // Somebody planted one.
    free(&scratch.tile(1));
    fs::write(scratch.tile(1), [0; 100]).unwrap();
    let planted = File::open(scratch.tile(1)).unwrap();
    ioctl_setflags(&planted, ioctl_getflags(&planted).unwrap() | IFlags::IMMUTABLE).unwrap();
    assert!(scratch.open().1.unwrap().contains("has other bytes than the frames give"));
}
