//! The one writer of a store: frames in, durable bytes out.

mod retire;
mod signer;
mod tail;

use std::path::{Path, PathBuf};

use super::access::{self, Lock};
use super::directory::SegmentFile;
use super::format::{
    FRAME_HEADER, FrameKind, MAX_RAW, Previous, Seal, SegmentHeader, frame_flag, segment_flag,
};
use super::index::Builder;
use super::medium::{Files, Medium};
pub use super::options::{Immutable, Options, Recovery};
use super::payload::Packer;
use super::position::{Draft, Position};
use super::recovery::{self, Found};
use super::tiles::TileWriter;
use super::{Appended, FrameInput, StoreError, checkpoint_file, key_file};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::tree::{Frontier, leaf_hash};
use retire::Retired;
use signer::Signer;
use tail::Tail;

/// Appends frames. Holds the store's lock until dropped; dropped without [`close`](Self::close) it leaves an unclean end.
pub struct Writer {
    path: PathBuf,
    state_dir: PathBuf,
    options: Options,
    signer: Signer,
    position: Position,
    tail: Tail,
    index: Builder,
    tiles: Option<TileWriter>,
    retired: Retired,
    packer: Packer,
    nothing: Vec<u8>,
    inner: Frontier,
    frame: Vec<u8>,
    lost_total: u64,
    latched: bool,
    _lock: Lock,
}

impl Writer {
    /// Locks the store, loads or makes the origin key in `state_dir`, checks what is there, opens a new segment.
    ///
    /// # Errors
    /// When any of that can't be done; the message names the way out.
    pub fn open(store: &Path, state_dir: &Path, options: Options) -> Result<(Self, Recovery), StoreError> {
        Self::open_on(store, state_dir, options, |files| Box::new(files))
    }

