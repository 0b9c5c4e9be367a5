//! An event as one line for a person: local time and a sentence.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::fields::{Fields, cell};

/// Writes the line.
///
/// # Errors
/// When the output can't be written, or the line is no event.
pub fn write(out: &mut dyn Write, line: &[u8], colour: bool) -> Result<()> {
    let fields = Fields::parse(line)?;
    let time = fields.get("t").and_then(Value::as_str).unwrap_or_default();
    let (dim, failed) = if colour {
        (Style::new().dimmed(), AnsiColor::Red.on_default())
    } else {
        (Style::new(), Style::new())
    };
    let is_ok = fields.get("result").and_then(Value::as_str) == Some("ok");
    let tone = if is_ok { Style::new() } else { failed };
    writeln!(out, "{dim}{}{dim:#} {tone}{}{tone:#}", local_time(time), sentence(&fields))?;
    Ok(())
}

/// Local time with milliseconds; the text itself when it is no time.
#[must_use]
pub fn local_time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        Err(_) => crate::event::text::printable(text).into_owned(),
    }
}

fn sentence(fields: &Fields) -> String {
    let text = |name: &str| fields.get(name).filter(|value| !value.is_null()).map(cell);
    let what = ["argv", "path", "user"].iter().find_map(|name| text(name));
    let parts = [text("kind"), what, text("path_to"), text("comm"), text("pid"), text("result")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
