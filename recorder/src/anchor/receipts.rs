//! Cosigned checkpoints as files: for each witness the newest one it cosigned, and the newest one that enough of them did.
//! Replaced as a whole, so that a reader sees one or the other.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::AnchorError;
use crate::chain::checkpoint::{Checkpoint, WitnessPublic};
use crate::chain::hex;
use crate::chain::note::MAX_NOTE;

/// The newest checkpoint that the quorum of the policy cosigned.
pub const ANCHORED: &str = "anchored.ckpt";
/// What these files end with.
const ENDING: &str = ".ckpt";
/// Most files that are read.
const MAX_FILES: usize = 256;

/// The folder, held by the one who writes into it.
#[derive(Debug)]
pub struct Receipts {
    dir: PathBuf,
    _lock: File,
}

impl Receipts {
    /// Takes over the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When another one holds it, or it can't be made.
    pub fn open(dir: &Path) -> Result<Self, AnchorError> {
        let made = DirBuilder::new().mode(0o750).create(dir);
        made.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
            .map_err(AnchorError::io(dir, "making the folder"))?;
        let path = dir.join("lock");
        let lock = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let lock = lock.map_err(AnchorError::io(&path, "opening"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| AnchorError::InUse { path: dir.to_owned() })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// What that witness cosigned last, as far as is known here; nothing in it is checked.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of(&self, witness: &WitnessPublic) -> Result<Option<Checkpoint>, AnchorError> {
        read(&self.dir.join(name_of(witness, "")))
    }

    /// Keeps what a witness cosigned.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, witness: &WitnessPublic, cosigned: &Checkpoint) -> Result<(), AnchorError> {
        self.replace(&name_of(witness, ""), cosigned)
    }

    /// Keeps what the quorum cosigned.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep_anchored(&self, cosigned: &Checkpoint) -> Result<(), AnchorError> {
        self.replace(ANCHORED, cosigned)
    }

    /// Keeps what a witness has of a longer, or another, history of this host.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep_evidence(&self, witness: &WitnessPublic, other: &Checkpoint) -> Result<(), AnchorError> {
        self.replace(&name_of(witness, "-set-back"), other)
    }

    fn replace(&self, name: &str, checkpoint: &Checkpoint) -> Result<(), AnchorError> {
        let path = self.dir.join(name);
        let beside = self.dir.join(format!("{name}.new"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(checkpoint.to_string().as_bytes())?;
                file.sync_data()
            })
            .and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(AnchorError::io(&path, "writing a receipt"))
    }
}

/// By its key: names of witnesses can have any letter.
fn name_of(witness: &WitnessPublic, what: &str) -> String {
    let id = hex(witness.id());
    format!("witness-{}{what}{ENDING}", id.get(..16).unwrap_or(&id))
}

/// The checkpoint in a file; `None` when there is no such file. Nothing in it is checked.
///
/// # Errors
/// When it can't be read, or is no checkpoint.
pub fn read(path: &Path) -> Result<Option<Checkpoint>, AnchorError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(AnchorError::io(path, "opening a receipt"))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_NOTE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(AnchorError::io(path, "reading a receipt"))?;
    let parsed = Checkpoint::parse(&bytes);
    parsed.map(Some).map_err(|source| AnchorError::Checkpoint { path: path.to_owned(), source })
}

/// Every receipt in a folder, which may not be there. Nothing in them is checked.
///
/// # Errors
/// When the folder or a file can't be read, or is no checkpoint.
pub fn read_all(dir: &Path) -> Result<Vec<Checkpoint>, AnchorError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(AnchorError::io(dir, "reading the receipts"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(AnchorError::io(dir, "reading the receipts"))?.path();
        if path.to_string_lossy().ends_with(ENDING) && names.len() < MAX_FILES {
            names.push(path);
        }
    }
    names.sort();
    let mut receipts = Vec::new();
    for path in names {
        receipts.extend(read(&path)?);
    }
    Ok(receipts)
}

#[cfg(test)]
mod tests {
    use super::{ANCHORED, Receipts, read_all};
    use crate::anchor::AnchorError;
    use crate::chain::checkpoint::Checkpoint;
    use crate::chain::key::OriginKey;
    use crate::chain::witness_key::WitnessKey;

    #[test]
    fn receipts_are_kept_by_witness_and_read_together() {
        let dir = tempfile::tempdir().unwrap();
        let origin = OriginKey::from_seed("host/recorder", &[1; 32]).unwrap();
        let witness = |seed| WitnessKey::from_seed("w/../../x", &[seed; 32]).unwrap().public().clone();
        let of = |size| Checkpoint::sign(&origin, size, [7; 32]).unwrap();
        let receipts = Receipts::open(dir.path()).unwrap();
        assert!(matches!(Receipts::open(dir.path()), Err(AnchorError::InUse { .. })));
        assert_eq!(receipts.of(&witness(1)).unwrap(), None);
        for size in [1, 2] {
            receipts.keep(&witness(1), &of(size)).unwrap();
        }
        receipts.keep(&witness(2), &of(3)).unwrap();
        receipts.keep_anchored(&of(1)).unwrap();
        receipts.keep_evidence(&witness(2), &of(9)).unwrap();
        assert_eq!(receipts.of(&witness(1)).unwrap().unwrap().size(), 2);
        let mut sizes: Vec<u64> = read_all(dir.path()).unwrap().iter().map(Checkpoint::size).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2, 3, 9]);
        std::fs::write(dir.path().join(ANCHORED), "nothing").unwrap();
        assert!(matches!(read_all(dir.path()), Err(AnchorError::Checkpoint { .. })));
        assert!(read_all(&dir.path().join("missing")).unwrap().is_empty());
    }
}
