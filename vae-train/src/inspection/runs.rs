//! Rows in a row that have the same value: stuck sensors, and clipped ones.

use std::collections::HashMap;

use serde::Serialize;

/// Fewest equal values in a row that are taken for a stuck sensor.
const LEAST_STUCK: usize = 5;
/// Expected number of such runs in a healthy column, below which they are.
const STUCK_CHANCE: f64 = 1e-3;
/// Runs of the column that count as a value's own.
const BORROWED: f64 = 10.0;
/// A column repeats rarely if fewer of its values than this share are followed by the same value.
const RARELY: f64 = 0.5;

/// Equal values in a row at an extreme that count as clipped.
pub(crate) const LEAST_CLIPPED: usize = 3;
/// Share of such values above which they are pointed out.
const CLIPPED: f64 = 1e-3;
/// An extreme that so large a share of the values have is where the column rests.
const AT_REST: f64 = 0.5;

/// A run of rows with the same value, or without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// Its length, in rows.
    pub rows: usize,
    /// Its first row, counted from 1; 0 where there is none.
    pub first_row: usize,
    /// Its value; `None` for a missing one.
    pub value: Option<f32>,
}

/// Runs of equal values in a column that otherwise rarely repeats one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stuck {
    /// How many there are.
    pub runs: usize,
    /// Rows in them, as a share of those that have a value.
    pub share: f64,
    /// The longest of them.
    pub longest: Run,
}

/// The runs of successive rows with the same value; a row that is left out ends a run.
pub(crate) fn runs(values: impl Iterator<Item = (usize, f32)>) -> impl Iterator<Item = Run> {
    let mut values = values.map(|(row, value)| (row + 1, (!value.is_nan()).then_some(value))).peekable();
    std::iter::from_fn(move || {
        let (first_row, value) = values.next()?;
        let mut rows = 1;
        while values.next_if_eq(&(first_row + rows, value)).is_some() {
            rows += 1;
        }
        Some(Run { rows, first_row, value })
    })
}

/// Runs of equal values, other than at an extreme, that are longer than chance gives.
///
/// With `p` the share of the runs of a value that are longer than one row, as many runs with independent repeats would have
/// `runs · p^(n − 1)` of length n and more. A value that has few other runs borrows its `p` from the column.
pub(crate) fn stuck<R: Iterator<Item = Run>>(
    runs: impl Fn() -> R,
    values: usize,
    is_extreme: impl Fn(f32) -> bool,
) -> Option<Stuck> {
    let (mut all, mut longer) = (0usize, 0usize);
    // Runs of the values that have a long one, and how many of them are longer than one row.
    let mut by_value: HashMap<u32, (usize, usize)> = HashMap::new();
    for (run, value) in runs().filter_map(|run| Some((run, run.value?))) {
        all += 1;
        longer += usize::from(run.rows > 1);
        if run.rows >= LEAST_STUCK && !is_extreme(value) {
            by_value.insert(value.to_bits(), (0, 0));
        }
    }
    // As if a run of each kind had been seen besides, so that p is neither 0 nor 1.
    let p = (longer + 1) as f64 / (all + 2) as f64;
    if p > RARELY || by_value.is_empty() {
        return None;
    }
    for run in runs() {
        if let Some((all, longer)) = run.value.and_then(|value| by_value.get_mut(&value.to_bits())) {
            *all += 1;
            *longer += usize::from(run.rows > 1);
        }
    }
    let is_stuck = |run: &Run| {
        let Some((of_value, longer)) = run.value.and_then(|value| by_value.get(&value.to_bits())) else { return false };
        // Without the run itself.
        let p = ((longer - 1) as f64 + BORROWED * p) / ((of_value - 1) as f64 + BORROWED);
        all as f64 * p.powi(run.rows as i32 - 1) < STUCK_CHANCE
    };
    let mut found = Stuck { runs: 0, share: 0.0, longest: Run::default() };
    for run in runs().filter(|run| run.rows >= LEAST_STUCK).filter(is_stuck) {
        found.runs += 1;
        found.share += run.rows as f64 / values as f64;
        if run.rows > found.longest.rows {
            found.longest = run;
        }
    }
    (found.runs > 0).then_some(found)
}

/// The share of so many values that are the `extreme` one, in runs; where that is more than a signal would have that is not
/// clipped. The last two are how often there is the extreme one, and the one beside it.
pub(crate) fn clipped(
    runs: impl Iterator<Item = Run>,
    values: usize,
    extreme: f32,
    [at_extreme, at_next]: [usize; 2],
) -> Option<f64> {
    if at_next == 0 {
        return None;
    }
    let values = values as f64;
    let in_runs: usize =
        runs.filter(|run| run.value == Some(extreme) && run.rows >= LEAST_CLIPPED).map(|run| run.rows).sum();
    let (share, q) = (in_runs as f64 / values, at_extreme as f64 / values);
    // Of independent values, those at the extreme that have fewer than two others next to them.
    let alone = (1.0 - q).powi(2) * (1.0 + 2.0 * q);
    // A slow signal of few levels dwells on its highest, but not much longer than on the one beside it.
    let in_runs = share > CLIPPED && share > 0.5 * q && share > 2.0 * q * (1.0 - alone);
    let is_clipped = in_runs && q < AT_REST && at_extreme > 2 * at_next;
    is_clipped.then_some(share)
}
