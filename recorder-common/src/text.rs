//! Texts of a sample: a small header and the bytes, one after the other behind the fixed part.

/// Length of a text's header: tag `u8`, flags `u8`, length `u16`, native byte order.
pub const TEXT_HEADER: usize = 4;
/// Longest text of a sample.
pub const TEXT_MAX: usize = 8192;

/// What a text is. Walked paths are components from the leaf to the root, each ended by NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tag {
    /// Walked path of the object itself.
    Object = 1,
    /// Walked path of the directory that [`Tag::Name`] is relative to.
    Base = 2,
    /// A name as the caller gave it.
    Name = 3,
    /// Walked path of the directory that [`Tag::NameTo`] is relative to.
    BaseTo = 4,
    /// The second name as the caller gave it (rename and link target, symbolic link content's place).
    NameTo = 5,
    /// Walked working directory.
    Cwd = 6,
    /// Walked path of the executable.
    Exe = 7,
    /// Arguments, each ended by NUL.
    Argv = 8,
    /// The program's file name as given to exec.
    Given = 9,
    /// The interpreter that exec chose.
    Interp = 10,
    /// Name of an extended attribute.
    Xattr = 11,
    /// Source of a mount.
    Source = 12,
    /// File system type of a mount.
    FsType = 13,
    /// Content of a symbolic link.
    Content = 14,
    /// PAM service.
    Service = 15,
    /// PAM user.
    User = 16,
    /// Value of a PAM item.
    Item = 17,
    /// Name of a POSIX message queue.
    Queue = 18,
    /// Walked path of the second name: of the object itself after a rename, of the new entry of a link.
    ObjectTo = 19,
    /// Two [`crate::sample::Creds`], before and after a call.
    Creds = 20,
    /// Numbers of groups, 4 bytes each.
    Groups = 21,
    /// A name: of a host, a module, a program, a map.
    Label = 22,
    /// Parameters of a module, command line of a kernel.
    Params = 23,
    /// Environment, each `NAME=VALUE` ended by NUL.
    Environment = 24,
    /// Walked root directory of the task, when it is another than the recorder's.
    Root = 25,
}

impl TryFrom<u8> for Tag {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        Ok(match number {
            1 => Self::Object,
            2 => Self::Base,
            3 => Self::Name,
            4 => Self::BaseTo,
            5 => Self::NameTo,
            6 => Self::Cwd,
            7 => Self::Exe,
            8 => Self::Argv,
            9 => Self::Given,
            10 => Self::Interp,
            11 => Self::Xattr,
            12 => Self::Source,
            13 => Self::FsType,
            14 => Self::Content,
            15 => Self::Service,
            16 => Self::User,
            17 => Self::Item,
            18 => Self::Queue,
            19 => Self::ObjectTo,
            20 => Self::Creds,
            21 => Self::Groups,
            22 => Self::Label,
            23 => Self::Params,
            24 => Self::Environment,
            25 => Self::Root,
            other => return Err(other),
        })
    }
}

/// The text was longer than there was room for.
pub const TEXT_CUT: u8 = 1;
/// The walked object has no name any more.
pub const TEXT_DELETED: u8 = 2;
/// The walk did not reach the root of the mount namespace.
pub const TEXT_UNREACHABLE: u8 = 4;
/// The bytes could not be read.
pub const TEXT_FAULT: u8 = 8;
