//! Points in time as people type them, after systemd.time(7): words, weekdays, spans, dates, seconds since 1970.
//!
//! Spans of days and longer follow the calendar: `1d` ago is the same clock time yesterday, even when clocks changed
//! in between. `m` is minutes and `M` is months, as in systemd.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _, Zoned};

/// What a time is relative to.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Now, in the zone that dates and clock times are read in.
    pub now: Zoned,
    /// Start of the host; `None` where it is not known.
    pub boot: Option<Timestamp>,
}

impl Reference {
    /// Now, the local time zone and the boot of this host.
    #[must_use]
    pub fn of_this_host() -> Self {
        let now = Zoned::now();
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let uptime =
            Span::new().try_seconds(uptime.tv_sec).and_then(|span| span.try_nanoseconds(uptime.tv_nsec));
        let boot = uptime.and_then(|uptime| now.timestamp().checked_sub(uptime)).ok();
        Self { now, boot }
    }
}

/// A time that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}\nTimes can be given as:\n{FORMS}")]
pub struct TimeError {
    why: String,
}

/// The forms, for error messages and for `--help`.
pub const FORMS: &str = "  now, today, yesterday, tomorrow, this-hour, this-week, this-month, boot
  monday ... sunday                 start of the last such day, today included
  10m, -10m, \"10m ago\"              that long ago; also 1h30m, 2d, \"2 days ago\"; + is the future
  s m h d w M y                     seconds, minutes, hours, days, weeks, Months, years
  2026-11-23, \"2026-11-23 14:05\", 14:05, 14:05:30      local time
  2026-11-23T14:05:30Z, 2026-11-23T14:05:30.5+02:00    RFC 3339
  @1795442730, @1795442730.25       seconds since 1970";

/// The moment that `text` means.
///
/// # Errors
/// When it has none of the [`FORMS`], or is outside the years that can be represented.
pub fn parse(text: &str, reference: &Reference) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    let why = match interpret(text, reference) {
        Some(Ok(zoned)) => return Ok(zoned),
        Some(Err(why)) => format!("the time {text:?} is out of range or does not exist: {why}"),
        None if text == "boot" => "the time of boot of this host is not known".to_owned(),
        None => format!("{text:?} is not a time"),
    };
    Err(TimeError { why })
}

/// Wall time as records have it, ns since 1970; the last one there is for what lies beyond.
#[must_use]
pub fn ns(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// `None` when the text has no known form.
fn interpret(text: &str, reference: &Reference) -> Option<Result<Timestamp, jiff::Error>> {
    let now = &reference.now;
    if text == "boot" {
        return reference.boot.map(Ok);
    }
    if let Some(word) = from_word(&text.to_ascii_lowercase(), now) {
        return Some(word.map(|zoned| zoned.timestamp()));
    }
    if let Some(seconds) = text.strip_prefix('@') {
        return from_epoch(seconds).map(Ok);
    }
    if let Some(span) = from_span(text) {
        return Some(span.and_then(|span| now.checked_add(span)).map(|zoned| zoned.timestamp()));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Ok(time));
    }
    from_date(text, now).map(|found| found.map(|zoned| zoned.timestamp()))
}

fn from_word(word: &str, now: &Zoned) -> Option<Result<Zoned, jiff::Error>> {
    Some(match word {
        "now" => Ok(now.clone()),
        "today" => now.start_of_day(),
        "yesterday" => now.yesterday().and_then(|day| day.start_of_day()),
        "tomorrow" => now.tomorrow().and_then(|day| day.start_of_day()),
        "this-hour" => {
            // Subtracting keeps the hour right that occurs twice when clocks go back.
            let past = i64::from(now.minute()) * 60 + i64::from(now.second());
            now.checked_sub(past.seconds().nanoseconds(now.subsec_nanosecond()))
        }
        "this-week" => last(Weekday::Monday, now),
        "this-month" => now.first_of_month().and_then(|day| day.start_of_day()),
        _ => last(weekday(word)?, now),
    })
}

