//! How the values of each channel follow each other in normal rows: their runs, mean and spread.

use anyhow::Result;

use crate::tables::long_table::LongTable;

/// A channel's values in normal rows: what an anomaly does to a sensor is not what is normal of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// The longest run of one value, and of none, in one recording.
    pub(crate) longest_run: usize,
    pub(crate) longest_gap: usize,
    /// Mean, and mean square of the distance from it.
    pub(crate) mean: f64,
    pub(crate) power: f64,
    /// The first value outside the channel's range.
    pub(crate) outside: Option<f32>,
    /// Values that are not missing, and the one before the next, with how often it has come.
    known: f64,
    last: Option<(f32, usize)>,
}

impl Series {
    /// Of the first channels of a table, which have these ranges, by two passes over it.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub(crate) fn of(table: &LongTable<'_>, ranges: &[(f32, f32)]) -> Result<Vec<Self>> {
        let mut series = vec![Self::default(); ranges.len()];
        let mut sums = vec![0.0; ranges.len()];
        for_each_normal_row(table, |row, begins| {
            for (((own, sum), value), (low, high)) in series.iter_mut().zip(&mut sums).zip(row).zip(ranges) {
                own.push(*value, begins);
                if *value < *low || *value > *high {
                    own.outside.get_or_insert(*value);
                }
                if !value.is_nan() {
                    (*sum, own.known) = (*sum + f64::from(*value), own.known + 1.0);
                }
            }
        })?;
        series.iter_mut().zip(&sums).for_each(|(own, sum)| own.mean = sum / own.known.max(1.0));
        for_each_normal_row(table, |row, _| {
            for (own, value) in series.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
                own.power += (f64::from(*value) - own.mean).powi(2);
            }
        })?;
        for own in &mut series {
            own.power /= own.known.max(1.0);
        }
        Ok(series)
    }

    /// Counts the next value, with which another recording begins or not, as one more of its run.
    fn push(&mut self, value: f32, begins: bool) {
        let goes_on = |(last, _): &(f32, usize)| !begins && (*last == value || (last.is_nan() && value.is_nan()));
        let run = self.last.filter(goes_on).map_or(1, |(_, run)| run + 1);
        self.last = Some((value, run));
        let longest = if value.is_nan() { &mut self.longest_gap } else { &mut self.longest_run };
        *longest = run.max(*longest);
    }
}

/// Gives each row that is not labelled an anomaly to `take`, and whether another recording has begun since the one before it.
fn for_each_normal_row(table: &LongTable<'_>, mut take: impl FnMut(&[f32], bool)) -> Result<()> {
    let mut begins = false;
    for (rows, portion_begins) in table.portions(0) {
        let portion = table.read(rows)?;
        begins |= portion_begins;
        let mut starts = portion.starts.iter().copied().peekable();
        for (row, values) in portion.values.chunks_exact(portion.columns.len()).enumerate() {
            begins |= starts.next_if_eq(&row).is_some();
            if portion.labels.as_ref().is_none_or(|labels| !labels[row]) {
                take(values, std::mem::take(&mut begins));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::table::Table;

    fn one(values: &[f32], labels: Option<Vec<bool>>, starts: &[usize]) -> Series {
        let table = Table {
            path: "t.csv".into(),
            columns: vec!["x".to_owned()],
            values: values.to_vec(),
            labels,
            starts: starts.to_owned(),
            origins: Vec::new(),
        };
        Series::of(&table.into(), &[(-1.0, 3.0)]).unwrap()[0]
    }

    #[test]
    fn the_longest_runs_of_a_value_and_of_none() {
        let nan = f32::NAN;
        let runs = |values: &[f32], starts: &[usize]| {
            let found = one(values, None, starts);
            (found.longest_run, found.longest_gap)
        };
        assert_eq!(runs(&[1.0, 1.0, 2.0, nan, nan, nan, 2.0, 2.0], &[]), (2, 3));
        assert_eq!(runs(&[nan], &[]), (0, 1));
        assert_eq!(runs(&[], &[]), (0, 0));
        // One that goes on in another recording is two.
        assert_eq!(runs(&[1.0, 1.0, 1.0, nan, nan, nan, 2.0, 2.0], &[1, 5]), (2, 2));
    }

    #[test]
    fn what_is_labelled_an_anomaly_counts_for_nothing() {
        let labels = [false, true, false, false, true, true, false].to_vec();
        let found = one(&[1.0, 9.0, 1.0, 3.0, -7.0, 0.0, 3.5], Some(labels), &[5]);
        assert_eq!((found.longest_run, found.longest_gap, found.outside), (2, 0, Some(3.5)));
        assert_eq!(found.mean, 8.5 / 4.0);
        let power = [1.0, 1.0, 3.0, 3.5].map(|value: f64| (value - 8.5 / 4.0).powi(2)).iter().sum::<f64>() / 4.0;
        assert!((found.power - power).abs() < 1e-12);
    }
}
