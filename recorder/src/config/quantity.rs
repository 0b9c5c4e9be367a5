//! Quantities as people write them: `64MiB`, `1h`, and limits that can be `off`.
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Serialize};
use std::fmt;

use super::Broken;

/// Powers of 1024 and their names, largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes, written as a whole number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

impl Size {
    /// So many MiB.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Refuses a value of `key` outside of these bounds.
    pub(super) fn judge(self, key: &'static str, least: Self, most: Self) -> Result<(), Broken> {
        if self < least || self > most {
            return Err((key, format!("{self} is not between {least} and {most}")));
        }
        Ok(())
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size such as \"64MiB\" (units B, KiB, MiB, GiB)");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale)).map(Self).ok_or_else(wrong)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale));
        let (name, scale) = whole.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

/// A length of time above zero, written as `90s`, `10m`, `1h 30m`, `90d`; a day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(SignedDuration);

impl Period {
    /// So many hours.
    #[must_use]
    pub const fn hours(count: i64) -> Self {
        Self(SignedDuration::from_hours(count))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(count: i64) -> Self {
        Self(SignedDuration::from_mins(count))
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(count: i64) -> Self {
        Self(SignedDuration::from_secs(count))
    }

    /// Whether it is neither shorter nor longer.
    #[must_use]
    pub fn is_within(self, least: Self, most: Self) -> bool {
        (least..=most).contains(&self)
    }

    /// As the standard library has it; a length of time above zero always fits.
    #[must_use]
    pub fn duration(self) -> std::time::Duration {
        self.0.unsigned_abs()
    }

    /// In nanoseconds, cut at the largest number (292 years).
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span = text.parse::<Span>().ok();
        let parsed = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let parsed = parsed.filter(SignedDuration::is_positive);
        parsed
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a length of time such as \"90s\", \"10m\" or \"1h 30m\""))
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// A limit, or `off` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "String",
    into = "String",
    bound = "T: Clone + fmt::Display + TryFrom<String, Error = String>"
)]
pub enum Limit<T> {
    /// No limit.
    #[default]
    Off,
    /// This one.
    At(T),
}

impl<T> Limit<T> {
    /// The limit, when there is one.
    #[must_use]
    pub fn get(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(limit) => Some(limit),
        }
    }
}

impl<T: TryFrom<String, Error = String>> TryFrom<String> for Limit<T> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        T::try_from(text).map(Self::At).map_err(|error| format!("{error}, or \"off\""))
    }
}

impl<T: fmt::Display> From<Limit<T>> for String {
    fn from(limit: Limit<T>) -> Self {
        limit.to_string()
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(limit) => limit.fmt(f),
        }
    }
}
