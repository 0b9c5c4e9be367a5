//! The newest checkpoint of a host, in the state directory: replaced as a whole, so that a reader sees one or the other.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

use super::directory::Directory;
use super::medium::share;
use super::reader::SegmentReader;
use super::{CHECKPOINT_BESIDE, CHECKPOINT_FILE, StoreError};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::note::MAX_NOTE;

/// Replaces the checkpoint. Everything it covers must be durable; it need not be itself: an older one is as true. But no
/// crash may leave its name without its bytes: the next start would not take that for a checkpoint.
pub(super) fn replace(state_dir: &Path, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let path = state_dir.join(CHECKPOINT_FILE);
    let beside = state_dir.join(CHECKPOINT_BESIDE);
    let mode = Mode::from_raw_mode(0o640);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&beside)
        .and_then(|mut file| {
            share(&file, std::fs::metadata(state_dir)?.gid(), mode)?;
            file.write_all(checkpoint.to_string().as_bytes())?;
            file.sync_data()
        })
        .and_then(|()| std::fs::rename(&beside, &path));
    written.map_err(StoreError::io(&path, "writing the checkpoint"))
}

/// The checkpoint in a file; `None` when there is no such file.
///
/// # Errors
/// When it can't be read, or is not a checkpoint.
pub fn read(path: &Path) -> Result<Option<Checkpoint>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(path, "opening the checkpoint")(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_NOTE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(StoreError::io(path, "reading the checkpoint"))?;
    let parsed = Checkpoint::parse(&bytes);
    parsed.map(Some).map_err(|source| StoreError::Checkpoint { path: path.to_owned(), source })
}

/// The newest checkpoint that the segments themselves have, in a seal: a copy of a store has no other. Nothing in it is
/// checked yet.
///
/// # Errors
/// When the store can't be read.
pub fn newest_in_seals(directory: &Directory) -> Result<Option<Checkpoint>, StoreError> {
    for segment in directory.segments().iter().rev() {
        let Ok(Some(mut reader)) = SegmentReader::open(&segment.path) else { continue };
        // A damaged segment has no seal that could be believed.
        while let Ok(Some(frame)) = reader.next_header() {
            if frame.header.is_seal() {
                let note = reader.seal_checkpoint(&frame)?;
                if let Ok(checkpoint) = Checkpoint::parse(&note) {
                    return Ok(Some(checkpoint));
                }
            }
        }
    }
    Ok(None)
}
