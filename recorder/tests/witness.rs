//! Anchors end to end: hosts ship to witnesses, witnesses remember, `verify` believes them, and cheats are found that the
//! host alone could not show.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod anchors;
mod scratch;

use anchors::foreign::{self, Foreign};
use anchors::liar::lie;
use anchors::{Shipping, Tree, Witness, ours, post, wait_for};
use ed25519_dalek::{Signer as _, SigningKey};
use recorder::anchor::receipts;
use recorder::chain::checkpoint::{Checkpoint, WitnessPublic};
use recorder::chain::key::OriginKey;
use recorder::chain::witness_key::WitnessKey;
use recorder::store::checkpoint_file;
use scratch::{Scratch, append, edit, frames, segments};

const VERIFIED: i32 = 1; // With a warning: scratch stores have no append-only files.
const TAMPERED: i32 = 2;
const STALE: i32 = 4;
const UNANCHORED: i32 = 5;

/// A log with a checkpoint over all it has; the recorder was killed.
fn log(frames: u64) -> Scratch {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    (0..frames).for_each(|_| assert!(append(&mut writer, 2).is_ok()));
    writer.checkpoint().unwrap();
    scratch
}

/// The next start, which records some frames.
fn go_on(scratch: &Scratch, frames: u64) {
    let mut writer = scratch.writer(1 << 20);
    (0..frames).for_each(|_| assert!(append(&mut writer, 2).is_ok()));
    writer.checkpoint().unwrap();
}

fn size(scratch: &Scratch) -> u64 {
    checkpoint_file::read(&scratch.state().join("checkpoint")).unwrap().unwrap().size()
}

/// Cuts the last `count` frames off, and has the recorder forget that it signed for them.
fn cut(scratch: &Scratch, count: usize) {
    let last = segments(&scratch.store()).pop().unwrap();
    let found = frames(&last);
    edit(&last, |bytes| bytes.truncate(found[found.len() - count].0));
    std::fs::remove_file(scratch.state().join("checkpoint")).unwrap();
}

fn expect((code, said): (i32, String), expected: i32, parts: &[&str]) {
    assert_eq!(code, expected, "{said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "`{part}` is not in:\n{said}"));
}

#[test]
fn what_two_of_three_cosigned_is_verified_and_what_the_host_says_of_itself_is_not() {
    let scratch = log(5);
    let [one, two, mut three] = ["w1", "w2", "w3"].map(|name| Witness::knowing(name, &scratch.key()));
    let shipping = Shipping::to(&scratch, &[one.line(), two.line(), three.line()], 2);
    three.kill();
    expect(shipping.verify(&[]), UNANCHORED, &["UNANCHORED"]);
    expect(shipping.once(), 0, &["witness=w1", "witness=w3", "anchored frames=5"]);
    expect(shipping.verify(&[]), VERIFIED, &["VERIFIED WITH WARNINGS", "Anchored: 5 frames, by w1, w2"]);
    expect(shipping.verify_here(), UNANCHORED, &["Anchored: 5 frames", "counts once you give the policy"]);
    std::fs::remove_dir_all(&shipping.receipts).unwrap();
    expect(shipping.verify(&["--ask"]), VERIFIED, &["Anchored: 5 frames, by w1, w2", "witness w3: "]);
    // One is not enough.
    two.process().hears("key=");
    drop(two);
    expect(shipping.verify(&["--ask"]), UNANCHORED, &["UNANCHORED"]);
    expect(shipping.once(), 1, &["not cosigned witness=w2"]);
}

#[test]
fn an_anchor_grows_with_the_log_and_gets_old() {
    let scratch = log(3);
    let witness = Witness::knowing("w1", &scratch.key());
    let shipping = Shipping::to(&scratch, &[witness.line()], 1);
    expect(shipping.once(), 0, &[]);
    for frames in [1, 7, 300] {
        go_on(&scratch, frames);
        let all = size(&scratch);
        expect(shipping.verify(&[]), VERIFIED, &["frames behind that are not anchored yet"]);
        expect(shipping.once(), 0, &[&format!("anchored frames={all}")]);
        expect(shipping.verify(&[]), VERIFIED, &[&format!("Anchored: {all} frames")]);
    }
    // The same checkpoint once more is a sign of life.
    expect(shipping.once(), 0, &[]);
    let cosigned = receipts::read(&shipping.receipts.join("anchored.ckpt")).unwrap().unwrap();
    let public = WitnessPublic::parse(witness.line().split(' ').nth(2).unwrap()).unwrap();
    let time = cosigned.cosigned_by(&public).unwrap().unwrap();
    wait_for("a cosignature that is more than a second old", || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        (now > time + 1).then_some(())
    });
    expect(shipping.verify(&["--max-age", "1s"]), STALE, &["STALE"]);
    assert!(ours(witness.dir.path(), &["list"]).contains(&format!("{} frames", size(&scratch))));
}

