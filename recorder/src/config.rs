//! Configuration: one file per section with its defaults and rules, and for each value where it came from.

mod anchor;
mod capture;
mod error;
mod file;
mod origin;
mod quantity;
mod redact;
mod store;
#[cfg(test)]
mod tests;

pub use anchor::Anchor;
pub use capture::{Capture, Family, OnLoss};
pub use error::ConfigError;
pub use origin::{Origin, Origins, Setting};
pub use quantity::{Limit, Period, Size};
pub use redact::Redact;
pub use store::{Store, Switch};

use anchor::receipts_directory;
use serde::{Deserialize, Serialize};
use std::path::Path;

use crate::daemon::control::state_directory;

/// The key of a value that breaks a rule, and what is wrong with it.
type Broken = (&'static str, String);

/// Where the configuration is when nobody names a file. Drop-ins are in the folder of the same name plus `.d`.
pub const DEFAULT_FILE: &str = "/etc/recorder/recorder.toml";

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

    /// The rules that go beyond a value's own form.
    fn judge(&self) -> Result<(), Broken> {
        self.store.judge()?;
        self.capture.judge()?;
        self.redact.judge()?;
        self.anchor.judge(&self.store)
    }
}
