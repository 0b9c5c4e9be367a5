//! Sentences about credentials and the kernel itself.

use std::borrow::Cow;

use super::{Kind, Record, Users, deed, number, printed, process, shown};

/// `alice became root by setresuid with su`.
pub(super) fn credential(record: &Record<'_>, users: &Users) -> String {
    let name = |id: Option<u32>| {
        id.map_or_else(|| "?".to_owned(), |id| users.name(id).map_or_else(|| format!("uid {id}"), printed))
    };
    let by = format!("by {} with {}", shown(record.call.as_ref()), shown(record.comm.as_ref()));
    if !record.is_ok() {
        return match record.euid_set.or(record.uid_set).or(record.fsuid_set) {
            Some(id) => deed(record, users, ("became", "become"), &format!("{} {by}", name(Some(id)))),
            None => deed(record, users, ("changed", "change"), &format!("its credentials {by}")),
        };
    }
    let gained = record.caps_gained.as_ref();
    let gained =
        gained.map_or_else(String::new, |caps| format!(", gaining capabilities: {}", caps.printable()));
    if record.old_euid == record.euid {
        return deed(record, users, ("changed", "change"), &format!("its credentials {by}{gained}"));
    }
    let old = match (record.loginuid, record.old_euid) {
        (Some(login), Some(old)) if login != old => format!("{} as {}", name(Some(login)), name(Some(old))),
        (_, old) => name(old),
    };
    format!("{old} became {} {by}{gained}", name(record.euid))
}

/// Everything else about the kernel itself.
pub(super) fn system(record: &Record<'_>, kind: Kind, users: &Users) -> String {
    if kind == Kind::SessionId {
        let process = process(record, users);
        let outcome = match (record.is_ok(), record.session) {
            (true, session) => format!("began login session {}", number(session)),
            (false, _) => format!("failed to set its login user ({})", record.result.printable()),
        };
        return format!("{process} {outcome}");
    }
    let (verb, object) = words(record, kind);
    deed(record, users, verb, &format!("{object} with {}", shown(record.comm.as_ref())))
}

fn words<'a>(record: &'a Record<'_>, kind: Kind) -> ((&'static str, &'static str), Cow<'a, str>) {
    let call = || shown(record.call.as_ref());
    let is_removed = record.has_flag("removed");
    match kind {
        Kind::Module if is_removed => (("removed", "remove"), about("module", record)),
        Kind::Module => (("loaded", "load"), about("module", record)),
        Kind::Kexec => (("loaded", "load"), about("another kernel", record)),
        Kind::Swap if is_removed => (("took away", "take away"), about("swap space", record)),
        Kind::Swap => (("added", "add"), about("swap space", record)),
        Kind::Hostname => {
            let what = if call() == "setdomainname" { "domain" } else { "host" };
            (("set", "set"), Cow::Owned(format!("the {what} name to {}", shown(record.name.as_ref()))))
        }
        Kind::Clock => {
            let to = match (&record.time_set, &record.bits) {
                (Some(time), _) => format!(" to {}", time.printable()),
                (None, Some(bits)) => format!(" by modes {}", bits.printable()),
                (None, None) => String::new(),
            };
            (("set", "set"), Cow::Owned(format!("{}{to}", shown(record.clock.as_ref()))))
        }
        Kind::Reboot => {
            (("asked for", "ask for"), Cow::Owned(format!("reboot {}", shown(record.command.as_ref()))))
        }
        Kind::Ptrace if call() != "ptrace" => {
            let memory = format!("the memory of process {}", number(record.target));
            (("wrote into", "write into"), Cow::Owned(memory))
        }
        Kind::Ptrace => {
            let target = record.target.map_or_else(String::new, |target| format!(" on process {target}"));
            (("used", "use"), Cow::Owned(format!("ptrace {}{target}", shown(record.command.as_ref()))))
        }
        Kind::Namespace if call() == "setns" => (("entered", "enter"), namespaces(record)),
        Kind::Namespace => (("made", "make"), namespaces(record)),
        _ => (("called", "call"), about(&call(), record)),
    }
}

/// The thing, and what is known to tell it from others.
fn about<'a>(thing: &str, record: &Record<'_>) -> Cow<'a, str> {
    let mut line = thing.to_owned();
    for text in [&record.command, &record.bpf_type, &record.name, &record.path].into_iter().flatten() {
        line.push(' ');
        line.push_str(&text.printable());
    }
    if let Some(id) = record.id {
        line.push_str(&format!(" (id {id})"));
    }
    Cow::Owned(line)
}

fn namespaces<'a>(record: &Record<'_>) -> Cow<'a, str> {
    let words = record.namespaces.iter().flatten().map(|word| word.printable()).collect::<Vec<_>>();
    Cow::Owned(format!("namespaces: {}", words.join(" ")))
}
