//! Calls that make the hooks on functions of the kernel fire and change nothing: each is refused, or is about a pipe of the
//! canary's own. They get as far as the kernel's own function, so they need something that exists: a pipe, /proc, and the
//! folder of terminals, none of which is in the record's scope. So nothing of it is told, by the probes' own rule.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags, fstatfs, open};

/// An argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Number(i64),
    Text(&'static CStr),
    /// The end of the pipe that is read.
    Reading,
    /// The end of the pipe that is written.
    Writing,
    /// This process's own folder in /proc, where names exist and nobody may change them.
    Own,
    /// The folder of terminals, where nobody may make anything.
    Names,
}
use Argument::{Names, Own, Reading, Text, Writing};

/// An address that no program can have mapped, a descriptor that nobody can have, an id that asks for no change.
const NOTHING: Argument = Argument::Number(-1);
const ZERO: Argument = Argument::Number(0);
const ONE: Argument = Argument::Number(1);

/// A mapping of memory without a file.
const PRIVATE: Argument = Argument::Number((libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64);

/// A name that nobody has.
const NEW: Argument = Text(c"recorder-canary");
const COMM: Argument = Text(c"comm");

/// A call, and the programs that it makes run.
#[derive(Debug, PartialEq, Eq)]
pub struct Deed {
    /// Programs, of which a kernel may have a part.
    pub programs: &'static [&'static str],
    number: i64,
    /// Those that are not there are nothing.
    arguments: &'static [Argument],
}