/// Start of the last such day that is not in the future.
fn last(day: Weekday, now: &Zoned) -> Result<Zoned, jiff::Error> {
    let days = now.weekday().since(day);
    now.checked_sub(days.days()).and_then(|day| day.start_of_day())
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

fn from_epoch(text: &str) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let seconds: i64 = digits_only(seconds)?.parse().ok()?;
    let ns = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds(fraction)?);
    Timestamp::from_nanosecond(if negative { -ns } else { ns }).ok()
}

/// A decimal fraction of one, in 10^-9; `None` for more than nine digits.
fn nanoseconds(fraction: &str) -> Option<u32> {
    let digits = digits_only(fraction)?;
    let value: u32 = if digits.len() > 9 { return None } else { digits.parse().ok()? };
    Some(value * 10_u32.pow(9 - u32::try_from(digits.len()).ok()?))
}

fn digits_only(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// A span, negative for the past: `10m`, `-1h 30m`, `2 days ago`, `+5s`.
fn from_span(text: &str) -> Option<Result<Span, jiff::Error>> {
    let (text, ago) = match text.strip_suffix("ago") {
        Some(rest) => (rest.strip_suffix(char::is_whitespace)?.trim_end(), true),
        None => (text, false),
    };
    let (future, mut rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(_), _) | (_, Some(_)) if ago => return None,
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => (false, text),
    };
    let mut span = Ok(Span::new());
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(letters)?;
        let number: i64 = digits_only(number)?.parse().unwrap_or(i64::MAX);
        span = match span {
            Ok(span) => add_unit(span, number, unit)?,
            Err(error) => Err(error),
        };
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(span.map(|span| if future { span } else { span.negate() }));
        }
    }
}

fn add_unit(span: Span, number: i64, unit: &str) -> Option<Result<Span, jiff::Error>> {
    let sum = |already: i64| already.saturating_add(number);
    Some(match unit {
        "ms" | "msec" => span.try_milliseconds(sum(span.get_milliseconds())),
        "s" | "sec" | "secs" | "second" | "seconds" => span.try_seconds(sum(span.get_seconds())),
        "m" | "min" | "mins" | "minute" | "minutes" => span.try_minutes(sum(span.get_minutes())),
        "h" | "hr" | "hrs" | "hour" | "hours" => span.try_hours(sum(span.get_hours().into())),
        "d" | "day" | "days" => span.try_days(sum(span.get_days().into())),
        "w" | "week" | "weeks" => span.try_weeks(sum(span.get_weeks().into())),
        "M" | "mo" | "month" | "months" => span.try_months(sum(span.get_months().into())),
        "y" | "yr" | "year" | "years" => span.try_years(sum(span.get_years().into())),
        _ => return None,
    })
}

/// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS[.fraction]]` or `HH:MM[:SS[.fraction]]`, local, or with a final ` UTC`.
fn from_date(text: &str, now: &Zoned) -> Option<Result<Zoned, jiff::Error>> {
    let (text, zone) = match text.strip_suffix(" UTC") {
        Some(rest) => (rest, TimeZone::UTC),
        None => (text, now.time_zone().clone()),
    };
    let (date, clock) = match text.split_once([' ', 'T']) {
        Some((date, clock)) => (Some(date), Some(clock.trim_start())),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let date = match date {
        Some(date) => civil_date(date)?,
        None => now.with_time_zone(zone.clone()).date(),
    };
    Some(match clock {
        Some(clock) => DateTime::from_parts(date, civil_time(clock)?).to_zoned(zone),
        None => date.to_zoned(zone).and_then(|day| day.start_of_day()),
    })
}

fn civil_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = year.len() == 4 && month.len() <= 2 && day.len() <= 2 && parts.next().is_none();
    let fits = fits && [year, month, day].into_iter().all(|part| digits_only(part).is_some());
    if fits { Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok() } else { None }
}

fn civil_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let fits = hour.len() <= 2 && minute.len() == 2 && second.len() <= 2 && parts.next().is_none();
    let number = |part| digits_only(part)?.parse::<i8>().ok();
    let subsecond = i32::try_from(nanoseconds(fraction)?).ok()?;
    if fits { Time::new(number(hour)?, number(minute)?, number(second)?, subsecond).ok() } else { None }
}

#[cfg(test)]
#[path = "time/tests.rs"]
mod tests;
