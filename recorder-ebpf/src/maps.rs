//! Every map: rings by class, counters, scratch space, the syscall table, and the state of written files.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use recorder_common::class::Class;
use recorder_common::hook;
use recorder_common::offsets::Offsets;
use recorder_common::sample::{Counters, Creds, Settings, TaskId};
use recorder_common::syscall::{SYSCALLS, Spec, UNHOOKED};

/// exec, fork, exit, logins, mounts, credentials, the kernel itself. The daemon sets the real sizes at load.
#[map]
pub static CRITICAL: RingBuf = RingBuf::with_byte_size(4 << 20, 0);
/// File changes.
#[map]
pub static FILES: RingBuf = RingBuf::with_byte_size(16 << 20, 0);
/// Sequence numbers and losses of this CPU, by class.
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(Class::ALL.len() as u32, 0);
/// Where samples are put together. More than one because a probe can be preempted by another.
#[map]
pub static SCRATCH: PerCpuArray<[u8; 32 * 1024]> = PerCpuArray::with_max_entries(SLOTS, 0);
/// Which scratch spaces of this CPU are in use.
#[map]
pub static BUSY: PerCpuArray<[u64; SLOTS as usize]> = PerCpuArray::with_max_entries(1, 0);
/// Directory entry of the recorder's own root, which is the host's; 0 until it is known.
#[map]
pub static OWN_ROOT: Array<u64> = Array::with_max_entries(1, 0);
/// How often each hook ran, by `recorder_common::hook`.
#[map]
pub static RUNS: PerCpuArray<u64> = PerCpuArray::with_max_entries(hook::RUNS, 0);
/// Open files that were written, by address of `struct file`.
#[map]
pub static WRITES: LruHashMap<u64, Written> = LruHashMap::with_max_entries(65_536, 0);
/// Processes whose end was told, by process and start of its first thread: two last threads that end at once both see
/// that no other lives.
#[map]
pub static ENDED: LruHashMap<[u64; 2], u8> = LruHashMap::with_max_entries(1024, 0);
/// Calls of mprotect that make mappings of files writable and have not returned, by thread.
#[map]
pub static PROTECTED: LruHashMap<u64, Protected> = LruHashMap::with_max_entries(1024, 0);
/// The newest inode of the queues' file system when a thread called mq_open: its address and number.
#[map]
pub static QUEUES: LruHashMap<u64, [u64; 2]> = LruHashMap::with_max_entries(1024, 0);
/// Requests of io_uring that are told at their completion, by address.
#[map]
pub static REQUESTS: HashMap<u64, Request> = HashMap::with_max_entries(4096, 0);
/// Kinds that the object family tells, one bit each, whoever asked: only what is left is told from io_uring itself.
#[map]
pub static OBJECT_KINDS: Array<u64> = Array::with_max_entries(1, 0);
/// Names in those of them that have names.
#[map]
pub static NAMES: HashMap<u64, Names> = HashMap::with_max_entries(1024, 0);
/// Requests that were told already, because the program does not want to hear of their success, with their names.
#[map]
pub static QUIET: LruHashMap<u64, Asked> = LruHashMap::with_max_entries(64, 0);
/// Open files by their ring and its slot, for those that were opened into a slot.
#[map]
pub static SLOT_FILES: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(4096, 0);
/// Calls of the object family that have not returned, by thread.
#[map]
pub static PENDING: HashMap<u64, Pending> = HashMap::with_max_entries(8192, 0);
/// What a thread is about to rename.
#[map]
pub static RENAMED: LruHashMap<u64, Renamed> = LruHashMap::with_max_entries(2048, 0);
/// Opens of a thread that failed and were told, until their call returns.
#[map]
pub static REFUSED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(2048, 0);
/// Credentials at the beginning of a call that may change them and has not returned, by thread.
#[map]
pub static CREDS: LruHashMap<u64, Creds> = LruHashMap::with_max_entries(1024, 0);
/// Names of modules that a call is loading, by thread.
#[map]
pub static MODULES: LruHashMap<u64, [u64; MODULE_NAME]> = LruHashMap::with_max_entries(64, 0);
/// Calls into libpam that have not returned, by thread and call.
#[map]
pub static PAM_CALLS: HashMap<PamKey, [u64; 3]> = HashMap::with_max_entries(4096, 0);

