//! Blanks secrets in the arguments and variables of programs before an event becomes a line, so that they never reach the disk.
//!
//! In their place is [`BLANK`], with a salted commitment for each, see [`commitment`]. No rule set knows every secret;
//! docs/operations.md says what these can't catch.
#![forbid(unsafe_code)]

mod assignment;
mod command;
pub mod commitment;
mod filter;
mod name;
pub mod pattern;
mod program;
mod shape;
mod span;
mod words;

use std::borrow::Cow;

use recorder_common::sample::flag;

use crate::config;
use crate::event::{Body, Event, Exec, Redaction};
use commitment::{Place, SaltKey, commit};
use filter::Filter;
use pattern::Patterns;
use shape::Shapes;
use span::{Span, Spans};

pub use pattern::PatternError;
pub use span::Rule;

/// What stands where a secret stood.
pub const BLANK: &[u8] = b"[redacted]";
/// Most commitments in one event; what is behind them is blanked as well, without one.
pub const COMMITMENTS_MAX: usize = 32;

/// Why there is no redaction.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A pattern of the configuration.
    #[error("redact.patterns: {0}")]
    Pattern(#[from] PatternError),
    /// A rule of this program.
    #[error("a built-in rule does not compile: {0}")]
    Builtin(#[from] regex::Error),
}

/// The built-in rules.
#[derive(Clone, Debug)]
struct Builtin {
    filter: Filter,
    shapes: Shapes,
}

/// The rules in force, and the key of their commitments.
#[derive(Clone, Debug)]
pub struct Redactor {
    builtin: Option<Builtin>,
    patterns: Patterns,
    key: SaltKey,
}

impl Redactor {
    /// With the rules of a configuration, which are in force whether it says `enabled` or not.
    ///
    /// # Errors
    /// When a pattern does not compile.
    pub fn new(rules: &config::Redact, key: SaltKey) -> Result<Self, RedactError> {
        let builtin = match rules.builtin {
            true => Some(Builtin { filter: Filter::new(), shapes: Shapes::new()? }),
            false => None,
        };
        Ok(Self { builtin, patterns: Patterns::compile(&rules.patterns)?, key })
    }

    /// The event with its secrets blanked, as event number `seq`; `None` when it has none.
    #[must_use]
    pub fn redact<'a>(&self, seq: u64, event: &Event<'a>) -> Option<Event<'a>> {
        let Body::Exec(exec) = &event.body else { return None };
        // The probe's room ended inside the arguments.
        let is_cut = event.flags & flag::CUT != 0;
        let spans = self.look(exec, is_cut);
        let of_env = self.look_env(&exec.env, is_cut);
        if spans.is_empty() && of_env.is_empty() {
            return None;
        }
        let mut exec = exec.clone();
        let mut blanks = Blanks { key: &self.key, place: (seq, event.mono), is_cut, list: Vec::new() };
        blanks.put(&mut exec.argv, &spans, false);
        blanks.put(&mut exec.env, &of_env, true);
        exec.redacted = blanks.list;
        let (task, flags) = (event.task.clone(), event.flags | flag::REDACTED);
        Some(Event { task, flags, body: Body::Exec(exec), ..*event })
    }

    fn look(&self, exec: &Exec<'_>, is_cut: bool) -> Vec<Span> {
        let mut spans = Spans::default();
        // What is cut may lack the fragment that the filter looks for.
        if let Some(builtin) = &self.builtin
            && (is_cut || builtin.may_find(exec))
        {
            builtin.look(&mut spans, exec, is_cut);
        }
        if !self.patterns.is_empty() {
            self.patterns.look(&mut spans, &exec.argv);
        }
        spans.merged()
    }

    /// As `look`, for variables: there is no option and no program whose they are.
    fn look_env(&self, env: &[Cow<'_, [u8]>], is_cut: bool) -> Vec<Span> {
        let mut spans = Spans::default();
        if let Some(builtin) = &self.builtin {
            let last = env.len().saturating_sub(1);
            for (index, variable) in env.iter().enumerate() {
                assignment::look(&mut spans, index, variable, false);
                builtin.shapes.look(&mut spans, index, variable, (false, is_cut && index == last));
            }
        }
        if !self.patterns.is_empty() {
            self.patterns.look(&mut spans, env);
        }
        spans.merged()
    }
}

/// The blanks of one event, while they are put in.
struct Blanks<'k> {
    key: &'k SaltKey,
    /// Number and time of the event.
    place: (u64, u64),
    is_cut: bool,
    list: Vec<Redaction>,
}

impl Blanks<'_> {
    /// Puts [`BLANK`] in place of each span and its commitment into the list.
    fn put(&mut self, texts: &mut [Cow<'_, [u8]>], spans: &[Span], is_env: bool) {
        let last = texts.len().saturating_sub(1);
        for of_one in spans.chunk_by(|a, b| a.argument == b.argument) {
            let Some(argument) = of_one.first().map(|span| span.argument) else { continue };
            let Some(text) = texts.get_mut(argument) else { continue };
            let (mut blanked, mut kept) = (Vec::with_capacity(text.len() + BLANK.len()), 0);
            for span in of_one {
                blanked.extend_from_slice(text.get(kept..span.start).unwrap_or_default());
                let index = self.list.len();
                if index < COMMITMENTS_MAX {
                    let (seq, mono) = self.place;
                    let place = Place { seq, mono, index: u32::try_from(index).unwrap_or(u32::MAX) };
                    let secret = text.get(span.start..span.end).unwrap_or_default();
                    self.list.push(Redaction {
                        argument: u32::try_from(argument).unwrap_or(u32::MAX),
                        is_env,
                        at: u32::try_from(blanked.len()).unwrap_or(u32::MAX),
                        rule: span.rule.name(),
                        is_cut: self.is_cut && argument == last && span.end == text.len(),
                        key: self.key.id(),
                        commitment: commit(&self.key.salt(place), secret),
                    });
                }
                blanked.extend_from_slice(BLANK);
                kept = span.end;
            }
            blanked.extend_from_slice(text.get(kept..).unwrap_or_default());
            *text = Cow::Owned(blanked);
        }
    }
}

impl Builtin {
    /// Whether any rule can find something; false for most programs.
    fn may_find(&self, exec: &Exec<'_>) -> bool {
        self.filter.trips(exec.file) || exec.argv.iter().any(|argument| self.filter.trips(argument))
    }

    fn look(&self, spans: &mut Spans, exec: &Exec<'_>, is_cut: bool) {
        let shell = command::Command::look(spans, exec.file, &exec.argv);
        let last = exec.argv.len().saturating_sub(1);
        for (index, argument) in exec.argv.iter().enumerate() {
            let is_shell = shell.contains(&index);
            assignment::look(spans, index, argument, is_shell);
            self.shapes.look(spans, index, argument, (is_shell, is_cut && index == last));
        }
    }
}

#[cfg(test)]
mod tests;
