//! What a table is like before anything is trained on it.

pub mod autocorrelation;

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::{inspection::autocorrelation::Suggestion, statistics::moments::Moments, tables::table::Table};

/// Fewest equal values in a row that are taken for a stuck sensor.
const LEAST_STUCK: usize = 5;
/// Expected number of such runs in a healthy column, below which they are.
const STUCK_CHANCE: f64 = 1e-3;
/// Runs of the column that count as a value's own.
const BORROWED: f64 = 10.0;
/// A column repeats rarely if fewer of its values than this share are followed by the same value.
const RARELY: f64 = 0.5;

/// Equal values in a row at an extreme that count as clipped.
const LEAST_CLIPPED: usize = 3;
/// Share of such values above which they are pointed out.
const CLIPPED: f64 = 1e-3;
/// An extreme that so large a share of the values have is where the column rests.
const AT_REST: f64 = 0.5;
/// A column of fewer distinct values is a count or a switch.
const LEAST_DISTINCT: usize = 8;

/// Shift of the mean from the first quarter to the last, in standard deviations, that is pointed out.
const DRIFT: f64 = 1.0;

/// Columns are taken for copies of each other if their correlation is above this.
const COPIES: f64 = 0.99;
/// Most rows, chosen at random, and most columns that are compared.
const MOST_COMPARED_ROWS: usize = 10_000;
const MOST_COMPARED_COLUMNS: usize = 500;

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

/// What one column is like; rows are counted from 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Share of the values that are missing.
    pub missing: f64,
    /// Most missing values in a row.
    pub longest_gap: Run,
    /// `None`, as what follows, for a column without a value.
    pub least: Option<f32>,
    /// Mean of the values.
    pub mean: Option<f64>,
    /// Largest value.
    pub largest: Option<f32>,
    /// Standard deviation.
    pub deviation: Option<f64>,
    /// Number of different values.
    pub distinct: usize,
    /// Smallest difference between two of them: the resolution of a quantised signal.
    pub step: Option<f64>,
    /// Most equal values in a row.
    pub longest_repeat: Run,
    /// Runs of equal values that are implausibly long for the column.
    pub stuck: Option<Stuck>,
    /// Share of the values that are the least one, in runs of three and more; where that looks like clipping.
    pub clipped_below: Option<f64>,
    /// Likewise, the largest one.
    pub clipped_above: Option<f64>,
    /// Shift of the mean from the first quarter of the rows to the last, in standard deviations.
    pub drift: Option<f64>,
    /// What the user should know, in words.
    pub findings: Vec<String>,
}

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

/// Two columns that go together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The columns' names.
    pub columns: [String; 2],
    /// Pearson's correlation, of rows that have both.
    pub correlation: f64,
}

impl Inspection {
    /// Inspects a table, whose rows are taken to be in order of time.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let normal: Vec<usize> = (0..table.rows()).filter(|&row| is_normal(table, row)).collect();
        let columns: Vec<Column> = (0..table.columns.len()).map(|column| Column::of(table, column, &normal)).collect();
        let varying: Vec<usize> =
            (0..columns.len()).filter(|&column| columns[column].distinct > 1).take(MOST_COMPARED_COLUMNS).collect();
        Self {
            rows: table.rows(),
            anomalies: table.rows() - normal.len(),
            duplicates: duplicates(table, &normal),
            correlated: correlated(table, &varying, &normal),
            compared: varying.len(),
            suggestion: Suggestion::of(table, &(0..columns.len()).collect::<Vec<_>>()),
            columns,
        }
    }
}

fn is_normal(table: &Table, row: usize) -> bool {
    table.labels.as_ref().is_none_or(|labels| !labels[row])
}

