//! A legal hold: a range of time whose segments stay, whatever their age and the size of the store.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// A range of time, written as two dates or times with `/` between them. A date means that whole day wherever on earth
/// it is that day, so that nobody has to think of time zones to hold enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hold {
    text: String,
    from: i64,
    to: i64,
}

impl Hold {
    /// Whether anything between these two times (ns since 1970) is held.
    #[must_use]
    pub const fn overlaps(&self, from: i64, to: i64) -> bool {
        from <= self.to && to >= self.from
    }
}

impl TryFrom<String> for Hold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a range of time such as \"2026-11-01/2026-11-07\" (dates, or RFC 3339 times)"
            )
        };
        let (first, last) = text.split_once('/').ok_or_else(wrong)?;
        let (from, _) = moment(first).ok_or_else(wrong)?;
        let (_, to) = moment(last).ok_or_else(wrong)?;
        if from > to {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self { from, to, text })
    }
}

/// Begin and end of a day, or a point in time.
fn moment(text: &str) -> Option<(i64, i64)> {
    let ns = |time: Timestamp| i64::try_from(time.as_nanosecond()).ok();
    if let Ok(date) = text.parse::<Date>()
        && text.len() == "2026-11-01".len()
    {
        // From where the day begins first (UTC+14) to where it ends last (UTC-12).
        let begin = Offset::constant(14).to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        let next = date.checked_add(1.day()).ok()?;
        let end = Offset::constant(-12).to_timestamp(next.at(0, 0, 0, 0)).ok()?;
        return Some((ns(begin)?, ns(end)? - 1));
    }
    let time = ns(text.parse::<Timestamp>().ok()?)?;
    Some((time, time))
}

impl From<Hold> for String {
    fn from(hold: Hold) -> Self {
        hold.text
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> i64 {
        i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn a_day_is_held_wherever_it_is_that_day() {
        let hold = Hold::try_from("2026-11-01/2026-11-07".to_owned()).unwrap();
        let at = |text: &str| hold.overlaps(ns(text), ns(text));
        assert!(at("2026-11-01T00:00:00+14:00") && !at("2026-10-31T23:59:59+14:00"));
        assert!(at("2026-11-07T23:59:59-12:00") && !at("2026-11-08T00:00:00-12:00"));
        assert!(hold.overlaps(0, i64::MAX) && !hold.overlaps(0, ns("2026-10-01T00:00:00Z")));
        assert_eq!(hold.to_string(), "2026-11-01/2026-11-07");
    }

    #[test]
    fn times_are_points() {
        let hold = Hold::try_from("2026-11-01T10:00:00Z/2026-11-01T13:00:00+01:00".to_owned()).unwrap();
        assert!(hold.overlaps(ns("2026-11-01T12:00:00Z"), i64::MAX));
        assert!(!hold.overlaps(ns("2026-11-01T12:00:01Z"), i64::MAX));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "2026-11-01", "2026-11-07/2026-11-01", "soon/later", "2026-11-01T10:00/2026-11-02", "a/b/c"]
        {
            assert!(Hold::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
