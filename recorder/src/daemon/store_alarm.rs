//! Says in the log that somebody touched the store: at once, because a record that is being taken away may be read too
//! late. Never faster than a log can take.

use crate::event::text::{escape, printable};
use crate::event::{Body, Event, errno};

/// Most lines in one round; the rest is counted.
const LINES: u32 = 20;

/// Lines of this round.
#[derive(Debug, Default)]
pub struct StoreAlarm {
    count: u32,
}

impl StoreAlarm {
    /// Logs an event that touches the store.
    pub fn raise(&mut self, event: &Event<'_>) {
        self.count = self.count.saturating_add(1);
        if self.count > LINES {
            return;
        }
        let shown = |bytes: &[u8]| printable(&escape(bytes)).into_owned();
        let Body::File(file) = &event.body else { return };
        let task = event.task.as_ref();
        tracing::error!(
            kind = event.kind.name(),
            result = errno::name(event.errno),
            errno = event.errno,
            path = file.path.as_deref().map(shown),
            path_to = file.path_to.as_deref().map(shown),
            bits = file.bits.map(|bits| format!("{bits:#x}")),
            pid = task.map(|task| task.pid),
            exe = task.and_then(|task| task.exe.as_deref()).map(shown),
            uid = task.map(|task| task.uid),
            loginuid = task.and_then(|task| task.loginuid),
            "the store was touched by somebody else than the recorder"
        );
    }

    /// The next round; tells what was not told.
    pub fn settle(&mut self) {
        let untold = std::mem::take(&mut self.count).saturating_sub(LINES);
        if untold > 0 {
            tracing::error!(
                untold,
                "the store was touched more often; `recorder query` shows all, with flag store"
            );
        }
    }
}
