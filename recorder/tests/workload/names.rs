//! Calls that change names: a table of every variant, and what each leaves behind.

use super::raw::{self, Outcome, c};
use super::site::Place;
use super::{Run, named};
use crate::support::ledger::Expect;

/// What a call needs at its place to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A regular file.
    File,
    /// A symbolic link, which the call itself does not follow.
    Link,
    /// An empty directory.
    Dir,
    /// Nothing there.
    Free,
}

/// One call, as the ledger names it.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// System call, then `:variant`.
    pub call: &'static str,
    pub kind: &'static str,
    pub needs: Needs,
    /// Takes a directory descriptor.
    pub at: bool,
    /// Takes a second name, which must be free (or, for an exchange, there).
    pub second: Option<Needs>,
}

const fn one(call: &'static str, kind: &'static str, needs: Needs, at: bool) -> Named {
    Named { call, kind, needs, at, second: None }
}

const fn two(call: &'static str, kind: &'static str, needs: Needs, at: bool, second: Needs) -> Named {
    Named { call, kind, needs, at, second: Some(second) }
}

use Needs::{Dir, File, Free, Link};

/// Every name-based call but open.
pub const NAMED: [Named; 43] = [
    one("unlink", "file_delete", File, false),
    one("unlink:link", "file_delete", Link, false),
    one("unlinkat", "file_delete", File, true),
    one("unlinkat:dir", "dir_delete", Dir, true),
    one("rmdir", "dir_delete", Dir, false),
    one("mkdir", "dir_create", Free, false),
    one("mkdirat", "dir_create", Free, true),
    one("mknod:fifo", "node_create", Free, false),
    one("mknod:file", "node_create", Free, false),
    one("mknodat:socket", "node_create", Free, true),
    one("mknodat:device", "node_create", Free, true),
    one("symlink", "file_symlink", Free, false),
    one("symlinkat", "file_symlink", Free, true),
    two("rename", "file_rename", File, false, Free),
    two("rename:dir", "file_rename", Dir, false, Free),
    two("rename:over", "file_rename", File, false, File),
    two("renameat", "file_rename", File, true, Free),
    two("renameat2", "file_rename", File, true, Free),
    two("renameat2:noreplace", "file_rename", File, true, Free),
    two("renameat2:refused", "file_rename", File, true, File),
    two("renameat2:exchange", "file_rename", File, true, File),
    two("link", "file_link", File, false, Free),
    two("linkat", "file_link", File, true, Free),
    two("linkat:follow", "file_link", File, true, Free),
    one("truncate", "file_truncate", File, false),
    one("chmod", "attr_mode", File, false),
    one("fchmodat", "attr_mode", File, true),
    one("fchmodat2", "attr_mode", File, true),
    one("fchmodat2:nofollow", "attr_mode", Link, true),
    one("chown", "attr_owner", File, false),
    one("lchown", "attr_owner", Link, false),
    one("fchownat", "attr_owner", File, true),
    one("fchownat:nofollow", "attr_owner", Link, true),
    one("setxattr", "attr_xattr", File, false),
    one("lsetxattr", "attr_xattr", Link, false),
    one("setxattrat", "attr_xattr", File, true),
    one("removexattr", "attr_xattr", File, false),
    one("lremovexattr", "attr_xattr", Link, false),
    one("removexattrat", "attr_xattr", File, true),
    one("utime", "attr_time", File, false),
    one("utimes", "attr_time", File, false),
    one("futimesat", "attr_time", File, true),
    one("utimensat", "attr_time", File, true),
];

/// A chance value for calls that set one.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
    pub length: u32,
}

impl Values {
    pub fn random(run: &mut Run) -> Self {
        Self {
            mode: run.pick(&[0o600, 0o644, 0o755, 0o4755, 0o2750, 0o1777]),
            owner: run.pick(&[0, 1000, 65_534, 4_000_000_000]),
            group: run.pick(&[0, 1000, 65_534, 4_000_000_000]),
            length: run.pick(&[0, 1, 4095, 1 << 20]),
        }
    }
}

const XATTR: &std::ffi::CStr = c"trusted.recorder";
const CONTENT: &[u8] = b"../some where\xff/else";

