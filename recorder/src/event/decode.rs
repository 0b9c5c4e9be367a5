//! Bytes from a ring become a [`Sample`]. Everything here distrusts the bytes: a sample that is not exactly what
//! `recorder_common::sample` describes is refused, and the error names the offset and the field.

mod file;
mod system;

use std::borrow::Cow;

use recorder_common::sample::{COMM_LEN, PAM_CALL, flag, pam};
use recorder_common::text::Tag;

use super::path::{self, Resolved};
use super::wire::{Cursor, Text, Texts};
use super::{Body, Class, Event, Exec, Exit, Fork, Inode, Kind, Task};

pub use super::wire::DecodeError;

/// One sample and its place in the kernel's numbering.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// CPU whose numbering this is.
    pub cpu: u32,
    /// Class, which has a numbering of its own per CPU.
    pub class: Class,
    /// Position in the stream of this CPU and class; a hole is a loss.
    pub sequence: u64,
    /// What was sampled.
    pub sample: Sample<'a>,
}

/// What a probe reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample<'a> {
    /// An event of its own.
    Event(Event<'a>),
    /// A call into libpam: a step towards a login event.
    Pam(PamCall<'a>),
}

/// Which function of libpam was called. Item numbers are those of `recorder_common::sample::pam`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PamFunction {
    /// `pam_start` returned.
    Start,
    /// `pam_set_item` was called with this item.
    SetItem(u64),
    /// `pam_get_user` returned.
    GetUser,
    /// `pam_authenticate` returned.
    Authenticate,
    /// `pam_acct_mgmt` returned.
    AcctMgmt,
    /// `pam_open_session` returned.
    OpenSession,
    /// `pam_close_session` returned.
    CloseSession,
    /// `pam_end` was called.
    End,
}

/// A call into libpam.
#[derive(Clone, Debug, PartialEq)]
pub struct PamCall<'a> {
    /// `CLOCK_BOOTTIME`, ns.
    pub mono: u64,
    /// Who called.
    pub task: Task<'a>,
    /// Which function.
    pub function: PamFunction,
    /// Address of the handle in the caller's memory.
    pub handle: u64,
    /// PAM's result code, 0 for success.
    pub result: i32,
    /// Bits of [`flag`].
    pub flags: u64,
    /// Service name (`Start`).
    pub service: Option<&'a [u8]>,
    /// User name (`Start`, `GetUser`).
    pub user: Option<&'a [u8]>,
    /// Value of the item (`SetItem`).
    pub item: Option<&'a [u8]>,
}

/// What the kind of a sample makes of the rest.
enum Decision {
    Event(Kind),
    Pam,
}

/// The numbers of `recorder_common::sample::Body`.
struct Numbers {
    inode: Option<Inode>,
    arg: [u64; 4],
    arg_offset: usize,
}

const NS_ERRNO_MAX: i32 = 4095;

/// Reads one sample. Bytes behind the sample's own length (a ring's padding) are not looked at.
pub fn decode(bytes: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let length = cursor.u32("length")?;
    cursor.limit(length)?;
    let decision = read_kind(&mut cursor)?;
    let class = cursor.u8("class")?;
    let class = Class::try_from(class).map_err(|class| cursor.refuse::<u8>("class", u64::from(class)))?;
    let count = cursor.u8("texts")?;
    let cpu = cursor.u32("cpu")?;
    let result = cursor.i32("result")?;
    let result_refused = cursor.refuse::<i32>("result", u64::from(result.cast_unsigned()));
    let sequence = cursor.u64("sequence")?;
    let mono = cursor.u64("mono")?;
    let flags = read_flags(&mut cursor)?;
    let task = read_task(&mut cursor)?;
    let numbers = read_numbers(&mut cursor)?;
    let texts = Texts::read(&mut cursor, count)?;
    let sample = match decision {
        Decision::Event(kind) => {
            let errno = errno(result).ok_or(result_refused)?;
            let event =
                Event { mono, kind, errno, task: Some(task), flags, body: Body::Exit(Exit::default()) };
            Sample::Event(with_body(event, &numbers, &texts)?)
        }
        Decision::Pam => {
            let [_, handle, ..] = numbers.arg;
            let function = pam_function(&numbers)?;
            let (service, user, item) =
                (texts.bytes(Tag::Service), texts.bytes(Tag::User), texts.bytes(Tag::Item));
            Sample::Pam(PamCall { mono, task, function, handle, result, flags, service, user, item })
        }
    };
    Ok(Decoded { cpu, class, sequence, sample })
}

fn read_kind(cursor: &mut Cursor<'_>) -> Result<Decision, DecodeError> {
    let number = cursor.u16("kind")?;
    if number == PAM_CALL {
        return Ok(Decision::Pam);
    }
    Kind::try_from(number)
        .map(Decision::Event)
        .map_err(|number| cursor.refuse::<u16>("kind", u64::from(number)))
}

