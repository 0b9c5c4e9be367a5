//! `recorder daemon`: builds the stages, records until a signal, takes the stages down in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::about::Beginning;
use super::attacher::{self, Attacher};
use super::canary::Watch;
use super::control::{Probe, Server, Shared, socket_path};
use super::halt::Halt;
use super::last_failure::LastFailure;
use super::lines::Lines;
use super::pipeline::{Pipeline, PipelineError};
use super::sealer::{self, Process, Sealer};
use super::sink::Sink;
use super::{Options, about, privileges};
use crate::capture::ring::{Reader, boot_ns, wall_ns};
use crate::capture::{Capture, Choice, ProbeRow, Sizes, State};
use crate::config::{Config, Family};
use crate::enrich::Enricher;
use crate::enrich::scope::Scope;
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::store::access::{group_id, make_directory};
use crate::store::medium::{Files, Medium};
use crate::store::salt_key;
use crate::store::writer::{self, Immutable, Recovery, Writer};

/// zstd level of the payloads: the budget is CPU before bytes.
const LEVEL: i32 = 1;
/// How long the first event may take to be durable before the daemon goes on.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Records until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration, the store or the kernel refuses, or when the store fails while recording. Either way
/// nothing claims to be recorded that is not.
pub fn run(options: &Options) -> Result<()> {
    crate::logging::start();
    privileges::forbid_dumps().context("forbidding core dumps")?;
    let (config, _) = Config::load(options.config.as_deref())?;
    let config = match &options.store {
        Some(store) => config.at(store),
        None => config,
    };
    privileges::check_before_attach()?;
    let last_failure = LastFailure::of(&config.store.dir);
    record(&config, &last_failure).inspect_err(|error| last_failure.keep(error))
}

fn record(config: &Config, last_failure: &LastFailure) -> Result<()> {
    // Before there is any key in memory.
    let memory_locked = lock_memory();
    let boot = boot_id()?;
    let stop = stop_on_signals()?;
    let attacher = start_attacher(config);
    let (sealer, mut helper) = start_sealer(config)?.unzip();
    let (writer, recovery) = open_store(config, &boot, sealer)?;
    let socket = make_socket_directory(config)?;
    tell_recovery(&config.store.dir, &recovery);
    let redactor = redactor(config)?;
    let shared = Shared::new(&config.store.dir, &boot, recovery.next_frame);
    let mut capture = Capture::start_with(sizes(config)?, choice(config))?;
    shared.set_family(config.capture.family.name());
    shared.set_retention(config.store.retention());
    shared.set_probes(capture.rows().iter().map(Probe::from).collect());
    let mut reader = Reader::new(&mut capture)?;
    // Before the first thread: threads inherit what this one has.
    privileges::drop_after_attach().context("dropping capabilities")?;
    let sink = Sink::start(writer, Arc::clone(&shared), wall_ns).context("starting the writing thread")?;
    let scope = Scope::new(config.capture.exclude_globs()?).context("capture.exclude")?;
    let enricher = Enricher::new(Path::new("/proc")).with_scope(scope).keeping(&config.capture.env).guarding(
        &config.store.dir,
        &config.store.state_dir,
        helper.as_ref().map(Process::pid),
    );
    let running = enricher.processes();
    let lines = Lines::new(sink, &boot, recovery.next_seq).with_redactor(redactor);
    let mut pipeline =
        Pipeline::new(lines, enricher, Arc::clone(&shared)).with_halt(Halt::of(&config.capture));
    let booted = wall_ns().saturating_sub(i64::try_from(boot_ns()).unwrap_or(0));
    let (family, failure) = (config.capture.family, last_failure.recall());
    let beginning = Beginning { boot: &boot, booted, running, failure, memory_locked, family };
    pipeline.begin(&mut reader)?;
    // Behind the beginning, so that nothing of its first round is known by half.
    let mut pipeline = pipeline.with_canary(start_canary(config, (&mut capture, attacher), &shared)?);
    begin(&mut pipeline, config, &recovery, (&beginning, capture.rows()))?;
    if beginning.failure.is_some() && shared.has_durable_frame(recovery.next_frame, START_PATIENCE) {
        last_failure.forget();
    }
    let control = Server::start(&socket, &config.store.dir, Arc::clone(&shared))?;
    announce(&shared, config, capture.rows());

    let recorded = pipeline.run(&mut reader, &stop, || helper.as_mut().map_or(Ok(()), Process::check));
    super::notify::stopping();
    pipeline.stop_canary();
    // It takes seconds, in the kernel, and every event of the record is read by now: beside the closing of the store.
    let detaching = std::thread::Builder::new().name("detach".to_owned()).spawn(move || drop(capture));
    let finished = pipeline.finish(if recorded.is_ok() { "signal" } else { "failure" });
    if let Some(mut halt) = Halt::of(&config.capture).filter(|_| recorded.is_err() || finished.is_err()) {
        halt.run("recording failed");
    }
    control.stop();
    // Where there was no thread to be had, this one has detached everything already.
    let _ = detaching.map(JoinHandle::join);
    end_of(recorded, finished)?;
    helper.map(Process::wait).transpose().context("waiting for the sealing helper")?;
    tracing::info!("stopped");
    Ok(())
}

