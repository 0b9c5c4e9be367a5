//! Loads the object, attaches each hook, and remembers what could not be attached and why.

use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::Program;
use aya::{Btf, Ebpf, EbpfLoader};
use recorder_common::class::Class;
use recorder_common::kind::Kind;
use recorder_common::sample::{Counters, Settings};

use super::attach::{TRACEFS, attach_hooks, libpam};
use super::attached::Attached;
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
