//! Opens: what they created, truncated or were refused. The path is the kernel's own, from the resulting file.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::{TaskId, flag};
use recorder_common::syscall::{NONE, SPEC_DEREF};
use recorder_common::text::Tag;

use super::named::{Name, name_below};
use super::{Call, exit_of, is_retry, pick, ran_at_exit};
use crate::files::{self, FMODE_CREATED};
use crate::maps::OFFSETS;
use crate::read::{kernel, user_at};
use crate::sample::{Sample, Urgency};
use crate::task;

const O_ACCMODE: u64 = 3;
/// Make it when it is not there.
pub const O_CREAT: u64 = 0o100;
/// Empty it.
pub const O_TRUNC: u64 = 0o1000;
const O_PATH: u64 = 0o10_000_000;
/// The bit that tells `O_TMPFILE` from `O_DIRECTORY`.
const O_TMPFILE: u64 = 0o20_000_000;
const EPERM: i64 = -1;
const EACCES: i64 = -13;

/// Hook: `syscalls:sys_exit_open`, `openat`, `openat2`, `creat`, `open_by_handle_at`.
#[tracepoint]
pub fn open_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| opened(&call));
    0
}

/// Reports the open of a system call that returns.
#[inline(always)]
pub fn opened(call: &Call) -> Option<()> {
    let arguments = task::arguments();
    let flags = open_flags(call, &arguments);
    if call.returned >= 0 {
        if !may_change(flags) {
            return None;
        }
        return changed(task::file_of(task::current(), call.returned as u32), flags, 0, None);
    }
    let name = Name::of_caller(pick(&arguments, call.spec.name));
    let opening = Opening {
        dir: (call.spec.dir, pick(&arguments, call.spec.dir)),
        name: (call.spec.name != NONE).then_some(name),
        flags,
        marks: 0,
    };
    refused(&opening, call.returned)
}

/// Flags of the open: an argument, the first field of `struct open_how`, or creat's fixed ones.
#[inline(always)]
fn open_flags(call: &Call, arguments: &[u64; 6]) -> u64 {
    if call.spec.arg[0] == NONE {
        return O_CREAT | O_TRUNC | 1;
    }
    let value = pick(arguments, call.spec.arg[0]);
    if call.spec.flags & SPEC_DEREF != 0 { user_at(value).unwrap_or(0) } else { value & 0xffff_ffff }
}

/// Whether an open with these flags can create or truncate.
#[inline(always)]
pub fn may_change(flags: u64) -> bool {
    flags & (O_CREAT | O_TRUNC | O_TMPFILE) != 0 && flags & O_PATH == 0
}

/// An open that succeeded is recorded when it created or truncated. `marks` are further flags of the event, `who` is
/// the opener when it is not the current task.
#[inline(always)]
pub fn changed(file: u64, flags: u64, marks: u64, who: Option<&TaskId>) -> Option<()> {
    let unnamed = flags & O_TMPFILE != 0;
    let created = unnamed || kernel::<u32>(file, &OFFSETS.file_mode) & FMODE_CREATED != 0;
    if !created && flags & O_TRUNC == 0 {
        return None;
    }
    let inode = files::inode_of(file);
    if !files::holds_data(files::mode_of(inode)) || files::is_out_of_scope(inode) {
        return None;
    }
    let kind = if created { Kind::FileCreate } else { Kind::FileTruncate };
    let mut sample = Sample::begin_for(Class::Files, kind as u16, who)?;
    let body = sample.body();
    files::identify(inode, body);
    body.arg[3] = flags;
    sample.add_flags(marks);
    if unnamed {
        sample.add_flags(flag::TMPFILE);
    }
    if !created {
        sample.add_flags(flag::OPEN);
    }
    sample.walked(Tag::Object, files::path_of(file));
    sample.send(Urgency::Batch);
    Some(())
}

/// What an open that failed was to be; `None` when it is not recorded.
#[inline(always)]
pub fn refused_kind(returned: i64, flags: u64) -> Option<Kind> {
    let denied = returned == EACCES || returned == EPERM;
    let writes = flags & O_ACCMODE != 0 || flags & (O_CREAT | O_TRUNC) != 0;
    if is_retry(returned) || !(denied || writes) {
        return None;
    }
    Some(if denied {
        Kind::FileDenied
    } else if flags & O_CREAT != 0 {
        Kind::FileCreate
    } else {
        Kind::FileWrite
    })
}

/// What an open asked for.
pub struct Opening {
    /// Position and value of the directory descriptor.
    pub dir: (u8, u64),
    /// Name, when there is one.
    pub name: Option<Name>,
    /// `O_*`.
    pub flags: u64,
    /// Bits of `recorder_common::sample::flag`.
    pub marks: u64,
}

/// An open that failed is recorded when it wanted to change something, or when permission was refused.
#[inline(always)]
pub fn refused(opening: &Opening, returned: i64) -> Option<()> {
    let kind = refused_kind(returned, opening.flags)?;
    let mut sample = Sample::begin(Class::Files, kind as u16)?;
    sample.header().result = returned as i32;
    sample.body().arg[3] = opening.flags;
    sample.add_flags(flag::OPEN | opening.marks);
    match opening.name {
        None => sample.add_flags(flag::UNRESOLVED),
        Some(name) => {
            if !name_below(&mut sample, opening.dir, name, (Tag::Base, Tag::Name)) {
                sample.discard();
                return None;
            }
        }
    }
    sample.send(Urgency::Batch);
    Some(())
}
