//! How the generic syscall probe reads one system call: which argument is what. The table itself is the daemon's.

/// Size of the table: higher system call numbers are not hooked.
pub const SYSCALLS: usize = 512;
/// Marks an argument that the call does not have.
pub const NONE: u8 = 0xff;

/// One system call. Argument fields hold the argument's position, 0 to 5, or [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Spec {
    /// Event kind; 0 = not described.
    pub kind: u16,
    /// Bits `SPEC_*`.
    pub flags: u16,
    /// Directory descriptor that `name` is relative to; [`NONE`] = working directory.
    pub dir: u8,
    /// Path name.
    pub name: u8,
    /// Directory descriptor that `name_to` is relative to.
    pub dir_to: u8,
    /// Second path name.
    pub name_to: u8,
    /// Descriptor of the object itself, when there is no name.
    pub fd: u8,
    /// `AT_*` flags of the call (`AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW`, `AT_REMOVEDIR`).
    pub at: u8,
    /// What goes into `Body::arg[0]`, `[1]` and `[2]`.
    pub arg: [u8; 3],
    /// A further string.
    pub text: u8,
    /// [`crate::text::Tag`] of that string.
    pub text_tag: u8,
    /// Keeps the size even; 0.
    pub reserved: u8,
}

const _: () = assert!(size_of::<Spec>() == 16);

/// A call without arguments that matter.
pub const UNHOOKED: Spec = Spec {
    kind: 0,
    flags: 0,
    dir: NONE,
    name: NONE,
    dir_to: NONE,
    name_to: NONE,
    fd: NONE,
    at: NONE,
    arg: [NONE; 3],
    text: NONE,
    text_tag: 0,
    reserved: 0,
};

/// The call never follows a link in the last component (`lchown`, `lsetxattr`).
pub const SPEC_NOFOLLOW: u16 = 1;
/// The call removes (`removexattr`).
pub const SPEC_REMOVE: u16 = 2;
/// `AT_REMOVEDIR` in `at` turns the kind into `dir_delete`.
pub const SPEC_UNLINKAT: u16 = 4;
/// `AT_SYMLINK_FOLLOW` follows, the default does not (`linkat`).
pub const SPEC_LINKAT: u16 = 8;
/// A null name means the descriptor itself (`utimensat`).
pub const SPEC_NULL_IS_FD: u16 = 16;
/// Reads `fstype` of mount(2), argument 2.
pub const SPEC_FSTYPE: u16 = 64;
/// `arg[0]` points to the value.
pub const SPEC_DEREF: u16 = 128;
/// Changes a mount that is already there.
pub const SPEC_REMOUNT: u16 = 256;
/// `RENAME_EXCHANGE` in argument 4 is flagged.
pub const SPEC_RENAMEAT2: u16 = 32;
/// Sets the id for file access: returns the one before, whatever came of it.
pub const SPEC_FSID: u16 = 512;
/// Reads `text` with the length in argument 1.
pub const SPEC_COUNTED: u16 = 1024;
