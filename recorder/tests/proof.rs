//! One event proven to somebody who has nothing but the proof and the public key; and what is said when it does not hold.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod scratch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::OriginKey;
use recorder::chain::proof::{inclusion, root};
use recorder::chain::tree::leaf_hash;
use recorder::store::FrameInput;
use recorder::store::medium::Files;
use recorder::store::tiles::TileWriter;
use recorder::store::tree_hashes::TreeHashes;
use recorder::store::writer::{Immutable, Writer};
use recorder::verify::event::EventProof;
use scratch::{EPOCH, SECOND, Scratch, edit, frames, segments};
use serde_json::Value;

/// A usual event: 560 bytes.
const EVENT: &str = include_str!("golden/exec.json");

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn recorder(scratch: &Scratch, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recorder"));
    let output =
        command.args(arguments).env("RECORDER_STORE", scratch.store()).env("TZ", "UTC").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Appends a frame of usual events.
fn append(writer: &mut Writer, count: u64) {
    let (mut lines, mut ends) = (String::new(), Vec::new());
    let first = writer.next_seq();
    for seq in first..first + count {
        lines += &EVENT.replace("{\"seq\":7,", &format!("{{\"seq\":{seq},"));
        ends.push(u32::try_from(lines.len()).unwrap());
    }
    let t_first = EPOCH + i64::try_from(first).unwrap() * SECOND;
    let frame = FrameInput { lines: lines.as_bytes(), ends: &ends, t_first, t_last: t_first, lost_total: 0 };
    writer.append(&frame).unwrap();
}

/// A store of `count` frames in several segments, four events in each; not ended.
fn store(count: u64) -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(40_000);
    while writer.next_seq() < count * 4 {
        append(&mut writer, 4);
    }
    scratch
}

/// Signs a checkpoint over the first `size` frames, as the recorder does.
fn checkpoint(scratch: &Scratch, size: u64) -> PathBuf {
    let leaves: Vec<_> = segments(&scratch.store())
        .iter()
        .flat_map(|path| frames(path))
        .map(|(_, frame)| frame.leaf_hash())
        .collect();
    let signed = Checkpoint::sign(&scratch.key(), size, root(&leaves, size).unwrap()).unwrap();
    // Where the recorder keeps it for a store that `--store` names.
    let state = scratch.store().with_file_name("store.state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("checkpoint"), signed.to_string()).unwrap();
    state.join("checkpoint")
}

fn make_tiles(scratch: &Scratch) {
    let mut tree = recorder::chain::tree::Frontier::new();
    for path in segments(&scratch.store()) {
        frames(&path).iter().for_each(|(_, frame)| tree.push(frame.leaf_hash()));
    }
    let directory = std::fs::File::open(scratch.store()).unwrap().into();
    let mut files = Files::new(directory, scratch.store(), Immutable::Off);
    let (_, why) = TileWriter::open(&scratch.store(), &tree, Immutable::Off, &mut files).unwrap();
    assert_eq!(why, None);
}

fn origin(scratch: &Scratch) -> String {
    scratch.store().join("origin.pub").to_str().unwrap().to_owned()
}

#[test]
fn a_proof_holds_on_a_host_that_has_only_the_key() {
    let scratch = store(300);
    checkpoint(&scratch, 300);
    let file = scratch.state().join("77.tlog-proof");
    let made = recorder(&scratch, &["prove", "77", "--out", file.to_str().unwrap()]);
    assert_eq!((made.code, &*made.out, &*made.err), (0, "", ""));
    let key = origin(&scratch);
    let line = std::fs::read_to_string(&key).unwrap();
    for key in [key.as_str(), line.trim_end()] {
        let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_recorder"));
        elsewhere.args(["verify", "--proof", file.to_str().unwrap(), "--key", key, "--store", "/nowhere"]);
        let output = elsewhere.env("TZ", "UTC").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(5), "{text}");
        assert!(text.starts_with("UNANCHORED: the proof holds"), "{text}");
        assert!(text.contains("2026-11-23 23:48:06.000  "), "{text}");
        assert!(text.contains("\n{\"seq\":77,"), "{text}");
        assert!(text.contains(
            "it is event 77, number 2 of 4 in frame 19, and that frame is in the tree of 300 frames"
        ));
        assert!(text.contains("the key you gave"), "{text}");
    }
}

