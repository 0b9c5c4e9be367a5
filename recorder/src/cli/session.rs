//! `recorder session`: who was logged in, and one login as a story.

mod find;
mod list;
mod object;
mod page;
mod tale;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::UsageError;
use super::any_of::AnyOf;
use super::filter::parse_time;
use super::output::Sink;
use super::query::{durable_frames, host_of};
use super::scan::{Scan, all_was_read, open_store};
use super::time::ns;
use super::users;
use crate::enrich::users::Users;
use crate::exit::Exit;
use crate::session::fold::Fold;
use crate::session::login::Session;

pub use find::{Wanted, gather};
pub use object::{of_process, of_program};
pub use tale::{Names, command_line, time, write_tree};

const EXAMPLES: &str = "Examples:
  recorder session                              every login: who, from where, how long, how much
  recorder session --since today --user ann     Ann's logins of today
  recorder session 3                            login 3 as a story, with its processes
  recorder session 3 -o html > login.html       as one page for a browser
  recorder session 0a1b2c3d-3 -o json           login 3 of an earlier boot
Numbers are the kernel's audit sessions; a login that the kernel knows no session of has the key of its process.";

/// Arguments of `session`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Tell this session: its number, BOOT-NUMBER, or the process key that the list shows
    #[arg(value_name = "ID", value_parser = Wanted::parse)]
    id: Option<Wanted>,
    /// Sessions that had not ended before this time: today, "10m ago", -1h, boot, 2026-11-23 14:05, ...
    #[arg(long, short = 'S', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Sessions that had begun by this time; nothing later is looked at
    #[arg(long, short = 'U', value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Sessions of this user, by the kernel's login user or by PAM's name
    #[arg(long, short, value_name = "NAME", conflicts_with = "id")]
    user: Option<String>,
    /// Only sessions that are open
    #[arg(long, conflicts_with = "id")]
    open: bool,
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    output: Format,
    /// Write to the terminal directly, not through $RECORDER_PAGER, $PAGER or less
    #[arg(long)]
    no_pager: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, or a story
    Human,
    /// JSON
    Json,
    /// One session: a page for a browser that needs nothing else
    Html,
}

/// Lists the sessions, or tells one.
///
/// # Errors
/// When the store can't be read, or the output can't be written.
pub fn run(store: &Path, arguments: &Arguments) -> Result<Exit> {
    if arguments.since.zip(arguments.until).is_some_and(|(since, until)| since > until) {
        return Err(UsageError("--since is after --until".to_owned()).into());
    }
    match &arguments.id {
        Some(wanted) => tell(store, wanted, arguments),
        None if arguments.output == Format::Html => Err(UsageError(
            "--output html shows one session: name it, as in `recorder session 3 -o html`".to_owned(),
        )
        .into()),
        None => show_list(store, arguments),
    }
}

fn tell(store: &Path, wanted: &Wanted, arguments: &Arguments) -> Result<Exit> {
    let span = (arguments.since.map(ns), arguments.until.map(ns));
    let (story, problems) = gather(store, wanted, span, names_of(store)?)?;
    let Some((story, session)) = story.and_then(|story| story.session().map(|session| (story, session)))
    else {
        eprintln!("recorder: the store has no session {wanted}; `recorder session` lists those that it has");
        return Ok(Exit::NOTHING);
    };
    let mut out = Sink::open(arguments.output == Format::Human && !arguments.no_pager);
    match arguments.output {
        Format::Human => tale::write(&mut out, &story, &session)?,
        Format::Json => {
            serde_json::to_writer(&mut out, &object::of_story(&story, &session))?;
            out.write_all(b"\n")?;
        }
        Format::Html => page::write(&mut out, &story, &session)?,
    }
    out.close()?;
    all_was_read(problems)?;
    Ok(Exit::OK)
}

fn show_list(store: &Path, arguments: &Arguments) -> Result<Exit> {
    let names = Names::new(names_of(store)?);
    let search = AnyOf { until: arguments.until.map(ns), ..AnyOf::default() };
    let (fold, problems) = fold_all(store, &search)?;
    let sessions = fold.sessions();
    let labels = names.labelled(&sessions);
    let span = (arguments.since.map(ns), arguments.until.map(ns));
    let is_shown = |session: &&Session| {
        session.overlaps(span.0, span.1)
            && arguments.user.as_deref().is_none_or(|name| labels.is_user(session, name))
            && (!arguments.open || session.is_open())
    };
    let shown: Vec<&Session> = sessions.iter().filter(is_shown).collect();
    let mut out = Sink::open(arguments.output == Format::Human && !arguments.no_pager);
    if arguments.output == Format::Json {
        let list: Vec<_> = shown.iter().map(|session| object::of_session(session, &labels)).collect();
        serde_json::to_writer(&mut out, &list)?;
        out.write_all(b"\n")?;
    } else {
        list::write(&mut out, &shown, &fold, &labels, arguments.user.as_deref())?;
    }
    out.close()?;
    if fold.left_out() > 0 {
        eprintln!(
            "recorder: {} sessions that ended long ago are left out: ask with --until",
            fold.left_out()
        );
    }
    all_was_read(problems)?;
    if shown.is_empty() && arguments.output == Format::Human {
        eprintln!("recorder: no session matches");
    }
    Ok(if shown.is_empty() { Exit::NOTHING } else { Exit::OK })
}

/// Every session of what is found.
fn fold_all(store: &Path, search: &AnyOf) -> Result<(Fold, u64)> {
    let mut scan = Scan::open(store, search, durable_frames(store))?;
    let mut fold = Fold::default();
    scan.forward(&mut |line| {
        fold.line(line)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((fold, scan.problems()))
}

/// Names of users, where the store is this host's.
///
/// # Errors
/// When the store can't be read.
pub fn names_of(store: &Path) -> Result<Users> {
    let host = open_store(store)?.origin().ok().map(|origin| host_of(origin.name()));
    Ok(users::names_for(host.as_deref()))
}
