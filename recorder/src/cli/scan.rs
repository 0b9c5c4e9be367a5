//! Walks the frames of a store for what is searched, oldest or newest first. Damage is told on stderr and counted; what is
//! behind it is still read.

use std::fmt;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Result;

use super::lookup::{Candidate, Question};
use super::users;
use crate::event::record::RecordError;
use crate::store::StoreError;
use crate::store::directory::{Directory, SegmentFile};
use crate::store::reader::{Frame, SegmentReader};

/// Takes a line that matches (without its newline) and tells whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8]) -> Result<ControlFlow<()>> + 'v;

/// What is searched: a predicate over event lines, and what spares looking at most of them.
pub trait Search: fmt::Debug {
    /// Sets of keys of the index: every event that matches has a key of each set.
    fn keys(&self) -> Vec<Vec<u32>>;

    /// Whether the first and the last time of a frame, or of many, leave room for a match.
    fn may_match_in(&self, times: (i64, i64)) -> bool;

    /// The next line of frame data that may match, and what is behind it.
    fn next_line<'d>(&self, data: &'d [u8]) -> Option<(&'d [u8], &'d [u8])>;

    /// Whether this line is asked for.
    ///
    /// # Errors
    /// When the line is not an event, as far as it was parsed.
    fn matches(&self, line: &[u8]) -> Result<bool, RecordError>;
}

/// What follows the description of damage.
const NOT_SHOWN: &str = "the events there are not shown; `recorder verify` tells more";

/// A search at work on a store.
#[derive(Debug)]
pub struct Scan<'f> {
    directory: Directory,
    search: &'f dyn Search,
    /// `None` when every frame is to be read.
    question: Option<Question<'f>>,
    /// Only frames with lower numbers are looked at: the rest may not be on disk yet.
    end_frame: u64,
    problems: u64,
    data: Vec<u8>,
}

impl<'f> Scan<'f> {
    /// Prepares to look for matches in the frames before `end_frame`.
    ///
    /// # Errors
    /// When the store can't be read, or is none.
    pub fn open(store: &Path, search: &'f dyn Search, end_frame: u64) -> Result<Self> {
        let directory = open_store(store)?;
        let question = Some(Question::new(search));
        Ok(Self { directory, search, question, end_frame, problems: 0, data: Vec::new() })
    }

    /// Looks at every frame from now on, whatever an index says.
    pub fn ignore_indexes(&mut self) {
        self.question = None;
    }

    /// How often something could not be read.
    #[must_use]
    pub const fn problems(&self) -> u64 {
        self.problems
    }

