//! A proof holds for the event that it was made of; whatever is changed in it, it does not hold, or is no proof.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Broken, EventProof, Unprovable, Unreadable};
use crate::chain::Hash;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginKey;
use crate::chain::proof::{inclusion, root};
use crate::chain::tree::{Frontier, leaf_hash};
use crate::store::format::{FrameHeader, FrameKind};

const EVENTS: u32 = 200;
const FRAME: u64 = 1_234;

fn key(seed: u8) -> OriginKey {
    OriginKey::from_seed("web1.example.org/recorder", &[seed; 32]).unwrap()
}

fn lines() -> Vec<u8> {
    let line = |place: u32| {
        let seq = 70_000 + place;
        format!(
            "{{\"seq\":{seq},\"t\":\"2027-01-15T08:00:00.000000000Z\",\"kind\":\"exec\",\"pid\":{place}}}\n"
        )
    };
    (0..EVENTS).map(line).collect::<String>().into_bytes()
}

fn header(lines: &[u8]) -> FrameHeader {
    let mut inner = Frontier::new();
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .for_each(|line| inner.push(leaf_hash(line)));
    FrameHeader {
        kind: FrameKind::Data,
        flags: 0,
        epoch: 1,
        frame_no: FRAME,
        first_seq: 70_000,
        count: EVENTS,
        raw_len: u32::try_from(lines.len()).unwrap(),
        payload_len: 9_000,
        t_first: 1,
        t_last: 2,
        lost_total: 0,
        prev_link: [1; 32],
        inner_root: inner.root(),
        payload_sha256: [2; 32],
        next_pk: [1; 32],
        signature: [0; 64],
    }
}

