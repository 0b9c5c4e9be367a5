//! Loads the object, attaches each hook, and remembers what could not be attached and why.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};
use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::{Counters, Settings};

use super::attached::{Attached, Link};
use super::canary::{self, Canary, Library, Stage, Watched};
use super::cost::{self, ProgramCost};
use super::freeze::freeze;
use super::hooks::{Hook, Place, hooks};
use super::library::Programs;
use super::misses::Misses;
use super::price::{self, ProgramPrice};
use super::report::{ProbeRow, State};
use super::{CaptureError, needs, object_family, offsets, syscalls};
use crate::config::Family;

/// The probes, compiled by the build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/recorder-ebpf"));

/// Where distributions keep libpam.
const LIBPAM: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/libpam.so.0",
    "/lib/x86_64-linux-gnu/libpam.so.0",
    "/usr/lib64/libpam.so.0",
    "/lib64/libpam.so.0",
    "/usr/lib/libpam.so.0",
];

/// Where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Ring sizes in bytes, powers of two and multiples of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// exec, fork, exit, logins, mounts.
    pub critical: u32,
    /// File changes.
    pub files: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { critical: 4 << 20, files: 16 << 20 }
    }
}

/// Which hooks are tried.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Families that may be used.
    pub family: Family,
    /// Hooks, as people write them, that the kernel shall be thought to lack: what becomes of their kinds is seen without
    /// such a kernel.
    pub without: fn(&str) -> bool,
    /// Each exec brings along the environment that the program was given; choosing from it is left to whoever asked.
    pub environment: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self { family: Family::Auto, without: |_| false, environment: false }
    }
}

/// Attached probes. Dropping it detaches them all.
pub struct Capture {
    /// First, because what is dropped first is detached in parallel.
    _attached: Attached,
    ebpf: Ebpf,
    rows: Vec<ProbeRow>,
    /// What is attached, and what makes it fire; the canary takes both.
    watched: Option<(Vec<Watched>, Stage)>,
    library: Option<Library>,
}

impl Capture {
    /// Loads and attaches everything this kernel allows.
    ///
    /// # Errors
    /// When nothing could be recorded: no permission, too old a kernel, no BTF, no tracefs, or an essential hook refused.
    pub fn start(sizes: Sizes) -> Result<Self, CaptureError> {
        Self::start_with(sizes, Choice::default())
    }

    /// Loads and attaches everything that this kernel and the choice allow.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(sizes: Sizes, choice: Choice) -> Result<Self, CaptureError> {
        check_tracefs()?;
        needs::check()?;
        let resolved = offsets::resolve(Path::new(offsets::VMLINUX))?;
        let table = syscalls::table();
        let settings = Settings { recorder: std::process::id(), environment: choice.environment.into() };
        let mut ebpf = EbpfLoader::new()
            .override_global("OFFSETS", &resolved.offsets, true)
            .override_global("SPECS", table.as_slice(), true)
            .override_global("SETTINGS", &settings, true)
            .map_max_entries("CRITICAL", sizes.critical)
            .map_max_entries("FILES", sizes.files)
            .load(OBJECT)
            .map_err(|error| load_error(&error))?;
        let mut attached = Attached::default();
        let stage = Stage::set();
        // Before the probes: a file that is put in its place meanwhile shows as another one.
        let library = libpam().and_then(Library::at);
        let (mut rows, watched) = attach_all(&mut ebpf, &mut attached, choice, &stage)?;
        // Once the daemon has written what it has to.
        freeze(&ebpf)?;
        rows.extend(resolved.absent.iter().map(|field| ProbeRow::absent_field(field)));
        show_own_root();
        give_back_memory();
        Ok(Self { _attached: attached, ebpf, rows, watched: Some((watched, stage)), library })
    }

    /// What is attached and what is not.
    #[must_use]
    pub fn rows(&self) -> &[ProbeRow] {
        &self.rows
    }

    /// How often each loaded program ran and how long that took, which the kernel counts only while somebody asks for it
    /// ([`aya::sys::enable_stats`]).
    #[must_use]
    pub fn prices(&self) -> Vec<ProgramPrice> {
        price::of(&self.ebpf)
    }

    /// What the verifier went through for each loaded program.
    #[must_use]
    pub fn costs(&self) -> Vec<ProgramCost> {
        cost::of(&self.ebpf)
    }

    /// Takes the ring of a class; each can be taken once.
    ///
    /// # Errors
    /// When the map is missing or was taken before.
    pub fn ring(&mut self, class: Class) -> Result<RingBuf<MapData>, CaptureError> {
        let name = match class {
            Class::Critical => "CRITICAL",
            Class::Files => "FILES",
        };
        RingBuf::try_from(self.take(name)?)
            .map_err(|error| CaptureError::Map { name, why: error.to_string() })
    }

    /// Takes the counters, one value per CPU under each class number.
    ///
    /// # Errors
    /// When the map is missing or was taken before.
    pub fn counters(&mut self) -> Result<PerCpuArray<MapData, Counters>, CaptureError> {
        let name = "COUNTERS";
        PerCpuArray::try_from(self.take(name)?)
            .map_err(|error| CaptureError::Map { name, why: error.to_string() })
    }

    /// The counters of runs that the kernel left out, from now on.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn misses(&self) -> Result<Misses, CaptureError> {
        Misses::of(&self.ebpf)
    }

    /// Takes the counters of runs and what makes hooks fire, for the canary.
    ///
    /// # Errors
    /// When the map is missing or was taken before.
    pub fn canary(&mut self) -> Result<Canary, CaptureError> {
        let name = "RUNS";
        let runs = PerCpuArray::try_from(self.take(name)?)
            .map_err(|error| CaptureError::Map { name, why: error.to_string() })?;
        let library = self.library.clone().zip(self.programs());
        let taken = || CaptureError::Map { name, why: "is not there".to_owned() };
        Ok(Canary::new(runs, self.watched.take().ok_or_else(taken)?, library))
    }

    /// The programs that serve libpam, when both are loaded.
    fn programs(&self) -> Option<Programs> {
        let id = |name| match self.ebpf.program(name)? {
            Program::UProbe(program) => program.info().ok().map(|info| info.id()),
            _ => None,
        };
        Some(Programs { enter: id("pam_enter")?, leave: id("pam_return")? })
    }

    fn take(&mut self, name: &'static str) -> Result<Map, CaptureError> {
        let absent = || CaptureError::Map { name, why: "is not there".to_owned() };
        self.ebpf.take_map(name).ok_or_else(absent)
    }
}

