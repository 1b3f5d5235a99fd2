//! A column's fields as times, kept in more digits than `f32` has for as long as the column may be a clock or an index.

use crate::tables::{
    calendar::{self, DAY, Stamp},
    reading::TimeUnit,
    time_unit::is_name,
};

/// Changes of a column after which it is first judged whether it counts.
const FIRST_JUDGED: usize = 32;
/// Rows after which a column that rarely changes, and has no name of a clock, is none.
const LONG: usize = 1024;
/// Fewest changes in so many rows.
const RARE: usize = 64;
/// Share of a column's changes that may be downwards: of a sensor half of them are, of an index that begins anew every few rows some.
pub(crate) const MOST_DOWNWARDS: f64 = 0.35;

/// A column's times, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// In the column's own unit, or in seconds; NaN where a field tells no time.
    pub values: Vec<f64>,
    /// Whether these are seconds, as of dates, whatever the column's name says.
    pub seconds: bool,
    /// Whether there are dates, and not times of day alone.
    pub dates: bool,
    /// What has to be asked for: dates that may have the day first or the month first.
    pub question: Option<String>,
}

/// What the fields of one column have been so far.
#[derive(Debug)]
pub(crate) struct Candidate {
    values: Vec<f64>,
    /// The same with the month first, where that is another time.
    month_first: Vec<f64>,
    /// Whether a date was none with the day first, or with the month first.
    refuted: [bool; 2],
    numbers: usize,
    moments: usize,
    of_day: usize,
    up: usize,
    down: usize,
    last: f64,
    is_named: bool,
    next_judged: usize,
    /// Whether it was found to count nothing.
    is_out: bool,
}

impl Candidate {
    /// A column of this name; one that is `asked` for stays, whatever it holds.
    pub(crate) fn new(name: &str, is_asked: bool) -> Self {
        Self {
            values: Vec::new(),
            month_first: Vec::new(),
            refuted: [false; 2],
            numbers: 0,
            moments: 0,
            of_day: 0,
            up: 0,
            down: 0,
            last: f64::NAN,
            is_named: is_name(name),
            next_judged: if is_asked { usize::MAX } else { FIRST_JUDGED },
            is_out: false,
        }
    }

    /// Takes a number, or NaN for a field that is missing.
    pub(crate) fn push_number(&mut self, number: f64) {
        self.numbers += usize::from(!number.is_nan());
        self.push(number);
    }

    /// Takes a field that is no number.
    pub(crate) fn push_text(&mut self, field: &str) {
        let (time, other) = match calendar::parse(field) {
            Some(Stamp::Moment(time)) => (time, None),
            Some(Stamp::Either { day_first, month_first }) => (day_first, Some(month_first)),
            Some(Stamp::OfDay(time)) => {
                self.of_day += 1;
                (time, None)
            }
            None => return self.push(f64::NAN),
        };
        self.moments += 1;
        if let Some(month_first) = other {
            self.month_first.resize(self.values.len(), f64::NAN);
            self.month_first.push(month_first);
            self.refuted[0] |= time.is_nan();
            self.refuted[1] |= month_first.is_nan();
        }
        self.push(time);
    }

    fn push(&mut self, time: f64) {
        self.up += usize::from(time > self.last);
        self.down += usize::from(time < self.last);
        if !time.is_nan() {
            self.last = time;
        }
        self.values.push(time);
    }

    /// Room for so many more.
    pub(crate) fn values_mut(&mut self) -> &mut Vec<f64> {
        &mut self.values
    }

    /// Whether it may still be a clock or an index, as far as can be told now.
    pub(crate) fn may_count(&mut self) -> bool {
        let (rows, changes) = (self.values.len(), self.up + self.down);
        if self.is_out || rows < self.next_judged {
            return !self.is_out;
        }
        self.next_judged = rows.saturating_mul(2);
        let known = self.numbers + self.moments;
        let is_known = 2 * known >= rows;
        let dates = 2 * self.moments > known;
        let counts = changes < FIRST_JUDGED || self.down as f64 <= MOST_DOWNWARDS * changes as f64;
        let is_frequent = self.is_named || rows < LONG || changes * RARE >= rows;
        self.is_out = !(is_known && (dates || (counts && is_frequent)));
        !self.is_out
    }

    /// The times, of dates in the order of day and month that fits.
    pub(crate) fn times(mut self, unit: Option<TimeUnit>) -> Times {
        let seconds = 2 * self.moments > self.numbers + self.moments;
        let dates = seconds && 2 * self.of_day < self.moments;
        let mut question = None;
        if !self.month_first.is_empty() {
            self.month_first.resize(self.values.len(), f64::NAN);
            let chosen = match (unit, self.refuted) {
                (Some(TimeUnit::DayFirst), _) | (_, [false, true]) => Some(false),
                (Some(TimeUnit::MonthFirst), _) | (_, [true, false]) => Some(true),
                _ => by_steps(&self.values, &self.month_first),
            };
            if chosen == Some(true) {
                self.values = self.month_first;
            }
            if chosen.is_none() {
                question = Some(
                    "its dates may have the day first or the month first: give --time-unit day-first or month-first"
                        .to_owned(),
                );
            }
        }
        if seconds && !dates {
            past_midnight(&mut self.values);
        }
        Times { values: self.values, seconds, dates, question }
    }
}

