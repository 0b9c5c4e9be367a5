//! Checks what a frame holds against what its header says: its events, or checkpoint and index in a seal.

use super::finding::Kind;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::tree::{Frontier, leaf_hash};
use crate::store::format::{FrameHeader, Seal};
use crate::store::frames::Frame;
use crate::store::index::Builder;

/// What is wrong, in a plain sentence.
pub(super) type Fault = (Kind, String);

/// Memory for the events of one frame.
#[derive(Default)]
pub(super) struct Events {
    raw: Vec<u8>,
    tree: Frontier,
    /// Makes the index of the segment again, from all of its frames.
    index: Builder,
}

impl Events {
    /// Checks the events of a frame whose payload has the right digest.
    pub(super) fn check(&mut self, frame: &Frame) -> Result<(), Fault> {
        let header = &frame.header;
        frame.decompress(&mut self.raw).map_err(|what| (Kind::PayloadShape, what.to_string()))?;
        self.tree.clear();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.raw) {
            self.tree.push(leaf_hash(self.raw.get(start..end).unwrap_or_default()));
            start = end + 1;
        }
        let found = self.tree.size();
        if found != u64::from(header.count) || start != self.raw.len() {
            return Err((Kind::EventCount, format!("{found} events are there, {} are stated", header.count)));
        }
        if self.tree.root() != header.inner_root {
            let sentence = "the events are not those that the frame was signed for".to_owned();
            return Err((Kind::InnerRoot, sentence));
        }
        self.index.add_frame(header, &self.raw);
        Ok(())
    }

    /// Checks the index of a seal; every frame in front of it must have passed [`check`](Self::check).
    pub(super) fn check_index(&mut self, seal: &Seal<'_>) -> Result<(), Fault> {
        if self.index.finish() == seal.index {
            return Ok(());
        }
        Err((Kind::Index, "the index is not the one that the frames give".to_owned()))
    }
}

/// Takes a seal apart.
pub(super) fn seal(frame: &Frame) -> Result<Seal<'_>, Fault> {
    Seal::decode(&frame.payload).map_err(|what| (Kind::PayloadShape, what.to_string()))
}

/// The checkpoint of a seal, signed by the origin key over all frames in front of it. Whether it is of their tree is not
/// known here.
pub(super) fn checkpoint(
    seal: &Seal<'_>,
    header: &FrameHeader,
    key: Option<&OriginPublic>,
) -> Result<Checkpoint, Fault> {
    let wrong = |what: String| (Kind::CheckpointWrong, what);
    let said = Checkpoint::parse(seal.checkpoint)
        .and_then(|said| key.map_or(Ok(()), |key| said.verify(key)).map(|()| said))
        .map_err(|why| wrong(format!("its checkpoint does not hold: {why}")))?;
    if !said.is_bare() {
        return Err(wrong("its checkpoint says more than a recorder writes".to_owned()));
    }
    if said.size() == header.frame_no {
        return Ok(said);
    }
    Err(wrong(format!("its checkpoint is over {} frames, not over all before it", said.size())))
}
