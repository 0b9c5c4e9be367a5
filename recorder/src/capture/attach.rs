//! Attaches system call, scheduler and libpam hooks one by one, as far as the running kernel has them.

use std::collections::HashMap;
use std::path::Path;

use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};
use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf};

use super::CaptureError;
use super::attached::{Attached, Link};
use super::hooks::{Hook, Place};
use super::load::chain;
use super::report::{ProbeRow, State};

/// Where distributions keep libpam.
const LIBPAM: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/libpam.so.0",
    "/lib/x86_64-linux-gnu/libpam.so.0",
    "/usr/lib64/libpam.so.0",
    "/lib64/libpam.so.0",
    "/usr/lib/libpam.so.0",
];

/// Where tracefs is mounted.
pub(super) const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// libpam of this host.
#[must_use]
pub fn libpam() -> Option<&'static Path> {
    LIBPAM.iter().map(Path::new).find(|path| path.exists())
}

/// Attaches each hook that the running kernel has; returns those that are in place.
pub(super) fn attach_hooks(
    ebpf: &mut Ebpf,
    hooks: &[Hook],
    (attached, rows): (&mut Attached, &mut Vec<ProbeRow>),
    btf: &Btf,
) -> Result<Vec<Hook>, CaptureError> {
    let libpam = libpam();
    let mut in_place = Vec::new();
    let mut loaded = HashMap::new();
    for hook in hooks {
        if !is_in_kernel(&hook.place) {
            let why = "this kernel has no such call or tracepoint".to_owned();
            rows.push(ProbeRow::new(hook, State::Absent, Some(why)));
            continue;
        }
        let outcome = match loaded.get(hook.program) {
            Some(outcome) => Result::clone(outcome),
            None => {
                let outcome = load_program(ebpf, hook, btf);
                loaded.insert(hook.program, outcome.clone());
                outcome
            }
        };
        let outcome = outcome.and_then(|()| attach(ebpf, hook, libpam));
        match outcome {
            Ok(link) => {
                attached.push(link);
                rows.push(ProbeRow::new(hook, State::Attached, None));
                in_place.push(hook.clone());
            }
            Err(why) if hook.is_essential() => return Err(essential(hook, why)),
            Err(why) => rows.push(ProbeRow::new(hook, State::Missing, Some(why))),
        }
    }
    Ok(in_place)
}

fn essential(hook: &Hook, why: String) -> CaptureError {
    if why.contains("Operation not permitted") || why.contains("Permission denied") {
        return CaptureError::Permission { what: format!("{}: {why}", hook.name()) };
    }
    CaptureError::Essential { hook: hook.name(), why }
}

fn load_program(ebpf: &mut Ebpf, hook: &Hook, btf: &Btf) -> Result<(), String> {
    let program = ebpf.program_mut(hook.program).ok_or("is not in the object")?;
    let outcome = match (program, &hook.place) {
        (Program::BtfTracePoint(program), Place::Btf(name)) => program.load(name, btf),
        (Program::TracePoint(program), Place::Tracepoint(_)) => program.load(),
        (Program::UProbe(program), Place::Pam { .. }) => program.load(),
        _ => return Err("is of another type in the object".to_owned()),
    };
    outcome.map_err(|error| {
        tracing::debug!(program = hook.program, "{error:?}");
        chain(&error)
    })
}

fn attach(ebpf: &mut Ebpf, hook: &Hook, libpam: Option<&Path>) -> Result<Link, String> {
    let program = ebpf.program_mut(hook.program).ok_or("is not in the object")?;
    let outcome: Result<Link, ProgramError> = match (program, &hook.place) {
        (Program::BtfTracePoint(program), Place::Btf(_)) => {
            program.attach().and_then(|id| program.take_link(id)).map(Link::Btf)
        }
        (Program::TracePoint(program), Place::Tracepoint(name)) => {
            program.attach("syscalls", name).and_then(|id| program.take_link(id)).map(Link::Tracepoint)
        }
        (Program::UProbe(program), Place::Pam { symbol, cookie, .. }) => {
            let path = libpam.ok_or("libpam.so.0 is not installed, so there are no PAM logins")?;
            let location = UProbeAttachLocation::Symbol(symbol);
            let point = UProbeAttachPoint { location, cookie: Some(*cookie) };
            let attached = program.attach(point, path, UProbeScope::AllProcesses);
            attached.and_then(|id| program.take_link(id)).map(Link::Uprobe)
        }
        _ => return Err("is of another type in the object".to_owned()),
    };
    outcome.map_err(|error| chain(&error))
}

/// Whether the running kernel has the place at all.
fn is_in_kernel(place: &Place) -> bool {
    let event = match place {
        Place::Btf(name) if name.starts_with("io_uring_") => Path::new("events/io_uring").join(name),
        Place::Btf(name) if name.starts_with("module_") => Path::new("events/module").join(name),
        Place::Btf(name) => Path::new("events/sched").join(name),
        Place::Tracepoint(name) => Path::new("events/syscalls").join(name),
        Place::Pam { .. } => return true,
    };
    TRACEFS.iter().any(|root| Path::new(root).join(&event).is_dir())
}
