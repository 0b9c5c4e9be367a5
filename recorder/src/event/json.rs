//! The one written form of an event: a line of JSON with a fixed key order. Appends bytes by hand, because it runs for
//! every event of the host.

mod system;

use std::borrow::Cow;

use recorder_common::sample::flag;

use super::clock::Clock;
use super::text::push_json;
use super::{
    Body, Event, Exec, Exit, File, Fork, Inode, Login, Redaction, Task, Value, errno, names, signal,
};

/// What a line says beyond its event.
#[derive(Clone, Copy, Debug)]
pub struct LineContext<'a> {
    /// Position in the host's log.
    pub seq: u64,
    /// `CLOCK_REALTIME`, ns.
    pub wall_ns: i64,
    /// Boot id, hexadecimal; its first 8 characters begin every process key.
    pub boot: &'a str,
}

/// Writes lines; remembers the second it last wrote, because events come many to a second.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    clock: Clock,
}

impl Writer {
    /// Appends the event's line, with its line end.
    pub fn append(&mut self, out: &mut Vec<u8>, context: &LineContext<'_>, event: &Event<'_>) {
        out.reserve(768);
        out.extend_from_slice(b"{\"seq\":");
        push_number(out, context.seq);
        out.extend_from_slice(b",\"t\":\"");
        out.extend_from_slice(self.clock.text(context.wall_ns));
        out.extend_from_slice(b"\",\"mono\":");
        push_number(out, event.mono);
        out.extend_from_slice(b",\"kind\":\"");
        out.extend_from_slice(event.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"result\":\"");
        match errno::name(event.errno) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.push(b'E');
                push_number(out, u64::from(event.errno.unsigned_abs()));
            }
        }
        out.push(b'"');
        let boot = context.boot.as_bytes();
        let boot = boot.get(..8).unwrap_or(boot);
        if let Some(task) = &event.task {
            push_task(out, task, boot);
        }
        match &event.body {
            Body::Exec(exec) => push_exec(out, exec),
            Body::Fork(fork) => push_fork(out, *fork, boot),
            Body::Exit(exit) => push_exit(out, *exit),
            Body::File(file) => push_file(out, file),
            Body::Login(login) => push_login(out, login),
            Body::Credential(credential) => system::push_credential(out, credential),
            Body::System(body) => system::push_system(out, body),
            Body::Recorder(pairs) => push_pairs(out, pairs),
        }
        push_flags(out, event.flags);
        out.extend_from_slice(b"}\n");
    }
}

fn push_task(out: &mut Vec<u8>, task: &Task<'_>, boot: &[u8]) {
    number(out, b",\"pid\":", task.pid.into());
    number(out, b",\"tid\":", task.tid.into());
    number(out, b",\"ppid\":", task.ppid.into());
    key(out, b",\"key\":\"", boot, (task.pid, task.start));
    key(out, b",\"pkey\":\"", boot, (task.ppid, task.parent_start));
    out.extend_from_slice(b",\"comm\":");
    push_json(out, task.comm);
    text_or_null(out, b",\"exe\":", task.exe.as_deref());
    number(out, b",\"uid\":", task.uid.into());
    number(out, b",\"euid\":", task.euid.into());
    number(out, b",\"gid\":", task.gid.into());
    number(out, b",\"egid\":", task.egid.into());
    number_or_null(out, b",\"loginuid\":", task.loginuid);
    number_or_null(out, b",\"session\":", task.session);
    text_or_null(out, b",\"cgroup\":", task.cgroup.as_deref());
    text_or_null(out, b",\"container\":", task.container.as_deref().map(str::as_bytes));
    number(out, b",\"mntns\":", task.mntns.into());
    number(out, b",\"pidns\":", task.pidns.into());
    if task.root_id != 0 {
        text_or_null(out, b",\"root\":", task.root.as_deref());
    }
}

fn push_exec(out: &mut Vec<u8>, exec: &Exec<'_>) {
    out.extend_from_slice(b",\"argv\":[");
    push_texts(out, &exec.argv);
    number(out, b"],\"argc\":", exec.argc);
    if !exec.env.is_empty() {
        out.extend_from_slice(b",\"env\":[");
        push_texts(out, &exec.env);
        out.push(b']');
    }
    push_redacted(out, &exec.redacted);
    text_or_null(out, b",\"cwd\":", exec.cwd.as_deref());
    text_or_null(out, b",\"file\":", Some(exec.file));
    text_or_null(out, b",\"interp\":", exec.interp);
    if let Some(inode) = exec.inode {
        push_identity(out, inode);
    }
    if exec.caps_gained != 0 {
        text(out, b",\"caps_gained\":", Some(names::capabilities(exec.caps_gained).as_bytes()));
    }
}

fn push_texts(out: &mut Vec<u8>, texts: &[Cow<'_, [u8]>]) {
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json(out, text);
    }
}

fn push_redacted(out: &mut Vec<u8>, redacted: &[Redaction]) {
    for (index, redaction) in redacted.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"redacted\":[{" } else { b",{" });
        let place: &[u8] = if redaction.is_env { b"\"env\":" } else { b"\"argument\":" };
        out.extend_from_slice(place);
        push_number(out, redaction.argument.into());
        number(out, b",\"at\":", redaction.at.into());
        text(out, b",\"rule\":", Some(redaction.rule.as_bytes()));
        if redaction.is_cut {
            out.extend_from_slice(b",\"cut\":true");
        }
        out.extend_from_slice(b",\"salt_key\":\"");
        push_hex(out, &redaction.key);
        out.extend_from_slice(b"\",\"commitment\":\"");
        push_hex(out, &redaction.commitment);
        out.extend_from_slice(b"\"}");
    }
    if !redacted.is_empty() {
        out.push(b']');
    }
}

