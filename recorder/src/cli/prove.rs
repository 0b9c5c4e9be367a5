//! `recorder prove SEQ`: a file with which anybody can check one event offline, and needs only the origin's public key.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::removed;
use super::scan::open_store;
use super::show::find_frame;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::proof::{MakeError, inclusion};
use crate::exit::Exit;
use crate::store::reader::Frame;
use crate::store::tree_hashes::TreeHashes;
use crate::store::{CHECKPOINT_FILE, checkpoint_file};
use crate::verify::event::EventProof;

const EXAMPLES: &str = "Examples:
  recorder prove 4711 --out 4711.tlog-proof
  recorder verify --proof 4711.tlog-proof --key web1.pub   on any host, without the store
The proof has the whole event in it, and nothing of the events beside it.";

/// Arguments of `prove`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of the event: its `seq`
    seq: u64,
    /// Checkpoint to prove it against, instead of the newest one of this host
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// File to write, instead of the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the proof.
///
/// # Errors
/// When the store can't be read or does not hold, or the proof can't be written.
pub fn run(store: &Path, state_dir: &Path, arguments: &Arguments) -> Result<Exit> {
    let seq = arguments.seq;
    // Before the store is looked at: whatever a checkpoint covers is in the store by then.
    let mut checkpoint = match &arguments.checkpoint {
        Some(file) => {
            Some(checkpoint_file::read(file)?.with_context(|| format!("{} is not there", file.display()))?)
        }
        None => newest_checkpoint(state_dir),
    };
    let directory = open_store(store)?;
    let key = directory.origin()?;
    let Some((frame, _)) = find_frame(store, seq)? else {
        removed::tell_missing(store, seq)?;
        return Ok(Exit::NOTHING);
    };
    let frame_no = frame.header.frame_no;
    let covers = |checkpoint: &Checkpoint| frame_no < checkpoint.size();
    if arguments.checkpoint.is_none() {
        // Beside a copy of a store there is none, or one of another host.
        checkpoint = checkpoint.filter(|found| covers(found) && found.verify(&key).is_ok());
        if checkpoint.is_none() {
            checkpoint = checkpoint_file::newest_in_seals(&directory)?;
        }
    }
    let Some(checkpoint) = checkpoint.filter(covers) else {
        eprintln!(
            "recorder: no checkpoint covers event {seq} yet (it is in frame {frame_no}); the recorder signs one at least \
             every 10 s while it records: try again then, or name one with --checkpoint"
        );
        return Ok(Exit::NOTHING);
    };
    checkpoint.verify(&key).with_context(|| format!("the checkpoint is not one of {key}"))?;
    let proof = prove(store, &frame, seq, &checkpoint, &key)?;
    write(arguments.out.as_deref(), &proof)?;
    Ok(Exit::OK)
}

/// The newest checkpoint of this host that can be read.
fn newest_checkpoint(state_dir: &Path) -> Option<Checkpoint> {
    checkpoint_file::read(&state_dir.join(CHECKPOINT_FILE)).unwrap_or_else(|error| {
        eprintln!("recorder: {error}");
        None
    })
}

/// A proof that holds: out of the tiles, or out of the frames alone where those are not right.
fn prove(
    store: &Path,
    frame: &Frame,
    seq: u64,
    checkpoint: &Checkpoint,
    key: &OriginPublic,
) -> Result<EventProof> {
    let with_tiles = make(&TreeHashes::open(store)?, frame, seq, checkpoint)?;
    if with_tiles.verify(key).is_ok() {
        return Ok(with_tiles);
    }
    let from_frames = make(&TreeHashes::without_tiles(store)?, frame, seq, checkpoint)?;
    if let Err(why) = from_frames.verify(key) {
        bail!("the store is not the one that the checkpoint is of: {why}; run `recorder verify`");
    }
    eprintln!(
        "recorder: the tiles of the store are wrong; the proof is made without them; run `recorder verify`"
    );
    Ok(from_frames)
}

fn make(hashes: &TreeHashes, frame: &Frame, seq: u64, checkpoint: &Checkpoint) -> Result<EventProof> {
    let header = &frame.header;
    let path = match inclusion(hashes, header.frame_no, checkpoint.size()) {
        Ok(path) => path,
        Err(MakeError::Source(error)) => return Err(error.into()),
        Err(MakeError::Proof(error)) => return Err(error.into()),
    };
    let mut lines = Vec::new();
    frame.decompress(&mut lines)?;
    let place = u32::try_from(seq - header.first_seq)?;
    Ok(EventProof::make(header, &lines, place, path, checkpoint.clone())?)
}

fn write(out: Option<&Path>, proof: &EventProof) -> Result<()> {
    let text = proof.to_string();
    match out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("writing {}", path.display())),
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
    }
}
