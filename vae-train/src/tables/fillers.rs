//! Values that stand for "nothing was measured": −999, 0, all ones, the end of a sensor's scale.

use crate::{tables::table::Table, words::numbers::significant};

/// Fewest rows of a value that is taken for a filler.
const LEAST_ROWS: usize = 5;
/// Fewest rows of one that many programs use.
const LEAST_OF_USUAL: usize = 2;
/// What many programs use.
const USUAL: [f32; 12] =
    [-999.0, -9999.0, -99999.0, -99.0, 999.0, 9999.0, 99999.0, -32768.0, 32767.0, 65535.0, 4095.0, 1e20];
/// Largest share of the rows: what a column is more often is a state.
const MOST: f64 = 0.2;
/// A value is far off if it is so many times the spread of the others away from them.
const FAR: f64 = 3.0;
/// Most rows that the spread is told by.
const SAMPLED: usize = 4096;
/// Fewest different values of the others.
const LEAST_DISTINCT: usize = 5;

/// A value that may stand for missing ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filler {
    pub(crate) column: String,
    pub(crate) value: f32,
    pub(crate) rows: usize,
    /// The next value, on the way to the others.
    nearest: f32,
}

impl Filler {
    /// What to ask the user.
    pub(crate) fn question(&self) -> String {
        let (value, nearest) = (significant(f64::from(self.value)), significant(f64::from(self.nearest)));
        format!(
            "column `{}`: {} rows are exactly {value}, far from all others (the nearest is {nearest}): does it stand for a missing value? Then \
             give --missing {value}",
            self.column, self.rows
        )
    }
}

/// The least or the largest value of a column, seen from outside.
#[derive(Clone, Copy)]
struct Extreme {
    value: f32,
    rows: usize,
    next: f32,
}

impl Extreme {
    const NONE: Self = Self { value: f32::INFINITY, rows: 0, next: f32::INFINITY };

    fn take(&mut self, value: f32) {
        if value == self.value {
            self.rows += 1;
        } else if value < self.value {
            *self = Self { value, rows: 1, next: self.value };
        } else if value < self.next {
            self.next = value;
        }
    }
}

/// The values at the ends of the columns that are exact, frequent and far off, in rows that are not labelled anomalies.
pub(crate) fn fillers(table: &Table, is_measured: impl Fn(&str) -> bool) -> Vec<Filler> {
    let width = table.columns.len();
    // The least, and the largest with its sign turned.
    let mut extremes = vec![[Extreme::NONE; 2]; width];
    let is_normal = |row: &usize| table.labels.as_ref().is_none_or(|labels| !labels[*row]);
    let rows = table.values.chunks_exact(width).enumerate().filter(|(row, _)| is_normal(row));
    for (_, row) in rows {
        for ([least, largest], value) in extremes.iter_mut().zip(row) {
            // NaN is neither below nor equal to anything.
            least.take(*value);
            largest.take(-value);
        }
    }
    let step = (table.rows() / SAMPLED).max(1);
    let mut found = Vec::new();
    for (column, name) in table.columns.iter().enumerate().filter(|(_, name)| is_measured(name)) {
        for (extreme, sign) in extremes[column].iter().zip([1.0, -1.0]) {
            // As the file has them.
            let as_read = |value: f32| (f64::from(sign * value) + table.origin(column)) as f32;
            let value = as_read(extreme.value);
            let least = if USUAL.contains(&value) { LEAST_OF_USUAL } else { LEAST_ROWS };
            let is_frequent = extreme.rows >= least && extreme.rows as f64 <= MOST * table.rows() as f64;
            if !is_frequent || !extreme.next.is_finite() {
                continue;
            }
            let mut others: Vec<f32> = (0..table.rows())
                .step_by(step)
                .filter(is_normal)
                .map(|row| table.values[row * width + column])
                .filter(|other| !other.is_nan() && *other != sign * extreme.value)
                .collect();
            others.sort_unstable_by(f32::total_cmp);
            let at = |share: f64| others.get((share * others.len() as f64) as usize).copied().unwrap_or(f32::NAN);
            let spread = f64::from(at(0.95)) - f64::from(at(0.05));
            let far = f64::from(extreme.next) - f64::from(extreme.value);
            let distinct = others.chunk_by(|a, b| a == b).count();
            if far > FAR * spread && spread > 0.0 && distinct >= LEAST_DISTINCT {
                found.push(Filler { column: name.clone(), value, rows: extreme.rows, nearest: as_read(extreme.next) });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: Vec<f32>) -> Vec<(f32, usize)> {
        let table = Table {
            path: "t".into(),
            columns: vec!["p".to_owned()],
            values,
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        fillers(&table, |_| true).into_iter().map(|filler| (filler.value, filler.rows)).collect()
    }

    /// 1,000 values about 2.4, of which every fiftieth is replaced.
    fn with(filler: Option<f32>) -> Vec<f32> {
        let value = |row: usize| 2.4 + 0.1 * ((row * 37 % 101) as f32 / 101.0 - 0.5);
        (0..1000).map(|row| if row % 50 == 0 { filler.unwrap_or(value(row)) } else { value(row) }).collect()
    }

    #[test]
    fn what_is_exact_frequent_and_far_off_is_named() {
        for filler in [-999.0, 0.0, 65_535.0, 5.0] {
            assert_eq!(found(with(Some(filler))), [(filler, 20)], "{filler}");
        }
        assert_eq!(found(with(None)), []);
        assert_eq!(found(with(Some(2.5))), [], "not far off");
        assert_eq!(found(with(Some(f32::NAN))), []);
        // A state, a switch, and a single value that is far off.
        assert_eq!(
            found((0..1000).map(|row| if row % 2 == 0 { 0.0 } else { 5.0 + (row % 17) as f32 / 100.0 }).collect()),
            []
        );
        assert_eq!(found((0..1000).map(|row| if row % 50 == 0 { 0.0 } else { 1.0 }).collect()), []);
        let mut once = with(None);
        once[500] = 7.0;
        assert_eq!(found(once.clone()), []);
        once[501] = -999.0;
        assert_eq!(found(once.clone()), []);
        once[700] = -999.0;
        assert_eq!(found(once), [(-999.0, 2)]);
        let table = Table {
            path: "t".into(),
            columns: vec!["p".to_owned()],
            values: with(Some(-999.0)),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let question = fillers(&table, |_| true)[0].question();
        assert!(
            question.contains("20 rows are exactly -999") && question.ends_with("give --missing -999"),
            "{question}"
        );
    }
}
