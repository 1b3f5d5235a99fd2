//! Columns that tell the time: how fast a table was sampled, and where samples are missing.

use jiff::{Timestamp, civil};
use serde::Serialize;

/// Names of a column that tells the time, or the first words of them.
const NAMES: [&str; 12] =
    ["time", "timestamp", "datetime", "date", "ts", "t", "seconds", "sec", "s", "millis", "ms", "us"];
/// An interval longer than this many typical ones is a gap.
const GAP: f64 = 1.5;
/// No time is this many minutes, hours or days: of 2100, 1970 is 70 million minutes ago.
const MOST_MINUTES: f64 = 1e8;
/// Share of the intervals that may not go forwards in a clock.
const MOST_BACKWARDS: f64 = 0.01;

/// A column's fields as times, row by row; NaN where a field tells none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// In the column's own unit.
    pub values: Vec<f64>,
    /// Whether that is the second, as of dates, whatever the column's name says.
    pub seconds: bool,
}

/// What a column of times says, all in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clock {
    /// Its name.
    pub column: String,
    /// Rows per second, gaps left out.
    pub rate: f64,
    /// Median interval between rows.
    pub interval: f64,
    /// Standard deviation of the intervals, gaps left out.
    pub jitter: f64,
    /// Intervals longer than one and a half typical ones.
    pub gaps: usize,
    /// The longest of them, 0 where there are none.
    pub longest_gap: f64,
    /// The row that it follows, counted from 1.
    pub longest_gap_row: usize,
    /// Rows whose time is that of the row before them, or earlier.
    pub not_forwards: usize,
    /// Rows whose time is missing or cannot be read.
    pub unreadable: usize,
}

impl Clock {
    /// Whether a column of this name may be a clock: `time`, `Timestamp (ms)`, `date_time`, `t` …
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        words(name).next().is_some_and(|word| NAMES.contains(&&*word))
    }

    /// The clock of a column's fields; `None` if they do not count up.
    #[must_use]
    pub fn of(column: &str, Times { values: times, seconds }: &Times) -> Option<Self> {
        // Counted anew each time: a recording may have more rows than there is memory for pairs of them.
        let known = || times.iter().copied().enumerate().filter(|(_, time)| time.is_finite());
        let count_known = known().count();
        let middle = known().nth(count_known / 2)?.1;
        let unit = if *seconds { 1.0 } else { unit(column, middle) };
        // Each with the row that it follows, counted from 1.
        let intervals = || known().zip(known().skip(1)).map(|(from, to)| (from.0 + 1, unit * (to.1 - from.1)));
        let forwards = intervals().filter(|(_, interval)| *interval > 0.0).count();
        let backwards = intervals().filter(|(_, interval)| *interval < 0.0).count();
        let count_intervals = count_known - 1;
        if 2 * count_known < times.len() || forwards < 2 || backwards as f64 > MOST_BACKWARDS * count_intervals as f64 {
            return None;
        }
        let mut sorted: Vec<f64> = intervals().map(|(_, interval)| interval).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let interval = sorted[sorted.len() / 2];
        // Of times that are coarser than the rows, most intervals are 0.
        let typical = if interval > 0.0 { interval } else { sorted.iter().copied().find(|i| *i > 0.0)? };
        let is_gap = |interval: f64| interval > GAP * typical;
        let regular = || sorted.iter().copied().filter(|interval| !is_gap(*interval) && *interval >= 0.0);
        let count = regular().count() as f64;
        let mean = regular().sum::<f64>() / count;
        let longest = intervals().filter(|(_, i)| is_gap(*i)).max_by(|a, b| a.1.total_cmp(&b.1));
        let (longest_gap_row, longest_gap) = longest.unwrap_or_default();
        Some(Self {
            column: column.to_owned(),
            rate: 1.0 / mean,
            interval,
            jitter: (regular().map(|interval| (interval - mean).powi(2)).sum::<f64>() / count).sqrt(),
            gaps: intervals().filter(|(_, interval)| is_gap(*interval)).count(),
            longest_gap,
            longest_gap_row,
            not_forwards: count_intervals - forwards,
            unreadable: times.len() - count_known,
        })
    }
}

