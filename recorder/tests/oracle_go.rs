//! Go's sumdb packages, which others wrote, agree about our notes, proofs and tiles, and refuse what we refuse.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, reason = "a test that can't run says so")]

mod scratch;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use recorder::chain::Hash;
use recorder::chain::checkpoint::Checkpoint;
use recorder::chain::key::OriginKey;
use recorder::chain::note::Note;
use recorder::chain::proof::{consistency, inclusion, root};
use recorder::chain::tile::{TileBuilder, TileId, derive};
use recorder::chain::tree::leaf_hash;
use recorder::chain::witness_key::WitnessKey;
use recorder::store::reader::SegmentReader;
use recorder::store::tree_hashes::TreeHashes;
use recorder::verify::event::EventProof;
use scratch::{Scratch, append, base64, segments};
use serde_json::{Value, json};

/// Where Debian puts the sources of Go libraries.
const LIBRARIES: &str = "/usr/share/gocode";

/// The program, built once; `None` where that can't be done, and the test says so.
fn oracle() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(build).as_deref();
    if program.is_none() {
        println!("SKIPPED: Go's sumdb is not installed (Debian packages golang-go golang-golang-x-mod-dev)");
    }
    program
}

fn build() -> Option<PathBuf> {
    let library = Path::new(LIBRARIES).join("src/golang.org/x/mod/sumdb/tlog");
    let go = |arguments: &[&str]| {
        let mut go = Command::new("go");
        go.args(arguments).env("GO111MODULE", "off").env("GOPATH", LIBRARIES).env("GOFLAGS", "");
        go
    };
    if go(&["version"]).output().is_err() || !library.is_dir() {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("oracle");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/main.go");
    let mut building = go(&["build", "-o", program.to_str().unwrap(), source]);
    let built = building.env("GOCACHE", folder.join("cache")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// Puts the questions; gives the answers in order.
fn ask(program: &Path, questions: &[Value]) -> Vec<Value> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let asking = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// Asks, and compares with what is expected of each question.
fn expect(program: &Path, questions: Vec<(bool, Value)>) {
    let (expected, questions): (Vec<bool>, Vec<Value>) = questions.into_iter().unzip();
    for ((answer, expected), question) in ask(program, &questions).iter().zip(expected).zip(&questions) {
        assert_eq!(answer["Holds"], expected, "{question}: {}", answer["Why"]);
    }
}

/// Go reads and writes bytes in JSON as base64.
fn path_json(path: &[Hash]) -> Value {
    path.iter().map(|hash| base64(hash)).collect()
}

fn key() -> OriginKey {
    OriginKey::from_seed("host1.example.org/recorder", &[1; 32]).unwrap()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

/// The text with one thing changed, for each thing that somebody might change.
fn mutations(text: &str) -> Vec<String> {
    let mut changed: Vec<String> = (0..text.len())
        .filter(|at| text.is_char_boundary(*at) && text.as_bytes()[*at].is_ascii_graphic())
        .step_by(7)
        // Go's packages pass over stray bits in the last letter of a base64 text; we refuse them.
        .filter(|at| text.as_bytes().get(at + 1) != Some(&b'='))
        .map(|at| {
            let other = if text.as_bytes()[at] == b'7' { "8" } else { "7" };
            format!("{}{other}{}", &text[..at], &text[at + 1..])
        })
        .collect();
    changed.extend([
        text.replace('\u{2014}', "-"),
        text.replace("\n\n", "\n"),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("more\n{text}"),
        text.replace("== ", "="),
    ]);
    changed.retain(|changed| changed != text);
    changed
}

#[test]
fn go_finds_our_cosignatures_and_refuses_changed_ones_as_we_do() {
    let Some(program) = oracle() else { return };
    let witness = WitnessKey::from_seed("witness.example/w1", &[3; 32]).unwrap();
    let other = WitnessKey::from_seed("witness.example/w1", &[4; 32]).unwrap();
    let key = witness.public().to_string();
    let mut cosigned = Checkpoint::sign(&self::key(), 1_234, [7; 32]).unwrap();
    cosigned.add(&witness.cosign(&cosigned, 1_800_000_000)).unwrap();
    let text = cosigned.to_string();
    let mut questions = vec![
        (true, json!({"Kind": "cosigned", "Key": key, "Text": text})),
        // Who does not know the witness passes its line over.
        (true, json!({"Kind": "note", "Key": self::key().public().to_string(), "Text": text})),
        (false, json!({"Kind": "cosigned", "Key": other.public().to_string(), "Text": text})),
        (false, json!({"Kind": "cosigned", "Key": self::key().public().to_string(), "Text": text})),
    ];
    for changed in mutations(&text) {
        let read = Checkpoint::parse(changed.as_bytes());
        let holds = read.is_ok_and(|read| matches!(read.cosigned_by(witness.public()), Ok(Some(_))));
        questions.push((holds, json!({"Kind": "cosigned", "Key": key, "Text": changed})));
    }
    assert!(questions.iter().filter(|(holds, _)| !holds).count() > 20);
    expect(program, questions);
}

#[test]
fn go_reads_our_notes_and_refuses_changed_ones_as_we_do() {
    let Some(oracle) = oracle() else { return };
    let key = key();
    let (line, other) =
        (key.public().to_string(), OriginKey::from_seed("host1.example.org/recorder", &[2; 32]).unwrap());
    let mut questions = Vec::new();
    for size in [0, 1, 255, 20_852_163, i64::MAX as u64] {
        let note = Checkpoint::sign(&key, size, [7; 32]).unwrap().to_string();
        questions.push((true, json!({"Kind": "note", "Key": line, "Text": note})));
        questions.push((false, json!({"Kind": "note", "Key": other.public().to_string(), "Text": note})));
        for changed in mutations(&note) {
            let ours = Checkpoint::parse(changed.as_bytes()).map(|read| read.verify(key.public()));
            assert!(!matches!(ours, Ok(Ok(()))), "{changed}");
            questions.push((false, json!({"Kind": "note", "Key": line, "Text": changed})));
        }
    }
    // Signatures of others between ours.
    let mut note = Checkpoint::sign(&key, 5, [7; 32]).unwrap();
    let theirs = Note::sign("text\n".to_owned(), &other).unwrap().to_string();
    note.add(theirs.lines().last().unwrap()).unwrap();
    questions.push((true, json!({"Kind": "note", "Key": line, "Text": note.to_string()})));
    expect(oracle, questions);
}

#[test]
fn go_accepts_our_proofs_and_refuses_changed_ones() {
    let Some(oracle) = oracle() else { return };
    let leaves = leaves(1_500);
    let mut questions = Vec::new();
    for (old, size) in
        [(1, 1), (1, 2), (3, 7), (4, 7), (6, 8), (256, 1_000), (1_000, 1_500), (1_024, 1_500), (1_499, 1_500)]
    {
        let (whole, older) = (root(&leaves, size).unwrap(), root(&leaves, old).unwrap());
        let index = old - 1;
        let record = |path: &[Hash], index: u64, leaf: &Hash| json!({"Kind": "record", "Path": path_json(path), "Size": size, "Root": base64(&whole), "Index": index, "Leaf": base64(leaf)});
        let tree = |path: &[Hash], older: &Hash| json!({"Kind": "tree", "Path": path_json(path), "Size": size, "Root": base64(&whole), "Old": old, "Older": base64(older)});
        let path = inclusion(&leaves, index, size).unwrap();
        let grown = consistency(&leaves, old, size).unwrap();
        let leaf = &leaves[index as usize];
        questions.push((true, record(&path, index, leaf)));
        questions.push((false, record(&path, index, &[1; 32])));
        questions.push((false, record(&[&path[..], &[[1; 32]]].concat(), index, leaf)));
        questions.push((true, tree(&grown, &older)));
        questions.push((false, tree(&grown, &[1; 32])));
        questions.push((false, tree(&[&grown[..], &[[1; 32]]].concat(), &older)));
        for at in 0..path.len() {
            let mut changed = path.clone();
            changed[at][0] ^= 1;
            questions.push((false, record(&changed, index, leaf)));
            changed.remove(at);
            questions.push((false, record(&changed, index, leaf)));
        }
        for at in 0..grown.len() {
            let mut changed = grown.clone();
            changed[at][0] ^= 1;
            questions.push((false, tree(&changed, &older)));
            changed.remove(at);
            questions.push((false, tree(&changed, &older)));
        }
    }
    expect(oracle, questions);
}

#[test]
fn go_reads_our_tiles_and_finds_the_same_paths() {
    let Some(oracle) = oracle() else { return };
    let folder = tempfile::tempdir().unwrap();
    let leaves = leaves(66_000);
    let mut builder = TileBuilder::new();
    let put = |id: TileId, bytes: &[u8]| {
        let path = folder.path().join(id.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for tile in leaves.iter().flat_map(|leaf| builder.push(*leaf)) {
        put(tile.id(), tile.bytes());
    }
    let question = |size: u64, index: u64| {
        let root = base64(&root(&leaves, size).unwrap());
        json!({"Kind": "tiles", "Store": folder.path(), "Size": size, "Root": root, "Index": index})
    };
    let mut asked = Vec::new();
    for size in [1, 200, 256, 257, 65_535, 65_536, 65_537, 66_000] {
        // What a reader derives from the frames.
        TileId::of_tree(size)
            .filter(|id| !id.is_full())
            .for_each(|id| put(id, &derive(&leaves, id).unwrap()));
        asked.extend([0, size / 3, size - 1].map(|index| (size, index)));
    }
    let questions: Vec<Value> = asked.iter().map(|(size, index)| question(*size, *index)).collect();
    for (answer, (size, index)) in ask(oracle, &questions).iter().zip(&asked) {
        assert_eq!(answer["Holds"], true, "{index} of {size}: {}", answer["Why"]);
        let ours = inclusion(&leaves, *index, *size).unwrap();
        let theirs = if ours.is_empty() { Value::Null } else { path_json(&ours) };
        assert_eq!(answer["Path"], theirs, "{index} of {size}");
    }
    let mut bytes = std::fs::read(folder.path().join("tile/0/000")).unwrap();
    bytes[0] ^= 1;
    put(TileId::full(0, 0), &bytes);
    expect(oracle, vec![(false, question(66_000, 0)), (true, question(66_000, 65_900))]);
}

#[test]
fn go_checks_the_proof_of_an_event_by_the_page_of_the_format() {
    let Some(oracle) = oracle() else { return };
    let scratch = Scratch::new();
    let mut writer = scratch.writer(6_000);
    while append(&mut writer, 7).unwrap().frame_no < 40 {}
    let hashes = TreeHashes::open(&scratch.store()).unwrap();
    let (key, size) = (scratch.key(), 39);
    let checkpoint = Checkpoint::sign(&key, size, root(&hashes, size).unwrap()).unwrap();
    let line = key.public().to_string();
    let mut questions = Vec::new();
    let mut lines = Vec::new();
    for segment in segments(&scratch.store()) {
        let mut reader = SegmentReader::open(&segment).unwrap().unwrap();
        while let Some(frame) = reader.next_frame().unwrap() {
            let header = frame.header;
            if header.count == 0 || header.frame_no >= size {
                continue;
            }
            frame.decompress(&mut lines).unwrap();
            let path = inclusion(&hashes, header.frame_no, size).unwrap();
            let place = u32::try_from(header.frame_no).unwrap() % header.count;
            let proof = EventProof::make(&header, &lines, place, path, checkpoint.clone()).unwrap();
            assert!(proof.verify(key.public()).is_ok());
            questions.push((true, json!({"Kind": "proof", "Key": line, "Text": proof.to_string()})));
            if header.frame_no == 20 {
                for changed in mutations(&proof.to_string()) {
                    let ours =
                        EventProof::parse(changed.as_bytes()).map(|proof| proof.verify(key.public()).is_ok());
                    assert!(!matches!(ours, Ok(true)), "{changed}");
                    questions.push((false, json!({"Kind": "proof", "Key": line, "Text": changed})));
                }
            }
        }
    }
    assert!(questions.len() > 150, "{}", questions.len());
    expect(oracle, questions);
}

#[test]
fn go_reads_the_checkpoint_and_the_tiles_that_a_recorder_leaves() {
    let Some(oracle) = oracle() else { return };
    let scratch = Scratch::new();
    let mut writer = scratch.writer(30_000);
    while append(&mut writer, 2).unwrap().frame_no < 600 {}
    writer.close(scratch::EPOCH).unwrap();
    let note = std::fs::read_to_string(scratch.state().join("checkpoint")).unwrap();
    let checkpoint = Checkpoint::parse(note.as_bytes()).unwrap();
    let size = checkpoint.size();
    assert!(size > 600, "{note}");
    // Full tiles are the recorder's own; a server of the log would derive the partial ones like this.
    let folder = tempfile::tempdir().unwrap();
    let hashes = TreeHashes::open(&scratch.store()).unwrap();
    for id in TileId::of_tree(size) {
        let path = folder.path().join(id.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if id.is_full() {
            std::fs::copy(scratch.store().join(id.path()), path).unwrap();
        } else {
            std::fs::write(path, derive(&hashes, id).unwrap()).unwrap();
        }
    }
    let key = scratch.key().public().to_string();
    let root = base64(checkpoint.root());
    let tiles = |index: u64| json!({"Kind": "tiles", "Store": folder.path(), "Size": size, "Root": root, "Index": index});
    let mut questions = vec![(true, json!({"Kind": "note", "Key": key, "Text": note}))];
    questions.extend([0, 255, 256, 511, 512, size - 1].map(|index| (true, tiles(index))));
    expect(oracle, questions);
}
