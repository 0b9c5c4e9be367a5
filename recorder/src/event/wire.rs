//! Checked reading of a sample's bytes: every read is bounded, every refusal names the field and its offset.
//! Knows the layout of `recorder_common::sample`, not the meaning of any field.

use recorder_common::text::{TEXT_CUT, TEXT_DELETED, TEXT_FAULT, TEXT_MAX, TEXT_UNREACHABLE, Tag};

/// Why bytes from the kernel are not a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("sample ends inside {field} at offset {offset}: {needed} bytes needed, {left} left")]
    Short {
        /// Field that did not fit.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// Its length.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A field holds a number that it can't have.
    #[error("{field} at offset {offset} can't be {value}")]
    Value {
        /// Field with the bad number.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// The number.
        value: u64,
    },
    /// A text of this tag came twice.
    #[error("second text with tag {tag:?} at offset {offset}")]
    Repeated {
        /// The tag.
        tag: Tag,
        /// Where the second one begins.
        offset: usize,
    },
    /// Bytes are left over behind the last text.
    #[error("{left} bytes left over behind the last text at offset {offset}")]
    Trailing {
        /// Where they begin.
        offset: usize,
        /// How many.
        left: usize,
    },
}

/// Reads a sample from front to back.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

/// Declares one reader per integer width; a function can't be generic over `from_ne_bytes`.
macro_rules! integers {
    ($($name:ident)*) => {$(
        pub(super) fn $name(&mut self, field: &'static str) -> Result<$name, DecodeError> {
            self.array(field).map($name::from_ne_bytes)
        }
    )*};
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    integers! { u8 u16 u32 i32 u64 }

    /// Drops everything behind the first `length` bytes, counted from the start of the sample.
    pub(super) fn limit(&mut self, length: u32) -> Result<(), DecodeError> {
        let kept = usize::try_from(length).ok().and_then(|all| all.checked_sub(self.offset));
        let Some(rest) = kept.and_then(|kept| self.rest.get(..kept)) else {
            return Err(DecodeError::Value { field: "length", offset: 0, value: u64::from(length) });
        };
        self.rest = rest;
        Ok(())
    }

    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// The error for a number just read by a reader of type `T`.
    pub(super) const fn refuse<T>(&self, field: &'static str, value: u64) -> DecodeError {
        DecodeError::Value { field, offset: self.offset - size_of::<T>(), value }
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.bytes(field, N).and_then(|bytes| bytes.try_into().map_err(|_| self.short(field, N)))
    }

    pub(super) fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.short(field, count))?;
        self.rest = rest;
        self.offset += count;
        Ok(taken)
    }

    const fn short(&self, field: &'static str, needed: usize) -> DecodeError {
        DecodeError::Short { field, offset: self.offset, needed, left: self.rest.len() }
    }
}

/// One text of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// The bytes as the probe wrote them.
    pub bytes: &'a [u8],
    flags: u8,
}

impl<'a> Text<'a> {
    /// A text with the given `TEXT_*` flags.
    #[must_use]
    pub const fn new(bytes: &'a [u8], flags: u8) -> Self {
        Self { bytes, flags }
    }

    /// It was longer than there was room for.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.flags & TEXT_CUT != 0
    }

    /// The walked object has no name any more.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.flags & TEXT_DELETED != 0
    }

    /// The walk did not reach the root.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        self.flags & TEXT_UNREACHABLE != 0
    }

    /// The bytes could not be read.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        self.flags & TEXT_FAULT != 0
    }

    /// The text up to its first NUL.
    #[must_use]
    pub fn until_nul(&self) -> Self {
        let bytes = self.bytes.split(|&byte| byte == 0).next().unwrap_or(self.bytes);
        Self { bytes, flags: self.flags }
    }
}

const TAGS: usize = Tag::Root as usize + 1;
const KNOWN_FLAGS: u8 = TEXT_CUT | TEXT_DELETED | TEXT_UNREACHABLE | TEXT_FAULT;

/// The texts of one sample, by tag.
#[derive(Clone, Debug, Default)]
pub struct Texts<'a> {
    by_tag: [Option<Text<'a>>; TAGS],
}

impl<'a> Texts<'a> {
    /// Reads `count` texts and demands that nothing follows them.
    pub(super) fn read(cursor: &mut Cursor<'a>, count: u8) -> Result<Self, DecodeError> {
        let mut texts = Self::default();
        for _ in 0..count {
            let offset = cursor.offset;
            let number = cursor.u8("text tag")?;
            let tag =
                Tag::try_from(number).map_err(|number| cursor.refuse::<u8>("text tag", u64::from(number)))?;
            let flags = cursor.u8("text flags")?;
            if flags & !KNOWN_FLAGS != 0 {
                return Err(cursor.refuse::<u8>("text flags", u64::from(flags)));
            }
            let length = usize::from(cursor.u16("text length")?);
            if length > TEXT_MAX {
                return Err(cursor.refuse::<u16>("text length", length as u64));
            }
            let text = Text::new(cursor.bytes("text", length)?, flags);
            if !texts.put(tag, text) {
                return Err(DecodeError::Repeated { tag, offset });
            }
        }
        if cursor.rest.is_empty() {
            return Ok(texts);
        }
        Err(DecodeError::Trailing { offset: cursor.offset, left: cursor.rest.len() })
    }

    /// Keeps a text; false when its tag is taken.
    pub fn put(&mut self, tag: Tag, text: Text<'a>) -> bool {
        match self.by_tag.get_mut(tag as usize) {
            Some(slot @ None) => {
                *slot = Some(text);
                true
            }
            Some(Some(_)) | None => false,
        }
    }

    /// The text with this tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<Text<'a>> {
        self.by_tag.get(tag as usize).copied().flatten()
    }

    /// The bytes with this tag, unless they could not be read.
    #[must_use]
    pub fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        self.get(tag).filter(|text| !text.is_fault()).map(|text| text.bytes)
    }
}
