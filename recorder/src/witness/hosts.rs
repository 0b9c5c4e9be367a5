//! What a witness keeps: its key, and for each host the key and the newest checkpoint it cosigned, a folder a host.
//!
//! A checkpoint is durable before anybody sees its cosignature; it is replaced as a whole, so that a kill leaves the one or
//! the other. A host counts as known once its key is there, and its checkpoint file is there from then on, empty at first:
//! one that is missing was lost, and is never taken for a host that is new.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use zeroize::Zeroizing;

use super::WitnessError;
use super::decision::{Refusal, decide};
use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::note::MAX_NOTE;
use crate::chain::witness_key::WitnessKey;
use crate::chain::{Hash, hex, sha256};
use crate::store::{StoreError, secret_file};

const KEY_FILE: &str = "witness.key";
const LOCK_FILE: &str = "lock";
const HOSTS: &str = "hosts";
const HOST_KEY: &str = "key";
const NEWEST: &str = "checkpoint";
const BESIDE: &str = "checkpoint.new";
const CONFLICT: &str = "conflict-";
/// Most pieces of evidence that are kept of a host: one is enough, and the host can make as many as it likes.
const MAX_CONFLICTS: usize = 64;
/// Key files are one short line.
const MAX_KEY: u64 = 4096;

/// Loads the key of the witness in `dir`; makes it, and the folder, when a name is given and there is none.
///
/// # Errors
/// When there is none, or it can't be read or made, or it has another name.
pub fn key(dir: &Path, name: Option<&str>) -> Result<WitnessKey, WitnessError> {
    let path = dir.join(KEY_FILE);
    if let Some(text) = secret_file::read(&path)? {
        let key = WitnessKey::from_private_text(&text)
            .map_err(|source| WitnessError::Key { path: path.clone(), source })?;
        return match name {
            Some(name) if name != key.public().name() => {
                Err(WitnessError::OtherName { known: key.public().name().to_owned() })
            }
            _ => Ok(key),
        };
    }
    let name = name.ok_or_else(|| WitnessError::NoKey { path: dir.to_owned() })?;
    make_folder(dir)?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| {
        let what = format!("no random bytes for a key: {error}");
        WitnessError::Secret(StoreError::Unusable { path: path.clone(), what })
    })?;
    let key = WitnessKey::from_seed(name, &seed)
        .map_err(|source| WitnessError::Key { path: path.clone(), source })?;
    secret_file::write(&path, &key.to_private_text())?;
    Ok(key)
}

/// Makes a host known; says whether it was not. A witness that runs needs no restart for it.
///
/// # Errors
/// When it can't be written, or its name is known with another key.
pub fn add(dir: &Path, host: &OriginPublic) -> Result<bool, WitnessError> {
    let folder = folder_of(dir, host.name());
    if let Some(known) = read_key(&folder)? {
        if known != *host {
            let (origin, known) = (host.name().to_owned(), known.to_string());
            return Err(WitnessError::OtherKey { origin, known });
        }
        return Ok(false);
    }
    make_folder(dir)?;
    make_folder(&dir.join(HOSTS))?;
    make_folder(&folder)?;
    let newest = folder.join(NEWEST);
    let made = OpenOptions::new().append(true).create(true).mode(0o640).open(&newest);
    made.and_then(|file| file.sync_all()).map_err(WitnessError::io(&newest, "making"))?;
    replace(&folder, HOST_KEY, &format!("{host}\n"))?;
    Ok(true)
}

/// The hosts that the witness in `dir` knows, with their newest checkpoints, by name.
///
/// # Errors
/// When they can't be read.
pub fn list(dir: &Path) -> Result<Vec<(OriginPublic, Option<Checkpoint>)>, WitnessError> {
    let path = dir.join(HOSTS);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(WitnessError::io(&path, "reading"))?,
    };
    let mut hosts = Vec::new();
    for entry in entries {
        let folder = entry.map_err(WitnessError::io(&path, "reading"))?.path();
        if let Some(key) = read_key(&folder)? {
            hosts.push((key, read_newest(&folder)?));
        }
    }
    hosts.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
    Ok(hosts)
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// Cosigned: the signature line, without its newline.
    Cosigned(String),
    /// Not cosigned, for that reason.
    Refused(Refusal),
}

/// The hosts of a witness that runs.
#[derive(Debug)]
pub struct Hosts {
    dir: PathBuf,
    key: WitnessKey,
    /// By the hash of the name. Only hosts that are enrolled get in, so strangers can't make it grow.
    known: Mutex<HashMap<Hash, Arc<Host>>>,
    _lock: File,
}

#[derive(Debug)]
struct Host {
    folder: PathBuf,
    key: OriginPublic,
    newest: Mutex<Option<Checkpoint>>,
}

