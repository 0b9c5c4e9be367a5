//! Processes that take hold of others, or write into their memory or registers.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;

use super::{exit_of, is_retry, ran_at_exit};
use crate::sample::{Sample, Urgency};
use crate::task;

const NR_PTRACE: u64 = 101;

// Requests (include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h).
const TRACEME: u64 = 0;
const POKETEXT: u64 = 4;
const POKEDATA: u64 = 5;
const POKEUSR: u64 = 6;
const SETREGS: u64 = 13;
const SETFPREGS: u64 = 15;
const ATTACH: u64 = 16;
const SETFPXREGS: u64 = 19;
const SETREGSET: u64 = 0x4205;
const SEIZE: u64 = 0x4206;

/// Hook: `syscalls:sys_exit_ptrace(request, pid, address, data)`, `syscalls:sys_exit_process_vm_writev(pid, ...)`.
#[tracepoint]
pub fn ptrace_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    traced(&ctx);
    0
}

fn traced(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    if is_retry(call.returned) {
        return None;
    }
    let [first, second, ..] = task::arguments();
    let is_hold = call.number == NR_PTRACE && matches!(first, TRACEME | ATTACH | SEIZE);
    let is_poke =
        matches!(first, POKETEXT | POKEDATA | POKEUSR | SETREGS | SETFPREGS | SETFPXREGS | SETREGSET);
    if call.number == NR_PTRACE && !is_hold && !is_poke {
        return None;
    }
    let result = call.result();
    // A debugger pokes word by word.
    let class = if is_hold && result == 0 { Class::Critical } else { Class::Files };
    let sample = Sample::begin(class, Kind::Ptrace as u16)?;
    sample.header().result = result;
    let body = sample.body();
    body.arg[3] = call.number;
    if call.number == NR_PTRACE {
        body.arg[0] = first;
        body.arg[1] = second & 0xffff_ffff;
    } else {
        body.arg[1] = first & 0xffff_ffff;
        body.arg[2] = if result == 0 { call.returned as u64 } else { 0 };
    }
    sample.send(if is_hold { Urgency::Soon } else { Urgency::Batch });
    Some(())
}
