//! Section `[anchor]`: where checkpoints are cosigned.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Broken, Period, Store};

/// Section `[anchor]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anchor {
    /// File with the witnesses and how many are enough (C2SP tlog-policy); empty for no anchors.
    pub policy: PathBuf,
    /// Folder of the cosigned checkpoints. Follows `store.dir` (plus `.ship`) when only that is set.
    pub receipts: PathBuf,
    /// Certificate authorities to trust instead of those of the web; empty for those.
    pub ca_file: PathBuf,
    /// How long a witness may take to answer.
    pub timeout: Period,
}

impl Default for Anchor {
    fn default() -> Self {
        Self {
            policy: PathBuf::new(),
            receipts: "/var/lib/recorder-ship".into(),
            ca_file: PathBuf::new(),
            timeout: Period::seconds(10),
        }
    }
}

impl Anchor {
    /// The path, where one is set.
    #[must_use]
    pub fn set(path: &Path) -> Option<&Path> {
        Some(path).filter(|path| !path.as_os_str().is_empty())
    }

    pub(super) fn judge(&self, store: &Store) -> Result<(), Broken> {
        for (key, path) in [
            ("anchor.policy", &self.policy),
            ("anchor.receipts", &self.receipts),
            ("anchor.ca_file", &self.ca_file),
        ] {
            if Self::set(path).is_some_and(|path| !path.is_absolute()) {
                return Err((key, format!("`{}` is not an absolute path", path.display())));
            }
        }
        if self.receipts.as_os_str().is_empty() || self.receipts.starts_with(&store.dir) {
            return Err((
                "anchor.receipts",
                "must be a folder outside store.dir, which only the recorder writes".into(),
            ));
        }
        if self.timeout < Period::seconds(1) || self.timeout > Period::minutes(5) {
            return Err(("anchor.timeout", format!("{} is not between 1s and 5m", self.timeout)));
        }
        Ok(())
    }
}

/// Where receipts are of a store that is not at the usual place.
pub(super) fn receipts_directory(store: &Path) -> PathBuf {
    let mut beside = store.as_os_str().to_owned();
    beside.push(".ship");
    PathBuf::from(beside)
}
