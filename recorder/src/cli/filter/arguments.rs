//! The filter options, and what their values may be.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Args;
use globset::{GlobBuilder, GlobMatcher};
use jiff::Timestamp;
use recorder_common::sample::flag;

use super::plain_run;
use crate::cli::time::{self, Reference};
use crate::event::Kind;
use crate::event::record::Text;

/// The filter options of `query` and `follow`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (all must hold)")]
pub struct FilterArguments {
    /// Not before this time: today, "10m ago", -1h, boot, 2026-11-23 14:05, ...
    #[arg(long, short = 'S', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(super) since: Option<Timestamp>,
    /// Not after this time
    #[arg(long, short = 'U', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(super) until: Option<Timestamp>,
    /// Kinds of events, separated by commas; file_* means all that begin so
    #[arg(long, short, value_name = "KIND", value_delimiter = ',', value_parser = parse_kinds)]
    pub(super) kind: Vec<Kinds>,
    /// Process id
    #[arg(long, short, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Real user id
    #[arg(long, value_name = "UID", conflicts_with = "user")]
    pub(super) uid: Option<u32>,
    /// User name: processes of this user, and logins (also failed ones) under this name
    #[arg(long, short, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// User who logged in, whatever the process became since; none = no login behind it
    #[arg(long, value_name = "UID", value_parser = parse_id, allow_hyphen_values = true)]
    pub(super) loginuid: Option<Id>,
    /// Login session; none = no login behind it
    #[arg(long, value_name = "ID", value_parser = parse_id, allow_hyphen_values = true)]
    pub(super) session: Option<Id>,
    /// Program: * stops at /, ** does not; without a leading / in any directory
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    pub(super) exe: Option<PathGlob>,
    /// Path, or second path of a rename or link; /etc/ means everything below
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    pub(super) path: Option<PathGlob>,
    /// Host that recorded it
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Container id, or its beginning
    #[arg(long, value_name = "ID")]
    pub(super) container: Option<String>,
    /// ok, failed, or the name of an error such as EACCES
    #[arg(long, value_name = "RESULT", value_parser = parse_result)]
    pub(super) result: Option<Outcome>,
    /// Word in `flags`, such as setuid
    #[arg(long, value_name = "FLAG", value_parser = parse_flag)]
    pub(super) flag: Option<&'static str>,
    /// Text in any field; case matters
    #[arg(long, short, value_name = "TEXT")]
    pub(super) grep: Option<String>,
}

impl FilterArguments {
    /// Whether nothing but kind, result and time is asked for. Names every field, so that a new one is not forgotten.
    pub(super) const fn is_decided_by_head(&self) -> bool {
        #[rustfmt::skip]
        let Self {
            since: _, until: _, kind: _, result: _,
            pid, uid, user, loginuid, session, exe, path, host, container, flag, grep,
        } = self;
        pid.is_none()
            && uid.is_none()
            && user.is_none()
            && loginuid.is_none()
            && session.is_none()
            && exe.is_none()
            && path.is_none()
            && host.is_none()
            && container.is_none()
            && flag.is_none()
            && grep.is_none()
    }
}

/// A user or session id; `None` is "unset".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) Option<u32>);

/// The kinds that one word of `--kind` means.
#[derive(Clone, Debug)]
pub(super) struct Kinds(pub(super) Vec<Kind>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Failed,
    Error(String),
}

/// A glob over bytes and the literal text that every match holds.
#[derive(Clone, Debug)]
pub(super) struct PathGlob {
    matcher: GlobMatcher,
    /// The whole pattern: it begins with `/` or `**/`.
    pub(super) pattern: String,
    pub(super) literal: String,
}

impl Outcome {
    pub(super) fn is(&self, result: &str) -> bool {
        match self {
            Self::Ok => result == "ok",
            Self::Failed => result != "ok",
            Self::Error(name) => result == name,
        }
    }
}

impl PathGlob {
    pub(super) fn matches(&self, path: &Option<Text<'_>>) -> bool {
        path.as_ref().is_some_and(|path| self.matcher.is_match(Path::new(OsStr::from_bytes(&path.bytes()))))
    }
}

/// A time on the command line.
pub fn parse_time(text: &str) -> Result<Timestamp, time::TimeError> {
    time::parse(text, &Reference::of_this_host())
}

fn parse_kinds(word: &str) -> Result<Kinds, String> {
    let is_meant = |kind: &Kind| match word.strip_suffix('*') {
        Some(beginning) => kind.name().starts_with(beginning),
        None => kind.name() == word,
    };
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(is_meant).collect();
    if kinds.is_empty() {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        return Err(format!("no such kind; there are: {}", known.join(" ")));
    }
    Ok(Kinds(kinds))
}

fn parse_id(text: &str) -> Result<Id, String> {
    match text {
        "none" | "unset" | "-1" => Ok(Id(None)),
        _ => text.parse().map(|id| Id(Some(id))).map_err(|_| "neither a number nor `none`".to_owned()),
    }
}

fn parse_result(text: &str) -> Result<Outcome, String> {
    let upper = text.to_ascii_uppercase();
    let is_name = upper.strip_prefix('E').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    match text {
        "ok" => Ok(Outcome::Ok),
        "failed" => Ok(Outcome::Failed),
        _ if is_name => Ok(Outcome::Error(upper)),
        _ => Err("neither `ok` nor `failed` nor the name of an error such as EACCES".to_owned()),
    }
}

fn parse_flag(text: &str) -> Result<&'static str, String> {
    let known = flag::WORDS.iter().map(|(_, word)| *word);
    known.clone().find(|word| *word == text).ok_or_else(|| {
        let known: Vec<&str> = known.collect();
        format!("no such flag; there are: {}", known.join(" "))
    })
}

fn parse_glob(text: &str) -> Result<PathGlob, String> {
    let mut pattern = if text.starts_with('/') { text.to_owned() } else { format!("**/{text}") };
    if text.ends_with('/') {
        pattern.push_str("**");
    }
    let glob =
        GlobBuilder::new(&pattern).literal_separator(true).build().map_err(|error| error.to_string())?;
    let literal = text.split(['*', '?', '[', ']', '{', '}', ',']).map(|part| plain_run(part, false));
    // Inside of braces and brackets only one of several texts has to be there.
    let has_choice = text.contains(['[', '{']);
    let literal = if has_choice { literal.take(1).next() } else { literal.max_by_key(|part| part.len()) };
    let literal = literal.unwrap_or_default().to_owned();
    Ok(PathGlob { matcher: glob.compile_matcher(), pattern, literal })
}