const fn deed(number: i64, arguments: &'static [Argument], programs: &'static [&'static str]) -> Deed {
    Deed { programs, number, arguments }
}

/// Modes are 0: a sandbox may refuse those that have a set-user-id bit, before any hook sees it.
pub const DEEDS: &[Deed] = &[
    deed(libc::SYS_execve, &[], &["execve_call"]),
    deed(libc::SYS_execveat, &[], &["execveat_call"]),
    deed(libc::SYS_openat, &[Own, NEW, ZERO, ZERO], &["file_open_leave", "sys_open_leave"]),
    deed(libc::SYS_open_by_handle_at, &[], &["handle_open_leave"]),
    deed(libc::SYS_mq_open, &[NOTHING, ZERO, ZERO, ZERO], &["queue_enter", "queue_leave"]),
    deed(libc::SYS_mq_unlink, &[], &["queue_unlink_call"]),
    deed(libc::SYS_write, &[Writing, ZERO, ZERO], &["file_written"]),
    deed(libc::SYS_writev, &[Writing, ZERO, ZERO], &["file_written_vector"]),
    // From a pipe to itself.
    deed(libc::SYS_splice, &[Reading, ZERO, Writing, ZERO, ONE, ZERO], &["file_spliced"]),
    deed(libc::SYS_sendfile, &[NOTHING, NOTHING, ZERO, ZERO], &["file_sent"]),
    deed(libc::SYS_copy_file_range, &[Reading, ZERO, Writing, ZERO, ONE, ZERO], &["file_copied"]),
    deed(libc::SYS_pwrite64, &[], &["pwrite_call"]),
    deed(libc::SYS_io_submit, &[], &["submit_call"]),
    // No length.
    deed(libc::SYS_mmap, &[ZERO, ZERO, ZERO, PRIVATE, NOTHING, ZERO], &["mmap_leave"]),
    deed(libc::SYS_mprotect, &[NOTHING, NOTHING, ZERO], &["mprotect_enter", "mprotect_leave"]),
    // A directory has no length, and neither has a pipe.
    deed(
        libc::SYS_truncate,
        &[Text(c"/proc/self/task"), ZERO],
        &["truncate_enter", "truncate_leave", "path_truncated"],
    ),
    deed(libc::SYS_ftruncate, &[Writing, ZERO], &["ftruncate_enter", "ftruncate_leave", "file_truncated"]),
    deed(
        libc::SYS_fallocate,
        &[Writing, ZERO, ZERO, ZERO],
        &["fallocate_enter", "fallocate_leave", "file_allocated"],
    ),
    deed(
        libc::SYS_unlinkat,
        &[Own, COMM, ZERO],
        &["unlink_enter", "unlink_leave", "entry_unlinked", "want_write"],
    ),
    deed(
        libc::SYS_unlinkat,
        &[Own, Text(c"task"), Argument::Number(libc::AT_REMOVEDIR as i64)],
        &["rmdir_enter", "rmdir_leave", "entry_dir_removed"],
    ),
    deed(
        libc::SYS_renameat2,
        &[Own, COMM, Own, Text(c"cmdline"), ZERO],
        &["rename_enter", "rename_leave", "entry_rename", "entry_renamed"],
    ),
    deed(
        libc::SYS_linkat,
        &[Names, Text(c"."), Names, NEW, ZERO],
        &["link_enter", "link_leave", "entry_linked"],
    ),
    deed(libc::SYS_symlinkat, &[NEW, Names, NEW], &["symlink_enter", "symlink_leave", "entry_symlinked"]),
    deed(libc::SYS_mkdirat, &[Names, NEW, ZERO], &["mkdir_enter", "mkdir_leave", "entry_dir_made"]),
    deed(
        libc::SYS_mknodat,
        &[Names, NEW, Argument::Number(libc::S_IFIFO as i64), ZERO],
        &["mknod_enter", "mknod_leave", "entry_node_made"],
    ),
    deed(
        libc::SYS_mknodat,
        &[Names, NEW, Argument::Number(libc::S_IFREG as i64), ZERO],
        &["entry_file_made"],
    ),
    deed(libc::SYS_bind, &[], &["bind_call"]),
    deed(libc::SYS_chmod, &[NOTHING, ZERO], &["chmod_enter", "chmod_leave"]),
    deed(libc::SYS_fchmod, &[Writing, ZERO], &["fchmod_enter", "fchmod_leave", "path_mode_set"]),
    deed(libc::SYS_fchmodat, &[NOTHING, NOTHING, ZERO], &["fchmodat_enter", "fchmodat_leave"]),
    deed(FCHMODAT2, &[NOTHING, NOTHING, ZERO, NOTHING], &["fchmodat2_enter", "fchmodat2_leave"]),
    deed(libc::SYS_fchownat, &[], &["chown_enter", "chown_leave"]),
    deed(libc::SYS_fchown, &[Writing, NOTHING, NOTHING], &["fchown_enter", "fchown_leave", "path_owner_set"]),
    deed(
        libc::SYS_setxattr,
        &[],
        &["setxattr_enter", "setxattr_leave", "setxattrat_enter", "setxattrat_leave"],
    ),
    deed(
        libc::SYS_fsetxattr,
        &[Writing, Text(c"user.recorder"), ZERO, ZERO, ZERO],
        &["fsetxattr_enter", "fsetxattr_leave", "want_write_file", "entry_xattr_set"],
    ),
    deed(libc::SYS_fsetxattr, &[Writing, ACL, ZERO, ZERO, ZERO], &["entry_acl_set"]),
    deed(
        libc::SYS_removexattr,
        &[],
        &["removexattr_enter", "removexattr_leave", "removexattrat_enter", "removexattrat_leave"],
    ),
    deed(
        libc::SYS_fremovexattr,
        &[Writing, Text(c"user.recorder")],
        &["fremovexattr_enter", "fremovexattr_leave", "entry_xattr_removed"],
    ),
    deed(libc::SYS_fremovexattr, &[Writing, ACL], &["entry_acl_removed"]),
    deed(libc::SYS_ioctl, &[], &["ioctl_call"]),
    deed(FILE_SETATTR, &[], &["file_setattr_call"]),
    // No times: now.
    deed(
        libc::SYS_utimensat,
        &[Writing, ZERO, ZERO, ZERO],
        &["utimes_enter", "utimes_leave", "path_times_set"],
    ),
    deed(libc::SYS_mount, &[], &["mount_call"]),
    deed(libc::SYS_fsmount, &[], &["fsmount_call"]),
    deed(libc::SYS_move_mount, &[], &["move_mount_call"]),
    deed(libc::SYS_mount_setattr, &[], &["mount_setattr_call"]),
    deed(libc::SYS_pivot_root, &[], &["pivot_root_call"]),
    deed(libc::SYS_umount2, &[], &["umount_call"]),
];

const FCHMODAT2: i64 = 452;
const FILE_SETATTR: i64 = 469;
const ACL: Argument = Text(c"system.posix_acl_access");

/// `DEVPTS_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const DEVPTS: i64 = 0x1cd1;

impl Deed {
    /// The deed that makes a program run.
    #[must_use]
    pub fn of(program: &str) -> Option<&'static Self> {
        DEEDS.iter().find(|deed| deed.programs.contains(&program))
    }

    /// Whether it needs the folder of terminals.
    #[must_use]
    pub fn needs_terminals(&self) -> bool {
        self.arguments.contains(&Names)
    }
}

