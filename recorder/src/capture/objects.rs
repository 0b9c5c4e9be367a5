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
        kinds: &[Kind::FileDelete, Kind::DirDelete],
        functions: &[
            entry("unlink_enter", &["do_unlinkat", "filename_unlinkat"]),
            exit("unlink_leave", &["do_unlinkat", "filename_unlinkat"]),
            exit("entry_unlinked", &["vfs_unlink"]),
            entry("rmdir_enter", &["do_rmdir", "filename_rmdir"]),
            exit("rmdir_leave", &["do_rmdir", "filename_rmdir"]),
            exit("entry_dir_removed", &["vfs_rmdir"]),
        ],
    },
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
