//! Restarts and halts, told before they happen: the call does not return.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;

use super::ran_at_entry;
use crate::maps::OFFSETS;
use crate::read::{kernel, typed};
use crate::sample::{Sample, Urgency};
use crate::task;

const NR_REBOOT: u64 = 169;
const CAP_SYS_BOOT: u64 = 22;
const MAGIC: u64 = 0xfee1_dead;
const MAGIC2: [u64; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];
/// Restart, restart with a command, halt, power off, suspend, another kernel (`include/uapi/linux/reboot.h`).
const COMMANDS: [u64; 6] = [0x0123_4567, 0xa1b2_c3d4, 0xcdef_0123, 0x4321_fedc, 0xd000_fce2, 0x4558_4543];

/// Hook: `syscalls:sys_enter_reboot(magic, magic2, command, argument)`, by who may and with what the kernel takes. A
/// failure comes as an event of its own at the exit.
#[tracepoint]
pub fn reboot_enter(ctx: TracePointContext) -> u32 {
    ran_at_entry(&ctx);
    begins(&ctx);
    0
}

fn begins(ctx: &TracePointContext) -> Option<()> {
    // SAFETY: the first three arguments, from 16 on, are inside the record.
    let [magic, magic2, command] = unsafe { ctx.as_ptr().cast::<u8>().add(16).cast::<[u64; 3]>().read() };
    let (magic, magic2, command) = (magic & 0xffff_ffff, magic2 & 0xffff_ffff, command & 0xffff_ffff);
    let cred: u64 = typed(task::current(), &OFFSETS.task_cred);
    let may = kernel::<u64>(cred, &OFFSETS.cred_effective) & (1 << CAP_SYS_BOOT) != 0;
    if !may || magic != MAGIC || !MAGIC2.contains(&magic2) || !COMMANDS.contains(&command) {
        return None;
    }
    let mut sample = Sample::begin(Class::Critical, Kind::Reboot as u16)?;
    let body = sample.body();
    body.arg[0] = command;
    body.arg[3] = NR_REBOOT;
    sample.add_flags(flag::ATTEMPT);
    sample.send(Urgency::Now);
    Some(())
}
