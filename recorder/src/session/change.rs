//! Which kinds of events change files, and the words for it.

use crate::event::Kind;

/// What was done to a path: a past tense for people, or `None` when the kind changes no file.
#[must_use]
pub const fn verb(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::FileCreate => Some("created"),
        Kind::FileWrite => Some("wrote"),
        Kind::FileTruncate => Some("set the length of"),
        Kind::FileDelete => Some("deleted"),
        Kind::FileRename => Some("renamed"),
        Kind::FileLink => Some("linked"),
        Kind::FileSymlink => Some("made the link"),
        Kind::DirCreate => Some("made the directory"),
        Kind::DirDelete => Some("removed the directory"),
        Kind::NodeCreate => Some("made the node"),
        Kind::AttrMode => Some("set the mode of"),
        Kind::AttrOwner => Some("set the owner of"),
        Kind::AttrXattr => Some("set an attribute of"),
        Kind::AttrFlags => Some("set the flags of"),
        Kind::AttrTime => Some("set the times of"),
        Kind::FileMapWrite => Some("mapped for writing"),
        Kind::Exec
        | Kind::ExecFailed
        | Kind::Fork
        | Kind::Exit
        | Kind::Mount
        | Kind::Unmount
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
        | Kind::HookDead
        | Kind::HookBack
        | Kind::Config
        | Kind::Tombstone => None,
    }
}
