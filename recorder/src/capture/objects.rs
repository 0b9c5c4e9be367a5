//! The object family: functions of the kernel that every way to a change passes, be it a system call, io_uring or a
//! 32-bit program. Kinds are taken together where one call can make either.

use recorder_common::kind::Kind;

/// A function to hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Program in the object.
    pub program: &'static str,
    /// Its names in the kernels that have it, newest last.
    pub names: &'static [&'static str],
    /// At its return, not at its entry.
    pub at_return: bool,
    /// Kernels may lack it without a loss.
    pub optional: bool,
}

/// Kinds that are taken from one family together, and the functions that they need.
pub struct Unit {
    /// Kinds; none for what other units share.
    pub kinds: &'static [Kind],
    /// All of them are needed.
    pub functions: &'static [Function],
}

const fn entry(program: &'static str, names: &'static [&'static str]) -> Function {
    Function { program, names, at_return: false, optional: false }
}

const fn exit(program: &'static str, names: &'static [&'static str]) -> Function {
    Function { program, names, at_return: true, optional: false }
}

const fn optional(function: Function) -> Function {
    Function { optional: true, ..function }
}

/// What every unit of the family shares, and then each unit.
pub const UNITS: &[Unit] = &[
    Unit {
        kinds: &[],
        functions: &[
            entry("want_write", &["mnt_want_write"]),
            entry("want_write_file", &["mnt_want_write_file"]),
        ],
    },
    Unit {
        kinds: &[Kind::ExecFailed],
        functions: &[
            exit("execve_call", &["__x64_sys_execve"]),
            exit("execveat_call", &["__x64_sys_execveat"]),
        ],
    },
    Unit {
        kinds: &[Kind::FileCreate],
        functions: &[
            exit("file_open_leave", &["do_filp_open", "do_file_open"]),
            exit("sys_open_leave", &["do_sys_openat2"]),
            optional(exit("handle_open_leave", &["do_handle_open"])),
            optional(entry("queue_enter", &["do_mq_open"])),
            optional(exit("queue_leave", &["do_mq_open"])),
        ],
    },
    Unit {
        kinds: &[Kind::FileWrite],
        functions: &[
            exit("file_written", &["vfs_write"]),
            exit("file_written_vector", &["vfs_writev"]),
            exit("file_spliced", &["do_splice"]),
            exit("file_sent", &["do_sendfile"]),
            exit("file_copied", &["vfs_copy_file_range"]),
            exit("pwrite_call", &["__x64_sys_pwrite64"]),
            optional(exit("uring_written", &["io_write"])),
            optional(exit("submit_call", &["__x64_sys_io_submit"])),
            entry("file_close", &["filp_close"]),
            optional(entry("file_flush", &["filp_flush"])),
            entry("file_put", &["__fput"]),
        ],
    },
    Unit {
        kinds: &[Kind::FileMapWrite],
        functions: &[
            exit("mmap_leave", &["vm_mmap_pgoff"]),
            entry("mprotect_enter", &["do_mprotect_pkey"]),
            exit("mprotect_leave", &["do_mprotect_pkey"]),
        ],
    },
    Unit {
        kinds: &[Kind::FileTruncate],
        functions: &[
            entry("truncate_enter", &["__x64_sys_truncate"]),
            exit("truncate_leave", &["__x64_sys_truncate"]),
            exit("path_truncated", &["vfs_truncate"]),
            entry("ftruncate_enter", &["__x64_sys_ftruncate"]),
            exit("ftruncate_leave", &["__x64_sys_ftruncate"]),
            entry("fallocate_enter", &["__x64_sys_fallocate"]),
            exit("fallocate_leave", &["__x64_sys_fallocate"]),
            exit("file_allocated", &["vfs_fallocate"]),
            optional(exit("file_truncated", &["do_ftruncate"])),
        ],
    },
    Unit {
        kinds: &[Kind::FileDelete, Kind::DirDelete],
        functions: &[
            entry("unlink_enter", &["do_unlinkat", "filename_unlinkat"]),
            exit("unlink_leave", &["do_unlinkat", "filename_unlinkat"]),
            exit("entry_unlinked", &["vfs_unlink"]),
            entry("rmdir_enter", &["do_rmdir", "filename_rmdir"]),
            exit("rmdir_leave", &["do_rmdir", "filename_rmdir"]),
            exit("entry_dir_removed", &["vfs_rmdir"]),
            optional(exit("queue_unlink_call", &["__x64_sys_mq_unlink"])),
        ],
    },
    Unit {
        kinds: &[Kind::FileRename],
        functions: &[
            entry("rename_enter", &["do_renameat2", "filename_renameat2"]),
            exit("rename_leave", &["do_renameat2", "filename_renameat2"]),
            entry("entry_rename", &["vfs_rename"]),
            exit("entry_renamed", &["vfs_rename"]),
        ],
    },
    Unit {
        kinds: &[Kind::FileLink],
        functions: &[
            entry("link_enter", &["do_linkat", "filename_linkat"]),
            exit("link_leave", &["do_linkat", "filename_linkat"]),
            exit("entry_linked", &["vfs_link"]),
        ],
    },
    Unit {
        kinds: &[Kind::FileSymlink],
        functions: &[
            entry("symlink_enter", &["do_symlinkat", "filename_symlinkat"]),
            exit("symlink_leave", &["do_symlinkat", "filename_symlinkat"]),
            exit("entry_symlinked", &["vfs_symlink"]),
        ],
    },
    Unit {
        kinds: &[Kind::DirCreate],
        functions: &[
            entry("mkdir_enter", &["do_mkdirat", "filename_mkdirat"]),
            exit("mkdir_leave", &["do_mkdirat", "filename_mkdirat"]),
            exit("entry_dir_made", &["vfs_mkdir"]),
        ],
    },
    Unit {
        kinds: &[Kind::NodeCreate],
        functions: &[
            entry("mknod_enter", &["do_mknodat", "filename_mknodat"]),
            exit("mknod_leave", &["do_mknodat", "filename_mknodat"]),
            exit("entry_node_made", &["vfs_mknod"]),
            exit("entry_file_made", &["vfs_create"]),
            exit("bind_call", &["__x64_sys_bind"]),
        ],
    },
    Unit {
        kinds: &[Kind::AttrMode],
        functions: &[
            entry("chmod_enter", &["__x64_sys_chmod"]),
            exit("chmod_leave", &["__x64_sys_chmod"]),
            entry("fchmod_enter", &["__x64_sys_fchmod"]),
            exit("fchmod_leave", &["__x64_sys_fchmod"]),
            entry("fchmodat_enter", &["__x64_sys_fchmodat"]),
            exit("fchmodat_leave", &["__x64_sys_fchmodat"]),
            optional(entry("fchmodat2_enter", &["__x64_sys_fchmodat2"])),
            optional(exit("fchmodat2_leave", &["__x64_sys_fchmodat2"])),
            exit("path_mode_set", &["chmod_common"]),
        ],
    },
    Unit {
        kinds: &[Kind::AttrOwner],
        functions: &[
            entry("chown_enter", &["do_fchownat"]),
            exit("chown_leave", &["do_fchownat"]),
            entry("fchown_enter", &["__x64_sys_fchown"]),
            exit("fchown_leave", &["__x64_sys_fchown"]),
            exit("path_owner_set", &["chown_common"]),
        ],
    },
    Unit {
        kinds: &[Kind::AttrXattr],
        functions: &[
            optional(entry("setxattr_enter", &["path_setxattr"])),
            optional(exit("setxattr_leave", &["path_setxattr"])),
            optional(entry("setxattrat_enter", &["path_setxattrat"])),
            optional(exit("setxattrat_leave", &["path_setxattrat"])),
            entry("fsetxattr_enter", &["__x64_sys_fsetxattr"]),
            exit("fsetxattr_leave", &["__x64_sys_fsetxattr"]),
            optional(entry("removexattr_enter", &["path_removexattr"])),
            optional(exit("removexattr_leave", &["path_removexattr"])),
            optional(entry("removexattrat_enter", &["path_removexattrat"])),
            optional(exit("removexattrat_leave", &["path_removexattrat"])),
            entry("fremovexattr_enter", &["__x64_sys_fremovexattr"]),
            exit("fremovexattr_leave", &["__x64_sys_fremovexattr"]),
            exit("entry_xattr_set", &["vfs_setxattr"]),
            exit("entry_xattr_removed", &["vfs_removexattr"]),
            optional(exit("entry_acl_set", &["vfs_set_acl"])),
            optional(exit("entry_acl_removed", &["vfs_remove_acl"])),
        ],
    },
    Unit {
        kinds: &[Kind::AttrFlags],
        functions: &[
            exit("ioctl_call", &["__x64_sys_ioctl"]),
            optional(exit("file_setattr_call", &["__x64_sys_file_setattr"])),
        ],
    },
    Unit {
        kinds: &[Kind::AttrTime],
        functions: &[
            entry("utimes_enter", &["do_utimes"]),
            exit("utimes_leave", &["do_utimes"]),
            exit("path_times_set", &["vfs_utimes"]),
        ],
    },
    Unit {
        kinds: &[Kind::Mount],
        functions: &[
            exit("mount_call", &["__x64_sys_mount"]),
            exit("fsmount_call", &["__x64_sys_fsmount"]),
            exit("move_mount_call", &["__x64_sys_move_mount"]),
            optional(exit("mount_setattr_call", &["__x64_sys_mount_setattr"])),
            exit("pivot_root_call", &["__x64_sys_pivot_root"]),
        ],
    },
    Unit { kinds: &[Kind::Unmount], functions: &[exit("umount_call", &["__x64_sys_umount"])] },
];

impl Function {
    /// The hook as people write it.
    #[must_use]
    pub fn hook(&self, name: &str) -> String {
        format!("{}/{name}", if self.at_return { "fexit" } else { "fentry" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `security_path_*` is there only with `CONFIG_SECURITY_PATH`, and the rest only with `CONFIG_SECURITY`.
    #[test]
    fn no_function_depends_on_what_security_modules_are_built_in() {
        let names = UNITS.iter().flat_map(|unit| unit.functions).flat_map(|function| function.names);
        let of_modules: Vec<_> = names.filter(|name| name.starts_with("security_")).collect();
        assert_eq!(of_modules, Vec::<&&str>::new());
    }

    #[test]
    fn no_program_and_no_kind_stands_twice() {
        let mut programs: Vec<_> =
            UNITS.iter().flat_map(|unit| unit.functions).map(|function| function.program).collect();
        let all = programs.len();
        programs.sort_unstable();
        programs.dedup();
        assert_eq!(programs.len(), all);
        let mut kinds: Vec<_> = UNITS.iter().flat_map(|unit| unit.kinds).collect();
        let all = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), all);
    }
}
