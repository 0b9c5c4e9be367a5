//! The list of sessions as a table, and where failed authentications came from.

use std::io::Write;

use anyhow::Result;

use super::tale::{Names, time};
use crate::cli::output::table_text;
use crate::event::text::printable;
use crate::session::fold::Fold;
use crate::session::login::{Session, State};
use crate::session::origin::{Attempts, Origin};

const HEADER: [&str; 9] = ["id", "user", "from", "service", "start", "end", "commands", "files", "steps"];
/// Origins shown.
const ORIGINS: usize = 20;

/// Writes the table.
///
/// # Errors
/// When the output can't be written.
pub fn write(
    out: &mut dyn Write,
    sessions: &[&Session],
    fold: &Fold,
    names: &Names,
    user: Option<&str>,
) -> Result<()> {
    if !sessions.is_empty() {
        let header: Vec<&str> = HEADER.into_iter().chain(["failures", "doubts"]).collect();
        let rows = sessions.iter().map(|session| row(session, names)).collect();
        out.write_all(table_text(&header, rows).as_bytes())?;
    }
    let origins = fold.failures().origins();
    let is_meant = |attempts: &Attempts| {
        user.is_none_or(|name| attempts.users.keys().any(|known| known.as_deref() == Some(name)))
    };
    let origins: Vec<_> = origins.into_iter().filter(|(_, attempts)| is_meant(attempts)).collect();
    if origins.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nFailed authentications outside of sessions, by PAM's word:")?;
    for (origin, attempts) in origins.iter().take(ORIGINS) {
        writeln!(out, "  {}", origin_text(origin, attempts))?;
    }
    let rest: u64 = origins.iter().skip(ORIGINS).map(|(_, attempts)| attempts.count).sum();
    let rest = rest + fold.failures().beyond();
    if rest > 0 {
        writeln!(out, "  {rest} from other places: `recorder query -k auth_failed` shows them")?;
    }
    Ok(())
}

fn row(session: &Session, names: &Names) -> Vec<String> {
    let pam = |part: fn(&crate::session::login::PamFacts) -> &Option<String>| {
        let text = session.pam.as_ref().and_then(|pam| part(pam).as_deref());
        text.map_or_else(|| "-".to_owned(), |text| printable(text).into_owned())
    };
    let user = session.loginuid.map_or_else(|| pam(|pam| &pam.user), |uid| names.user(uid));
    let start = session.start().map_or_else(|| format!("before {}", time(session.seen.0)), |(t, _)| time(t));
    let end = match session.state() {
        State::Open => "open".to_owned(),
        State::ClosedByPam(_, running) => format!("logged out, {running} run"),
        State::Ended(t) => time(t),
        State::EndedByRestart(_) => "host restarted".to_owned(),
        State::Unknown(_) => "not known".to_owned(),
    };
    let counts = &session.counts;
    let doubts = counts.doubts + u64::from(session.disagreement(names.users()).is_some());
    let files = format!("{}{}", counts.files, if counts.files_at_least { "+" } else { "" });
    let from = pam(|pam| &pam.rhost);
    let service = pam(|pam| &pam.service);
    let numbers = [counts.commands.to_string(), files, counts.steps.to_string(), counts.failures.to_string()];
    let doubts = if doubts == 0 { "-".to_owned() } else { doubts.to_string() };
    [names.session(session.key), user, from, service, start, end]
        .into_iter()
        .chain(numbers)
        .chain([doubts])
        .collect()
}

/// `12 from 10.0.0.5 by sshd, last 2026-...: root 10, mallory 2`.
fn origin_text(origin: &Origin, attempts: &Attempts) -> String {
    let place = origin.rhost.as_deref().map_or_else(|| "this host".into(), printable);
    let service = origin.service.as_deref().map_or_else(|| "?".into(), printable);
    let mut users: Vec<_> = attempts.users.iter().collect();
    users.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut named: Vec<String> = users
        .into_iter()
        .map(|(user, count)| format!("{} {count}", user.as_deref().map_or_else(|| "?".into(), printable)))
        .collect();
    if attempts.others > 0 {
        named.push(format!("others {}", attempts.others));
    }
    format!(
        "{} from {place} by {service}, last {}: {}",
        attempts.count,
        time(attempts.last),
        named.join(", ")
    )
}