/// Lets the probes see a thread begin here, by which they learn the recorder's root directory: no system call tells what
/// the kernel calls it.
fn show_own_root() {
    if std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join).is_err() {
        tracing::warn!("no thread could be started: root directories of containers are not told");
    }
}

/// Returns to the system what reading the kernel's types took for a moment, about 20 MiB: the daemon stays for months.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and only gives free pages back; it is safe beside other threads.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn check_tracefs() -> Result<(), CaptureError> {
    if TRACEFS.iter().any(|root| Path::new(root).join("events").is_dir()) {
        return Ok(());
    }
    // An unreadable directory looks the same as an unmounted one to everybody but root.
    if rustix::process::geteuid().is_root() {
        return Err(CaptureError::NoTracefs);
    }
    Err(CaptureError::Permission { what: "reading /sys/kernel/tracing".to_owned() })
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

fn load_error(error: &aya::EbpfError) -> CaptureError {
    let text = chain(error);
    if text.contains("Operation not permitted") || text.contains("os error 1)") {
        return CaptureError::Permission { what: text };
    }
    CaptureError::Load(text)
}

/// An error with its causes on one line, without a verifier's log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = brief(&error.to_string());
        if !text.contains(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = error.source();
    }
    text
}

/// The first line, and of a verifier's log the line with the reason: the last one before its statistics.
fn brief(text: &str) -> String {
    let is_statistics = |line: &&str| {
        ["verification time", "stack depth", "processed "].iter().any(|word| line.starts_with(word))
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.rfind(|line| !is_statistics(line)) {
        Some(reason) => format!("{first} ... {reason}"),
        None => first.to_owned(),
    }
}

/// libpam of this host.
#[must_use]
pub fn libpam() -> Option<&'static Path> {
    LIBPAM.iter().map(Path::new).find(|path| path.exists())
}

/// Attaches what the kernel allows: what came of each hook, and those that can be made to fire.
fn attach_all(
    ebpf: &mut Ebpf,
    attached: &mut Attached,
    choice: Choice,
    stage: &Stage,
) -> Result<(Vec<ProbeRow>, Vec<Watched>), CaptureError> {
    let btf = Btf::from_sys_fs().map_err(|error| CaptureError::NoBtf {
        path: PathBuf::from(offsets::VMLINUX),
        why: error.to_string(),
    })?;
    let (mut rows, mut in_place) = (Vec::new(), Vec::new());
    let (first, rest): (Vec<_>, Vec<_>) =
        hooks().into_iter().partition(|hook| matches!(hook.place, Place::Btf(_)));
    let first: Vec<_> = first.into_iter().filter(|hook| !(choice.without)(&hook.name())).collect();
    in_place.extend(attach_hooks(ebpf, &first, (attached, &mut rows), &btf)?);
    let (kinds, placed) = object_family::attach(ebpf, (attached, &mut rows), &btf, choice);
    tell_kinds(ebpf, &kinds)
        .map_err(|error| CaptureError::Map { name: "OBJECT_KINDS", why: chain(&error) })?;
    let is_served = |hook: &Hook| matches!(hook.place, Place::Tracepoint(_)) && kinds.contains(&hook.kind);
    let is_wanted = |hook: &Hook| !is_served(hook) && !(choice.without)(&hook.name());
    let rest: Vec<_> = rest.into_iter().filter(is_wanted).collect();
    in_place.extend(attach_hooks(ebpf, &rest, (attached, &mut rows), &btf)?);
    let (watched, unwatched) = canary::watch(&in_place, &placed, stage);
    for hook in unwatched {
        let row = rows.iter_mut().find(|row| row.hook == hook.hook && row.state == State::Attached);
        if let Some(row) = row {
            row.why = Some(format!("no canary: {}", hook.why));
        }
    }
    Ok((rows, watched))
}

/// Kinds of which io_uring makes changes past the functions that the object family hooks: attributes are set without
/// `path_setxattr`, sockets are bound without the system call.
const PAST_OBJECTS: [Kind; 2] = [Kind::AttrXattr, Kind::NodeCreate];

/// Lets the probes of io_uring know what the object family tells already.
fn tell_kinds(ebpf: &mut Ebpf, kinds: &[Kind]) -> Result<(), MapError> {
    let told = kinds.iter().filter(|kind| !PAST_OBJECTS.contains(kind));
    let bits = told.fold(0_u64, |bits, kind| bits | 1_u64.checked_shl(*kind as u32).unwrap_or(0));
    let Some(map) = ebpf.map_mut("OBJECT_KINDS") else { return Ok(()) };
    Array::try_from(map)?.set(0, bits, 0)
}

/// Attaches each hook that the running kernel has; returns those that are in place.
fn attach_hooks(
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
