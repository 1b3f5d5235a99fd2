//! Columns that tell the time: how fast a table was sampled, and where recordings end.

use serde::Serialize;

use crate::{
    tables::{
        calendar::{DAY, of_digits},
        reading::TimeUnit,
        times::{MOST_DOWNWARDS, Times},
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
/// An interval longer than this many typical ones is a gap, where intervals are alike.
const GAP: f64 = 1.5;
/// One longer than this many is, where they scatter: of exponential intervals one in 2²⁰.
const LONG_GAP: f64 = 20.0;
/// Share of the intervals between one and a half and three typical ones above which they scatter, and gaps do not stand apart.
const SCATTERED: f64 = 0.02;
/// An interval is off the median if it differs by more than this share of it.
const OFF: f64 = 0.2;
/// Share of a clock's intervals that may go backwards, where it does not begin anew.
const MOST_BACKWARDS: f64 = 0.01;
/// Fewest steps of a column that counts and is not named like a clock.
const LEAST_STEPS: usize = 20;
/// Share of the steps that are alike in a column that counts rows.
const ALIKE: f64 = 0.8;

/// What a column of times says: in seconds where its unit is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clock {
    /// Its name.
    pub column: String,
    /// Rows per second, gaps left out; none where the unit is not known.
    pub rate: Option<f64>,
    /// Median interval between rows.
    pub interval: f64,
    /// Standard deviation of the intervals, gaps left out.
    pub jitter: f64,
    /// Share of the intervals that differ from the median by more than a fifth of it.
    pub off_median: f64,
    /// Intervals so long that another recording begins behind them.
    pub gaps: usize,
    /// The longest of them, 0 where there are none.
    pub longest_gap: f64,
    /// The row that it follows, counted from 1.
    pub longest_gap_row: usize,
    /// Rows whose time is that of the row before them, or earlier.
    pub not_forwards: usize,
    /// Of them those whose time is earlier: the logger began anew.
    pub backwards: usize,
    /// Rows whose time is missing or cannot be read.
    pub unreadable: usize,
    /// Whether the newest row comes first.
    pub is_reversed: bool,
    /// What has to be asked for to know the unit.
    pub question: Option<String>,
    /// Seconds in one unit of its numbers; 1 where that is not known.
    #[serde(skip)]
    pub(crate) unit: f64,
    /// Rows, by index, at which another recording begins.
    #[serde(skip)]
    pub starts: Vec<usize>,
}

/// Whether a column of this name may tell the time, if it counts: `Timestamp (ms)`, `created_at`, `DeviceTime`, `t` …
pub(crate) fn is_name(name: &str) -> bool {
    let words: Vec<String> = words(name).collect();
    words.iter().any(|word| WORDS.contains(&&**word))
        || (words.len() > 1 && words.last().is_some_and(|word| word == "at"))
}

/// How a column goes on from row to row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Steps {
    up: usize,
    down: usize,
    equal: usize,
    /// Share of the steps up that are like the median one.
    alike: f64,
    /// Share of the steps down that lead to where the column began.
    to_start: f64,
    /// Median step up.
    step: f64,
    /// Share of the runs of equal values that are about as long as the median one.
    even: f64,
}

impl Steps {
    /// Of values, as a column of `f32` or as times; NaN is passed over. `None` without two of them.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let known = || values.clone().filter(|value| !value.is_nan());
        let steps = || known().zip(known().skip(1)).map(|(from, to)| (to - from, to));
        let (mut least, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
        known().for_each(|value| (least, largest) = (least.min(value), largest.max(value)));
        let mut ups: Vec<f64> = steps().map(|(step, _)| step).filter(|step| *step > 0.0).collect();
        let downs = || steps().filter(|(step, _)| *step < 0.0);
        let equal = steps().filter(|(step, _)| *step == 0.0).count();
        let (up, down) = (ups.len(), downs().count());
        if up + down + equal == 0 {
            return None;
        }
        let step = if up == 0 { 0.0 } else { *ups.select_nth_unstable_by(up / 2, f64::total_cmp).1 };
        let alike = ups.iter().filter(|up| (*up - step).abs() <= OFF * step).count() as f64 / up.max(1) as f64;
        let even = even_runs(known());
        let start = least + 0.1 * (largest - least);
        let to_start = downs().filter(|(_, to)| *to <= start).count() as f64 / down.max(1) as f64;
        Some(Self { up, down, equal, alike, to_start, step, even })
    }