#[test]
fn a_program_gets_the_event_byte_by_byte_and_what_it_is_proven_against() {
    let scratch = store(20);
    checkpoint(&scratch, 12);
    let proof = scratch.state().join("p");
    std::fs::write(&proof, recorder(&scratch, &["prove", "9"]).out).unwrap();
    let ended = recorder(&scratch, &["verify", "--json", "--proof", proof.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, 5, "{}", ended.err);
    assert_eq!((&report["verdict"], &report["exit_code"]), (&Value::from("unanchored"), &Value::from(5)));
    assert_eq!((&report["seq"], &report["frame"], &report["size"]), (&9.into(), &2.into(), &12.into()));
    assert_eq!((&report["reason"], &report["key_given"]), (&Value::Null, &Value::Bool(false)));
    let event = EVENT.trim_end().replace("{\"seq\":7,", "{\"seq\":9,");
    assert!(ended.out.contains(&event), "{}", ended.out);
    assert_eq!(report["event"]["seq"], 9);
}

#[test]
fn what_no_checkpoint_covers_is_not_proven_yet() {
    let scratch = store(20);
    let none = recorder(&scratch, &["prove", "9"]);
    assert_eq!((none.code, &*none.out), (1, ""));
    assert!(
        none.err.contains("no checkpoint covers event 9 yet") && none.err.contains("every 10 s"),
        "{}",
        none.err
    );
    let newest = checkpoint(&scratch, 12);
    assert_eq!(recorder(&scratch, &["prove", "47"]).code, 0);
    let later = recorder(&scratch, &["prove", "48"]);
    assert_eq!((later.code, later.err.contains("it is in frame 12")), (1, true), "{}", later.err);
    assert_eq!(recorder(&scratch, &["prove", "80"]).code, 1);
    assert_eq!(recorder(&scratch, &["prove", "x"]).code, 64);
    // An older one that somebody kept serves as well.
    let kept = newest.with_file_name("kept");
    std::fs::copy(&newest, &kept).unwrap();
    checkpoint(&scratch, 20);
    assert_eq!(recorder(&scratch, &["prove", "48"]).code, 0);
    assert_eq!(recorder(&scratch, &["prove", "48", "--checkpoint", kept.to_str().unwrap()]).code, 1);
    let named = recorder(&scratch, &["prove", "9", "--checkpoint", kept.to_str().unwrap()]);
    assert!(named.out.contains("\n12\n"), "{}", named.out);
    assert_eq!(recorder(&scratch, &["prove", "9", "--checkpoint", "/nowhere"]).code, 70);
    // A checkpoint that is none is told and passed over.
    std::fs::write(&newest, "junk").unwrap();
    let junk = recorder(&scratch, &["prove", "9"]);
    assert_eq!((junk.code, junk.err.contains("not a checkpoint")), (1, true), "{}", junk.err);
}

#[test]
fn a_copy_is_proven_against_its_newest_seal() {
    let scratch = store(20);
    let mut writer = scratch.writer(40_000);
    append(&mut writer, 4);
    writer.close(EPOCH).unwrap();
    let covered = recorder(&scratch, &["prove", "81"]);
    assert_eq!((covered.code, &*covered.err), (0, ""));
    let (_, seal) = frames(&segments(&scratch.store()).pop().unwrap()).pop().unwrap();
    assert!(seal.is_seal() && covered.out.contains(&format!("\n{}\n", seal.frame_no)), "{}", covered.out);
    // A checkpoint of another host, or one that does not cover it, is passed over.
    let stranger = OriginKey::from_seed("stranger/recorder", &[1; 32]).unwrap();
    let theirs = Checkpoint::sign(&stranger, 1_000, [0; 32]).unwrap();
    std::fs::write(checkpoint(&scratch, 3), theirs.to_string()).unwrap();
    assert_eq!(recorder(&scratch, &["prove", "81"]).out, covered.out);
    checkpoint(&scratch, 3);
    assert_eq!(recorder(&scratch, &["prove", "81"]).out, covered.out);
}

#[test]
fn tiles_serve_the_proof_and_wrong_ones_do_not_spoil_it() {
    let scratch = store(600);
    checkpoint(&scratch, 600);
    let from_frames = recorder(&scratch, &["prove", "5"]).out;
    make_tiles(&scratch);
    assert!(scratch.verify().findings.iter().all(|finding| !finding.sentence.contains("tile")));
    assert_eq!(recorder(&scratch, &["prove", "5"]).out, from_frames);
    edit(&scratch.store().join("tile/0/000"), |bytes| bytes[0] ^= 1);
    let spoiled = recorder(&scratch, &["prove", "5"]);
    assert_eq!((spoiled.code, &spoiled.out), (0, &from_frames));
    assert!(spoiled.err.contains("the tiles of the store are wrong"), "{}", spoiled.err);
    // A half-written one, as a recorder at work leaves it for a moment.
    edit(&scratch.store().join("tile/0/000"), |bytes| bytes.truncate(4096));
    let half = recorder(&scratch, &["prove", "5"]);
    assert_eq!((half.code, half.out, &*half.err), (0, from_frames, ""));
}

#[test]
fn a_store_that_is_not_the_one_of_the_checkpoint_proves_nothing() {
    let scratch = store(20);
    checkpoint(&scratch, 20);
    let last = segments(&scratch.store()).pop().unwrap();
    let (offset, _) = frames(&last)[10];
    edit(&last, |bytes| bytes.truncate(offset));
    let ended = recorder(&scratch, &["prove", "5"]);
    assert_eq!((ended.code, &*ended.out), (70, ""));
    assert!(ended.err.contains("is not the one that the checkpoint is of"), "{}", ended.err);
}

#[test]
fn a_proof_that_does_not_hold_is_2_and_what_is_none_is_3() {
    let scratch = store(20);
    checkpoint(&scratch, 20);
    let good = recorder(&scratch, &["prove", "9"]).out;
    let other = recorder(&scratch, &["prove", "41"]).out;
    let file = scratch.state().join("p");
    let verify = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        recorder(&scratch, &[&["verify", "--proof", file.to_str().unwrap()], more].concat())
    };
    assert_eq!(verify(&good, &[]).code, 5);
    let index = |text: &str| text.lines().nth(2).unwrap().to_owned();
    let extra = |text: &str| text.lines().nth(1).unwrap().to_owned();
    let stranger = "stranger/recorder+bcf3475b+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    for (forged, more, why) in [
        (good.replace(&index(&good), "index 3"), &[][..], "does not lead to the root"),
        (good.replace(&extra(&good), &extra(&other)), &[], "does not lead to the root"),
        (good.replace("\n20\n", "\n21\n"), &[], "the signature by the key does not hold"),
        (
            good.clone(),
            &["--key", "example/recorder+bcf3475b+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"],
            "of another origin",
        ),
    ] {
        let ended = verify(&forged, more);
        assert_eq!(ended.code, 2, "{}", ended.out);
        assert!(ended.out.starts_with("TAMPERED: the proof does not hold: "), "{}", ended.out);
        assert!(ended.out.contains(why), "{}", ended.out);
        assert!(!ended.out.contains("\"kind\""), "{}", ended.out);
    }
    for none in ["", "junk\n", &good[..good.len() / 2], &good.replace("@v1", "@v9")] {
        let ended = verify(none, &[]);
        assert_eq!(ended.code, 3, "{}", ended.out);
        assert!(ended.out.starts_with("INCOMPLETE: there is no proof to check: "), "{}", ended.out);
    }
    let json: Value = serde_json::from_str(&verify("junk", &["--json"]).out).unwrap();
    assert_eq!((&json["exit_code"], &json["event"], &json["seq"]), (&3.into(), &Value::Null, &Value::Null));
    assert_eq!(recorder(&scratch, &["verify", "--proof", "/nowhere"]).code, 3);
    assert_eq!(verify(&good, &["--headers-only"]).code, 64);
    assert_eq!(verify(&good, &["--key", stranger]).code, 70);
    let nowhere = recorder(&scratch, &["verify", "--proof", file.to_str().unwrap(), "--store", "/nowhere"]);
    assert_eq!((nowhere.code, nowhere.err.contains("--key")), (64, true), "{}", nowhere.err);
}

