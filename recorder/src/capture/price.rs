//! What each program costs those who run into it: how often it ran, and the time that it took.

use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::programs::Program;
use aya::sys::{Stats, enable_stats};

use super::CaptureError;

/// One loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramPrice {
    /// Its name in the object.
    pub name: String,
    /// Attach family, as in [`ProbeRow`](super::ProbeRow).
    pub family: &'static str,
    /// How often it ran while somebody counted.
    pub runs: u64,
    /// How long that took together.
    pub nanoseconds: u64,
}

/// Has the kernel count runs of all programs until what is returned is dropped; nothing on the machine stays changed.
///
/// # Errors
/// Without CAP_SYS_ADMIN.
pub fn count_runs() -> Result<OwnedFd, CaptureError> {
    enable_stats(Stats::RunTime)
        .map_err(|error| CaptureError::Permission { what: format!("BPF_ENABLE_STATS: {error}") })
}

/// Every loaded program, by name.
pub(super) fn of(ebpf: &Ebpf) -> Vec<ProgramPrice> {
    let price = |(name, program): (&str, &Program)| {
        let info = program.info().ok()?;
        let family = match program {
            Program::FEntry(_) | Program::FExit(_) => "object",
            Program::TracePoint(_) => "syscall",
            Program::UProbe(_) => "pam",
            _ => "common",
        };
        let nanoseconds = u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX);
        Some(ProgramPrice { name: name.to_owned(), family, runs: info.run_count(), nanoseconds })
    };
    let mut prices: Vec<_> = ebpf.programs().filter_map(price).collect();
    prices.sort_by(|a, b| (a.family, &a.name).cmp(&(b.family, &b.name)));
    prices
}
