//! The syscall family: every system call that can change a file, a name, a mount, credentials or the kernel itself, and
//! how to read its arguments.
//!
//! Numbers are x86-64's (`arch/x86/entry/syscalls/syscall_64.tbl`). Calls of 32-bit programs do not pass these
//! tracepoints; the object family sees them.

use recorder_common::kind::Kind;
use recorder_common::syscall::{
    NONE, SPEC_COUNTED, SPEC_DEREF, SPEC_FSID, SPEC_FSTYPE, SPEC_LINKAT, SPEC_NOFOLLOW, SPEC_NULL_IS_FD,
    SPEC_REMOUNT, SPEC_REMOVE, SPEC_RENAMEAT2, SPEC_UNLINKAT, SYSCALLS, Spec, UNHOOKED,
};
use recorder_common::text::Tag;

/// One system call to hook.
#[derive(Clone, Copy)]
pub struct Call {
    /// Name of the tracepoint behind `sys_enter_` or `sys_exit_`.
    pub tracepoint: &'static str,
    /// System call number.
    pub number: usize,
    /// The program that reads it, which also says whether at entry or at exit.
    pub program: &'static str,
    /// A program that looks at its entry already, for what can't be told at the exit any more.
    pub before: Option<&'static str>,
    /// How to read it.
    pub spec: Spec,
}

/// Argument positions in short form; the names are those of [`Spec`].
const fn call(tracepoint: &'static str, number: usize, program: &'static str, kind: Kind) -> Call {
    Call { tracepoint, number, program, before: None, spec: Spec { kind: kind as u16, ..UNHOOKED } }
}

impl Call {
    const fn fd(mut self, fd: u8) -> Self {
        self.spec.fd = fd;
        self
    }

    const fn name(mut self, dir: u8, name: u8) -> Self {
        self.spec.dir = dir;
        self.spec.name = name;
        self
    }

    const fn to(mut self, dir: u8, name: u8) -> Self {
        self.spec.dir_to = dir;
        self.spec.name_to = name;
        self
    }

    const fn args(mut self, arg: [u8; 3]) -> Self {
        self.spec.arg = arg;
        self
    }

    const fn at(mut self, at: u8) -> Self {
        self.spec.at = at;
        self
    }

    const fn text(mut self, tag: Tag, text: u8) -> Self {
        self.spec.text = text;
        self.spec.text_tag = tag as u8;
        self
    }

    const fn before(mut self, program: &'static str) -> Self {
        self.before = Some(program);
        self
    }

    const fn with(mut self, flags: u16) -> Self {
        self.spec.flags |= flags;
        self
    }
}

const NAMED: &str = "named_exit";
const SYSTEM: &str = "system_exit";
const N: u8 = NONE;