/// A field as a time: a number, or seconds since 1970 of an ISO 8601 date and time (`2024-05-01 12:00:00.5`, `…T12:00:00Z`);
/// NaN for anything else. Also whether it is a date.
#[must_use]
pub fn parse(field: &str) -> (f64, bool) {
    if let Ok(number) = field.parse() {
        return (number, false);
    }
    if let Ok(time) = field.parse::<Timestamp>() {
        return (time.as_microsecond() as f64 * 1e-6, true);
    }
    match field.parse::<civil::DateTime>() {
        Ok(time) => (time.duration_since(civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs_f64(), true),
        Err(_) => (f64::NAN, false),
    }
}

fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Seconds in one unit of a clock of numbers: by its name, else of times since 1970 by their magnitude, else 1.
fn unit(name: &str, time: f64) -> f64 {
    let words: Vec<String> = words(name).collect();
    // `timestamp_1min` is in seconds, of an average over a minute.
    let is_long = time.abs() < MOST_MINUTES;
    // The unit comes last, and a time of day has another.
    for word in words.iter().rev() {
        match &**word {
            "ms" | "msec" | "millis" | "milliseconds" => return 1e-3,
            "us" | "µs" | "μs" | "usec" | "micros" | "microseconds" => return 1e-6,
            "ns" | "nsec" | "nanos" | "nanoseconds" => return 1e-9,
            "s" | "sec" | "secs" | "second" | "seconds" => break,
            "min" | "mins" | "minute" | "minutes" if is_long => return 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" if is_long => return 3600.0,
            "d" | "day" | "days" if is_long && !words.iter().any(|word| word == "of") => return 86_400.0,
            _ => {}
        }
    }
    // Between 1973 and 5138 these are apart.
    match time.abs() {
        ..1e11 => 1.0,
        ..1e14 => 1e-3,
        ..1e17 => 1e-6,
        _ => 1e-9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_of_clocks() {
        for name in ["time", "Time (s)", "timestamp_ms", "t", "datetime", "date-time", "ms"] {
            assert!(Clock::is_name(name), "{name}");
        }
        for name in ["temperature", "response_time", "x", "uptime", "tension", ""] {
            assert!(!Clock::is_name(name), "{name}");
        }
        let day = 86_400.0;
        for (field, seconds) in [
            ("12.5", 12.5),
            ("1970-01-02", day),
            ("1970-01-02 00:00:00.250", day + 0.25),
            ("1970-01-02T01:00:00+01:00", day),
            ("1970-01-02T00:00:00Z", day),
            ("2020-03-09 10:14:33", 1_583_748_873.0), // date -u -d
        ] {
            assert_eq!(parse(field), (seconds, field != "12.5"), "{field}");
        }
        assert!(["red", ""].iter().all(|field| parse(field).0.is_nan() && !parse(field).1));
    }

    #[test]
    fn a_unit_is_that_of_the_name_unless_the_times_say_otherwise() {
        for (name, time, seconds) in [
            ("time", 5.0, 1.0),
            ("time", 1.7e12, 1e-3),
            ("Time (ms)", 5.0, 1e-3),
            ("t_us", 5.0, 1e-6),
            ("t [µs]", 5.0, 1e-6),
            ("ts_ns", 5.0, 1e-9),
            ("Time (min)", 5.0, 60.0),
            ("time_minutes", 5.0, 60.0),
            ("Time/h", 5.0, 3600.0),
            ("time (days)", 5.0, 86_400.0),
            ("Time of day (s)", 5.0, 1.0),
            ("time_of_day", 5.0, 1.0),
            ("timestamp_1min", 1.7e9, 1.0),
            ("timestamp (s)", 1.7e12, 1e-3),
        ] {
            assert_eq!(unit(name, time), seconds, "{name}");
        }
        // Dates are in seconds by now.
        let dates = Times { values: (0..1000).map(|i| 1.7e9 + 0.01 * f64::from(i)).collect(), seconds: true };
        let clock = Clock::of("Time (ms)", &dates).unwrap();
        assert!((clock.rate - 100.0).abs() < 0.1, "{clock:?}");
    }

    fn of_numbers(column: &str, values: &[f64]) -> Option<Clock> {
        Clock::of(column, &Times { values: values.to_owned(), seconds: false })
    }

    #[test]
    fn rate_jitter_and_gaps() {
        // 200 Hz, alternately half a millisecond early and late; 2 s are missing after row 500, and one time is not readable.
        let mut times: Vec<f64> = (0..1000)
            .map(|i| f64::from(i) * 0.005 + if i % 2 == 0 { 0.0 } else { 0.0005 } + if i < 500 { 0.0 } else { 2.0 })
            .collect();
        times[700] = f64::NAN;
        let clock = of_numbers("time", &times).unwrap();
        assert!((clock.rate - 200.0).abs() < 0.1 && (clock.jitter - 0.0005).abs() < 1e-5, "{clock:?}");
        // The unreadable time makes an interval of two.
        assert_eq!((clock.gaps, clock.longest_gap_row, clock.unreadable, clock.not_forwards), (2, 500, 1, 0));
        assert!((clock.longest_gap - 2.0045).abs() < 1e-9, "{clock:?}");
        let milliseconds: Vec<f64> = times.iter().map(|time| 1000.0 * time).collect();
        assert!((of_numbers("time_ms", &milliseconds).unwrap().rate - 200.0).abs() < 0.1);
        let unix: Vec<f64> = times.iter().map(|time| 1.7e12 + 1000.0 * time).collect();
        assert!((of_numbers("timestamp", &unix).unwrap().rate - 200.0).abs() < 0.1);
    }

    #[test]
    fn times_that_are_coarser_than_the_rows_have_a_rate() {
        let times: Vec<f64> = (0..1000).map(|i| f64::from(i / 10)).collect();
        let clock = of_numbers("time", &times).unwrap();
        assert!((clock.rate - 10.0).abs() < 0.1 && clock.interval == 0.0 && clock.gaps == 0, "{clock:?}");
        assert_eq!(clock.not_forwards, 900);
    }

    #[test]
    fn what_does_not_count_up_is_no_clock() {
        let there_and_back: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100)).collect();
        assert_eq!(of_numbers("time", &there_and_back), None);
        assert_eq!(of_numbers("time", &[5.0; 50]), None);
        assert_eq!(of_numbers("time", &[]), None);
    }
}