/// What deeds are about.
#[derive(Debug)]
pub struct Ground {
    reading: OwnedFd,
    writing: OwnedFd,
    own: OwnedFd,
    terminals: Option<OwnedFd>,
}

impl Ground {
    /// Opens what deeds are about. A host without terminals does without a part of the deeds.
    ///
    /// # Errors
    /// When there is no /proc, or no descriptor left.
    pub fn new() -> io::Result<Self> {
        let (reading, writing) = io::pipe()?;
        let folder =
            |path: &str| open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let own = folder("/proc/self")?;
        // Anywhere else a deed would make something.
        let is_devpts = |file: &OwnedFd| fstatfs(file).is_ok_and(|found| found.f_type == DEVPTS);
        let terminals = folder("/dev/pts").ok().filter(is_devpts);
        Ok(Self { reading: reading.into(), writing: writing.into(), own, terminals })
    }

    /// Whether there is a folder of terminals.
    #[must_use]
    pub fn has_terminals(&self) -> bool {
        self.terminals.is_some()
    }

    /// The end of the pipe that is written.
    #[must_use]
    pub fn writing(&self) -> &OwnedFd {
        &self.writing
    }

    /// Makes the call; what it returned. One that needs the folder of terminals is refused where there is none.
    pub fn act(&self, deed: &Deed) -> i64 {
        let argument = |index| self.value(deed.arguments.get(index).copied().unwrap_or(NOTHING));
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(argument);
        // SAFETY: the calls are those of `DEEDS`. The only addresses among them are texts, which the kernel reads.
        unsafe { libc::syscall(deed.number, a, b, c, d, e, f) }
    }

    /// Lets a file go in every way there is: by a descriptor that another takes, by its close, and as its last holder.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn let_go(&self) -> io::Result<()> {
        let file = std::fs::File::open("/proc/self/comm")?;
        let mut other = OwnedFd::from(file.try_clone()?);
        rustix::io::dup2(&file, &mut other)?;
        Ok(())
    }

    fn value(&self, argument: Argument) -> i64 {
        match argument {
            Argument::Number(number) => number,
            Text(text) => text.as_ptr().addr().cast_signed() as i64,
            Reading => self.reading.as_raw_fd().into(),
            Writing => self.writing.as_raw_fd().into(),
            Own => self.own.as_raw_fd().into(),
            Names => self.terminals.as_ref().map_or(-1, |file| file.as_raw_fd().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deeds that change something about the canary's own pipe, or write nothing to it.
    const DONE: [i64; 5] =
        [libc::SYS_write, libc::SYS_writev, libc::SYS_fchmod, libc::SYS_fchown, libc::SYS_utimensat];

    /// Without probes, as any user.
    #[test]
    fn every_deed_is_refused_or_about_its_own_pipe() {
        let ground = Ground::new().unwrap();
        for deed in DEEDS {
            let returned = ground.act(deed);
            let expected = if DONE.contains(&deed.number) { 0 } else { -1 };
            assert_eq!(returned, expected, "{deed:?}: {}", io::Error::last_os_error());
        }
        ground.let_go().unwrap();
        assert!(!std::path::Path::new("/dev/pts/recorder-canary").exists());
    }

    #[test]
    fn no_program_has_two_deeds() {
        let mut programs: Vec<_> = DEEDS.iter().flat_map(|deed| deed.programs).collect();
        let all = programs.len();
        programs.sort_unstable();
        programs.dedup();
        assert_eq!(programs.len(), all);
    }
}
