//! A disk that fails or loses its power at a chosen call, and what is on it afterwards.
//!
//! The model of a power cut: what was synced is there; of what was not, each block of 512 bytes is there or reads as zeros,
//! up to any length; a name whose directory was not synced is there or not.
#![allow(
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, and not each program that has this indexes"
)]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use recorder::store::StoreError;
use recorder::store::medium::{Files, Medium};

use super::Scratch;

/// What a disk writes whole or not at all.
const BLOCK: usize = 512;

/// When calls fail, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Calls before the first that fails.
    pub at: usize,
    /// How many fail; all behind them work again.
    pub fails: usize,
    /// What the failing calls say.
    pub errno: i32,
    /// What of the first one reaches the file all the same.
    pub partial: Partial,
    /// Every write takes at most so many bytes at once.
    pub chunk: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Partial {
    Nothing,
    OneByte,
    Half,
    All,
}

impl Partial {
    pub const EACH: [Self; 4] = [Self::Nothing, Self::OneByte, Self::Half, Self::All];

    fn of(self, length: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::OneByte => 1,
            Self::Half => length / 2,
            Self::All => length,
        }
    }
}

impl Plan {
    /// From call `at` on everything fails, as for a process that is gone.
    pub const fn dies(at: usize, partial: Partial) -> Self {
        Self { at, fails: usize::MAX, errno: 28, partial, chunk: usize::MAX }
    }
}

/// What was written since the disk was opened, and what of it is durable.
#[derive(Debug, Default)]
pub struct Journal {
    calls: usize,
    segments: BTreeMap<String, Written>,
    current: String,
    /// A file that was being made when it ended, and what it was to hold.
    unfinished: Option<(String, Vec<u8>)>,
    /// What was removed since the directory was synced.
    removed: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    synced: usize,
    is_named: bool,
}

/// Real files behind a plan.
pub struct Disk {
    files: Files,
    plan: Plan,
    journal: Arc<Mutex<Journal>>,
    store: std::path::PathBuf,
}

impl Disk {
    pub fn between(
        scratch: &Scratch,
        plan: Plan,
        journal: &Arc<Mutex<Journal>>,
    ) -> impl FnOnce(Files) -> Box<dyn Medium> {
        let (store, journal) = (scratch.store(), Arc::clone(journal));
        move |files| Box::new(Self { files, plan, journal, store })
    }

    /// Counts a call; tells whether it fails and whether it is the first that does.
    fn strikes(&self) -> Option<Strike> {
        let mut journal = self.journal.lock().unwrap();
        let call = journal.calls;
        journal.calls += 1;
        let behind = call.checked_sub(self.plan.at)?;
        (behind < self.plan.fails).then_some(Strike { is_first: behind == 0 })
    }

    fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.plan.errno)
    }

    fn refuse(&self, name: &str, action: &'static str) -> StoreError {
        StoreError::Io { path: name.into(), action, source: self.error() }
    }

    fn note(&self, bytes: &[u8]) {
        let mut journal = self.journal.lock().unwrap();
        let current = journal.current.clone();
        journal.segments.entry(current).or_default().bytes.extend_from_slice(bytes);
    }
}

struct Strike {
    is_first: bool,
}

impl Medium for Disk {
    fn begin(&mut self, name: &str) -> Result<(), StoreError> {
        let strike = self.strikes();
        let made = match strike {
            Some(Strike { is_first }) => {
                if is_first && !matches!(self.plan.partial, Partial::Nothing) {
                    self.files.begin(name)?;
                    self.journal.lock().unwrap().segments.entry(name.to_owned()).or_default();
                }
                return Err(self.refuse(name, "making a segment"));
            }
            None => self.files.begin(name),
        };
        let mut journal = self.journal.lock().unwrap();
        journal.current = name.to_owned();
        journal.segments.entry(name.to_owned()).or_default();
        made
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(Strike { is_first }) = self.strikes() else {
            let taken = self.files.append(&bytes[..bytes.len().min(self.plan.chunk)])?;
            self.note(&bytes[..taken]);
            return Ok(taken);
        };
        if is_first {
            let reaches = &bytes[..self.plan.partial.of(bytes.len())];
            self.files.append(reaches)?;
            self.note(reaches);
        }
        Err(self.error())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.strikes().is_some() {
            return Err(self.error());
        }
        self.files.sync()?;
        let mut journal = self.journal.lock().unwrap();
        let current = journal.current.clone();
        let written = journal.segments.entry(current).or_default();
        written.synced = written.bytes.len();
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        if self.strikes().is_some() {
            return Err(self.error());
        }
        self.files.sync_directory()?;
        let mut journal = self.journal.lock().unwrap();
        journal.segments.values_mut().for_each(|written| written.is_named = true);
        journal.removed.clear();
        Ok(())
    }

    fn fix(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(Strike { is_first }) = self.strikes() else { return self.files.fix(name, bytes) };
        if is_first {
            let path = self.store.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &bytes[..self.plan.partial.of(bytes.len())]).unwrap();
            self.journal.lock().unwrap().unfinished = Some((name.to_owned(), bytes.to_vec()));
        }
        Err(self.refuse(name, "writing"))
    }

    fn seal(&mut self, name: &str) -> Result<(), StoreError> {
        if self.strikes().is_some() {
            return Err(self.refuse(name, "sealing"));
        }
        self.files.seal(name)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if self.strikes().is_some() {
            return Err(self.refuse(name, "removing"));
        }
        // One that is gone already is removed again after a crash.
        if let Ok(bytes) = std::fs::read(self.store.join(name)) {
            self.journal.lock().unwrap().removed.push((name.to_owned(), bytes));
        }
        self.files.remove(name)
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    pub fn flips(&mut self) -> bool {
        self.roll(2) == 0
    }
}

/// Takes away from a store what a power cut can take away. Its recorder is gone.
pub fn cut_power(scratch: &Scratch, journal: &Journal, dice: &mut Dice) {
    for (name, written) in &journal.segments {
        let path = scratch.store().join(name);
        if !path.exists() {
            continue;
        }
        if !written.is_named && dice.flips() {
            std::fs::remove_file(&path).unwrap();
            continue;
        }
        std::fs::write(&path, survives(&written.bytes, written.synced, dice)).unwrap();
    }
    for (name, bytes) in &journal.removed {
        if dice.flips() {
            let path = scratch.store().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
        }
    }
    if let Some((name, bytes)) = &journal.unfinished {
        lose_tile(&scratch.store().join(name), bytes, dice);
    }
}

/// What is left of a file whose first `synced` bytes are durable.
fn survives(bytes: &[u8], synced: usize, dice: &mut Dice) -> Vec<u8> {
    let rest = bytes.len() - synced;
    let length = match dice.roll(3) {
        0 => bytes.len(),
        1 => synced,
        _ => synced + dice.roll(rest + 1),
    };
    let mut left = bytes[..length].to_vec();
    // How many blocks of sixteen are lost.
    let rate = [0, 2, 8, 14, 16][dice.roll(5)];
    let mut start = synced;
    while start < length {
        let end = (start + 1).next_multiple_of(BLOCK).min(length);
        if dice.roll(16) < rate {
            left[start..end].fill(0);
        }
        start = end;
    }
    left
}

fn lose_tile(path: &Path, bytes: &[u8], dice: &mut Dice) {
    if dice.roll(4) == 0 {
        std::fs::remove_file(path).unwrap();
        if dice.flips() {
            // The folders are left, or not.
            let _ = std::fs::remove_dir(path.parent().unwrap());
        }
        return;
    }
    std::fs::write(path, survives(bytes, 0, dice)).unwrap();
}