#[test]
fn a_log_that_was_cut_is_tampered_by_its_receipt_and_is_never_anchored_again() {
    for grown in [0, 20] {
        let scratch = log(10);
        let witness = Witness::knowing("w1", &scratch.key());
        let shipping = Shipping::to(&scratch, &[witness.line()], 1);
        expect(shipping.once(), 0, &[]);
        cut(&scratch, 4);
        expect(shipping.verify(&[]), TAMPERED, &["its end was cut off"]);
        // The recorder, which has lost its own checkpoint, records on: shorter than before, then longer.
        go_on(&scratch, 1 + grown);
        let said = shipping.once();
        match grown {
            0 => expect(said, 1, &["this host was set back"]),
            _ => expect(said, 1, &["not cosigned", "422"]),
        }
        expect(shipping.verify(&["--ask"]), TAMPERED, &["- tampering: "]);
        if grown > 0 {
            witness.process().hears("a host signed what does not continue its history");
        }
    }
}

#[test]
fn a_store_set_back_with_everything_the_host_has_is_found_by_asking() {
    let scratch = log(10);
    let witness = Witness::knowing("w1", &scratch.key());
    let shipping = Shipping::to(&scratch, &[witness.line()], 1);
    expect(shipping.once(), 0, &[]);
    let old = scratch.copy();
    let back = Shipping::to(&old, &[witness.line()], 1);
    std::fs::create_dir(&back.receipts).unwrap();
    for name in std::fs::read_dir(&shipping.receipts).unwrap().map(|entry| entry.unwrap().file_name()) {
        std::fs::copy(shipping.receipts.join(&name), back.receipts.join(&name)).unwrap();
    }
    go_on(&scratch, 5);
    expect(shipping.once(), 0, &[]);
    // Its old receipts fit it, and soon are too old. The witness knows better at once.
    expect(back.verify(&[]), VERIFIED, &[]);
    expect(back.verify(&["--ask"]), TAMPERED, &["it was set back"]);
    expect(back.once(), 1, &["this host was set back, or runs twice", "begin a new record"]);
    expect(back.verify(&[]), TAMPERED, &["it was set back"]);
    expect(shipping.verify(&["--ask"]), VERIFIED, &[]);
}

#[test]
fn a_host_that_runs_twice_is_cosigned_once() {
    let scratch = log(6);
    let twin = scratch.copy();
    let witness = Witness::knowing("w1", &scratch.key());
    let (one, two) =
        (Shipping::to(&scratch, &[witness.line()], 1), Shipping::to(&twin, &[witness.line()], 1));
    go_on(&scratch, 3);
    go_on(&twin, 8);
    expect(one.once(), 0, &[]);
    expect(two.once(), 1, &["it has another history of this host"]);
    witness.process().hears("the evidence is kept");
    expect(one.verify(&["--ask"]), VERIFIED, &[]);
    expect(two.verify(&["--ask"]), TAMPERED, &["the log was written anew"]);
}

#[test]
fn a_checkpoint_file_that_a_power_cut_set_back_is_no_alarm() {
    let scratch = log(4);
    let witness = Witness::knowing("w1", &scratch.key());
    let shipping = Shipping::to(&scratch, &[witness.line()], 1);
    let file = scratch.state().join("checkpoint");
    let older = std::fs::read(&file).unwrap();
    go_on(&scratch, 4);
    expect(shipping.once(), 0, &[]);
    std::fs::write(&file, older).unwrap();
    let (code, said) = shipping.once();
    assert!(code == 1 && said.contains("to be waited for") && !said.contains("set back"), "{said}");
    expect(shipping.verify(&["--ask"]), VERIFIED, &[]);
    go_on(&scratch, 1);
    expect(shipping.once(), 0, &[]);
}

