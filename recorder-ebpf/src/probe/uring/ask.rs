//! Reads what a request of io_uring asks for: from the kernel's request, or from the program's entry when the kernel
//! would not take it.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};

use super::operation::{
    BIND, CLOSE, FALLOCATE, FSETXATTR, FTRUNCATE, LINKAT, MKDIRAT, OPENAT, OPENAT2, RENAMEAT, SETXATTR,
    SPLICE, SYMLINKAT, UNLINKAT, WRITE, WRITE_FIXED,
};
use super::tell::{file_in_slot, target};
use crate::maps::{Asked, NAME_ROOM, OFFSETS, WRITES};
use crate::probe::bind::AF_UNIX;
use crate::probe::named::AT_FDCWD;
use crate::read::{has, kernel, kernel_at, offset, user_at};
use crate::{files, task};

/// Holds the length of every name of a socket, of which the kernel takes 108 bytes.
const SOCKET_NAME: u64 = 127;
/// Bytes of the family in an address.
const FAMILY: u64 = 2;

/// Which names an operation has: addresses of the strings, 0 where there is none.
type Strings = [u64; 2];

/// Whether this is a write through an open file of which a write was told already.
#[inline(always)]
pub fn is_known_write(req: u64) -> bool {
    let file = target(req);
    let Some(known) = WRITES.get_ptr_mut(file) else { return false };
    // SAFETY: a map value.
    file != 0 && unsafe { (*known).inode } == files::inode_of(file)
}

impl Asked {
    /// Reads a request that the kernel took; says whether it has names.
    #[inline(always)]
    pub fn read(&mut self, req: u64, operation: u8) -> bool {
        self.begin(req, operation as u32);
        let strings = self.read_command(req);
        self.copy(strings, false);
        strings[0] | strings[1] != 0
    }

    /// Reads the program's entry (`struct io_uring_sqe`) of a request that the kernel did not take.
    #[inline(always)]
    pub fn read_entry(&mut self, entry: u64, req: u64, operation: u8) {
        self.begin(req, operation as u32);
        self.request.file = 0;
        let strings = self.read_fields(entry);
        self.copy(strings, true);
    }

    #[inline(always)]
    fn begin(&mut self, req: u64, operation: u32) {
        let request = &mut self.request;
        task::identity(task::current(), &mut request.task);
        if has(&OFFSETS.req_has_creds)
            && kernel::<u32>(req, &OFFSETS.req_flags) >> (offset(&OFFSETS.req_has_creds) & 31) & 1 != 0
        {
            task::set_ids(kernel(req, &OFFSETS.req_creds), &mut request.task);
        }
        request.ring = kernel(req, &OFFSETS.req_ring);
        request.tag = kernel(req.wrapping_add(offset(&OFFSETS.req_cqe)), &OFFSETS.cqe_tag);
        request.file = 0;
        request.arg = [0; 4];
        request.dir = [AT_FDCWD; 2];
        request.operation = operation;
        request.faults = 0;
    }

    /// The operation's own struct, which stands in the request.
    #[inline(always)]
    fn read_command(&mut self, req: u64) -> Strings {
        let command = req.wrapping_add(offset(&OFFSETS.req_cmd));
        let request = &mut self.request;
        let name = |field: &u32| kernel::<u64>(kernel(command, field), &OFFSETS.filename_name);
        match request.operation {
            OPENAT | OPENAT2 => {
                request.dir[0] = kernel(command, &OFFSETS.open_dir);
                request.arg[0] = kernel::<u32>(command, &OFFSETS.open_slot) as u64;
                request.arg[3] = kernel(command, &OFFSETS.open_how);
                [name(&OFFSETS.open_name), 0]
            }
            UNLINKAT => {
                request.dir[0] = kernel(command, &OFFSETS.unlink_dir);
                request.arg[3] = kernel::<u32>(command, &OFFSETS.unlink_flags) as u64;
                [name(&OFFSETS.unlink_name), 0]
            }
            MKDIRAT => {
                request.dir[0] = kernel(command, &OFFSETS.mkdir_dir);
                request.arg[0] = kernel::<u16>(command, &OFFSETS.mkdir_mode) as u64;
                [name(&OFFSETS.mkdir_name), 0]
            }
            RENAMEAT => {
                request.dir = [kernel(command, &OFFSETS.rename_dir), kernel(command, &OFFSETS.rename_dir_to)];
                request.arg[3] = kernel::<u32>(command, &OFFSETS.rename_flags) as u64;
                [name(&OFFSETS.rename_name), name(&OFFSETS.rename_name_to)]
            }
            LINKAT => {
                request.dir = [kernel(command, &OFFSETS.link_dir), kernel(command, &OFFSETS.link_dir_to)];
                request.arg[3] = kernel::<u32>(command, &OFFSETS.link_flags) as u64;
                [name(&OFFSETS.link_name), name(&OFFSETS.link_name_to)]
            }
            SYMLINKAT => {
                request.dir[0] = kernel(command, &OFFSETS.link_dir_to);
                [name(&OFFSETS.link_name_to), name(&OFFSETS.link_name)]
            }
            SETXATTR => [name(&OFFSETS.xattr_path), attribute(command)],
            FSETXATTR => [0, attribute(command)],
            BIND => {
                request.arg[1] = kernel::<u32>(command, &OFFSETS.bind_length) as u64;
                [socket_name(req), 0]
            }
            _ => {
                self.read_numbers(req, command);
                [0, 0]
            }
        }
    }

