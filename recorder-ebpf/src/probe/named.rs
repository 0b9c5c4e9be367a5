//! System calls that change names and attributes: read at their exit, by the daemon's table.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::syscall::{
    NONE, SPEC_DEREF, SPEC_FSTYPE, SPEC_LINKAT, SPEC_NOFOLLOW, SPEC_NULL_IS_FD, SPEC_REMOUNT, SPEC_REMOVE,
    SPEC_RENAMEAT2, SPEC_UNLINKAT, Spec,
};
use recorder_common::text::Tag;

use super::{Asked, NOT_IN_KERNEL, exit_of, is_retry, pick, ran_at_exit, reflink};
use crate::maps::OFFSETS;
use crate::read::{kernel, kernel_at, offset, user_at};
use crate::sample::{Sample, Urgency};
use crate::{files, task};

/// `AT_FDCWD`: relative to the working directory.
pub const AT_FDCWD: i32 = -100;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
pub const AT_REMOVEDIR: u64 = 0x200;
pub const AT_SYMLINK_FOLLOW: u64 = 0x400;
pub const AT_EMPTY_PATH: u64 = 0x1000;
pub const RENAME_EXCHANGE: u64 = 2;
/// Leave a whiteout in the old place.
pub const RENAME_WHITEOUT: u64 = 4;

/// `FS_IOC_SETFLAGS`, its 32-bit form, and `FS_IOC_FSSETXATTR` (`include/uapi/linux/fs.h`).
const SET_FLAGS: [u64; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];

/// Hook: `syscalls:sys_exit_*` of every call in the daemon's table that names a file or holds its descriptor.
#[tracepoint]
pub fn named_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    named(&ctx);
    0
}

/// Hook: `syscalls:sys_exit_ioctl`, for the commands that change inode flags or share the blocks of another file.
#[tracepoint]
pub fn ioctl_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    let command = task::arguments()[1];
    if sets_flags(command) {
        named(&ctx);
    } else if reflink::shares(command)
        && let Some(call) = exit_of(&ctx)
    {
        reflink::shared(call.returned);
    }
    0
}

/// Whether a command of ioctl changes inode flags.
#[inline(always)]
pub fn sets_flags(command: u64) -> bool {
    let command = command & 0xffff_ffff;
    command == SET_FLAGS[0] || command == SET_FLAGS[1] || command == SET_FLAGS[2]
}

fn named(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    named_call(&call.asked(), call.returned)
}

/// Reports a call by the names it was given.
#[inline(always)]
pub fn named_call(asked: &Asked, returned: i64) -> Option<()> {
    if is_retry(returned) {
        return None;
    }
    let (spec, arguments) = (&asked.spec, &asked.arguments);
    let mut sample = begin(asked, returned)?;
    if !object(&mut sample, asked) {
        sample.discard();
        return None;
    }
    if spec.name_to != NONE {
        let (dir, name) = (pick(arguments, spec.dir_to), pick(arguments, spec.name_to));
        let name = Name { address: name, in_kernel: asked.in_kernel };
        name_below(&mut sample, (spec.dir_to, dir), name, (Tag::BaseTo, Tag::NameTo));
    }
    finish(sample, asked);
    Some(())
}

/// Begins the sample of a call: everything but its object.
#[inline(always)]
pub fn begin(asked: &Asked, returned: i64) -> Option<Sample> {
    let spec = &asked.spec;
    let at = pick(&asked.arguments, spec.at);
    let class = if is_critical(spec) { Class::Critical } else { Class::Files };
    let mut sample = Sample::begin(class, kind_of(spec, at))?;
    sample.header().result = if returned < 0 { returned as i32 } else { 0 };
    values(&mut sample, spec, &asked.arguments);
    sample.add_flags(flags_of(spec, at, &asked.arguments) | asked.marks);
    Some(sample)
}

/// Ends the sample of a call whose object is there, and sends it.
#[inline(always)]
pub fn finish(mut sample: Sample, asked: &Asked) {
    let spec = &asked.spec;
    // mount(2) takes null for what it does not need: that is no text, not an unreadable one.
    let text = pick(&asked.arguments, spec.text);
    if spec.text != NONE && text != 0 {
        sample.given_text(text_tag(spec.text_tag), text, read_anew(asked.in_kernel) != 0);
    }
    if spec.flags & SPEC_FSTYPE != 0 && asked.arguments[2] != 0 {
        sample.user_text(Tag::FsType, asked.arguments[2]);
    }
    sample.send(if is_critical(spec) { Urgency::Now } else { Urgency::Batch });
}

#[inline(always)]
fn is_critical(spec: &Spec) -> bool {
    spec.kind == Kind::Mount as u16 || spec.kind == Kind::Unmount as u16
}

#[inline(always)]
fn kind_of(spec: &Spec, at: u64) -> u16 {
    if spec.flags & SPEC_UNLINKAT != 0 && at & AT_REMOVEDIR != 0 {
        return Kind::DirDelete as u16;
    }
    spec.kind
}

#[inline(always)]
fn text_tag(number: u8) -> Tag {
    if number == Tag::Xattr as u8 {
        Tag::Xattr
    } else if number == Tag::Source as u8 {
        Tag::Source
    } else {
        Tag::Content
    }
}

