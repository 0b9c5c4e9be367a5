//! Where a log stands: what the next frame must follow, and how a frame is put together. No file, no clock.

use super::format::{FRAME_HEADER, FrameHeader, FrameKind};
use crate::chain::key::Domain;
use crate::chain::once::OneTimeKey;
use crate::chain::tree::Frontier;
use crate::chain::{Hash, sha256};

/// The end of a chain of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Daemon start that writes.
    pub epoch: u32,
    /// Number of the next event.
    pub next_seq: u64,
    /// Hash of the last header: leaf hash of a frame, link of a segment; zeros when there is none.
    pub prev_link: Hash,
    /// The outer tree; its size is the number of the next frame.
    pub tree: Frontier,
}

/// What a new frame says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub kind: FrameKind,
    pub flags: u16,
    pub count: u32,
    pub raw_len: u32,
    pub t_first: i64,
    pub t_last: i64,
    pub lost_total: u64,
    pub inner_root: Hash,
    /// The key to announce; zeros for none.
    pub next_pk: Hash,
}

impl Draft {
    /// A frame without events.
    pub(crate) fn empty(kind: FrameKind, now: i64, lost_total: u64) -> Self {
        let inner_root = Frontier::new().root();
        Self {
            kind,
            flags: 0,
            count: 0,
            raw_len: 0,
            t_first: now,
            t_last: now,
            lost_total,
            inner_root,
            next_pk: [0; 32],
        }
    }
}

impl Position {
    /// Number of the next frame.
    pub(crate) const fn next_frame(&self) -> u64 {
        self.tree.size()
    }

    /// Whether `header` is of the very next frame.
    pub(crate) fn is_followed_by(&self, header: &FrameHeader) -> bool {
        header.frame_no == self.next_frame()
            && header.first_seq == self.next_seq
            && header.prev_link == self.prev_link
    }

    /// Moves behind a frame.
    pub(crate) fn advance(&mut self, header: &FrameHeader, leaf: Hash) {
        self.next_seq = header.next_seq();
        self.prev_link = leaf;
        self.tree.push(leaf);
    }

    /// Replaces `out` by the next frame, signed.
    pub(crate) fn compose(
        &self,
        key: OneTimeKey,
        draft: Draft,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> FrameHeader {
        let mut header = FrameHeader {
            kind: draft.kind,
            flags: draft.flags,
            epoch: self.epoch,
            frame_no: self.next_frame(),
            first_seq: self.next_seq,
            count: draft.count,
            raw_len: draft.raw_len,
            // A payload is at most MAX_SEAL long.
            payload_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            t_first: draft.t_first,
            t_last: draft.t_last,
            lost_total: draft.lost_total,
            prev_link: self.prev_link,
            inner_root: draft.inner_root,
            payload_sha256: sha256(payload),
            next_pk: draft.next_pk,
            signature: [0; 64],
        };
        header.signature = key.sign(Domain::Frame, &header.leaf());
        out.clear();
        out.reserve(FRAME_HEADER + payload.len());
        header.encode(out);
        out.extend_from_slice(payload);
        header
    }
}
