//! What the end of a segment holds: checkpoint and index, held against the frames in front of it.

use super::Walker;
use crate::chain::checkpoint::Checkpoint;
use crate::store::format::Seal;
use crate::store::frames::Frame;
use crate::verify::finding::{Finding, Kind};

impl Walker<'_> {
    /// Checks what the end of a segment holds.
    pub(super) fn seal(&mut self, frame: &Frame) {
        let header = &frame.header;
        let here = |kind, sentence: String| {
            Finding::new(kind, sentence).at(frame.offset).frames(header.frame_no, header.frame_no)
        };
        let seal = match Seal::decode(&frame.payload) {
            Ok(seal) => seal,
            Err(what) => return self.add(here(Kind::PayloadShape, what.to_string())),
        };
        // Behind anything that is wrong the index can't be known.
        if self.walk.findings.is_empty()
            && self.index.as_mut().is_some_and(|index| index.finish() != seal.index)
        {
            self.add(here(Kind::Index, "the index is not the one that the frames give".to_owned()));
        }
        let checkpoint = Checkpoint::parse(seal.checkpoint)
            .and_then(|said| self.rules.key.map_or(Ok(()), |key| said.verify(key)).map(|()| said));
        match checkpoint {
            Ok(said) if said.size() == header.frame_no => self.walk.checkpoint = Some(said),
            Ok(said) => {
                let sentence =
                    format!("its checkpoint is over {} frames, not over all before it", said.size());
                self.add(here(Kind::CheckpointWrong, sentence));
            }
            Err(why) => self.add(here(Kind::CheckpointWrong, format!("its checkpoint does not hold: {why}"))),
        }
    }
}
