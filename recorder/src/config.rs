//! Configuration: one struct per section, defaults, validation.
