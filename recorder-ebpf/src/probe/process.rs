//! Processes: exec, fork and exit, from the scheduler's tracepoints.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use recorder_common::class::Class;
use recorder_common::hook;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::ran;
use crate::maps::{ENDED, OFFSETS, SETTINGS};
use crate::read::{kernel, kernel_bit, offset};
use crate::sample::{Sample, Urgency};
use crate::{files, task};

/// How a 32-bit program begins (`ELFMAG`, `ELFCLASS32`).
const ELF_32: [u8; 5] = *b"\x7fELF\x01";
/// The threads of a process end together (`include/linux/sched/signal.h`).
const SIGNAL_GROUP_EXIT: u32 = 4;
/// What `BPF_NOEXIST` gives for a key that is there.
const EEXIST: i32 = -17;

/// Hook: `tp_btf/sched_process_exec(task, old_pid, bprm)`; fires after the point of no return.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    ran(hook::EXEC);
    exec(ctx.arg(0), ctx.arg(2));
    0
}

fn exec(task: u64, bprm: u64) -> Option<()> {
    let mut sample = Sample::begin(Class::Critical, Kind::Exec as u16)?;
    let mm: u64 = kernel(task, &OFFSETS.task_mm);
    let exe: u64 = kernel(mm, &OFFSETS.mm_exe_file);
    let fs: u64 = kernel(task, &OFFSETS.task_fs);
    let start: u64 = kernel(mm, &OFFSETS.mm_arg_start);
    let end: u64 = kernel(mm, &OFFSETS.mm_arg_end);
    let body = sample.body();
    let inode = files::inode_of(exe);
    files::identify(inode, body);
    body.arg = [
        kernel::<u32>(bprm, &OFFSETS.bprm_argc) as u64,
        end.wrapping_sub(start),
        0,
        kernel::<u32>(inode, &OFFSETS.inode_nlink) as u64,
    ];
    flag_setuid(&mut sample);
    let gained = gained(&sample, bprm);
    if gained != 0 {
        sample.body().arg[2] = gained;
        sample.add_flags(flag::SETUID);
    }
    files::flag_memfd(exe, &mut sample);
    // The beginning of the program, or of the interpreter that runs it.
    if kernel::<[u8; 5]>(bprm, &OFFSETS.bprm_beginning) == ELF_32 {
        sample.add_flags(flag::COMPAT);
    }
    sample.walked(Tag::Exe, files::path_of(exe));
    sample.walked(Tag::Cwd, fs.wrapping_add(offset(&OFFSETS.fs_pwd)));
    let given: u64 = kernel(bprm, &OFFSETS.bprm_filename);
    let interp: u64 = kernel(bprm, &OFFSETS.bprm_interp);
    sample.kernel_text(Tag::Given, given);
    if interp != given {
        sample.kernel_text(Tag::Interp, interp);
    }
    sample.user_bytes(Tag::Argv, start, end.wrapping_sub(start));
    if sample.header().task.root != 0 {
        sample.walked(Tag::Root, fs.wrapping_add(offset(&OFFSETS.fs_root)));
    }
    // Last, because it is the least when there is no room for all.
    if offset(&SETTINGS.environment) != 0 {
        let start: u64 = kernel(mm, &OFFSETS.mm_env_start);
        let end: u64 = kernel(mm, &OFFSETS.mm_env_end);
        sample.user_bytes(Tag::Environment, start, end.wrapping_sub(start));
    }
    sample.send(Urgency::Soon);
    Some(())
}

/// Hook: `tp_btf/sched_prepare_exec(task, bprm)`, since 6.10: past the point of no return, before descriptors are
/// closed on exec.
#[btf_tracepoint(function = "sched_prepare_exec")]
pub fn process_prepare_exec(_ctx: BtfTracePointContext) -> i32 {
    ran(hook::PREPARE_EXEC);
    super::write::close_all(task::current(), &OFFSETS.fdt_close_on_exec, 0, u32::MAX);
    0
}

/// The program's file lends its owner or group, and the process took it.
#[inline(always)]
fn flag_setuid(sample: &mut Sample) {
    let (body, id) = (sample.body(), &sample.header().task);
    let user = body.mode & 0o4000 != 0 && id.euid == body.owner && id.euid != id.uid;
    let group = body.mode & 0o2000 != 0 && id.egid == body.group && id.egid != id.gid;
    if user || group {
        sample.add_flags(flag::SETUID);
    }
}

/// Capabilities that the program's file gave: those permitted now, beside the ambient ones that were there before.
/// Who is root already, or only runs on with two user ids, gains nothing by a file without them.
#[inline(always)]
fn gained(sample: &Sample, bprm: u64) -> u64 {
    if !kernel_bit(bprm, &OFFSETS.bprm_secureexec_bit) {
        return 0;
    }
    let is_setuid = sample.has_flags(flag::SETUID);
    if sample.header().task.euid == 0 && !is_setuid {
        return 0;
    }
    let cred: u64 = kernel(task::current(), &OFFSETS.task_cred);
    kernel::<u64>(cred, &OFFSETS.cred_permitted) & !kernel::<u64>(cred, &OFFSETS.cred_ambient)
}

/// Hook: `tp_btf/sched_process_fork(parent, child)`. Threads are not recorded.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    ran(hook::FORK);
    fork(ctx.arg(1));
    0
}

fn fork(child: u64) -> Option<()> {
    let pid: u32 = kernel(child, &OFFSETS.task_tgid);
    if pid == task::tgid() {
        task::note_own_root();
        return None;
    }
    let sample = Sample::begin(Class::Critical, Kind::Fork as u16)?;
    sample.body().arg =
        [pid as u64, kernel::<u32>(child, &OFFSETS.task_pid) as u64, task::start_of(child), 0];
    sample.send(Urgency::Batch);
    Some(())
}

/// Hook: `tp_btf/sched_process_exit(task)`; recorded for the last thread of a process.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(_ctx: BtfTracePointContext) -> i32 {
    ran(hook::EXIT);
    exit(task::current());
    0
}

fn exit(task: u64) -> Option<()> {
    let signal: u64 = kernel(task, &OFFSETS.task_signal);
    if kernel::<u32>(signal, &OFFSETS.signal_live) != 0 {
        return None;
    }
    // The count is taken down before this hook, so two threads that end at once may both find no other. The first tells.
    let process = [task::tgid() as u64, task::start_of(task)];
    if ENDED.insert(&process, &1, BPF_NOEXIST as u64) == Err(EEXIST) {
        return None;
    }
    super::write::close_all(task, &OFFSETS.fdt_open_fds, 0, u32::MAX);
    let sample = Sample::begin(Class::Critical, Kind::Exit as u16)?;
    sample.body().arg[0] = exit_code(task, signal) as u64;
    sample.send(Urgency::Batch);
    Some(())
}

/// What the parent will be told. The last thread need not be the one that knows: it may be the kernel's own.
#[inline(always)]
fn exit_code(task: u64, signal: u64) -> u32 {
    if kernel::<u32>(signal, &OFFSETS.signal_flags) & SIGNAL_GROUP_EXIT != 0 {
        return kernel(signal, &OFFSETS.signal_code);
    }
    let leader: u64 = kernel(task, &OFFSETS.task_group_leader);
    kernel(leader, &OFFSETS.task_exit_code)
}
