//! Rows that stand out of training data: listed, or left out of a fit.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    data::dataset::Dataset,
    run::screening::{EXPECTED, LARGEST_SHARE, Screened, screen},
    tables::table::Table,
    training::listener::Listener,
};

/// Most screenings of a fit that leaves out what stands out: faults that are far off hide others.
const PASSES: usize = 3;

/// Rows one behind the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Counted from 1.
    pub first: usize,
    /// Counted from 1, the last of them.
    pub last: usize,
    /// Nats by which the strangest window that ends in them is above the limit.
    pub excess: f32,
}

/// What stands out of training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingOut {
    /// Windows that were screened, held-out ones too.
    pub screened: usize,
    /// Of them, how many stand out.
    pub windows: usize,
    /// How many would of clean data whose scores have an exponential tail.
    pub expected: f64,
    /// The rows in these windows, in order.
    pub rows: Vec<Rows>,
}

impl StandingOut {
    /// The windows of a screening beyond its limit, of which each holds `window` rows: of all, or of at most so many, the strangest.
    fn of(screened: &Screened, window: usize, most: usize) -> Self {
        let Screened { scores, cut, last_row } = screened;
        let mut beyond: Vec<f32> = scores.iter().copied().filter(|score| score > cut).collect();
        beyond.sort_by(|a, b| b.total_cmp(a));
        beyond.truncate(most);
        let limit = beyond.last().copied().unwrap_or(f32::INFINITY);
        let mut by_row: BTreeMap<usize, Ends> = BTreeMap::new();
        for (score, row) in scores.iter().zip(last_row) {
            let ends = by_row.entry(*row).or_default();
            ends.windows += 1;
            ends.strange += usize::from(*score >= limit);
            ends.excess = ends.excess.max(score - cut);
        }
        Self { screened: scores.len(), windows: beyond.len(), expected: EXPECTED, rows: rows(&by_row, window) }
    }

    /// What stands out of the windows of a data set; `None` if the listener stops the search.
    ///
    /// # Errors
    /// If a network diverges.
    pub fn find(dataset: &Dataset, config: &Config, device: &Device, listener: &dyn Listener) -> Result<Option<Self>> {
        let screened = screen(dataset, config, LARGEST_SHARE, device, listener)?;
        Ok(screened.map(|screened| Self::of(&screened, config.data.window, usize::MAX)))
    }
}

/// The windows that end in one row: several where copies of it are carried off by a drift.
#[derive(Default)]
struct Ends {
    windows: usize,
    strange: usize,
    excess: f32,
}

/// The rows of strange windows: those of whose windows at least half are strange. All rows of a window that has none of them.
fn rows(by_row: &BTreeMap<usize, Ends>, window: usize) -> Vec<Rows> {
    let count = by_row.last_key_value().map_or(0, |(last, _)| last + 1);
    // Differences of the numbers of windows, and of strange ones, that hold a row.
    let mut steps = vec![(0i64, 0i64); count + 1];
    let strange: Vec<(usize, f32)> = by_row
        .iter()
        .filter(|(_, ends)| 2 * ends.strange >= ends.windows)
        .map(|(last, ends)| (*last, ends.excess))
        .collect();
    for (last, ends) in by_row {
        let is_strange = i64::from(2 * ends.strange >= ends.windows);
        for (at, sign) in [(last + 1 - window, 1), (last + 1, -1)] {
            steps[at].0 += sign;
            steps[at].1 += sign * is_strange;
        }
    }
    let mut held = (0, 0);
    let mut is_strange: Vec<bool> = steps[..count]
        .iter()
        .map(|step| {
            held = (held.0 + step.0, held.1 + step.1);
            held.1 > 0 && 2 * held.1 >= held.0
        })
        .collect();
    for (last, _) in &strange {
        let own = last + 1 - window..=*last;
        if !is_strange[own.clone()].contains(&true) {
            is_strange[own].fill(true);
        }
    }
    let mut found: Vec<Rows> = Vec::new();
    for row in (0..count).filter(|row| is_strange[*row]) {
        match found.last_mut().filter(|rows| rows.last == row) {
            Some(rows) => rows.last = row + 1,
            None => found.push(Rows { first: row + 1, last: row + 1, excess: 0.0 }),
        }
    }
    for (last, excess) in strange {
        let overlaps = |rows: &&mut Rows| rows.first <= last + 1 && rows.last > last + 1 - window;
        found.iter_mut().filter(overlaps).for_each(|rows| rows.excess = rows.excess.max(excess));
    }
    found
}

