//! How a column goes on from row to row, by which counting is told from measuring.

use crate::tables::times::MOST_DOWNWARDS;

/// A step is like the median one if it differs by at most this share of it.
const OFF: f64 = 0.2;
/// Share of a clock's intervals that may go backwards, where it does not begin anew.
pub(crate) const MOST_BACKWARDS: f64 = 0.01;
/// Fewest steps of a column that counts and is not named like a clock.
const LEAST_STEPS: usize = 20;
/// Share of the steps that are alike in a column that counts rows.
const ALIKE: f64 = 0.8;

/// How a column goes on from row to row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) equal: usize,
    /// Share of the steps up that are like the median one.
    alike: f64,
    /// Share of the steps down that lead to where the column began.
    to_start: f64,
    /// Median step up.
    pub(crate) step: f64,
    /// Share of the runs of equal values that are about as long as the median one.
    even: f64,
}

impl Steps {
    /// Of values, as a column of `f32` or as times; NaN is passed over. `None` without two of them.
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
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

    pub(crate) fn all(&self) -> f64 {
        (self.up + self.down + self.equal) as f64
    }

    /// Whether it goes up, if not always.
    pub(crate) fn mostly_goes_up(&self) -> bool {
        self.up > 0 && self.down as f64 <= MOST_DOWNWARDS * (self.up + self.down) as f64
    }

    /// Whether it counts on, beginning anew now and then.
    fn begins_anew(&self) -> bool {
        self.down > 0 && self.mostly_goes_up() && self.to_start >= 0.9 && self.alike >= ALIKE
    }

    /// Whether a column of this behaviour may be a clock, if its name or its dates say so.
    pub(crate) fn is_of_clock(&self, dates: bool) -> bool {
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
        // What begins anew every few rows is a sawtooth.
        let pieces_are_long = steps.down as f64 * LEAST_STEPS as f64 <= steps.all();
        steps.up >= LEAST_STEPS && rarely_equal && (steps.down == 0 || (steps.begins_anew() && pieces_are_long))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_is_told_from_measuring() {
        let count = |of: &dyn Fn(usize) -> f64| counts((0..1000).map(of));
        assert!(count(&|row| 10_417.0 + row as f64));
        assert!(count(&|row| (row % 150) as f64));
        assert!(count(&|row| if row == 500 { f64::NAN } else { row as f64 }));
        assert!(count(&|row| (row * row) as f64), "what never comes again");
        assert!(!count(&|row| (row / 100) as f64), "repeats");
        assert!(!count(&|row| (row % 13) as f64), "a sawtooth");
        assert!(!count(&|row| ((row * 7919) % 997) as f64));
        assert!(!count(&|row| (row as f64 / 10.0).sin()));
        assert!(!counts((0..10).map(f64::from)), "too few rows to tell");
        assert_eq!(restarts([3.0, 4.0, 1.0, f64::NAN, 2.0, 0.0].into_iter()), [2, 5]);
    }
}