#[inline(always)]
fn values(sample: &mut Sample, spec: &Spec, arguments: &[u64; 6]) {
    let body = sample.body();
    body.arg[0] = pick(arguments, spec.arg[0]);
    body.arg[1] = pick(arguments, spec.arg[1]);
    body.arg[2] = pick(arguments, spec.arg[2]);
    if spec.flags & SPEC_DEREF != 0 {
        body.arg[0] = user_at::<u32>(body.arg[0]).unwrap_or(0) as u64;
    }
}

#[inline(always)]
fn flags_of(spec: &Spec, at: u64, arguments: &[u64; 6]) -> u64 {
    let mut flags = 0;
    let follows = at & AT_SYMLINK_FOLLOW != 0;
    if spec.flags & SPEC_NOFOLLOW != 0 || (spec.flags & SPEC_LINKAT == 0 && at & AT_SYMLINK_NOFOLLOW != 0) {
        flags |= flag::NOFOLLOW;
    }
    if spec.flags & SPEC_LINKAT != 0 && !follows {
        flags |= flag::NOFOLLOW;
    }
    if spec.flags & SPEC_REMOVE != 0 {
        flags |= flag::REMOVED;
    }
    if spec.flags & SPEC_RENAMEAT2 != 0 && arguments[4] & RENAME_EXCHANGE != 0 {
        flags |= flag::EXCHANGE;
    }
    if spec.flags & SPEC_RENAMEAT2 != 0 && arguments[4] & RENAME_WHITEOUT != 0 {
        flags |= flag::WHITEOUT;
    }
    if spec.flags & SPEC_REMOUNT != 0 {
        flags |= flag::REMOUNT;
    }
    flags
}

/// Appends the object of the call; false when it is out of scope.
#[inline(always)]
fn object(sample: &mut Sample, asked: &Asked) -> bool {
    let (spec, arguments) = (&asked.spec, &asked.arguments);
    if spec.name == NONE {
        return described(sample, pick(arguments, spec.fd) as u32);
    }
    let name = Name { address: pick(arguments, spec.name), in_kernel: asked.in_kernel };
    let dir = pick(arguments, spec.dir);
    let empty = pick(arguments, spec.at) & AT_EMPTY_PATH != 0 && name.first() == Some(0);
    if (empty || (spec.flags & SPEC_NULL_IS_FD != 0 && name.address == 0)) && dir as i32 != AT_FDCWD {
        return described(sample, dir as u32);
    }
    name_below(sample, (spec.dir, dir), name, (Tag::Base, Tag::Name))
}

/// Appends the file behind a descriptor; false when it is out of scope.
#[inline(always)]
fn described(sample: &mut Sample, descriptor: u32) -> bool {
    described_file(sample, task::file_of(task::current(), descriptor))
}

/// Appends an open file; false when it is out of scope.
#[inline(always)]
pub fn described_file(sample: &mut Sample, file: u64) -> bool {
    if file == 0 {
        sample.add_flags(flag::UNRESOLVED);
        return true;
    }
    let inode = files::inode_of(file);
    if files::is_out_of_scope(inode) {
        return false;
    }
    files::identify(inode, sample.body());
    files::flag_memfd(file, sample);
    sample.walked(Tag::Object, files::path_of(file));
    true
}

/// A name that a caller gave: still where it wrote it, or the kernel's copy.
#[derive(Clone, Copy)]
pub struct Name {
    /// Where it stands.
    pub address: u64,
    /// Not 0: in the kernel's memory. Read anew at each use, so that the verifier does not go through all that follows
    /// once for each answer.
    pub in_kernel: &'static u64,
}

#[inline(always)]
fn read_anew(value: &'static u64) -> u64 {
    // SAFETY: a reference.
    unsafe { core::ptr::read_volatile(value) }
}

impl Name {
    /// A name in the caller's memory.
    #[inline(always)]
    pub fn of_caller(address: u64) -> Self {
        Self { address, in_kernel: &NOT_IN_KERNEL }
    }

    /// Its first byte.
    #[inline(always)]
    fn first(self) -> Option<u8> {
        if read_anew(self.in_kernel) != 0 { Some(kernel_at(self.address)) } else { user_at(self.address) }
    }
}

/// Appends a name and the directory it is relative to; false when that directory is out of scope.
#[inline(always)]
pub fn name_below(sample: &mut Sample, dir: (u8, u64), name: Name, tags: (Tag, Tag)) -> bool {
    if !base_of(sample, dir, name.first() == Some(b'/'), tags.0) {
        return false;
    }
    sample.given_text(tags.1, name.address, read_anew(name.in_kernel) != 0);
    sample.add_flags(flag::FROM_ARGUMENT);
    true
}

/// Appends the directory that a name is relative to; false when it is out of scope.
#[inline(always)]
pub fn base_of(sample: &mut Sample, dir: (u8, u64), is_absolute: bool, tag: Tag) -> bool {
    let task = task::current();
    let fs: u64 = kernel(task, &OFFSETS.task_fs);
    let (position, descriptor) = dir;
    let mut base = 0;
    if is_absolute {
        base = fs.wrapping_add(offset(&OFFSETS.fs_root));
    } else if position == NONE || descriptor as i32 == AT_FDCWD {
        base = fs.wrapping_add(offset(&OFFSETS.fs_pwd));
        if files::is_path_out_of_scope(base) {
            return false;
        }
    } else {
        let file = task::file_of(task, descriptor as u32);
        if file != 0 {
            base = files::path_of(file);
            if files::is_path_out_of_scope(base) {
                return false;
            }
        }
    }
    if base != 0 {
        sample.walked(tag, base);
    }
    true
}
