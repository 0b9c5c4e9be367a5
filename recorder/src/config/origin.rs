//! Where each value came from: the default, or a line of a file.
use super::{Config, ConfigError};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// A line of a file set it last.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key with its section, such as `store.dir`.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The origin of each key that a file set, and the files that were read.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    set: BTreeMap<String, Origin>,
    files: Vec<PathBuf>,
}

impl Origins {
    /// Where a key's value came from.
    #[must_use]
    pub fn of(&self, key: &str) -> Origin {
        self.set.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Whether no file set this key.
    #[must_use]
    pub fn is_default(&self, key: &str) -> bool {
        !self.set.contains_key(key)
    }

    /// The files that were read, in order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn read(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    pub(super) fn set(&mut self, key: String, origin: Origin) {
        self.set.insert(key, origin);
    }

    /// The error for a value that breaks a rule, at the line that set it.
    pub(super) fn blame(&self, key: &str, message: String) -> ConfigError {
        let (path, line) = match self.of(key) {
            Origin::File { path, line } => (path, line),
            Origin::Default => (PathBuf::from("(default)"), 0),
        };
        ConfigError::Value { path, line, key: key.to_owned(), message }
    }
}

/// Every setting, by section and key.
pub(super) fn settings(config: &Config, origins: &Origins) -> Vec<Setting> {
    let table = toml::Table::try_from(config).unwrap_or_default();
    let mut settings = Vec::new();
    for (section, values) in &table {
        for (name, value) in values.as_table().into_iter().flatten() {
            let key = format!("{section}.{name}");
            let origin = origins.of(&key);
            settings.push(Setting { key, value: value.to_string(), origin });
        }
    }
    settings
}
