//! An event as one line for a person: local time and a sentence.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::enrich::users::Users;
use crate::event::record::Record;
use crate::event::sentence::sentence;
use crate::event::text::printable;

/// Writes the line; `users` names ids.
///
/// # Errors
/// When the output can't be written, or the line is no event.
pub fn write(out: &mut dyn Write, line: &[u8], users: &Users, colour: bool) -> Result<()> {
    let record = Record::parse(line)?;
    let styled = |style: Style| if colour { style } else { Style::new() };
    let dim = styled(Style::new().dimmed());
    let tone = if record.is_ok() { Style::new() } else { styled(AnsiColor::Red.on_default()) };
    let time = local_time(record.t.as_str());
    writeln!(out, "{dim}{time}{dim:#}  {tone}{}{tone:#}", sentence(&record, users))?;
    Ok(())
}

/// Local time with milliseconds; the text itself when it is no time.
#[must_use]
pub fn local_time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        Err(_) => printable(text).into_owned(),
    }
}
