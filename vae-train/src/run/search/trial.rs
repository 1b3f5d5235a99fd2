//! A setting that is tried: a network that is trained for a short time, and how well it tells disturbed data from others.

use anyhow::Result;
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::FrontEnd;

use crate::{
    config::Config,
    data::{
        dataset::{Dataset, standardise},
        schema::Schema,
        windows::Windows,
    },
    file::model_file::AlignedFile,
    model::architecture::Architecture,
    run::{
        screening::short_fit,
        search::disturbance::{Disturbance, FAMILY, Kind, Stretch},
    },
    scoring::elbo,
    statistics::{density::Independent, metrics::Detection, moments::Moments},
    tables::table::Table,
    training::listener::Listener,
};

/// Steps of a trial's network.
const STEPS: usize = 1000;
/// Most windows that it is trained on.
const MOST_WINDOWS: usize = 64_000;

/// What judges rows: the higher, the stranger.
pub trait Judge: Sync {
    /// The index of the last row of each window of a table, and what it scores.
    ///
    /// # Errors
    /// If the table cannot be scored.
    fn scores(&self, table: &Table) -> Result<Vec<(usize, f32)>>;
}

/// A network that was trained for a short time.
pub struct Network {
    schema: Schema,
    front_ends: Vec<FrontEnd>,
    file: AlignedFile,
}

impl Network {
    /// Trains on a table with the configuration's window and front-end; `None` if the listener stops it.
    ///
    /// # Errors
    /// If there is nothing to learn from, or training diverges.
    pub fn fit(table: Table, config: &Config, device: &Device, listener: &dyn Listener) -> Result<Option<Self>> {
        let dataset = Dataset::prepare(table, config)?;
        let mut config = config.clone();
        config.settle(dataset.features(), dataset.train().chosen.len());
        let architecture = Architecture { variance_floors: dataset.variance_floors(), ..dataset.architecture(&config) };
        let train = dataset.train();
        let chosen = &train.chosen[..train.chosen.len().min(MOST_WINDOWS)];
        let Some(model) = short_fit(&config, &architecture, train.values, chosen, STEPS, device, listener)? else {
            return Ok(None);
        };
        let front_ends = dataset.schema.front_ends();
        Ok(Some(Self { front_ends, file: AlignedFile::new(&model.to_bytes()?), schema: dataset.schema }))
    }
}

impl Judge for Network {
    fn scores(&self, table: &Table) -> Result<Vec<(usize, f32)>> {
        let Schema { channels, conditions, window, hop, .. } = &self.schema;
        let (table, _) = table.clone().select(&channels.iter().chain(conditions).collect::<Vec<_>>())?;
        let mut windows = Windows::cut(table, conditions.len(), *window, *hop)?.through(&self.front_ends)?;
        standardise(&mut windows, &self.schema);
        let scores = elbo(&self.file.model()?, &windows.values)?;
        Ok(windows.last_row.into_iter().zip(scores.iter().map(|score| -score.elbo)).collect())
    }
}

/// Each row by itself, its columns as if they knew nothing of each other: by their density, or by the limit that the farthest column would need.
pub struct Columns {
    channels: usize,
    moments: Vec<(f32, f32)>,
    density: Option<Independent>,
}

impl Columns {
    /// Fits to the rows of a table, of which the first `channels` columns are judged.
    #[must_use]
    pub fn fit(table: &Table, channels: usize, is_by_limits: bool) -> Self {
        let moments = moments(table, channels);
        let floors = vec![1e-6; channels];
        let rows: Vec<Vec<f32>> =
            table.values.chunks_exact(table.columns.len()).map(|row| standardised(row, &moments)).collect();
        let density =
            (!is_by_limits).then(|| Independent::fit(rows.iter().map(Vec::as_slice), channels, Some(&floors), &[]));
        Self { channels, moments, density }
    }
}

impl Judge for Columns {
    fn scores(&self, table: &Table) -> Result<Vec<(usize, f32)>> {
        let row = |row: &[f32]| {
            let row = standardised(&row[..self.channels], &self.moments);
            match &self.density {
                Some(density) => -density.log_density(&row) as f32,
                None => row.iter().filter(|x| !x.is_nan()).fold(0.0, |most: f32, x| most.max(x.abs())),
            }
        };
        Ok(table.values.chunks_exact(table.columns.len()).map(row).enumerate().collect())
    }
}

/// Mean and standard deviation of the first columns.
#[must_use]
pub fn moments(table: &Table, channels: usize) -> Vec<(f32, f32)> {
    let rows = table.values.chunks_exact(table.columns.len());
    Moments::of(rows, channels)
        .iter()
        .map(|moments| (moments.mean as f32, if moments.is_constant() { 1.0 } else { moments.deviation() as f32 }))
        .collect()
}

