//! What credential kinds and the kinds about the kernel itself add.

use std::borrow::Cow;

use recorder_common::text::Tag;

use super::{DecodeError, Numbers, flag_incomplete};
use crate::event::wire::{Cursor, Texts};
use crate::event::{Credential, Event, Kind, System, names, path};

const NR_SETTIMEOFDAY: u64 = 164;
const NR_CLOCK_SETTIME: u64 = 227;
const NR_CAPSET: u64 = 126;
const EFAULT: i32 = 14;

/// Keys of the ids that a call asks for, in the order of its arguments.
const ASKED: [(&str, [&str; 3]); 8] = [
    ("setuid", ["uid_set", "", ""]),
    ("setgid", ["gid_set", "", ""]),
    ("setreuid", ["uid_set", "euid_set", ""]),
    ("setregid", ["gid_set", "egid_set", ""]),
    ("setresuid", ["uid_set", "euid_set", "suid_set"]),
    ("setresgid", ["gid_set", "egid_set", "sgid_set"]),
    ("setfsuid", ["fsuid_set", "", ""]),
    ("setfsgid", ["fsgid_set", "", ""]),
];

/// What `recorder_common::sample::Creds` says.
struct Creds {
    ids: [u32; 8],
    caps: u64,
}

impl Creds {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let mut ids = [0; 8];
        for id in &mut ids {
            *id = cursor.u32("credentials")?;
        }
        let caps = cursor.u64("permitted")? | cursor.u64("effective")?;
        Ok(Self { ids, caps })
    }
}

fn call(numbers: &Numbers) -> Result<&'static str, DecodeError> {
    names::call(numbers.value(3)).ok_or_else(|| numbers.refuse(3, "call"))
}

pub(super) fn credential<'a>(
    event: &mut Event<'a>,
    numbers: &Numbers,
    texts: &Texts<'a>,
) -> Result<Credential<'a>, DecodeError> {
    let call = call(numbers)?;
    flag_incomplete(event, texts, &[Tag::Groups]);
    let mut cursor = Cursor::new(texts.bytes(Tag::Creds).unwrap_or_default());
    let (before, after) = (Creds::read(&mut cursor)?, Creds::read(&mut cursor)?);
    let [uid, euid, _, _, gid, egid, ..] = before.ids;
    let [_, _, suid, fsuid, _, _, sgid, fsgid] = after.ids;
    let mut ids_set = [None; 3];
    let keys = ASKED.iter().find(|(name, _)| *name == call).map(|(_, keys)| *keys).unwrap_or_default();
    for ((index, key), set) in keys.into_iter().enumerate().zip(&mut ids_set) {
        *set = numbers.id(index).filter(|_| !key.is_empty()).map(|id| (key, id));
    }
    let groups_set = texts.bytes(Tag::Groups);
    // Bytes that are no whole number of groups are none that a probe sends.
    let groups_set = groups_set.filter(|bytes| bytes.len().is_multiple_of(4));
    if groups_set.is_some_and(|bytes| (bytes.len() as u64) < numbers.value(0).saturating_mul(4)) {
        event.flags |= recorder_common::sample::flag::CUT;
    }
    Ok(Credential {
        call,
        old: [uid, euid, gid, egid],
        suid,
        sgid,
        fsuid,
        fsgid,
        ids_set,
        groups_set,
        caps_set: (numbers.value(3) == NR_CAPSET).then(|| numbers.value(0)),
        caps_gained: after.caps & !before.caps,
        caps_lost: before.caps & !after.caps,
    })
}

pub(super) fn body<'a>(
    event: &mut Event<'a>,
    numbers: &Numbers,
    texts: &Texts<'a>,
) -> Result<System<'a>, DecodeError> {
    let call = call(numbers)?;
    let object = path::of_object(texts);
    event.flags |= object.flags;
    flag_incomplete(event, texts, &[Tag::Params]);
    let label = texts.get(Tag::Label).map(|label| label.until_nul()).filter(|label| !label.is_fault());
    let mut system = System {
        call,
        path: object.path,
        name: label.map(|label| label.bytes).filter(|label| !label.is_empty()),
        params: texts.bytes(Tag::Params).filter(|params| !params.is_empty()),
        ..System::default()
    };
    set_numbers(&mut system, event, numbers);
    Ok(system)
}

/// The numbers of a kind; see the table at `recorder_common::sample::Body`.
fn set_numbers(system: &mut System<'_>, event: &Event<'_>, numbers: &Numbers) {
    let [first, second, third, number] = numbers.arg;
    match event.kind {
        Kind::Bpf => bpf(system, first, second, third),
        Kind::Ptrace => {
            let is_write = system.call != "ptrace";
            system.command = (!is_write).then(|| names::ptrace_request(first));
            system.target = Some(numbers.low(1)).filter(|_| is_write || first != 0);
            system.bytes = (is_write && event.errno == 0).then_some(third);
        }
        Kind::Clock => {
            system.clock = Some(names::clock(first));
            if number == NR_CLOCK_SETTIME || number == NR_SETTIMEOFDAY {
                system.time_set = time(second, third).filter(|_| event.errno != EFAULT);
            } else {
                system.bits = Some(third);
            }
        }
        Kind::Hostname => system.utsns = Some(first),
        Kind::Reboot => system.command = Some(names::reboot_command(numbers.low(0).into())),
        Kind::Namespace => {
            system.namespaces = Some(first);
            system.target = Some(numbers.low(1)).filter(|&target| target != 0);
            system.ns = numbers.inode.map(|inode| inode.ino);
        }
        Kind::Syscall if system.call == "socket" => {
            system.command = Some(Cow::Owned(names::socket(numbers.low(0).into(), second)));
        }
        Kind::Syscall if matches!(system.call, "acct" | "chroot") => {}
        Kind::SessionId => {}
        _ => system.bits = Some(numbers.low(0).into()),
    }
}

fn bpf(system: &mut System<'_>, command: u64, kind: u64, id: u64) {
    let word = names::bpf_command(command);
    let is_map = word.starts_with("MAP_");
    system.bpf_type =
        (kind != 0).then(|| if is_map { names::map_type(kind) } else { names::program_type(kind) });
    system.id = (id != 0).then_some(id);
    system.command = Some(word);
}

/// ns since 1970; `None` for what is no time.
fn time(seconds: u64, nanoseconds: u64) -> Option<i64> {
    let nanoseconds = i64::try_from(nanoseconds).ok().filter(|ns| *ns < 1_000_000_000)?;
    i64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}