/// Every hooked call.
pub const CALLS: &[Call] = &[
    call("execve", 59, "exec_exit", Kind::ExecFailed).name(N, 0).text(Tag::Argv, 1),
    call("execveat", 322, "exec_exit", Kind::ExecFailed).name(0, 1).text(Tag::Argv, 2).at(4),
    // Opens: arg[0] is where the flags are.
    call("open", 2, "open_exit", Kind::FileCreate).name(N, 0).args([1, N, N]),
    call("openat", 257, "open_exit", Kind::FileCreate).name(0, 1).args([2, N, N]),
    call("openat2", 437, "open_exit", Kind::FileCreate).name(0, 1).args([2, N, N]).with(SPEC_DEREF),
    call("creat", 85, "open_exit", Kind::FileCreate).name(N, 0),
    call("open_by_handle_at", 304, "open_exit", Kind::FileCreate).args([2, N, N]),
    // Writes: fd is the file written to.
    call("write", 1, "write_exit", Kind::FileWrite).fd(0),
    call("pwrite64", 18, "write_exit", Kind::FileWrite).fd(0),
    call("writev", 20, "write_exit", Kind::FileWrite).fd(0),
    call("pwritev", 296, "write_exit", Kind::FileWrite).fd(0),
    call("pwritev2", 328, "write_exit", Kind::FileWrite).fd(0),
    call("sendfile64", 40, "write_exit", Kind::FileWrite).fd(0),
    call("splice", 275, "write_exit", Kind::FileWrite).fd(2),
    call("copy_file_range", 326, "write_exit", Kind::FileWrite).fd(2),
    call("io_submit", 209, "submit_exit", Kind::FileWrite),
    call("mmap", 9, "mmap_exit", Kind::FileMapWrite).fd(4),
    call("mprotect", 10, "protect_exit", Kind::FileMapWrite).before("protect_enter"),
    call("pkey_mprotect", 329, "protect_exit", Kind::FileMapWrite).before("protect_enter"),
    call("close", 3, "close_enter", Kind::FileWrite).fd(0),
    call("dup2", 33, "dup_enter", Kind::FileWrite).fd(1),
    call("dup3", 292, "dup_enter", Kind::FileWrite).fd(1),
    call("close_range", 436, "close_range_enter", Kind::FileWrite),
    // Lengths: arg[1] mode of fallocate, arg[2] length.
    call("truncate", 76, NAMED, Kind::FileTruncate).name(N, 0).args([N, N, 1]),
    call("ftruncate", 77, NAMED, Kind::FileTruncate).fd(0).args([N, N, 1]),
    call("fallocate", 285, NAMED, Kind::FileTruncate).fd(0).args([N, 1, 3]),
    // Names.
    call("unlink", 87, NAMED, Kind::FileDelete).name(N, 0),
    call("unlinkat", 263, NAMED, Kind::FileDelete).name(0, 1).at(2).with(SPEC_UNLINKAT),
    call("rmdir", 84, NAMED, Kind::DirDelete).name(N, 0),
    call("rename", 82, NAMED, Kind::FileRename).name(N, 0).to(N, 1),
    call("renameat", 264, NAMED, Kind::FileRename).name(0, 1).to(2, 3),
    call("renameat2", 316, NAMED, Kind::FileRename).name(0, 1).to(2, 3).args([4, N, N]).with(SPEC_RENAMEAT2),
    call("link", 86, NAMED, Kind::FileLink).name(N, 0).to(N, 1),
    call("linkat", 265, NAMED, Kind::FileLink).name(0, 1).to(2, 3).at(4).with(SPEC_LINKAT),
    call("symlink", 88, NAMED, Kind::FileSymlink).name(N, 1).text(Tag::Content, 0),
    call("symlinkat", 266, NAMED, Kind::FileSymlink).name(1, 2).text(Tag::Content, 0),
    call("mkdir", 83, NAMED, Kind::DirCreate).name(N, 0).args([1, N, N]),
    call("mkdirat", 258, NAMED, Kind::DirCreate).name(0, 1).args([2, N, N]),
    call("mknod", 133, NAMED, Kind::NodeCreate).name(N, 0).args([1, 2, N]),
    call("mknodat", 259, NAMED, Kind::NodeCreate).name(0, 1).args([2, 3, N]),
    call("bind", 49, "bind_exit", Kind::NodeCreate).fd(0),
    call("mq_open", 240, "queue_open_exit", Kind::FileCreate).before("queue_open_enter"),
    call("mq_unlink", 241, "queue_unlink_exit", Kind::FileDelete),
    // Attributes: arg[0] the new value.
    call("chmod", 90, NAMED, Kind::AttrMode).name(N, 0).args([1, N, N]),
    call("fchmod", 91, NAMED, Kind::AttrMode).fd(0).args([1, N, N]),
    call("fchmodat", 268, NAMED, Kind::AttrMode).name(0, 1).args([2, N, N]),
    call("fchmodat2", 452, NAMED, Kind::AttrMode).name(0, 1).args([2, N, N]).at(3),
    call("chown", 92, NAMED, Kind::AttrOwner).name(N, 0).args([1, 2, N]),
    call("lchown", 94, NAMED, Kind::AttrOwner).name(N, 0).args([1, 2, N]).with(SPEC_NOFOLLOW),
    call("fchown", 93, NAMED, Kind::AttrOwner).fd(0).args([1, 2, N]),
    call("fchownat", 260, NAMED, Kind::AttrOwner).name(0, 1).args([2, 3, N]).at(4),
    call("setxattr", 188, NAMED, Kind::AttrXattr).name(N, 0).text(Tag::Xattr, 1).args([3, 4, N]),
    call("lsetxattr", 189, NAMED, Kind::AttrXattr)
        .name(N, 0)
        .text(Tag::Xattr, 1)
        .args([3, 4, N])
        .with(SPEC_NOFOLLOW),
    call("fsetxattr", 190, NAMED, Kind::AttrXattr).fd(0).text(Tag::Xattr, 1).args([3, 4, N]),
    call("setxattrat", 463, NAMED, Kind::AttrXattr).name(0, 1).at(2).text(Tag::Xattr, 3),
    call("removexattr", 197, NAMED, Kind::AttrXattr).name(N, 0).text(Tag::Xattr, 1).with(SPEC_REMOVE),
    call("lremovexattr", 198, NAMED, Kind::AttrXattr)
        .name(N, 0)
        .text(Tag::Xattr, 1)
        .with(SPEC_REMOVE | SPEC_NOFOLLOW),
    call("fremovexattr", 199, NAMED, Kind::AttrXattr).fd(0).text(Tag::Xattr, 1).with(SPEC_REMOVE),
    call("removexattrat", 466, NAMED, Kind::AttrXattr).name(0, 1).at(2).text(Tag::Xattr, 3).with(SPEC_REMOVE),
    call("utime", 132, NAMED, Kind::AttrTime).name(N, 0),
    call("utimes", 235, NAMED, Kind::AttrTime).name(N, 0),
    call("futimesat", 261, NAMED, Kind::AttrTime).name(0, 1).with(SPEC_NULL_IS_FD),
    call("utimensat", 280, NAMED, Kind::AttrTime).name(0, 1).at(3).with(SPEC_NULL_IS_FD),
    call("ioctl", 16, "ioctl_exit", Kind::AttrFlags).fd(0).args([2, N, 1]).with(SPEC_DEREF),
    call("file_setattr", 469, NAMED, Kind::AttrFlags).name(0, 1).args([2, N, N]).at(4).with(SPEC_DEREF),
    // Mounts: arg[0] flags.
    call("mount", 165, NAMED, Kind::Mount).name(N, 1).text(Tag::Source, 0).args([3, N, N]).with(SPEC_FSTYPE),
    call("umount", 166, NAMED, Kind::Unmount).name(N, 0).args([1, N, N]),
    call("move_mount", 429, NAMED, Kind::Mount).name(2, 3).text(Tag::Source, 1).args([4, N, N]),
    call("mount_setattr", 442, NAMED, Kind::Mount).name(0, 1).at(2).with(SPEC_REMOUNT),
    call("pivot_root", 155, NAMED, Kind::Mount).name(N, 0).to(N, 1).with(SPEC_REMOUNT),
    call("fsmount", 432, "fsmount_exit", Kind::Mount),
    // Ids, groups, capabilities: args are the ids asked for.
    credential("setuid", 105).args([0, N, N]),
    credential("setgid", 106).args([0, N, N]),
    credential("setreuid", 113).args([0, 1, N]),
    credential("setregid", 114).args([0, 1, N]),
    credential("setgroups", 116).args([0, N, N]).text(Tag::Groups, 1),
    credential("setresuid", 117).args([0, 1, 2]),
    credential("setresgid", 119).args([0, 1, 2]),
    credential("setfsuid", 122).args([0, N, N]).with(SPEC_FSID),
    credential("setfsgid", 123).args([0, N, N]).with(SPEC_FSID),
    credential("capset", 126),
    // The kernel itself: arg[0] flags, command or the like.
    call("init_module", 175, SYSTEM, Kind::Module).text(Tag::Params, 2),
    call("finit_module", 313, SYSTEM, Kind::Module).fd(0).text(Tag::Params, 1).args([2, N, N]),
    call("delete_module", 176, SYSTEM, Kind::Module).text(Tag::Label, 0).args([1, N, N]).with(SPEC_REMOVE),
    call("kexec_load", 246, SYSTEM, Kind::Kexec).args([3, N, N]),
    call("kexec_file_load", 320, SYSTEM, Kind::Kexec).fd(0).text(Tag::Params, 3).args([4, N, N]),
    call("sethostname", 170, SYSTEM, Kind::Hostname).text(Tag::Label, 0).with(SPEC_COUNTED),
    call("setdomainname", 171, SYSTEM, Kind::Hostname).text(Tag::Label, 0).with(SPEC_COUNTED),
    call("clock_settime", 227, "clock_exit", Kind::Clock),
    call("settimeofday", 164, "clock_exit", Kind::Clock),
    call("adjtimex", 159, "clock_exit", Kind::Clock),
    call("clock_adjtime", 305, "clock_exit", Kind::Clock),
    call("reboot", 169, SYSTEM, Kind::Reboot).args([2, N, N]).before("reboot_enter"),
    call("swapon", 167, SYSTEM, Kind::Swap).name(N, 0).args([1, N, N]),
    call("swapoff", 168, SYSTEM, Kind::Swap).name(N, 0).with(SPEC_REMOVE),
    call("ptrace", 101, "ptrace_exit", Kind::Ptrace),
    call("process_vm_writev", 311, "ptrace_exit", Kind::Ptrace),
    call("unshare", 272, "unshare_exit", Kind::Namespace),
    call("setns", 308, "setns_exit", Kind::Namespace),
    call("clone", 56, "clone_exit", Kind::Namespace),
    call("clone3", 435, "clone_exit", Kind::Namespace),
    // Rare calls without a kind of their own.
    call("acct", 163, SYSTEM, Kind::Syscall).name(N, 0),
    call("chroot", 161, SYSTEM, Kind::Syscall).name(N, 0),
    call("io_uring_setup", 425, SYSTEM, Kind::Syscall).args([1, N, N]).with(SPEC_DEREF),
    call("landlock_restrict_self", 446, SYSTEM, Kind::Syscall).args([1, N, N]),
    call("personality", 135, SYSTEM, Kind::Syscall).args([0, N, N]),
    call("socket", 41, SYSTEM, Kind::Syscall).args([0, 1, 2]),
    call("userfaultfd", 323, SYSTEM, Kind::Syscall).args([0, N, N]),
    // Last, because the recorder's own calls are recorded too.
    call("bpf", 321, "bpf_exit", Kind::Bpf),
];

const fn credential(tracepoint: &'static str, number: usize) -> Call {
    call(tracepoint, number, "credential_exit", Kind::Credential).before("credential_enter")
}

/// The table as the probes take it, by system call number.
#[must_use]
pub fn table() -> [Spec; SYSCALLS] {
    let mut table = [UNHOOKED; SYSCALLS];
    for call in CALLS {
        if let Some(entry) = table.get_mut(call.number) {
            *entry = call.spec;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice_and_every_number_has_room() {
        let mut numbers: Vec<_> = CALLS.iter().map(|call| call.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), CALLS.len());
        assert!(numbers.iter().all(|number| *number < SYSCALLS));
    }
}
