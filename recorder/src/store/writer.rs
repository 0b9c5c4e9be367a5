//! The one writer of a store: frames in, durable bytes out.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::access::{self, Lock};
use super::directory::SegmentFile;
use super::format::{FRAME_HEADER, FrameHeader, MAX_RAW, Previous, SegmentHeader, frame_flag, segment_flag};
use super::medium::{Files, Medium};
use super::payload::Packer;
use super::position::{Draft, Position};
use super::recovery::{self, Found};
use super::{Appended, FrameInput, StoreError, key_file};
use crate::chain::key::{Domain, OriginKey};
use crate::chain::tree::{Frontier, leaf_hash};

/// Room that the frame which ends a segment needs: a header and an empty payload.
const END_FRAME: u64 = FRAME_HEADER as u64 + 16;

/// Whether segments must carry the append-only flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immutable {
    /// Refuse to record where the file system has no such flag.
    Required,
    /// Record without it, and say so in each segment header.
    Off,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is ended before it grows beyond this.
    pub segment_bytes: u64,
    /// A segment is ended when it is older than this.
    pub segment_age_ns: i64,
    /// Append-only flag.
    pub immutable: Immutable,
    /// Number of the group that may read a store made now; None leaves it to the group of the daemon.
    pub readers: Option<u32>,
    /// zstd level.
    pub level: i32,
    /// Kernel's boot id.
    pub boot_id: [u8; 16],
    /// Wall time, ns since 1970.
    pub now: i64,
}

impl Options {
    /// What the daemon uses unless configured otherwise.
    #[must_use]
    pub const fn new(boot_id: [u8; 16], now: i64) -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age_ns: 3_600_000_000_000,
            immutable: Immutable::Required,
            readers: None,
            level: 1,
            boot_id,
            now,
        }
    }
}

/// What [`Writer::open`] found, for the daemon to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Number of the next event.
    pub next_seq: u64,
    /// Number of the next frame.
    pub next_frame: u64,
    /// Number of this start of the daemon, from 1.
    pub epoch: u32,
    /// Whether the store had nothing in it.
    pub fresh: bool,
    /// Whether the last recorder ended in order (true for a fresh store).
    pub clean: bool,
    /// Length of a torn tail: bytes that were being written at a crash and were never acknowledged.
    pub torn_bytes: u64,
    /// What is wrong with the last segment, when it is damaged: this is no crash, someone or something changed it.
    pub damage: Option<String>,
    /// Wall time of the last event, ns since 1970.
    pub last_time: Option<i64>,
    /// Boot id of the last recorder.
    pub previous_boot: Option<[u8; 16]>,
    /// The public origin key line.
    pub origin: String,
    /// File name of the new segment.
    pub segment: String,
}

/// Appends frames. Holds the store's lock until dropped; dropped without [`close`](Self::close) it leaves an unclean end.
pub struct Writer {
    path: PathBuf,
    options: Options,
    key: OriginKey,
    medium: Box<dyn Medium>,
    position: Position,
    segment: Segment,
    packer: Packer,
    nothing: Vec<u8>,
    inner: Frontier,
    frame: Vec<u8>,
    lost_total: u64,
    latched: bool,
    _lock: Lock,
}

