//! Wall time as text: RFC 3339 in UTC with nine digits, as in `2026-11-23T23:48:06.000000001Z`. Reads no clock.

/// Length of the text.
pub const LENGTH: usize = 30;

const NS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Turns times into text; cheap when they fall into the same second as the one before.
#[derive(Clone, Debug)]
pub struct Clock {
    second: i64,
    text: [u8; LENGTH],
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" }
    }
}

impl Clock {
    /// The text of a time in ns since 1970.
    pub fn text(&mut self, wall_ns: i64) -> &[u8; LENGTH] {
        let second = wall_ns.div_euclid(NS);
        if second != self.second {
            self.second = second;
            self.set_second(second);
        }
        let [.., a, b, c, d, e, f, g, h, i, _] = &mut self.text;
        set_digits(&mut [i, h, g, f, e, d, c, b, a], wall_ns.rem_euclid(NS));
        &self.text
    }

    fn set_second(&mut self, second: i64) {
        let (year, month, day) = date(second.div_euclid(DAY));
        let time = second.rem_euclid(DAY);
        let [y1, y2, y3, y4, _, o1, o2, _, d1, d2, _, h1, h2, _, m1, m2, _, s1, s2, ..] = &mut self.text;
        set_digits(&mut [y4, y3, y2, y1], year);
        set_digits(&mut [o2, o1], month);
        set_digits(&mut [d2, d1], day);
        set_digits(&mut [h2, h1], time / 3600);
        set_digits(&mut [m2, m1], time / 60 % 60);
        set_digits(&mut [s2, s1], time % 60);
    }
}

/// Writes the last digits of a number, the lowest place first.
fn set_digits(places: &mut [&mut u8], mut value: i64) {
    for place in places.iter_mut() {
        **place = b'0' + u8::try_from(value.rem_euclid(10)).unwrap_or(0);
        value = value.div_euclid(10);
    }
}

/// Year, month and day of a day since 1970, Gregorian (Howard Hinnant's `civil_from_days`).
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// The time of such a text in ns since 1970; `None` for any other form of time.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let bytes: &[u8; LENGTH] = text.as_bytes().try_into().ok()?;
    let [
        y @ ..,
        b'-',
        o1,
        o2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b'.',
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        b'Z',
    ] = bytes
    else {
        return None;
    };
    let (year, month, day) = (digits(y)?, digits(&[*o1, *o2])?, digits(&[*d1, *d2])?);
    let (hour, minute, second) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
    let ns = digits(&[*a, *b, *c, *d, *e, *f, *g, *h, *i])?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    // Through i128, since the first second that fits i64 ns begins before i64::MIN ns.
    i64::try_from(i128::from(seconds) * i128::from(NS) + i128::from(ns)).ok()
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// The inverse of [`date`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_jiff_and_comes_back(ns in any::<i64>(), other in any::<i64>()) {
            let mut clock = Clock::default();
            clock.text(other);
            for ns in [ns, ns.saturating_add(1), ns.saturating_add(NS)] {
                let text = str::from_utf8(clock.text(ns)).unwrap();
                let expected = jiff::Timestamp::from_nanosecond(ns.into()).unwrap();
                prop_assert_eq!(text, format!("{expected:.9}"));
                prop_assert_eq!(parse(text), Some(ns));
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "2026-11-23T23:48:06Z", "2026-13-23T23:48:06.000000000Z", "2026-11-23T23:48:06.0000000-1Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        let mut clock = Clock::default();
        assert_eq!(clock.text(0), b"1970-01-01T00:00:00.000000000Z");
    }
}
