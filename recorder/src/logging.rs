//! Log lines about the recorder itself, on stderr.
