//! The unit of a clock's numbers: by its name, by their size, by what is plausible, and else to be asked for.

use crate::{
    tables::{
        calendar::{DAY, of_digits},
        reading::TimeUnit,
    },
    words::numbers::significant,
};

/// Words of which the name of a clock has one.
const WORDS: [&str; 33] = [
    "time",
    "timestamp",
    "datetime",
    "date",
    "ts",
    "t",
    "seconds",
    "sec",
    "s",
    "millis",
    "micros",
    "ms",
    "us",
    "epoch",
    "unix",
    "uptime",
    "elapsed",
    "clock",
    "when",
    "utc",
    "gmt",
    "datenum",
    "datum",
    "zeit",
    "uhrzeit",
    "zeitstempel",
    "heure",
    "horodatage",
    "fecha",
    "hora",
    "timestep",
    "tijd",
    "ora",
];
/// Names of days that a spreadsheet or a program counts.
const DAY_WORDS: [&str; 9] = ["date", "datum", "day", "days", "excel", "serial", "datenum", "julian", "jd"];
/// Whether a column of this name may tell the time, if it counts: `Timestamp (ms)`, `created_at`, `DeviceTime`, `t` …
pub(crate) fn is_name(name: &str) -> bool {
    let words: Vec<String> = words(name).collect();
    words.iter().any(|word| WORDS.contains(&&**word))
        || (words.len() > 1 && words.last().is_some_and(|word| word == "at"))
}

/// The words of a name, in lower case.
pub(crate) fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars() {
        // `DeviceTime` and `timeMs` are two words, `UTC` is one.
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
        before = c;
    }
    spaced.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}

/// Seconds in a unit; none for what is no unit.
pub(crate) fn seconds_of(unit: TimeUnit) -> Option<f64> {
    match unit {
        TimeUnit::Ns => Some(1e-9),
        TimeUnit::Us => Some(1e-6),
        TimeUnit::Ms => Some(1e-3),
        TimeUnit::S => Some(1.0),
        TimeUnit::Min => Some(60.0),
        TimeUnit::H => Some(3600.0),
        TimeUnit::Days => Some(DAY),
        TimeUnit::DayFirst | TimeUnit::MonthFirst => None,
    }
}

/// Whether the numbers are dates without marks between them: `20240501`, `20240501224000`.
pub(crate) fn are_dates(times: &[f64], step: f64) -> bool {
    let mut known = times.iter().filter(|time| !time.is_nan());
    step >= 1.0 && known.clone().next().is_some() && known.all(|time| of_digits(*time).is_some())
}

/// Seconds in one unit of times since 1970, by their size: from 1998 to 2103.
pub(crate) fn since_1970(time: f64) -> Option<f64> {
    [1.0, 1e-3, 1e-6, 1e-9].into_iter().find(|unit| (9e8..4.2e9).contains(&(time * unit)))
}

