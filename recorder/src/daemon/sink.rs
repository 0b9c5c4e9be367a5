//! The thread that makes frames durable, and the bounded queue in front of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::backlog::CAPACITY;
use super::control::{FrameStored, Shared};
use super::frame::Frame;
use super::signing::Signing;
use crate::store::retention::Removal;
use crate::store::writer::Writer;
use crate::store::{Appended, StoreError};

/// Evidence that is kept too long is better than a recorder that stops over it.
const NOTHING_MORE: &str = "retention removes nothing more until the recorder starts again";

/// What the writing thread is asked for.
enum Work {
    /// Make these events durable.
    Frame(Frame),
    /// Make these events about segments that are to be removed durable, and then remove those.
    Tombs(Frame),
    /// Write that there was nothing to record; so many events are lost in total.
    Heartbeat(u64),
}

/// The writing end: frames go in, empty buffers come back.
pub struct Sink {
    work: SyncSender<Work>,
    buffers: Receiver<Frame>,
    removals: Receiver<Arc<Removal>>,
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
        let (work, incoming) = sync_channel(CAPACITY);
        let (give_back, buffers) = sync_channel::<Frame>(CAPACITY);
        let (decide, removals) = sync_channel(1);
        let keeper = Keeper { decide, asked: None };
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            write_all((writer, keeper), &incoming, &give_back, &told, wall).inspect_err(|error| {
                told.set_failure(&error.to_string());
            })
        })?;
        Ok(Self { work, buffers, removals, thread, shared })
    }

    /// Hands a frame over at boot-clock time `now`; waits when the disk is behind.
    ///
    /// # Errors
    /// [`Closed`] once the writer has failed.
    pub fn send(&self, frame: Frame, now: u64) -> Result<(), Closed> {
        self.shared.backlog().sent(now);
        self.work.send(Work::Frame(frame)).map_err(|_| Closed)
    }

    /// Segments that are to be removed, once: they are when [`send_tombs`](Self::send_tombs) has told it.
    #[must_use]
    pub fn removal(&self) -> Option<Arc<Removal>> {
        self.removals.try_recv().ok()
    }

    /// Hands over the events of a removal, which then happens.
    ///
    /// # Errors
    /// [`Closed`] once the writer has failed.
    pub fn send_tombs(&self, frame: Frame, now: u64) -> Result<(), Closed> {
        self.shared.backlog().sent(now);
        self.work.send(Work::Tombs(frame)).map_err(|_| Closed)
    }

    /// Has a heartbeat written, unless frames go to disk anyway.
    ///
    /// # Errors
    /// [`Closed`] once the writer has failed.
    pub fn heartbeat(&self, lost_total: u64) -> Result<(), Closed> {
        self.work.send(Work::Heartbeat(lost_total)).map_err(|_| Closed)
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
        drop(self.work);
        self.thread.join().unwrap_or(Err(StoreError::Input("the writing thread panicked")))
    }
}

fn write_all(
    (mut writer, mut keeper): (Writer, Keeper),
    incoming: &Receiver<Work>,
    give_back: &SyncSender<Frame>,
    shared: &Shared,
    wall: fn() -> i64,
) -> Result<(), StoreError> {
    let mut waiting: Vec<Frame> = Vec::with_capacity(CAPACITY);
    let mut signing = Signing::default();
    // The end carries the time of the last event, `stop`: until then, and no longer, the record is complete.
    let mut last = wall();
    keeper.look(&mut writer, wall());
    loop {
        if signing.is_due() {
            checkpoint(&mut writer);
            signing.done();
        }
        let work = match signing.wait(incoming) {
            Ok(work) => work,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let (mut beat, mut tombs) = (None, None);
        for work in std::iter::once(work).chain(incoming.try_iter().take(CAPACITY - 1)) {
            match work {
                Work::Frame(frame) => waiting.push(frame),
                Work::Heartbeat(lost_total) => beat = Some(lost_total),
                // What is behind it in the queue comes behind it in the log.
                Work::Tombs(frame) => {
                    tombs = Some(frame);
                    break;
                }
            }
        }
        shared.backlog().taken(waiting.len() + usize::from(tombs.is_some()));
        let inputs: Vec<_> = waiting.iter().map(Frame::as_input).collect();
        match beat.filter(|_| inputs.is_empty() && tombs.is_none()) {
            Some(lost_total) => tell(shared, &[writer.heartbeat(wall(), lost_total)?], |_| None, wall()),
            None => {
                let mut stored = writer.append_all(&inputs)?;
                if let Some(tombs) = &tombs {
                    stored.push(writer.append_tombs(&tombs.as_input())?);
                    keeper.remove(&mut writer);
                }
                waiting.extend(tombs);
                shared.backlog().stored();
                last = waiting.last().map_or(last, |frame| frame.t_last);
                tell(shared, &stored, |index| waiting.get(index).map(|frame| frame.t_first), wall());
            }
        }
        signing.grown(waiting.iter().any(|frame| frame.urgent));
        for frame in waiting.drain(..) {
            // A full return queue only costs a new allocation later.
            let _ = give_back.try_send(frame);
        }
        keeper.look(&mut writer, wall());
    }
    writer.close(last)
}

/// Retention as this thread sees it: decides, has it told, removes.
struct Keeper {
    decide: SyncSender<Arc<Removal>>,
    /// What was decided and is not told yet.
    asked: Option<Arc<Removal>>,
}

impl Keeper {
    /// Decides what is to be removed, when it is time to.
    fn look(&mut self, writer: &mut Writer, now: i64) {
        if self.asked.is_some() || !writer.retention_is_due() {
            return;
        }
        match writer.retire(now) {
            Ok(Some(removal)) => {
                let removal = Arc::new(removal);
                // There is room: the last one was told, or this is the first.
                if self.decide.try_send(Arc::clone(&removal)).is_ok() {
                    self.asked = Some(removal);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "{NOTHING_MORE}"),
        }
    }

    /// Removes what was told.
    fn remove(&mut self, writer: &mut Writer) {
        let Some(removal) = self.asked.take() else { return };
        match writer.remove(&removal) {
            Ok(()) => tracing::info!(segments = removal.victims.len(), "removed old segments"),
            Err(error) => tracing::error!(%error, "{NOTHING_MORE}"),
        }
    }
}

/// Signs a checkpoint over what is durable. Without one recording goes on; whoever waits for it sees how old it is.
fn checkpoint(writer: &mut Writer) {
    if let Err(error) = writer.checkpoint() {
        tracing::warn!(%error, "no checkpoint was written");
    }
}

/// Tells readers what is durable now. `t_first` is the time of a frame's first event.
fn tell(shared: &Shared, stored: &[Appended], t_first: impl Fn(usize) -> Option<i64>, now: i64) {
    for (index, stored) in stored.iter().enumerate() {
        shared.frame_stored(&FrameStored {
            frame_no: stored.frame_no,
            events: u64::from(stored.count),
            bytes: stored.length,
            segment: &stored.segment,
            t_first: t_first(index).unwrap_or(now),
            now,
        });
    }
}