fn push_fork(out: &mut Vec<u8>, fork: Fork, boot: &[u8]) {
    number(out, b",\"child\":", fork.child_pid.into());
    number(out, b",\"child_tid\":", fork.child_tid.into());
    key(out, b",\"child_key\":\"", boot, (fork.child_pid, fork.child_start));
}

fn push_exit(out: &mut Vec<u8>, exit: Exit) {
    number(out, b",\"code\":", exit.code.into());
    let name = signal::name(exit.signal);
    text_or_null(out, b",\"signal\":", name.as_deref().map(str::as_bytes));
}

fn push_file(out: &mut Vec<u8>, file: &File<'_>) {
    text(out, b",\"path\":", file.path.as_deref());
    text(out, b",\"path_to\":", file.path_to.as_deref());
    if let Some(inode) = file.inode {
        push_identity(out, inode);
        number(out, b",\"owner\":", inode.owner.into());
        number(out, b",\"group\":", inode.group.into());
    }
    if let Some(mode) = file.mode_set {
        octal(out, b",\"mode_set\":\"", mode);
    }
    let numbers: [(&[u8], Option<u64>); 4] = [
        (b",\"owner_set\":", file.owner_set.map(u64::from)),
        (b",\"group_set\":", file.group_set.map(u64::from)),
        (b",\"bytes\":", file.bytes),
        (b",\"calls\":", file.calls),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            number(out, name, value);
        }
    }
    text(out, b",\"xattr\":", file.xattr);
    if let Some(bits) = file.bits {
        out.extend_from_slice(b",\"bits\":\"0x");
        push_radix(out, bits, 4);
        out.push(b'"');
    }
    text(out, b",\"source\":", file.source);
    text(out, b",\"fstype\":", file.fstype);
}

fn push_identity(out: &mut Vec<u8>, inode: Inode) {
    out.extend_from_slice(b",\"dev\":\"");
    push_number(out, u64::from(inode.dev >> 20));
    out.push(b':');
    push_number(out, u64::from(inode.dev & 0xf_ffff));
    number(out, b"\",\"ino\":", inode.ino);
    octal(out, b",\"mode\":\"", inode.mode);
}

fn push_login(out: &mut Vec<u8>, login: &Login<'_>) {
    text_or_null(out, b",\"user\":", login.user.as_deref());
    text_or_null(out, b",\"service\":", login.service.as_deref());
    text_or_null(out, b",\"rhost\":", login.rhost.as_deref());
    text_or_null(out, b",\"tty\":", login.tty.as_deref());
    text_or_null(out, b",\"from\":", Some(login.from.as_bytes()));
    out.extend_from_slice(b",\"pam_result\":");
    if login.pam_result < 0 {
        out.push(b'-');
    }
    push_number(out, login.pam_result.unsigned_abs().into());
}

fn push_pairs(out: &mut Vec<u8>, pairs: &[(&'static str, Value)]) {
    for (name, value) in pairs {
        out.push(b',');
        push_json(out, name.as_bytes());
        out.push(b':');
        match value {
            Value::Number(number) => push_number(out, *number),
            Value::Text(text) => push_json(out, text.as_bytes()),
            Value::List(list) => {
                out.push(b'[');
                for (index, text) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    push_json(out, text.as_bytes());
                }
                out.push(b']');
            }
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Null => out.extend_from_slice(b"null"),
        }
    }
}

fn push_flags(out: &mut Vec<u8>, flags: u64) {
    out.extend_from_slice(b",\"flags\":[");
    if flags != 0 {
        let mut separator: &[u8] = b"\"";
        for (_, word) in flag::WORDS.iter().filter(|(bit, _)| flags & bit != 0) {
            out.extend_from_slice(separator);
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
            separator = b",\"";
        }
    }
    out.push(b']');
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    push_number(out, value);
}

fn number_or_null(out: &mut Vec<u8>, name: &[u8], value: Option<u32>) {
    out.extend_from_slice(name);
    match value {
        Some(value) => push_number(out, value.into()),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        push_json(out, value);
    }
}

fn text_or_null(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    out.extend_from_slice(name);
    match value {
        Some(value) => push_json(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// A process key: boot, process id, start.
fn key(out: &mut Vec<u8>, name: &[u8], boot: &[u8], (pid, start): (u32, u64)) {
    out.extend_from_slice(name);
    out.extend_from_slice(boot);
    out.push(b'-');
    push_number(out, pid.into());
    out.push(b'-');
    push_number(out, start);
    out.push(b'"');
}

fn octal(out: &mut Vec<u8>, name: &[u8], mode: u32) {
    out.extend_from_slice(name);
    out.push(b'0');
    push_radix(out, mode.into(), 3);
    out.push(b'"');
}

/// Digits of a number in base 2^`bits`.
fn push_radix(out: &mut Vec<u8>, value: u64, bits: u32) {
    let digits = (u64::BITS - value.leading_zeros()).div_ceil(bits).max(1);
    for place in (0..digits).rev() {
        let digit = (value >> (place * bits)) & ((1 << bits) - 1);
        out.push(b"0123456789abcdef".get(digit as usize).copied().unwrap_or(b'0'));
    }
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
    }
}

/// Decimal digits of a number.
fn push_number(out: &mut Vec<u8>, mut value: u64) {
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        return out.push(b'0' + digit);
    }
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

#[cfg(test)]
pub(crate) mod tests;
