//! POSIX message queues: files of a file system of their own, which programs know by a name without directories.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::open::{O_CREAT, refused_kind};
use super::{exit_of, is_retry, ran_at_entry, ran_at_exit};
use crate::maps::{OFFSETS, QUEUES};
use crate::read::{kernel, kernel_at, offset};
use crate::sample::{Sample, Urgency};
use crate::{files, task};

const O_EXCL: u64 = 0o200;
/// Queues that may be made by others during one call.
const NEWER: u32 = 16;

/// Hook: `syscalls:sys_enter_mq_open(name, flags, mode, attributes)`: notes which queue is the newest. An open queue
/// does not tell whether this call made it, but one that is newer than the newest before the call was made in it.
#[tracepoint]
pub fn queue_open_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    note_newest();
    0
}

/// Notes the newest queue before a call that may make one.
#[inline(always)]
pub fn note_newest() {
    if task::arguments()[1] & O_CREAT != 0 {
        let inode = newest();
        let _ = QUEUES.insert(bpf_get_current_pid_tgid(), identity(inode), 0);
    }
}

/// The newest inode of the queues' file system in the caller's namespace.
#[inline(always)]
fn newest() -> u64 {
    let nsproxy: u64 = kernel(task::current(), &OFFSETS.task_nsproxy);
    let namespace: u64 = kernel(nsproxy, &OFFSETS.nsproxy_ipc_ns);
    let mount: u64 = kernel(namespace, &OFFSETS.ipc_mq_mnt);
    let superblock: u64 = kernel(mount, &OFFSETS.vfsmount_sb);
    let first: u64 = kernel(superblock, &OFFSETS.sb_inodes);
    first.wrapping_sub(offset(&OFFSETS.inode_sb_list))
}

/// The number tells an inode from another that has taken its place in memory.
#[inline(always)]
fn identity(inode: u64) -> [u64; 2] {
    [inode, kernel(inode, &OFFSETS.inode_ino)]
}

/// Whether `inode` stands before `known` in the list of its file system, which has the newest inode first.
#[inline(always)]
fn is_newer(inode: u64, known: [u64; 2]) -> bool {
    let mut next = newest();
    let mut step = 0;
    while step < NEWER {
        if identity(next) == known {
            return false;
        }
        if next == inode {
            return true;
        }
        let list = offset(&OFFSETS.inode_sb_list);
        next = kernel_at::<u64>(next.wrapping_add(list)).wrapping_sub(list);
        step += 1;
    }
    false
}

/// Hook: `syscalls:sys_exit_mq_open`.
#[tracepoint]
pub fn queue_open_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| opened(call.returned));
    0
}

/// Reports a queue that was made, or could not be opened.
#[inline(always)]
pub fn opened(returned: i64) -> Option<()> {
    let [name, flags, ..] = task::arguments();
    let flags = flags & 0xffff_ffff;
    if returned < 0 {
        return told(refused_kind(returned, flags)?, returned, name, flag::OPEN);
    }
    if flags & O_CREAT == 0 {
        return None;
    }
    let file = task::file_of(task::current(), returned as u32);
    let inode = files::inode_of(file);
    // SAFETY: the value is copied out at once.
    let known = unsafe { QUEUES.get(bpf_get_current_pid_tgid()) }.copied();
    if flags & O_EXCL == 0 && !is_newer(inode, known?) {
        return None;
    }
    let mut sample = Sample::begin(Class::Files, Kind::FileCreate as u16)?;
    let body = sample.body();
    files::identify(inode, body);
    body.arg[3] = flags;
    let dentry: u64 = kernel(files::path_of(file), &OFFSETS.path_dentry);
    let name: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_name)), &OFFSETS.qstr_name);
    sample.kernel_text(Tag::Queue, name);
    sample.send(Urgency::Batch);
    Some(())
}

/// Hook: `syscalls:sys_exit_mq_unlink(name)`.
#[tracepoint]
pub fn queue_unlink_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| unlinked(call.returned));
    0
}

/// Reports the removal of a queue's name.
#[inline(always)]
pub fn unlinked(returned: i64) -> Option<()> {
    if is_retry(returned) {
        return None;
    }
    let [name, ..] = task::arguments();
    told(Kind::FileDelete, returned, name, 0)
}

/// Reports a queue by the caller's name.
#[inline(always)]
fn told(kind: Kind, returned: i64, name: u64, flags: u64) -> Option<()> {
    let mut sample = Sample::begin(Class::Files, kind as u16)?;
    sample.header().result = returned as i32;
    sample.user_text(Tag::Queue, name);
    sample.add_flags(flag::FROM_ARGUMENT | flags);
    sample.send(Urgency::Batch);
    Some(())
}
