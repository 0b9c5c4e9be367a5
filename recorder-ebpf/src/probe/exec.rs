//! Programs that could not be started.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user_str};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::SAMPLE_MAX;
use recorder_common::sample::flag;
use recorder_common::text::{TEXT_CUT, TEXT_HEADER, TEXT_MAX, Tag};

use super::{Call, exit_of, is_retry, pick, ran_at_exit};
use crate::maps::OFFSETS;
use crate::read::{kernel, offset, user_at};
use crate::sample::{AREA_MASK, Sample, Urgency, state_of};
use crate::task;

/// Arguments that are looked at.
const ARGUMENTS: u32 = 256;
/// Longest argument that is kept, with its NUL.
const ARGUMENT: u32 = 1024;

const _: () = assert!(AREA_MASK as usize + TEXT_HEADER + TEXT_MAX + ARGUMENT as usize <= SAMPLE_MAX);

/// Hook: `syscalls:sys_exit_execve`, `syscalls:sys_exit_execveat`, when they return an error.
#[tracepoint]
pub fn exec_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
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

/// Reading of a caller's argument vector in progress; part of the state behind the sample.
#[repr(C)]
pub struct Vector {
    from: u64,
    length: u64,
    count: u64,
    flags: u64,
}

/// What a step gets: the one thing that the verifier must know is a pointer into the scratch space.
#[repr(C)]
struct Context {
    area: *mut u8,
}

/// Appends the caller's argument vector, which is still mapped because the exec failed.
#[inline(always)]
fn argv(sample: &mut Sample, from: u64) {
    if sample.text_place().is_none() {
        return;
    }
    let vector = &mut state_of(sample.area()).vector;
    *vector = Vector { from, length: 0, count: 0, flags: 0 };
    let mut context = Context { area: sample.area() };
    // SAFETY: `argument` has the signature that bpf_loop calls, and `context` outlives the loop.
    unsafe { bpf_loop(ARGUMENTS, argument as *mut _, (&raw mut context).cast(), 0) };
    sample.body().arg[0] = vector.count;
    if vector.flags != 0 {
        sample.add_flags(flag::CUT);
    }
    sample.finish_text(Tag::Argv, vector.flags as u8, vector.length);
}

unsafe extern "C" fn argument(index: u32, context: *mut Context) -> i64 {
    // SAFETY: bpf_loop hands over the context that `argv` gave it.
    let area = unsafe { (*context).area };
    let state = state_of(area);
    let vector = &mut state.vector;
    let Some(address) = user_at::<u64>(vector.from.wrapping_add(index as u64 * 8)) else { return 1 };
    if address == 0 {
        return 1;
    }
    vector.count += 1;
    if vector.length + ARGUMENT as u64 > TEXT_MAX as u64 {
        vector.flags = TEXT_CUT as u64;
        return 0;
    }
    let at = (state.position & AREA_MASK) + TEXT_HEADER as u64 + (vector.length & (TEXT_MAX as u64 - 1));
    // SAFETY: both masks together leave room for ARGUMENT bytes; the helper checks the source.
    let length =
        unsafe { bpf_probe_read_user_str(area.add(at as usize).cast(), ARGUMENT, address as *const _) };
    if length < 0 {
        return 1;
    }
    if length >= ARGUMENT as i64 {
        vector.flags = TEXT_CUT as u64;
    }
    let mut length = length as u64 & 0x7ff;
    if length == 0 {
        // An empty argument, as older kernels answer: its NUL was not written.
        // SAFETY: as above.
        unsafe { area.add(at as usize).write(0) };
        length = 1;
    }
    vector.length += length;
    0
}
