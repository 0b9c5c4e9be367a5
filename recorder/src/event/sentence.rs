//! One line of plain English for an event, fit for a terminal. For people only: programs read the fields.

mod system;

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Kind;
use super::record::{Record, Text};
use crate::enrich::users::Users;

/// Longest command line shown, in characters.
const ARGUMENTS_MAX: usize = 400;

/// The sentence of an event. Names come from `users`, paths and other texts of the host are escaped.
#[must_use]
pub fn sentence(record: &Record<'_>, users: &Users) -> String {
    let mut line = match record.kind {
        None => format!("{}: {}", who(record, users), record.word.printable()),
        Some(Kind::Exec | Kind::ExecFailed) => deed(record, users, ("ran", "run"), &program(record)),
        Some(Kind::Fork) => {
            format!("{} made process {}", process(record, users), number(record.child))
        }
        Some(Kind::Exit) => exit(record, users),
        Some(Kind::Login | Kind::Logout | Kind::AuthOk | Kind::AuthFailed) => return login(record),
        Some(
            Kind::Start
            | Kind::Stop
            | Kind::Gap
            | Kind::Config
            | Kind::Tombstone
            | Kind::HookDead
            | Kind::HookBack,
        ) => return about(record),
        Some(Kind::Credential) => system::credential(record, users),
        Some(
            kind @ (Kind::SessionId
            | Kind::Module
            | Kind::Bpf
            | Kind::Ptrace
            | Kind::Clock
            | Kind::Hostname
            | Kind::Reboot
            | Kind::Swap
            | Kind::Kexec
            | Kind::Namespace
            | Kind::Syscall),
        ) => system::system(record, kind, users),
        Some(kind) => file(record, kind, users),
    };
    for word in ["store", "setuid", "memfd", "tmpfile", "deleted", "io_uring", "unresolved", "attempt", "cut"]
    {
        if record.has_flag(word) {
            let _ = write!(line, " [{word}]");
        }
    }
    if let (Some(Kind::Exec), Some(caps)) = (record.kind, &record.caps_gained) {
        let _ = write!(line, " [gained {}]", caps.printable());
    }
    line
}

/// `alice`, or `alice as root` when the login user differs from who acts.
#[must_use]
pub fn who(record: &Record<'_>, users: &Users) -> String {
    let name = |id: u32| users.name(id).map_or_else(|| format!("uid {id}"), printed);
    match (record.loginuid, record.euid) {
        (Some(login), Some(acting)) if login != acting => format!("{} as {}", name(login), name(acting)),
        (_, Some(acting)) => name(acting),
        (_, None) => "someone".to_owned(),
    }
}

/// `bash[4242] of alice`.
fn process(record: &Record<'_>, users: &Users) -> String {
    format!("{}[{}] of {}", shown(record.comm.as_ref()), number(record.pid), who(record, users))
}

/// Who did, or tried to do, what.
fn deed(record: &Record<'_>, users: &Users, (did, to_do): (&str, &str), object: &str) -> String {
    let who = who(record, users);
    if record.is_ok() {
        return format!("{who} {did} {object}");
    }
    let result = record.result.printable();
    let word = if matches!(record.result.as_str(), "EACCES" | "EPERM") { "denied" } else { "failed" };
    format!("{who} tried to {to_do} {object} ({word}: {result})")
}

/// The program with its arguments, each quoted when a shell would need it.
fn program(record: &Record<'_>) -> String {
    let path = if record.kind == Some(Kind::Exec) { record.exe.as_ref() } else { record.file.as_ref() };
    let mut line = shown(path.or(record.file.as_ref())).into_owned();
    for argument in record.argv.iter().flatten().skip(1) {
        line.push(' ');
        line.push_str(&quoted(&argument.printable()));
        if line.chars().count() > ARGUMENTS_MAX {
            line = line.chars().take(ARGUMENTS_MAX).collect();
            line.push('…');
            break;
        }
    }
    line
}

/// An argument as a shell would need it.
#[must_use]
pub fn quoted(argument: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%\\{}".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return Cow::Borrowed(argument);
    }
    Cow::Owned(format!("'{}'", argument.replace('\'', "'\\''")))
}