/// The segment that is being written.
struct Segment {
    number: u32,
    attempt: u16,
    name: String,
    first_frame: u64,
    created: i64,
    length: u64,
    hash: Sha256,
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
        let (lock, directory) = access::prepare(store, &options)?;
        let key =
            key_file::load_or_make(state_dir, store, !directory.segments().is_empty(), options.readers)?;
        key_file::publish(key.public(), store, options.immutable)?;
        let found = recovery::recover(&directory, key.public())?;
        let files = Files::new(lock.directory(store)?, store.to_owned(), options.immutable);
        let packing = || StoreError::io(store, "preparing compression");
        let mut packer = Packer::new(options.level).map_err(packing())?;
        let nothing = packer.pack(b"").map_err(packing())?.to_vec();
        let mut position = found.position.clone();
        position.epoch = position.epoch.saturating_add(1);
        let mut writer = Self {
            path: store.to_owned(),
            key,
            medium: between(files),
            position,
            segment: Segment::new(found.segment_no, found.attempt, options.now),
            packer,
            nothing,
            inner: Frontier::new(),
            frame: Vec::new(),
            lost_total: 0,
            latched: false,
            options,
            _lock: lock,
        };
        writer.begin_segment(found.previous, found.flags)?;
        // What a crash left open: the header that commits to it is durable now.
        let names = directory.segments().iter().filter_map(SegmentFile::name);
        names.filter(|name| *name != writer.segment.name).try_for_each(|name| writer.medium.seal(name))?;
        let recovery = writer.recovery(&found);
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
            origin: self.key.public().to_string(),
            segment: self.segment.name.clone(),
        }
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
            let appended = writer.append_events(frame)?;
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
            let appended =
                frames.iter().map(|frame| writer.append_events(frame)).collect::<Result<_, _>>()?;
            writer.sync()?;
            Ok(appended)
        })
    }

    /// Ends the segment in order. Without it the next start finds an unclean end.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn close(mut self, now: i64) -> Result<(), StoreError> {
        self.latching(|writer| writer.end_segment(frame_flag::END | frame_flag::STOP, now))
    }

    fn latching<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.latched {
            return Err(StoreError::Latched { path: self.path.clone() });
        }
        let outcome = act(self);
        self.latched = outcome.is_err();
        outcome
    }

    fn append_events(&mut self, input: &FrameInput<'_>) -> Result<Appended, StoreError> {
        let (count, raw_len) = hash_lines(input, &mut self.inner)?;
        self.lost_total = self.lost_total.max(input.lost_total);
        let draft = Draft {
            flags: 0,
            count,
            raw_len,
            t_first: input.t_first,
            t_last: input.t_last,
            lost_total: self.lost_total,
            inner_root: self.inner.root(),
        };
        let length = {
            let payload = self.packer.pack(input.lines);
            payload.map_err(StoreError::io(&self.path, "compressing"))?.len() + FRAME_HEADER
        };
        if self.must_rotate(length as u64, input.t_last) {
            self.rotate(input.t_last)?;
        }
        let header = self.position.compose(&self.key, draft, self.packer.payload(), &mut self.frame);
        self.put_frame(&header)
    }

    /// Writes the composed frame and moves on. The caller syncs before it tells anybody.
    fn put_frame(&mut self, header: &FrameHeader) -> Result<Appended, StoreError> {
        let frame = std::mem::take(&mut self.frame);
        self.write(&frame)?;
        self.frame = frame;
        let appended = Appended {
            segment: self.segment.name.clone(),
            offset: self.segment.length - header.frame_len(),
            length: header.frame_len(),
            frame_no: header.frame_no,
            first_seq: header.first_seq,
            count: header.count,
        };
        self.position.advance(header, header.leaf_hash());
        Ok(appended)
    }

    fn must_rotate(&self, frame_len: u64, now: i64) -> bool {
        let has_frames = self.position.next_frame() > self.segment.first_frame;
        // A clock that was set back must not keep a segment open for ever.
        let age = now.abs_diff(self.segment.created);
        let too_old = age > self.options.segment_age_ns.unsigned_abs();
        has_frames && (too_old || self.segment.length + frame_len + END_FRAME > self.options.segment_bytes)
    }

    fn rotate(&mut self, now: i64) -> Result<(), StoreError> {
        self.end_segment(frame_flag::END, now)?;
        let ended = std::mem::replace(&mut self.segment, Segment::new(0, 0, now));
        self.segment.number = ended.number.saturating_add(1);
        let previous = Previous {
            first_frame: ended.first_frame,
            attempt: ended.attempt,
            length: ended.length,
            valid_length: ended.length,
            sha256: ended.hash.finalize().into(),
        };
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
            segment_no: self.segment.number,
            first_frame: self.position.next_frame(),
            first_seq: self.position.next_seq,
            created: self.segment.created,
            boot_id: self.options.boot_id,
            origin: *self.key.public().id(),
            previous,
            prev_leaf: self.position.prev_leaf,
            attempt: self.segment.attempt,
            next_pk: [0; 32],
            tree: self.position.tree.clone(),
            signature: [0; 64],
        };
        header.signature = self.key.sign(Domain::Segment, &header.signed());
        self.segment.first_frame = header.first_frame;
        self.segment.name = header.file_name();
        self.medium.begin(&self.segment.name)?;
        self.write(&header.encode())?;
        self.sync()?;
        self.medium.sync_directory().map_err(StoreError::io(&self.path, "making the new segment durable"))
    }

    fn end_segment(&mut self, flags: u16, now: i64) -> Result<(), StoreError> {
        let draft = Draft {
            flags,
            count: 0,
            raw_len: 0,
            t_first: now,
            t_last: now,
            lost_total: self.lost_total,
            inner_root: Frontier::new().root(),
        };
        let header = self.position.compose(&self.key, draft, &self.nothing, &mut self.frame);
        self.put_frame(&header)?;
        self.sync()?;
        self.medium.seal(&self.segment.name)
    }

    /// One write for all bytes, as long as the system takes them at once.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |action| StoreError::io(&self.path.join(&self.segment.name), action);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.medium.append(rest) {
                Ok(0) => return Err(failed("appending")(std::io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("appending")(error)),
            }
        }
        self.segment.hash.update(bytes);
        self.segment.length += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let path = self.path.join(&self.segment.name);
        self.medium.sync().map_err(StoreError::io(&path, "making a frame durable"))
    }
}

impl Segment {
    fn new(number: u32, attempt: u16, created: i64) -> Self {
        Self { number, attempt, name: String::new(), first_frame: 0, created, length: 0, hash: Sha256::new() }
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
