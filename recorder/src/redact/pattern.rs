//! Patterns of the configuration: regular expressions over the command line, each with a group named `secret`.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use zeroize::Zeroizing;

use super::span::{Rule, Spans};

/// Most patterns in force at once: each costs time for every program start.
pub const PATTERNS_MAX: usize = 64;
/// Longest pattern, bytes.
pub const PATTERN_MAX: usize = 1000;
/// Largest compiled pattern, bytes: `.{1000}{1000}` is short and would fill the memory.
const COMPILED_MAX: usize = 1 << 20;
/// The group that is blanked.
const GROUP: &str = "secret";

/// What is wrong with a pattern.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Too many.
    #[error("{0} patterns are too many: at most {PATTERNS_MAX}")]
    Count(usize),
    /// One is too long.
    #[error("pattern {number} has {length} bytes: at most {PATTERN_MAX}")]
    Length {
        /// Place in the list, from 1.
        number: usize,
        /// Its length.
        length: usize,
    },
    /// One is no regular expression.
    #[error("pattern {number}, `{pattern}`: {why}")]
    Syntax {
        /// Place in the list, from 1.
        number: usize,
        /// The pattern.
        pattern: String,
        /// What the library said, on one line.
        why: String,
    },
    /// One does not say what to blank.
    #[error("pattern {number}, `{pattern}`: it has no group (?P<{GROUP}>...) that says what to blank")]
    Group {
        /// Place in the list, from 1.
        number: usize,
        /// The pattern.
        pattern: String,
    },
}

/// The compiled patterns.
#[derive(Clone, Debug)]
pub struct Patterns {
    set: RegexSet,
    patterns: Vec<Regex>,
}

impl Patterns {
    /// Compiles them. They are over bytes: `\S`, `.` and the like match any, `\w` and `\d` are ASCII.
    ///
    /// # Errors
    /// With the first one that is not in order.
    pub fn compile(patterns: &[String]) -> Result<Self, PatternError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(PatternError::Count(patterns.len()));
        }
        let one_by_one = patterns.iter().zip(1..).map(|(pattern, number)| compile(number, pattern));
        let compiled = one_by_one.collect::<Result<Vec<_>, _>>()?;
        let set = RegexSetBuilder::new(patterns)
            .unicode(false)
            .size_limit(COMPILED_MAX * PATTERNS_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build()
            .map_err(|error| syntax(0, "all together", &error))?;
        Ok(Self { set, patterns: compiled })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Notes what they find in the command line: all arguments, with one space between them.
    pub(super) fn look(&self, spans: &mut Spans, argv: &[impl AsRef<[u8]>]) {
        // Holds what may be secret, so it is wiped.
        let length = argv.iter().map(|argument| argument.as_ref().len() + 1).sum();
        let mut line = Zeroizing::new(Vec::with_capacity(length));
        for argument in argv {
            line.extend_from_slice(argument.as_ref());
            line.push(b' ');
        }
        line.pop();
        for pattern in self.set.matches(&line).iter().filter_map(|index| self.patterns.get(index)) {
            for captures in pattern.captures_iter(&line) {
                if let Some(secret) = captures.name(GROUP) {
                    split(spans, argv, (secret.start(), secret.end()));
                }
            }
        }
    }
}

/// A range of the whole line becomes ranges of the arguments that it touches.
fn split(spans: &mut Spans, argv: &[impl AsRef<[u8]>], (start, end): (usize, usize)) {
    let mut begin = 0;
    for (index, argument) in argv.iter().enumerate() {
        let length = argument.as_ref().len();
        let inside = |at: usize| at.saturating_sub(begin).min(length);
        spans.add(index, (inside(start), inside(end)), Rule::Pattern);
        begin += length + 1;
    }
}

fn compile(number: usize, pattern: &str) -> Result<Regex, PatternError> {
    if pattern.len() > PATTERN_MAX {
        return Err(PatternError::Length { number, length: pattern.len() });
    }
    let mut builder = RegexBuilder::new(pattern);
    let regex = builder
        .unicode(false)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .build()
        .map_err(|error| syntax(number, pattern, &error))?;
    if regex.capture_names().flatten().any(|name| name == GROUP) {
        return Ok(regex);
    }
    Err(PatternError::Group { number, pattern: pattern.to_owned() })
}

fn syntax(number: usize, pattern: &str, error: &regex::Error) -> PatternError {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last).to_owned();
    PatternError::Syntax { number, pattern: pattern.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[&str], argv: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let mut spans = Spans::default();
        Patterns::compile(&patterns).unwrap().look(&mut spans, argv);
        let text = |span: &super::super::span::Span| {
            format!("{}:{}", span.argument, &argv[span.argument][span.start..span.end])
        };
        spans.merged().iter().map(text).collect()
    }

    fn refusal(patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Patterns::compile(&patterns).unwrap_err().to_string()
    }

    #[test]
    fn a_pattern_reaches_over_arguments() {
        assert_eq!(found(&["--pin (?P<secret>[0-9]+)"], &["x", "--pin", "1234"]), ["2:1234"]);
        assert_eq!(found(&["a(?P<secret>b c)d"], &["ab", "cd"]), ["0:b", "1:c"]);
        assert_eq!(found(&["(?P<secret>x+)", "(?<secret>y)"], &["axxb", "", "y"]), ["0:xx", "2:y"]);
        assert_eq!(
            found(&["(?P<secret>z*)"], &["ab"]),
            Vec::<String>::new(),
            "an empty match blanks nothing"
        );
        assert_eq!(found(&[], &["ab"]), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        assert_eq!(refusal(&["(?P<secret>a)", "(?P<secret>"]), "pattern 2, `(?P<secret>`: unclosed group");
        assert_eq!(
            refusal(&["pin"]),
            "pattern 1, `pin`: it has no group (?P<secret>...) that says what to blank"
        );
        assert_eq!(refusal(&["a"; 65]), "65 patterns are too many: at most 64");
        assert_eq!(refusal(&[&"a".repeat(1001)]), "pattern 1 has 1001 bytes: at most 1000");
        let huge = refusal(&["(?P<secret>.{1000}){1000}"]);
        assert!(huge.contains("size limit"), "{huge}");
    }
}
