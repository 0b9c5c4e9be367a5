//! The recording loop: samples become events, losses become gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recorder_common::class::Class;
use recorder_common::sample::{Counters, flag};

use super::about;
use super::canary::own::Own;
use super::canary::{State, Watch};
use super::control::Shared;
use super::halt::Halt;
use super::lines::Lines;
use super::sealer::SealerError;
use super::sink::Closed;
use super::store_alarm::StoreAlarm;
use crate::capture::CaptureError;
use crate::capture::loss::Tracker;
use crate::capture::misses::Missed;
use crate::capture::ring::{Batch, Reader, boot_ns};
use crate::enrich::Enricher;
use crate::event::Event;
use crate::event::decode::{Sample, decode};

/// Longest wait for a wake-up: bounds how late a batch of file events is read.
const ROUND_MS: u32 = 100;
/// How often losses are settled, boot-clock ns.
const SETTLE_NS: u64 = 1_000_000_000;

/// Why recording ended early.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The kernel side failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Nobody protects segments any more.
    #[error(transparent)]
    Sealer(#[from] SealerError),
    /// The store took no more; [`Lines::finish`] has the reason.
    #[error("the store takes no more frames")]
    StoreClosed,
}

impl From<Closed> for PipelineError {
    fn from(_: Closed) -> Self {
        Self::StoreClosed
    }
}

/// Everything between a sample and a line.
pub struct Pipeline {
    lines: Lines,
    enricher: Enricher,
    tracker: Tracker,
    shared: Arc<Shared>,
    alarm: StoreAlarm,
    canary: Option<(Watch, Own)>,
    halt: Option<Halt>,
    /// When losses were handed to the disk that halt the machine, boot-clock ns.
    halting: Option<u64>,
    settled: u64,
    /// Boot-clock ns until which everything was read.
    ended: Option<u64>,
}

impl Pipeline {
    /// An empty pipeline in front of `lines`.
    #[must_use]
    pub fn new(lines: Lines, enricher: Enricher, shared: Arc<Shared>) -> Self {
        let (tracker, alarm) = (Tracker::default(), StoreAlarm::default());
        let (canary, halt, halting, ended) = (None, None, None, None);
        Self { lines, enricher, tracker, shared, alarm, canary, halt, halting, settled: boot_ns(), ended }
    }

    /// With a canary, whose own events are left out and whose reports are written.
    #[must_use]
    pub fn with_canary(self, watch: Option<Watch>) -> Self {
        let canary = watch.map(|watch| {
            let own = Own::new(watch.thread());
            (watch, own)
        });
        Self { canary, ..self }
    }

    /// With what stops the machine when events are lost.
    #[must_use]
    pub fn with_halt(self, halt: Option<Halt>) -> Self {
        Self { halt, ..self }
    }

    /// Has the record begin now: samples that are in the rings already are left out.
    ///
    /// # Errors
    /// When the kernel's counters can't be read.
    pub fn begin(&mut self, reader: &mut Reader) -> Result<(), PipelineError> {
        reader.discard();
        reader.missed()?;
        self.tracker = Tracker::beginning_at(&reader.counters()?);
        Ok(())
    }

    /// Writes an event of the recorder about itself.
    ///
    /// # Errors
    /// When the store takes no more.
    pub fn tell(&mut self, event: &Event<'_>) -> Result<(), PipelineError> {
        self.lines.write(event)?;
        Ok(self.lines.flush()?)
    }

    /// Records until `stop` is set, then what is left in the rings. `protected` is asked every second whether segments
    /// can still be protected.
    ///
    /// # Errors
    /// When the rings can't be read, the store takes no more or can't be protected any more.
    pub fn run(
        &mut self,
        reader: &mut Reader,
        stop: &AtomicBool,
        mut protected: impl FnMut() -> Result<(), SealerError>,
    ) -> Result<(), PipelineError> {
        while !stop.load(Ordering::Relaxed) {
            let settling = boot_ns().saturating_sub(self.settled) >= SETTLE_NS;
            // Before the rings are read: what was numbered by then is in this batch, or comes no more.
            let counters = if settling { reader.counters()? } else { Vec::new() };
            let patience = self.lines.patience_ms(ROUND_MS);
            self.take_all(reader.next_batch(patience)?)?;
            if settling {
                let now = boot_ns();
                let before = self.settled;
                self.settle(now, &counters)?;
                self.tell_missed(&reader.missed()?, before)?;
                self.watch(now)?;
                protected()?;
                super::notify::alive_unless(self.shared.backlog().is_stuck(now));
            }
            self.lines.flush_if_due()?;
            self.halt_if_told();
        }
        let counters = reader.counters()?;
        let until = boot_ns();
        self.ended = Some(until);
        self.take_all(reader.last_batch(until))?;
        self.tell_missed(&reader.missed()?, self.settled)?;
        self.settle(boot_ns(), &counters)?;
        // Nothing more can come: what is missing now is lost, however young the hole.
        self.settle(u64::MAX, &counters)
    }