/// A data set without what stands out of its table, at most the configuration's share of the windows; also what was left out. All of the
/// table where the configuration asks for no trimming. `None` if the listener stops it.
///
/// # Errors
/// If there is nothing to learn from, or a network diverges.
pub fn trimmed(
    mut table: Table,
    config: &Config,
    device: &Device,
    listener: &mut dyn Listener,
) -> Result<Option<(Dataset, StandingOut)>> {
    let Some(share) = config.data.trim else {
        return Ok(Some((Dataset::prepare(table, config)?, StandingOut::default())));
    };
    let mut found = StandingOut::default();
    let mut reached = false;
    for _ in 0..PASSES {
        let dataset = Dataset::prepare(table.clone(), config)?;
        // Whatever may be left out, networks must not learn the rest of the faults.
        let share_of_round = share.max(LARGEST_SHARE);
        let Some(screened) = screen(&dataset, config, share_of_round, device, listener)? else { return Ok(None) };
        if found.screened == 0 {
            found = StandingOut { screened: screened.scores.len(), expected: EXPECTED, ..found };
        }
        let most = ((share * found.screened as f64) as usize).saturating_sub(found.windows);
        let all = StandingOut::of(&screened, config.data.window, usize::MAX);
        let more = StandingOut::of(&screened, config.data.window, most);
        reached |= more.windows < all.windows;
        leave_out(&mut table, &more.rows);
        found.windows += more.windows;
        found.rows.extend(more.rows);
        if reached || all.windows == 0 {
            break;
        }
    }
    found.rows.sort_by_key(|rows| rows.first);
    if reached {
        listener.note(&format!(
            "more windows stand out than the {} % that --trim leaves out at most: the strangest are left out; so many may be a healthy \
             state that is rare: look at them, and give --trim=SHARE if they are faults",
            100.0 * share
        ));
    }
    Ok(Some((Dataset::prepare(table, config)?, found)))
}

/// Labels rows of a table anomalies, so that nothing is learnt of them.
pub(crate) fn leave_out(table: &mut Table, rows: &[Rows]) {
    let count = table.rows();
    if rows.is_empty() {
        return;
    }
    let labels = table.labels.get_or_insert_with(|| vec![false; count]);
    for Rows { first, last, .. } in rows {
        labels[first - 1..(*last).min(count)].fill(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 4 rows, a new one every 2, of which those that end in these rows, by index, are strange.
    fn found(strange: &[usize]) -> Vec<(usize, usize)> {
        let last_row: Vec<usize> = (3..40).step_by(2).collect();
        let scores = last_row.iter().map(|row| if strange.contains(row) { 9.0 } else { 1.0 }).collect();
        let found = StandingOut::of(&Screened { scores, cut: 5.0, last_row }, 4, usize::MAX);
        assert!(found.windows == strange.len() && found.rows.iter().all(|rows| rows.excess == 4.0), "{found:?}");
        found.rows.iter().map(|rows| (rows.first, rows.last)).collect()
    }

    #[test]
    fn strange_windows_are_merged_into_ranges_of_rows() {
        assert_eq!(found(&[]), []);
        // Rows 8 to 11, by index; all of them are in one other window at most.
        assert_eq!(found(&[11]), [(9, 12)]);
        assert_eq!(found(&[11, 13, 15]), [(9, 16)]);
        assert_eq!(found(&[3, 39]), [(1, 4), (37, 40)]);
        assert_eq!(found(&[5, 7, 21]), [(3, 8), (19, 22)]);
    }

    #[test]
    fn of_many_windows_that_hold_a_row_half_must_be_strange() {
        let last_row: Vec<usize> = (7..60).collect();
        // All windows that hold row 30, and one by itself.
        let scores = last_row.iter().map(|row| if (30..38).contains(row) || *row == 50 { 9.0 } else { 1.0 }).collect();
        let found = StandingOut::of(&Screened { scores, cut: 5.0, last_row }, 8, usize::MAX);
        let rows: Vec<_> = found.rows.iter().map(|rows| (rows.first, rows.last)).collect();
        // Row 27, by index, is in 8 windows, those that end in 27 to 34, of which 5 are strange; row 26 in 4 of 8, row 25 in 3.
        assert_eq!(rows, [(27, 35), (44, 51)]);
    }

    #[test]
    fn at_most_so_many_windows_are_taken_the_strangest() {
        let screened = Screened { scores: vec![1.0, 7.0, 9.0, 8.0, 1.0], cut: 5.0, last_row: (0..5).collect() };
        let found = StandingOut::of(&screened, 1, 2);
        assert_eq!((found.windows, &found.rows[..]), (2, &[Rows { first: 3, last: 4, excess: 4.0 }][..]));
        let mut table = Table {
            path: "t.csv".into(),
            columns: vec!["a".into()],
            values: vec![0.0; 5],
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        leave_out(&mut table, &[]);
        assert_eq!(table.labels, None);
        leave_out(&mut table, &found.rows);
        assert_eq!(table.labels, Some(vec![false, false, true, true, false]));
    }
}