    fn all(&self) -> f64 {
        (self.up + self.down + self.equal) as f64
    }

    /// Whether it counts on, beginning anew now and then.
    fn begins_anew(&self) -> bool {
        self.down > 0
            && self.down as f64 <= MOST_DOWNWARDS * (self.up + self.down) as f64
            && self.to_start >= 0.9
            && self.alike >= ALIKE
    }

    /// Whether a column of this behaviour may be a clock, if its name or its dates say so.
    fn is_of_clock(&self, dates: bool) -> bool {
        let forwards = self.down as f64 <= MOST_BACKWARDS * (self.up + self.down) as f64;
        // Times that are coarser than the rows go on by equal steps, after as many rows each.
        let repeats = 2 * self.equal > self.up + self.down + self.equal;
        let is_coarse = self.up >= LEAST_STEPS && self.alike >= ALIKE && self.even >= ALIKE;
        self.up >= 2 && (forwards || self.begins_anew()) && (!repeats || is_coarse || dates)
    }
}

/// The share of the runs of equal values, but for the last, that are as long as the median one, or differ by a row or a fifth.
fn even_runs(values: impl Iterator<Item = f64>) -> f64 {
    let mut lengths = Vec::new();
    let mut last = f64::NAN;
    for value in values {
        match lengths.last_mut() {
            Some(length) if value == last => *length += 1,
            _ => lengths.push(1usize),
        }
        last = value;
    }
    lengths.pop();
    if lengths.is_empty() {
        return 1.0;
    }
    let middle = lengths.len() / 2;
    let median = *lengths.select_nth_unstable(middle).1;
    let is_even = |length: &&usize| length.abs_diff(median) <= 1.max(median / 5);
    lengths.iter().filter(is_even).count() as f64 / lengths.len() as f64
}

/// Whether a column counts its rows, or something that never comes again: each value is above the last one, but where it begins anew.
pub(crate) fn counts(values: impl Iterator<Item = f64> + Clone) -> bool {
    // What repeats, or goes down as often as up, is told by its beginning.
    let may_count = |rows: usize| {
        Steps::of(values.clone().take(rows)).is_some_and(|steps| {
            let changes = (steps.up + steps.down) as f64;
            steps.down as f64 <= MOST_DOWNWARDS * changes && 4 * steps.equal <= rows
        })
    };
    if !may_count(32) || !may_count(512) {
        return false;
    }
    Steps::of(values).is_some_and(|steps| {
        let rarely_equal = steps.equal as f64 <= MOST_BACKWARDS * steps.all();
        steps.up >= LEAST_STEPS && rarely_equal && (steps.down == 0 || steps.begins_anew())
    })
}

/// The rows at which a column that counts begins anew.
pub(crate) fn restarts(values: impl Iterator<Item = f64>) -> Vec<usize> {
    let mut last = f64::NAN;
    let begins = values.enumerate().filter_map(|(row, value)| {
        let begins = value < last;
        last = if value.is_nan() { last } else { value };
        begins.then_some(row)
    });
    begins.collect()
}

impl Clock {
    /// The clock of a column's times; `None` if they do not count up, or its name and its fields say nothing of time.
    #[must_use]
    pub fn of(column: &str, times: &Times, asked: Option<TimeUnit>, is_asked: bool) -> Option<Self> {
        let Times { values, seconds, dates, question } = times;
        let known = values.iter().filter(|time| !time.is_nan()).count();
        let mut steps = Steps::of(values.iter().copied())?;
        let is_reversed = *seconds && steps.down > 1 && steps.up as f64 <= MOST_BACKWARDS * steps.all();
        let turned: Vec<f64>;
        let mut values = &values[..];
        if is_reversed {
            turned = values.iter().map(|time| -time).collect();
            values = &turned;
            steps = Steps::of(values.iter().copied())?;
        }
        let (middle, digits) =
            (values.iter().copied().filter(|time| !time.is_nan()).nth(known / 2)?, digits(values, steps.step));
        let is_meant = is_asked || *seconds || is_name(column) || since_1970(middle).is_some() && steps.step >= 1e-3;
        if !is_meant || 2 * known < values.len() || !(is_asked && steps.up > 0 || steps.is_of_clock(*dates)) {
            return None;
        }
        let converted: Vec<f64>;
        let unit = match (seconds, asked.and_then(seconds_of)) {
            (true, _) => Ok(1.0),
            (false, Some(unit)) => Ok(unit),
            (false, None) if digits => {
                converted = values.iter().map(|time| of_digits(*time).unwrap_or(f64::NAN)).collect();
                values = &converted;
                Ok(1.0)
            }
            (false, None) => unit(column, middle, steps.step),
        };
        let question = question.clone().or(unit.as_ref().err().cloned());
        Some(Self::with_unit(column, values, unit.unwrap_or(1.0), question, is_reversed))
    }