#[test]
fn a_witness_from_an_old_backup_is_told_and_two_others_are_enough() {
    let scratch = log(4);
    let witnesses = ["w1", "w2", "w3"].map(|name| Witness::knowing(name, &scratch.key()));
    let lines: Vec<String> = witnesses.iter().map(Witness::line).collect();
    let shipping = Shipping::to(&scratch, &lines, 2);
    expect(shipping.once(), 0, &[]);
    let [mut first, ..] = witnesses;
    let host = std::fs::read_dir(first.dir.path().join("hosts")).unwrap().next().unwrap().unwrap().path();
    let backup = std::fs::read(host.join("checkpoint")).unwrap();
    go_on(&scratch, 4);
    expect(shipping.once(), 0, &[]);
    first.kill();
    std::fs::write(host.join("checkpoint"), backup).unwrap();
    first.restart();
    go_on(&scratch, 4);
    let parts = ["a witness remembers less than it cosigned", "witness=w1 remembers=4 cosigned=8"];
    expect(shipping.once(), 0, &parts);
    expect(shipping.verify(&["--ask"]), VERIFIED, &["Anchored: 12 frames"]);
}

#[test]
fn one_of_three_that_lies_neither_anchors_nor_hinders() {
    let size_of = |size: &str| (409, "text/x.tlog.size", format!("{size}\n"));
    // The right name and key id, and a signature without a time, as one implementation answers.
    let untimed = |key: &WitnessKey, asked: &Checkpoint| {
        let signature = SigningKey::from_bytes(&[9; 32]).sign(asked.text().as_bytes());
        let plain = [&key.public().id()[..4], &signature.to_bytes()].concat();
        format!("\u{2014} {} {}\n", key.public().name(), scratch::base64(&plain))
    };
    type Lie = Box<dyn Fn() -> String>;
    let lies: Vec<(&str, Lie)> = vec![
        (
            "its cosignature",
            Box::new(move || {
                lie("liar", 9, move |key, asked| (200, "text/plain", untimed(key, &asked.checkpoint)))
            }),
        ),
        (
            "no cosignature with a time",
            Box::new(|| lie("liar", 9, |_, _| (200, "text/plain", "fine\n".to_owned()))),
        ),
        (
            "no cosignature with a time",
            Box::new(|| {
                lie("liar", 9, |_, asked| {
                    let other = WitnessKey::from_seed("liar", &[8; 32]).unwrap();
                    (200, "text/plain", other.cosign(&asked.checkpoint, 7) + "\n")
                })
            }),
        ),
        (
            "its cosignature",
            Box::new(|| {
                lie("liar", 9, |key, asked| {
                    let tree = Tree::of(asked.checkpoint.origin(), 5);
                    (200, "text/plain", key.cosign(&tree.checkpoint(3), 7) + "\n")
                })
            }),
        ),
        ("shows nothing that proves it", Box::new(move || lie("liar", 9, move |_, _| size_of("1000000")))),
        ("without the size", Box::new(move || lie("liar", 9, move |_, _| size_of("many")))),
        (
            "another tree of",
            Box::new(move || lie("liar", 9, move |_, asked| size_of(&asked.old.to_string()))),
        ),
        (
            "it answered 403",
            Box::new(|| lie("liar", 9, |_, _| (403, "text/plain", "\u{1b}[2Jno".to_owned()))),
        ),
        ("it answered 500", Box::new(|| lie("liar", 9, |_, _| (500, "text/plain", "x".repeat(10_000))))),
    ];
    let scratch = log(4);
    let [one, two] = ["w1", "w2"].map(|name| Witness::knowing(name, &scratch.key()));
    for (part, lie) in lies {
        let shipping = Shipping::to(&scratch, &[one.line(), lie(), two.line()], 2);
        expect(shipping.once(), 0, &["not cosigned witness=liar", part]);
        let (_, said) = shipping.verify(&[]);
        assert!(said.contains("by w1, w2") && !said.contains('\u{1b}'), "{said}");
        let alone = Shipping::to(&scratch, &[lie()], 1);
        expect(alone.once(), 1, &[part]);
        expect(alone.verify(&[]), UNANCHORED, &[]);
    }
}

