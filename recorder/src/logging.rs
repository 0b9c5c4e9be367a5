//! Logs about the recorder itself, never about events: stderr, one line each, `key=value`.
//!
//! `error` = evidence at risk, `warn` = degraded, `info` = lifecycle, `debug` = the rest. Under the journal a line
//! carries its priority instead of a time, since the journal stamps it.

use std::fmt::{self, Write as _};
use std::io;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Filter such as `debug` or `recorder::capture=debug`.
pub const FILTER_VARIABLE: &str = "RECORDER_LOG";

/// Sends logs to stderr. Does nothing when logging is set up already.
pub fn start() {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .event_format(Lines { journal: stderr_is_journal() })
        .try_init();
}

/// systemd names the device and inode of the journal's socket; a redirected stderr is another one.
fn stderr_is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.to_str() == Some(&format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// One line an event: `<time> level message key=value ...`, or `<priority>message key=value ...`.
struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(writer, "<{}>", priority(level))?;
        } else {
            write!(writer, "{:.3} {} ", jiff::Timestamp::now(), word(level))?;
        }
        let mut line = Line::default();
        event.record(&mut line);
        write!(writer, "{}{}", line.message, line.fields)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) =
                span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty())
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

/// Priorities of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A line being put together: the message first, then the fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = one_line(value);
            return;
        }
        let plain = !value.is_empty()
            && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=');
        let _ = if plain {
            write!(self.fields, " {field}={value}")
        } else {
            write!(self.fields, " {field}={value:?}")
        };
    }
}

/// A name from the recorded host must not start a line of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(journal: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .event_format(Lines { journal })
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_journal_gets_a_priority_and_no_time() {
        let line = logged(true, || tracing::error!(path = "/a b", code = 5, "could not write"));
        assert_eq!(line, "<3>could not write path=\"/a b\" code=5\n");
        assert_eq!(logged(true, || tracing::info!("recording")), "<6>recording\n");
    }

    #[test]
    fn a_terminal_gets_a_time_and_the_level() {
        let line = logged(false, || tracing::warn!(lost = 3, class = %"files", "events lost"));
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(rest, "warn events lost lost=3 class=files\n");
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let line = logged(true, || tracing::info!(exe = "/tmp/a\n<3>forged", "seen a\nb\x1b[2J"));
        assert_eq!(line, "<6>seen a\u{fffd}b\u{fffd}[2J exe=\"/tmp/a\\n<3>forged\"\n");
    }
}
