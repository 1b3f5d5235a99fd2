//! Rows and columns that are copies of others.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use anyhow::Result;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::tables::{long_table::LongTable, sorting::Sorting, spool::scratch_directory};

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

/// Normal rows that an earlier one equals in these columns, by a hash of 64 bits.
///
/// # Errors
/// If the rows cannot be read, or there is no room to sort their hashes.
pub(crate) fn duplicates(table: &LongTable<'_>, columns: &[usize]) -> Result<usize> {
    let hash = |row: &[f32]| {
        let mut hasher = DefaultHasher::new();
        columns.iter().for_each(|column| row[*column].to_bits().hash(&mut hasher));
        hasher.finish()
    };
    let of_portion = |rows: Range<usize>| -> Result<Vec<u64>> {
        let portion = table.read(rows)?;
        let is_normal = |row: usize| portion.labels.as_ref().is_none_or(|labels| !labels[row]);
        let rows = portion.values.par_chunks_exact(portion.columns.len()).enumerate();
        Ok(rows.filter(|(row, _)| is_normal(*row)).map(|(_, row)| hash(row)).collect())
    };
    if !table.is_in_file() {
        let mut hashes = Vec::new();
        for (rows, _) in table.portions(0) {
            hashes.extend(of_portion(rows)?);
        }
        hashes.par_sort_unstable();
        return Ok(hashes.windows(2).filter(|pair| pair[0] == pair[1]).count());
    }
    let directory = scratch_directory();
    let mut sorting = Sorting::new(&directory);
    for (rows, _) in table.portions(0) {
        of_portion(rows)?.into_iter().try_for_each(|hash| sorting.push(hash))?;
    }
    let (mut last, mut duplicates) = (None, 0);
    sorting.ascending(|hash| duplicates += usize::from(last.replace(hash) == Some(hash)))?;
    Ok(duplicates)
}

/// The pairs among `columns` that are nearly copies of each other, in so many normal rows.
///
/// # Errors
/// If the rows cannot be read.
pub(crate) fn correlated(table: &LongTable<'_>, columns: &[usize], normal: usize) -> Result<Vec<Pair>> {
    // At random: evenly spaced rows may all have the same phase of a periodic signal.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let chosen = index::sample(&mut rng, normal, normal.min(MOST_COMPARED_ROWS)).into_vec();
    let values = values_of(table, columns, &chosen)?;
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
            let names = [a, b].map(|index| table.columns()[columns[index]].clone());
            (correlation.abs() > COPIES).then_some(Pair { columns: names, correlation })
        })
        .collect();
    pairs.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    Ok(pairs)
}

/// By column the values of some normal rows, which are counted without the others, in the order in which they are chosen.
fn values_of(table: &LongTable<'_>, columns: &[usize], chosen: &[usize]) -> Result<Vec<Vec<f64>>> {
    let mut places: Vec<usize> = (0..chosen.len()).collect();
    places.sort_unstable_by_key(|place| chosen[*place]);
    let mut places = places.into_iter().peekable();
    let mut values = vec![vec![0.0; chosen.len()]; columns.len()];
    let mut normal = 0;
    for (rows, _) in table.portions(0) {
        let portion = table.read(rows)?;
        for (row, own) in portion.values.chunks_exact(portion.columns.len()).enumerate() {
            if portion.labels.as_ref().is_some_and(|labels| labels[row]) {
                continue;
            }
            if let Some(place) = places.next_if(|place| chosen[*place] == normal) {
                values.iter_mut().zip(columns).for_each(|(values, column)| values[place] = f64::from(own[*column]));
            }
            normal += 1;
        }
    }
    Ok(values)
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
