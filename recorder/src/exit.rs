//! The exit codes, one table.
