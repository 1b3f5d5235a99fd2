//! Columns that tell the time: how fast a table was sampled, and where recordings end.

use serde::Serialize;

use crate::tables::{
    calendar::of_digits,
    reading::TimeUnit,
    steps::{MOST_BACKWARDS, Steps},
    time_unit::{are_dates, is_name, seconds_of, since_1970, unit},
    times::Times,
};

/// An interval longer than this many typical ones is a gap, where intervals are alike.
const GAP: f64 = 1.5;
/// One longer than this many is, where they scatter: of exponential intervals one in 2²⁰.
const LONG_GAP: f64 = 20.0;
/// Share of the intervals between one and a half and three typical ones above which they scatter, and gaps do not stand apart.
const SCATTERED: f64 = 0.02;
/// An interval is off the median if it differs by more than this share of it.
const OFF: f64 = 0.2;
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
        let mut ordered = values.iter().copied().filter(|time| !time.is_nan());
        let first = ordered.next()?;
        let middle = if known < 3 { first } else { ordered.nth(known / 2 - 1)? };
        let digits = are_dates(values, steps.step);
        let is_meant = is_asked || *seconds || is_name(column) || since_1970(middle).is_some() && steps.step >= 1e-3;
        if !is_meant || 2 * known < values.len() || !(is_asked && steps.mostly_goes_up() || steps.is_of_clock(*dates)) {
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
            (false, None) => unit(column, (first, middle), steps.step),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of_numbers(column: &str, values: &[f64]) -> Option<Clock> {
        Clock::of(column, &Times { values: values.to_owned(), ..Times::default() }, None, false)
    }

    #[test]
    fn dates_numbers_and_units_that_are_asked_for() {
        // Dates are in seconds by now.
        let values = (0..1000).map(|i| 1.7e9 + 0.01 * f64::from(i)).collect();
        let dates = Times { values, seconds: true, dates: true, question: None };
        let clock = Clock::of("Time (ms)", &dates, None, false).unwrap();
        assert!((clock.rate.unwrap() - 100.0).abs() < 0.1, "{clock:?}");
        // From 0 on for days, which are no days of a spreadsheet.
        let long: Vec<f64> = (0..3000).map(|i| 0.01 * f64::from(i) + 600.0 * f64::from(i / 30)).collect();
        assert!((of_numbers("time", &long).unwrap().rate.unwrap() - 100.0).abs() < 1e-6);
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
}