    /// Visits the matches from the oldest on.
    ///
    /// # Errors
    /// What `visit` returns; damage of the store is told and skipped.
    pub fn forward(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        for segment in self.directory.segments().to_vec() {
            if segment.first_frame >= self.end_frame {
                break;
            }
            let Some(mut reader) = self.open_segment(&segment) else { continue };
            if let Some(candidates) = self.candidates(&reader) {
                if self.visit_candidates(&mut reader, candidates.iter(), false, visit)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            while let Some(frame) = self.next_wanted(&mut reader) {
                if self.visit_frame(&mut reader, &frame, false, visit)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Visits the matches from the newest on.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn backward(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        for segment in self.directory.segments().to_vec().into_iter().rev() {
            if segment.first_frame >= self.end_frame {
                continue;
            }
            let Some(mut reader) = self.open_segment(&segment) else { continue };
            if let Some(candidates) = self.candidates(&reader) {
                if self.visit_candidates(&mut reader, candidates.iter().rev(), true, visit)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            let mut frames = Vec::new();
            while let Some(frame) = self.next_wanted(&mut reader) {
                frames.push(frame);
            }
            for frame in frames.iter().rev() {
                if self.visit_frame(&mut reader, frame, true, visit)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The frames to look at, by the segment's index; `None` when all of them are to be looked at.
    fn candidates(&self, reader: &SegmentReader) -> Option<Vec<Candidate>> {
        match self.question.as_ref()?.candidates(reader) {
            Ok(candidates) => candidates,
            Err(error) => {
                // Nothing is missing, so this is no problem of the query.
                eprintln!(
                    "recorder: {}: its index can't be used ({error}); every frame is read instead, and `recorder \
                     verify` tells more",
                    reader.path().display()
                );
                None
            }
        }
    }

    fn visit_candidates<'c>(
        &mut self,
        reader: &mut SegmentReader,
        candidates: impl Iterator<Item = &'c Candidate>,
        newest_first: bool,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let end_frame = self.end_frame;
        for candidate in candidates.filter(|candidate| candidate.frame_no < end_frame) {
            reader.seek(candidate.offset);
            let flow = match reader.next_frame() {
                Ok(Some(frame)) if candidate.is(&frame.header) => {
                    self.visit_lines(reader.path(), &frame, newest_first, visit)?
                }
                Ok(_) => {
                    self.problem(&format_args!(
                        "{}: its index names another frame {} than there is; `--no-index` reads past it, and \
                         `recorder verify` tells more",
                        reader.path().display(),
                        candidate.frame_no
                    ));
                    break;
                }
                Err(error) => {
                    self.problem(&format_args!("{error} (frame {}); {NOT_SHOWN}", candidate.frame_no));
                    continue;
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn open_segment(&mut self, segment: &SegmentFile) -> Option<SegmentReader> {
        match SegmentReader::open(&segment.path) {
            Ok(reader) => reader,
            // Retention may have removed it since the directory was read; `verify` tells whether that was in order.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.problem(&format_args!("{error}; its events are not shown"));
                None
            }
        }
    }

    /// The next frame, still without payload, whose times leave room for a match.
    fn next_wanted(&mut self, reader: &mut SegmentReader) -> Option<Frame> {
        let mut before = None;
        loop {
            match reader.next_header() {
                Ok(Some(frame)) if frame.header.frame_no >= self.end_frame => return None,
                Ok(Some(frame)) if self.search.may_match_in((frame.header.t_first, frame.header.t_last)) => {
                    return Some(frame);
                }
                Ok(Some(frame)) => before = Some(frame.header.frame_no),
                Ok(None) => return None,
                Err(error) => self.get_past(reader, &error, before).then_some(())?,
            }
        }
    }

    /// Tells of the damage at the reader's place and goes on behind it; `false` when nothing readable follows.
    pub(super) fn get_past(
        &mut self,
        reader: &mut SegmentReader,
        error: &StoreError,
        before: Option<u64>,
    ) -> bool {
        let place = before.map_or_else(String::new, |frame| format!(" (behind frame {frame})"));
        self.problem(&format_args!("{error}{place}; {NOT_SHOWN}"));
        match reader.skip_damage() {
            Ok(found) => found,
            Err(error) => {
                self.problem(&error);
                false
            }
        }
    }

    /// Reads a frame whose header is good and visits its matches; the reader is behind it then.
    pub(super) fn visit_frame(
        &mut self,
        reader: &mut SegmentReader,
        found: &Frame,
        newest_first: bool,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        reader.seek(found.offset);
        match reader.next_frame() {
            Ok(Some(frame)) => self.visit_lines(reader.path(), &frame, newest_first, visit),
            Ok(None) => Ok(ControlFlow::Continue(())),
            Err(error) => {
                self.problem(&format_args!("{error} (frame {}); {NOT_SHOWN}", found.header.frame_no));
                reader.seek(found.offset.saturating_add(found.header.frame_len()));
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// Visits the matches of one frame.
    fn visit_lines(
        &mut self,
        path: &Path,
        frame: &Frame,
        newest_first: bool,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let mut data = std::mem::take(&mut self.data);
        let place = || format!("{}: frame {}", path.display(), frame.header.frame_no);
        if let Err(error) = frame.decompress(&mut data) {
            self.problem(&format_args!("{}: {error}; its events are not shown", place()));
        }
        let mut matches = Vec::new();
        let mut rest = data.as_slice();
        while let Some((line, behind)) = self.search.next_line(rest) {
            rest = behind;
            match self.search.matches(line) {
                Ok(true) => matches.push(line),
                Ok(false) => {}
                Err(error) => self.problem(&format_args!("{}: a line is not an event: {error}", place())),
            }
        }
        if newest_first {
            matches.reverse();
        }
        let mut flow = ControlFlow::Continue(());
        for line in matches {
            flow = visit(line)?;
            if flow.is_break() {
                break;
            }
        }
        self.data = data;
        Ok(flow)
    }

    /// Tells of something that could not be read.
    fn problem(&mut self, what: &dyn std::fmt::Display) {
        self.problems += 1;
        eprintln!("recorder: {what}");
    }

    /// The segments, for a reader that goes on behind this scan.
    pub(super) const fn directory(&mut self) -> &mut Directory {
        &mut self.directory
    }
}

/// Opens a store for reading; a directory without segments and key is none.
///
/// # Errors
/// When it can't be read, or is no store.
pub fn open_store(store: &Path) -> Result<Directory> {
    let directory = Directory::open(store).map_err(|error| denied(store, error))?;
    let has_key = directory.others().iter().any(|name| name == crate::store::ORIGIN_FILE);
    if directory.segments().is_empty() && !has_key {
        anyhow::bail!("{} is not a store of the recorder: it has no segments", store.display());
    }
    Ok(directory)
}

/// Ends a command that could not show everything.
///
/// # Errors
/// When there were problems, which were told when they were met.
pub fn all_was_read(problems: u64) -> Result<()> {
    if problems > 0 {
        anyhow::bail!("not everything could be read: what is shown may not be all");
    }
    Ok(())
}

/// Adds who may read, when the system said no.
fn denied(store: &Path, error: StoreError) -> anyhow::Error {
    let is_denied =
        matches!(&error, StoreError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
    let who = std::fs::metadata(store)
        .map_or_else(|_| "its group".to_owned(), |meta| users::group_text(meta.gid()));
    let error = anyhow::Error::from(error);
    if is_denied { anyhow::anyhow!("{error}; root and members of {who} may read it") } else { error }
}

#[cfg(test)]
#[path = "scan/tests.rs"]
mod tests;
