//! Programs that could not be started.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user_str};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::flag;
use recorder_common::text::{TEXT_CUT, TEXT_MAX, Tag};

use super::{Call, exit_of, is_retry, pick};
use crate::maps::OFFSETS;
use crate::read::{kernel, offset, user_at};
use crate::sample::{Sample, Urgency};
use crate::task;

/// Arguments that are looked at.
const ARGUMENTS: u32 = 256;
/// Longest argument that is kept, with its NUL.
const ARGUMENT: u32 = 1024;

/// Hook: `syscalls:sys_exit_execve`, `syscalls:sys_exit_execveat`, when they return an error.
#[tracepoint]
pub fn exec_exit(ctx: TracePointContext) -> u32 {
    exit_of(&ctx).and_then(|call| failed(&call));
    0
}

/// Reports an exec that returned an error.
#[inline(always)]
pub fn failed(call: &Call) -> Option<()> {
    if call.returned >= 0 || is_retry(call.returned) {
        return None;
    }
    let arguments = task::arguments();
    let mut sample = Sample::begin(Class::Critical, Kind::ExecFailed as u16)?;
    sample.header().result = call.returned as i32;
    let fs: u64 = kernel(task::current(), &OFFSETS.task_fs);
    sample.walked(Tag::Cwd, fs.wrapping_add(offset(&OFFSETS.fs_pwd)));
    sample.user_text(Tag::Given, pick(&arguments, call.spec.name));
    argv(&mut sample, pick(&arguments, call.spec.text));
    sample.send(Urgency::Soon);
    Some(())
}

/// Reading of a caller's argument vector in progress.
#[repr(C)]
struct Vector {
    to: *mut u8,
    from: u64,
    length: u64,
    count: u64,
    flags: u8,
}

/// Appends the caller's argument vector, which is still mapped because the exec failed.
#[inline(always)]
fn argv(sample: &mut Sample, from: u64) {
    let Some(to) = sample.text_place() else { return };
    let mut vector = Vector { to, from, length: 0, count: 0, flags: 0 };
    // SAFETY: `argument` has the signature that bpf_loop calls, and `vector` outlives the loop.
    unsafe { bpf_loop(ARGUMENTS, argument as *mut _, (&raw mut vector).cast(), 0) };
    sample.body().arg[0] = vector.count;
    if vector.flags != 0 {
        sample.add_flags(flag::CUT);
    }
    sample.finish_text(Tag::Argv, vector.flags, vector.length);
}

unsafe extern "C" fn argument(index: u32, vector: *mut Vector) -> i64 {
    // SAFETY: bpf_loop hands over the context that `argv` gave it.
    let vector = unsafe { &mut *vector };
    let Some(address) = user_at::<u64>(vector.from.wrapping_add(index as u64 * 8)) else { return 1 };
    if address == 0 {
        return 1;
    }
    vector.count += 1;
    if vector.length + ARGUMENT as u64 > TEXT_MAX as u64 {
        vector.flags = TEXT_CUT;
        return 0;
    }
    let at = vector.length & (TEXT_MAX as u64 - 1);
    // SAFETY: the check above leaves room for ARGUMENT bytes; the helper checks the source.
    let length =
        unsafe { bpf_probe_read_user_str(vector.to.add(at as usize).cast(), ARGUMENT, address as *const _) };
    if length <= 0 {
        return 1;
    }
    if length >= ARGUMENT as i64 {
        vector.flags = TEXT_CUT;
    }
    vector.length += length as u64 & 0x7ff;
    0
}
