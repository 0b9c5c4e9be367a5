//! A sample: what a probe writes into a ring. Fixed header, fixed body by kind, then texts.

use crate::text::{TEXT_HEADER, TEXT_MAX};

/// Largest sample, which is also the size of a probe's scratch space behind it.
pub const SAMPLE_MAX: usize = 28 * 1024;
/// Length of a command name with its NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// `kind` of a call into libpam: input for login events, not an event kind.
pub const PAM_CALL: u16 = 0x100;

/// First in every sample.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Header {
    /// Length of the whole sample in bytes.
    pub length: u32,
    /// [`crate::kind::Kind`] or [`PAM_CALL`].
    pub kind: u16,
    /// [`crate::class::Class`].
    pub class: u8,
    /// Number of texts behind the body.
    pub texts: u8,
    /// CPU that took the sequence number.
    pub cpu: u32,
    /// 0, or minus errno.
    pub result: i32,
    /// Position in this CPU's stream of this class, from 0, taken before the ring was asked for room.
    pub sequence: u64,
    /// `CLOCK_BOOTTIME`, ns.
    pub mono: u64,
    /// Bits of [`flag`].
    pub flags: u64,
    /// Who did it.
    pub task: TaskId,
}

/// The task behind an event, at the time of the event. Ids are those of the initial namespaces.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TaskId {
    /// `group_leader->start_boottime`, ns.
    pub start: u64,
    /// The same of the parent process.
    pub parent_start: u64,
    /// cgroup v2 id.
    pub cgroup: u64,
    /// Process (thread group) id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Parent process id.
    pub ppid: u32,
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// Login user; `u32::MAX` when unset.
    pub loginuid: u32,
    /// Audit session; `u32::MAX` when unset.
    pub session: u32,
    /// Inode number of the mount namespace.
    pub mntns: u32,
    /// Inode number of the pid namespace.
    pub pidns: u32,
    /// Root directory: 0 when it is the recorder's own, else a number that no other directory has while it lives.
    pub root: u32,
    /// Command name, NUL-padded.
    pub comm: [u8; COMM_LEN],
}

/// Credentials of a task: a text with [`crate::text::Tag::Creds`] holds two, before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Creds {
    /// uid, euid, suid, fsuid, gid, egid, sgid, fsgid.
    pub ids: [u32; 8],
    /// Permitted capabilities.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
}

/// What the daemon tells the probes at load, frozen like the offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Process id of the recorder, whose root directory is the host's.
    pub recorder: u32,
    /// Not 0: the environment of a program comes with its exec.
    pub environment: u32,
}

/// What one CPU did in one class: the value of the `COUNTERS` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Next sequence number.
    pub sequence: u64,
    /// Samples that found no room.
    pub dropped: u64,
    /// Boot-clock ns of the last wake-up of the reader.
    pub woken: u64,
}

/// Body of every kind: numbers whose meaning the kind decides. Unused ones are 0.
///
/// | kinds | `arg` |
/// |---|---|
/// | exec | 0 argc (counted, may exceed the text), 1 bytes of the argument block, 2 capabilities gained, 3 nlink |
/// | fork | 0 child pid, 1 child tid, 2 child `start_boottime`, 3 clone flags |
/// | exit | 0 `exit_code` as in `task_struct` (code<<8 \| signal), 1 threads left |
/// | file_create, file_write, file_truncate | 0 bytes (of the call; at close all), 1 calls (at close), 2 offset or length asked for, 3 open flags |
/// | attr_mode, attr_owner, attr_flags | 0 new value (mode, uid, flags), 1 new gid, 2 ioctl command |
/// | attr_xattr | 0 size, 1 set flags, 2 1 when removed |
/// | mount, unmount | 0 mount flags |
/// | file_rename, file_link, node_create | 0 flags or mode, 1 device |
/// | credential | 0 to 2 ids asked for (capset: effective, permitted; setgroups: count), 3 call |
/// | bpf | 0 command, 1 type of program or map, 2 id, 3 call |
/// | ptrace | 0 request, 1 target, 2 bytes, 3 call |
/// | clock | 0 clock, 1 seconds, 2 nanoseconds or `timex.modes`, 3 call |
/// | hostname | 0 inode number of the uts namespace, 3 call |
/// | namespace | 0 `CLONE_NEW*`, 1 child or target, 3 call; `ino` of the namespace entered |
/// | swap | 0 flags |
/// | module, kexec, reboot, syscall | 0 flags, command or the like, 1 and 2 further arguments, 3 call |
/// | session_id | 3 call |
/// | `PAM_CALL` | 0 [`pam`] call, 1 handle, 2 item |
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Body {
    /// Inode number, 0 when the object was not at hand.
    pub ino: u64,
    /// See the table.
    pub arg: [u64; 4],
    /// Device of the file system as the kernel keeps it: major << 20 | minor.
    pub dev: u32,
    /// `i_mode`, 0 when the object was not at hand.
    pub mode: u32,
    /// Owner of the object.
    pub owner: u32,
    /// Group of the object.
    pub group: u32,
}

/// Where texts start.
pub const FIXED: usize = size_of::<Header>() + size_of::<Body>();

const _: () = assert!(size_of::<TaskId>() == 88);
const _: () = assert!(size_of::<Header>() == 128);
const _: () = assert!(size_of::<Body>() == 56);
const _: () = assert!(size_of::<Creds>() == 48);
const _: () = assert!(FIXED + 2 * (TEXT_HEADER + TEXT_MAX) <= SAMPLE_MAX);

