//! What a file kind adds: paths, identity and the numbers of the call.

use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::{Numbers, flag_incomplete};
use crate::event::path::{self, Resolved};
use crate::event::wire::Texts;
use crate::event::{Event, File, Kind};

pub(super) fn body<'a>(event: &mut Event<'a>, numbers: &Numbers, texts: &Texts<'a>) -> File<'a> {
    let object = path::of_object(texts);
    let target = match texts.get(Tag::Content) {
        Some(content) if content.is_fault() => Resolved { path: None, flags: flag::UNRESOLVED },
        Some(content) => {
            Resolved { path: Some(content.bytes.into()), flags: if content.is_cut() { flag::CUT } else { 0 } }
        }
        None => path::of_target(texts),
    };
    event.flags |= object.flags | target.flags;
    flag_incomplete(event, texts, &[Tag::Xattr, Tag::Source, Tag::FsType]);
    let mut file = File { path: object.path, path_to: target.path, inode: numbers.inode, ..File::default() };
    set_numbers(&mut file, event, numbers);
    file.xattr = texts.bytes(Tag::Xattr);
    file.source = texts.bytes(Tag::Source);
    file.fstype = texts.bytes(Tag::FsType);
    file
}

/// The arguments of a file kind; see the table at `recorder_common::sample::Body`.
fn set_numbers(file: &mut File<'_>, event: &mut Event<'_>, numbers: &Numbers) {
    // A refused open knows no length.
    let is_failed_open = event.errno != 0 && event.flags & flag::OPEN != 0;
    match event.kind {
        Kind::FileWrite if event.errno == 0 => {
            file.bytes = Some(numbers.value(0));
            file.calls = (event.flags & flag::CLOSE != 0).then(|| numbers.value(1));
        }
        Kind::FileTruncate if !is_failed_open => file.bytes = Some(numbers.value(2)),
        Kind::FileMapWrite => file.bytes = Some(numbers.value(0)),
        Kind::DirCreate | Kind::AttrMode => file.mode_set = Some(numbers.low(0) & 0o7777),
        Kind::NodeCreate => file.mode_set = Some(numbers.low(0) & 0o177_777),
        Kind::AttrOwner => {
            file.owner_set = numbers.id(0);
            file.group_set = numbers.id(1);
        }
        Kind::AttrXattr if numbers.value(2) == 1 => event.flags |= flag::REMOVED,
        Kind::AttrFlags => file.bits = Some(inode_flags(numbers.value(0), numbers.value(2))),
        Kind::Mount | Kind::Unmount => file.bits = Some(numbers.value(0)),
        Kind::Exec
        | Kind::ExecFailed
        | Kind::Fork
        | Kind::Exit
        | Kind::FileCreate
        | Kind::FileWrite
        | Kind::FileTruncate
        | Kind::FileDelete
        | Kind::FileRename
        | Kind::FileLink
        | Kind::FileSymlink
        | Kind::DirDelete
        | Kind::AttrXattr
        | Kind::AttrTime
        | Kind::FileDenied
        | Kind::Login
        | Kind::Logout
        | Kind::AuthOk
        | Kind::AuthFailed
        | Kind::SessionId
        | Kind::Credential
        | Kind::Module
        | Kind::Bpf
        | Kind::Ptrace
        | Kind::Clock
        | Kind::Hostname
        | Kind::Reboot
        | Kind::Swap
        | Kind::Kexec
        | Kind::Namespace
        | Kind::Syscall
        | Kind::Start
        | Kind::Stop
        | Kind::Gap
        | Kind::Config
        | Kind::Tombstone
        | Kind::HookDead
        | Kind::HookBack => {}
    }
}

/// Inode flags as `FS_*_FL`, whatever form the call had: `FS_IOC_SETFLAGS` gives them so, `FS_IOC_FSSETXATTR` and
/// `file_setattr` as `FS_XFLAG_*`, whose numbers mean other things.
fn inode_flags(bits: u64, command: u64) -> u64 {
    const SETFLAGS: [u64; 2] = [0x4008_6602, 0x4004_6602];
    /// `FS_XFLAG_*` and `FS_*_FL`: immutable, append, sync, noatime, nodump, dax, projinherit, verity.
    const PAIRS: [(u64, u64); 8] = [
        (0x8, 0x10),
        (0x10, 0x20),
        (0x20, 0x8),
        (0x40, 0x80),
        (0x80, 0x40),
        (0x8000, 0x0200_0000),
        (0x200, 0x2000_0000),
        (0x2_0000, 0x0010_0000),
    ];
    if SETFLAGS.contains(&(command & 0xffff_ffff)) {
        return bits;
    }
    PAIRS.iter().filter(|(extended, _)| bits & extended != 0).map(|(_, plain)| plain).sum()
}