/// Not a benchmark: the budget is 2.5 KB for a usual event of a log of 100 million, and a check must not be felt.
#[test]
fn a_proof_is_small_and_quickly_checked() {
    let scratch = Scratch::new();
    append(&mut scratch.writer(1 << 20), 200);
    let (_, header) = frames(&segments(&scratch.store())[0])[0];
    // Half a million frames of 200 events: this one, and hashes that stand for the others.
    let size = 500_000;
    let mut leaves = vec![leaf_hash(b"another"); size];
    leaves[0] = header.leaf_hash();
    let checkpoint =
        Checkpoint::sign(&scratch.key(), size as u64, root(&leaves, size as u64).unwrap()).unwrap();
    let path = inclusion(&leaves, 0, size as u64).unwrap();
    let lines = scratch::lines(&scratch.store()).join("\n") + "\n";
    let proof = EventProof::make(&header, lines.as_bytes(), 77, path, checkpoint).unwrap();
    let text = proof.to_string();
    assert!(text.len() <= 2_560, "{} bytes", text.len());
    let key = scratch.key();
    let begin = Instant::now();
    let times = 200u32;
    for _ in 0..times {
        EventProof::parse(text.as_bytes()).unwrap().verify(key.public()).unwrap();
    }
    println!("{} bytes; {:?} a check, parsing included", text.len(), begin.elapsed() / times);
    assert_eq!(leaves.len(), size);
    assert!(TreeHashes::open(Path::new("/nowhere")).is_err());
}
