//! The thread that makes frames durable, and the bounded queue in front of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::backlog::CAPACITY;
use super::control::{FrameStored, Shared};
use super::frame::Frame;
use crate::store::StoreError;
use crate::store::writer::Writer;

/// The writing end: frames go in, empty buffers come back.
pub struct Sink {
    frames: SyncSender<Frame>,
    buffers: Receiver<Frame>,
    thread: JoinHandle<Result<(), StoreError>>,
    shared: Arc<Shared>,
}

/// The writer failed; [`Sink::finish`] tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Sink {
    /// Starts the thread that owns the writer.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn start(writer: Writer, shared: Arc<Shared>, wall: fn() -> i64) -> std::io::Result<Self> {
        let (frames, incoming) = sync_channel::<Frame>(CAPACITY);
        let (give_back, buffers) = sync_channel::<Frame>(CAPACITY);
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            write_all(writer, &incoming, &give_back, &told, wall).inspect_err(|error| {
                told.set_failure(&error.to_string());
            })
        })?;
        Ok(Self { frames, buffers, thread, shared })
    }

    /// Hands a frame over at boot-clock time `now`; waits when the disk is behind.
    ///
    /// # Errors
    /// [`Closed`] once the writer has failed.
    pub fn send(&self, frame: Frame, now: u64) -> Result<(), Closed> {
        self.shared.backlog().sent(now);
        self.frames.send(frame).map_err(|_| Closed)
    }

    /// Buffers that were used before, or new ones.
    #[must_use]
    pub fn buffers(&self) -> Frame {
        self.buffers.try_recv().unwrap_or_default()
    }

    /// Waits until everything is durable and the store is closed.
    ///
    /// # Errors
    /// The first error of the writer.
    pub fn finish(self) -> Result<(), StoreError> {
        drop(self.frames);
        self.thread.join().unwrap_or(Err(StoreError::Input("the writing thread panicked")))
    }
}

fn write_all(
    mut writer: Writer,
    incoming: &Receiver<Frame>,
    give_back: &SyncSender<Frame>,
    shared: &Shared,
    wall: fn() -> i64,
) -> Result<(), StoreError> {
    let mut waiting = Vec::with_capacity(CAPACITY);
    // The end carries the time of the last event, `stop`: until then, and no longer, the record is complete.
    let mut last = wall();
    while let Ok(frame) = incoming.recv() {
        waiting.push(frame);
        waiting.extend(incoming.try_iter().take(CAPACITY - 1));
        shared.backlog().taken(waiting.len());
        let inputs: Vec<_> = waiting.iter().map(Frame::as_input).collect();
        let stored = writer.append_all(&inputs)?;
        shared.backlog().stored();
        last = waiting.last().map_or(last, |frame| frame.t_last);
        for (frame, stored) in waiting.iter().zip(&stored) {
            shared.frame_stored(&FrameStored {
                frame_no: stored.frame_no,
                events: u64::from(stored.count),
                bytes: stored.length,
                segment: &stored.segment,
                t_first: frame.t_first,
                now: wall(),
            });
        }
        for frame in waiting.drain(..) {
            // A full return queue only costs a new allocation later.
            let _ = give_back.try_send(frame);
        }
    }
    writer.close(last)
}
