//! The auditors' rows: what makes each happen, and what must be found.

pub mod calls;
pub mod rows;
