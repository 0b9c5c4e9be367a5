//! Namespaces that a process makes or enters.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::kind::Kind;

use super::{Call, exit_of, is_retry, ran_at_exit, urgency};
use crate::maps::OFFSETS;
use crate::read::{has, kernel, user_at};
use crate::sample::Sample;
use crate::{files, task};

const NR_CLONE: u64 = 56;
/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW: u64 = 0x7e02_0000;
/// `CLONE_NEWTIME`, whose bit is part of the exit signal in clone(2).
const NEW_TIME: u64 = 0x80;
const NSFS: u64 = 0x6e73_6673;

/// Hook: `syscalls:sys_exit_unshare(flags)`.
#[tracepoint]
pub fn unshare_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    if let Some(call) = exit_of(&ctx) {
        made(&call, task::arguments()[0] & (NEW | NEW_TIME), 0);
    }
    0
}

/// Hook: `syscalls:sys_exit_clone(flags)`, `syscalls:sys_exit_clone3(arguments, size)`, in the parent.
#[tracepoint]
pub fn clone_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    if let Some(call) = exit_of(&ctx)
        && call.returned != 0
    {
        let [first, ..] = task::arguments();
        let flags = if call.number == NR_CLONE {
            first & NEW
        } else {
            user_at::<u64>(first).unwrap_or(0) & (NEW | NEW_TIME)
        };
        let child = if call.returned > 0 { call.returned as u64 } else { 0 };
        made(&call, flags, child);
    }
    0
}

#[inline(always)]
fn made(call: &Call, flags: u64, child: u64) -> Option<()> {
    if flags == 0 || is_retry(call.returned) {
        return None;
    }
    told(call, call.sample(Kind::Namespace as u16, call.result())?, flags, child)
}

#[inline(always)]
fn told(call: &Call, sample: Sample, flags: u64, child: u64) -> Option<()> {
    let body = sample.body();
    body.arg[0] = flags;
    body.arg[1] = child;
    sample.send(urgency(call.result()));
    Some(())
}

/// Hook: `syscalls:sys_exit_setns(descriptor, kinds)`.
#[tracepoint]
pub fn setns_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    if let Some(call) = exit_of(&ctx) {
        entered(&call);
    }
    0
}

#[inline(always)]
fn entered(call: &Call) -> Option<()> {
    if is_retry(call.returned) {
        return None;
    }
    let [descriptor, kinds, ..] = task::arguments();
    let mut kinds = kinds & (NEW | NEW_TIME);
    let sample = call.sample(Kind::Namespace as u16, call.result())?;
    let inode = files::inode_of(task::file_of(task::current(), descriptor as u32));
    let superblock: u64 = kernel(inode, &OFFSETS.inode_sb);
    // A pidfd is the other thing that setns takes.
    if kernel::<u64>(superblock, &OFFSETS.sb_magic) == NSFS {
        sample.body().ino = kernel(inode, &OFFSETS.inode_ino);
        kinds = kind_of(kernel(inode, &OFFSETS.inode_private)) as u64;
    }
    told(call, sample, kinds, 0)
}

/// `CLONE_NEW*` of a `struct ns_common`.
#[inline(always)]
fn kind_of(namespace: u64) -> u32 {
    if has(&OFFSETS.ns_type) {
        return kernel(namespace, &OFFSETS.ns_type);
    }
    let operations: u64 = kernel(namespace, &OFFSETS.ns_ops);
    kernel(operations, &OFFSETS.ns_ops_type)
}
