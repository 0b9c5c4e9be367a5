//! How the helper makes itself small: no descriptor but its line and stderr, no capability but one, no dump, no signal
//! that ends it in passing, and no system call but those that it uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::CapabilitySet;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGIO, SIGTERM};

use super::protocol::Answer;
use crate::daemon::privileges;

/// `FS_IOC_GETFLAGS` and `FS_IOC_SETFLAGS` on 64-bit machines (`include/uapi/linux/fs.h`).
const FLAG_COMMANDS: [u64; 2] = [0x8008_6601, 0x4008_6602];

/// Calls that any arguments are allowed to: the line, looking at files, memory, and an end in order.
const CALLS: &[i64] = &[
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up everything that the helper does without; [`Answer::Done`] when that is so.
pub(super) fn give_up_everything() -> Answer {
    match try_to() {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::NoRight,
        Err(error) => Answer::Confine(error.raw_os_error().unwrap_or(0)),
    }
}

/// Whether the one right that is needed is left.
fn try_to() -> std::io::Result<bool> {
    privileges::forbid_dumps()?;
    privileges::close_all_but_standard()?;
    // It writes no file: not even one that it would be handed.
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The daemon ends the helper by closing the line, when the last segment is sealed. A service manager or a terminal
    // that signals both must not end it before. SIGIO belongs to leases.
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGIO] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let kept = privileges::keep_only(CapabilitySet::LINUX_IMMUTABLE)?;
    if kept != CapabilitySet::LINUX_IMMUTABLE {
        return Ok(false);
    }
    apply_filter(&filter().map_err(std::io::Error::other)?).map_err(|error| match error {
        Error::Prctl(error) | Error::Seccomp(error) => error,
        other => std::io::Error::other(other),
    })?;
    Ok(true)
}

/// The system calls that are left; any other ends the helper, which the daemon notices.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let is = |argument, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
        SeccompRule::new(vec![condition])
    };
    let commands = FLAG_COMMANDS.iter().map(|command| is(1, *command));
    rules.insert(libc::SYS_ioctl, commands.collect::<Result<_, _>>()?);
    // Plain files only: the flags of the call are zero.
    rules.insert(libc::SYS_unlinkat, vec![is(2, 0)?]);
    // Leases, and in a debug build a look whether what is closed is open.
    let controls = [libc::F_GETFD, libc::F_GETFL, libc::F_SETLEASE];
    let controls = controls.map(|control| is(1, u64::from(control.unsigned_abs())));
    rules.insert(libc::SYS_fcntl, controls.into_iter().collect::<Result<_, _>>()?);
    // Last words of a panic.
    rules.insert(libc::SYS_write, vec![is(0, 2)?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
}
