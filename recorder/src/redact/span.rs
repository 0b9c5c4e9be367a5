//! Where secrets are in a command line, and which rule found them.

/// Why something was blanked. The words are those of docs/events.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The word behind `--password`, `--token` and the like.
    Option,
    /// `NAME=VALUE`, as an option too.
    Assignment,
    /// A short option of a program that is known here.
    Program,
    /// The password of a URL.
    Url,
    /// An HTTP header.
    Header,
    /// `"name": "value"`.
    Member,
    /// `IDENTIFIED BY '...'`.
    Sql,
    /// A token that can be told by its form.
    Token,
    /// A block of a private key.
    PrivateKey,
    /// A pattern of the configuration.
    Pattern,
}

impl Rule {
    /// The word in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Assignment => "assignment",
            Self::Program => "program",
            Self::Url => "url",
            Self::Header => "header",
            Self::Member => "member",
            Self::Sql => "sql",
            Self::Token => "token",
            Self::PrivateKey => "private_key",
            Self::Pattern => "pattern",
        }
    }
}

/// Bytes of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) argument: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: Rule,
}

/// What the rules found so far.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// Notes bytes of an argument; nothing for an empty range.
    pub(super) fn add(&mut self, argument: usize, (start, end): (usize, usize), rule: Rule) {
        if start < end {
            self.0.push(Span { argument, start, end, rule });
        }
    }

    /// In order, each byte once: what overlaps becomes one, under the rule that began first.
    pub(super) fn merged(mut self) -> Vec<Span> {
        self.0.sort_by_key(|span| (span.argument, span.start, usize::MAX - span.end, span.rule));
        let mut merged: Vec<Span> = Vec::with_capacity(self.0.len());
        for span in self.0 {
            match merged.last_mut() {
                Some(last) if last.argument == span.argument && span.start < last.end => {
                    last.end = last.end.max(span.end);
                }
                _ => merged.push(span),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_becomes_one() {
        let mut spans = Spans::default();
        for (argument, range, rule) in [
            (1, (5, 9), Rule::Token),
            (0, (2, 4), Rule::Url),
            (1, (3, 6), Rule::Option),
            (1, (9, 9), Rule::Header),
            (1, (9, 12), Rule::Header),
            (0, (2, 8), Rule::Assignment),
        ] {
            spans.add(argument, range, rule);
        }
        let found: Vec<_> = spans.merged().iter().map(|s| (s.argument, s.start, s.end, s.rule)).collect();
        assert_eq!(found, [(0, 2, 8, Rule::Assignment), (1, 3, 9, Rule::Option), (1, 9, 12, Rule::Header)]);
    }
}