fn read_flags(cursor: &mut Cursor<'_>) -> Result<u64, DecodeError> {
    const KNOWN: u64 = {
        let (mut known, mut rest): (u64, &[(u64, &str)]) = (0, &flag::WORDS);
        while let [(bit, _), tail @ ..] = rest {
            known |= *bit;
            rest = tail;
        }
        known
    };
    let flags = cursor.u64("flags")?;
    if flags & !KNOWN == 0 { Ok(flags) } else { Err(cursor.refuse::<u64>("flags", flags)) }
}

fn read_task<'a>(cursor: &mut Cursor<'a>) -> Result<Task<'a>, DecodeError> {
    let set = |id: u32| (id != u32::MAX).then_some(id);
    let task = Task {
        start: cursor.u64("start")?,
        parent_start: cursor.u64("parent_start")?,
        cgroup_id: cursor.u64("cgroup")?,
        pid: cursor.u32("pid")?,
        tid: cursor.u32("tid")?,
        ppid: cursor.u32("ppid")?,
        uid: cursor.u32("uid")?,
        euid: cursor.u32("euid")?,
        gid: cursor.u32("gid")?,
        egid: cursor.u32("egid")?,
        loginuid: set(cursor.u32("loginuid")?),
        session: set(cursor.u32("session")?),
        mntns: cursor.u32("mntns")?,
        pidns: cursor.u32("pidns")?,
        ..Task::default()
    };
    let root_id = cursor.u32("root")?;
    let comm = cursor.bytes("comm", COMM_LEN)?;
    let comm = comm.split(|&byte| byte == 0).next().unwrap_or(comm);
    Ok(Task { comm, root_id, ..task })
}

fn read_numbers(cursor: &mut Cursor<'_>) -> Result<Numbers, DecodeError> {
    let ino = cursor.u64("ino")?;
    let arg_offset = cursor.offset();
    let arg = [cursor.u64("arg[0]")?, cursor.u64("arg[1]")?, cursor.u64("arg[2]")?, cursor.u64("arg[3]")?];
    let inode = Inode {
        ino,
        dev: cursor.u32("dev")?,
        mode: cursor.u32("mode")?,
        owner: cursor.u32("owner")?,
        group: cursor.u32("group")?,
    };
    Ok(Numbers { inode: (ino != 0).then_some(inode), arg, arg_offset })
}

impl Numbers {
    fn value(&self, index: usize) -> u64 {
        self.arg.get(index).copied().unwrap_or(0)
    }

    /// An argument that is a 32-bit number.
    fn small(&self, index: usize, field: &'static str) -> Result<u32, DecodeError> {
        let value = self.value(index);
        u32::try_from(value).map_err(|_| self.refuse(index, field))
    }

    /// A mode, owner or group as the caller passed it: the register's low half is what the kernel looked at.
    fn low(&self, index: usize) -> u32 {
        let [a, b, c, d, ..] = self.value(index).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// An owner or group to set; all ones leaves it as it is.
    fn id(&self, index: usize) -> Option<u32> {
        Some(self.low(index)).filter(|&id| id != u32::MAX)
    }

    fn refuse(&self, index: usize, field: &'static str) -> DecodeError {
        DecodeError::Value { field, offset: self.arg_offset + 8 * index, value: self.value(index) }
    }
}

fn errno(result: i32) -> Option<i32> {
    result.checked_neg().filter(|errno| (0..=NS_ERRNO_MAX).contains(errno))
}

fn pam_function(numbers: &Numbers) -> Result<PamFunction, DecodeError> {
    Ok(match numbers.value(0) {
        pam::START => PamFunction::Start,
        pam::SET_ITEM => PamFunction::SetItem(numbers.value(2)),
        pam::GET_USER => PamFunction::GetUser,
        pam::AUTHENTICATE => PamFunction::Authenticate,
        pam::ACCT_MGMT => PamFunction::AcctMgmt,
        pam::OPEN_SESSION => PamFunction::OpenSession,
        pam::CLOSE_SESSION => PamFunction::CloseSession,
        pam::END => PamFunction::End,
        _ => return Err(numbers.refuse(0, "PAM call")),
    })
}

/// Fills in what the kind adds.
fn with_body<'a>(
    mut event: Event<'a>,
    numbers: &Numbers,
    texts: &Texts<'a>,
) -> Result<Event<'a>, DecodeError> {
    event.body = match event.kind {
        Kind::Exec | Kind::ExecFailed => Body::Exec(exec(&mut event, numbers, texts)),
        Kind::Fork => Body::Fork(fork(numbers)?),
        Kind::Exit => Body::Exit(exit(numbers)?),
        Kind::FileCreate
        | Kind::FileWrite
        | Kind::FileTruncate
        | Kind::FileDelete
        | Kind::FileRename
        | Kind::FileLink
        | Kind::FileSymlink
        | Kind::DirCreate
        | Kind::DirDelete
        | Kind::NodeCreate
        | Kind::AttrMode
        | Kind::AttrOwner
        | Kind::AttrXattr
        | Kind::AttrFlags
        | Kind::AttrTime
        | Kind::FileMapWrite
        | Kind::Mount
        | Kind::Unmount
        | Kind::FileDenied => Body::File(file::body(&mut event, numbers, texts)),
        Kind::Credential => Body::Credential(Box::new(system::credential(&mut event, numbers, texts)?)),
        Kind::SessionId
        | Kind::Module
        | Kind::Bpf
        | Kind::Ptrace
        | Kind::Clock
        | Kind::Hostname
        | Kind::Reboot
        | Kind::Swap
        | Kind::Kexec
        | Kind::Namespace
        | Kind::Syscall => Body::System(Box::new(system::body(&mut event, numbers, texts)?)),
        Kind::Login
        | Kind::Logout
        | Kind::AuthOk
        | Kind::AuthFailed
        | Kind::Start
        | Kind::Stop
        | Kind::Gap
        | Kind::Config
        | Kind::Tombstone
        | Kind::HookDead
        | Kind::HookBack => {
            // Made in user space; no probe sends them.
            return Err(DecodeError::Value { field: "kind", offset: 4, value: event.kind as u64 });
        }
    };
    Ok(event)
}

