//! The current task: who it is, its descriptors, directories and system call arguments.

use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid};
use recorder_common::sample::{COMM_LEN, TaskId};

use crate::maps::{OFFSETS, OWN_ROOT, SETTINGS};
use crate::read::{has, kernel, kernel_at, offset, typed, typed_inside};

/// A thread of the kernel's in a process, for io_uring (`include/linux/sched.h`).
const PF_IO_WORKER: u32 = 0x10;

/// Address of the current `task_struct`.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: always available to tracing programs since 5.11.
    unsafe { bpf_get_current_task_btf() as u64 }
}

/// Process id of the current task.
#[inline(always)]
pub fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Start of a process in boot-clock ns, from any of its tasks.
#[inline(always)]
pub fn start_of(task: u64) -> u64 {
    let leader: u64 = kernel(task, &OFFSETS.task_group_leader);
    kernel(leader, &OFFSETS.task_start_boottime)
}

/// Everything that each event says about the current task, which `task` must be. A thread that the kernel gave a process
/// to work off its requests is called as the process is.
#[inline(always)]
pub fn identity(task: u64, id: &mut TaskId) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let parent: u64 = typed(task, &OFFSETS.task_real_parent);
    let cred: u64 = typed(task, &OFFSETS.task_cred);
    let leader: u64 = typed(task, &OFFSETS.task_group_leader);
    let parent_leader: u64 = typed(parent, &OFFSETS.task_group_leader);
    id.start = typed(leader, &OFFSETS.task_start_boottime);
    id.parent_start = typed(parent_leader, &OFFSETS.task_start_boottime);
    // SAFETY: the helper takes nothing and returns an id.
    id.cgroup = unsafe { bpf_get_current_cgroup_id() };
    id.pid = (pid_tgid >> 32) as u32;
    id.tid = pid_tgid as u32;
    id.ppid = typed(parent, &OFFSETS.task_tgid);
    id.uid = typed(cred, &OFFSETS.cred_uid);
    id.euid = typed(cred, &OFFSETS.cred_euid);
    id.gid = typed(cred, &OFFSETS.cred_gid);
    id.egid = typed(cred, &OFFSETS.cred_egid);
    id.loginuid = audit(task, &OFFSETS.task_loginuid);
    id.session = audit(task, &OFFSETS.task_sessionid);
    id.mntns = mount_namespace(task);
    id.pidns = pid_namespace(task);
    id.root = root_of(task);
    id.comm = if typed::<u32>(task, &OFFSETS.task_flags) & PF_IO_WORKER != 0 {
        kernel(leader, &OFFSETS.task_comm)
    } else {
        bpf_get_current_comm().unwrap_or([0; COMM_LEN])
    };
}

/// Takes the ids of other credentials.
#[inline(always)]
pub fn set_ids(cred: u64, id: &mut TaskId) {
    id.uid = kernel(cred, &OFFSETS.cred_uid);
    id.euid = kernel(cred, &OFFSETS.cred_euid);
    id.gid = kernel(cred, &OFFSETS.cred_gid);
    id.egid = kernel(cred, &OFFSETS.cred_egid);
}

/// The root directory of the current task, which `task` must be: 0 when it is the recorder's own, else by its address.
#[inline(always)]
fn root_of(task: u64) -> u32 {
    let Some(own) = OWN_ROOT.get(0) else { return 0 };
    let root = root_entry(task);
    // Entries are 64 bytes and more, and lie in one region of the kernel's memory.
    if *own == 0 || root == 0 || root == *own { 0 } else { (root >> 6) as u32 }
}

/// Directory entry of the current task's root.
#[inline(always)]
fn root_entry(task: u64) -> u64 {
    let fs: u64 = kernel(task, &OFFSETS.task_fs);
    kernel(fs.wrapping_add(offset(&OFFSETS.fs_root)), &OFFSETS.path_dentry)
}

/// Remembers the root of the recorder, when the current task is one of its threads. Whatever mounts it was given, the
/// directory is the host's.
#[inline(always)]
pub fn note_own_root() {
    if tgid() as u64 != offset(&SETTINGS.recorder) {
        return;
    }
    if let Some(own) = OWN_ROOT.get_ptr_mut(0) {
        // SAFETY: a map value; a plain store of one word.
        unsafe { *own = root_entry(current()) };
    }
}

