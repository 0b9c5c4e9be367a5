//! Events of the recorder about itself: start, config, gap, hooks, tombstone, stop.

use jiff::Timestamp;
use recorder_common::kind::Kind;

use super::canary;
use crate::capture::loss::Loss;
use crate::capture::{ProbeRow, State};
use crate::chain::Hash;
use crate::config::Family;
use crate::event::{Body, Event, Value};
use crate::store::retention::Removal;
use crate::store::writer::Recovery;

/// An event without a task behind it.
fn about(kind: Kind, mono: u64, values: Vec<(&'static str, Value)>) -> Event<'static> {
    Event { mono, kind, errno: 0, task: None, flags: 0, body: Body::Recorder(values) }
}

/// Wall time as text; null when it is out of range.
fn time(ns: i64) -> Value {
    Timestamp::from_nanosecond(i128::from(ns)).map_or(Value::Null, |time| Value::Text(format!("{time:.9}")))
}

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

/// What a start knows besides the store and the probes.
#[derive(Clone, Debug)]
pub struct Beginning<'a> {
    /// Boot id of the host.
    pub boot: &'a str,
    /// When it was booted, wall time, ns.
    pub booted: i64,
    /// Processes that ran before, and whose programs were taken over from /proc.
    pub running: usize,
    /// Why the last recorder stopped, when its store failed.
    pub failure: Option<String>,
    /// Whether memory is kept out of swap.
    pub memory_locked: bool,
    /// Which families of hooks were to be used.
    pub family: Family,
}

/// Recording began: what was found in the store, what is attached and what is not.
#[must_use]
pub fn start(
    mono: u64,
    beginning: &Beginning<'_>,
    recovery: &Recovery,
    probes: &[ProbeRow],
) -> Event<'static> {
    let missing = probes.iter().filter(|row| row.state == State::Missing);
    let attached = probes.iter().filter(|row| row.state == State::Attached).count();
    let why = |row: &ProbeRow| format!("{}: {}", row.hook, row.why.as_deref().unwrap_or("unknown"));
    about(
        Kind::Start,
        mono,
        vec![
            ("version", text(env!("CARGO_PKG_VERSION"))),
            ("boot", text(beginning.boot)),
            ("booted", time(beginning.booted)),
            ("running", Value::Number(beginning.running as u64)),
            ("epoch", Value::Number(u64::from(recovery.epoch))),
            ("clean", Value::Bool(recovery.clean)),
            ("torn_bytes", Value::Number(recovery.torn_bytes)),
            ("damage", recovery.damage.clone().map_or(Value::Null, Value::Text)),
            ("failure", beginning.failure.clone().map_or(Value::Null, Value::Text)),
            ("memory_locked", Value::Bool(beginning.memory_locked)),
            ("hooks", Value::Number(attached as u64)),
            ("missing", Value::List(missing.map(why).collect())),
            ("family", text(beginning.family.name())),
            ("object", Value::List(by_object(probes))),
        ],
    )
}

/// The kinds that the object family serves, each once; the other families serve the rest.
fn by_object(probes: &[ProbeRow]) -> Vec<String> {
    let mut kinds = Vec::new();
    for row in probes.iter().filter(|row| row.family == "object" && row.state == State::Attached) {
        for kind in row.event.split_whitespace() {
            if !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
    }
    kinds
}

/// The configuration in force, as TOML.
#[must_use]
pub fn config(mono: u64, effective: &str) -> Event<'static> {
    about(Kind::Config, mono, vec![("config", text(effective))])
}

/// Nothing was recorded from `from` on (the last event of the store, or the boot) until now; how much is unknown.
#[must_use]
pub fn not_recording(mono: u64, from: i64, to: i64) -> Event<'static> {
    about(
        Kind::Gap,
        mono,
        vec![
            ("cause", text("not_recording")),
            ("class", text("all")),
            ("count", Value::Null),
            ("from", time(from)),
            ("to", time(to)),
        ],
    )
}

/// Events that the kernel numbered and that never arrived. `offset` turns boot-clock into wall time.
#[must_use]
pub fn loss(mono: u64, loss: &Loss, offset: i64) -> Event<'static> {
    let wall = |mono: u64| time(i64::try_from(mono).unwrap_or(i64::MAX).saturating_add(offset));
    let cause = if loss.ring_full == loss.count { "ring_full" } else { "missing" };
    about(
        Kind::Gap,
        mono,
        vec![
            ("cause", text(cause)),
            ("class", text(loss.class.name())),
            ("cpu", Value::Number(u64::from(loss.cpu))),
            ("count", Value::Number(loss.count)),
            ("ring_full", Value::Number(loss.ring_full)),
            ("from", if loss.after == 0 { Value::Null } else { wall(loss.after) }),
            ("to", wall(loss.before)),
        ],
    )
}

