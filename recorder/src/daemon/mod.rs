//! Wiring: the only place that starts threads.