#[test]
fn witnesses_that_are_away_are_waited_for_while_the_log_grows() {
    let scratch = log(2);
    let mut witness = Witness::knowing("w1", &scratch.key());
    let shipping = Shipping::to(&scratch, &[witness.line()], 1);
    let address = witness.url.strip_prefix("http://").unwrap().to_owned();
    witness.kill();
    let follower = shipping.follow();
    follower.hears("not cosigned witness=w1");
    go_on(&scratch, 300);
    witness.serve(&address);
    follower.hears("anchored frames=");
    let anchored =
        || receipts::read(&shipping.receipts.join("anchored.ckpt")).unwrap().map(|kept| kept.size());
    wait_for("the newest checkpoint", || (anchored() == Some(size(&scratch))).then_some(()));
    // And on, without a restart of either; nobody else ships the same log meanwhile.
    go_on(&scratch, 1);
    wait_for("one more", || (anchored() == Some(size(&scratch))).then_some(()));
    expect(shipping.once(), 70, &["is in use by another `recorder ship`"]);
    expect(shipping.verify(&["--ask"]), VERIFIED, &[]);
}

#[test]
fn a_witness_that_is_killed_remembers_all_that_it_answered() {
    let tree = Tree::of("host/recorder", 0);
    let mut witness = Witness::knowing("w1", &tree.key);
    let mut answered = 0;
    for round in 0..8u64 {
        let url = witness.url.clone();
        let asking = std::thread::spawn({
            let tree = Tree::of("host/recorder", 0);
            move || {
                let mut last = answered;
                let agent = ureq::Agent::new_with_config(
                    ureq::Agent::config_builder().http_status_as_error(false).build(),
                );
                for size in answered + 1..1_500 {
                    let sent = agent.post(format!("{url}/add-checkpoint"));
                    match sent.send(tree.request(last, size).to_string()) {
                        Ok(answer) if answer.status().as_u16() == 200 => last = size,
                        _ => break,
                    }
                }
                last
            }
        });
        wait_for("some answers", || {
            let listed = ours(witness.dir.path(), &["list"]);
            let known: u64 = listed.split_whitespace().nth(1).unwrap().parse().unwrap();
            (known > answered + 3 + round).then_some(())
        });
        witness.kill();
        answered = asking.join().unwrap();
        witness.restart();
        let (status, _, known) = post(&witness.url, &tree.request(0, 1_500).to_string());
        let known: u64 = known.trim().parse().unwrap();
        // It may have kept one more than it could answer.
        assert!(status == 409 && (answered..=answered + 1).contains(&known), "{status} {known} {answered}");
        answered = known;
    }
}

/// The conformance matrix: what is asked, in order, and the status.
fn matrix(url: &str, tree: &Tree) -> Vec<(&'static str, u16, String)> {
    let fork = Tree::of(tree.key.public().name(), 1);
    let stranger = Tree::of("stranger/recorder", 0);
    let forged = {
        let key = OriginKey::from_seed(tree.key.public().name(), &[2; 32]).unwrap();
        let asked = tree.request(1_000, 1_500);
        let checkpoint = Checkpoint::sign(&key, 1_500, *asked.checkpoint.root()).unwrap();
        recorder::chain::add_checkpoint::AddCheckpoint { checkpoint, ..asked }
    };
    let broken = tree.request(1_000, 1_500).to_string().replacen("old ", "new ", 1);
    let rows = [
        ("0 to 1000", tree.request(0, 1_000).to_string()),
        ("another history of the same size", fork.request(1_000, 1_000).to_string()),
        ("an old size that is not known", tree.request(900, 1_200).to_string()),
        ("a host that was set back", tree.request(0, 900).to_string()),
        ("an old size beyond the checkpoint", tree.request(1_200, 1_100).to_string()),
        ("a key that is not known", forged.to_string()),
        ("a log that is not known", stranger.request(0, 10).to_string()),
        ("no request", broken),
        ("a fork with its own proof", fork.request(1_000, 1_500).to_string()),
        ("1000 to 1500", tree.request(1_000, 1_500).to_string()),
        ("the same again", tree.request(1_500, 1_500).to_string()),
    ];
    let ask = |(what, request): (&'static str, String)| {
        let (status, kind, body) = post(url, &request);
        if status == 409 {
            assert_eq!((kind.as_str(), body.as_str()), ("text/x.tlog.size", "1000\n"), "{what}");
        }
        (what, status, body)
    };
    rows.into_iter().map(ask).collect()
}

