//! Counters of runs: every hook has one, which its program adds to first of all. They prove that a hook fires.

use crate::syscall::SYSCALLS;

/// Counters there are: exits of system calls, entries, calls into libpam, processes, programs with one place each.
pub const RUNS: u32 = SINGLE + SINGLES.len() as u32;
const PAM: u32 = 2 * SYSCALLS as u32;
const PAM_CALLS: u32 = 32;
const PROCESS: u32 = PAM + PAM_CALLS;
const SINGLE: u32 = PROCESS + 8;

/// `sched_process_fork`.
pub const FORK: u32 = PROCESS;
/// `sched_process_exec`.
pub const EXEC: u32 = PROCESS + 1;
/// `sched_prepare_exec`.
pub const PREPARE_EXEC: u32 = PROCESS + 2;
/// `sched_process_exit`.
pub const EXIT: u32 = PROCESS + 3;

/// Programs that are attached in one place: functions of the kernel, io_uring, loading of modules.
pub const SINGLES: &[&str] = &[
    "want_write",
    "want_write_file",
    "execve_call",
    "execveat_call",
    "file_open_leave",
    "sys_open_leave",
    "handle_open_leave",
    "queue_enter",
    "queue_leave",
    "file_written",
    "file_written_vector",
    "file_spliced",
    "file_sent",
    "file_copied",
    "pwrite_call",
    "uring_written",
    "submit_call",
    "file_close",
    "file_flush",
    "file_put",
    "mmap_leave",
    "mprotect_enter",
    "mprotect_leave",
    "truncate_enter",
    "truncate_leave",
    "path_truncated",
    "ftruncate_enter",
    "ftruncate_leave",
    "fallocate_enter",
    "fallocate_leave",
    "file_allocated",
    "file_truncated",
    "unlink_enter",
    "unlink_leave",
    "entry_unlinked",
    "rmdir_enter",
    "rmdir_leave",
    "entry_dir_removed",
    "queue_unlink_call",
    "rename_enter",
    "rename_leave",
    "entry_rename",
    "entry_renamed",
    "link_enter",
    "link_leave",
    "entry_linked",
    "symlink_enter",
    "symlink_leave",
    "entry_symlinked",
    "mkdir_enter",
    "mkdir_leave",
    "entry_dir_made",
    "mknod_enter",
    "mknod_leave",
    "entry_node_made",
    "entry_file_made",
    "bind_call",
    "chmod_enter",
    "chmod_leave",
    "fchmod_enter",
    "fchmod_leave",
    "fchmodat_enter",
    "fchmodat_leave",
    "fchmodat2_enter",
    "fchmodat2_leave",
    "path_mode_set",
    "chown_enter",
    "chown_leave",
    "fchown_enter",
    "fchown_leave",
    "path_owner_set",
    "setxattr_enter",
    "setxattr_leave",
    "setxattrat_enter",
    "setxattrat_leave",
    "fsetxattr_enter",
    "fsetxattr_leave",
    "removexattr_enter",
    "removexattr_leave",
    "removexattrat_enter",
    "removexattrat_leave",
    "fremovexattr_enter",
    "fremovexattr_leave",
    "entry_xattr_set",
    "entry_xattr_removed",
    "entry_acl_set",
    "entry_acl_removed",
    "ioctl_call",
    "file_setattr_call",
    "utimes_enter",
    "utimes_leave",
    "path_times_set",
    "mount_call",
    "fsmount_call",
    "move_mount_call",
    "mount_setattr_call",
    "pivot_root_call",
    "umount_call",
    "uring_complete",
    "uring_overflow",
    "uring_refused",
    "uring_submit",
    "module_load",
];

/// The counter of a program of [`SINGLES`]; beyond every counter when it is none.
#[must_use]
pub const fn single(program: &str) -> u32 {
    let (mut rest, mut slot) = (SINGLES, SINGLE);
    while let [name, others @ ..] = rest {
        if is_same(name.as_bytes(), program.as_bytes()) {
            return slot;
        }
        (rest, slot) = (others, slot + 1);
    }
    RUNS
}

const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (one_rest, other_rest);
    }
    one.is_empty() && other.is_empty()
}

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