impl Column {
    /// What one column of a table is like on its `normal` rows, which ascend.
    fn of(table: &Table, column: usize, normal: &[usize]) -> Self {
        let name = table.columns[column].clone();
        let at = |row: &usize| table.values[row * table.columns.len() + column];
        let mut moments = Moments::default();
        let mut sorted: Vec<f32> = normal.iter().map(at).filter(|value| !value.is_nan()).collect();
        sorted.iter().for_each(|value| moments.push(f64::from(*value)));
        sorted.par_sort_unstable_by(f32::total_cmp);
        let differences = || sorted.windows(2).map(|pair| f64::from(pair[1]) - f64::from(pair[0])).filter(|d| *d > 0.0);
        let runs = || runs(normal.iter().map(|row| (*row, at(row))));
        let longest = |is_missing: bool| {
            let of_kind = runs().filter(|run| run.value.is_none() == is_missing);
            // The first of several.
            of_kind.fold(Run::default(), |longest, run| if run.rows > longest.rows { run } else { longest })
        };
        let is_empty = sorted.is_empty();
        let known = |value: f64| (!is_empty).then_some(value);
        let mut found = Self {
            name,
            missing: 1.0 - sorted.len() as f64 / normal.len().max(1) as f64,
            longest_gap: longest(true),
            least: sorted.first().copied(),
            mean: known(moments.mean),
            largest: sorted.last().copied(),
            deviation: known(moments.deviation()),
            distinct: usize::from(!is_empty) + differences().count(),
            step: differences().min_by(f64::total_cmp),
            longest_repeat: longest(false),
            stuck: None,
            clipped_below: None,
            clipped_above: None,
            drift: None,
            findings: Vec::new(),
        };
        if !moments.is_constant() {
            let [least, largest] = [found.least, found.largest];
            found.stuck = stuck(runs, sorted.len(), |value| Some(value) == least || Some(value) == largest);
            if found.distinct >= LEAST_DISTINCT {
                found.clipped_below = clipped(runs(), sorted.iter());
                found.clipped_above = clipped(runs(), sorted.iter().rev());
            }
            found.drift = drift(normal.iter().map(at), normal.len(), moments.deviation());
        }
        found.findings = found.describe(&moments, normal.len());
        found
    }

    /// The findings, in words.
    fn describe(&self, moments: &Moments, rows: usize) -> Vec<String> {
        let mut findings = Vec::new();
        let percent = |share: f64| format!("{:.3} %", 100.0 * share);
        if moments.count == 0.0 {
            return vec!["has no value at all: a fit leaves it out".to_owned()];
        }
        if self.missing > 0.0 {
            let Run { rows, first_row, .. } = self.longest_gap;
            findings.push(format!("{} missing, at most {rows} in a row, from row {first_row}", percent(self.missing)));
        }
        if moments.is_constant() {
            findings.push(format!("is always {}: any other value will count as an anomaly", moments.mean as f32));
            return findings;
        }
        if let Some(outlier) = moments.outlier() {
            findings.push(format!(
                "a single value, {:e}, outweighs all others: leave it empty if it is none",
                outlier as f32
            ));
        }
        if let Some(Stuck { runs, share, longest }) = self.stuck {
            findings.push(format!(
                "stays the same for {} rows from row {} on, where it usually changes ({runs} such run(s), {} of the rows): a stuck \
                 sensor?",
                longest.rows,
                longest.first_row,
                percent(share)
            ));
        }
        for (share, value, word) in
            [(self.clipped_below, self.least, "least"), (self.clipped_above, self.largest, "largest")]
        {
            if let (Some(share), Some(value)) = (share, value) {
                findings.push(format!(
                    "{} of the values are its {word}, {value}, in runs of {LEAST_CLIPPED} and more: clipped?",
                    percent(share)
                ));
            }
        }
        // The means of independent quarters differ by √(8/n) deviations.
        let by_chance = 4.0 * (8.0 / rows as f64).sqrt();
        if let Some(drift) = self.drift.filter(|drift| drift.abs() > DRIFT.max(by_chance)) {
            findings.push(format!(
                "its mean moves by {drift:.1} standard deviations from the first quarter to the last: drift, or states that were \
                 recorded one after the other?"
            ));
        }
        findings
    }
}

