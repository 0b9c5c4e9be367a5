//! bpf(2): who makes and handles programs, maps and links. Elements of maps are not told.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use recorder_common::kind::Kind;
use recorder_common::syscall::NONE;
use recorder_common::text::Tag;

use super::named::{Name, name_below};
use super::{exit_of, is_retry, ran_at_exit};
use crate::maps::OFFSETS;
use crate::read::{kernel, kernel_at, offset, user_at};
use crate::sample::{Sample, Urgency};
use crate::task;

// Commands (`enum bpf_cmd` in include/uapi/linux/bpf.h).
const MAP_CREATE: u64 = 0;
const PROG_LOAD: u64 = 5;
const OBJ_PIN: u64 = 6;
const OBJ_GET: u64 = 7;
const PROG_ATTACH: u64 = 8;
const PROG_DETACH: u64 = 9;
const PROG_BY_ID: u64 = 13;
const MAP_BY_ID: u64 = 14;
const RAW_TRACEPOINT: u64 = 17;
const MAP_FREEZE: u64 = 22;
const LINK_CREATE: u64 = 28;
const LINK_UPDATE: u64 = 29;
const LINK_BY_ID: u64 = 30;
const ENABLE_STATS: u64 = 32;
const ITER_CREATE: u64 = 33;
const LINK_DETACH: u64 = 34;
const BIND_MAP: u64 = 35;
const TOKEN_CREATE: u64 = 36;

/// Where `union bpf_attr` has the name of a new program, and of a new map.
const PROG_NAME: u64 = 48;
const MAP_NAME: u64 = 28;

/// Hook: `syscalls:sys_exit_bpf(command, attributes, size)`.
#[tracepoint]
pub fn bpf_exit(ctx: TracePointContext) -> u32 {
    ran_at_exit(&ctx);
    handled(&ctx);
    0
}

fn handled(ctx: &TracePointContext) -> Option<()> {
    let call = exit_of(ctx)?;
    let [command, attributes, ..] = task::arguments();
    let command = command & 0xffff_ffff;
    if !is_told(command) || is_retry(call.returned) {
        return None;
    }
    let result = call.result();
    let mut sample = call.sample(Kind::Bpf as u16, result)?;
    sample.body().arg[0] = command;
    if result == 0 {
        object(&mut sample, command, call.returned as u32, attributes);
    } else {
        asked(&mut sample, command, attributes);
    }
    if command == OBJ_PIN || command == OBJ_GET {
        let name: u64 = user_at(attributes).unwrap_or(0);
        name_below(&mut sample, (NONE, 0), Name::of_caller(name), (Tag::Base, Tag::Name));
    }
    sample.send(Urgency::Soon);
    Some(())
}

#[inline(always)]
fn is_told(command: u64) -> bool {
    let is_object = matches!(command, MAP_CREATE | PROG_LOAD | OBJ_PIN | OBJ_GET | MAP_FREEZE | TOKEN_CREATE);
    let is_attached = matches!(command, PROG_ATTACH | PROG_DETACH | RAW_TRACEPOINT | ITER_CREATE | BIND_MAP);
    let is_link = matches!(command, LINK_CREATE | LINK_UPDATE | LINK_DETACH | ENABLE_STATS);
    is_object || is_attached || is_link || matches!(command, PROG_BY_ID | MAP_BY_ID | LINK_BY_ID)
}

/// The object of a call that succeeded, so that its descriptor is of the type that the command wants.
#[inline(always)]
fn object(sample: &mut Sample, command: u64, returned: u32, attributes: u64) {
    let at = |position: u64| user_at::<u32>(attributes.wrapping_add(position)).unwrap_or(u32::MAX);
    match command {
        PROG_LOAD | PROG_BY_ID => program(sample, returned),
        MAP_CREATE | MAP_BY_ID => map(sample, returned),
        MAP_FREEZE => map(sample, at(0)),
        PROG_ATTACH | PROG_DETACH | LINK_UPDATE => program(sample, at(4)),
        LINK_CREATE | BIND_MAP => program(sample, at(0)),
        RAW_TRACEPOINT => program(sample, at(8)),
        LINK_BY_ID => link(sample, returned),
        LINK_DETACH | ITER_CREATE => link(sample, at(0)),
        _ => {}
    }
}

/// What a call that failed asked for.
#[inline(always)]
fn asked(sample: &mut Sample, command: u64, attributes: u64) {
    let first = user_at::<u32>(attributes).unwrap_or(0) as u64;
    if command == PROG_LOAD || command == MAP_CREATE {
        sample.body().arg[1] = first;
        let name = if command == PROG_LOAD { PROG_NAME } else { MAP_NAME };
        // 16 bytes with a NUL; a caller without one is refused for that.
        sample.user_bytes(Tag::Label, attributes.wrapping_add(name), 16);
    } else if matches!(command, PROG_BY_ID | MAP_BY_ID | LINK_BY_ID) {
        sample.body().arg[2] = first;
    }
}

/// What an open file of bpf stands for.
#[inline(always)]
fn behind(descriptor: u32) -> u64 {
    kernel(task::file_of(task::current(), descriptor), &OFFSETS.file_private)
}

#[inline(always)]
fn program(sample: &mut Sample, descriptor: u32) {
    told_program(sample, behind(descriptor));
}

#[inline(always)]
fn told_program(sample: &mut Sample, program: u64) {
    let aux: u64 = kernel(program, &OFFSETS.prog_aux);
    let body = sample.body();
    body.arg[1] = kernel::<u32>(program, &OFFSETS.prog_type) as u64;
    body.arg[2] = kernel::<u32>(aux, &OFFSETS.aux_id) as u64;
    label(sample, aux.wrapping_add(offset(&OFFSETS.aux_name)));
}

#[inline(always)]
fn map(sample: &mut Sample, descriptor: u32) {
    let map = behind(descriptor);
    let body = sample.body();
    body.arg[1] = kernel::<u32>(map, &OFFSETS.map_type) as u64;
    body.arg[2] = kernel::<u32>(map, &OFFSETS.map_id) as u64;
    label(sample, map.wrapping_add(offset(&OFFSETS.map_name)));
}

/// A link is known by its own id, and by the type and name of its program.
#[inline(always)]
fn link(sample: &mut Sample, descriptor: u32) {
    let link = behind(descriptor);
    told_program(sample, kernel(link, &OFFSETS.link_prog));
    sample.body().arg[2] = kernel::<u32>(link, &OFFSETS.link_id) as u64;
}

#[inline(always)]
fn label(sample: &mut Sample, name: u64) {
    sample.plain(Tag::Label, &kernel_at::<[u8; 16]>(name));
}
