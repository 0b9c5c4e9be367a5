//! Payloads: event lines as exactly one zstd frame with content size and checksum.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{self, CParameter};

use super::format::{FormatError, MAX_RAW};

const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Single segment and checksum; no dictionary, no reserved bit. The upper two bits tell the size of the size.
const DESCRIPTOR_MASK: u8 = 0b0011_1111;
const DESCRIPTOR: u8 = 0b0010_0100;
/// Window of 1 MiB, so that the window is never smaller than the content and zstd writes a single segment.
const WINDOW_LOG: u32 = MAX_RAW.ilog2();

/// Compresses event lines; keeps its context and buffer between frames.
pub struct Packer {
    compressor: Compressor<'static>,
    payload: Vec<u8>,
}

impl Packer {
    /// Prepares compression at a zstd level.
    ///
    /// # Errors
    /// When zstd does not know the level or has no memory.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut compressor = Compressor::new(level)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
        compressor.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        Ok(Self { compressor, payload: Vec::new() })
    }

    /// The payload that holds `lines`.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn pack(&mut self, lines: &[u8]) -> io::Result<&[u8]> {
        self.payload.clear();
        self.payload.reserve(zstd_safe::compress_bound(lines.len()));
        self.compressor.compress_to_buffer(lines, &mut self.payload)?;
        Ok(&self.payload)
    }

    /// Takes out what the last [`pack`](Self::pack) gave; [`reuse`](Self::reuse) saves the next one an allocation.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    /// Gives a buffer back.
    pub fn reuse(&mut self, buffer: Vec<u8>) {
        self.payload = buffer;
    }
}

/// Checks that `payload` is exactly one zstd frame as [`Packer`] writes it, of `raw_len` bytes.
///
/// # Errors
/// When it is anything else: a skippable frame, two frames, trailing bytes, another size.
pub fn check_shape(payload: &[u8], raw_len: u32) -> Result<(), FormatError> {
    let plain = payload.get(..4) == Some(&ZSTD_MAGIC)
        && payload.get(4).is_some_and(|descriptor| descriptor & DESCRIPTOR_MASK == DESCRIPTOR)
        && zstd_safe::find_frame_compressed_size(payload) == Ok(payload.len())
        && zstd_safe::get_frame_content_size(payload).ok().flatten() == Some(u64::from(raw_len));
    if plain { Ok(()) } else { Err(FormatError::PayloadShape) }
}

/// Decompresses `payload`, checked for shape first, into `into`, which it replaces.
///
/// # Errors
/// When it does not give `raw_len` bytes; `into` is empty then.
pub fn unpack(payload: &[u8], raw_len: u32, into: &mut Vec<u8>) -> Result<(), FormatError> {
    thread_local! {
        static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    into.clear();
    if raw_len > MAX_RAW {
        return Err(FormatError::Limit("the length of the events"));
    }
    check_shape(payload, raw_len)?;
    into.reserve(raw_len as usize);
    let unpacked = CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Decompressor::new().ok();
        }
        context.as_mut().is_some_and(|context| context.decompress_to_buffer(payload, into).is_ok())
    });
    if unpacked && into.len() == raw_len as usize {
        return Ok(());
    }
    into.clear();
    Err(FormatError::Decompress)
}

#[cfg(test)]
mod tests {
    use super::{Packer, check_shape, unpack};
    use crate::store::format::{FormatError, MAX_RAW};

    #[test]
    fn gives_back_what_was_packed_at_every_size() {
        let mut packer = Packer::new(1).unwrap();
        let mut out = Vec::new();
        for size in [0, 1, 100, 65_536, 300_000, MAX_RAW as usize] {
            let lines: Vec<u8> = (0..size).map(|index| (index * index % 251) as u8).collect();
            let payload = packer.pack(&lines).unwrap().to_vec();
            unpack(&payload, size as u32, &mut out).unwrap();
            assert_eq!(out, lines);
            assert_eq!(check_shape(&payload, size as u32 + 1), Err(FormatError::PayloadShape));
        }
    }

    #[test]
    fn refuses_anything_but_one_plain_frame() {
        let mut packer = Packer::new(1).unwrap();
        let good = packer.pack(b"{}\n").unwrap().to_vec();
        let skippable = [&0x184D_2A57_u32.to_le_bytes()[..], &[1, 0, 0, 0, 9]].concat();
        let without_checksum = zstd::bulk::compress(b"{}\n", 1).unwrap();
        for bad in [
            [good.clone(), skippable.clone()].concat(),
            [skippable, good.clone()].concat(),
            [good.clone(), good.clone()].concat(),
            [good.clone(), vec![0]].concat(),
            good[..good.len() - 1].to_vec(),
            without_checksum,
            Vec::new(),
        ] {
            assert_eq!(check_shape(&bad, 3), Err(FormatError::PayloadShape));
        }
    }
}