/// Bits of [`Header::flags`]: facts about an event that a reader must not miss.
pub mod flag {
    /// A text was cut; see the text's own flags.
    pub const CUT: u64 = 1;
    /// A path could not be resolved to an absolute one.
    pub const UNRESOLVED: u64 = 1 << 1;
    /// The object had no name any more.
    pub const DELETED: u64 = 1 << 2;
    /// The file is a memfd.
    pub const MEMFD: u64 = 1 << 3;
    /// The program runs with the credentials of its file.
    pub const SETUID: u64 = 1 << 4;
    /// Asked for through io_uring.
    pub const IO_URING: u64 = 1 << 5;
    /// A path is the caller's argument below the kernel's directory path; its own links are not resolved.
    pub const FROM_ARGUMENT: u64 = 1 << 6;
    /// Summary at the last close of a written file.
    pub const CLOSE: u64 = 1 << 7;
    /// The change is part of an open.
    pub const OPEN: u64 = 1 << 8;
    /// An unnamed file (`O_TMPFILE`).
    pub const TMPFILE: u64 = 1 << 9;
    /// renameat2 exchanged the two names.
    pub const EXCHANGE: u64 = 1 << 10;
    /// Removed rather than set (extended attribute).
    pub const REMOVED: u64 = 1 << 11;
    /// A thread, not a process.
    pub const THREAD: u64 = 1 << 12;
    /// A symbolic link itself, not what it points to.
    pub const NOFOLLOW: u64 = 1 << 13;
    /// A change of an existing mount.
    pub const REMOUNT: u64 = 1 << 14;
    /// The first write through this open file.
    pub const FIRST: u64 = 1 << 15;
    /// The store of the recorder was touched. Set by the daemon, by no probe.
    pub const STORE: u64 = 1 << 16;
    /// A secret was blanked. Set by the daemon, never by a probe.
    pub const REDACTED: u64 = 1 << 17;
    /// Handed to `io_submit`: the bytes are those asked for, the outcome is the caller's to collect.
    pub const IO_SUBMIT: u64 = 1 << 18;
    /// Told at the beginning of a call that does not return when it succeeds.
    pub const ATTEMPT: u64 = 1 << 19;

    /// Asked for, and the outcome is not known: no completion was seen, or can be.
    pub const UNCONFIRMED: u64 = 1 << 24;
    /// A command to the driver of a device: what it changes is not known.
    pub const COMMAND: u64 = 1 << 25;
    /// A 32-bit program: its system calls pass the hooks of the syscall family by.
    pub const COMPAT: u64 = 1 << 26;
    /// renameat2 left a whiteout in the old place.
    pub const WHITEOUT: u64 = 1 << 27;
    /// Content was taken over from another file by sharing its blocks (`FICLONE`, `FICLONERANGE`).
    pub const REFLINK: u64 = 1 << 28;

    /// Every flag with its word in the `flags` field, in output order.
    pub const WORDS: [(u64, &str); 25] = [
        (CUT, "cut"),
        (UNRESOLVED, "unresolved"),
        (DELETED, "deleted"),
        (MEMFD, "memfd"),
        (SETUID, "setuid"),
        (IO_URING, "io_uring"),
        (FROM_ARGUMENT, "from_argument"),
        (CLOSE, "close"),
        (OPEN, "open"),
        (TMPFILE, "tmpfile"),
        (EXCHANGE, "exchange"),
        (REMOVED, "removed"),
        (THREAD, "thread"),
        (NOFOLLOW, "nofollow"),
        (REMOUNT, "remount"),
        (FIRST, "first"),
        (STORE, "store"),
        (REDACTED, "redacted"),
        (IO_SUBMIT, "io_submit"),
        (ATTEMPT, "attempt"),
        (UNCONFIRMED, "unconfirmed"),
        (COMMAND, "command"),
        (COMPAT, "compat"),
        (WHITEOUT, "whiteout"),
        (REFLINK, "reflink"),
    ];
}

/// Calls into libpam that probes report (`Body::arg[0]`).
pub mod pam {
    /// `pam_start` returned; texts service and user; handle known only now.
    pub const START: u64 = 1;
    /// `pam_set_item` was called; `arg[2]` is the item; text is its value.
    pub const SET_ITEM: u64 = 2;
    /// `pam_get_user` returned; text user.
    pub const GET_USER: u64 = 3;
    /// `pam_authenticate` returned.
    pub const AUTHENTICATE: u64 = 4;
    /// `pam_acct_mgmt` returned.
    pub const ACCT_MGMT: u64 = 5;
    /// `pam_open_session` returned.
    pub const OPEN_SESSION: u64 = 6;
    /// `pam_close_session` returned.
    pub const CLOSE_SESSION: u64 = 7;
    /// `pam_end` was called.
    pub const END: u64 = 8;
    /// Item numbers of `pam_set_item` that matter here (`security/_pam_types.h`).
    pub const ITEM_USER: u64 = 2;
    /// Terminal.
    pub const ITEM_TTY: u64 = 3;
    /// Remote host.
    pub const ITEM_RHOST: u64 = 4;
    /// Remote (requesting) user.
    pub const ITEM_RUSER: u64 = 8;
}