/// How the recording ended: the error that says most.
fn end_of(recorded: Result<(), PipelineError>, finished: Result<(), StoreError>) -> Result<()> {
    match (recorded, finished) {
        // The store's own error says more than the pipeline's.
        (Err(PipelineError::StoreClosed) | Ok(()), finished) => finished.context("recording stopped"),
        (Err(PipelineError::Sealer(error)), Err(failed)) if error.is_in_order() => {
            Err(failed).context("recording stopped")
        }
        (Err(PipelineError::Sealer(error)), _) => Err(error).context("recording stopped"),
        (Err(error), _) => Err(error).context("recording stopped"),
    }
}

/// Whether memory is locked; recording goes on without, and says so in the record.
fn lock_memory() -> bool {
    privileges::lock_memory()
        .inspect_err(|error| {
            tracing::warn!(
                %error,
                "memory is not locked: keys may reach the swap area; start the recorder by its unit, or with `ulimit -l unlimited`"
            );
        })
        .is_ok()
}

/// The helper that attaches probes to a new libpam, for a canary that notices there is one.
fn start_attacher(config: &Config) -> Option<Attacher> {
    config.capture.canary.get()?;
    let started = attacher::start();
    started
        .inspect_err(|error| {
            tracing::warn!(%error, "the helper that attaches probes can't be started: logins are missed once libpam is replaced");
        })
        .ok()
}

/// What makes hooks fire, unless the configuration does without.
fn start_canary(
    config: &Config,
    (capture, attacher): (&mut Capture, Option<Attacher>),
    shared: &Shared,
) -> Result<Option<Watch>> {
    let Some(every) = config.capture.canary.get() else {
        tracing::warn!("capture.canary is off: a hook that no longer fires is not noticed");
        return Ok(None);
    };
    shared.set_canary_every(&every.to_string());
    Ok(Some(Watch::start(capture.canary()?, attacher, every.duration()).context("starting the canary")?))
}

/// The helper that sets flags, unless the configuration does without.
fn start_sealer(config: &Config) -> Result<Option<(Sealer, Process)>> {
    match Immutable::from(config.store.immutable) {
        Immutable::Required => Ok(Some(sealer::start()?)),
        Immutable::Off => Ok(None),
    }
}

/// The kernel's boot id, lower-case hexadecimal without dashes.
fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).context(path)?;
    Ok(text.trim().replace('-', ""))
}

fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("installing signal handlers")?;
    }
    Ok(stop)
}

fn open_store(config: &Config, boot: &str, sealer: Option<Sealer>) -> Result<(Writer, Recovery)> {
    let mut boot_id = [0; 16];
    if let Ok(number) = u128::from_str_radix(boot, 16) {
        boot_id = number.to_be_bytes();
    }
    let options = writer::Options {
        segment_bytes: config.store.segment_size.bytes(),
        segment_age_ns: config.store.segment_age.nanoseconds(),
        immutable: config.store.immutable.into(),
        readers: readers(&config.store.group),
        level: LEVEL,
        retention: config.store.policy(),
        boot_id,
        now: wall_ns(),
    };
    let between = |files: Files| -> Box<dyn Medium> {
        match sealer {
            Some(sealer) => Box::new(files.with_flags(Box::new(sealer))),
            None => Box::new(files),
        }
    };
    Ok(Writer::open_on(&config.store.dir, &config.store.state_dir, options, between)?)
}