impl Named {
    /// The system call alone.
    pub fn syscall(&self) -> &'static str {
        self.call.split(':').next().unwrap_or(self.call)
    }

    fn raw(&self, p: &Place, q: Option<&Place>, v: Values) -> Outcome {
        let (dir, name) = (p.dir(), p.name());
        let (dir_to, name_to) = q.map_or((0, 0), |q| (q.dir(), q.name()));
        let (mode, owner, group) = (i64::from(v.mode), i64::from(v.owner), i64::from(v.group));
        let content = c(CONTENT);
        let content = content.as_ptr() as i64;
        let xattr = XATTR.as_ptr() as i64;
        let value = b"value".as_ptr() as i64;
        // struct xattr_args: value, size and flags.
        let xattr_args = [value, 5];
        let xattr_args = xattr_args.as_ptr() as i64;
        let times = [1_000_000_000_i64, 5, 1_000_000_001, 6];
        let times = times.as_ptr() as i64;
        match self.call {
            "unlink" | "unlink:link" => raw::call(libc::SYS_unlink, &[name]),
            "unlinkat" => raw::call(libc::SYS_unlinkat, &[dir, name, 0]),
            "unlinkat:dir" => raw::call(libc::SYS_unlinkat, &[dir, name, 0x200]),
            "rmdir" => raw::call(libc::SYS_rmdir, &[name]),
            "mkdir" => raw::call(libc::SYS_mkdir, &[name, 0o755]),
            "mkdirat" => raw::call(libc::SYS_mkdirat, &[dir, name, 0o755]),
            "mknod:fifo" => raw::call(libc::SYS_mknod, &[name, 0o010_644, 0]),
            "mknod:file" => raw::call(libc::SYS_mknod, &[name, 0o100_600, 0]),
            "mknodat:socket" => raw::call(libc::SYS_mknodat, &[dir, name, 0o140_644, 0]),
            "mknodat:device" => raw::call(libc::SYS_mknodat, &[dir, name, 0o020_600, 0x103]),
            "symlink" => raw::call(libc::SYS_symlink, &[content, name]),
            "symlinkat" => raw::call(libc::SYS_symlinkat, &[content, dir, name]),
            "rename" | "rename:dir" | "rename:over" => raw::call(libc::SYS_rename, &[name, name_to]),
            "renameat" => raw::call(libc::SYS_renameat, &[dir, name, dir_to, name_to]),
            "renameat2" => raw::call(libc::SYS_renameat2, &[dir, name, dir_to, name_to, 0]),
            "renameat2:noreplace" | "renameat2:refused" => {
                raw::call(libc::SYS_renameat2, &[dir, name, dir_to, name_to, 1])
            }
            "renameat2:exchange" => raw::call(libc::SYS_renameat2, &[dir, name, dir_to, name_to, 2]),
            "link" => raw::call(libc::SYS_link, &[name, name_to]),
            "linkat" => raw::call(libc::SYS_linkat, &[dir, name, dir_to, name_to, 0]),
            "linkat:follow" => raw::call(libc::SYS_linkat, &[dir, name, dir_to, name_to, 0x400]),
            "truncate" => raw::call(libc::SYS_truncate, &[name, i64::from(v.length)]),
            "chmod" => raw::call(libc::SYS_chmod, &[name, mode]),
            "fchmodat" => raw::call(libc::SYS_fchmodat, &[dir, name, mode]),
            "fchmodat2" => raw::call(raw::FCHMODAT2, &[dir, name, mode, 0]),
            "fchmodat2:nofollow" => raw::call(raw::FCHMODAT2, &[dir, name, mode, 0x100]),
            "chown" => raw::call(libc::SYS_chown, &[name, owner, group]),
            "lchown" => raw::call(libc::SYS_lchown, &[name, owner, group]),
            "fchownat" => raw::call(libc::SYS_fchownat, &[dir, name, owner, group, 0]),
            "fchownat:nofollow" => raw::call(libc::SYS_fchownat, &[dir, name, owner, group, 0x100]),
            "setxattr" => raw::call(libc::SYS_setxattr, &[name, xattr, value, 5, 0]),
            "lsetxattr" => raw::call(libc::SYS_lsetxattr, &[name, xattr, value, 5, 0]),
            "setxattrat" => raw::call(raw::SETXATTRAT, &[dir, name, 0, xattr, xattr_args, 16]),
            "removexattr" => raw::call(libc::SYS_removexattr, &[name, xattr]),
            "lremovexattr" => raw::call(libc::SYS_lremovexattr, &[name, xattr]),
            "removexattrat" => raw::call(raw::REMOVEXATTRAT, &[dir, name, 0, xattr]),
            "utime" => raw::call(libc::SYS_utime, &[name, times]),
            "utimes" => raw::call(libc::SYS_utimes, &[name, times]),
            "futimesat" => raw::call(libc::SYS_futimesat, &[dir, name, times]),
            "utimensat" => raw::call(libc::SYS_utimensat, &[dir, name, times, 0]),
            other => panic!("no such call: {other}"),
        }
    }

    /// The event of this call at these places.
    fn expect(&self, p: &Place, q: Option<&Place>, v: Values) -> Expect {
        let mut expect = named(self.kind, p);
        if let Some(q) = q {
            expect = expect.must(&q.flags);
            expect.path_to = q.named.as_deref().map(crate::support::ledger::escape);
            expect.real_to = Some(crate::support::ledger::escape(&q.real));
        }
        let expect = match self.kind {
            "attr_mode" => expect.field("mode_set", v.mode),
            "attr_owner" => expect.field("owner_set", v.owner).field("group_set", v.group),
            "attr_xattr" => expect.text("xattr", XATTR.to_bytes()),
            "file_truncate" => expect.field("bytes", v.length),
            "file_symlink" => expect.to(CONTENT),
            _ => expect,
        };
        match self.call {
            "renameat2:exchange" => expect.must(&["exchange"]),
            "lremovexattr" => expect.must(&["removed", "nofollow"]),
            "removexattr" | "removexattrat" => expect.must(&["removed"]),
            "lchown" | "lsetxattr" | "fchmodat2:nofollow" | "fchownat:nofollow" => expect.must(&["nofollow"]),
            "link" | "linkat" => expect.may(&["nofollow"]),
            _ => expect,
        }
    }
}

impl Run {
    /// Makes a name-based call and writes it down.
    pub fn apply(&mut self, named: &Named, p: &Place, q: Option<&Place>) -> Outcome {
        let values = Values::random(self);
        self.act(named.call, || named.raw(p, q, values), |_| Some(named.expect(p, q, values)))
    }

    /// Puts what a call needs at a place.
    pub fn prepare(&mut self, needs: Needs, p: &Place) {
        let made = match needs {
            File => return self.make(p),
            Free => return,
            Link => "symlinkat",
            Dir => "mkdirat",
        };
        self.apply(super::plan::named(made), p, None).expect(made);
    }
}