/// A proof out of a tree whose leaf number FRAME is that header.
fn prove(header: &FrameHeader, lines: &[u8], place: u32, size: u64) -> Result<EventProof, Unprovable> {
    let mut leaves: Vec<Hash> = (0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect();
    leaves[header.frame_no as usize] = header.leaf_hash();
    let checkpoint = Checkpoint::sign(&key(1), size, root(&leaves, size).unwrap()).unwrap();
    let path = inclusion(&leaves, header.frame_no, size).unwrap();
    EventProof::make(header, lines, place, path, checkpoint)
}

/// The proof of an event of the usual frame.
fn proof(place: u32) -> EventProof {
    static FIRST: LazyLock<EventProof> =
        LazyLock::new(|| prove(&header(&lines()), &lines(), 0, 3_000).unwrap());
    let outer = FIRST.outer.clone();
    EventProof::make(&header(&lines()), &lines(), place, outer.path, outer.checkpoint).unwrap()
}

#[test]
fn every_event_of_a_frame_is_proven() {
    let lines = lines();
    for (place, line) in lines.split(|byte| *byte == b'\n').take(EVENTS as usize).enumerate() {
        let made = proof(place as u32);
        let read = EventProof::parse(made.to_string().as_bytes()).unwrap();
        assert_eq!((&read, read.line()), (&made, line));
        let shown = read.verify(key(1).public()).unwrap();
        assert_eq!((shown.seq, shown.frame), (70_000 + place as u64, header(&lines)));
        assert_eq!(read.checkpoint().size(), 3_000);
    }
    assert_eq!(prove(&header(&lines), &lines, EVENTS, 3_000), Err(Unprovable::Missing));
}

#[test]
fn a_lone_event_in_a_lone_frame_is_proven() {
    let lines = b"{\"seq\":0,\"kind\":\"exec\"}\n";
    let mut header = header(lines);
    (header.count, header.frame_no, header.first_seq) = (1, 0, 0);
    let proof = prove(&header, lines, 0, 1).unwrap();
    assert_eq!(
        EventProof::parse(proof.to_string().as_bytes()).unwrap().verify(key(1).public()).unwrap().seq,
        0
    );
}

/// One way to cheat, and the step that finds it.
#[test]
fn each_way_to_cheat_is_found_at_its_step() {
    let verify = |change: Change| {
        let mut forged = proof(5);
        change(&mut forged);
        forged.outer.extra = forged.extra();
        EventProof::parse(forged.to_string().as_bytes())
            .unwrap()
            .verify(key(1).public())
            .unwrap_err()
            .to_string()
    };
    type Change = fn(&mut EventProof);
    let rows: [(Change, &str); 9] = [
        (|proof| proof.line[9] ^= 1, "not the one that its frame commits to"),
        (|proof| proof.line.push(b' '), "not the one that its frame commits to"),
        (|proof| proof.place = 6, "not the one that its frame commits to"),
        (|proof| proof.place = EVENTS, "not the one that its frame commits to"),
        (|proof| proof.inner[3][0] ^= 1, "not the one that its frame commits to"),
        (|proof| proof.inner.truncate(7), "not the one that its frame commits to"),
        (|proof| proof.leaf[100] ^= 1, "does not lead to the root"),
        (|proof| proof.outer.index += 1, "does not lead to the root"),
        (|proof| proof.outer.path.truncate(10), "too many or too few hashes"),
    ];
    for (change, step) in rows {
        let error = verify(change);
        assert!(error.contains(step), "{error}");
    }
    let other = proof(5).verify(key(2).public()).unwrap_err().to_string();
    assert!(other.contains("no signature by the key"), "{other}");
}

/// What only the owner of the key could sign, and what still makes no sense.
#[test]
fn a_signed_tree_with_a_frame_that_can_not_be_is_no_proof() {
    let forged = |change: fn(&mut FrameHeader), lines: &[u8]| {
        let mut header = header(lines);
        change(&mut header);
        let mut proof = prove(&header, lines, 5, 3_000).unwrap();
        proof.outer.index = header.frame_no;
        proof.verify(key(1).public())
    };
    assert!(matches!(forged(|header| header.flags = 0x8000, &lines()), Err(Broken::Header(_))));
    let renumbered = String::from_utf8(lines()).unwrap().replace("\"seq\":70005", "\"seq\":70006");
    assert_eq!(forged(|_| {}, renumbered.as_bytes()), Err(Broken::Number(70_005)));
    // The same header at another place of the tree.
    let mut leaves: Vec<Hash> = vec![[0; 32]; 10];
    let header = header(&lines());
    leaves[7] = header.leaf_hash();
    let checkpoint = Checkpoint::sign(&key(1), 10, root(&leaves, 10).unwrap()).unwrap();
    let mut proof =
        EventProof::make(&header, &lines(), 5, inclusion(&leaves, 7, 10).unwrap(), checkpoint).unwrap();
    proof.outer.index = 7;
    assert_eq!(proof.verify(key(1).public()), Err(Broken::Frame { stated: FRAME, proven: 7 }));
}

#[test]
fn refuses_what_is_no_proof_of_an_event() {
    let good = proof(5);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut changed = good.clone();
        change(&mut changed.outer.extra);
        EventProof::parse(changed.to_string().as_bytes())
    };
    assert_eq!(with(|_| {}).as_ref(), Ok(&good));
    assert_eq!(with(|extra| extra[3] = b'2'), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra[4] = 2), Err(Unreadable::Version(2)));
    assert_eq!(with(|extra| extra[5] += 1), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra[5] = 255), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra[6] = 1), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra[15] = 255), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra.push(0)), Err(Unreadable::Extra));
    assert_eq!(with(Vec::clear), Err(Unreadable::Extra));
    assert_eq!(with(|extra| extra.truncate(100)), Err(Unreadable::Extra));
    assert!(matches!(EventProof::parse(b"nothing"), Err(Unreadable::Text(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_changed_byte_passes(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut bytes = proof(77).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let outcome = EventProof::parse(&bytes).map(|proof| proof.verify(key(1).public()));
        prop_assert!(!matches!(outcome, Ok(Ok(_))), "byte {at}");
    }

    #[test]
    fn no_changed_extra_byte_passes(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut forged = proof(77);
        let at = at.index(forged.outer.extra.len());
        forged.outer.extra[at] ^= flip;
        let outcome = EventProof::parse(forged.to_string().as_bytes()).map(|proof| proof.verify(key(1).public()));
        prop_assert!(!matches!(outcome, Ok(Ok(_))), "byte {at}");
    }

    #[test]
    fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut forged = proof(0);
        forged.outer.extra = bytes;
        let text = forged.to_string();
        if let Ok(proof) = EventProof::parse(text.as_bytes()) {
            prop_assert!(proof.verify(key(1).public()).is_err());
        }
    }
}
