//! Sockets with a name in the file system, which `bind(2)` makes.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::{TaskId, flag};
use recorder_common::syscall::NONE;
use recorder_common::text::Tag;

use super::named::base_of;
use super::{Call, exit_of, is_retry, pick, ran_at_exit};
use crate::files;
use crate::maps::OFFSETS;
use crate::read::{has, kernel, offset, user_at};
use crate::sample::{Sample, Urgency};
use crate::task;

/// Family of Unix sockets.
pub const AF_UNIX: u16 = 1;
/// Room for the name in a `struct sockaddr_un`.
const NAME: u64 = 108;
/// Bytes of the family, which the name follows.
const FAMILY: u64 = 2;

/// Hook: `syscalls:sys_exit_bind(fd, address, length)`, for Unix sockets that are to be a file.
#[tracepoint]
pub fn bind_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    exit_of(&ctx).and_then(|call| bound(&call));
    0
}

/// Reports a bind that made a file, or would have.
#[inline(always)]
pub fn bound(call: &Call) -> Option<()> {
    if is_retry(call.returned) {
        return None;
    }
    let arguments = task::arguments();
    let file = task::file_of(task::current(), pick(&arguments, call.spec.fd) as u32);
    let (sock, mode) = unix_socket(file)?;
    if call.returned == 0 && has(&OFFSETS.unix_path) {
        return made(sock.wrapping_add(offset(&OFFSETS.unix_path)), mode, 0, None);
    }
    named(call.returned, arguments[1], arguments[2] & 0xffff_ffff, mode)
}

/// The `struct unix_sock` behind an open file, and the mode of its inode.
#[inline(always)]
pub fn unix_socket(file: u64) -> Option<(u64, u64)> {
    let socket: u64 = kernel(file, &OFFSETS.file_private);
    let inode = files::inode_of(file);
    if file == 0 || files::mode_of(inode) & files::S_IFMT != files::S_IFSOCK {
        return None;
    }
    let sock: u64 = kernel(socket, &OFFSETS.socket_sk);
    let common = sock.wrapping_add(offset(&OFFSETS.sock_common));
    if sock == 0 || kernel::<u16>(common, &OFFSETS.sock_family) != AF_UNIX {
        return None;
    }
    Some((sock, files::mode_of(inode) as u64))
}

/// The kernel's own path of the node; there is none behind an abstract or an unnamed address.
#[inline(always)]
pub fn made(path: u64, mode: u64, marks: u64, who: Option<&TaskId>) -> Option<()> {
    let dentry: u64 = kernel(path, &OFFSETS.path_dentry);
    let inode: u64 = kernel(dentry, &OFFSETS.dentry_inode);
    if dentry == 0 || files::is_out_of_scope(inode) {
        return None;
    }
    let mut sample = Sample::begin_for(Class::Files, Kind::NodeCreate as u16, who)?;
    let body = sample.body();
    files::identify(inode, body);
    body.arg[0] = mode;
    sample.add_flags(marks);
    sample.walked(Tag::Object, path);
    sample.send(Urgency::Batch);
    Some(())
}

/// A bind that failed: the name is the caller's.
#[inline(always)]
fn named(returned: i64, address: u64, length: u64, mode: u64) -> Option<()> {
    let name = address.wrapping_add(FAMILY);
    let first: u8 = user_at(name)?;
    if length <= FAMILY || first == 0 || user_at::<u16>(address) != Some(AF_UNIX) {
        return None;
    }
    let length = if length - FAMILY > NAME { NAME } else { length - FAMILY };
    let mut sample = Sample::begin(Class::Files, Kind::NodeCreate as u16)?;
    sample.header().result = returned as i32;
    sample.body().arg[0] = mode;
    if !base_of(&mut sample, (NONE, 0), first == b'/', Tag::Base) {
        sample.discard();
        return None;
    }
    // What the compiler knows of the length it would not check again, and the verifier of 6.1 wants to see it checked.
    sample.user_bytes(Tag::Name, name, core::hint::black_box(length));
    sample.add_flags(flag::FROM_ARGUMENT);
    sample.send(Urgency::Batch);
    Some(())
}
