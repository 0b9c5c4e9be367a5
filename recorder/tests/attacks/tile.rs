//! The tiles of the outer tree. They are no evidence, but what does not fit the frames is told.

use std::path::PathBuf;

use recorder::chain::tile::TileId;
use recorder::verify::finding::Kind;

use crate::scratch::edit;
use crate::victim::{Case, Victim, flip};
use crate::{At, Row, Spot, always, anchored, by_place, caught, incomplete, row, unseen};

fn tile(case: &Case, index: usize) -> PathBuf {
    case.scratch.store().join(TileId::full(0, index as u64).path())
}

fn tiled(cheat: &str, act: impl Fn(&mut Case) + Send + Sync + 'static, expected: crate::Table) -> Row {
    let act = move |case: &mut Case| {
        act(case);
        Spot::default()
    };
    Row { victim: Victim::Tiles, ..row(cheat, act, expected) }
}

pub fn rows() -> Vec<Row> {
    let wrong = always(caught(Kind::TileWrong, At::Log));
    let unfinished = always(unseen(Some(Kind::TileUnfinished)));
    // A copy whose tiles were copied last looks the same.
    let ahead = unseen(Some(Kind::TileAhead));
    let gone = caught(Kind::RolledBack, At::Log);
    vec![
        tiled("flip a bit in a tile", |case| flip(&tile(case, case.place), 4000), wrong),
        tiled(
            "put a tile in the place of another",
            |case| {
                let other = (case.place + 1) % 3;
                std::fs::copy(tile(case, other), tile(case, case.place)).map(drop).unwrap();
            },
            wrong,
        ),
        tiled(
            "take a tile away: it is made anew",
            |case| std::fs::remove_file(tile(case, case.place)).unwrap(),
            unfinished,
        ),
        tiled(
            "cut a tile: it is made anew",
            |case| edit(&tile(case, case.place), |bytes| bytes.truncate(100)),
            unfinished,
        ),
        tiled(
            "zeros in place of a block of a tile: it is made anew",
            |case| edit(&tile(case, case.place), |bytes| bytes[512..1024].fill(0)),
            unfinished,
        ),
        tiled(
            "zeros in place of less than a block of a tile",
            |case| edit(&tile(case, case.place), |bytes| bytes[512..1000].fill(0)),
            wrong,
        ),
        tiled(
            "cut a tile and flip a bit in what is left",
            |case| {
                edit(&tile(case, case.place), |bytes| {
                    bytes.truncate(4000);
                    bytes[1000] ^= 1;
                });
            },
            wrong,
        ),
        tiled("make a tile longer", |case| edit(&tile(case, case.place), |bytes| bytes.push(0)), wrong),
        tiled(
            "put a tile there that there are frames for, but not all",
            |case| std::fs::copy(tile(case, case.place), tile(case, 3)).map(drop).unwrap(),
            wrong,
        ),
        tiled(
            "put a tile there that there are no frames for",
            |case| std::fs::copy(tile(case, case.place), tile(case, 4)).map(drop).unwrap(),
            always(ahead),
        ),
        tiled(
            "put a tile of a higher level there",
            |case| {
                let above = case.scratch.store().join(TileId::full(1, case.place as u64).path());
                std::fs::create_dir_all(above.parent().unwrap()).unwrap();
                std::fs::copy(tile(case, case.place), above).map(drop).unwrap();
            },
            // Only the first one has hashes of tiles that there are.
            by_place([caught(Kind::TileWrong, At::Log), ahead, ahead]),
        ),
        tiled(
            "take everything from a start on away and leave the tiles",
            |case| case.since_start().iter().for_each(|path| std::fs::remove_file(path).unwrap()),
            anchored([incomplete(Kind::NothingFound, At::Log), ahead, ahead], gone),
        ),
        tiled(
            "put a file that is no tile among the tiles",
            |case| {
                let name = format!("tile/0/{}.p", case.place);
                std::fs::write(case.scratch.store().join(name), "hidden").unwrap();
            },
            always(unseen(Some(Kind::UnknownFile))),
        ),
    ]
}