    /// Ends the canary, which needs every hook until then.
    pub fn stop_canary(&mut self) {
        if let Some((watch, _)) = self.canary.take() {
            watch.stop();
        }
    }

    /// Writes the last event, with the time until which the record is complete, and waits until all is durable.
    ///
    /// # Errors
    /// The first error of the store.
    pub fn finish(mut self, reason: &str) -> Result<(), crate::store::StoreError> {
        self.stop_canary();
        let stop =
            about::stop(self.ended.unwrap_or_else(boot_ns), reason, self.lines.written(), self.lines.lost);
        // A store that is closed says why when it is finished.
        let _ = self.lines.write(&stop).and_then(|()| self.lines.flush());
        self.lines.finish()
    }

    fn take_all(&mut self, batch: &Batch) -> Result<(), PipelineError> {
        self.lines.read_clock();
        batch.samples().try_for_each(|sample| self.take(sample))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        let decoded = match decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(&error.to_string()),
        };
        let mono = match &decoded.sample {
            Sample::Event(event) => event.mono,
            Sample::Pam(call) => call.mono,
        };
        if !self.tracker.observe(decoded.class, decoded.cpu, decoded.sequence, mono) {
            return Ok(());
        }
        self.shared.add_events(decoded.class, 1);
        if self.is_canary(&decoded.sample) {
            return Ok(());
        }
        let event = match decoded.sample {
            Sample::Event(event) => self.enricher.enrich(event),
            Sample::Pam(call) => self.enricher.pam(call),
        };
        if let Some(event) = event {
            if event.flags & flag::STORE != 0 {
                self.alarm.raise(&event);
            }
            self.lines.write(&event)?;
        }
        Ok(())
    }

    /// What the kernel did not run since boot-clock time `since` told nothing, without a hole in any sequence.
    fn tell_missed(&mut self, missed: &[Missed], since: u64) -> Result<(), PipelineError> {
        for Missed { program, count } in missed {
            self.lines.lost += count;
            // Nobody knows what it would have been: the worst.
            self.shared.add_lost(Class::Critical, *count);
            tracing::error!(program, count, "events may be lost: the kernel did not run a probe");
            self.lines.write(&about::not_run(boot_ns(), (program, *count), since, self.lines.offset()))?;
            self.halt_soon()?;
        }
        Ok(())
    }

    /// Hands the loss that was just written to the disk, when the machine is to be stopped for it.
    fn halt_soon(&mut self) -> Result<(), PipelineError> {
        if self.halt.is_some() {
            self.lines.flush()?;
            self.halting = self.halting.or_else(|| Some(boot_ns()));
        }
        Ok(())
    }

    /// Stops the machine when events were lost, once the record of it is on disk, or the disk takes too long.
    fn halt_if_told(&mut self) {
        let (Some(halt), Some(told)) = (&mut self.halt, self.halting) else { return };
        let backlog = self.shared.backlog();
        if backlog.is_durable(told) || backlog.is_stuck(boot_ns()) {
            self.halting = None;
            halt.run("events were lost");
        }
    }

    fn is_canary(&mut self, sample: &Sample<'_>) -> bool {
        let Some((_, own)) = &mut self.canary else { return false };
        match sample {
            Sample::Event(event) => own.is_event(event),
            Sample::Pam(call) => own.is_call(call),
        }
    }

    /// Tells what the canary found.
    fn watch(&mut self, now: u64) -> Result<(), PipelineError> {
        let Some((watch, _)) = &mut self.canary else { return Ok(()) };
        let changes = watch.changes(now);
        let offset = self.lines.offset();
        let last = i64::try_from(watch.last()).unwrap_or(i64::MAX).saturating_add(offset);
        self.shared.set_canary(last);
        for report in changes {
            let (hook, event) = (report.hook.as_str(), report.event);
            match &report.state {
                State::Dead { why, .. } => tracing::error!(hook, event, why, "a hook is dead"),
                State::Back { .. } => tracing::warn!(hook, event, "a hook that was dead fires again"),
                State::Unproven { why } => {
                    tracing::warn!(hook, event, why, "nothing proves that a hook fires")
                }
            }
            self.shared.set_hook(hook, &report.state);
            if let Some(event) = about::hook(now, &report, offset) {
                self.lines.write(&event)?;
            }
        }
        Ok(())
    }

    /// A sample that makes no sense is a loss like any other, and says so.
    fn refuse(&mut self, why: &str) -> Result<(), PipelineError> {
        self.lines.lost += 1;
        tracing::error!(why, "a sample from the kernel could not be decoded");
        self.lines.write(&about::undecodable(boot_ns(), 1, why))?;
        self.halt_soon()
    }

    fn settle(&mut self, now: u64, counters: &[(Class, u32, Counters)]) -> Result<(), PipelineError> {
        self.settled = boot_ns();
        self.alarm.settle();
        for mut loss in self.tracker.settle(now, counters) {
            loss.before = loss.before.min(self.settled);
            self.lines.lost += loss.count;
            self.shared.add_lost(loss.class, loss.count);
            let (class, cpu) = (loss.class.name(), loss.cpu);
            let raise = (loss.ring_full > 0).then(|| format!("capture.ring_{class}"));
            tracing::error!(
                class,
                cpu,
                count = loss.count,
                ring_full = loss.ring_full,
                raise,
                "events were lost"
            );
            self.lines.write(&about::loss(self.settled, &loss, self.lines.offset()))?;
            self.halt_soon()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use recorder_common::kind::Kind;
    use recorder_common::sample::flag;
    use recorder_common::text::{TEXT_CUT, Tag};

    use super::*;
    use crate::capture::ring::wall_ns;
    use crate::chain::{hex, unhex};
    use crate::config::Redact;
    use crate::daemon::sink::Sink;
    use crate::enrich::procfs::tests::FakeProc;
    use crate::event::record::Record;
    use crate::event::sample_bytes::Builder;
    use crate::redact::Redactor;
    use crate::redact::commitment::{Place, opens};
    use crate::store::directory::Directory;
    use crate::store::salt_key;
    use crate::store::writer::{Immutable, Options, Writer};

    /// What is on disk after these samples went through the pipeline.
    fn recorded(folder: &std::path::Path, rules: &Redact, samples: &[Vec<u8>]) -> Vec<u8> {
        let (store, state) = (folder.join("log"), folder.join("state"));
        let options = Options { immutable: Immutable::Off, ..Options::new([7; 16], wall_ns()) };
        let (writer, recovery) = Writer::open(&store, &state, options).unwrap();
        let shared = Shared::new(&store, "0a1b2c3d", recovery.next_frame);
        let sink = Sink::start(writer, Arc::clone(&shared), wall_ns).unwrap();
        let redactor = Redactor::new(rules, salt_key::load_or_make(&state).unwrap()).unwrap();
        let lines = Lines::new(sink, "0a1b2c3d", recovery.next_seq).with_redactor(Some(redactor));
        let fake = FakeProc::new();
        let mut pipeline = Pipeline::new(lines, Enricher::new(fake.directory.path()), shared);
        for sample in samples {
            pipeline.take(sample).unwrap();
        }
        pipeline.finish("test").unwrap();
        let segments = Directory::open(&store).unwrap().segments().to_vec();
        segments
            .iter()
            .flat_map(|segment| zstd::decode_all(&*std::fs::read(&segment.path).unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn a_secret_in_a_sample_never_reaches_the_disk() {
        let exec = |kind: Kind, result, flags, argv: &[u8]| {
            let argc = argv.iter().filter(|&&byte| byte == 0).count() as u64;
            let sample = Builder::new(kind as u16).result(result).args([argc, 0, 0, 0]);
            sample.text(Tag::Given, 0, b"/bin/app").text(Tag::Argv, flags, argv).bytes()
        };
        let samples = [
            exec(Kind::Exec, 0, 0, b"mysql\0-ppw-one-1\0db\0"),
            exec(Kind::ExecFailed, -2, 0, b"app\0--token\0pw-two-\xff\xe92\0"),
            exec(Kind::Exec, 0, TEXT_CUT, b"app\0--password=pw-three-"),
            exec(Kind::Exec, 0, 0, b"app\0--pin\0pw-four-4\0"),
            exec(Kind::Exec, 0, 0, b"mkdir\0-p\0/srv\0"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let rules = Redact { patterns: vec!["--pin (?P<secret>\\S+)".to_owned()], ..Redact::default() };
        let text = recorded(folder.path(), &rules, &samples);
        assert!(memchr::memmem::find(&text, b"pw-").is_none(), "{}", String::from_utf8_lossy(&text));

        let key = salt_key::load(&folder.path().join("state")).unwrap().unwrap();
        let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let records: Vec<_> = lines.iter().map(|line| Record::parse(line).unwrap()).collect();
        let secrets: [&[u8]; 4] = [b"pw-one-1", b"pw-two-\xff\xe92", b"pw-three-3", b"pw-four-4"];
        for (record, secret) in records.iter().zip(secrets) {
            assert!(record.has_flag("redacted"), "{}", record.line);
            let list = record.value("redacted").unwrap();
            let salt = key.salt(Place { seq: record.seq, mono: record.mono, index: 0 });
            let commitment = unhex(list[0]["commitment"].as_str().unwrap()).unwrap();
            assert_eq!(list[0]["salt_key"], hex(&key.id()));
            assert!(opens(&commitment, &salt, secret, list[0]["cut"] == true).is_some(), "{}", record.line);
            assert!(opens(&commitment, &salt, b"another", list[0]["cut"] == true).is_none());
        }
        assert_eq!(records[4].kind, Some(Kind::Exec));
        assert!(records[4].value("redacted").is_none() && records[4].flags.is_empty());
        assert_eq!(flag::WORDS.iter().filter(|(bit, _)| *bit == flag::REDACTED).count(), 1);
    }
}
