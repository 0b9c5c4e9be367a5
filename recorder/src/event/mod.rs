//! What happened: bytes from the kernel become an [`Event`], and an event becomes one line of JSON.
//!
//! An event borrows from its sample, so the hot path allocates nothing. JSON is its only written form; what readers
//! see is a [`record::Record`], parsed back from that line.

pub mod clock;
pub mod decode;
pub mod errno;
pub mod json;
pub mod names;
pub mod path;
pub mod record;
pub mod sentence;
pub mod signal;
pub mod text;
pub mod wire;

#[cfg(test)]
pub(crate) mod sample_bytes;

use std::borrow::Cow;

pub use recorder_common::class::Class;
pub use recorder_common::kind::Kind;

/// One thing that happened on this host.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// `CLOCK_BOOTTIME`, ns.
    pub mono: u64,
    /// What happened.
    pub kind: Kind,
    /// 0, or errno.
    pub errno: i32,
    /// Who did it; `None` for events of the recorder itself.
    pub task: Option<Task<'a>>,
    /// Bits of [`recorder_common::sample::flag`].
    pub flags: u64,
    /// What the kind adds.
    pub body: Body<'a>,
}

/// The task behind an event, at the time of the event.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Task<'a> {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Start of the process, boot-clock ns; with `pid` and the boot id the process key.
    pub start: u64,
    /// Start of the parent process, boot-clock ns.
    pub parent_start: u64,
    /// Command name, without padding.
    pub comm: &'a [u8],
    /// Absolute path of the program, when known.
    pub exe: Option<Cow<'a, [u8]>>,
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// Login user.
    pub loginuid: Option<u32>,
    /// Audit session.
    pub session: Option<u32>,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// cgroup path, when it could be resolved.
    pub cgroup: Option<Cow<'a, [u8]>>,
    /// Container id, when the cgroup names one.
    pub container: Option<Cow<'a, str>>,
    /// Mount namespace.
    pub mntns: u32,
    /// Pid namespace.
    pub pidns: u32,
    /// 0 when the root directory is the recorder's own; else a number that no other directory has while it lives.
    pub root_id: u32,
    /// The root directory, when it is another than the recorder's and could be found.
    pub root: Option<Cow<'a, [u8]>>,
}