fn fork(numbers: &Numbers) -> Result<Fork, DecodeError> {
    Ok(Fork {
        child_pid: numbers.small(0, "child pid")?,
        child_tid: numbers.small(1, "child tid")?,
        child_start: numbers.value(2),
    })
}

fn exec<'a>(event: &mut Event<'a>, numbers: &Numbers, texts: &Texts<'a>) -> Exec<'a> {
    let mut take = |resolved: Resolved<'a>| {
        event.flags |= resolved.flags;
        resolved.path
    };
    let exe = texts.get(Tag::Exe).and_then(|text| take(path::walked(text)));
    let cwd = texts.get(Tag::Cwd).and_then(|text| take(path::walked(text)));
    let argv: Vec<Cow<'_, [u8]>> = texts.bytes(Tag::Argv).map(arguments).unwrap_or_default();
    let env = texts.bytes(Tag::Environment).map(arguments).unwrap_or_default();
    // What is wrong with this path is no fault of the event's others.
    let root = texts.get(Tag::Root).and_then(|text| path::walked(text).path);
    let argc = numbers.value(0);
    let file = texts.bytes(Tag::Given).unwrap_or_default();
    let interp = texts.bytes(Tag::Interp).filter(|&interp| interp != file);
    flag_incomplete(event, texts, &[Tag::Argv, Tag::Given, Tag::Interp, Tag::Environment]);
    if (argv.len() as u64) < argc {
        event.flags |= flag::CUT;
    }
    if let Some(task) = &mut event.task {
        task.exe = exe;
    }
    let caps_gained = if event.errno == 0 { numbers.value(2) } else { 0 };
    let (redacted, inode) = (Vec::new(), numbers.inode);
    Exec { argv, argc, env, redacted, cwd, file, interp, inode, caps_gained, root }
}

/// Marks an event with a text that was cut, or that the kernel itself could read and the probe could not.
fn flag_incomplete(event: &mut Event<'_>, texts: &Texts<'_>, tags: &[Tag]) {
    const EFAULT: i32 = 14;
    let was_readable = event.errno != EFAULT;
    let lacks = |text: Text<'_>| text.is_cut() || (text.is_fault() && was_readable);
    if tags.iter().filter_map(|tag| texts.get(*tag)).any(lacks) {
        event.flags |= flag::CUT;
    }
}

/// Arguments, each ended by NUL; the last one may have lost its NUL to a cut.
fn arguments(block: &[u8]) -> Vec<Cow<'_, [u8]>> {
    if block.is_empty() {
        return Vec::new();
    }
    block.strip_suffix(b"\0").unwrap_or(block).split(|&byte| byte == 0).map(Cow::Borrowed).collect()
}

fn exit(numbers: &Numbers) -> Result<Exit, DecodeError> {
    let [signal, code, 0, 0, 0, 0, 0, 0] = numbers.value(0).to_le_bytes() else {
        return Err(numbers.refuse(0, "exit code"));
    };
    // Bit 7 tells of a core dump.
    Ok(Exit { code, signal: signal & 0x7f })
}

#[cfg(test)]
mod tests;