fn standardised(row: &[f32], moments: &[(f32, f32)]) -> Vec<f32> {
    row.iter().zip(moments).map(|(x, (mean, deviation))| (x - mean) / deviation).collect()
}

/// Stretches of normal rows that nothing was trained on, as they are and with each change.
pub struct Trials {
    /// Rows of a stretch.
    pub rows: usize,
    /// The stretches, one behind the other; then with each change of the family that applies, by its name.
    tables: Vec<(&'static str, Table)>,
}

impl Trials {
    /// Changes the stretches of a table; each has its own channel that changes where a change is of one. Disturbances of the kinds
    /// that `is_tried` says are made.
    #[must_use]
    pub fn of(
        normal: &Table,
        rows: usize,
        moments: &[(f32, f32)],
        seed: u64,
        is_tried: impl Fn(Option<Kind>) -> bool,
    ) -> Self {
        Self::changed(normal, rows, moments, seed, FAMILY.into_iter().filter(|(_, _, kind)| is_tried(*kind)))
    }

    /// With the disturbances that count, those that have a size also so many times as large, under the same names.
    #[must_use]
    pub fn graded(normal: &Table, rows: usize, moments: &[(f32, f32)], seed: u64, sizes: &[f32]) -> Self {
        let larger = sizes.iter().flat_map(|by| {
            FAMILY.into_iter().filter_map(|(name, change, kind)| change.times(*by).map(|change| (name, change, kind)))
        });
        let family = FAMILY.into_iter().chain(larger).filter(|(_, _, kind)| kind.is_some());
        Self::changed(normal, rows, moments, seed, family)
    }

    fn changed(
        normal: &Table,
        rows: usize,
        moments: &[(f32, f32)],
        seed: u64,
        family: impl Iterator<Item = (&'static str, Disturbance, Option<Kind>)>,
    ) -> Self {
        let channels = moments.len();
        let width = normal.columns.len();
        let stretch = |values: &[f32]| Stretch { values: values.to_vec(), width, channels };
        let stretches: Vec<Stretch> = normal.values.chunks_exact(rows * width).map(stretch).collect();
        let deviations: Vec<f32> = moments.iter().map(|(_, deviation)| *deviation).collect();
        let mut tables = vec![("", normal.clone())];
        for (index, (name, disturbance, _)) in
            family.enumerate().filter(|(_, (_, disturbance, _))| disturbance.applies(channels, rows))
        {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let changed = stretches.iter().enumerate().flat_map(|(at, stretch)| {
                let other = &stretches[(at + stretches.len() / 2) % stretches.len()];
                disturbance.of(stretch, at % channels, other, &deviations, &mut rng).values
            });
            tables.push((name, Table { values: changed.collect(), ..normal.clone() }));
        }
        Self { rows, tables }
    }

    /// Tables of stretches with a change.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.tables.len() - 1
    }

    /// For each change, the chance that a stretch with it scores higher on average than one without, by this judge.
    ///
    /// # Errors
    /// If the stretches cannot be scored.
    pub fn aurocs(&self, judge: &dyn Judge) -> Result<Vec<(&'static str, f64)>> {
        let means: Vec<Vec<f64>> =
            self.tables.par_iter().map(|(_, table)| Ok(self.means(&judge.scores(table)?))).collect::<Result<_>>()?;
        let normal = &means[0];
        let auroc = |changed: &Vec<f64>| -> Result<f64> {
            let scores: Vec<f64> = normal.iter().chain(changed).copied().collect();
            let labels: Vec<bool> = (0..scores.len()).map(|index| index >= normal.len()).collect();
            Ok(Detection::of(&scores, &labels)?.auroc)
        };
        self.tables.iter().zip(&means).skip(1).map(|((name, _), means)| Ok((*name, auroc(means)?))).collect()
    }

    /// The mean score of each stretch.
    fn means(&self, scores: &[(usize, f32)]) -> Vec<f64> {
        let stretches = self.tables[0].1.rows() / self.rows;
        let mut sums = vec![(0.0, 0.0); stretches];
        for (row, score) in scores.iter().filter(|(_, score)| !score.is_nan()) {
            let (sum, count) = &mut sums[row / self.rows];
            (*sum, *count) = (*sum + f64::from(*score), *count + 1.0);
        }
        sums.iter().map(|(sum, count)| sum / f64::max(*count, 1.0)).collect()
    }
}
