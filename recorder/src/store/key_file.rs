//! Where the origin key lives: the private half in the state directory, the public half beside the segments.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::access::make_directory;
use super::medium::{make_append_only, share};
use super::writer::Immutable;
use super::{ORIGIN_FILE, StoreError, secret_file};
use crate::chain::key::{OriginKey, OriginPublic};

const KEY_FILE: &str = "origin.key";
/// Key files are one short line.
const MAX_KEY: u64 = 4096;

/// Loads the private key. Makes one only for a store that has no segments (`used` is false).
pub(crate) fn load_or_make(
    state_dir: &Path,
    store: &Path,
    used: bool,
    readers: Option<u32>,
) -> Result<OriginKey, StoreError> {
    make_directory(state_dir, readers)?;
    let path = state_dir.join(KEY_FILE);
    if let Some(text) = secret_file::read(&path)? {
        return OriginKey::from_private_text(&text).map_err(|source| StoreError::Key { path, source });
    }
    if used {
        let what = format!(
            "it has segments, but their private key {} is missing; restore the key, or move the store away to begin a \
             new log under a new key",
            path.display()
        );
        return Err(StoreError::Unusable { path: store.to_owned(), what });
    }
    make(&path)
}

fn make(path: &Path) -> Result<OriginKey, StoreError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| StoreError::Unusable {
        path: path.to_owned(),
        what: format!("no random bytes for a key: {error}"),
    })?;
    let key = OriginKey::from_seed(&origin_name(), &seed)
        .map_err(|source| StoreError::Key { path: path.to_owned(), source })?;
    secret_file::write(path, &key.to_private_text())?;
    Ok(key)
}

/// `<host>/recorder`, without what a key name can't have.
fn origin_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let host: String = host.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    format!("{}/recorder", if host.is_empty() { "localhost" } else { &host })
}

/// Writes the public half into the store, or checks that the one there is the same. `used` says that the store has
/// segments.
pub(crate) fn publish(
    key: &OriginPublic,
    store: &Path,
    used: bool,
    immutable: Immutable,
) -> Result<(), StoreError> {
    let path = store.join(ORIGIN_FILE);
    let line = format!("{key}\n");
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path);
    let mut file = opened.map_err(StoreError::io(&path, "opening"))?;
    let mut there = Vec::new();
    (&file).take(MAX_KEY).read_to_end(&mut there).map_err(StoreError::io(&path, "reading"))?;
    if !used && !there.is_empty() && there.iter().all(|byte| *byte == 0) {
        // A power cut at the very first start left its length, not its bytes.
        file.set_len(0).map_err(StoreError::io(&path, "writing"))?;
        there.clear();
    }
    // A crash may have left the beginning of the line; the rest is appended.
    let Some(rest) = line.as_bytes().strip_prefix(there.as_slice()) else {
        let what = format!(
            "it names another origin key than this recorder's ({key}); restore the key of this store, or move the store \
             away to begin a new log"
        );
        return Err(StoreError::Unusable { path, what });
    };
    if there.is_empty() {
        std::fs::metadata(store)
            .and_then(|meta| share(&file, meta.gid(), Mode::from_raw_mode(0o640)))
            .map_err(StoreError::io(&path, "setting group and mode"))?;
    }
    if !rest.is_empty() {
        file.write_all(rest)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(store)?.sync_all())
            .map_err(StoreError::io(&path, "writing"))?;
    }
    // Only when its bytes are durable: what a crash leaves can be written again.
    match immutable {
        Immutable::Required => make_append_only(&file, &path),
        Immutable::Off => Ok(()),
    }
}
