//! Tells a request of io_uring, in the words that a system call of the same sort would have.

use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::operation::{
    BIND, CLOSE, FALLOCATE, FSETXATTR, FTRUNCATE, LINKAT, MKDIRAT, OPENAT, OPENAT2, RENAMEAT, SETXATTR,
    SYMLINKAT, UNLINKAT, is_command,
};
use crate::maps::{Names, OFFSETS, Request, SLOT_FILES, WRITES};
use crate::probe::named::{
    AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE, RENAME_WHITEOUT, base_of, described_file,
};
use crate::probe::{bind, is_retry, open, write};
use crate::read::{has, kernel, kernel_at, offset};
use crate::sample::{Sample, Urgency};
use crate::{files, task};

/// The file is one of the ring's own (`REQ_F_FIXED_FILE`).
const FIXED_FILE: u32 = 1;
/// The kernel chooses the slot that a file is opened into.
const ANY_SLOT: u64 = u32::MAX as u64;
/// The low bits of a slot are marks.
const SLOT_MASK: u64 = !7;

/// The file in a slot of a ring.
#[inline(always)]
pub fn file_in_slot(ring: u64, slot: u64) -> u64 {
    let table = ring.wrapping_add(offset(&OFFSETS.ring_table));
    let at = slot.wrapping_mul(8);
    if has(&OFFSETS.data_nodes) && has(&OFFSETS.table_data) {
        let data = table.wrapping_add(offset(&OFFSETS.table_data));
        let nodes: u64 = kernel(data, &OFFSETS.data_nodes);
        let node: u64 = if nodes == 0 { 0 } else { kernel_at(nodes.wrapping_add(at)) };
        return kernel::<u64>(node, &OFFSETS.node_file) & SLOT_MASK;
    }
    let files: u64 = kernel(table, &OFFSETS.table_files);
    if files == 0 { 0 } else { kernel_at::<u64>(files.wrapping_add(at)) & SLOT_MASK }
}

/// The file that a request is about, before the kernel has looked it up.
#[inline(always)]
pub fn target(req: u64) -> u64 {
    let fd: u32 = kernel(req.wrapping_add(offset(&OFFSETS.req_cqe)), &OFFSETS.cqe_fd);
    if kernel::<u32>(req, &OFFSETS.req_flags) & FIXED_FILE != 0 {
        return file_in_slot(kernel(req, &OFFSETS.req_ring), fd as u64);
    }
    task::file_of(task::current(), fd)
}

/// The file of a request that is complete; 0 for operations without one, which use its place otherwise.
#[inline(always)]
pub fn file_of(req: u64, operation: u32) -> u64 {
    match operation {
        OPENAT | OPENAT2 | RENAMEAT | UNLINKAT | MKDIRAT | SYMLINKAT | LINKAT | SETXATTR | CLOSE => 0,
        _ => kernel(req, &OFFSETS.req_file),
    }
}

/// Tells a request. `names` may be null where there are none; `result` is the outcome, `marks` are further flags.
#[inline(never)]
pub fn tell(request: &Request, names: *const Names, result: i64, marks: u64) -> u32 {
    if is_retry(result) {
        return 0;
    }
    let marks = marks | flag::IO_URING;
    let _ = match request.operation {
        OPENAT | OPENAT2 => opened(request, names, result, marks),
        CLOSE => closed(request, result),
        BIND => bound(request, names, result, marks),
        FALLOCATE | FTRUNCATE | FSETXATTR => changed(request, names, result, marks),
        RENAMEAT | UNLINKAT | MKDIRAT | SYMLINKAT | LINKAT | SETXATTR => named(request, names, result, marks),
        _ => wrote(request, result, marks),
    };
    0
}

fn wrote(request: &Request, result: i64, marks: u64) -> Option<()> {
    let is_command = is_command(request.operation);
    let is_unknown = marks & flag::UNCONFIRMED != 0 || is_command;
    if result == 0 && !is_unknown {
        return None;
    }
    let returned = if result >= 0 && is_unknown { request.arg[0] as i64 } else { result };
    let marks = marks | if is_command { flag::COMMAND } else { 0 };
    write::wrote(request.file, returned, marks, Some(&request.task))
}