    fn with_unit(column: &str, times: &[f64], unit: f64, question: Option<String>, is_reversed: bool) -> Self {
        // Counted anew each time: a recording may have more rows than there is memory for pairs of them.
        let known = || times.iter().copied().enumerate().filter(|(_, time)| time.is_finite());
        // Each a row's, and the row that it ends at.
        let intervals =
            || known().zip(known().skip(1)).map(|(from, to)| (to.0, unit * (to.1 - from.1) / (to.0 - from.0) as f64));
        let mut sorted: Vec<f64> = intervals().map(|(_, interval)| interval).filter(|i| *i >= 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let interval = sorted[sorted.len() / 2];
        // Of times that are coarser than the rows, most intervals are 0.
        let typical = if interval > 0.0 { interval } else { sorted.iter().copied().find(|i| *i > 0.0).unwrap_or(1.0) };
        let below = |limit: f64| sorted.partition_point(|interval| *interval <= limit * typical);
        let scatters = (below(3.0) - below(GAP)) as f64 > SCATTERED * sorted.len() as f64;
        let longest = if scatters { LONG_GAP } else { GAP } * typical;
        let regular = || sorted.iter().copied().take_while(|interval| *interval <= longest);
        let count = regular().count() as f64;
        let mean = regular().sum::<f64>() / count;
        let off = sorted.iter().filter(|i| (*i - interval).abs() > OFF * interval).count() as f64 / sorted.len() as f64;
        let ends = || intervals().filter(|(_, interval)| *interval > longest);
        let (gap_end, longest_gap) = ends().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        let backwards = intervals().filter(|(_, interval)| *interval < 0.0).count();
        Self {
            column: column.to_owned(),
            rate: (question.is_none() && mean > 0.0 && mean.is_finite()).then_some(1.0 / mean),
            interval,
            jitter: (regular().map(|interval| (interval - mean).powi(2)).sum::<f64>() / count).sqrt(),
            off_median: if interval > 0.0 { off } else { 0.0 },
            gaps: ends().count(),
            longest_gap,
            longest_gap_row: gap_end,
            not_forwards: intervals().filter(|(_, interval)| *interval <= 0.0).count(),
            backwards,
            unreadable: times.len() - known().count(),
            is_reversed,
            unit,
            question,
            starts: intervals().filter(|(_, i)| *i < 0.0 || *i > longest).map(|(row, _)| row).collect(),
        }
    }

    /// Goes on with the clock of the next file, whose first row is that with index `row`.
    pub(crate) fn append(&mut self, next: &Self, row: usize, rows: usize) {
        let intervals = self.rate.zip(next.rate).map(|(a, b)| (row as f64 / a, rows as f64 / b));
        self.rate = intervals.map(|(a, b)| (row + rows) as f64 / (a + b));
        if next.longest_gap > self.longest_gap {
            (self.longest_gap, self.longest_gap_row) = (next.longest_gap, row + next.longest_gap_row);
        }
        let share = rows as f64 / (row + rows) as f64;
        self.off_median += share * (next.off_median - self.off_median);
        self.jitter = (self.jitter.powi(2) + share * (next.jitter.powi(2) - self.jitter.powi(2))).sqrt();
        self.gaps += next.gaps;
        self.not_forwards += next.not_forwards;
        self.backwards += next.backwards;
        self.unreadable += next.unreadable;
        self.is_reversed |= next.is_reversed;
        self.question = self.question.take().or_else(|| next.question.clone());
    }

    /// Whether its intervals scatter so much that a number of rows says little of the time that they took.
    #[must_use]
    pub fn scatters(&self) -> bool {
        self.rate.is_some_and(|rate| self.jitter * rate > 2.0)
    }
}

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
fn seconds_of(unit: TimeUnit) -> Option<f64> {
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
fn digits(times: &[f64], step: f64) -> bool {
    let mut known = times.iter().filter(|time| !time.is_nan());
    step >= 1.0 && known.clone().next().is_some() && known.all(|time| of_digits(*time).is_some())
}

/// Seconds in one unit of times since 1970, by their size: from 1998 to 2103.
fn since_1970(time: f64) -> Option<f64> {
    [1.0, 1e-3, 1e-6, 1e-9].into_iter().find(|unit| (9e8..4.2e9).contains(&(time * unit)))
}

/// Seconds in one unit of a clock of numbers, of which one is `time` and a usual step is `step`: by its name, by their size, by what is plausible.
///
/// # Errors
/// If that does not tell, with what has to be asked for.
fn unit(name: &str, time: f64, step: f64) -> Result<f64, String> {
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
    let is_of_days = [20_000.0..80_000.0, 6.9e5..7.7e5, 2.4e6..2.5e6].iter().any(|range| range.contains(&time));
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

    fn of_numbers(column: &str, values: &[f64]) -> Option<Clock> {
        Clock::of(column, &Times { values: values.to_owned(), ..Times::default() }, None, false)
    }

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
            assert_eq!(unit(name, time, step), Ok(seconds), "{name} {time}");
        }
        for (name, time, step, words) in [
            ("time", 45_413.25, 1.0 / 1440.0, "as days, which spreadsheets count, there is a row every 60 s"),
            ("time", 500.0, 10.0, "a row every 10; give --time-unit s, ms"),
            ("epoch", 1_714_521.0, 1.0, "give --time-unit"),
        ] {
            let question = unit(name, time, step).unwrap_err();
            assert!(question.contains(words), "{question}");
        }
        // Dates are in seconds by now.
        let values = (0..1000).map(|i| 1.7e9 + 0.01 * f64::from(i)).collect();
        let dates = Times { values, seconds: true, dates: true, question: None };
        let clock = Clock::of("Time (ms)", &dates, None, false).unwrap();
        assert!((clock.rate.unwrap() - 100.0).abs() < 0.1, "{clock:?}");
        // Without marks between their digits, a row a minute over the end of an hour.
        let compact: Vec<f64> =
            (0..100).map(|i| 20_240_501_220_000.0 + f64::from(i / 60 * 10_000 + i % 60 * 100)).collect();
        assert!((of_numbers("when", &compact).unwrap().rate.unwrap() - 1.0 / 60.0).abs() < 1e-6);
        assert_eq!(of_numbers("time", &[0.0, 10.0, 20.0]).unwrap().rate, None);
        let asked = Times { values: vec![0.0, 10.0, 20.0], ..Times::default() };
        assert_eq!(Clock::of("x", &asked, Some(TimeUnit::Ms), true).unwrap().rate, Some(100.0));
    }

