//! Where a log stands: what the next frame must follow, and how a frame is put together. No file, no clock.

use super::format::{FRAME_HEADER, FrameHeader, FrameKind};
use crate::chain::key::{Domain, OriginKey};
use crate::chain::tree::Frontier;
use crate::chain::{Hash, sha256};

/// The end of a chain of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Daemon start that writes.
    pub epoch: u32,
    /// Number of the next event.
    pub next_seq: u64,
    /// Leaf hash of the last frame; zeros when there is none.
    pub prev_leaf: Hash,
    /// The outer tree; its size is the number of the next frame.
    pub tree: Frontier,
}

/// What a new frame says about its events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub flags: u16,
    pub count: u32,
    pub raw_len: u32,
    pub t_first: i64,
    pub t_last: i64,
    pub lost_total: u64,
    pub inner_root: Hash,
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
            && header.prev_leaf == self.prev_leaf
    }

    /// Moves behind a frame.
    pub(crate) fn advance(&mut self, header: &FrameHeader, leaf: Hash) {
        self.next_seq = header.next_seq();
        self.prev_leaf = leaf;
        self.tree.push(leaf);
    }

    /// Replaces `out` by the next frame, signed.
    pub(crate) fn compose(
        &self,
        key: &OriginKey,
        draft: Draft,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> FrameHeader {
        let mut header = FrameHeader {
            kind: FrameKind::Data,
            flags: draft.flags,
            epoch: self.epoch,
            frame_no: self.next_frame(),
            first_seq: self.next_seq,
            count: draft.count,
            raw_len: draft.raw_len,
            // A payload is at most MAX_PAYLOAD long.
            payload_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            t_first: draft.t_first,
            t_last: draft.t_last,
            lost_total: draft.lost_total,
            prev_leaf: self.prev_leaf,
            inner_root: draft.inner_root,
            payload_sha256: sha256(payload),
            next_pk: [0; 32],
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