    /// As [`open`](Self::open), with something between the writer and its files.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(
        store: &Path,
        state_dir: &Path,
        options: Options,
        between: impl FnOnce(Files) -> Box<dyn Medium>,
    ) -> Result<(Self, Recovery), StoreError> {
        let (lock, directory, mended) = access::prepare(store, state_dir, &options)?;
        let used = !directory.segments().is_empty();
        let key = key_file::load_or_make(state_dir, store, used, options.readers)?;
        key_file::publish(key.public(), store, used, options.immutable)?;
        let found = recovery::recover(&directory, key.public())?;
        recovery::check_size(state_dir, store, key.public(), found.position.next_frame())?;
        let files = Files::new(lock.directory(store)?, store.to_owned(), options.immutable);
        let packing = || StoreError::io(store, "preparing compression");
        let mut packer = Packer::new(options.level).map_err(packing())?;
        let nothing = packer.pack(b"").map_err(packing())?.to_vec();
        let mut position = found.position.clone();
        position.epoch = position.epoch.saturating_add(1);
        let mut writer = Self {
            path: store.to_owned(),
            state_dir: state_dir.to_owned(),
            signer: Signer::new(key),
            position,
            tail: Tail::new(store, between(files)),
            index: Builder::new(),
            tiles: None,
            retired: Retired::of(&directory),
            packer,
            nothing,
            inner: Frontier::new(),
            frame: Vec::new(),
            lost_total: 0,
            latched: false,
            options,
            _lock: lock,
        };
        writer.tail.place(found.segment_no, found.attempt, writer.options.now);
        writer.begin_segment(found.previous, found.flags | segment_flag::EPOCH)?;
        // What a crash left open: the header that commits to it is durable now.
        for segment in directory.segments().iter().filter_map(SegmentFile::name) {
            if segment != writer.tail.name() {
                writer.tail.seal_earlier(segment)?;
            }
        }
        let no_tiles = writer.keep_tiles()?;
        let no_retention = writer.retired.stuck().filter(|_| writer.options.retention.removes()).cloned();
        let recovery = Recovery { no_tiles, no_retention, mended, ..writer.recovery(&found) };
        Ok((writer, recovery))
    }

    fn recovery(&self, found: &Found) -> Recovery {
        Recovery {
            next_seq: self.position.next_seq,
            next_frame: self.position.next_frame(),
            epoch: self.position.epoch,
            fresh: found.previous.is_none(),
            clean: found.clean,
            torn_bytes: found.torn_bytes,
            damage: found.damage.clone(),
            last_time: found.last_time,
            previous_boot: found.boot_id,
            mended: Vec::new(),
            no_retention: None,
            no_tiles: None,
            origin: self.signer.origin().to_string(),
            segment: self.tail.name().to_owned(),
        }
    }

    /// Takes up the tiles of what is there; says why none are kept, when the store does not give its tree any more.
    fn keep_tiles(&mut self) -> Result<Option<String>, StoreError> {
        let (tree, immutable) = (&self.position.tree, self.options.immutable);
        let (tiles, why) = TileWriter::open(&self.path, tree, immutable, self.tail.medium())?;
        self.tiles = Some(tiles);
        Ok(why)
    }

    /// Number of the next event.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.position.next_seq
    }

    /// Appends one frame and returns when it is durable. After any error the writer is latched.
    ///
    /// # Errors
    /// When the frame can't be written or made durable, or an earlier one could not.
    pub fn append(&mut self, frame: &FrameInput<'_>) -> Result<Appended, StoreError> {
        self.latching(|writer| {
            let appended = writer.append_events(frame, FrameKind::Data)?;
            writer.sync()?;
            Ok(appended)
        })
    }

    /// Appends frames one after the other and returns when all of them are durable: under load one wait for the
    /// disk serves several frames.
    ///
    /// # Errors
    /// As for [`append`](Self::append); after an error it is unknown which of the frames are durable.
    pub fn append_all(&mut self, frames: &[FrameInput<'_>]) -> Result<Vec<Appended>, StoreError> {
        self.latching(|writer| {
            let append = |frame| writer.append_events(frame, FrameKind::Data);
            let appended = frames.iter().map(append).collect::<Result<_, _>>()?;
            writer.sync()?;
            Ok(appended)
        })
    }

    /// Appends a frame without events, durable when this returns: the recorder lives and had nothing to record.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn heartbeat(&mut self, now: i64, lost_total: u64) -> Result<Appended, StoreError> {
        self.latching(|writer| {
            writer.lost_total = writer.lost_total.max(lost_total);
            let length = FRAME_HEADER + writer.nothing.len();
            if writer.must_rotate(length as u64, now) {
                writer.rotate(now)?;
            }
            let draft = Draft::empty(FrameKind::Heartbeat, now, writer.lost_total);
            let nothing = std::mem::take(&mut writer.nothing);
            let put = writer.put_frame(draft, &nothing, &[]);
            writer.nothing = nothing;
            writer.sync()?;
            put
        })
    }

    /// Signs a checkpoint over all frames and puts it into the state directory.
    ///
    /// # Errors
    /// When it can't be written. That does not latch: the frames are safe.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.latched {
            return Err(StoreError::Latched { path: self.path.clone() });
        }
        let checkpoint = self.sign_checkpoint()?;
        checkpoint_file::replace(&self.state_dir, &checkpoint)
    }

    fn sign_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.signer
            .checkpoint(&self.position.tree)
            .map_err(|source| StoreError::Checkpoint { path: self.state_dir.clone(), source })
    }

    /// Ends the segment in order. Without it the next start finds an unclean end.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn close(mut self, now: i64) -> Result<(), StoreError> {
        self.latching(|writer| writer.seal(frame_flag::STOP, now))?;
        self.checkpoint()
    }

    /// Makes all frames durable, and then what follows from them.
    fn sync(&mut self) -> Result<(), StoreError> {
        self.tail.sync()?;
        match &mut self.tiles {
            Some(tiles) => tiles.flush(self.tail.medium()),
            None => Ok(()),
        }
    }

    fn latching<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.latched {
            return Err(StoreError::Latched { path: self.path.clone() });
        }
        let outcome = act(self);
        self.latched = outcome.is_err();
        outcome
    }

    fn append_events(&mut self, input: &FrameInput<'_>, kind: FrameKind) -> Result<Appended, StoreError> {
        let (count, raw_len) = hash_lines(input, &mut self.inner)?;
        self.lost_total = self.lost_total.max(input.lost_total);
        self.packer.pack(input.lines).map_err(StoreError::io(&self.path, "compressing"))?;
        let payload = self.packer.take();
        if self.must_rotate((FRAME_HEADER + payload.len()) as u64, input.t_last) {
            self.rotate(input.t_last)?;
        }
        let draft = Draft {
            count,
            raw_len,
            t_first: input.t_first,
            inner_root: self.inner.root(),
            ..Draft::empty(kind, input.t_last, self.lost_total)
        };
        let put = self.put_frame(draft, &payload, input.lines);
        self.packer.reuse(payload);
        put
    }

    /// Writes the next frame and moves on. The caller syncs before it tells anybody.
    fn put_frame(&mut self, mut draft: Draft, payload: &[u8], lines: &[u8]) -> Result<Appended, StoreError> {
        let stops = draft.flags & frame_flag::STOP != 0;
        let key = if stops { self.signer.last() } else { self.signer.next(&mut draft.next_pk) };
        let key = key.map_err(|error| self.no_key(&error))?;
        let header = self.position.compose(key, draft, payload, &mut self.frame);
        self.tail.write(&self.frame)?;
        if !header.is_seal() {
            self.index.add_frame(&header, lines);
        }
        let appended = Appended {
            segment: self.tail.name().to_owned(),
            offset: self.tail.length() - header.frame_len(),
            length: header.frame_len(),
            frame_no: header.frame_no,
            first_seq: header.first_seq,
            count: header.count,
        };
        let leaf = header.leaf_hash();
        self.position.advance(&header, leaf);
        if let Some(tiles) = &mut self.tiles {
            tiles.push(leaf);
        }
        Ok(appended)
    }

    fn no_key(&self, error: &signer::NoKey) -> StoreError {
        StoreError::Unusable { path: self.path.clone(), what: error.to_string() }
    }

    fn must_rotate(&self, frame_len: u64, now: i64) -> bool {
        let has_frames = self.position.next_frame() > self.tail.first_frame();
        // A clock that was set back must not keep a segment open for ever.
        let too_old = now.abs_diff(self.tail.created()) > self.options.segment_age_ns.unsigned_abs();
        has_frames && (too_old || self.tail.length() + frame_len > self.options.segment_bytes)
    }

    fn rotate(&mut self, now: i64) -> Result<(), StoreError> {
        self.seal(0, now)?;
        let previous = self.tail.finish(now);
        self.begin_segment(Some(previous), 0)
    }

    fn begin_segment(&mut self, previous: Option<Previous>, flags: u16) -> Result<(), StoreError> {
        let not_append_only = match self.options.immutable {
            Immutable::Required => 0,
            Immutable::Off => segment_flag::NOT_APPEND_ONLY,
        };
        let mut header = SegmentHeader {
            flags: flags | not_append_only,
            epoch: self.position.epoch,
            segment_no: self.tail.number(),
            first_frame: self.position.next_frame(),
            first_seq: self.position.next_seq,
            created: self.tail.created(),
            boot_id: self.options.boot_id,
            origin: *self.signer.origin().id(),
            previous,
            prev_link: self.position.prev_link,
            attempt: self.tail.attempt(),
            next_pk: [0; 32],
            tree: self.position.tree.clone(),
            signature: [0; 64],
        };
        self.signer.sign_segment(&mut header).map_err(|error| self.no_key(&error))?;
        self.position.prev_link = header.link();
        self.tail.begin(&header)
    }

    /// Ends the segment: nothing can be written behind a seal but the next segment, and behind one with STOP only what a
    /// new start of the recorder signs with the origin key.
    fn seal(&mut self, flags: u16, now: i64) -> Result<(), StoreError> {
        // A checkpoint is over durable frames only.
        self.sync()?;
        let checkpoint = self.sign_checkpoint()?.to_string();
        let mut payload = Vec::new();
        let seal = Seal { checkpoint: checkpoint.as_bytes(), index: &self.index.finish() };
        seal.encode(&mut payload).map_err(|_| StoreError::Input("its index is longer than a seal may be"))?;
        let draft = Draft { flags, ..Draft::empty(FrameKind::Seal, now, self.lost_total) };
        self.put_frame(draft, &payload, &[])?;
        self.sync()?;
        self.tail.seal()
    }
}

/// Builds the inner tree over the lines; gives their number and length.
fn hash_lines(input: &FrameInput<'_>, tree: &mut Frontier) -> Result<(u32, u32), StoreError> {
    tree.clear();
    let raw_len = u32::try_from(input.lines.len()).ok().filter(|length| *length <= MAX_RAW);
    let raw_len = raw_len.ok_or(StoreError::Input("its lines are longer than 1 MiB together"))?;
    let mut start = 0;
    for end in input.ends {
        let line = input.lines.get(start..*end as usize).unwrap_or_default();
        match line.split_last() {
            Some((b'\n', text)) if !text.is_empty() && memchr::memchr(b'\n', text).is_none() => {
                tree.push(leaf_hash(text));
            }
            _ => return Err(StoreError::Input("an end is not just behind the newline of a line")),
        }
        start = *end as usize;
    }
    if start != input.lines.len() || start == 0 {
        return Err(StoreError::Input("it has no lines, or lines without an end"));
    }
    Ok((u32::try_from(tree.size()).unwrap_or(u32::MAX), raw_len))
}

#[cfg(test)]
mod tests;
