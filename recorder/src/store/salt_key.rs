//! Where the key of the redaction salts lives: `redact.key` in the state directory, root's alone. See
//! [`crate::redact::commitment`].

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{StoreError, secret_file};
use crate::chain::{hex, unhex};
use crate::redact::commitment::SaltKey;

/// Its file, in the state directory.
const KEY_FILE: &str = "redact.key";

/// Path of the key of a state directory.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(KEY_FILE)
}

/// The key; `None` when there is none, because nothing was recorded yet or somebody deleted it.
///
/// # Errors
/// When it can't be read, others could have read it, or it is no key.
pub fn load(state_dir: &Path) -> Result<Option<SaltKey>, StoreError> {
    let path = path(state_dir);
    let Some(text) = secret_file::read(&path)? else { return Ok(None) };
    let bytes = unhex::<32>(&text).map(Zeroizing::new).ok_or_else(|| StoreError::Unusable {
        path: path.clone(),
        what: "not a key of 64 hexadecimal digits; delete it to begin with a new one: what is redacted by now can't be \
               proved then"
            .to_owned(),
    })?;
    Ok(Some(SaltKey::new(&bytes)))
}

/// The key, a new one when there is none; the directory exists.
///
/// # Errors
/// As [`load`], or when it can't be written.
pub fn load_or_make(state_dir: &Path) -> Result<SaltKey, StoreError> {
    if let Some(key) = load(state_dir)? {
        return Ok(key);
    }
    let path = path(state_dir);
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|error| StoreError::Unusable {
        path: path.clone(),
        what: format!("no random bytes for a key: {error}"),
    })?;
    secret_file::write(&path, &Zeroizing::new(hex(bytes.as_ref())))?;
    Ok(SaltKey::new(&bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_is_root_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).unwrap().is_none());
        let made = load_or_make(folder.path()).unwrap();
        assert_eq!(load_or_make(folder.path()).unwrap().id(), made.id());
        let mode = std::fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_others_may_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        load_or_make(folder.path()).unwrap();
        let key = path(folder.path());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("redact.key") && message.contains("chmod 0600"), "{message}");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&key, "00\n").unwrap();
        let message = load_or_make(folder.path()).unwrap_err().to_string();
        assert!(message.contains("not a key of 64 hexadecimal digits"), "{message}");
    }
}