    #[test]
    fn rate_jitter_and_gaps() {
        // 200 Hz, alternately half a millisecond early and late; 2 s are missing after row 500, and one time is not readable.
        let mut times: Vec<f64> = (0..1000)
            .map(|i| f64::from(i) * 0.005 + if i % 2 == 0 { 0.0 } else { 0.0005 } + if i < 500 { 0.0 } else { 2.0 })
            .collect();
        times[700] = f64::NAN;
        let clock = of_numbers("time", &times).unwrap();
        assert!((clock.rate.unwrap() - 200.0).abs() < 0.1 && (clock.jitter - 0.0005).abs() < 1e-5, "{clock:?}");
        // The unreadable time makes no gap.
        assert_eq!((clock.gaps, clock.longest_gap_row, clock.unreadable, clock.not_forwards), (1, 500, 1, 0));
        assert_eq!(clock.starts, [500]);
        assert!((clock.longest_gap - 2.0045).abs() < 1e-9, "{clock:?}");
        let milliseconds: Vec<f64> = times.iter().map(|time| 1000.0 * time).collect();
        assert!((of_numbers("time_ms", &milliseconds).unwrap().rate.unwrap() - 200.0).abs() < 0.1);
        let unix: Vec<f64> = times.iter().map(|time| 1.7e12 + 1000.0 * time).collect();
        assert!((of_numbers("timestamp", &unix).unwrap().rate.unwrap() - 200.0).abs() < 0.1);
    }

