//! Collects lines into frames and says when a frame must go to disk. No clock of its own, no I/O.

use recorder_common::kind::Kind;
use recorder_common::sample::flag;

use crate::store::FrameInput;

/// A frame closes before its lines grow beyond this: large enough that its header costs little over a byte an event,
/// small enough that reading one event unpacks no more than that.
pub const FRAME_BYTES: usize = 128 << 10;
/// Longest an event waits for its frame to close.
const FILE_DELAY_NS: u64 = 1_000_000_000;
/// The same for a program start.
const EXEC_DELAY_NS: u64 = 250_000_000;

/// Lines that go to disk together.
#[derive(Debug, Default)]
pub struct Frame {
    /// JSON lines, each ended by a newline.
    pub lines: Vec<u8>,
    /// For each line the offset just after its newline.
    pub ends: Vec<u32>,
    /// Wall time of the first event, ns.
    pub t_first: i64,
    /// Wall time of the last event, ns.
    pub t_last: i64,
    /// Events lost so far.
    pub lost_total: u64,
    /// Whether it has an event that must not wait: a checkpoint over it is signed at once.
    pub urgent: bool,
}

impl Frame {
    /// The frame as the store takes it.
    #[must_use]
    pub fn as_input(&self) -> FrameInput<'_> {
        FrameInput {
            lines: &self.lines,
            ends: &self.ends,
            t_first: self.t_first,
            t_last: self.t_last,
            lost_total: self.lost_total,
        }
    }

    /// Makes the buffers empty and keeps their room.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.ends.clear();
        self.urgent = false;
    }
}

/// How long an event may wait for others before it goes to disk, ns. What touches the store itself does not wait.
#[must_use]
pub fn delay_ns(kind: Kind, flags: u64) -> u64 {
    if flags & flag::STORE != 0 {
        return 0;
    }
    match kind {
        Kind::Login
        | Kind::Logout
        | Kind::AuthOk
        | Kind::AuthFailed
        | Kind::SessionId
        | Kind::Credential
        | Kind::Mount
        | Kind::Unmount
        | Kind::Module
        | Kind::Clock
        | Kind::Hostname
        | Kind::Reboot
        | Kind::Swap
        | Kind::Kexec
        | Kind::Start
        | Kind::Stop
        | Kind::Gap
        | Kind::Config
        | Kind::Tombstone
        | Kind::HookDead
        | Kind::HookBack => 0,
        Kind::Exec | Kind::ExecFailed | Kind::Bpf | Kind::Ptrace | Kind::Namespace | Kind::Syscall => {
            EXEC_DELAY_NS
        }
        Kind::Fork
        | Kind::Exit
        | Kind::FileCreate
        | Kind::FileWrite
        | Kind::FileTruncate
        | Kind::FileDelete
        | Kind::FileRename
        | Kind::FileLink
        | Kind::FileSymlink
        | Kind::DirCreate
        | Kind::DirDelete
        | Kind::NodeCreate
        | Kind::AttrMode
        | Kind::AttrOwner
        | Kind::AttrXattr
        | Kind::AttrFlags
        | Kind::AttrTime
        | Kind::FileMapWrite
        | Kind::FileDenied => FILE_DELAY_NS,
    }
}

/// The frame being filled.
#[derive(Debug, Default)]
pub struct Builder {
    frame: Frame,
    /// Boot-clock ns when the frame must close; `u64::MAX` while it is empty.
    deadline: u64,
}

impl Builder {
    /// An empty frame in used buffers.
    #[must_use]
    pub fn new(mut buffers: Frame) -> Self {
        buffers.clear();
        Self { frame: buffers, deadline: u64::MAX }
    }

    /// Where the next line is to be appended; [`Self::end_line`] must follow.
    pub fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.frame.lines
    }

    /// Ends the line that was just appended. `mono` and `wall` are the event's times, `delay` how long it may wait, ns.
    pub fn end_line(&mut self, delay: u64, mono: u64, wall: i64) {
        if self.frame.ends.is_empty() {
            self.frame.t_first = wall;
            self.frame.t_last = wall;
        }
        self.frame.ends.push(u32::try_from(self.frame.lines.len()).unwrap_or(u32::MAX));
        self.frame.t_first = self.frame.t_first.min(wall);
        self.frame.t_last = self.frame.t_last.max(wall);
        self.frame.urgent |= delay == 0;
        self.deadline = self.deadline.min(mono.saturating_add(delay));
    }

    /// Whether the frame must go to disk at boot-clock time `now`.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        !self.frame.ends.is_empty() && (self.is_full() || now >= self.deadline)
    }

    /// Whether another line may not fit.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frame.lines.len() >= FRAME_BYTES
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frame.ends.is_empty()
    }

    /// Milliseconds until the frame is due, at most `limit`.
    #[must_use]
    pub fn patience_ms(&self, now: u64, limit: u32) -> u32 {
        let left = self.deadline.saturating_sub(now) / 1_000_000;
        u32::try_from(left).unwrap_or(limit).min(limit)
    }

    /// Takes the frame and starts the next one in `buffers`.
    pub fn take(&mut self, lost_total: u64, buffers: Frame) -> Frame {
        let mut frame = std::mem::replace(self, Self::new(buffers)).frame;
        frame.lost_total = lost_total;
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder_with(kinds: &[(Kind, u64)]) -> Builder {
        let mut builder = Builder::new(Frame::default());
        for (kind, mono) in kinds {
            builder.lines().extend_from_slice(b"{}\n");
            builder.end_line(delay_ns(*kind, 0), *mono, 7);
        }
        builder
    }

    #[test]
    fn the_most_urgent_event_decides() {
        let builder = builder_with(&[(Kind::FileWrite, 0), (Kind::Exec, 100)]);
        assert!(!builder.is_due(EXEC_DELAY_NS));
        assert!(builder.is_due(EXEC_DELAY_NS + 100));
        assert!(builder_with(&[(Kind::FileWrite, 5), (Kind::Login, 9)]).is_due(9));
    }

    #[test]
    fn what_touches_the_store_does_not_wait() {
        for kind in [Kind::AttrFlags, Kind::FileRename, Kind::FileWrite] {
            assert_eq!((delay_ns(kind, 0), delay_ns(kind, flag::STORE)), (FILE_DELAY_NS, 0), "{kind:?}");
        }
    }

    #[test]
    fn an_empty_frame_is_never_due() {
        assert!(!Builder::new(Frame::default()).is_due(u64::MAX));
    }

    #[test]
    fn a_full_frame_is_due_at_once() {
        let mut builder = Builder::new(Frame::default());
        builder.lines().resize(FRAME_BYTES, b' ');
        builder.end_line(FILE_DELAY_NS, 0, 0);
        assert!(builder.is_due(0));
    }

    #[test]
    fn taking_a_frame_leaves_an_empty_one() {
        let mut builder = builder_with(&[(Kind::FileWrite, 5)]);
        let frame = builder.take(3, Frame::default());
        assert_eq!((frame.ends.as_slice(), frame.lost_total), (&[3][..], 3));
        assert!(builder.is_empty());
    }
}