fn exit(record: &Record<'_>, users: &Users) -> String {
    let process = process(record, users);
    match (&record.signal, record.code) {
        (Some(signal), _) => format!("{process} was killed by {}", signal.printable()),
        (None, Some(0)) => format!("{process} ended"),
        (None, code) => format!("{process} ended with code {}", number(code)),
    }
}

fn file(record: &Record<'_>, kind: Kind, users: &Users) -> String {
    let path = shown(record.path.as_ref());
    let path_to = shown(record.path_to.as_ref());
    let (verb, object) = match kind {
        Kind::FileCreate => (("created", "create"), path),
        Kind::FileWrite if record.has_flag("close") => {
            (("finished writing", "write"), format!("{path} ({} bytes)", number(record.bytes)).into())
        }
        Kind::FileWrite => (("wrote to", "write to"), path),
        Kind::FileTruncate if record.has_flag("open") => (("emptied", "empty"), path),
        Kind::FileTruncate => (("set the length of", "set the length of"), to(&path, &number(record.bytes))),
        Kind::FileDelete => (("deleted", "delete"), path),
        Kind::FileRename if record.has_flag("exchange") => (("exchanged", "exchange"), and(&path, &path_to)),
        Kind::FileRename => (("renamed", "rename"), to(&path, &path_to)),
        Kind::FileLink => (("linked", "link"), Cow::Owned(format!("{path} as {path_to}"))),
        Kind::FileSymlink => (("made link", "make link"), Cow::Owned(format!("{path} -> {path_to}"))),
        Kind::DirCreate => (("made directory", "make directory"), path),
        Kind::DirDelete => (("removed directory", "remove directory"), path),
        Kind::NodeCreate => (("made node", "make node"), path),
        Kind::FileMapWrite => (("mapped for writing", "map for writing"), path),
        Kind::FileDenied => (("opened", "open"), path),
        Kind::Mount if record.has_flag("remount") => (("changed mount", "change mount"), path),
        Kind::Mount => (("mounted", "mount"), mount(record, &path)),
        Kind::Unmount => (("unmounted", "unmount"), path),
        Kind::AttrMode
        | Kind::AttrOwner
        | Kind::AttrXattr
        | Kind::AttrFlags
        | Kind::AttrTime
        | Kind::Exec
        | Kind::ExecFailed
        | Kind::Fork
        | Kind::Exit
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
        | Kind::HookBack => attribute(record, kind, &path, users),
    };
    let with = record.comm.as_ref().map_or_else(String::new, |comm| format!(" with {}", comm.printable()));
    deed(record, users, verb, &format!("{object}{with}"))
}

/// Changes of attributes; any other kind is only named.
fn attribute<'a>(
    record: &'a Record<'_>,
    kind: Kind,
    path: &'a str,
    users: &Users,
) -> ((&'static str, &'static str), Cow<'a, str>) {
    match kind {
        Kind::AttrMode => {
            (("set the mode of", "set the mode of"), to(path, &shown(record.mode_set.as_ref())))
        }
        Kind::AttrOwner => {
            let name = |id: u32| users.name(id).map_or_else(|| id.to_string(), printed);
            let owner = record.owner_set.map_or_else(String::new, name);
            let group = record.group_set.map_or_else(String::new, |id| format!(":{id}"));
            (("set the owner of", "set the owner of"), to(path, &format!("{owner}{group}")))
        }
        Kind::AttrXattr => {
            let object = format!("{} of {path}", shown(record.xattr.as_ref()));
            if record.has_flag("removed") {
                return (("removed attribute", "remove attribute"), Cow::Owned(object));
            }
            (("set attribute", "set attribute"), Cow::Owned(object))
        }
        Kind::AttrFlags => (("set the flags of", "set the flags of"), to(path, &shown(record.bits.as_ref()))),
        Kind::AttrTime => (("set the times of", "set the times of"), Cow::Borrowed(path)),
        other => (("did", "do"), Cow::Owned(format!("{} {path}", other.name()))),
    }
}

