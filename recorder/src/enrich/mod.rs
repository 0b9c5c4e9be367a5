//! Who did it: completes events from the process table, cgroups and PAM calls.
