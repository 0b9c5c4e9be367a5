//! Calls that change the kernel or a task's standing in it, with a few plain arguments: modules, swap, host name, other
//! kernels, and rare calls that an auditor asks for.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{btf_tracepoint, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, TracePointContext};
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::syscall::{NONE, SPEC_COUNTED, SPEC_DEREF, SPEC_REMOVE};
use recorder_common::text::Tag;

use super::named::{Name, name_below};
use super::{Call, exit_of, is_retry, pick, ran_at_exit, urgency};
use crate::maps::{MODULE_NAME, MODULES, OFFSETS};
use crate::read::{kernel, kernel_at, offset, user_at};
use crate::sample::Sample;
use crate::{files, task};

const NR_SOCKET: u64 = 41;
const NR_PERSONALITY: u64 = 135;
const NR_CHROOT: u64 = 161;
const NR_IO_URING_SETUP: u64 = 425;
/// Where `struct io_uring_params` has its flags.
const URING_FLAGS: u64 = 8;
/// Longest name of a host (`__NEW_UTS_LEN`).
const HOST_NAME: u64 = 64;

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_PACKET: u64 = 17;
const AF_XDP: u64 = 44;
const SOCK_RAW: u64 = 3;

/// Hook: `syscalls:sys_exit_*` of the calls in the daemon's table that have this program.
#[tracepoint]
pub fn system_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    changed(&ctx);
    0
}

fn changed(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    let arguments = task::arguments();
    if is_retry(call.returned) || !is_told(&call, &arguments) {
        return None;
    }
    let result = call.result();
    let mut sample = call.sample(call.spec.kind, result)?;
    values(&mut sample, &call, &arguments);
    let name = pick(&arguments, call.spec.name);
    if call.number == NR_CHROOT && result == 0 {
        // The name led there from the root before.
        let fs: u64 = kernel(task::current(), &OFFSETS.task_fs);
        sample.walked(Tag::Object, fs.wrapping_add(offset(&OFFSETS.fs_root)));
    } else if call.spec.name != NONE && name != 0 {
        name_below(&mut sample, (NONE, 0), Name::of_caller(name), (Tag::Base, Tag::Name));
    } else if call.spec.fd != NONE {
        let file = task::file_of(task::current(), pick(&arguments, call.spec.fd) as u32);
        if file != 0 {
            files::identify(files::inode_of(file), sample.body());
            files::flag_memfd(file, &mut sample);
            sample.walked(Tag::Object, files::path_of(file));
        }
    }
    text(&mut sample, &call, &arguments);
    if call.spec.kind == Kind::Module as u16 {
        module(&mut sample);
    }
    sample.send(urgency(result));
    Some(())
}

/// Leaves out calls that only ask, and sockets that no auditor asks for.
#[inline(always)]
fn is_told(call: &Call, arguments: &[u64; 6]) -> bool {
    let low = arguments[0] & 0xffff_ffff;
    match call.number {
        NR_PERSONALITY => low != 0xffff_ffff && (call.returned < 0 || low != call.returned as u64),
        NR_SOCKET => {
            let is_raw = arguments[1] & 0xf == SOCK_RAW && (low == AF_INET || low == AF_INET6);
            is_raw || low == AF_PACKET || low == AF_XDP
        }
        _ => true,
    }
}

#[inline(always)]
fn values(sample: &mut Sample, call: &Call, arguments: &[u64; 6]) {
    let body = sample.body();
    body.arg[0] = pick(arguments, call.spec.arg[0]);
    body.arg[1] = pick(arguments, call.spec.arg[1]);
    body.arg[2] = pick(arguments, call.spec.arg[2]);
    if call.spec.flags & SPEC_DEREF != 0 {
        let inside = if call.number == NR_IO_URING_SETUP { URING_FLAGS } else { 0 };
        body.arg[0] = user_at::<u32>(body.arg[0].wrapping_add(inside)).unwrap_or(0) as u64;
    }
    if call.spec.kind == Kind::Hostname as u16 {
        let nsproxy: u64 = kernel(task::current(), &OFFSETS.task_nsproxy);
        let uts: u64 = kernel(nsproxy, &OFFSETS.nsproxy_uts_ns);
        let common = uts.wrapping_add(offset(&OFFSETS.uts_namespace_ns));
        body.arg[0] = kernel::<u32>(common, &OFFSETS.ns_common_inum) as u64;
    }
    if call.spec.flags & SPEC_REMOVE != 0 {
        sample.add_flags(flag::REMOVED);
    }
}

#[inline(always)]
fn text(sample: &mut Sample, call: &Call, arguments: &[u64; 6]) {
    let at = pick(arguments, call.spec.text);
    if call.spec.text == NONE || at == 0 {
        return;
    }
    if call.spec.flags & SPEC_COUNTED != 0 {
        let length = arguments[1] & 0xffff_ffff;
        let length = if length > HOST_NAME { HOST_NAME } else { length };
        sample.user_bytes(Tag::Label, at, core::hint::black_box(length) & 0x7f);
    } else if call.spec.text_tag == Tag::Params as u8 {
        sample.user_text(Tag::Params, at);
    } else {
        sample.user_text(Tag::Label, at);
    }
}

/// Hook: `tp_btf/module_load(module)`: only here the name of a module that comes as a bare image is at hand.
#[btf_tracepoint(function = "module_load")]
pub fn module_load(ctx: BtfTracePointContext) -> i32 {
    let module: u64 = ctx.arg(0);
    let name: [u64; MODULE_NAME] = kernel_at(module.wrapping_add(offset(&OFFSETS.module_name)));
    let _ = MODULES.insert(bpf_get_current_pid_tgid(), name, 0);
    0
}

/// Appends the name of the module that this thread has just loaded.
#[inline(always)]
fn module(sample: &mut Sample) {
    let thread = bpf_get_current_pid_tgid();
    if let Some(name) = MODULES.get_ptr(thread) {
        // SAFETY: a map value, read as plain bytes.
        sample.plain(Tag::Label, unsafe { &*name });
        let _ = MODULES.remove(thread);
    }
}
