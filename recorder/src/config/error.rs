//! What can be wrong with a configuration; the message names file, line, key and the way out.
use std::path::PathBuf;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder that can't be read.
    #[error("could not read the configuration {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file too long to be a configuration.
    #[error("{} is longer than {limit} bytes, so it is no configuration", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Longest file that is read.
        limit: u64,
    },
    /// Not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key that nothing reads.
    #[error("{}:{line}: unknown key `{key}`{}", path.display(), suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key with its section, such as `store.dri`.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value that its key can't have.
    #[error("{}:{line}: `{key}`: {message}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 when the value is a default.
        line: usize,
        /// The key with its section.
        key: String,
        /// What is wrong.
        message: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; docs/operations.md lists the known ones".to_owned(),
        |key| format!("; did you mean `{key}`?"),
    )
}