fn mount<'a>(record: &Record<'_>, path: &str) -> Cow<'a, str> {
    let fstype =
        record.fstype.as_ref().map_or_else(String::new, |fstype| format!(" ({})", fstype.printable()));
    Cow::Owned(format!("{} on {path}{fstype}", shown(record.source.as_ref())))
}

fn and(path: &str, other: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{path} and {other}"))
}

fn to<'a>(path: &str, target: &str) -> Cow<'a, str> {
    Cow::Owned(format!("{path} to {target}"))
}

/// `sshd: alice logged in from 10.0.0.5 on ssh`.
fn login(record: &Record<'_>) -> String {
    let service = record.service.as_ref().or(record.comm.as_ref());
    let user = record.user.as_ref().map_or(Cow::Borrowed("someone"), Text::printable);
    let deed = match (record.kind, record.is_ok()) {
        (Some(Kind::Login), true) => "logged in",
        (Some(Kind::Login), false) => "was refused a session",
        (Some(Kind::Logout), _) => "logged out",
        (Some(Kind::AuthOk), _) => "was authenticated",
        _ => "failed to authenticate",
    };
    let mut line = format!("{}: {user} {deed}", shown(service));
    for (word, text) in [("from", &record.rhost), ("on", &record.tty)] {
        if let Some(text) = text {
            let _ = write!(line, " {word} {}", text.printable());
        }
    }
    if let (false, Some(code)) = (record.is_ok(), record.pam_result) {
        let _ = write!(line, " (PAM result {code})");
    }
    line
}

