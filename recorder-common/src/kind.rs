//! Event kinds: stable numbers for the wire, stable words for people and files.

/// Declares each kind once: variant, wire number, word. A function cannot list the variants of an enum.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $word:literal,)*) => {
        /// What happened. Numbers are the ABI and never reused; words are the `kind` field of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $variant = $number,)* }

        impl Kind {
            /// Every kind, in numeric order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word used in files, filters and output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl TryFrom<u16> for Kind {
            type Error = u16;

            fn try_from(number: u16) -> Result<Self, u16> {
                match number { $($number => Ok(Self::$variant),)* other => Err(other) }
            }
        }
    };
}

kinds! {
    /// A program was started.
    Exec = 1 "exec",
    /// A program could not be started.
    ExecFailed = 2 "exec_failed",
    /// A process was made.
    Fork = 3 "fork",
    /// A process ended.
    Exit = 4 "exit",
    // 5 to 15: processes
    /// A file came into being by open.
    FileCreate = 16 "file_create",
    /// First write to an open file, or the summary at its close.
    FileWrite = 17 "file_write",
    /// A file's length was set.
    FileTruncate = 18 "file_truncate",
    /// A name of a file was removed.
    FileDelete = 19 "file_delete",
    /// A name was changed.
    FileRename = 20 "file_rename",
    /// A second name was given to a file.
    FileLink = 21 "file_link",
    /// A symbolic link was made.
    FileSymlink = 22 "file_symlink",
    /// A directory was made.
    DirCreate = 23 "dir_create",
    /// A directory was removed.
    DirDelete = 24 "dir_delete",
    /// A device, FIFO, socket or plain file was made by mknod.
    NodeCreate = 25 "node_create",
    /// Permissions were changed.
    AttrMode = 26 "attr_mode",
    /// Owner or group was changed.
    AttrOwner = 27 "attr_owner",
    /// An extended attribute was set or removed.
    AttrXattr = 28 "attr_xattr",
    /// Inode flags were changed (chattr).
    AttrFlags = 29 "attr_flags",
    /// Time stamps were set.
    AttrTime = 30 "attr_time",
    /// A file was mapped shared and writable.
    FileMapWrite = 31 "file_map_write",
    /// A file system was mounted or a mount was changed.
    Mount = 32 "mount",
    /// A file system was unmounted.
    Unmount = 33 "unmount",
    /// An open was refused for lack of permission.
    FileDenied = 34 "file_denied",
    // 35 to 47: files
    /// A session was opened for a user.
    Login = 48 "login",
    /// A session was closed.
    Logout = 49 "logout",
    /// A user was authenticated.
    AuthOk = 50 "auth_ok",
    /// An authentication failed.
    AuthFailed = 51 "auth_failed",
    /// The login user of a process was set.
    SessionId = 52 "session_id",
    /// A process changed its ids, groups or capabilities.
    Credential = 53 "credential",
    // 54 to 63: logins and credentials
    /// A kernel module was loaded or removed.
    Module = 64 "module",
    /// bpf(2): programs, maps and links were made or handled.
    Bpf = 65 "bpf",
    /// A process took hold of another, or wrote into its memory or registers.
    Ptrace = 66 "ptrace",
    /// A clock was set or its rate was changed.
    Clock = 67 "clock",
    /// The name of the host or its domain was set.
    Hostname = 68 "hostname",
    /// The host is restarted or halted.
    Reboot = 69 "reboot",
    /// Swap space was added or taken away.
    Swap = 70 "swap",
    /// Another kernel was loaded.
    Kexec = 71 "kexec",
    /// A process made or entered a namespace.
    Namespace = 72 "namespace",
    /// A rare system call that an auditor asks for, and that has no kind of its own.
    Syscall = 73 "syscall",
    // 74 to 79: kernel
    /// The recorder began to record.
    Start = 80 "start",
    /// The recorder stopped cleanly.
    Stop = 81 "stop",
    /// Events are known to be missing.
    Gap = 82 "gap",
    /// A hook no longer fires.
    HookDead = 83 "hook_dead",
    /// The configuration in force.
    Config = 84 "config",
    // 85 and 86: checkpoint, receipt
    /// A segment is removed under the retention in force.
    Tombstone = 87 "tombstone",
    /// A hook that was dead fires again.
    HookBack = 88 "hook_back",
}

impl Kind {
    /// The kind with this word, if there is one.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == word)
    }
}