#[test]
fn ours_and_a_foreign_witness_answer_the_matrix_alike() {
    let tree = Tree::of("host/recorder", 0);
    let expected = [200, 422, 409, 409, 400, 403, 404, 400, 422, 200, 200];
    let witness = Witness::knowing("w1.example/ours", &tree.key);
    let answers = matrix(&witness.url, &tree);
    let statuses: Vec<u16> = answers.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, expected, "{answers:#?}");
    check_cosignature(&witness.line(), &tree, &answers.last().unwrap().2);
    let newest = format!(
        "{}/{}/checkpoint",
        witness.url,
        recorder::chain::hex(&recorder::chain::sha256(b"host/recorder"))
    );
    let newest = ureq::get(newest).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(Checkpoint::parse(newest.as_bytes()).unwrap().size(), 1_500);
    let Some(programs) = foreign::programs() else { return };
    let foreign = Foreign::knowing(programs, &tree.key);
    let answers = matrix(&foreign.url, &tree);
    let statuses: Vec<u16> = answers.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, expected, "{answers:#?}");
    check_cosignature(&foreign.line(), &tree, &answers.last().unwrap().2);
}

fn check_cosignature(line: &str, tree: &Tree, answer: &str) {
    let key = WitnessPublic::parse(line.split(' ').nth(2).unwrap()).unwrap();
    let mut checkpoint = tree.checkpoint(1_500);
    checkpoint.add(answer.trim_end()).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let time = checkpoint.cosigned_by(&key).unwrap().unwrap();
    assert!(time.abs_diff(now) < 60, "{time}");
}

#[test]
fn our_client_is_cosigned_by_a_foreign_witness() {
    let Some(programs) = foreign::programs() else { return };
    let scratch = log(5);
    let foreign = Foreign::knowing(programs, &scratch.key());
    let own = Witness::knowing("w1", &scratch.key());
    let shipping = Shipping::to(&scratch, &[foreign.line(), own.line()], 2);
    for frames in [1, 300] {
        go_on(&scratch, frames);
        expect(shipping.once(), 0, &[&format!("anchored frames={}", size(&scratch))]);
        expect(shipping.verify(&["--ask"]), VERIFIED, &["by foreign, w1"]);
    }
    cut(&scratch, 3);
    go_on(&scratch, 9);
    std::fs::remove_dir_all(&shipping.receipts).unwrap();
    expect(shipping.once(), 1, &["witness=foreign", "witness=w1", "it has another history"]);
}

/// What the foreign client is told to do: submit sizes, print each line.
const FOREIGN_CLIENT: &str = r#"
import json, sys
from aics_tlog import parse_vkey
from aics_witness.feeder import WitnessClient, FeederError
url, vkey = sys.argv[1:3]
client = WitnessClient(url, parse_vkey(vkey))
for line in sys.stdin:
    asked = json.loads(line)
    proof = [bytes.fromhex(one) for one in asked["proof"]]
    try:
        print(json.dumps({"line": client.submit(asked["note"], (asked["old"], proof))}))
    except FeederError as error:
        print(json.dumps({"error": type(error).__name__, "status": getattr(error, "status", None)}))
"#;