/// What a kind adds to an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// exec, exec_failed.
    Exec(Exec<'a>),
    /// fork: the child.
    Fork(Fork),
    /// exit.
    Exit(Exit),
    /// Every file kind, mount and unmount.
    File(File<'a>),
    /// login, logout, auth_ok, auth_failed.
    Login(Login<'a>),
    /// credential.
    Credential(Box<Credential<'a>>),
    /// session_id, and the kinds about the kernel itself: module, bpf, ptrace, clock, hostname, reboot, swap, kexec,
    /// namespace, syscall.
    System(Box<System<'a>>),
    /// start, stop, gap, config: the recorder about itself. Keys and values in output order.
    Recorder(Vec<(&'static str, Value)>),
}

/// A program start. `file` is as given by the caller.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Exec<'a> {
    /// Arguments that fitted; `argc` tells how many there were.
    pub argv: Vec<Cow<'a, [u8]>>,
    /// Number of arguments.
    pub argc: u64,
    /// Environment: all that came, until it is chosen from. Each is `NAME=VALUE`.
    pub env: Vec<Cow<'a, [u8]>>,
    /// Secrets that were blanked in `argv` and `env`.
    pub redacted: Vec<Redaction>,
    /// Absolute working directory.
    pub cwd: Option<Cow<'a, [u8]>>,
    /// File name as given.
    pub file: &'a [u8],
    /// Interpreter, when it differs from `file`.
    pub interp: Option<&'a [u8]>,
    /// The executable's identity.
    pub inode: Option<Inode>,
    /// Capabilities that the executable gave.
    pub caps_gained: u64,
    /// Root directory of the process as the kernel walked it, when it is another than the recorder's.
    pub root: Option<Cow<'a, [u8]>>,
}

/// A secret that was blanked in an argument or a variable, and what proves later what it was; see [`crate::redact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// Index of the argument, or of the variable.
    pub argument: u32,
    /// It stood in `env`, not in `argv`.
    pub is_env: bool,
    /// Where in the written argument the blank begins, bytes.
    pub at: u32,
    /// The rule that found it.
    pub rule: &'static str,
    /// The probe's room ended inside it: the commitment is over its beginning.
    pub is_cut: bool,
    /// Which key the salt is derived from.
    pub key: [u8; 4],
    /// `SHA-256(salt || secret)`.
    pub commitment: [u8; 32],
}

/// A new process or thread.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Fork {
    /// Child's process id.
    pub child_pid: u32,
    /// Child's thread id.
    pub child_tid: u32,
    /// Child's start, boot-clock ns.
    pub child_start: u64,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Exit {
    /// Exit code, 0 to 255.
    pub code: u8,
    /// Signal that ended it, 0 when none.
    pub signal: u8,
}

/// Identity and attributes of a file at the time of the event.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Inode {
    /// Device, kernel form (major << 20 | minor).
    pub dev: u32,
    /// Inode number.
    pub ino: u64,
    /// `i_mode`.
    pub mode: u32,
    /// Owner.
    pub owner: u32,
    /// Group.
    pub group: u32,
}

/// A change of a file, a name or a mount. Fields that a kind does not have are `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File<'a> {
    /// Absolute path.
    pub path: Option<Cow<'a, [u8]>>,
    /// Second path: new name, link's new name, or content of a symbolic link.
    pub path_to: Option<Cow<'a, [u8]>>,
    /// The object, when the kernel had it at hand.
    pub inode: Option<Inode>,
    /// Mode that was asked for (attr_mode, node_create, dir_create).
    pub mode_set: Option<u32>,
    /// Owner that was asked for (attr_owner).
    pub owner_set: Option<u32>,
    /// Group that was asked for (attr_owner).
    pub group_set: Option<u32>,
    /// Bytes written, or length set.
    pub bytes: Option<u64>,
    /// Write calls in a close summary.
    pub calls: Option<u64>,
    /// Name of the extended attribute.
    pub xattr: Option<&'a [u8]>,
    /// Inode flags that were set (attr_flags), mount flags (mount, unmount).
    pub bits: Option<u64>,
    /// Source of a mount.
    pub source: Option<&'a [u8]>,
    /// File system type of a mount.
    pub fstype: Option<&'a [u8]>,
}

/// A change of ids, groups or capabilities. The task of the event is as it was afterwards.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Credential<'a> {
    /// System call.
    pub call: &'static str,
    /// uid, euid, gid, egid before.
    pub old: [u32; 4],
    /// Saved user, saved group, user and group for file access, afterwards.
    pub suid: u32,
    /// See `suid`.
    pub sgid: u32,
    /// See `suid`.
    pub fsuid: u32,
    /// See `suid`.
    pub fsgid: u32,
    /// Ids that were asked for, with their key.
    pub ids_set: [Option<(&'static str, u32)>; 3],
    /// Groups that were asked for (setgroups): 4 bytes each.
    pub groups_set: Option<&'a [u8]>,
    /// Effective capabilities that were asked for (capset).
    pub caps_set: Option<u64>,
    /// Capabilities, permitted or effective, that are new.
    pub caps_gained: u64,
    /// Capabilities, permitted or effective, that are gone.
    pub caps_lost: u64,
}

/// A call that changes the kernel or a task's standing in it. Fields that a kind does not have are `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct System<'a> {
    /// System call.
    pub call: &'static str,
    /// Command, request or the like, in the kernel's words.
    pub command: Option<Cow<'static, str>>,
    /// Type of a bpf program or map.
    pub bpf_type: Option<Cow<'static, str>>,
    /// Id of a bpf program, map or link.
    pub id: Option<u64>,
    /// Name of the module, host, domain, program or map.
    pub name: Option<&'a [u8]>,
    /// File that the call is about.
    pub path: Option<Cow<'a, [u8]>>,
    /// Parameters of a module, command line of a kernel.
    pub params: Option<&'a [u8]>,
    /// Process that the call is about, as the caller numbers it.
    pub target: Option<u32>,
    /// Bytes written.
    pub bytes: Option<u64>,
    /// Flags of the call.
    pub bits: Option<u64>,
    /// Clock.
    pub clock: Option<Cow<'static, str>>,
    /// Time that was set: ns since 1970.
    pub time_set: Option<i64>,
    /// `CLONE_NEW*` of the namespaces.
    pub namespaces: Option<u64>,
    /// Inode number of the namespace that was entered.
    pub ns: Option<u64>,
    /// Inode number of the uts namespace.
    pub utsns: Option<u64>,
}

/// A login fact as PAM told it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Login<'a> {
    /// User.
    pub user: Option<Cow<'a, [u8]>>,
    /// PAM service.
    pub service: Option<Cow<'a, [u8]>>,
    /// Remote host.
    pub rhost: Option<Cow<'a, [u8]>>,
    /// Terminal.
    pub tty: Option<Cow<'a, [u8]>>,
    /// PAM's own result code.
    pub pam_result: i32,
    /// Who asserts these fields: `kernel` or `pam`.
    pub from: &'static str,
}

/// A value in an event of the recorder about itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// True or false.
    Bool(bool),
    /// Absent.
    Null,
}
