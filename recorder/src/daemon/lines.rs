//! Gives each event its number and its line, and hands full or due frames to the sink.

use super::about;
use super::frame::{Builder, Frame, delay_ns};
use super::sink::{Closed, Sink};
use crate::capture::ring::{boot_ns, wall_ns};
use crate::event::Event;
use crate::event::json::{LineContext, Writer};
use crate::redact::Redactor;
use crate::store::StoreError;

/// Longest silence of the store, boot-clock ns: without events a frame says that the recorder lives.
const HEARTBEAT_NS: u64 = 10_000_000_000;

/// The numbered lines of this host's log, on their way to disk.
pub struct Lines {
    sink: Sink,
    json: Writer,
    redactor: Option<Redactor>,
    builder: Builder,
    boot: String,
    next_seq: u64,
    written: u64,
    /// Events lost so far, by any cause; part of every frame.
    pub lost: u64,
    /// Wall clock minus boot clock, ns.
    offset: i64,
    /// When the sink last got something, boot-clock ns.
    handed: u64,
}

impl Lines {
    /// Lines in front of `sink`; `next_seq` is the store's next sequence number.
    #[must_use]
    pub fn new(sink: Sink, boot: &str, next_seq: u64) -> Self {
        let (json, builder) = (Writer::default(), Builder::new(Frame::default()));
        let boot = boot.to_owned();
        let (offset, handed) = (clock_offset(), boot_ns());
        Self { sink, json, redactor: None, builder, boot, next_seq, written: 0, lost: 0, offset, handed }
    }

    /// With the rules that blank secrets; without them a line says what the event says.
    #[must_use]
    pub fn with_redactor(self, redactor: Option<Redactor>) -> Self {
        Self { redactor, ..self }
    }

    /// Looks at the wall clock again, because it can be set; once for each batch is enough.
    pub fn read_clock(&mut self) {
        self.offset = clock_offset();
    }

    /// Wall clock minus boot clock, ns.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Events written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Milliseconds until a frame is due, at most `limit`.
    #[must_use]
    pub fn patience_ms(&self, limit: u32) -> u32 {
        self.builder.patience_ms(boot_ns(), limit)
    }

    /// Writes an event.
    ///
    /// # Errors
    /// [`Closed`] when the store takes no more.
    pub fn write(&mut self, event: &Event<'_>) -> Result<(), Closed> {
        self.put(event);
        if self.builder.is_full() { self.flush() } else { Ok(()) }
    }

    fn put(&mut self, event: &Event<'_>) {
        let wall = i64::try_from(event.mono).unwrap_or(i64::MAX).saturating_add(self.offset);
        let context = LineContext { seq: self.next_seq, wall_ns: wall, boot: &self.boot };
        // Here and nowhere else, so that no event gets past it.
        let redacted = self.redactor.as_ref().and_then(|redactor| redactor.redact(self.next_seq, event));
        self.json.append(self.builder.lines(), &context, redacted.as_ref().unwrap_or(event));
        self.builder.end_line(delay_ns(event.kind, event.flags), event.mono, wall);
        self.next_seq += 1;
        self.written += 1;
    }

    /// Hands the frame over when it is due, or a heartbeat when there was nothing for long.
    ///
    /// # Errors
    /// [`Closed`] when the store takes no more.
    pub fn flush_if_due(&mut self) -> Result<(), Closed> {
        self.tell_removal()?;
        let now = boot_ns();
        if self.builder.is_due(now) {
            return self.flush();
        }
        if self.builder.is_empty() && now.saturating_sub(self.handed) >= HEARTBEAT_NS {
            self.handed = now;
            return self.sink.heartbeat(self.lost);
        }
        Ok(())
    }

    /// Tells what the store is about to remove, in a frame of its own.
    fn tell_removal(&mut self) -> Result<(), Closed> {
        let Some(removal) = self.sink.removal() else { return Ok(()) };
        self.flush()?;
        about::tombstones(boot_ns(), &removal).for_each(|event| self.put(&event));
        self.handed = boot_ns();
        let frame = self.builder.take(self.lost, self.sink.buffers());
        self.sink.send_tombs(frame, boot_ns())
    }

    /// Hands over what there is.
    ///
    /// # Errors
    /// [`Closed`] when the store takes no more.
    pub fn flush(&mut self) -> Result<(), Closed> {
        if self.builder.is_empty() {
            return Ok(());
        }
        self.handed = boot_ns();
        let frame = self.builder.take(self.lost, self.sink.buffers());
        self.sink.send(frame, boot_ns())
    }

    /// Waits until everything handed over is durable, and closes the store.
    ///
    /// # Errors
    /// The first error of the store.
    pub fn finish(self) -> Result<(), StoreError> {
        self.sink.finish()
    }
}

/// Wall clock minus boot clock, ns.
fn clock_offset() -> i64 {
    wall_ns().saturating_sub(i64::try_from(boot_ns()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemon::control::Shared;
    use crate::store::FrameInput;
    use crate::store::directory::Directory;
    use crate::store::retention::Policy;
    use crate::store::writer::{Immutable, Options, Writer as StoreWriter};
    use crate::verify::report::Verdict;
    use crate::verify::{VerifyOptions, verify};

    #[test]
    fn old_segments_are_told_in_a_frame_of_their_own_and_then_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, state) = (folder.path().join("log"), folder.path().join("state"));
        let retention = Policy { keep_age_ns: Some(3_600_000_000_000), ..Policy::default() };
        let options = Options {
            immutable: Immutable::Off,
            segment_bytes: 4_000,
            retention,
            ..Options::new([7; 16], 0)
        };
        let (mut writer, _) = StoreWriter::open(&store, &state, options).unwrap();
        let old = FrameInput { lines: b"{\"a\":1}\n", ends: &[8], t_first: 1, t_last: 1, lost_total: 0 };
        for _ in 0..300 {
            writer.append(&old).unwrap();
        }
        let (shared, next_seq) = (Shared::new(&store, "0a1b2c3d", 300), writer.next_seq());
        let sink = Sink::start(writer, Arc::clone(&shared), wall_ns).unwrap();
        let mut lines = Lines::new(sink, "0a1b2c3d", next_seq);
        let left = || {
            Directory::open(&store)
                .unwrap()
                .segments()
                .iter()
                .map(|file| file.first_frame)
                .collect::<Vec<_>>()
        };
        // Batch after batch, until only what no full tile has is left.
        while left().get(1).is_none_or(|second| *second <= 256) {
            lines.write(&about::stop(boot_ns(), "test", 0, 0)).unwrap();
            lines.flush_if_due().unwrap();
            std::thread::yield_now();
        }
        lines.finish().unwrap();
        let report = verify(&store, &VerifyOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Unanchored, "{:#?}", report.findings);
        assert!(report.removed.len() == 1 && report.removed[0].segments > 16, "{:?}", report.removed);
    }
}
