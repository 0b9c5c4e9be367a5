//! Secrets that are told by their surroundings or by their own form: URLs, headers, members, statements, tokens, keys.

use regex::bytes::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::command::is_worth;
use super::name;
use super::span::{Rule, Spans};

/// What is looked for. The secret is the first group that took part, not counting `name`.
const SHAPES: &[(Rule, &str)] = &[
    (Rule::Url, r#"(?i)[a-z][a-z0-9+.-]*://[^\s/:@"'<>?#]*:([^\s/"'<>]+)@"#),
    (
        Rule::Header,
        r#"(?i)authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|token|digest|negotiate|ntlm|apikey|api-key|hawk|oauth|bot|key|aws4-hmac-sha256)\s+([^\s"'\\][^"'\\\r\n]*)|([^\s"'\\]{8,})(?:["'\\]|\s*$))"#,
    ),
    (
        Rule::Header,
        r#"(?i)(?:^|["']|-H|--header=)(?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)+)\s*:\s*([^\s"'\\]+)(?:["'\\]|\s*$)"#,
    ),
    (Rule::Header, r#"(?i)(?:^|["']|-H|--header=)(?:set-)?cookie\s*:\s*([^\s"'\\][^"'\\\r\n]*)"#),
    (
        Rule::Member,
        r#"(?s)["'](?P<name>[\w.-]+)\\?["']\s*(?::|=>)\s*(?:"((?:[^"\\]|\\.)*)|'((?:[^'\\]|\\.)*)|\\"((?:[^"\\]|\\[^"])*))"#,
    ),
    (
        Rule::Sql,
        r#"(?is)\b(?:identified\s+(?:with\s+\S+\s+)?by(?:\s+password)?|(?:user|role)\s[^;'"]*?\bpassword|set\s+password\b[^;=]*=(?:\s*password\s*\()?)\s*\\?["']((?:[^"'\\]|\\.)*)"#,
    ),
    (
        Rule::Token,
        r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b|xox[abeoprs]-[A-Za-z0-9-]{10,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|sk-[\w-]{32,}|hvs\.[\w-]{24,}|AGE-SECRET-KEY-1[A-Z0-9]{50,}|eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*)",
    ),
    (Rule::PrivateKey, r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*?)(?:-----END|$)"),
];

/// The same where the probe cut the argument off, so that the end of the form is missing.
const CUT_SHAPES: &[(Rule, &str)] = &[
    (Rule::Url, r#"(?i)[a-z][a-z0-9+.-]*://[^\s/:@"'<>?#]*:([^\s/"'<>]*[^\s/"'<>0-9][^\s/"'<>]*)$"#),
    (
        Rule::Token,
        r"\b(gh[pousr]_\w*|github_pat_\w*|glpat-[\w-]*|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]*|xox[abeoprs]-[A-Za-z0-9-]*|[sr]k_(?:live|test)_\w*|AIza[\w-]*|npm_\w*|pypi-[\w-]*|sk-[\w-]*|hvs\.[\w-]*|AGE-SECRET-KEY-1\w*|eyJ[\w.-]*)$",
    ),
];

/// The compiled shapes.
#[derive(Clone, Debug)]
pub(super) struct Shapes {
    set: RegexSet,
    shapes: Vec<(Rule, Regex)>,
    cut: Vec<(Rule, Regex)>,
}

impl Shapes {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let compile = |shapes: &[(Rule, &str)]| {
            shapes
                .iter()
                .map(|(rule, text)| Ok((*rule, of_bytes(text)?)))
                .collect::<Result<Vec<_>, regex::Error>>()
        };
        let texts = SHAPES.iter().map(|(_, text)| text);
        let set = RegexSetBuilder::new(texts).unicode(false).build()?;
        Ok(Self { set, shapes: compile(SHAPES)?, cut: compile(CUT_SHAPES)? })
    }

    /// Notes what is in an argument. `is_cut`: its end may be missing.
    pub(super) fn look(
        &self,
        spans: &mut Spans,
        argument: usize,
        text: &[u8],
        (is_shell, is_cut): (bool, bool),
    ) {
        let found = self.set.matches(text);
        let shapes = found.iter().filter_map(|index| self.shapes.get(index));
        let cut = self.cut.iter().filter(|_| is_cut);
        for (rule, regex) in shapes.chain(cut) {
            for captures in regex.captures_iter(text) {
                note(spans, argument, text, (*rule, &captures, is_shell));
            }
        }
    }
}

/// A pattern over bytes: a secret need not be UTF-8.
fn of_bytes(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).build()
}

fn note(
    spans: &mut Spans,
    argument: usize,
    text: &[u8],
    (rule, captures, is_shell): (Rule, &Captures<'_>, bool),
) {
    let name = captures.name("name");
    if name.is_some_and(|name| !name::is_secret(name.as_bytes())) {
        return;
    }
    let groups = captures.iter().skip(1 + usize::from(name.is_some())).flatten();
    let Some(secret) = groups.into_iter().next() else { return };
    if !is_worth(secret.as_bytes(), is_shell) {
        return;
    }
    // A header that is all of its argument ends with it, whatever quotes are inside.
    let is_whole = rule == Rule::Header && !is_shell && captures.get(0).is_some_and(|all| all.start() == 0);
    let end = if is_whole { text.len() } else { secret.end() };
    spans.add(argument, (secret.start(), end), rule);
}
