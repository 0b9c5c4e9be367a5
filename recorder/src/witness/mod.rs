//! `recorder witness`: remembers, for each host, the newest checkpoint it cosigned, and cosigns only what continues it.
//!
//! A C2SP tlog-witness (<https://c2sp.org/tlog-witness>). It has no privilege and runs where the root of the recorded hosts
//! has no say. It never forgets a host: a witness that does can be told another history.
#![forbid(unsafe_code)]

pub mod decision;
pub mod hosts;
mod http;
pub mod server;
mod tls;

use std::path::PathBuf;

use crate::chain::checkpoint::CheckpointError;
use crate::chain::key::KeyError;
use crate::store::StoreError;

/// What can go wrong with a witness. Each message names the path and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The system refused.
    #[error("{path}: {action} failed: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that is none.
    #[error("{path}: not a key: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// What was kept of a host can't be read.
    #[error("{path}: not a checkpoint: {source}; this host gets no cosignature until the file is restored, or the host is \
             enrolled at another witness", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// The memory of a host is gone.
    #[error("{path} is gone: without it this witness could be told another history; restore it from a backup that is \
             up to date, or enrol the host at another witness", path = path.display())]
    Forgotten {
        /// The file.
        path: PathBuf,
    },
    /// Another key for a name that is known.
    #[error(
        "{origin} is known with another key ({known}); a host that lost its key goes on under a new name"
    )]
    OtherKey {
        /// The name.
        origin: String,
        /// The key that is known.
        known: String,
    },
    /// A second witness on the same folder.
    #[error("{path} is in use by another witness", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// No such folder, or no key in it.
    #[error("{path} has no key of a witness; `recorder witness key --name NAME` makes one", path = path.display())]
    NoKey {
        /// The folder.
        path: PathBuf,
    },
    /// The witness has its name for good.
    #[error("this witness is called {known}; its name is a part of its key and can't be changed")]
    OtherName {
        /// The name it has.
        known: String,
    },
    /// A file with the private key that is not as it must be.
    #[error(transparent)]
    Secret(#[from] StoreError),
    /// TLS that can't be set up.
    #[error("TLS: {path}: {what}", path = path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl WitnessError {
    /// For `map_err`: the system refused `action` on `path`.
    fn io(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}
