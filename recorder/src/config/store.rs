//! Section `[store]`: where the record is kept, how, and how long.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Broken, Limit, Period, Size};
use crate::daemon::control::Retention;
use crate::store::retention::{Hold, Policy};
use crate::store::writer::Immutable;

/// Most ranges that are held; each removal tells all of them.
const MAX_HOLDS: usize = 64;

/// Section `[store]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Folder of the record; readable by `group`.
    pub dir: PathBuf,
    /// Folder of the origin key: root's alone. Follows `dir` (plus `.state`) when only that is set.
    pub state_dir: PathBuf,
    /// Group that may read the record.
    pub group: String,
    /// A segment is closed when it has this many bytes.
    pub segment_size: Size,
    /// A segment is closed when its first event is this old.
    pub segment_age: Period,
    /// Whether files must carry the append-only flag.
    pub immutable: Switch,
    /// Segments that ended longer ago are removed.
    pub keep_age: Limit<Period>,
    /// The oldest segments are removed while all together are larger.
    pub keep_size: Limit<Size>,
    /// Ranges of time whose segments stay all the same.
    pub hold: Vec<Hold>,
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Required.
    On,
    /// Done without.
    Off,
}

impl From<Switch> for Immutable {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Required,
            Switch::Off => Self::Off,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            dir: "/var/log/recorder".into(),
            state_dir: "/var/lib/recorder".into(),
            group: "recorder".to_owned(),
            segment_size: Size::mebibytes(64),
            segment_age: Period::hours(1),
            immutable: Switch::On,
            keep_age: Limit::Off,
            keep_size: Limit::Off,
            hold: Vec::new(),
        }
    }
}

impl Store {
    pub(super) fn judge(&self) -> Result<(), Broken> {
        for (key, dir) in [("store.dir", &self.dir), ("store.state_dir", &self.state_dir)] {
            if !dir.is_absolute() {
                return Err((key, format!("`{}` is not an absolute path", dir.display())));
            }
        }
        if self.state_dir.starts_with(&self.dir) {
            return Err((
                "store.state_dir",
                "lies inside store.dir, where the key would leave with the record".into(),
            ));
        }
        if self.group.is_empty() || self.group.contains([':', '/', ' ']) {
            return Err(("store.group", format!("`{}` is not a group's name", self.group)));
        }
        self.segment_size.judge("store.segment_size", Size::mebibytes(1), Size::mebibytes(4096))?;
        if self.segment_age < Period::minutes(1) || self.segment_age > Period::hours(24 * 7) {
            return Err(("store.segment_age", format!("{} is not between 1m and 7 days", self.segment_age)));
        }
        self.judge_retention()
    }

    /// What is kept, for the writer.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            keep_age_ns: self.keep_age.get().map(Period::nanoseconds),
            keep_bytes: self.keep_size.get().map(Size::bytes),
            holds: self.hold.clone(),
        }
    }

    /// What is kept, for `status`.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention {
            keep_age: self.keep_age.get().map(String::from),
            keep_size: self.keep_size.get().map(String::from),
            hold: self.hold.iter().map(ToString::to_string).collect(),
        }
    }

    fn judge_retention(&self) -> Result<(), Broken> {
        if let Some(age) = self.keep_age.get().filter(|age| *age < Period::hours(1)) {
            return Err(("store.keep_age", format!("{age} is less than 1h")));
        }
        let two = self.segment_size.bytes().saturating_mul(2);
        if let Some(size) = self.keep_size.get().filter(|size| size.bytes() < two) {
            let message =
                format!("{size} is less than two segments (store.segment_size is {})", self.segment_size);
            return Err(("store.keep_size", message));
        }
        if self.hold.len() > MAX_HOLDS {
            return Err(("store.hold", format!("more than {MAX_HOLDS} ranges")));
        }
        Ok(())
    }
}
