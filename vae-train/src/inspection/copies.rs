//! Rows and columns that are copies of others.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::tables::table::Table;

/// Columns are taken for copies of each other if their correlation is above this.
const COPIES: f64 = 0.99;
/// Most rows, chosen at random, that are compared.
const MOST_COMPARED_ROWS: usize = 10_000;
/// Most columns that are compared.
pub(crate) const MOST_COMPARED_COLUMNS: usize = 500;

/// Two columns that go together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The columns' names.
    pub columns: [String; 2],
    /// Pearson's correlation, of rows that have both.
    pub correlation: f64,
}

/// Rows that an earlier row equals, by a hash of 64 bits.
pub(crate) fn duplicates(table: &Table, normal: &[usize]) -> usize {
    let width = table.columns.len();
    let hash = |row: &usize| {
        let mut hasher = DefaultHasher::new();
        table.values[*row * width..][..width].iter().for_each(|value| value.to_bits().hash(&mut hasher));
        hasher.finish()
    };
    let mut hashes: Vec<u64> = normal.par_iter().map(hash).collect();
    hashes.par_sort_unstable();
    hashes.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// The pairs among `columns` that are nearly copies of each other.
pub(crate) fn correlated(table: &Table, columns: &[usize], normal: &[usize]) -> Vec<Pair> {
    // At random: evenly spaced rows may all have the same phase of a periodic signal.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let rows = index::sample(&mut rng, normal.len(), normal.len().min(MOST_COMPARED_ROWS)).into_vec();
    let width = table.columns.len();
    let values: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| rows.iter().map(|row| f64::from(table.values[normal[*row] * width + column])).collect())
        .collect();
    // Of unit length about 0, so that a product is the correlation, where no value is missing.
    let unit: Vec<Option<Vec<f64>>> = values.iter().map(|values| unit(values)).collect();
    let mut pairs: Vec<Pair> = (0..columns.len())
        .into_par_iter()
        .flat_map_iter(|a| (0..a).map(move |b| (b, a)))
        .filter_map(|(a, b)| {
            let correlation = match (&unit[a], &unit[b]) {
                (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| a * b).sum(),
                _ => correlation(&values[a], &values[b]),
            };
            let names = [a, b].map(|index| table.columns[columns[index]].clone());
            (correlation.abs() > COPIES).then_some(Pair { columns: names, correlation })
        })
        .collect();
    pairs.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    pairs
}

/// Values less their mean, by the root of their sum of squares; `None` where one is missing.
fn unit(values: &[f64]) -> Option<Vec<f64>> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let length = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>().sqrt();
    length.is_finite().then(|| values.iter().map(|value| (value - mean) / length).collect())
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