/// The recorder about itself.
fn about(record: &Record<'_>) -> String {
    let text = |key: &str| match record.value(key) {
        Some(serde_json::Value::String(text)) => Some(printed(&text)),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let span = match (text("from"), text("to")) {
        (Some(from), Some(to)) => format!(" between {from} and {to}"),
        (None, Some(to)) => format!(" before {to}"),
        _ => String::new(),
    };
    match record.kind {
        Some(Kind::Start) => "recording began".to_owned(),
        Some(Kind::Stop) => {
            let reason = text("reason").map_or_else(String::new, |reason| format!(" ({reason})"));
            format!("recording stopped{reason}")
        }
        Some(Kind::Gap) if text("cause").as_deref() == Some("not_recording") => {
            format!("nothing was recorded{span}")
        }
        Some(Kind::Gap) if text("cause").as_deref() == Some("not_run") => {
            let count = text("count").unwrap_or_else(|| "an unknown number of".to_owned());
            let why = text("why").map_or_else(String::new, |why| format!(": {why}"));
            format!("up to {count} events may be missing{span}{why}")
        }
        Some(Kind::Gap) => {
            let count = text("count").unwrap_or_else(|| "an unknown number of".to_owned());
            let class = text("class").unwrap_or_else(|| "unknown".to_owned());
            format!("{count} events of class {class} were lost{span}")
        }
        Some(Kind::Tombstone) => {
            let events = match (text("first_seq"), text("last_seq")) {
                (Some(first), Some(last)) => format!("events {first} to {last}"),
                _ => "no events".to_owned(),
            };
            let why = text("reason").map_or_else(String::new, |reason| format!(" for their {reason}"));
            format!("retention removed {events}{why}{span}")
        }
        Some(Kind::HookDead) => {
            let event = text("event").unwrap_or_else(|| "unknown".to_owned());
            let why = text("why").map_or_else(String::new, |why| format!(": {why}"));
            format!("{} is dead, events of kind {event} may be missing{why}", hook(&text))
        }
        Some(Kind::HookBack) => format!("{} fires again", hook(&text)),
        _ => "the configuration in force".to_owned(),
    }
}

/// `the hook tp_btf/sched_process_exec`.
fn hook(text: &impl Fn(&str) -> Option<String>) -> String {
    format!("the hook {}", text("hook").unwrap_or_else(|| "unknown".to_owned()))
}

fn shown<'a>(text: Option<&'a Text<'_>>) -> Cow<'a, str> {
    text.map_or(Cow::Borrowed("?"), Text::printable)
}

fn printed(text: &str) -> String {
    super::text::printable(text).into_owned()
}

fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::tests::{example, line};

    fn users() -> Users {
        Users::parse("root:x:0:0:::\nalice:x:1000:100:::\n")
    }

    fn of(json: &str) -> String {
        sentence(&Record::parse(json.as_bytes()).unwrap(), &users())
    }

    #[test]
    fn every_kind_has_a_sentence() {
        let expected = [
            "alice ran /usr/bin/bash '' 'caf\\xe9 \"x\"\\n' [gained cap_net_raw]",
            "alice tried to run /usr/bin/vim '' 'caf\\xe9 \"x\"\\n' (failed: ENOENT)",
            "bash[4242] of alice made process 4300",
            "bash[4242] of alice was killed by SIGKILL",
            "alice created /srv/data/a b with bash",
            "alice finished writing /srv/data/a b (8192 bytes) with bash",
            "alice set the length of /srv/data/a b to 4096 with bash",
            "alice deleted /srv/data/a b with bash",
            "alice renamed /srv/data/a b to /srv/data/new with bash",
            "alice linked /srv/data/a b as /srv/data/new with bash",
            "alice made link /srv/data/a b -> ../target with bash",
            "alice made directory /srv/data/a b with bash",
            "alice removed directory /srv/data/a b with bash",
            "alice made node /srv/data/a b with bash",
            "alice set the mode of /srv/data/a b to 04755 with bash",
            "alice set the owner of /srv/data/a b to root:0 with bash",
            "alice set attribute security.capability of /srv/data/a b with bash",
            "alice set the flags of /srv/data/a b to 0x10 with bash",
            "alice set the times of /srv/data/a b with bash",
            "alice mapped for writing /srv/data/a b with bash",
            "alice mounted /dev/sdb1 on /srv/data/a b (ext4) with bash",
            "alice unmounted /srv/data/a b with bash",
            "alice tried to open /srv/data/a b with bash (denied: EACCES)",
            "sshd: alice logged in from 10.0.0.5 on ssh",
            "sshd: alice logged out from 10.0.0.5 on ssh",
            "sshd: alice was authenticated from 10.0.0.5 on ssh",
            "sshd: alice failed to authenticate from 10.0.0.5 on ssh (PAM result 7)",
            "bash[4242] of alice began login session 3",
            "alice as root became alice by setresuid with bash, gaining capabilities: cap_setgid,cap_setuid",
            "alice loaded module dummy /usr/lib/modules/6.12.0/dummy.ko with bash",
            "alice called bpf PROG_LOAD kprobe spy (id 41) with bash",
            "alice used ptrace ATTACH on process 4000 with bash",
            "alice tried to set CLOCK_REALTIME to 2020-01-01T00:00:00.000000000Z with bash (denied: EPERM)",
            "alice set the host name to db1 with bash",
            "alice asked for reboot RESTART with bash [attempt]",
            "alice added swap space /swapfile with bash",
            "alice loaded another kernel /boot/vmlinuz with bash",
            "alice entered namespaces: pid with bash",
            "alice called socket AF_PACKET SOCK_RAW with bash",
            "recording began",
            "recording stopped",
            "17 events of class files were lost",
            "the hook unknown is dead, events of kind unknown may be missing",
            "the configuration in force",
            "retention removed no events",
            "the hook unknown fires again",
        ];
        let sentences: Vec<_> = Kind::ALL.iter().map(|&kind| of(&line(&example(kind)))).collect();
        assert_eq!(sentences, expected);
    }

    #[test]
    fn texts_of_the_host_can_not_steer_the_terminal() {
        let json = r#"{"seq":1,"t":"","mono":1,"kind":"file_delete","result":"ok","euid":0,"loginuid":1000,
            "comm":"\u001b[2J","path":"/a\nb\u202e","flags":["unresolved"]}"#;
        assert_eq!(of(json), r"alice as root deleted /a\nb\u{202e} with \x1b[2J [unresolved]");
    }

    #[test]
    fn kinds_of_newer_writers_are_named() {
        let json = r#"{"seq":1,"t":"","mono":1,"kind":"warp","result":"ok","euid":5,"flags":[]}"#;
        assert_eq!(of(json), "uid 5: warp");
    }
}
