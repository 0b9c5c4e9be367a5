//! System calls by number, straight to the kernel: the C library hides some variants and renames others.

use std::ffi::CString;

/// What a call returned: its value, or errno.
pub type Outcome = Result<i64, i32>;

/// Numbers that the `libc` crate may lack on this target (x86-64).
pub const OPENAT2: i64 = 437;
pub const FCHMODAT2: i64 = 452;
pub const SETXATTRAT: i64 = 463;
pub const REMOVEXATTRAT: i64 = 466;
pub const FILE_SETATTR: i64 = 469;
pub const OPEN_TREE: i64 = 428;
pub const MOVE_MOUNT: i64 = 429;
pub const FSOPEN: i64 = 430;
pub const FSCONFIG: i64 = 431;
pub const FSMOUNT: i64 = 432;
pub const MOUNT_SETATTR: i64 = 442;
pub const CLOSE_RANGE: i64 = 436;

/// Makes one system call. Missing arguments are 0.
pub fn call(number: i64, arguments: &[i64]) -> Outcome {
    let mut a = [0_i64; 6];
    a[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: the workload passes addresses of live buffers, or bad ones on purpose where the kernel checks them.
    let returned = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if returned == -1 { Err(errno()) } else { Ok(returned) }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// `CLOCK_BOOTTIME`, ns.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Forks. The child has only this thread.
pub fn fork() -> i32 {
    // SAFETY: the workload holds no lock at this point, and the child runs only the workload's own code.
    unsafe { libc::fork() }
}

/// Ends the process without running anything else.
pub fn leave(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// Waits for one child and returns its wait status.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the answer.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid, "waitpid");
    status
}

/// A NUL-terminated copy.
pub fn c(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no NUL inside")
}

/// A file descriptor as a system call argument.
pub fn fd_of(outcome: Outcome) -> i32 {
    i32::try_from(outcome.expect("descriptor")).expect("descriptor")
}

/// The name of an errno as events spell it.
pub fn errno_name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::EINTR, "EINTR"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::E2BIG, "E2BIG"),
        (libc::ENOEXEC, "ENOEXEC"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::ENOTBLK, "ENOTBLK"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENFILE, "ENFILE"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::ESPIPE, "ESPIPE"),
        (libc::EROFS, "EROFS"),
        (libc::EMLINK, "EMLINK"),
        (libc::EPIPE, "EPIPE"),
        (libc::ENAMETOOLONG, "ENAMETOOLONG"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ENOTEMPTY, "ENOTEMPTY"),
        (libc::ELOOP, "ELOOP"),
        (libc::ENODATA, "ENODATA"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ESTALE, "ESTALE"),
        (libc::EOVERFLOW, "EOVERFLOW"),
        (libc::ERANGE, "ERANGE"),
        (libc::EADDRINUSE, "EADDRINUSE"),
        (libc::ENOTSOCK, "ENOTSOCK"),
        (libc::ECANCELED, "ECANCELED"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("E{errno}"), |(_, name)| (*name).to_owned())
}
