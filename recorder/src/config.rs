//! Configuration: one struct per section, defaults in one place, and for each value where it came from.
mod error;
mod file;
mod origin;
mod quantity;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use origin::{Origin, Origins, Setting};
pub use quantity::{Limit, Period, Size};

use crate::daemon::control::{Retention, state_directory};
use crate::redact::pattern::Patterns;
use crate::store::retention::{Hold, Policy};
use crate::store::writer::Immutable;
use globset::{Glob, GlobBuilder};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where the configuration is when nobody names a file. Drop-ins are in the folder of the same name plus `.d`.
pub const DEFAULT_FILE: &str = "/etc/recorder/recorder.toml";

/// Most ranges that are held; each removal tells all of them.
const MAX_HOLDS: usize = 64;

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how the record is kept.
    pub store: Store,
    /// What is recorded.
    pub capture: Capture,
    /// What is blanked in it.
    pub redact: Redact,
    /// Where its checkpoints are cosigned.
    pub anchor: Anchor,
}

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

/// Section `[capture]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Paths whose changes are not recorded; `*` stops at `/`, `**` does not.
    pub exclude: Vec<String>,
    /// Ring for execs, logins and the like.
    pub ring_critical: Size,
    /// Ring for file changes.
    pub ring_files: Size,
    /// By which hooks file changes are seen.
    pub family: Family,
    /// How often every hook is made to fire, to prove that it does.
    pub canary: Limit<Period>,
    /// What happens when events are lost.
    pub on_loss: OnLoss,
    /// The command that stops the machine, when it is to be stopped.
    pub halt_command: Vec<String>,
}

/// By which hooks file changes are seen (docs/design.md, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// By the functions that every change passes, where the kernel allows that; system calls for the rest.
    #[default]
    Auto,
    /// By system calls alone.
    Syscall,
}

impl Family {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Syscall => "syscall",
        }
    }
}

/// Section `[redact]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redact {
    /// Whether secrets in arguments are blanked at all.
    pub enabled: bool,
    /// Whether the built-in rules are in force.
    pub builtin: bool,
    /// Own rules: regular expressions over the command line with a group `secret`.
    pub patterns: Vec<String>,
}

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

/// What happens when evidence is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum OnLoss {
    /// The loss is recorded, nothing else.
    Record,
    /// The loss is recorded, and the machine stopped.
    Halt,
}

impl TryFrom<String> for OnLoss {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "record" => Ok(Self::Record),
            "halt" => Ok(Self::Halt),
            "throttle" => Err(
                "`throttle` can't be had: a probe may not sleep, so nothing lets a caller wait for room; \
                               use larger rings, or \"halt\""
                    .to_owned(),
            ),
            other => Err(format!("`{other}` is neither \"record\" nor \"halt\"")),
        }
    }
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

impl Default for Capture {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            ring_critical: Size::mebibytes(4),
            ring_files: Size::mebibytes(16),
            family: Family::Auto,
            // Twice a minute: what is dead shows within one.
            canary: Limit::At(Period::seconds(30)),
            on_loss: OnLoss::Record,
            halt_command: ["systemctl", "halt", "--force"].map(str::to_owned).to_vec(),
        }
    }
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

impl Default for Redact {
    fn default() -> Self {
        Self { enabled: true, builtin: true, patterns: Vec::new() }
    }
}

impl Config {
    /// Reads `path` and its drop-ins, in lexical order; later files win. Without a path: [`DEFAULT_FILE`], which may
    /// be missing. Fails on the first thing that is wrong, naming file, line and key.
    pub fn load(path: Option<&Path>) -> Result<(Self, Origins), ConfigError> {
        let (mut config, origins) = file::load(path)?;
        if !origins.is_default("store.dir") && origins.is_default("store.state_dir") {
            config.store.state_dir = state_directory(&config.store.dir);
        }
        if !origins.is_default("store.dir") && origins.is_default("anchor.receipts") {
            config.anchor.receipts = receipts_directory(&config.store.dir);
        }
        if let Err((key, message)) = config.judge() {
            return Err(origins.blame(key, message));
        }
        Ok((config, origins))
    }

