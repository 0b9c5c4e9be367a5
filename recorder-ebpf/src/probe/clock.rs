//! Clocks: who sets them, or changes their rate. Calls that only ask are not told.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::kind::Kind;

use super::{exit_of, is_retry, ran_at_exit, urgency};
use crate::read::user_at;
use crate::task;

const NR_ADJTIMEX: u64 = 159;
const NR_SETTIMEOFDAY: u64 = 164;
const NR_CLOCK_SETTIME: u64 = 227;
/// `ADJ_ADJTIME | ADJ_OFFSET_READONLY`: adjtime(3) that only asks.
const READ_ONLY: u64 = 0xa000;

/// Hook: `syscalls:sys_exit_clock_settime(clock, time)`, `settimeofday(time, zone)`, `adjtimex(timex)`,
/// `clock_adjtime(clock, timex)`.
#[tracepoint]
pub fn clock_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    set(&ctx);
    0
}

fn set(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    if is_retry(call.returned) {
        return None;
    }
    let [first, second, ..] = task::arguments();
    let takes_time = call.number == NR_CLOCK_SETTIME || call.number == NR_SETTIMEOFDAY;
    let has_clock = call.number != NR_ADJTIMEX && call.number != NR_SETTIMEOFDAY;
    let (clock, at) = if has_clock { (first & 0xffff_ffff, second) } else { (0, first) };
    let (mut seconds, mut low) = (0, 0);
    if takes_time {
        [seconds, low] = user_at::<[u64; 2]>(at).unwrap_or([0; 2]);
        if call.number == NR_SETTIMEOFDAY {
            low = low.wrapping_mul(1000);
        }
    } else {
        // One that could not be read is told, because it failed.
        if let Some(modes) = user_at::<u32>(at) {
            low = modes as u64;
            if low == 0 || low & READ_ONLY == READ_ONLY {
                return None;
            }
        }
    }
    let result = call.result();
    let sample = call.sample(Kind::Clock as u16, result)?;
    let body = sample.body();
    body.arg[0] = clock;
    body.arg[1] = seconds;
    body.arg[2] = low;
    sample.send(urgency(result));
    Some(())
}
