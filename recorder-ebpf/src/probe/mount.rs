//! Mounts that begin as a descriptor: `fsmount(2)`. They get a place in the tree by `move_mount(2)`.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::kind::Kind;
use recorder_common::text::Tag;

use super::{Call, exit_of, is_retry, ran_at_exit, urgency};
use crate::maps::OFFSETS;
use crate::read::{kernel, offset};
use crate::{files, task};

/// Hook: `syscalls:sys_exit_fsmount(context, flags, attributes)`.
#[tracepoint]
pub fn fsmount_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| made(&call));
    0
}

/// Reports a mount that was made, or could not be.
#[inline(always)]
pub fn made(call: &Call) -> Option<()> {
    if is_retry(call.returned) {
        return None;
    }
    let result = call.result();
    let mut sample = call.sample(Kind::Mount as u16, result)?;
    if result == 0 {
        let file = task::file_of(task::current(), call.returned as u32);
        let inode = files::inode_of(file);
        files::identify(inode, sample.body());
        let mount: u64 = kernel(files::path_of(file), &OFFSETS.path_mnt);
        let superblock: u64 = kernel(mount, &OFFSETS.vfsmount_sb);
        let kind: u64 = kernel(superblock, &OFFSETS.sb_type);
        sample.kernel_text(Tag::FsType, kernel(kind, &OFFSETS.fs_type_name));
        let outer = mount.wrapping_sub(offset(&OFFSETS.mount_mnt));
        let source: u64 = kernel(outer, &OFFSETS.mount_devname);
        if source != 0 {
            sample.kernel_text(Tag::Source, source);
        }
    }
    sample.send(urgency(result));
    Some(())
}
