//! What changes of credentials and of the kernel itself add to a line.

use super::{Clock, number, push_json, push_number, push_radix, text};
use crate::event::{Credential, System, names};

pub(super) fn push_credential(out: &mut Vec<u8>, credential: &Credential<'_>) {
    text(out, b",\"call\":", Some(credential.call.as_bytes()));
    let [uid, euid, gid, egid] = credential.old;
    let ids: [(&[u8], u32); 8] = [
        (b",\"old_uid\":", uid),
        (b",\"old_euid\":", euid),
        (b",\"old_gid\":", gid),
        (b",\"old_egid\":", egid),
        (b",\"suid\":", credential.suid),
        (b",\"sgid\":", credential.sgid),
        (b",\"fsuid\":", credential.fsuid),
        (b",\"fsgid\":", credential.fsgid),
    ];
    for (name, id) in ids {
        number(out, name, id.into());
    }
    for (key, id) in credential.ids_set.iter().flatten() {
        out.push(b',');
        push_json(out, key.as_bytes());
        number(out, b":", (*id).into());
    }
    if let Some(groups) = credential.groups_set {
        out.extend_from_slice(b",\"groups_set\":[");
        for (index, group) in groups.chunks_exact(4).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_number(out, group.try_into().map_or(0, u32::from_ne_bytes).into());
        }
        out.push(b']');
    }
    if let Some(caps) = credential.caps_set {
        text(out, b",\"caps_set\":", Some(names::capabilities(caps).as_bytes()));
    }
    let changes: [(&[u8], u64); 2] =
        [(b",\"caps_gained\":", credential.caps_gained), (b",\"caps_lost\":", credential.caps_lost)];
    for (name, caps) in changes.into_iter().filter(|(_, caps)| *caps != 0) {
        text(out, name, Some(names::capabilities(caps).as_bytes()));
    }
}

pub(super) fn push_system(out: &mut Vec<u8>, system: &System<'_>) {
    text(out, b",\"call\":", Some(system.call.as_bytes()));
    text(out, b",\"command\":", system.command.as_deref().map(str::as_bytes));
    text(out, b",\"bpf_type\":", system.bpf_type.as_deref().map(str::as_bytes));
    optional(out, b",\"id\":", system.id);
    text(out, b",\"name\":", system.name);
    text(out, b",\"path\":", system.path.as_deref());
    text(out, b",\"params\":", system.params);
    optional(out, b",\"target\":", system.target.map(u64::from));
    optional(out, b",\"bytes\":", system.bytes);
    if let Some(bits) = system.bits {
        out.extend_from_slice(b",\"bits\":\"0x");
        push_radix(out, bits, 4);
        out.push(b'"');
    }
    text(out, b",\"clock\":", system.clock.as_deref().map(str::as_bytes));
    if let Some(time) = system.time_set {
        text(out, b",\"time_set\":", Some(Clock::default().text(time)));
    }
    if let Some(bits) = system.namespaces {
        out.extend_from_slice(b",\"namespaces\":[");
        let set = names::NAMESPACES.iter().filter(|(bit, _)| bits & bit != 0);
        for (index, (_, word)) in set.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_json(out, word.as_bytes());
        }
        out.push(b']');
    }
    optional(out, b",\"ns\":", system.ns);
    optional(out, b",\"utsns\":", system.utsns);
}

fn optional(out: &mut Vec<u8>, name: &[u8], value: Option<u64>) {
    if let Some(value) = value {
        number(out, name, value);
    }
}
