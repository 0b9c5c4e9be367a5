//! Counters of runs: every hook has one, which its program adds to first of all. They prove that a hook fires.

use crate::syscall::SYSCALLS;

/// Counters there are: exits of system calls, entries, calls into libpam, processes.
pub const RUNS: u32 = PROCESS + 8;
const PAM: u32 = 2 * SYSCALLS as u32;
const PAM_CALLS: u32 = 32;
const PROCESS: u32 = PAM + PAM_CALLS;

/// `sched_process_fork`.
pub const FORK: u32 = PROCESS;
/// `sched_process_exec`.
pub const EXEC: u32 = PROCESS + 1;
/// `sched_prepare_exec`.
pub const PREPARE_EXEC: u32 = PROCESS + 2;
/// `sched_process_exit`.
pub const EXIT: u32 = PROCESS + 3;

/// The exit of a system call; beyond every counter when the number is.
#[must_use]
pub const fn exit_of(number: u32) -> u32 {
    if number < SYSCALLS as u32 { number } else { RUNS }
}

/// The entry of a system call; beyond every counter when the number is.
#[must_use]
pub const fn entry_of(number: u32) -> u32 {
    if number < SYSCALLS as u32 { SYSCALLS as u32 + number } else { RUNS }
}

/// A call into libpam ([`crate::sample::pam`]), at its return or at its entry.
#[must_use]
pub const fn pam(call: u64, at_return: bool) -> u32 {
    if call < PAM_CALLS as u64 / 2 { PAM + 2 * call as u32 + at_return as u32 } else { RUNS }
}