    /// Operations without names.
    #[inline(always)]
    fn read_numbers(&mut self, req: u64, command: u64) {
        let request = &mut self.request;
        match request.operation {
            FALLOCATE => {
                request.arg[1] = kernel::<u32>(command, &OFFSETS.sync_mode) as u64;
                request.arg[2] = kernel(command, &OFFSETS.sync_length);
            }
            FTRUNCATE => request.arg[2] = kernel(command, &OFFSETS.ftrunc_length),
            CLOSE => {
                let slot: u32 = kernel(command, &OFFSETS.close_slot);
                request.arg[0] = slot as u64;
                request.file = if slot != 0 {
                    file_in_slot(request.ring, slot as u64 - 1)
                } else {
                    task::file_of(task::current(), kernel(command, &OFFSETS.close_fd))
                };
            }
            WRITE | WRITE_FIXED => {
                request.arg[0] = kernel::<u32>(command, &OFFSETS.rw_length) as u64;
                request.file = target(req);
            }
            SPLICE => {
                request.arg[0] = kernel(command, &OFFSETS.splice_length);
                request.file = target(req);
            }
            _ => request.file = target(req),
        }
    }

    /// `struct io_uring_sqe`: fd at 4, off or addr2 at 8, addr at 16, len at 24, flags at 28, addr3 at 48.
    #[inline(always)]
    fn read_fields(&mut self, entry: u64) -> Strings {
        let request = &mut self.request;
        let fd: i32 = kernel_at(entry.wrapping_add(4));
        let second: u64 = kernel_at(entry.wrapping_add(8));
        let first: u64 = kernel_at(entry.wrapping_add(16));
        let length: u32 = kernel_at(entry.wrapping_add(24));
        let flags = kernel_at::<u32>(entry.wrapping_add(28)) as u64;
        request.dir = [fd, length as i32];
        match request.operation {
            OPENAT => request.arg[3] = flags,
            OPENAT2 => request.arg[3] = user_at(second).unwrap_or(0),
            MKDIRAT => request.arg[0] = length as u64,
            SETXATTR => {
                request.dir[0] = AT_FDCWD;
                return [kernel_at(entry.wrapping_add(48)), first];
            }
            SYMLINKAT => return [second, first],
            UNLINKAT => request.arg[3] = flags,
            RENAMEAT | LINKAT => {
                request.arg[3] = flags;
                return [first, second];
            }
            _ => {
                request.file = task::file_of(task::current(), fd as u32);
                request.arg[2] = if request.operation == FALLOCATE { first } else { second };
                return [0, if request.operation == FSETXATTR { first } else { 0 }];
            }
        }
        [first, 0]
    }

    /// Copies names from kernel memory, or from the program's.
    #[inline(always)]
    fn copy(&mut self, strings: Strings, of_program: bool) {
        let room = NAME_ROOM as u32;
        // The name of a socket ends with its address, behind which may be anything.
        let of_socket = (self.request.arg[1].wrapping_sub(FAMILY) & SOCKET_NAME) as u32 + 1;
        let room_first = if self.request.operation == BIND { of_socket } else { room };
        let first = (&raw mut self.names.first).cast();
        if !copy_string(first, room_first, strings[0], of_program) {
            self.names.first[0] = 0;
            self.request.faults |= 1;
        }
        let second = (&raw mut self.names.second).cast();
        if !copy_string(second, room, strings[1], of_program) {
            self.names.second[0] = 0;
            self.request.faults |= 2;
        }
    }
}

/// False when the string can't be read.
#[inline(always)]
fn copy_string(to: *mut u8, room: u32, from: u64, of_program: bool) -> bool {
    // SAFETY: `to` has the room; the helpers check the source.
    let length = unsafe {
        if of_program {
            bpf_probe_read_user_str(to.cast(), room, from as *const _)
        } else {
            bpf_probe_read_kernel_str(to.cast(), room, from as *const _)
        }
    };
    length > 0
}

/// Name of an extended attribute.
#[inline(always)]
fn attribute(command: u64) -> u64 {
    let call = command.wrapping_add(offset(&OFFSETS.xattr_call));
    if has(&OFFSETS.xattr_name) {
        return kernel(call, &OFFSETS.xattr_name);
    }
    kernel(call, &OFFSETS.xattr_name_new)
}

/// The name in the address of a Unix socket that is to be a file; 0 for any other address.
#[inline(always)]
fn socket_name(req: u64) -> u64 {
    let data: u64 = kernel(req, &OFFSETS.req_data);
    if data == 0 {
        return 0;
    }
    // Newer kernels keep the address alone; older ones a `struct io_async_msghdr`, which begins with a pointer.
    let is_alone = kernel_at::<u16>(data) == AF_UNIX;
    let inside = if has(&OFFSETS.message_address) { offset(&OFFSETS.message_address) } else { 0 };
    let address = data.wrapping_add(if is_alone { 0 } else { inside });
    let [family, name]: [u16; 2] = kernel_at(address);
    if family == AF_UNIX && name as u8 != 0 { address.wrapping_add(2) } else { 0 }
}
