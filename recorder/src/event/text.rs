//! Text in JSON and on terminals. Bytes of the recorded host can be anything; JSON holds them through one reversible
//! escape, and a terminal never gets a byte that could steer it.
//!
//! Escape: a byte `b` (0x80 to 0xFF) that is not part of valid UTF-8 becomes the character U+10FF00 + b. The characters
//! U+10FF80 to U+10FFFF themselves, when they really occur, are written byte by byte in the same way.

use std::borrow::Cow;
use std::fmt::Write as _;

/// First character that stands for a byte; the last is `char::MAX`.
const FIRST: u32 = 0x0010_FF80;
/// Added to a byte to get its character.
const PLANE: u32 = 0x0010_FF00;

/// Appends `bytes` as a JSON string with its quotes.
pub fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let plain = plain_prefix(bytes);
    let (head, rest) = bytes.split_at_checked(plain).unwrap_or((bytes, &[]));
    out.extend_from_slice(head);
    if !rest.is_empty() {
        push_json_rest(out, rest);
    }
    out.push(b'"');
}

/// Length of the leading part that JSON takes as it is: printable ASCII without `"` and `\`.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Sets the high bit of (at least the lowest) bytes that are zero.
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let (words, _) = bytes.as_chunks::<8>();
    let mut clean = 0;
    for word in words {
        let word = u64::from_ne_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let marked = word & HIGH
            | below_space
            | zero(word ^ (ONES * 0x22))
            | zero(word ^ (ONES * 0x5c))
            | zero(word ^ (ONES * 0x7f));
        if marked != 0 {
            break;
        }
        clean += 8;
    }
    let tail = bytes.get(clean..).unwrap_or_default();
    clean + tail.iter().take_while(|&&byte| is_plain(byte)).count()
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

#[cold]
fn push_json_rest(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_json_char(out, character);
        }
        for &byte in chunk.invalid() {
            push_char(out, of_byte(byte));
        }
    }
}

fn push_json_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if character.is_control() => {
            const DIGITS: [u8; 16] = *b"0123456789abcdef";
            let digit = |shift: u32| {
                DIGITS.get((u32::from(character) >> shift & 15) as usize).copied().unwrap_or(b'0')
            };
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digit(4), digit(0)]);
        }
        _ if u32::from(character) >= FIRST => {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                push_char(out, of_byte(byte));
            }
        }
        _ => push_char(out, character),
    }
}

fn push_char(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The character that stands for a byte of 0x80 and above.
fn of_byte(byte: u8) -> char {
    char::from_u32(PLANE + u32::from(byte)).unwrap_or(char::MAX)
}

/// The byte that a character stands for.
fn to_byte(character: char) -> Option<u8> {
    u32::from(character)
        .checked_sub(PLANE)
        .and_then(|byte| u8::try_from(byte).ok())
        .filter(|&byte| byte >= 0x80)
}

/// Whether a text holds a character that stands for a byte. Only they begin with these two bytes in UTF-8, apart from
/// a few neighbours that decode to themselves.
fn has_escape(text: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), b"\xf4\x8f").is_some()
}

/// The escaped form of bytes, as it stands inside a parsed JSON string.
#[must_use]
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if !has_escape(text) => Cow::Borrowed(text),
        _ => {
            let mut text = String::with_capacity(bytes.len() + 16);
            for chunk in bytes.utf8_chunks() {
                for character in chunk.valid().chars() {
                    if u32::from(character) >= FIRST {
                        text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(of_byte));
                    } else {
                        text.push(character);
                    }
                }
                text.extend(chunk.invalid().iter().map(|&byte| of_byte(byte)));
            }
            Cow::Owned(text)
        }
    }
}

/// The bytes behind an escaped text: the inverse of [`escape`].
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !has_escape(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match to_byte(character) {
            Some(byte) => bytes.push(byte),
            None => push_char(&mut bytes, character),
        }
    }
    Cow::Owned(bytes)
}

/// An escaped text in the form that may go to a terminal: bytes that are not UTF-8 as `\xNN`, control, bidi and
/// invisible characters as `\u{N}` (`\n`, `\r`, `\t`, `\xNN` below U+0080), and `\` doubled so that all can be told
/// apart.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'\\') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_printable(&mut shown, character);
    }
    Cow::Owned(shown)
}

fn push_printable(shown: &mut String, character: char) {
    let number = u32::from(character);
    // Writing to a String can't fail.
    let _ = match (character, to_byte(character)) {
        (_, Some(byte)) => write!(shown, "\\x{byte:02x}"),
        ('\\', _) => write!(shown, "\\\\"),
        ('\n', _) => write!(shown, "\\n"),
        ('\r', _) => write!(shown, "\\r"),
        ('\t', _) => write!(shown, "\\t"),
        _ if number < 0x80 && character.is_control() => write!(shown, "\\x{number:02x}"),
        _ if character.is_control() || is_invisible(number) => write!(shown, "\\u{{{number:x}}}"),
        _ => {
            shown.push(character);
            Ok(())
        }
    };
}

/// Bidi controls and characters without a glyph, which make one text look like another.
const fn is_invisible(number: u32) -> bool {
    matches!(number,
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e
        | 0x2060..=0x206f | 0x3164 | 0xfeff | 0xffa0 | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_json(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    /// Bytes rich in what matters: quotes, controls, broken and private-plane UTF-8.
    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|character| character.to_string().into_bytes()),
            (0x0010_FF00u32..=0x0010_FFFF)
                .prop_map(|number| char::from_u32(number).unwrap().to_string().into_bytes()),
            "[ -~]{0,20}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in nasty()) {
            let text = escape(&bytes);
            prop_assert_eq!(&*unescape(&text), &*bytes);
        }

        #[test]
        fn json_is_valid_and_holds_the_escape(bytes in nasty()) {
            let parsed: String = serde_json::from_str(&json(&bytes)).unwrap();
            prop_assert_eq!(&parsed, &*escape(&bytes));
            prop_assert!(!json(&bytes).chars().any(char::is_control));
        }

        #[test]
        fn terminals_get_no_controls(bytes in nasty()) {
            let text = escape(&bytes);
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() || u32::from(c) >= FIRST || is_invisible(u32::from(c))));
        }
    }

    #[test]
    fn every_byte_is_kept_where_words_of_eight_begin_and_end() {
        for byte in 0..=u8::MAX {
            for before in 0..20 {
                let mut bytes = vec![b'a'; before];
                bytes.push(byte);
                bytes.extend_from_slice(b"bcdefghijklm");
                let parsed: String = serde_json::from_str(&json(&bytes)).unwrap();
                assert_eq!(*unescape(&parsed), *bytes);
            }
        }
    }

    #[test]
    fn the_escape_is_the_documented_one() {
        assert_eq!(json(b"caf\xe9"), "\"caf\u{10FFE9}\"");
        assert_eq!(json("\u{10FF80}".as_bytes()), "\"\u{10FFF4}\u{10FF8F}\u{10FFBE}\u{10FF80}\"");
        assert_eq!(json("\u{10FF7F}é".as_bytes()), "\"\u{10FF7F}é\"");
        assert_eq!(json(b"a\"b\\c\n\x1b\x7f\xc2\x9b"), r#""a\"b\\c\n\u001b\u007f\u009b""#);
        assert_eq!(printable("\u{10FFE9}\u{1b}[2J\u{202e}é\\\n"), r"\xe9\x1b[2J\u{202e}é\\\n");
    }
}