/// A program that the kernel did not run since boot-clock time `since`, and how often: at most so many events are missing.
#[must_use]
pub fn not_run(mono: u64, (program, count): (&str, u64), since: u64, offset: i64) -> Event<'static> {
    let wall = |mono: u64| time(i64::try_from(mono).unwrap_or(i64::MAX).saturating_add(offset));
    about(
        Kind::Gap,
        mono,
        vec![
            ("cause", text("not_run")),
            ("class", text("all")),
            ("count", Value::Number(count)),
            ("from", wall(since)),
            ("to", wall(mono)),
            ("why", text(format!("{program} came upon itself, or upon a change of a map, on a processor"))),
        ],
    )
}

/// A hook that no longer fires, or one that does again; that it can't be proven is no event. `offset` turns boot-clock
/// into wall time.
#[must_use]
pub fn hook(mono: u64, report: &canary::Report, offset: i64) -> Option<Event<'static>> {
    let wall = |mono: u64| time(i64::try_from(mono).unwrap_or(i64::MAX).saturating_add(offset));
    let mut values = vec![("hook", text(report.hook.as_str())), ("event", text(report.event))];
    let kind = match &report.state {
        canary::State::Dead { why, seen } => {
            values.extend([
                ("severity", text("critical")),
                ("seen", seen.map_or(Value::Null, wall)),
                ("why", text(why.as_str())),
            ]);
            Kind::HookDead
        }
        canary::State::Back { dead_since } => {
            values.push(("dead_since", wall(*dead_since)));
            Kind::HookBack
        }
        canary::State::Unproven { .. } => return None,
    };
    Some(about(kind, mono, values))
}

/// A sample that could not be understood: probes and daemon disagree, or memory is broken.
#[must_use]
pub fn undecodable(mono: u64, count: u64, why: &str) -> Event<'static> {
    about(
        Kind::Gap,
        mono,
        vec![
            ("cause", text("undecodable")),
            ("class", text("all")),
            ("count", Value::Number(count)),
            ("why", text(why)),
        ],
    )
}

/// Each segment that is about to be removed, in the order of the log. The digest over all tombstones is in each of them.
pub fn tombstones(mono: u64, removal: &Removal) -> impl Iterator<Item = Event<'static>> {
    let hex = |hash: &Hash| text(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let policy = &removal.policy;
    let keep_age = policy.keep_age_ns.and_then(|age| u64::try_from(age / 1_000_000_000).ok());
    removal.victims.iter().map(move |victim| {
        let header = &victim.tombstone.header;
        // A recorder that ended before its first frame leaves a segment with nothing in it.
        let number =
            |number, first: u64, next: u64| if next > first { Value::Number(number) } else { Value::Null };
        let first = |first, next| number(first, first, next);
        let last = |first, next: u64| number(next.saturating_sub(1), first, next);
        about(
            Kind::Tombstone,
            mono,
            vec![
                ("segment", text(victim.name.as_str())),
                ("first_frame", first(header.first_frame, victim.next_frame)),
                ("last_frame", last(header.first_frame, victim.next_frame)),
                ("first_seq", first(header.first_seq, victim.next_seq)),
                ("last_seq", last(header.first_seq, victim.next_seq)),
                ("from", time(victim.from)),
                ("to", time(victim.to)),
                ("bytes", Value::Number(victim.bytes)),
                ("sha256", hex(&victim.sha256)),
                ("reason", text(victim.reason.name())),
                ("decided", time(removal.decided)),
                ("keep_age", keep_age.map_or(Value::Null, Value::Number)),
                ("keep_size", policy.keep_bytes.map_or(Value::Null, Value::Number)),
                ("hold", Value::List(policy.holds.iter().map(ToString::to_string).collect())),
                ("tombstones", Value::Number(removal.tombstones)),
                ("tombstones_sha256", hex(&removal.tombstones_sha256)),
            ],
        )
    })
}

/// Recording ends in order.
#[must_use]
pub fn stop(mono: u64, reason: &str, events: u64, lost: u64) -> Event<'static> {
    about(
        Kind::Stop,
        mono,
        vec![("reason", text(reason)), ("events", Value::Number(events)), ("lost", Value::Number(lost))],
    )
}