/// The runs of successive rows with the same value; a row that is left out ends a run.
fn runs(values: impl Iterator<Item = (usize, f32)>) -> impl Iterator<Item = Run> {
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
fn stuck<R: Iterator<Item = Run>>(
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

/// The share of the values that are the first of `sorted`, in runs; where that is more than a signal would have that is not
/// clipped.
fn clipped<'a>(runs: impl Iterator<Item = Run>, sorted: impl ExactSizeIterator<Item = &'a f32> + Clone) -> Option<f64> {
    let values = sorted.len() as f64;
    let extreme = *sorted.clone().next()?;
    let at_extreme = sorted.clone().take_while(|value| **value == extreme).count();
    let mut beyond = sorted.skip(at_extreme);
    let next = beyond.next()?;
    let at_next = 1 + beyond.take_while(|value| *value == next).count();
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

/// How far the mean of the last quarter is from that of the first, in `deviation`s.
fn drift(values: impl Iterator<Item = f32>, rows: usize, deviation: f64) -> Option<f64> {
    let mut quarters = [Moments::default(); 2];
    for (index, value) in values.enumerate() {
        if index < rows / 4 {
            quarters[0].push(f64::from(value));
        } else if index >= rows - rows / 4 {
            quarters[1].push(f64::from(value));
        }
    }
    let [first, last] = quarters;
    (first.count > 0.0 && last.count > 0.0).then(|| (last.mean - first.mean) / deviation)
}

/// Rows that an earlier row equals, by a hash of 64 bits.
fn duplicates(table: &Table, normal: &[usize]) -> usize {
    let width = table.columns.len();
    let mut seen = HashSet::with_capacity(normal.len());
    let is_new = |row: &&usize| {
        let mut hasher = DefaultHasher::new();
        table.values[**row * width..][..width].iter().for_each(|value| value.to_bits().hash(&mut hasher));
        seen.insert(hasher.finish())
    };
    normal.len() - normal.iter().filter(is_new).count()
}

/// The pairs among `columns` that are nearly copies of each other.
fn correlated(table: &Table, columns: &[usize], normal: &[usize]) -> Vec<Pair> {
    // At random: evenly spaced rows may all have the same phase of a periodic signal.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let rows = index::sample(&mut rng, normal.len(), normal.len().min(MOST_COMPARED_ROWS)).into_vec();
    let width = table.columns.len();
    let values: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| rows.iter().map(|row| f64::from(table.values[normal[*row] * width + column])).collect())
        .collect();
    let mut pairs: Vec<Pair> = (0..columns.len())
        .into_par_iter()
        .flat_map_iter(|a| (0..a).map(move |b| (b, a)))
        .filter_map(|(a, b)| {
            let correlation = correlation(&values[a], &values[b]);
            let names = [a, b].map(|index| table.columns[columns[index]].clone());
            (correlation.abs() > COPIES).then_some(Pair { columns: names, correlation })
        })
        .collect();
    pairs.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    pairs
}

/// Pearson's correlation of the pairs without NaN; NaN where one side does not vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let both = || a.iter().zip(b).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let count = both().count() as f64;
    let (sum_a, sum_b) = both().fold((0.0, 0.0), |(s, t), (a, b)| (s + a, t + b));
    let (mean_a, mean_b) = (sum_a / count, sum_b / count);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in both() {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use vae_core::standard_normal;

    use super::*;
    use crate::simulator::motor::{Condition, simulate};

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| standard_normal(&mut rng)).collect()
    }

    fn inspect(columns: &[&[f32]]) -> Inspection {
        Inspection::of(&table(columns))
    }

    fn table(columns: &[&[f32]]) -> Table {
        let rows = columns[0].len();
        Table {
            path: "t.csv".into(),
            columns: (0..columns.len()).map(|column| format!("c{column}")).collect(),
            values: (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect(),
            labels: None,
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
        let words: Vec<&str> = found.columns.iter().map(|column| &*column.findings[0]).collect();
        assert!(words[0].contains("no value at all") && words[1].contains("always 5"), "{words:?}");
        assert!(words[2].contains("1e30, outweighs all others"), "{words:?}");
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
        let found = Inspection::of(&table);
        assert_eq!((found.rows, found.anomalies, found.columns[0].largest), (7, 1, Some(2.0)));
        assert_eq!(found.columns[0].longest_repeat, Run { rows: 3, first_row: 4, value: Some(1.0) });
    }

    #[test]
    fn a_healthy_motor_has_no_findings_and_a_stuck_axis_one() {
        let healthy = simulate(Condition::Normal, 20.0, 1);
        let mut samples = healthy.clone();
        let values = |samples: &[[f32; 3]]| Table { values: samples.concat(), ..table(&[&[0.0], &[0.0], &[0.0]]) };
        let found = Inspection::of(&values(&samples));
        assert!(found.columns.iter().all(|column| column.findings.is_empty()), "{found:?}");
        for sample in &mut samples[16_000..17_600] {
            sample[0] = healthy[16_000][0];
        }
        let found = Inspection::of(&values(&samples));
        let stuck = found.columns[0].stuck.unwrap();
        assert_eq!((stuck.runs, stuck.share, found.columns[1].stuck), (1, 0.05, None));
    }
}