/// Whether descriptors and directories of the current task are those of who asked.
#[inline(always)]
fn is_at_home(request: &Request) -> bool {
    task::tgid() == request.task.pid
}

fn opened(request: &Request, names: *const Names, result: i64, marks: u64) -> Option<()> {
    let [slot, _, _, flags] = request.arg;
    let is_known = marks & flag::UNCONFIRMED == 0;
    if result < 0 {
        let kind = open::refused_kind(result, flags)?;
        return named_open(request, names, (kind, result), marks);
    }
    if !is_known {
        if !open::may_change(flags) {
            return None;
        }
        let kind = if flags & open::O_CREAT != 0 { Kind::FileCreate } else { Kind::FileTruncate };
        return named_open(request, names, (kind, 0), marks);
    }
    let file = if slot == 0 {
        if is_at_home(request) { task::file_of(task::current(), result as u32) } else { 0 }
    } else {
        let slot = if slot == ANY_SLOT { result as u64 } else { slot - 1 };
        let file = file_in_slot(request.ring, slot);
        let _ = SLOT_FILES.insert([request.ring, slot], file, 0);
        file
    };
    if !open::may_change(flags) {
        return None;
    }
    if file == 0 {
        let kind = if flags & open::O_TRUNC != 0 { Kind::FileTruncate } else { Kind::FileCreate };
        return named_open(request, names, (kind, 0), marks | flag::UNCONFIRMED);
    }
    open::changed(file, flags, marks, Some(&request.task))
}

/// An open by its name: nothing was opened, or nobody knows what.
#[inline(always)]
fn named_open(request: &Request, names: *const Names, (kind, result): (Kind, i64), marks: u64) -> Option<()> {
    let mut sample = Sample::begin_for(Class::Files, kind as u16, Some(&request.task))?;
    sample.header().result = result as i32;
    sample.body().arg[3] = request.arg[3];
    sample.add_flags(marks | flag::OPEN);
    finish(first_name(&mut sample, request, names), sample)
}

fn named(request: &Request, names: *const Names, result: i64, marks: u64) -> Option<()> {
    let flags = request.arg[3];
    let kind = match request.operation {
        RENAMEAT => Kind::FileRename,
        UNLINKAT if flags & AT_REMOVEDIR != 0 => Kind::DirDelete,
        UNLINKAT => Kind::FileDelete,
        MKDIRAT => Kind::DirCreate,
        SYMLINKAT => Kind::FileSymlink,
        LINKAT => Kind::FileLink,
        _ => Kind::AttrXattr,
    };
    let mut sample = Sample::begin_for(Class::Files, kind as u16, Some(&request.task))?;
    sample.header().result = if result < 0 { result as i32 } else { 0 };
    sample.body().arg[0] = request.arg[0];
    sample.add_flags(marks);
    if request.operation == RENAMEAT && flags & RENAME_EXCHANGE != 0 {
        sample.add_flags(flag::EXCHANGE);
    }
    if request.operation == RENAMEAT && flags & RENAME_WHITEOUT != 0 {
        sample.add_flags(flag::WHITEOUT);
    }
    if request.operation == LINKAT && flags & AT_SYMLINK_FOLLOW == 0 {
        sample.add_flags(flag::NOFOLLOW);
    }
    let is_told = if request.operation == LINKAT && flags & AT_EMPTY_PATH != 0 && is_empty(request, names) {
        described_file(&mut sample, task::file_of(task::current(), request.dir[0] as u32))
    } else {
        first_name(&mut sample, request, names)
    };
    if is_told {
        match request.operation {
            RENAMEAT | LINKAT => {
                name_below(&mut sample, request, (1, second(names)), (Tag::BaseTo, Tag::NameTo));
            }
            SYMLINKAT => text(&mut sample, request, (1, second(names)), Tag::Content),
            SETXATTR => text(&mut sample, request, (1, second(names)), Tag::Xattr),
            _ => {}
        }
    }
    finish(is_told, sample)
}