    #[test]
    fn intervals_that_scatter_give_rows_by_span() {
        // Exponential intervals of 60 s on average, by the quantile function at evenly spread probabilities in a mixed order.
        let mut now = 1.7e9;
        let times: Vec<f64> = (0..5000)
            .map(|i| {
                let p = (f64::from(i * 1237 % 5000) + 0.5) / 5000.0;
                now += -60.0 * (1.0 - p).ln();
                now
            })
            .collect();
        let clock = of_numbers("time", &times).unwrap();
        let by_span = 4999.0 / (times[4999] - times[0]);
        assert!((clock.rate.unwrap() / by_span - 1.0).abs() < 1e-9 && clock.gaps == 0, "{clock:?}");
        // Between 0.8 and 1.2 medians there are 2^-0.8 − 2^-1.2 of them.
        let off = 1.0 - (0.5f64.powf(0.8) - 0.5f64.powf(1.2));
        assert!((clock.off_median - off).abs() < 1e-3 && !clock.scatters(), "{clock:?}");
        // Times of whole seconds, a row every 1.1 s.
        let whole: Vec<f64> = (0..1000).map(|i| 1.7e9 + (1.1 * f64::from(i)).floor()).collect();
        let clock = of_numbers("time", &whole).unwrap();
        assert!((clock.rate.unwrap() - 1.0 / 1.1).abs() < 2e-3 && clock.starts.is_empty(), "{clock:?}");
    }

    #[test]
    fn times_that_are_coarser_than_the_rows_have_a_rate() {
        let times: Vec<f64> = (0..1000).map(|i| f64::from(i / 10)).collect();
        let clock = of_numbers("time", &times).unwrap();
        assert!((clock.rate.unwrap() - 10.0).abs() < 0.1 && clock.interval == 0.0 && clock.gaps == 0, "{clock:?}");
        assert_eq!((clock.not_forwards, clock.backwards), (900, 0));
    }

    #[test]
    fn a_clock_that_begins_anew_is_one_still() {
        // Sixty rows a second apart, thirty times.
        let times: Vec<f64> = (0..1800).map(|i| 317.0 + f64::from(i % 60 * 1000)).collect();
        let clock = of_numbers("millis", &times).unwrap();
        assert!((clock.rate.unwrap() - 1.0).abs() < 1e-9 && clock.backwards == 29, "{clock:?}");
        assert_eq!(clock.starts, (1..30).map(|start| 60 * start).collect::<Vec<_>>());
        // Newest first.
        let values: Vec<f64> = (0..100).map(|i| 1.7e9 - 60.0 * f64::from(i)).collect();
        let clock = Clock::of("x", &Times { values, seconds: true, dates: true, question: None }, None, false).unwrap();
        assert!(clock.is_reversed && (60.0 * clock.rate.unwrap() - 1.0).abs() < 1e-9, "{clock:?}");
    }

    #[test]
    fn what_does_not_count_up_is_no_clock() {
        let there_and_back: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100)).collect();
        assert_eq!(of_numbers("time", &there_and_back), None);
        assert_eq!(of_numbers("time", &[5.0; 50]), None);
        assert_eq!(of_numbers("time", &[]), None);
        // A temperature that rises by half a degree now and then.
        let warmer: Vec<f64> = (0..1000).map(|i| 21.0 + 0.5 * f64::from(i / 120)).collect();
        assert_eq!(of_numbers("t", &warmer), None);
        // One that warms up by half a degree more and more slowly.
        let heating: Vec<f64> =
            (0..6000).map(|i| (2.0 * (62.0 - 17.0 * (-f64::from(i) / 1500.0).exp())).round() / 2.0).collect();
        assert_eq!(of_numbers("T_oil", &heating), None);
    }

    #[test]
    fn counting_is_told_from_measuring() {
        let count = |of: &dyn Fn(usize) -> f64| counts((0..1000).map(of));
        assert!(count(&|row| 10_417.0 + row as f64));
        assert!(count(&|row| (row % 150) as f64));
        assert!(count(&|row| if row == 500 { f64::NAN } else { row as f64 }));
        assert!(count(&|row| (row * row) as f64), "what never comes again");
        assert!(!count(&|row| (row / 100) as f64), "repeats");
        assert!(!count(&|row| ((row * 7919) % 997) as f64));
        assert!(!count(&|row| (row as f64 / 10.0).sin()));
        assert!(!counts((0..10).map(f64::from)), "too few rows to tell");
        assert_eq!(restarts([3.0, 4.0, 1.0, f64::NAN, 2.0, 0.0].into_iter()), [2, 5]);
    }
}
