//! Append-only segments on disk.
