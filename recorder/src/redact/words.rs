//! Words of a command line: arguments as the kernel has them, and those of shell text inside an argument.

/// One word. Quotes around it, in shell text, are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Argument that it is in.
    pub(super) argument: usize,
    /// Where it begins there.
    pub(super) start: usize,
    /// Its bytes.
    pub(super) text: &'a [u8],
}

impl Word<'_> {
    /// The range in the argument of what is behind the first `skipped` bytes, without quotes around it.
    pub(super) fn behind(&self, skipped: usize) -> (usize, usize) {
        let value = self.text.get(skipped..).unwrap_or_default();
        let (start, end) = (self.start + skipped, self.start + self.text.len());
        match value {
            [quote @ (b'"' | b'\''), .., last] if quote == last => (start + 1, end - 1),
            [b'"' | b'\'', ..] => (start + 1, end),
            _ => (start, end),
        }
    }

    /// Whether it holds white space, so that it may be a text with words of its own.
    pub(super) fn is_text(&self) -> bool {
        self.text.iter().any(u8::is_ascii_whitespace)
    }
}

/// The words of shell text that begins at `start` of an argument: split at white space and at operators, both outside
/// of quotes. Good enough to find options in it; expansions are left as they stand.
pub(super) fn of_shell(argument: usize, start: usize, text: &[u8]) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut begin, mut quote, mut escaped) = (None, None, false);
    for (at, &byte) in text.iter().enumerate() {
        let ends = quote.is_none() && !escaped && is_end(byte);
        match (begin, ends) {
            (Some(from), true) => {
                words.extend(word(argument, start, text, (from, at)));
                begin = None;
            }
            (None, false) => begin = Some(at),
            _ => {}
        }
        if escaped {
            escaped = false;
        } else if byte == b'\\' && quote != Some(b'\'') {
            escaped = true;
        } else if quote == Some(byte) {
            quote = None;
        } else if quote.is_none() && matches!(byte, b'"' | b'\'') {
            quote = Some(byte);
        }
    }
    words.extend(begin.and_then(|from| word(argument, start, text, (from, text.len()))));
    words
}

/// White space and operators.
pub(super) const fn is_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')' | b'`')
}

/// The word in a range; without the quotes when they enclose all of it.
fn word(argument: usize, start: usize, text: &[u8], (from, to): (usize, usize)) -> Option<Word<'_>> {
    let raw = text.get(from..to)?;
    match raw {
        [quote @ (b'"' | b'\''), inside @ .., last] if quote == last && !has_end(inside, *quote) => {
            Some(Word { argument, start: start + from + 1, text: inside })
        }
        _ => Some(Word { argument, start: start + from, text: raw }),
    }
}

/// Whether a quote ends inside of a text; one behind a backslash does not end it.
fn has_end(inside: &[u8], quote: u8) -> bool {
    inside.first() == Some(&quote)
        || inside.windows(2).any(|pair| matches!(pair, [b, q] if *b != b'\\' && *q == quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(usize, &str)> {
        let words = of_shell(3, 10, text.as_bytes());
        assert!(words.iter().all(|word| word.argument == 3));
        words.iter().map(|word| (word.start, str::from_utf8(word.text).unwrap())).collect()
    }

    #[test]
    fn words_end_at_space_and_operators_outside_of_quotes() {
        assert_eq!(words("a  'b c' d"), [(10, "a"), (14, "b c"), (19, "d")]);
        assert_eq!(words("cd /x&&y;z|w"), [(10, "cd"), (13, "/x"), (17, "y"), (19, "z"), (21, "w")]);
        assert_eq!(words(r#"a="b c" e\ f "g\"h""#), [(10, r#"a="b c""#), (18, r"e\ f"), (24, r#"g\"h"#)]);
        assert_eq!(words("'not closed "), [(10, "'not closed ")]);
        assert_eq!(words(" \n"), []);
    }

    #[test]
    fn a_value_is_without_its_quotes() {
        let word = |text: &'static str| Word { argument: 0, start: 5, text: text.as_bytes() };
        assert_eq!(word("-pabc").behind(2), (7, 10));
        assert_eq!(word("-p'abc'").behind(2), (8, 11));
        assert_eq!(word("-p'abc").behind(2), (8, 11));
        assert_eq!(word("-p").behind(2), (7, 7));
        assert_eq!(word("-p'").behind(2), (8, 8));
    }
}
