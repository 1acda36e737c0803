//! Points in time as people write them (RFC 3339).

use moorline_core::time::UnixMillis;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A point in time, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

impl Moment {
    /// Reads a time of RFC 3339, or a number and `s`, `m`, `h` or `d`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "a time such as 2026-11-22T03:00:00Z, or how long ago, such as 2h".to_owned();
        let unit = match text.chars().last() {
            Some('s') => 1_000,
            Some('m') => 60_000,
            Some('h') => 3_600_000,
            Some('d') => 86_400_000,
            _ => return at(text).map(Self::At).ok_or_else(wrong),
        };
        let number = text.get(..text.len() - 1).unwrap_or_default();
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| digits);
        let millis = number.and_then(|number| number.checked_mul(unit));
        millis.map(Self::Ago).ok_or_else(wrong)
    }

    /// Returns the point in time, where it is `now`, in milliseconds since 1970.
    pub(super) fn before(self, now: UnixMillis) -> u64 {
        match self {
            Self::At(millis) => millis,
            Self::Ago(millis) => now.0.saturating_sub(millis),
        }
    }
}

/// Returns `millis`, milliseconds since 1970, as RFC 3339 writes it, in UTC.
pub(super) fn written(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let (second, millis) = (second % 60, millis % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Returns the milliseconds since 1970 of a time of RFC 3339.
fn at(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone_at)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            if sign == "+" { seconds } else { -seconds }
        }
    };
    let is_time = hour < 24 && minute < 60 && second < 60;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let days = days(year, month, day);
    // February has no 30th: a date that does not come back is none.
    if !is_time || !is_fraction || self::date(days) != (year, month, day) {
        return None;
    }
    let seconds = days * DAY + hour * 3_600 + minute * 60 + second - offset;
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = u64::try_from(seconds).ok()?;
    seconds.checked_mul(1_000)?.checked_add(thousandths)
}

fn numbers<const N: usize>(text: &str, between: char, lens: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (number, len) in found.iter_mut().zip(lens) {
        let part = parts.next()?;
        let is_number = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(found)
}

/// Returns how many days after the first of 1970 a date of the Gregorian calendar is. Years begin in March here, so that
/// the day that comes every four years is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Returns year, month and day of the day that is `days` after the first of 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2001-09-09T01:46:40.5Z", 1_000_000_000_500),
            ("2038-01-19T04:14:08.123+01:00", 2_147_483_648_123),
            ("2099-12-31T23:59:59.9999-00:30", 4_102_446_599_999),
        ] {
            assert_eq!(Moment::parse(text), Ok(Moment::At(millis)), "{text}");
        }
        for millis in [
            0,
            951_825_600_000,
            1_000_000_000_500,
            4_102_446_599_999,
            253_402_300_799_999,
        ] {
            let text = written(millis);
            assert_eq!(Moment::parse(&text), Ok(Moment::At(millis)), "{text}");
        }
        for day in 0..50_000u64 {
            let text = written(day * 86_400_000);
            assert_eq!(
                Moment::parse(&text),
                Ok(Moment::At(day * 86_400_000)),
                "{text}"
            );
        }
    }

    #[test]
    fn how_long_ago_has_a_unit() {
        assert_eq!(Moment::parse("2h"), Ok(Moment::Ago(7_200_000)));
        assert_eq!(
            Moment::parse("2h").map(|moment| moment.before(UnixMillis(7_200_001))),
            Ok(1)
        );
        assert_eq!(
            Moment::parse("9d").map(|moment| moment.before(UnixMillis(5))),
            Ok(0)
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "h",
            "+1h",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T00:00:00+25:00",
            "1969-12-31T23:59:59Z",
            "99999999999999999999d",
            "é",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