/// Seconds in one unit of a clock of numbers, of which the first is `first`, one in the middle `time`, and a usual step `step`: by its name, by
/// their size, by what is plausible.
///
/// # Errors
/// If that does not tell, with what has to be asked for.
pub(crate) fn unit(name: &str, (first, time): (f64, f64), step: f64) -> Result<f64, String> {
    let words: Vec<String> = words(name).collect();
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&&**word));
    let of_1970 = since_1970(time);
    // The unit comes last, and a time of day has another; `timestamp_1min` is in seconds, of an average over a minute.
    let last = words.iter().rev().find_map(|word| unit_of_word(word));
    match last {
        Some(unit) if unit < 1.0 => return Ok(unit),
        Some(1.0) => return Ok(of_1970.unwrap_or(1.0)),
        Some(DAY) if has(&["of"]) => {}
        Some(unit) if of_1970.is_none() => return Ok(unit),
        _ => {}
    }
    if let Some(unit) = of_1970 {
        return Ok(unit);
    }
    let every = |unit: f64| significant(step * unit);
    // 1954 to 2119 of a spreadsheet, years about 2000 of MATLAB, and Julian days.
    let is_of_days = [20_000.0..80_000.0, 6.9e5..7.7e5, 2.4e6..2.5e6]
        .iter()
        .any(|range| range.contains(&first) && range.contains(&time));
    if is_of_days && has(&DAY_WORDS) {
        return Ok(DAY);
    }
    if is_of_days && step.fract() != 0.0 && step < 0.5 {
        return Err(format!(
            "its unit is not clear: as days, which spreadsheets count, there is a row every {} s, and as seconds one every {} s; give \
             --time-unit days or s",
            every(DAY),
            every(1.0)
        ));
    }
    let is_usual = step < 4.0 || step == 15.0 || step == 30.0 || step % 60.0 == 0.0;
    if has(&["epoch", "unix"]) || (step.fract() == 0.0 && time.fract() == 0.0 && !is_usual) {
        return Err(format!(
            "its unit is not clear: a row every {}; give --time-unit s, ms, us, ns, min, h or days",
            every(1.0)
        ));
    }
    Ok(1.0)
}

/// Seconds in the unit that a word names.
fn unit_of_word(word: &str) -> Option<f64> {
    match word {
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => Some(1e-3),
        "us" | "µs" | "μs" | "usec" | "micros" | "microsecond" | "microseconds" => Some(1e-6),
        "ns" | "nsec" | "nanos" | "nanosecond" | "nanoseconds" => Some(1e-9),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1.0),
        "min" | "mins" | "minute" | "minutes" => Some(60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(3600.0),
        "d" | "day" | "days" => Some(DAY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clocks() {
        for name in
            ["time", "Time (s)", "timestamp_ms", "t", "datetime", "date-time", "created_at", "DeviceTime", "epoch"]
        {
            assert!(is_name(name), "{name}");
        }
        for name in ["temperature", "x", "tension", "", "format", "at", "entry_id"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_unit_is_that_of_the_name_unless_the_times_say_otherwise() {
        for (name, time, step, seconds) in [
            ("time", 5.0, 1.0, 1.0),
            ("time", 5.5, 0.01, 1.0),
            ("time", 7200.0, 60.0, 1.0),
            ("time", 1.7e9, 10.0, 1.0),
            ("time", 1.7e12, 1.0, 1e-3),
            ("time", 1.7e15, 1.0, 1e-6),
            ("time", 1.7e18, 1.0, 1e-9),
            ("Time (ms)", 5.0, 10.0, 1e-3),
            ("t_us", 5.0, 1.0, 1e-6),
            ("t [µs]", 5.0, 1.0, 1e-6),
            ("ts_ns", 5.0, 1.0, 1e-9),
            ("Time (min)", 5.0, 1.0, 60.0),
            ("time_minutes", 5.0, 1.0, 60.0),
            ("Time/h", 5.0, 1.0, 3600.0),
            ("time (days)", 5.0, 1.0, DAY),
            ("Time of day (s)", 5.0, 1.0, 1.0),
            ("time_of_day", 5.0, 1.0, 1.0),
            ("timestamp_1min", 1.7e9, 1.0, 1.0),
            ("timestamp (s)", 1.7e12, 1.0, 1e-3),
            ("Date", 45_413.25, 1.0 / 1440.0, DAY),
            ("datenum", 739_000.5, 1.0 / 1440.0, DAY),
        ] {
            assert_eq!(unit(name, (time, time), step), Ok(seconds), "{name} {time}");
        }
        for (name, time, step, words) in [
            ("time", 45_413.25, 1.0 / 1440.0, "as days, which spreadsheets count, there is a row every 60 s"),
            ("time", 500.0, 10.0, "a row every 10; give --time-unit s, ms"),
            ("epoch", 1_714_521.0, 1.0, "give --time-unit"),
        ] {
            let question = unit(name, (time, time), step).unwrap_err();
            assert!(question.contains(words), "{question}");
        }
    }
}