/// An audit id; unset where the kernel is built without audit.
#[inline(always)]
fn audit(task: u64, field: &u32) -> u32 {
    if has(field) { typed(task, field) } else { u32::MAX }
}

#[inline(always)]
fn mount_namespace(task: u64) -> u32 {
    let nsproxy: u64 = typed(task, &OFFSETS.task_nsproxy);
    let ns: u64 = typed(nsproxy, &OFFSETS.nsproxy_mnt_ns);
    typed_inside(ns, &OFFSETS.mnt_namespace_ns, &OFFSETS.ns_common_inum)
}

/// `task_active_pid_ns`: the namespace of the deepest level of the task's pid.
#[inline(always)]
fn pid_namespace(task: u64) -> u32 {
    let pid: u64 = typed(task, &OFFSETS.task_thread_pid);
    let level: u32 = typed(pid, &OFFSETS.pid_level);
    // struct upid { int nr; struct pid_namespace *ns; }: 16 bytes wherever `ns` is at 8.
    let upid = offset(&OFFSETS.pid_numbers) + (level as u64 & 31) * 16;
    let ns: u64 = kernel(pid.wrapping_add(upid), &OFFSETS.upid_ns);
    kernel(ns.wrapping_add(offset(&OFFSETS.pid_namespace_ns)), &OFFSETS.ns_common_inum)
}

/// `struct file` behind a descriptor of the current task; 0 when there is none.
#[inline(always)]
pub fn file_of(task: u64, descriptor: u32) -> u64 {
    let (array, slots, _) = descriptor_table(task, &OFFSETS.fdt_open_fds);
    if descriptor >= slots {
        return 0;
    }
    kernel_at(array.wrapping_add(descriptor as u64 * 8))
}

/// Descriptors of the current task, which `task` must be: array of `struct file *`, how many there is room for, and
/// the bitmap that `bits` names (`open_fds` or `close_on_exec`).
#[inline(always)]
pub fn descriptor_table(task: u64, bits: &u32) -> (u64, u32, u64) {
    let files: u64 = typed(task, &OFFSETS.task_files);
    let table: u64 = typed(files, &OFFSETS.files_fdt);
    (typed(table, &OFFSETS.fdt_fd), typed(table, &OFFSETS.fdt_max_fds), typed(table, bits))
}

/// Arguments of the system call that is returning, as the caller set them.
///
/// They outlive the call in `pt_regs` (x86-64 `PUSH_AND_CLEAR_REGS`), except after a successful exec.
#[inline(always)]
pub fn arguments() -> [u64; 6] {
    // SAFETY: available since 5.15; the task is the current one.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    // r10 r9 r8 ax cx dx si di stand side by side; the loader checks that.
    let saved: [u64; 8] = kernel_at(regs.wrapping_add(offset(&OFFSETS.pt_regs_r10)));
    let [r10, r9, r8, _ax, _cx, dx, si, di] = saved;
    [di, si, dx, r10, r8, r9]
}

/// Where a call comes from.
pub struct Origin {
    /// Number of the 64-bit system call that the thread makes; below 0 when it makes none.
    pub number: i32,
    /// The work may be io_uring's: done by its worker, in a call of its own, or at the return from any other.
    pub may_be_uring: bool,
}

/// Where what the current thread does in the kernel comes from.
#[inline(always)]
pub fn origin() -> Origin {
    /// `PF_IO_WORKER`: a thread that the kernel made for io_uring in the process that uses it.
    const IO_WORKER: u32 = 0x10;
    /// `__USER32_CS`.
    const USER32: u64 = 0x23;
    let task = current();
    if typed::<u32>(task, &OFFSETS.task_flags) & IO_WORKER != 0 {
        return Origin { number: -1, may_be_uring: true };
    }
    let has_ring = has(&OFFSETS.task_io_uring) && typed::<u64>(task, &OFFSETS.task_io_uring) != 0;
    // SAFETY: available since 5.15; the task is the current one.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    let is_32_bit = kernel::<u64>(regs, &OFFSETS.pt_regs_cs) & 0xffff == USER32;
    let number: u64 = kernel(regs, &OFFSETS.pt_regs_orig_ax);
    Origin { number: if is_32_bit { -1 } else { number as i32 }, may_be_uring: has_ring }
}
