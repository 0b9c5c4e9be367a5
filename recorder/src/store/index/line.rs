//! Event lines taken apart without parsing JSON, in the form in which the recorder writes them.
//!
//! What is taken for a line of that form and is JSON has the members that a JSON parser sees. Lines of another form are
//! not wrong: [`super::keys`] only can't say what is in them.

/// The members of one line, from the first on.
pub(super) struct Members<'l> {
    rest: &'l [u8],
}

/// A member of a line.
pub(super) struct Member<'l> {
    pub name: &'l [u8],
    pub value: Value<'l>,
    /// Nothing follows it.
    pub is_last: bool,
}

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'l> {
    /// The bytes between the quotes.
    Text(Text<'l>),
    /// A number or a word.
    Atom(&'l [u8]),
    /// A list without lists in it.
    List,
}

/// The bytes between the quotes of a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'l> {
    pub raw: &'l [u8],
    /// There is a backslash in it.
    pub is_escaped: bool,
}

impl<'l> Members<'l> {
    /// The members of a line without its newline; `None` when it does not begin as the recorder's lines do.
    pub(super) fn of(line: &'l [u8]) -> Option<Self> {
        line.strip_prefix(b"{").map(|rest| Self { rest })
    }

    /// What was not taken yet: members, the first at the front.
    pub(super) const fn rest(&self) -> &'l [u8] {
        self.rest
    }

    /// Passes over members whose bytes, with the comma behind the last one, are known.
    pub(super) fn skip(&mut self, known: &[u8]) -> bool {
        match self.rest.strip_prefix(known) {
            Some(rest) if !known.is_empty() => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the next member; `None` when the line is not of the recorder's form.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Member<'l>> {
        let (name, rest) = text(self.rest.strip_prefix(b"\"")?)?;
        if name.is_escaped {
            return None;
        }
        let (value, rest) = value(rest.strip_prefix(b":")?)?;
        let (is_last, rest) = match rest.split_first()? {
            (b',', rest) => (false, rest),
            (b'}', []) => (true, &[][..]),
            _ => return None,
        };
        self.rest = rest;
        Some(Member { name: name.raw, value, is_last })
    }
}

#[inline]
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    match bytes.split_first()? {
        (b'"', rest) => text(rest).map(|(text, rest)| (Value::Text(text), rest)),
        (b'[', rest) => Some((Value::List, list(rest)?)),
        _ => atom(bytes).map(|(atom, rest)| (Value::Atom(atom), rest)),
    }
}

/// What is behind a list, whose bracket is taken already.
fn list(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest.split_first()? {
            (b']', behind) => return Some(behind),
            (b',' | b':' | b'{' | b'}', behind) => behind,
            (b'"', behind) => text(behind)?.1,
            _ => atom(rest)?.1,
        };
    }
}

/// Letters, digits and what else numbers have; at least one of them.
#[inline]
fn atom(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_other = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.');
    let length = bytes.iter().position(is_other)?;
    bytes.split_at_checked(length).filter(|_| length > 0)
}

/// A text up to its closing quote, and what is behind that; the opening quote is taken already.
#[inline]
fn text(bytes: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let mut length = 0;
    let mut is_escaped = false;
    loop {
        let rest = bytes.get(length..)?;
        let found = quote_or_backslash(rest)?;
        length += found;
        if bytes.get(length) == Some(&b'"') {
            let (raw, rest) = bytes.split_at_checked(length)?;
            return Some((Text { raw, is_escaped }, rest.get(1..)?));
        }
        is_escaped = true;
        length += 2;
    }
}

/// Offset of the first quote or backslash.
#[inline]
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Sets the high bit of the lowest byte that is zero, and maybe of some above it.
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let marked = zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c));
        if marked != 0 {
            return Some(index * 8 + (marked.trailing_zeros() / 8) as usize);
        }
    }
    let found = tail.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + found)
}