    /// The same configuration for another store, as `--store DIR` asks: its state lies beside it.
    #[must_use]
    pub fn at(mut self, store: &Path) -> Self {
        if store != self.store.dir {
            self.store.dir = store.to_owned();
            self.store.state_dir = state_directory(store);
            self.anchor.receipts = receipts_directory(store);
        }
        self
    }

    /// Every setting with its value and where that came from, in the order of the documentation.
    #[must_use]
    pub fn settings(&self, origins: &Origins) -> Vec<Setting> {
        origin::settings(self, origins)
    }

    /// The rules that go beyond a value's own form. The error is the key and what is wrong.
    fn judge(&self) -> Result<(), (&'static str, String)> {
        let Self { store, capture, redact, anchor } = self;
        for (key, dir) in [("store.dir", &store.dir), ("store.state_dir", &store.state_dir)] {
            if !dir.is_absolute() {
                return Err((key, format!("`{}` is not an absolute path", dir.display())));
            }
        }
        if store.state_dir.starts_with(&store.dir) {
            return Err((
                "store.state_dir",
                "lies inside store.dir, where the key would leave with the record".into(),
            ));
        }
        if store.group.is_empty() || store.group.contains([':', '/', ' ']) {
            return Err(("store.group", format!("`{}` is not a group's name", store.group)));
        }
        within("store.segment_size", store.segment_size, Size::mebibytes(1), Size::mebibytes(4096))?;
        if store.segment_age < Period::minutes(1) || store.segment_age > Period::hours(24 * 7) {
            return Err(("store.segment_age", format!("{} is not between 1m and 7 days", store.segment_age)));
        }
        store.judge_retention()?;
        for (key, size) in
            [("capture.ring_critical", capture.ring_critical), ("capture.ring_files", capture.ring_files)]
        {
            within(key, size, Size::mebibytes(1), Size::mebibytes(512))?;
            if !size.bytes().is_power_of_two() {
                return Err((key, format!("{size} is not a power of two, which the kernel wants of a ring")));
            }
        }
        if let Some(every) =
            capture.canary.get().filter(|every| !every.is_within(Period::seconds(1), Period::hours(1)))
        {
            return Err(("capture.canary", format!("{every} is not between 1s and 1h")));
        }
        if capture.halt_command.first().is_none_or(String::is_empty) {
            return Err(("capture.halt_command", "names no program".to_owned()));
        }
        for pattern in &capture.exclude {
            glob(pattern).map_err(|error| ("capture.exclude", error.to_string()))?;
        }
        Patterns::compile(&redact.patterns).map_err(|error| ("redact.patterns", error.to_string()))?;
        anchor.judge(store)
    }
}

impl Anchor {
    /// The path, where one is set.
    #[must_use]
    pub fn set(path: &Path) -> Option<&Path> {
        Some(path).filter(|path| !path.as_os_str().is_empty())
    }

    fn judge(&self, store: &Store) -> Result<(), (&'static str, String)> {
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
fn receipts_directory(store: &Path) -> PathBuf {
    let mut beside = store.as_os_str().to_owned();
    beside.push(".ship");
    PathBuf::from(beside)
}

impl Store {
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

    fn judge_retention(&self) -> Result<(), (&'static str, String)> {
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

impl Capture {
    /// The `exclude` patterns, compiled. [`Config::load`] has checked them.
    pub fn exclude_globs(&self) -> Result<Vec<Glob>, globset::Error> {
        self.exclude.iter().map(|pattern| glob(pattern)).collect()
    }
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

fn within(key: &'static str, size: Size, least: Size, most: Size) -> Result<(), (&'static str, String)> {
    if size < least || size > most {
        return Err((key, format!("{size} is not between {least} and {most}")));
    }
    Ok(())
}