/// Room for the name of a module (`MODULE_NAME_LEN`), in words.
pub const MODULE_NAME: usize = 7;

/// Scratch spaces per CPU: tracepoints, uprobes, and one of each that preempted the other.
pub const SLOTS: u32 = 4;

/// Field offsets of the running kernel; the daemon overrides them before load, the kernel freezes them.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::from_array([0; Offsets::COUNT]);

/// How to read each system call, by number; overridden and frozen like the offsets.
#[unsafe(no_mangle)]
pub static SPECS: [Spec; SYSCALLS] = [UNHOOKED; SYSCALLS];

/// What the daemon tells; overridden and frozen like the offsets.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings { recorder: 0, environment: 0 };

/// What was written through one open file since its first write.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// Calls.
    pub calls: u64,
    /// Inode, to tell a reused address.
    pub inode: u64,
    /// Process that is closing its descriptors, and how many of them referred to this file so far.
    pub closer: u32,
    /// See `closer`.
    pub seen: u32,
    /// A mapping holds the file, so its reference count says nothing at close.
    pub mapped: u32,
    /// Bits of `recorder_common::sample::flag` that the summary at the close carries.
    pub marks: u32,
}

/// A call on its way through the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pending {
    /// Its arguments, as the system call of this number has them.
    pub arguments: [u64; 6],
    /// System call that describes the arguments.
    pub number: u32,
    /// The event is sent, or there is none to send.
    pub told: u32,
    /// Names are the kernel's copies.
    pub in_kernel: u64,
    /// Bits of `recorder_common::sample::flag`.
    pub marks: u64,
    /// Mount that the call asked to write to (`struct vfsmount *`): of a stack of file systems the topmost.
    pub mount: u64,
}

/// An entry before its name is changed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Renamed {
    /// Directory that holds it.
    pub parent: u64,
    /// Its name.
    pub name: [u8; 256],
}

/// Mappings that one call of mprotect looked at.
pub const MAPPINGS: u32 = 8;

/// Shared mappings of files that a call of mprotect is about to make writable.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Protected {
    /// `struct file` of each.
    pub files: [u64; MAPPINGS as usize],
    /// Bytes of each that lie in the range of the call.
    pub bytes: [u64; MAPPINGS as usize],
    /// How many there are.
    pub count: u64,
}

/// One call into libpam.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PamKey {
    /// Process and thread.
    pub thread: u64,
    /// `recorder_common::sample::pam` call.
    pub call: u64,
}

/// Longest name with its NUL (`PATH_MAX`).
pub const NAME_ROOM: usize = 4096;

/// A request of io_uring from its submission to its completion, which another thread may see.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    /// Who asked.
    pub task: TaskId,
    /// The ring, and what the program calls the request: all that an overflow of its completions tells.
    pub ring: u64,
    /// See `ring`.
    pub tag: u64,
    /// The open file that it lets go or writes to, when that is known at the submission.
    pub file: u64,
    /// As in `recorder_common::sample::Body`.
    pub arg: [u64; 4],
    /// Directories that the names are relative to.
    pub dir: [i32; 2],
    /// `IORING_OP_*`.
    pub operation: u32,
    /// Bits of the names that could not be read.
    pub faults: u32,
}

/// Names of a request, each ended by NUL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Names {
    /// The first.
    pub first: [u8; NAME_ROOM],
    /// The second; content of a link; name of an attribute.
    pub second: [u8; NAME_ROOM],
}

/// A request with its names.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Asked {
    /// What is asked for.
    pub request: Request,
    /// Its names.
    pub names: Names,
}
