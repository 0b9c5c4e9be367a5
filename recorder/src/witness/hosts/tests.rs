//! The memory of a witness: what it refuses, what survives, what is never forgotten.

use std::path::Path;

use super::{Hosts, Outcome, add, folder_of, key, list};
use crate::chain::Hash;
use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::{OriginKey, OriginPublic};
use crate::chain::proof::{consistency, root};
use crate::chain::sha256;
use crate::chain::tree::leaf_hash;
use crate::witness::WitnessError;
use crate::witness::decision::Refusal;

fn origin(seed: u8) -> OriginKey {
    OriginKey::from_seed("host/recorder", &[seed; 32]).unwrap()
}

fn leaves(salt: u8) -> Vec<Hash> {
    (0..300u64).map(|number| leaf_hash(&[number.to_be_bytes().as_slice(), &[salt]].concat())).collect()
}

fn request(salt: u8, old: u64, size: u64) -> AddCheckpoint {
    let leaves = leaves(salt);
    let checkpoint = Checkpoint::sign(&origin(1), size, root(&leaves, size).unwrap()).unwrap();
    AddCheckpoint { old, proof: consistency(&leaves, old, size).unwrap(), checkpoint }
}

fn witness(dir: &Path) -> Hosts {
    add(dir, origin(1).public()).unwrap();
    Hosts::open(dir, Some("witness.example/w1")).unwrap()
}

fn cosigned(hosts: &Hosts, request: &AddCheckpoint) -> bool {
    matches!(hosts.take(request, 7).unwrap().unwrap(), Outcome::Cosigned(_))
}

fn refused(hosts: &Hosts, request: &AddCheckpoint) -> Refusal {
    match hosts.take(request, 7).unwrap().unwrap() {
        Outcome::Refused(refusal) => refusal,
        Outcome::Cosigned(line) => panic!("{line}"),
    }
}

#[test]
fn what_was_cosigned_is_remembered_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let public = {
        let hosts = witness(dir.path());
        assert!(cosigned(&hosts, &request(0, 0, 100)));
        assert!(matches!(Hosts::open(dir.path(), None), Err(WitnessError::InUse { .. })));
        hosts.key().public().clone()
    };
    let hosts = Hosts::open(dir.path(), None).unwrap();
    assert_eq!(hosts.key().public(), &public);
    assert_eq!(refused(&hosts, &request(0, 0, 200)), Refusal::Conflict { known: 100 });
    assert!(cosigned(&hosts, &request(0, 100, 200)));
    let newest = hosts.newest(sha256(b"host/recorder")).unwrap().unwrap();
    assert_eq!((newest.size(), newest.cosigned_by(&public)), (200, Ok(Some(7))));
    assert_eq!(newest.verify(origin(1).public()), Ok(()));
    assert!(hosts.newest(sha256(b"another")).unwrap().is_none());
}

#[test]
fn what_a_host_signs_against_itself_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = witness(dir.path());
    assert!(cosigned(&hosts, &request(0, 0, 100)));
    for _ in 0..3 {
        assert!(matches!(refused(&hosts, &request(1, 100, 200)), Refusal::Inconsistent { known: 100, .. }));
    }
    let folder = folder_of(dir.path(), "host/recorder");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = names.filter(|path| path.to_str().unwrap().contains("conflict-")).collect();
    assert_eq!(kept.len(), 1);
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    // Both sides, as they were signed: the one that was cosigned, and the request.
    assert!(text.ends_with(&request(1, 100, 200).to_string()), "{text}");
    let known = &text[..text.find("\nold 100\n").unwrap()];
    assert_eq!(Checkpoint::parse(known.as_bytes()).unwrap().size(), 100);
    assert_eq!(hosts.newest(sha256(b"host/recorder")).unwrap().unwrap().size(), 100);
}

#[test]
fn a_lost_memory_is_not_taken_for_a_new_host() {
    let dir = tempfile::tempdir().unwrap();
    assert!(cosigned(&witness(dir.path()), &request(0, 0, 100)));
    let newest = folder_of(dir.path(), "host/recorder").join("checkpoint");
    std::fs::remove_file(&newest).unwrap();
    let error = Hosts::open(dir.path(), None).unwrap_err();
    assert!(matches!(error, WitnessError::Forgotten { .. }), "{error}");
    assert!(!add(dir.path(), origin(1).public()).unwrap(), "adding it again changes nothing");
    assert!(Hosts::open(dir.path(), None).is_err());
    std::fs::write(&newest, "host/recorder\n1").unwrap();
    let error = Hosts::open(dir.path(), None).unwrap_err();
    assert!(matches!(error, WitnessError::Checkpoint { .. }), "{error}");
}

#[test]
fn a_host_has_one_key_and_a_witness_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = witness(dir.path());
    let error = add(dir.path(), origin(2).public()).unwrap_err();
    assert!(matches!(error, WitnessError::OtherKey { .. }), "{error}");
    assert!(!add(dir.path(), origin(1).public()).unwrap());
    let other = OriginPublic::parse(&OriginKey::from_seed("b", &[9; 32]).unwrap().public().to_string());
    assert!(add(dir.path(), &other.unwrap()).unwrap(), "while the witness runs");
    assert_eq!(list(dir.path()).unwrap().len(), 2);
    drop(hosts);
    assert!(matches!(key(dir.path(), Some("another")), Err(WitnessError::OtherName { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(key(empty.path(), None), Err(WitnessError::NoKey { .. })));
}

#[test]
fn a_stranger_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = witness(dir.path());
    let key = OriginKey::from_seed("stranger", &[1; 32]).unwrap();
    let checkpoint = Checkpoint::sign(&key, 1, [0; 32]).unwrap();
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint };
    assert!(hosts.take(&request, 7).unwrap().is_none());
}

#[test]
fn requests_at_the_same_time_never_lead_to_two_histories() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = witness(dir.path());
    let won: usize = std::thread::scope(|scope| {
        let hosts = &hosts;
        let asks = (0..8u8).map(|salt| scope.spawn(move || cosigned(hosts, &request(salt, 0, 100))));
        asks.collect::<Vec<_>>().into_iter().map(|ask| usize::from(ask.join().unwrap())).sum()
    });
    assert_eq!(won, 1);
}
