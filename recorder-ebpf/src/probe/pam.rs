//! Logins as PAM tells them: calls of programs into libpam's public functions.
//!
//! One entry and one return program serve every function; the attach cookie says which one it is.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use recorder_common::class::Class;
use recorder_common::hook;
use recorder_common::sample::{PAM_CALL, pam};
use recorder_common::text::Tag;

use super::ran;
use crate::maps::{PAM_CALLS, PamKey};
use crate::read::user_at;
use crate::sample::{Sample, Urgency};

/// Hook: `uprobe:libpam.so.0:pam_start|pam_set_item|pam_get_user|pam_authenticate|pam_acct_mgmt|pam_open_session|pam_close_session|pam_end`.
#[uprobe]
pub fn pam_enter(ctx: ProbeContext) -> u32 {
    // SAFETY: the helper reads the cookie of this attachment.
    let call = unsafe { bpf_get_attach_cookie(ctx.as_ptr().cast()) };
    ran(hook::pam(call, false));
    let arguments =
        [ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0), ctx.arg(3).unwrap_or(0)];
    entered(call, arguments);
    0
}

fn entered(call: u64, [first, second, third, fourth]: [u64; 4]) -> Option<()> {
    match call {
        pam::SET_ITEM => {
            if !matches!(second, pam::ITEM_USER | pam::ITEM_TTY | pam::ITEM_RHOST | pam::ITEM_RUSER) {
                return None;
            }
            let mut sample = Sample::begin(Class::Critical, PAM_CALL)?;
            sample.body().arg = [call, first, second, 0];
            sample.user_text(Tag::Item, third);
            sample.send(Urgency::Batch);
        }
        pam::END => {
            let sample = Sample::begin(Class::Critical, PAM_CALL)?;
            sample.body().arg = [call, first, 0, 0];
            sample.send(Urgency::Batch);
        }
        // pam_start(service, user, conversation, &handle), pam_get_user(handle, &user, prompt), others (handle, ...).
        pam::START => remember(call, [first, second, fourth]),
        _ => remember(call, [first, second, 0]),
    }
    Some(())
}

#[inline(always)]
fn remember(call: u64, arguments: [u64; 3]) {
    let key = PamKey { thread: bpf_get_current_pid_tgid(), call };
    let _ = PAM_CALLS.insert(key, arguments, 0);
}

/// Hook: `uretprobe:libpam.so.0`, the same functions but `pam_set_item` and `pam_end`.
#[uretprobe]
pub fn pam_return(ctx: RetProbeContext) -> u32 {
    // SAFETY: the helper reads the cookie of this attachment.
    let call = unsafe { bpf_get_attach_cookie(ctx.as_ptr().cast()) };
    ran(hook::pam(call, true));
    returned(call, ctx.ret::<u64>() as i32);
    0
}

fn returned(call: u64, result: i32) -> Option<()> {
    let key = PamKey { thread: bpf_get_current_pid_tgid(), call };
    // SAFETY: the value is copied out at once.
    let [first, second, third] = *unsafe { PAM_CALLS.get(key) }?;
    let _ = PAM_CALLS.remove(key);
    if result != 0 && matches!(call, pam::START | pam::GET_USER) {
        return None;
    }
    let mut sample = Sample::begin(Class::Critical, PAM_CALL)?;
    // PAM's own code, not an errno: positive.
    sample.header().result = result;
    let handle = if call == pam::START { user_at::<u64>(third).unwrap_or(0) } else { first };
    sample.body().arg = [call, handle, 0, 0];
    if call == pam::START {
        sample.user_text(Tag::Service, first);
        if second != 0 {
            sample.user_text(Tag::User, second);
        }
    }
    if call == pam::GET_USER {
        sample.user_text(Tag::User, user_at::<u64>(second).unwrap_or(0));
    }
    sample.send(Urgency::Now);
    Some(())
}
