//! Rates of alarms and times, as people say them.

use anyhow::{Context, Result};
use vae_core::Alarms;

use crate::words::numbers::significant;

/// A time in words, `1.5 h`.
#[must_use]
pub fn span(seconds: f64) -> String {
    let times = [(172_800.0, 86400.0, "days"), (3600.0, 3600.0, "h"), (60.0, 60.0, "min")];
    let fitting = times.into_iter().find(|(least, ..)| seconds >= *least);
    fitting.map_or(format!("{seconds:.1} s"), |(_, unit, name)| format!("{:.1} {name}", seconds / unit))
}

/// A time in the unit that suits it.
pub(crate) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s <= 0.0 => (s, "s"),
        s if s < 1e-3 => (1e6 * s, "µs"),
        s if s < 1.0 => (1e3 * s, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    format!("{} {unit}", significant((10.0 * value).round() / 10.0))
}

/// A rate per second in words, `2.5/day`, rounded up, in the shortest time with at least one.
#[must_use]
pub fn rate_at_most(per_second: f64) -> String {
    // The nudge is for f32 rates, which are not quite whole.
    in_digits(per_second, |count| (count * 0.9999).ceil())
}

/// A rate per second in words, rounded to the nearest: for one that a model's file states, in f32.
#[must_use]
pub fn rate_nearest(per_second: f64) -> String {
    in_digits(per_second, f64::round)
}

/// A rate per second in words, rounded down: no more when it is read again, as f32.
pub(crate) fn rate_at_least(per_second: f64) -> String {
    in_digits(per_second, |count| (count * 0.999_999).floor())
}

/// A rate per second in words, with its two digits rounded so.
fn in_digits(per_second: f64, round: impl Fn(f64) -> f64) -> String {
    let times =
        [(3600.0, "hour"), (86400.0, "day"), (604_800.0, "week"), (2_629_800.0, "month"), (31_557_600.0, "year")];
    let fitting = times.into_iter().find(|(seconds, _)| per_second * seconds >= 0.999);
    let (seconds, unit) = fitting.unwrap_or((31_557_600.0, "year"));
    let count = per_second * seconds;
    let digit = 10f64.powi((libm::log10(count).floor() - 1.0) as i32);
    let rounded = round(count / digit) * digit;
    format!("{}/{unit}", (rounded * 1e6).round() / 1e6)
}

/// Reads a rate of alarms: a count, a slash, and `hour`, `day`, `week`, `month` (a twelfth of a year) or `year`.
///
/// # Errors
/// If the text is anything else, or the count is not above 0, or so small that no 32-bit number of alarms a second is.
pub fn parse_alarms(text: &str) -> Result<Alarms> {
    let rate = text.split_once('/').and_then(|(count, unit)| {
        let count = count.trim().parse().ok().filter(|count: &f32| *count > 0.0 && count.is_finite())?;
        match unit.trim() {
            "hour" => Some(Alarms::per_hour(count)),
            "day" => Some(Alarms::per_day(count)),
            "week" => Some(Alarms::per_week(count)),
            "month" => Some(Alarms::per_month(count)),
            "year" => Some(Alarms::per_year(count)),
            _ => None,
        }
    });
    rate.filter(|alarms| alarms.per_second() > 0.0).with_context(|| {
        format!(
            "{text:?} is no rate of alarms: give a number above 0 per hour, day, week, month or year, as in 1/week or 0.5/day"
        )
    })
}

/// Reads a time: a number and `s`, `m` or `min`, `h`, or `d`; in seconds.
///
/// # Errors
/// If the text is anything else, or the number is not above 0.
pub fn parse_span(text: &str) -> Result<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c.is_whitespace());
    let seconds = match text[digits.len()..].trim() {
        "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        "d" | "days" => Some(86_400.0),
        _ => None,
    };
    let number = digits.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number
        .zip(seconds)
        .map(|(number, seconds)| number * seconds)
        .with_context(|| format!("{text:?} is no time: give a number above 0 and its unit, as in 90s, 10m, 1.5h or 2d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_units_that_people_type() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("10 min", 600.0), ("1.5h", 5400.0), ("2d", 172_800.0)] {
            assert_eq!(parse_span(text).unwrap(), seconds, "{text}");
        }
        for text in ["", "10", "m", "0s", "-1h", "1e999d", "10x", "1h30m", "NaNs"] {
            assert!(parse_span(text).unwrap_err().to_string().contains("10m"), "{text}");
        }
    }

    #[test]
    fn spans_have_the_unit_that_people_would_use() {
        for (seconds, text) in [(59.0, "59.0 s"), (90.0, "1.5 min"), (3600.0, "1.0 h"), (864_000.0, "10.0 days")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn rates_are_read_and_written() {
        for text in ["1/week", "2/day", "1.5/hour", "1/month", "2.5/month", "1/year", "11/year"] {
            assert_eq!(rate_at_most(f64::from(parse_alarms(text).unwrap().per_second())), text);
        }
        assert_eq!(parse_alarms("0.5/hour").unwrap(), Alarms::per_day(12.0));
        assert_eq!(parse_alarms("1/month").unwrap(), Alarms::per_year(12.0));
        assert_eq!(rate_at_most(1.01 / 86400.0), "1.1/day");
        assert_eq!([0.999, 1.01].map(|count| rate_nearest(count / 86400.0)), ["1/day", "1/day"]);
        assert_eq!(rate_at_most(0.1 / 31_557_600.0), "0.1/year");
        for text in ["", "week", "1/fortnight", "0/day", "-1/day", "inf/day", "NaN/day", "1/day/day", "1e-44/year"] {
            assert!(parse_alarms(text).is_err(), "{text}");
        }
    }
}
