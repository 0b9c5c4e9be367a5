//! Checkpoints outside the host: how a witness is asked, and where its answers are kept.
//!
//! What is cosigned stands for itself: whoever has the keys of a policy can check it, wherever the file comes from.
#![forbid(unsafe_code)]

pub mod client;
pub mod receipts;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::chain::checkpoint::CheckpointError;
use crate::chain::key::OriginPublic;
use crate::chain::policy::{MAX_POLICY, Policy, PolicyError};

/// What can go wrong with anchors. Each message names the path.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
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
    /// A policy that is none.
    #[error("{path}: {source}", path = path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Which line, and why.
        source: PolicyError,
    },
    /// A file that is no checkpoint.
    #[error("{path}: not a checkpoint: {source}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// A certificate file that is none.
    #[error("{path}: no certificate authority: {what}", path = path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A second one that sends the same log.
    #[error("{path} is in use by another `recorder ship`", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl AnchorError {
    /// For `map_err`: the system refused `action` on `path`.
    fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}

/// Reads a policy file.
///
/// # Errors
/// When it can't be read, or is no policy.
pub fn read_policy(path: &Path) -> Result<Policy, AnchorError> {
    let parsed = Policy::parse(&read(path)?);
    parsed.map_err(|source| AnchorError::Policy { path: path.to_owned(), source })
}

/// The keys of the `log` lines of a policy, or of a file that has nothing else.
///
/// # Errors
/// When the file can't be read, or a line is wrong.
pub fn read_log_lines(path: &Path) -> Result<Vec<OriginPublic>, AnchorError> {
    let parsed = Policy::parse_logs(&read(path)?);
    parsed.map_err(|source| AnchorError::Policy { path: path.to_owned(), source })
}

/// One byte more than a policy can have, at most.
fn read(path: &Path) -> Result<Vec<u8>, AnchorError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_POLICY as u64 + 1).read_to_end(&mut bytes))
        .map_err(AnchorError::io(path, "reading"))?;
    Ok(bytes)
}
