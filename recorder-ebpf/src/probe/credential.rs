//! Changes of ids, groups and capabilities, with what they were before.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::sample::Creds;
use recorder_common::syscall::SPEC_FSID;
use recorder_common::text::Tag;

use super::{Call, exit_of, is_retry, pick, ran_at_entry, ran_at_exit, urgency};
use crate::maps::{CREDS, OFFSETS};
use crate::read::{kernel, typed, user_at};
use crate::task;

const EPERM: i32 = -1;
const NR_CAPSET: u64 = 126;
/// Groups of a setgroups that are kept.
const GROUPS: u64 = 64;

/// Hook: `syscalls:sys_enter_setuid` and the other calls of the daemon's table: notes the credentials, which are gone
/// at the exit.
#[tracepoint]
pub fn credential_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    let _ = CREDS.insert(bpf_get_current_pid_tgid(), own(), 0);
    0
}

/// Hook: `syscalls:sys_exit_setuid` and the other calls of the daemon's table.
#[tracepoint]
pub fn credential_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    changed(&ctx);
    0
}

/// Credentials of the current task.
#[inline(always)]
fn own() -> Creds {
    let cred: u64 = typed(task::current(), &OFFSETS.task_cred);
    Creds {
        ids: [
            typed(cred, &OFFSETS.cred_uid),
            typed(cred, &OFFSETS.cred_euid),
            typed(cred, &OFFSETS.cred_suid),
            typed(cred, &OFFSETS.cred_fsuid),
            typed(cred, &OFFSETS.cred_gid),
            typed(cred, &OFFSETS.cred_egid),
            typed(cred, &OFFSETS.cred_sgid),
            typed(cred, &OFFSETS.cred_fsgid),
        ],
        permitted: kernel(cred, &OFFSETS.cred_permitted),
        effective: kernel(cred, &OFFSETS.cred_effective),
    }
}

fn changed(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let before = unsafe { CREDS.get(thread) }.copied();
    let _ = CREDS.remove(thread);
    if is_retry(call.returned) {
        return None;
    }
    let after = own();
    let arguments = task::arguments();
    let is_groups = call.spec.text_tag == Tag::Groups as u8;
    let is_same = before == Some(after);
    let result = result_of(&call, arguments[0], is_same);
    if result == 0 && is_same && !is_groups {
        return None;
    }
    let mut sample = call.sample(call.spec.kind, result)?;
    let body = sample.body();
    body.arg[0] = pick(&arguments, call.spec.arg[0]);
    body.arg[1] = pick(&arguments, call.spec.arg[1]);
    body.arg[2] = pick(&arguments, call.spec.arg[2]);
    if call.number == NR_CAPSET {
        // Two structs of effective, permitted, inheritable: the low and the high half.
        let [low_e, low_p, _, high_e, high_p, _] = user_at::<[u32; 6]>(arguments[1]).unwrap_or([0; 6]);
        body.arg[0] = low_e as u64 | (high_e as u64) << 32;
        body.arg[1] = low_p as u64 | (high_p as u64) << 32;
    }
    // What it was before is unknown for the calls that were under way when the probes came.
    sample.plain(Tag::Creds, &[before.unwrap_or(after), after]);
    if is_groups {
        let count = if arguments[0] > GROUPS { GROUPS } else { arguments[0] };
        sample.user_bytes(Tag::Groups, arguments[1], core::hint::black_box(count * 4) & 0x1ff);
    }
    sample.send(urgency(result));
    Some(())
}

/// 0, or minus errno. setfsuid and setfsgid return the id before: refused is who asked for another and kept it.
#[inline(always)]
fn result_of(call: &Call, asked: u64, is_same: bool) -> i32 {
    if call.spec.flags & SPEC_FSID == 0 {
        return call.result();
    }
    let is_other = asked as u32 != call.returned as u32 && asked as u32 != u32::MAX;
    if is_same && is_other { EPERM } else { 0 }
}
