//! How the helper makes itself small: two capabilities, no dump, no file that it could write, and no system call but those
//! that attach a probe.

use std::collections::BTreeMap;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::CapabilitySet;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::daemon::privileges;

/// PERFMON for uprobes; SYS_ADMIN for the same from Linux 6.16 on, and to find the programs by their ids.
const KEPT: CapabilitySet = CapabilitySet::PERFMON.union(CapabilitySet::SYS_ADMIN);

/// Calls that any arguments are allowed to: the line, reading files, memory, attaching, and an end in order.
const CALLS: &[i64] = &[
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_uname,
    libc::SYS_getrandom,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up everything that the helper does without.
pub(super) fn give_up_everything() -> std::io::Result<()> {
    privileges::forbid_dumps()?;
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) })?;
    privileges::keep_only(KEPT)?;
    apply_filter(&filter().map_err(std::io::Error::other)?).map_err(|error| match error {
        Error::Prctl(error) | Error::Seccomp(error) => error,
        other => std::io::Error::other(other),
    })
}

/// The system calls that are left. Any other is refused, so that a kernel or a library that needs one more costs an error
/// and not the helper.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let when = |argument, operation, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)?;
        SeccompRule::new(vec![condition])
    };
    // For reading: the lowest two bits of the flags are the access.
    rules.insert(libc::SYS_openat, vec![when(2, SeccompCmpOp::MaskedEq(3), 0)?]);
    // Last words of a panic.
    rules.insert(libc::SYS_write, vec![when(0, SeccompCmpOp::Eq, 2)?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?.try_into()
}