/// Changes through a descriptor.
fn changed(request: &Request, names: *const Names, result: i64, marks: u64) -> Option<()> {
    let kind = if request.operation == FSETXATTR { Kind::AttrXattr } else { Kind::FileTruncate };
    let mut sample = Sample::begin_for(Class::Files, kind as u16, Some(&request.task))?;
    sample.header().result = if result < 0 { result as i32 } else { 0 };
    sample.body().arg[1] = request.arg[1];
    sample.body().arg[2] = if request.operation == FSETXATTR { 0 } else { request.arg[2] };
    sample.add_flags(marks);
    let is_told = described_file(&mut sample, request.file);
    if is_told && request.operation == FSETXATTR {
        text(&mut sample, request, (1, second(names)), Tag::Xattr);
    }
    finish(is_told, sample)
}

/// A descriptor or a slot was closed.
fn closed(request: &Request, result: i64) -> Option<()> {
    let slot = request.arg[0];
    let mut file = request.file;
    if slot != 0 {
        let key = [request.ring, slot - 1];
        if file == 0 {
            // SAFETY: the value is copied out at once.
            file = unsafe { SLOT_FILES.get(key) }.copied().unwrap_or(0);
        }
        let _ = SLOT_FILES.remove(key);
    }
    let known = WRITES.get_ptr_mut(file)?;
    // SAFETY: a map value; a torn read of counters cannot happen on 64 bit.
    let written = unsafe { *known };
    if result < 0 || (!files::is_released(file) && !write::is_held_unseen(&written)) {
        return None;
    }
    write::summary(file, &written, Some(&request.task))
}

fn bound(request: &Request, names: *const Names, result: i64, marks: u64) -> Option<()> {
    let (sock, mode) = bind::unix_socket(request.file)?;
    if result == 0 && marks & flag::UNCONFIRMED == 0 && has(&OFFSETS.unix_path) {
        let path = sock.wrapping_add(offset(&OFFSETS.unix_path));
        return bind::made(path, mode, marks, Some(&request.task));
    }
    if names.is_null() || request.faults & 1 != 0 {
        return None;
    }
    let mut sample = Sample::begin_for(Class::Files, Kind::NodeCreate as u16, Some(&request.task))?;
    sample.header().result = result as i32;
    sample.body().arg[0] = mode;
    sample.add_flags(marks);
    finish(first_name(&mut sample, request, names), sample)
}

/// Sends the sample, or not.
#[inline(always)]
fn finish(is_told: bool, sample: Sample) -> Option<()> {
    if is_told {
        sample.send(Urgency::Batch);
    } else {
        sample.discard();
    }
    Some(())
}

#[inline(always)]
fn second(names: *const Names) -> *const u8 {
    if names.is_null() {
        return core::ptr::null();
    }
    // SAFETY: not null, so it points to names.
    unsafe { (&raw const (*names).second).cast() }
}

#[inline(always)]
fn first(names: *const Names) -> *const u8 {
    if names.is_null() {
        return core::ptr::null();
    }
    // SAFETY: not null, so it points to names.
    unsafe { (&raw const (*names).first).cast() }
}

#[inline(always)]
fn is_empty(request: &Request, names: *const Names) -> bool {
    let name = first(names);
    // SAFETY: not null, so it points to a name.
    !name.is_null() && request.faults & 1 == 0 && unsafe { *name } == 0
}

#[inline(always)]
fn first_name(sample: &mut Sample, request: &Request, names: *const Names) -> bool {
    name_below(sample, request, (0, first(names)), (Tag::Base, Tag::Name))
}

/// Appends a name and the directory it is relative to; false when that directory is out of scope.
#[inline(always)]
fn name_below(
    sample: &mut Sample,
    request: &Request,
    (index, name): (usize, *const u8),
    (base, tag): (Tag, Tag),
) -> bool {
    // SAFETY: not null, so it points to a name.
    let is_absolute = !name.is_null() && unsafe { *name } == b'/';
    if !is_at_home(request) {
        sample.add_flags(flag::UNRESOLVED);
    } else if !base_of(sample, (0, request.dir[index & 1] as u64), is_absolute, base) {
        return false;
    }
    text(sample, request, (index, name), tag);
    sample.add_flags(flag::FROM_ARGUMENT);
    true
}

/// Appends a copied string.
#[inline(always)]
fn text(sample: &mut Sample, request: &Request, (index, string): (usize, *const u8), tag: Tag) {
    if string.is_null() || request.faults >> index & 1 != 0 {
        sample.unreadable(tag);
    } else {
        sample.kernel_text(tag, string as u64);
    }
}