/// The rules that blank secrets, with the key in the state directory; none when the configuration wants none.
fn redactor(config: &Config) -> Result<Option<Redactor>> {
    if !config.redact.enabled {
        tracing::warn!("redact.enabled is false: secrets in command lines are recorded as they are");
        return Ok(None);
    }
    Ok(Some(Redactor::new(&config.redact, salt_key::load_or_make(&config.store.state_dir)?)?))
}

/// Where the control socket will be: its directory is not there when nothing else has made it (a service manager, a
/// state directory of the same name).
fn make_socket_directory(config: &Config) -> Result<PathBuf> {
    let socket = socket_path(&config.store.dir);
    if let Some(directory) = socket.parent() {
        make_directory(directory, group_id(&config.store.group))?;
    }
    Ok(socket)
}

/// The configured group. A host without it (a trial, a build machine) still records, for root's eyes.
fn readers(group: &str) -> Option<u32> {
    let id = group_id(group);
    if id.is_none() {
        tracing::warn!(group, "there is no such group: only root can read the record");
    }
    id
}

fn sizes(config: &Config) -> Result<Sizes> {
    Ok(Sizes {
        critical: u32::try_from(config.capture.ring_critical.bytes()).context("capture.ring_critical")?,
        files: u32::try_from(config.capture.ring_files.bytes()).context("capture.ring_files")?,
    })
}

/// Which hooks are tried.
fn choice(config: &Config) -> Choice {
    let family = config.capture.family;
    if family == Family::Syscall {
        tracing::warn!("capture.family is \"syscall\": what 32-bit programs change is not recorded");
    }
    Choice { family, environment: !config.capture.env.is_empty(), ..Choice::default() }
}

fn tell_recovery(store: &Path, recovery: &Recovery) {
    if let Some(damage) = &recovery.damage {
        tracing::error!(store = %store.display(), damage, "the last segment is damaged; run `recorder verify`");
    }
    if let Some(why) = &recovery.no_tiles {
        tracing::error!(store = %store.display(), why, "the tree of the store does not hold; run `recorder verify`");
    }
    for path in &recovery.mended {
        tracing::warn!(
            path,
            "a removal that a crash broke off had left this without its flag; it has it again"
        );
    }
    if let Some(why) = &recovery.no_retention {
        tracing::error!(store = %store.display(), why, "retention removes nothing");
    }
    if !recovery.clean {
        tracing::warn!(torn_bytes = recovery.torn_bytes, "the last recorder did not stop in order");
    }
}

/// The first events: start, what was missed before, and the configuration in force.
fn begin(
    pipeline: &mut Pipeline,
    config: &Config,
    recovery: &Recovery,
    (beginning, probes): (&Beginning<'_>, &[ProbeRow]),
) -> Result<()> {
    let now = boot_ns();
    pipeline.tell(&about::start(now, beginning, recovery, probes))?;
    let from = recovery.last_time.unwrap_or(beginning.booted);
    pipeline.tell(&about::not_recording(now, from, wall_ns()))?;
    let effective = toml::to_string(config).context("writing down the configuration")?;
    Ok(pipeline.tell(&about::config(now, &effective))?)
}

/// Says that every probe is in place: on stderr, to the service manager, and in `status`.
fn announce(shared: &Shared, config: &Config, probes: &[ProbeRow]) {
    shared.set_recording(wall_ns());
    for row in probes.iter().filter(|row| row.state == State::Missing) {
        let why = row.why.as_deref().unwrap_or("unknown");
        tracing::warn!(hook = row.hook, event = row.event, why, "not recorded");
    }
    let attached = probes.iter().filter(|row| row.state == State::Attached).count();
    tracing::info!(store = %config.store.dir.display(), hooks = attached, "recording");
    super::notify::ready(&format!("recording with {attached} hooks"));
}