#[test]
fn a_foreign_client_is_cosigned_by_our_witness() {
    use std::io::Write as _;
    let Some(programs) = foreign::programs() else { return };
    let (tree, fork) = (Tree::of("host/recorder", 0), Tree::of("host/recorder", 1));
    let witness = Witness::knowing("w1.example/ours", &tree.key);
    let key = witness.line().split(' ').nth(2).unwrap().to_owned();
    let mut client = std::process::Command::new(programs.join("python"))
        .args(["-c", FOREIGN_CLIENT, &witness.url, &key])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    for asked in
        [tree.request(0, 7), tree.request(7, 1_300), fork.request(1_300, 1_400), tree.request(1_300, 1_301)]
    {
        let proof: Vec<String> = asked.proof.iter().map(|hash| recorder::chain::hex(hash)).collect();
        let note = asked.checkpoint.to_string();
        writeln!(stdin, "{}", serde_json::json!({"old": asked.old, "proof": proof, "note": note})).unwrap();
    }
    drop(stdin);
    let output = client.wait_with_output().unwrap();
    let answers: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers[0]["line"].is_string() && answers[1]["line"].is_string(), "{answers:?}");
    assert_eq!((&answers[2]["error"], &answers[2]["status"]), (&"WitnessRejected".into(), &422.into()));
    assert!(answers[3]["line"].is_string(), "{answers:?}");
}

#[test]
fn the_way_to_a_witness_can_be_tls_with_an_authority_of_ones_own() {
    let scratch = log(3);
    let folder = tempfile::tempdir().unwrap();
    let [certificate, private, other] = ["w.pem", "w.key", "other.pem"].map(|name| folder.path().join(name));
    let make = |certificate: &std::path::Path, private: &std::path::Path| {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=witness", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let done = openssl.arg("-out").arg(certificate).arg("-keyout").arg(private).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !make(&certificate, &private) {
        scratch_says("openssl is not installed (Debian package openssl)");
        return;
    }
    assert!(make(&other, &folder.path().join("other.key")));
    let dir = folder.path().join("witness");
    ours(&dir, &["key", "--name", "w1"]);
    let enrolled = folder.path().join("enrolled");
    std::fs::write(&enrolled, format!("log {}\n", scratch.key().public())).unwrap();
    ours(&dir, &["add", enrolled.to_str().unwrap()]);
    let mut command = std::process::Command::new(anchors::RECORDER);
    command.arg("witness").arg("--dir").arg(&dir).args(["serve", "--listen", "127.0.0.1:0", "--tls-cert"]);
    let process = anchors::Process::start(command.arg(&certificate).arg("--tls-key").arg(&private));
    let url = process.hear("witnessing url=");
    assert!(url.starts_with("https://"), "{url}");
    let line = format!("{} {url}", ours(&dir, &["key"]).trim_end());
    let with = |file: &std::path::Path| {
        Shipping::with(&scratch, std::slice::from_ref(&line), 1, &format!("ca_file = {file:?}\n"))
    };
    expect(with(&other).once(), 1, &["not cosigned witness=w1"]);
    expect(Shipping::to(&scratch, std::slice::from_ref(&line), 1).once(), 1, &["not cosigned witness=w1"]);
    expect(with(&certificate).once(), 0, &["anchored frames=3"]);
    expect(with(&certificate).verify(&["--ask"]), VERIFIED, &[]);
}

#[expect(clippy::print_stdout, reason = "a test that can't run says so")]
fn scratch_says(why: &str) {
    println!("SKIPPED: {why}");
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_sent() {
    let scratch = log(2);
    let key = |seed: u8| WitnessKey::from_seed("w", &[seed; 32]).unwrap();
    let line = |url: &str| format!("witness w {} {url}", key(1).public());
    let shipping = Shipping::to(&scratch, &[line("http://127.0.0.1:1")], 1);
    let other = OriginKey::from_seed("other/recorder", &[5; 32]).unwrap();
    let log = format!("log {}", scratch.key().public());
    for (policy, part) in [
        (format!("{}\n", line("")), "no `quorum` line"),
        (
            format!("log {}\n{}\nquorum w\n", other.public(), line("http://h")),
            "names other logs than this host's",
        ),
        (format!("{log}\n{}\nquorum w\n", line("")), "witness w has no address"),
        (format!("{log}\nquorum none\n"), "nothing would be anchored"),
    ] {
        std::fs::write(&shipping.policy, policy).unwrap();
        let (code, said) = shipping.once();
        assert!(code == 64 || part.contains("quorum"), "{code}: {said}");
        assert!(said.contains(part), "{said}");
    }
    std::fs::remove_file(&shipping.policy).unwrap();
    let (code, said) = shipping.once();
    assert!(code == 70 && said.contains("policy"), "{code} {said}");
}
