//! Files in the kernel's own terms: identity, scope by superblock, and how many hold an open file.

use recorder_common::sample::{Body, flag};

use crate::maps::OFFSETS;
use crate::read::{has, kernel, kernel_at, offset};
use crate::sample::Sample;

/// Type bits of a mode.
pub const S_IFMT: u32 = 0o170_000;
/// Regular file.
pub const S_IFREG: u32 = 0o100_000;
/// Socket.
pub const S_IFSOCK: u32 = 0o140_000;
/// Character device.
pub const S_IFCHR: u32 = 0o020_000;
/// Block device.
pub const S_IFBLK: u32 = 0o060_000;
/// `FMODE_CREATED`: this open made the file (`include/linux/fs.h`).
pub const FMODE_CREATED: u32 = 0x10_0000;

/// Superblock magics of kernel pseudo file systems, which are out of scope (`include/uapi/linux/magic.h`).
#[inline(always)]
pub fn is_pseudo(magic: u64) -> bool {
    matches!(
        magic,
        0x9fa0           // proc
        | 0x6265_6572    // sysfs
        | 0x0027_e0eb    // cgroup
        | 0x6367_7270    // cgroup2
        | 0x7472_6163    // tracefs
        | 0x6462_6720    // debugfs
        | 0x7363_6673    // securityfs
        | 0xcafe_4a11    // bpf
        | 0x1cd1         // devpts
        | 0x5049_5045    // pipes
        | 0x534f_434b    // sockets
        | 0x0904_1934    // anonymous inodes
        | 0x6e73_6673    // namespaces
        | 0xf97c_ff8c    // selinuxfs
        | 0x5049_4446 // pidfs
    )
}

/// Inode behind an open file.
#[inline(always)]
pub fn inode_of(file: u64) -> u64 {
    kernel(file, &OFFSETS.file_inode)
}

/// Mode of an inode.
#[inline(always)]
pub fn mode_of(inode: u64) -> u32 {
    kernel::<u16>(inode, &OFFSETS.inode_mode) as u32
}

/// Whether writes to this mode are recorded: regular files and block devices.
#[inline(always)]
pub fn holds_data(mode: u32) -> bool {
    let kind = mode & S_IFMT;
    kind == S_IFREG || kind == S_IFBLK
}

/// Whether this is the mode of a character device.
#[inline(always)]
pub fn is_character(mode: u32) -> bool {
    mode & S_IFMT == S_IFCHR
}

/// Whether the inode lives on a kernel pseudo file system.
#[inline(always)]
pub fn is_out_of_scope(inode: u64) -> bool {
    let superblock: u64 = kernel(inode, &OFFSETS.inode_sb);
    is_pseudo(kernel(superblock, &OFFSETS.sb_magic))
}

/// Whether the directory at `address` (`struct path *`) lives on a kernel pseudo file system.
#[inline(always)]
pub fn is_path_out_of_scope(address: u64) -> bool {
    let dentry: u64 = kernel(address, &OFFSETS.path_dentry);
    is_out_of_scope(kernel(dentry, &OFFSETS.dentry_inode))
}

/// Address of an open file's `struct path`.
#[inline(always)]
pub fn path_of(file: u64) -> u64 {
    file.wrapping_add(offset(&OFFSETS.file_path))
}

/// Writes an inode's identity into the body.
#[inline(always)]
pub fn identify(inode: u64, body: &mut Body) {
    let superblock: u64 = kernel(inode, &OFFSETS.inode_sb);
    body.ino = kernel(inode, &OFFSETS.inode_ino);
    body.dev = kernel(superblock, &OFFSETS.sb_dev);
    body.mode = mode_of(inode);
    body.owner = kernel(inode, &OFFSETS.inode_uid);
    body.group = kernel(inode, &OFFSETS.inode_gid);
}

/// Marks memfds: unlinked files whose name the kernel made.
#[inline(always)]
pub fn flag_memfd(file: u64, sample: &mut Sample) {
    flag_memfd_entry(kernel(path_of(file), &OFFSETS.path_dentry), sample);
}

/// As [`flag_memfd`], by the file's directory entry.
#[inline(always)]
pub fn flag_memfd_entry(dentry: u64, sample: &mut Sample) {
    let name: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_name)), &OFFSETS.qstr_name);
    let parent: u64 = kernel(dentry, &OFFSETS.dentry_parent);
    // "memfd:" in native byte order; only a pseudo entry, which is its own parent, carries it by right.
    if parent == dentry && kernel_at::<[u8; 6]>(name) == *b"memfd:" {
        sample.add_flags(flag::MEMFD);
    }
}

/// Whether an open file is memory that the kernel itself gave a file: a shared anonymous mapping, System V shared
/// memory, huge pages. Only entries that are their own parent carry such a name by right.
#[inline(always)]
pub fn is_memory(file: u64) -> bool {
    let dentry: u64 = kernel(path_of(file), &OFFSETS.path_dentry);
    let name: u64 = kernel(dentry.wrapping_add(offset(&OFFSETS.dentry_name)), &OFFSETS.qstr_name);
    let parent: u64 = kernel(dentry, &OFFSETS.dentry_parent);
    let begin: [u8; 4] = kernel_at(name);
    parent == dentry && matches!(&begin, b"dev/" | b"SYSV" | b"anon")
}

/// How many references hold an open file.
///
/// Up to 6.12 `f_count` counts them; from 6.13 on `f_ref` holds one less.
#[inline(always)]
pub fn references(file: u64) -> u64 {
    if has(&OFFSETS.file_count) {
        return kernel(file, &OFFSETS.file_count);
    }
    kernel::<u64>(file, &OFFSETS.file_ref).wrapping_add(1)
}

/// Whether the last reference of an open file is gone, although it has not been taken apart yet.
#[inline(always)]
pub fn is_released(file: u64) -> bool {
    if has(&OFFSETS.file_count) {
        return kernel::<i64>(file, &OFFSETS.file_count) <= 0;
    }
    // `f_ref` has its top bit set from then on (`FILE_REF_RELEASED`).
    kernel::<i64>(file, &OFFSETS.file_ref) < 0
}
