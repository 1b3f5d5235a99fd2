//! What a table is like before anything is trained on it.

pub mod autocorrelation;
pub mod column;
mod column_values;
pub mod copies;
pub mod findings;
mod proposal;
pub mod runs;
mod stretches;

use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    inspection::{
        autocorrelation::Suggestion,
        column::Column,
        column_values::ColumnValues,
        copies::{MOST_COMPARED_COLUMNS, Pair, correlated, duplicates},
    },
    tables::long_table::LongTable,
};

/// What the rows of a table that are not labelled anomalies are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Rows of the table.
    pub rows: usize,
    /// Of them labelled anomalies, which count for nothing below.
    pub anomalies: usize,
    /// Rows that are the same as an earlier one in every column.
    pub duplicates: usize,
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// Pairs of columns that are nearly copies of each other: the strongest correlation first.
    pub correlated: Vec<Pair>,
    /// Columns that were compared for it, the first ones of a wide table.
    pub compared: usize,
    /// The window that the data ask for.
    pub suggestion: Suggestion,
}

impl Inspection {
    /// Inspects these columns of a table of any size, whose rows are taken to be in order of time.
    ///
    /// # Errors
    /// If rows that are in a file cannot be read, or there is no room on the disk to sort their values.
    pub fn of(table: &LongTable<'_>, columns: &[usize]) -> Result<Self> {
        let mut normal = 0;
        for (rows, _) in table.portions(0) {
            let labels = table.labels(rows.clone())?;
            normal += labels.map_or(rows.len(), |labels| labels.iter().filter(|label| !**label).count());
        }
        let mut found: Vec<Column> = Vec::with_capacity(columns.len());
        for group in ColumnValues::groups(table, columns) {
            let group = ColumnValues::of_group(table, &group)?;
            let of_group: Result<Vec<Column>> = group.par_iter().map(|values| Column::of(values, normal)).collect();
            found.extend(of_group?);
        }
        let varying = columns.iter().zip(&found).filter(|(_, column)| column.distinct > 1).map(|(place, _)| *place);
        let varying: Vec<usize> = varying.take(MOST_COMPARED_COLUMNS).collect();
        Ok(Self {
            rows: table.rows(),
            anomalies: table.rows() - normal,
            duplicates: duplicates(table, columns)?,
            correlated: correlated(table, &varying, normal)?,
            compared: varying.len(),
            suggestion: Suggestion::of(table, columns)?,
            columns: found,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;
    use crate::{
        inspection::runs::{Run, Stuck},
        simulator::motor::{Condition, simulate},
        tables::table::Table,
    };

    /// Of all columns, which are the same where the rows are in a file.
    fn inspected(table: &Table) -> Inspection {
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let found = Inspection::of(&table.into(), &columns).unwrap();
        let mut stored = LongTable::from(table.clone());
        stored.to_file(&std::env::temp_dir(), "").unwrap();
        assert_eq!(Inspection::of(&stored, &columns).unwrap(), found);
        found
    }

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| standard_normal(&mut rng)).collect()
    }

    fn inspect(columns: &[&[f32]]) -> Inspection {
        inspected(&table(columns))
    }

    fn table(columns: &[&[f32]]) -> Table {
        let rows = columns[0].len();
        Table {
            path: "t.csv".into(),
            columns: (0..columns.len()).map(|column| format!("c{column}")).collect(),
            values: (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn one(values: &[f32]) -> Column {
        inspect(&[values]).columns.remove(0)
    }

    #[test]
    fn figures_of_a_column_counted_by_hand() {
        let nan = f32::NAN;
        let found = one(&[1.0, 2.0, 2.0, 2.0, nan, nan, 4.0, 4.0, nan, 1.5]);
        assert!((found.missing - 0.3).abs() < 1e-12);
        assert_eq!(found.longest_gap, Run { rows: 2, first_row: 5, value: None });
        assert_eq!(found.longest_repeat, Run { rows: 3, first_row: 2, value: Some(2.0) });
        assert_eq!((found.least, found.largest, found.distinct, found.step), (Some(1.0), Some(4.0), 4, Some(0.5)));
        let values = [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 1.5];
        let mean = values.iter().sum::<f64>() / 7.0;
        let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 7.0).sqrt();
        assert!((found.mean.unwrap() - mean).abs() < 1e-12 && (found.deviation.unwrap() - deviation).abs() < 1e-12);
        // Two rows in a quarter: (1 + 2) / 2 to 1.5, the missing value left out.
        assert!(found.drift.unwrap().abs() < 1e-12);
    }

    #[test]
    fn a_stuck_sensor_is_told_from_one_that_often_repeats() {
        let mut values = noise(5000, 1);
        assert!(one(&values).findings.is_empty(), "{:?}", one(&values).findings);
        values.copy_within(1000..1001, 1001);
        values.copy_within(1000..1002, 1002);
        assert_eq!(one(&values).stuck, None, "four equal values may be chance");
        values[3000..3040].fill(0.25);
        let found = one(&values);
        let longest = Run { rows: 40, first_row: 3001, value: Some(0.25) };
        assert_eq!(found.stuck, Some(Stuck { runs: 1, share: 40.0 / 5000.0, longest }));
        assert!(found.findings[0].contains("same for 40 rows from row 3001 on"), "{:?}", found.findings);
        // A setpoint holds its value most of the time, and rounded values repeat often.
        let setpoint: Vec<f32> = noise(50, 2).iter().flat_map(|value| [*value; 100]).collect();
        assert_eq!(one(&setpoint).stuck, None);
        let rounded: Vec<f32> = noise(5000, 3).iter().map(|value| value.round()).collect();
        assert_eq!(one(&rounded).stuck, None, "{:?}", one(&rounded));
        // Of two levels besides noise, one is where the column rests.
        let resting: Vec<f32> = noise(500, 4)
            .iter()
            .flat_map(
                |v| if *v > 0.0 { [0.5; 9] } else { [*v, -v, v - 0.1, -3.0, 4.0 - v, 3.0, v / 2.0, -1.0, 1.0 + v] },
            )
            .collect();
        assert_eq!(one(&resting).stuck, None, "{:?}", one(&resting));
        // The same level as a value among many is not.
        let mut levels: Vec<f32> = noise(5000, 5).iter().map(|value| (8.0 * value).round()).collect();
        levels[700..730].fill(3.0);
        assert_eq!(one(&levels).stuck.unwrap().longest.value, Some(3.0));
    }

    #[test]
    fn clipping_is_told_from_dwelling_and_from_resting() {
        let sine = |i: usize| (TAU * i as f64 / 83.7).sin() as f32;
        let clipped: Vec<f32> = noise(6000, 4).iter().enumerate().map(|(i, n)| (sine(i) + 0.01 * n).min(0.8)).collect();
        let found = one(&clipped);
        // sin > 0.8 for (π/2 − asin 0.8) / π of the time.
        let expected = (TAU / 4.0 - 0.8f64.asin()) / (TAU / 2.0);
        assert!((found.clipped_above.unwrap() - expected).abs() < 0.01 && found.clipped_below.is_none(), "{found:?}");
        assert!(found.stuck.is_none() && found.findings[0].contains("largest, 0.8"), "{:?}", found.findings);
        let quantised: Vec<f32> = (0..6000).map(|i| (10.0 * sine(i)).round()).collect();
        let at_rest: Vec<f32> = noise(6000, 5).iter().map(|value| value.max(0.1)).collect();
        let counts: Vec<f32> = noise(6000, 6).iter().map(|value| (value.abs() * 1.5).floor()).collect();
        for values in [quantised, at_rest, counts, noise(6000, 7)] {
            let found = one(&values);
            assert_eq!((found.clipped_below, found.clipped_above), (None, None), "{:?}", found.findings);
        }
    }

    #[test]
    fn a_trend_is_a_drift_of_its_closed_form() {
        let trend: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        // The middle quarters lie 3/4 of the range apart, and the deviation is range / √12.
        let found = one(&trend);
        assert!((found.drift.unwrap() - 0.75 * 12.0f64.sqrt()).abs() < 0.01, "{found:?}");
        assert!(found.findings.iter().any(|finding| finding.contains("moves by 2.6 standard deviations")));
        assert!(one(&noise(1000, 8)).drift.unwrap().abs() < 4.0 * (8.0f64 / 1000.0).sqrt());
    }

    #[test]
    fn empty_and_constant_columns_and_outliers_are_said() {
        let mut outlier = noise(500, 9);
        outlier[20] = 1e30;
        let found = inspect(&[&[f32::NAN; 500], &[5.0; 500], &outlier]);
        let words: Vec<&str> = found.columns[..2].iter().map(|column| &*column.findings[0]).collect();
        assert!(words[0].contains("has no value") && words[1].contains("always 5"), "{words:?}");
        assert!(found.columns[2].outlier.is_some_and(|outlier| (outlier / 1e30 - 1.0).abs() < 1e-6));
        assert!(
            found.findings().iter().any(|finding| finding.contains("c2: a single value, 1e30, outweighs all others"))
        );
        assert_eq!((found.columns[0].mean, found.columns[0].missing), (None, 1.0));
    }

    #[test]
    fn copies_among_rows_and_columns_are_found() {
        let (a, b) = (noise(3000, 10), noise(3000, 11));
        let copy: Vec<f32> = a.iter().zip(&b).map(|(a, b)| 3.0 - 2.0 * a + 0.1 * b).collect();
        let found = inspect(&[&a, &b, &copy]);
        assert_eq!((found.correlated.len(), found.duplicates, found.compared), (1, 0, 3));
        assert_eq!(found.correlated[0].columns, ["c0", "c2"]);
        // −2 / √(4 + 0.01)
        assert!((found.correlated[0].correlation + 2.0 / 4.01f64.sqrt()).abs() < 1e-3, "{:?}", found.correlated);
        let twice: Vec<f32> = a[..100].iter().chain(&a[..40]).copied().collect();
        assert_eq!(inspect(&[&twice]).duplicates, 40);
    }

    #[test]
    fn labelled_rows_are_left_out_and_end_a_run() {
        let mut table = table(&[&[1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 2.0]]);
        table.labels = Some((0..7).map(|row| row == 2).collect());
        let found = inspected(&table);
        assert_eq!((found.rows, found.anomalies, found.columns[0].largest), (7, 1, Some(2.0)));
        assert_eq!(found.columns[0].longest_repeat, Run { rows: 3, first_row: 4, value: Some(1.0) });
    }

    #[test]
    fn a_healthy_motor_has_no_findings_and_a_stuck_axis_one() {
        let healthy = simulate(Condition::Normal, 20.0, 1);
        let mut samples = healthy.clone();
        let values = |samples: &[[f32; 3]]| Table { values: samples.concat(), ..table(&[&[0.0], &[0.0], &[0.0]]) };
        let found = inspected(&values(&samples));
        assert!(found.columns.iter().all(|column| column.findings.is_empty()), "{found:?}");
        for sample in &mut samples[16_000..17_600] {
            sample[0] = healthy[16_000][0];
        }
        let found = inspected(&values(&samples));
        let stuck = found.columns[0].stuck.unwrap();
        assert_eq!((stuck.runs, stuck.share, found.columns[1].stuck), (1, 0.05, None));
    }
}