/// Whether the month is first, by what goes on without leaps of weeks; `None` where both do, and say different things.
fn by_steps(day_first: &[f64], month_first: &[f64]) -> Option<bool> {
    let leaps = |times: &[f64]| {
        let known: Vec<f64> = times.iter().copied().filter(|time| !time.is_nan()).collect();
        let mut steps: Vec<f64> = known.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let leaps = steps.iter().filter(|step| step.abs() > 20.0 * DAY || **step < 0.0).count();
        steps.sort_by(f64::total_cmp);
        (leaps, steps.get(steps.len() / 2).copied().unwrap_or(0.0))
    };
    let ((of_days, interval), (of_months, other)) = (leaps(day_first), leaps(month_first));
    match (of_days, of_months) {
        // Within a day it does not matter.
        (0, 0) if (interval - other).abs() <= 1e-6 * interval.abs() => Some(false),
        (0, 1..) if interval < DAY / 2.0 => Some(false),
        (1.., 0) if other < DAY / 2.0 => Some(true),
        (a, b) if interval < DAY / 2.0 && other < DAY / 2.0 && a != b => Some(a > b),
        _ => None,
    }
}

/// Times of day that go on behind midnight: a step back is one over midnight.
fn past_midnight(times: &mut [f64]) {
    if times.iter().any(|time| *time >= DAY) {
        return;
    }
    let (mut days, mut last) = (0.0, f64::NEG_INFINITY);
    for time in times.iter_mut().filter(|time| !time.is_nan()) {
        // Rows that are out of order by a little are not a day later.
        if *time < last - DAY / 24.0 {
            days += DAY;
        }
        last = *time;
        *time += days;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(name: &str, fields: &[String], unit: Option<TimeUnit>) -> Option<Times> {
        let mut candidate = Candidate::new(name, false);
        for field in fields {
            match field.parse() {
                Ok(number) => candidate.push_number(number),
                Err(_) => candidate.push_text(field),
            }
            if !candidate.may_count() {
                return None;
            }
        }
        Some(candidate.times(unit))
    }

    #[test]
    fn a_column_that_goes_down_as_often_as_up_is_soon_let_go() {
        let fields = |of: &dyn Fn(usize) -> String| (0..4000).map(of).collect::<Vec<_>>();
        assert!(times("time", &fields(&|row| (row * 7 % 13).to_string()), None).is_none());
        assert!(times("t", &fields(&|row| (row / 300 % 2).to_string()), None).is_some(), "too few changes to tell");
        assert!(times("switch", &fields(&|row| (row / 300 % 2).to_string()), None).is_none(), "rarely changes");
        assert!(times("name", &fields(&|row| format!("sensor-{}", row % 4)), None).is_none());
        assert!(times("n", &fields(&|row| (row % 10).to_string()), None).is_some(), "begins anew every ten rows");
        assert!(times("n", &fields(&|row| row.to_string()), None).is_some());
        assert!(times("when", &fields(&|row| format!("{:02}:{:02}:00", row / 60 % 24, row % 60)), None).is_some());
    }

    #[test]
    fn day_and_month_are_told_by_what_goes_on() {
        let of = |text: &dyn Fn(usize) -> String| (0..120).map(text).collect::<Vec<_>>();
        // A row an hour, over midnight.
        let us = of(&|row| format!("05/{:02}/2024 {:02}:00", 1 + row / 24, row % 24));
        let german = of(&|row| format!("{:02}/05/2024 {:02}:00", 1 + row / 24, row % 24));
        for fields in [us, german] {
            let times = times("Date", &fields, None).unwrap();
            assert!(times.question.is_none() && times.seconds && times.dates);
            assert!(times.values.windows(2).all(|pair| pair[1] - pair[0] == 3600.0), "{fields:?}");
        }
        // A row a day, or one a month: nobody can tell.
        let unclear: Vec<String> = (0..12).map(|row| format!("{:02}/01/2024", row + 1)).collect();
        assert!(times("Date", &unclear, None).unwrap().question.unwrap().contains("--time-unit day-first"));
        let days = times("Date", &unclear, Some(TimeUnit::DayFirst)).unwrap();
        assert!(days.question.is_none() && days.values[1] - days.values[0] == DAY);
        let months = times("Date", &unclear, Some(TimeUnit::MonthFirst)).unwrap();
        assert_eq!(months.values[1] - months.values[0], 31.0 * DAY);
        // A number above 12 settles it.
        let settled: Vec<String> = (0..20).map(|row| format!("{:02}/01/2024", row + 1)).collect();
        assert_eq!(
            times("Date", &settled, None).unwrap().values[19],
            times("Date", &settled, None).unwrap().values[0] + 19.0 * DAY
        );
    }

    #[test]
    fn a_time_of_day_goes_on_behind_midnight() {
        let fields: Vec<String> =
            (0..3000).map(|row| format!("{:02}:{:02}:00", (22 + row / 60) % 24, row % 60)).collect();
        let times = times("Time", &fields, None).unwrap();
        assert!(times.values.windows(2).all(|pair| pair[1] - pair[0] == 60.0) && !times.dates && times.seconds);
    }
}
