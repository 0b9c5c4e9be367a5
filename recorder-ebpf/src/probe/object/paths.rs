//! Objects that a call names or has open: told by their `struct path`, with the outcome.