impl Hosts {
    /// Takes over the folder; a second witness on it is refused, since both would remember different things.
    ///
    /// # Errors
    /// When it is in use, has no key, or what it has can't be read.
    pub fn open(dir: &Path, name: Option<&str>) -> Result<Self, WitnessError> {
        let key = key(dir, name)?;
        let path = dir.join(LOCK_FILE);
        let lock = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let lock = lock.map_err(WitnessError::io(&path, "opening"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| WitnessError::InUse { path: dir.to_owned() })?;
        // Each one is read now: what is lost is said at the start and not when its host asks.
        list(dir)?;
        Ok(Self { dir: dir.to_owned(), key, known: Mutex::default(), _lock: lock })
    }

    /// The key that cosigns.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Decides about a request and cosigns at `time`, seconds since 1970. `None` when the host is not known.
    ///
    /// # Errors
    /// When the newest checkpoint can't be kept: then nothing is cosigned.
    pub fn take(&self, request: &AddCheckpoint, time: u64) -> Result<Option<Outcome>, WitnessError> {
        let Some(host) = self.host(sha256(request.checkpoint.origin().as_bytes()))? else { return Ok(None) };
        // Held over decision and write, so that no second request of the host is decided by what is old by then.
        let mut newest = host.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(refusal) = decide(request, &host.key, newest.as_ref()) {
            if matches!(refusal, Refusal::Inconsistent { .. }) {
                host.keep_evidence(request, newest.as_ref())?;
            }
            return Ok(Some(Outcome::Refused(refusal)));
        }
        let mut cosigned = request.checkpoint.bare(&host.key);
        let line = self.key.cosign(&cosigned, time);
        let path = host.folder.join(NEWEST);
        cosigned.add(&line).map_err(|source| WitnessError::Checkpoint { path, source })?;
        replace(&host.folder, NEWEST, &cosigned.to_string())?;
        *newest = Some(cosigned);
        Ok(Some(Outcome::Cosigned(line)))
    }

    /// The newest checkpoint of the host whose name has that hash, with our cosignature.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn newest(&self, origin: Hash) -> Result<Option<Checkpoint>, WitnessError> {
        let host = self.host(origin)?;
        Ok(host.and_then(|host| host.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn host(&self, origin: Hash) -> Result<Option<Arc<Host>>, WitnessError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.get(&origin) {
            return Ok(Some(Arc::clone(host)));
        }
        let folder = self.dir.join(HOSTS).join(hex(&origin));
        let Some(key) = read_key(&folder)? else { return Ok(None) };
        let newest = Mutex::new(read_newest(&folder)?);
        let host = Arc::new(Host { folder, key, newest });
        known.insert(origin, Arc::clone(&host));
        Ok(Some(host))
    }
}

impl Host {
    /// Keeps what the host signed against its own history, once each.
    fn keep_evidence(&self, request: &AddCheckpoint, known: Option<&Checkpoint>) -> Result<(), WitnessError> {
        let text = format!("{}\n{request}", known.map_or_else(String::new, ToString::to_string));
        let digest = hex(&sha256(text.as_bytes()));
        let name = format!("{CONFLICT}{}", digest.get(..16).unwrap_or(&digest));
        let entries = std::fs::read_dir(&self.folder).map_err(WitnessError::io(&self.folder, "reading"))?;
        let kept =
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(CONFLICT));
        if kept.count() >= MAX_CONFLICTS || self.folder.join(&name).exists() {
            return Ok(());
        }
        replace(&self.folder, &name, &text)
    }
}

fn folder_of(dir: &Path, origin: &str) -> PathBuf {
    dir.join(HOSTS).join(hex(&sha256(origin.as_bytes())))
}

fn read_key(folder: &Path) -> Result<Option<OriginPublic>, WitnessError> {
    let path = folder.join(HOST_KEY);
    let Some(bytes) = read(&path, MAX_KEY)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let key = OriginPublic::parse(text.trim_end_matches('\n'));
    key.map(Some).map_err(|source| WitnessError::Key { path, source })
}

fn read_newest(folder: &Path) -> Result<Option<Checkpoint>, WitnessError> {
    let path = folder.join(NEWEST);
    match read(&path, MAX_NOTE as u64 + 1)? {
        None => Err(WitnessError::Forgotten { path }),
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) => {
            Checkpoint::parse(&bytes).map(Some).map_err(|source| WitnessError::Checkpoint { path, source })
        }
    }
}

/// At most so many bytes of a file; `None` when there is no such file.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, WitnessError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(WitnessError::io(path, "opening"))?,
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(WitnessError::io(path, "reading"))?;
    Ok(Some(bytes))
}

/// Puts a file in the place of another of that name, as a whole and durable.
fn replace(folder: &Path, name: &str, text: &str) -> Result<(), WitnessError> {
    let (path, beside) = (folder.join(name), folder.join(BESIDE));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&beside, &path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(WitnessError::io(&path, "writing"))
}

/// Makes a folder whose name is durable; one that is there stays as it is.
fn make_folder(path: &Path) -> Result<(), WitnessError> {
    match DirBuilder::new().mode(0o750).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(WitnessError::io(path, "making the folder"))?,
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)
        .and_then(|above| above.sync_all())
        .map_err(WitnessError::io(above, "making the folder durable"))
}

#[cfg(test)]
mod tests;
