//! From a table to standardised windows, of which some are held out.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    config::{
        Config,
        data::{Binarise, ColumnFamily},
        model::{CONTINUOUS_FLOOR, DISCRETE_FLOOR},
    },
    data::{
        blocks::Blocks,
        columns::{Columns, check_unit_interval},
        families::is_discrete,
        fingerprint::fingerprint,
        front_end::{front_ends, record},
        held_out::{some_of, split},
        part::{Part, binarise},
        schema::{Schema, feature_names},
        standardiser::Standardiser,
        supply::Supply,
        windows::{Windows, note_on_short_pieces},
    },
    model::architecture::Architecture,
    tables::table::Table,
    weights::family::Likelihood,
    words::messages::list,
};

/// A feature mostly has one value if more than this share of the windows has it.
const MOSTLY: f64 = 0.3;
/// Most windows that this is counted in.
const MOST_COUNTED: usize = 10_000;

/// Training and held-out windows of normal data.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Where it came from.
    pub path: PathBuf,
    /// What the model knows of it.
    pub schema: Schema,
    /// All windows, in standardised units.
    pub(super) windows: Windows,
    /// Those that are trained on, by index.
    pub(super) train: Vec<usize>,
    /// Held-out windows, each followed by its condition, in physical units.
    pub holdout: Vec<f32>,
    /// For each of them, the index of its last row in the table.
    pub holdout_rows: Vec<usize>,
    /// What the user should know: rows and columns left out.
    pub notes: Vec<String>,
    /// Least and largest value of each channel in the normal rows.
    pub ranges: Vec<(f64, f64)>,
    /// All windows to train on, where they are not in memory.
    pub(super) blocks: Option<Arc<Blocks>>,
}

impl Dataset {
    /// Prepares a table for a fit: drops constant columns and anomalous windows, fits the standardiser on
    /// the rest, and splits it.
    ///
    /// # Errors
    /// If there is nothing to learn from, or too little.
    pub fn prepare(table: Table, config: &Config) -> Result<Self> {
        let path = table.path.clone();
        let name = path.display().to_string();
        let data = fingerprint(&table);
        let Columns { kept, dropped, ranges, families, mut notes } = Columns::of(&table, config)?;
        let (table, _) = table
            .select(&kept.iter().chain(&config.data.condition).collect::<Vec<_>>())
            .context("--condition names columns of the data")?;
        let all_are_bits = config.model.likelihood == Likelihood::Bernoulli;
        let is_bit = |place: &usize| all_are_bits || is_discrete(&families, *place);
        check_unit_interval(&table, &(0..kept.len()).filter(is_bit).collect::<Vec<_>>())?;
        let front_ends = front_ends(&config.data.front_end, &kept, config.data.window, config.data.rate)?;
        ensure!(
            front_ends.is_empty() || config.model.likelihood != Likelihood::Bernoulli,
            "a Bernoulli likelihood is for zeros and ones, which a front-end does not make: leave out --front-end"
        );
        notes.extend(note_on_short_pieces(&table, config.data.window));
        let starts = table.starts.clone();
        let origins = table.origins.clone();
        let windows = Windows::cut(table, config.data.condition.len(), config.data.window, config.data.hop())?;
        let chosen = normal_windows(&windows, &name, &mut notes);
        let (windows, train, held) = split(windows, chosen, &starts, kept.len(), config, &name)?;
        // Behind the drift, which moves samples.
        let mut windows = windows.through(&front_ends)?;
        check_conditions(&windows, [&train, &held], config, &name)?;
        let features = feature_names(&kept, &front_ends, config.data.window);
        let families = families.repeat(config.data.window);
        // On all normal windows: a column that varies only in the held-out part would otherwise have no scale.
        let (mut standardiser, condition_standardiser) =
            standardisers(&windows, train.iter().chain(&held), &features, front_ends.is_empty(), config, &name)?;
        standardiser.leave((0..features.len()).filter(|feature| is_discrete(&families, *feature)));
        let schema = Schema {
            channels: kept,
            conditions: config.data.condition.clone(),
            families,
            categorical: config.data.columns_of(ColumnFamily::Categorical)?,
            dropped,
            window: config.data.window,
            hop: config.data.hop(),
            front_ends: record(&front_ends)?,
            origins,
            data,
            standardiser,
            condition_standardiser,
        };
        let held = some_of(held, &name, &mut notes);
        let mut holdout: Vec<f32> = held.iter().flat_map(|index| windows.at(*index)).copied().collect();
        let holdout_rows = held.iter().map(|index| windows.last_row[*index]).collect();
        standardise(&mut windows, &schema);
        if let Some(how) = config.data.binarise {
            holdout = binarised(&mut windows, &train, holdout, how, config)?;
        }
        Ok(Self { path, schema, windows, train, holdout, holdout_rows, notes, ranges, blocks: None })
    }

    /// What an epoch takes its windows from.
    #[must_use]
    pub fn supply(&self) -> Supply<'_> {
        self.blocks.as_deref().map_or(Supply::Memory(self.train()), Supply::Blocks)
    }

    /// The windows to train on, or some of them, evenly spaced, where not all are in memory.
    #[must_use]
    pub fn train(&self) -> Part<'_> {
        Part { values: &self.windows.values, chosen: &self.train, last_row: &self.windows.last_row }
    }

    /// The network that a configuration asks for, for these windows.
    #[must_use]
    pub fn architecture(&self, config: &Config) -> Architecture {
        let plain = config.architecture(self.features());
        match &self.schema.families[..] {
            [] => plain,
            families => Architecture { likelihood: Likelihood::Mixed, families: families.to_vec(), ..plain },
        }
    }

    /// Least learned variance of each feature, in standardised units: larger where most training windows have the same value.
    #[must_use]
    pub fn variance_floors(&self) -> Vec<f32> {
        let step = self.train.len().div_ceil(MOST_COUNTED).max(1);
        let some: Vec<usize> = self.train.iter().copied().step_by(step).collect();
        let width = self.features() + self.schema.conditions.len();
        let part = self.train();
        let floor = |feature: usize| {
            let mut values: Vec<f32> = some.iter().map(|window| part.values[window * width + feature]).collect();
            values.sort_by(f32::total_cmp);
            let most = values.chunk_by(|a, b| a == b).map(<[f32]>::len).max().unwrap_or(0);
            if most as f64 > MOSTLY * values.len() as f64 { DISCRETE_FLOOR } else { CONTINUOUS_FLOOR }
        };
        (0..self.features()).map(floor).collect()
    }

    /// Values in a window.
    #[must_use]
    pub fn features(&self) -> usize {
        self.schema.standardiser.mean.len()
    }
}

/// The windows that are not labelled anomalies, by index; says so of the others.
fn normal_windows(windows: &Windows, name: &str, notes: &mut Vec<String>) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..windows.len()).collect();
    if let Some(labels) = &windows.labels {
        chosen.retain(|&index| !labels[index]);
        notes.extend(anomalous_left_out(windows.len() - chosen.len(), name));
    }
    chosen
}

/// A note on so many windows that are labelled anomalies.
pub(super) fn anomalous_left_out(windows: usize, name: &str) -> Option<String> {
    (windows > 0).then(|| format!("{name}: {windows} window(s) labelled 1 (anomaly) left out of the training"))
}

/// Refuses windows of which a condition is missing.
fn check_conditions(windows: &Windows, parts: [&Vec<usize>; 2], config: &Config, name: &str) -> Result<()> {
    let lacks = |index: &&usize| windows.at(**index)[windows.features..].iter().any(|value| value.is_nan());
    let lacking = parts.into_iter().flatten().find(lacks);
    lacking.map_or(Ok(()), |index| Err(condition_is_missing(windows.last_row[*index], config, name)))
}

/// Says that the window that ends in this row has not all of its conditions.
pub(super) fn condition_is_missing(row: usize, config: &Config, name: &str) -> Error {
    anyhow!(
        "{name}: a condition is missing in row {}: a conditional model needs a value of each of {}; fill it in, or remove the row",
        row + 1,
        list(&config.data.condition)
    )
}

/// The standardisers of these windows' features, which have these names and may be samples, and of their conditions.
fn standardisers<'i>(
    windows: &Windows,
    chosen: impl Iterator<Item = &'i usize> + Clone,
    features: &[String],
    are_samples: bool,
    config: &Config,
    name: &str,
) -> Result<(Standardiser, Standardiser)> {
    let (columns, repeats) =
        if are_samples { (windows.features / config.data.window, config.data.window) } else { (windows.features, 1) };
    let x = chosen.clone().map(|index| &windows.at(*index)[..windows.features]);
    let condition = chosen.map(|index| &windows.at(*index)[windows.features..]);
    let standardiser = Standardiser::fit(x, columns, repeats, config.model.likelihood);
    let condition_standardiser = Standardiser::of_conditions(condition, windows.conditions);
    check_usable([(&standardiser, features), (&condition_standardiser, &config.data.condition)], name)?;
    Ok((standardiser, condition_standardiser))
}

/// Refuses columns, of these names, that cannot be standardised.
pub(super) fn check_usable(standardisers: [(&Standardiser, &[String]); 2], name: &str) -> Result<()> {
    for (standardiser, names) in standardisers {
        if let Some(index) = standardiser.unusable() {
            bail!(
                "{name}: column `{}` has mean {:e} and standard deviation {:e} in the normal windows, which 32-bit numbers \
                 cannot standardise: rescale or remove it",
                names[index],
                standardiser.mean[index],
                standardiser.scale[index]
            );
        }
    }
    Ok(())
}

/// Brings all windows to standardised units, in their place.
pub(crate) fn standardise(windows: &mut Windows, schema: &Schema) {
    let width = windows.features + windows.conditions;
    let mut standardised = Vec::with_capacity(width);
    for window in windows.values.chunks_exact_mut(width) {
        standardised.clear();
        standardised.extend(schema.standardise(window));
        window.copy_from_slice(&standardised);
    }
}

/// The held-out windows as zeros and ones; where these are drawn once and for all, the windows to train on become so, too.
fn binarised(
    windows: &mut Windows,
    train: &[usize],
    holdout: Vec<f32>,
    how: Binarise,
    config: &Config,
) -> Result<Vec<f32>> {
    ensure!(
        windows.conditions == 0,
        "--binarise would turn the conditions into zeros and ones, too: leave out --condition"
    );
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let holdout = binarise(holdout.into_iter(), &mut rng);
    if how == Binarise::Static {
        for index in train {
            let window = &mut windows.values[index * windows.features..][..windows.features];
            let binary = binarise(window.iter().copied(), &mut rng);
            window.copy_from_slice(&binary);
        }
    }
    Ok(holdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::Split;

    fn table(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f32) -> Table {
        Table {
            path: "t.csv".into(),
            columns: (0..columns).map(|c| format!("c{c}")).collect(),
            values: (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))).map(|(r, c)| value(r, c)).collect(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        }
    }

    #[test]
    fn windows_carry_their_last_row_and_label() {
        let mut table = table(2, 10, |r, c| (10 * r + c) as f32);
        table.labels = Some((0..10).map(|row| row == 6).collect());
        let windows = Windows::cut(table.clone(), 0, 4, 3).unwrap();
        assert_eq!(windows.last_row, [3, 6, 9]);
        assert_eq!(windows.labels, Some(vec![false, true, true]));
        assert_eq!(windows.iter().nth(1).unwrap(), [30.0, 31.0, 40.0, 41.0, 50.0, 51.0, 60.0, 61.0]);
        assert!(Windows::cut(table, 0, 11, 1).unwrap_err().to_string().contains("longer than the data (10 rows)"));
    }

    #[test]
    fn empty_columns_are_dropped_and_constant_ones_kept_and_the_rest_standardised() {
        let table = table(4, 100, |r, c| match c {
            0 => 1000.0 + (r % 10) as f32,
            1 => 7.0,
            2 => f32::NAN,
            _ => -((r * r) as f32),
        });
        let mut config = Config::default();
        config.data.split = Some(Split::Time);
        let data = Dataset::prepare(table, &config).unwrap();
        assert_eq!(data.schema.channels, ["c0", "c1", "c3"]);
        assert_eq!(data.schema.dropped, ["c2"]);
        // On the empty column, and on the constant one; no outlier.
        assert_eq!(data.notes.len(), 2, "{:?}", data.notes);
        // Some last digits of the constant.
        assert_eq!((data.schema.standardiser.mean[1], data.schema.standardiser.scale[1]), (7.0, 7.0 / 262_144.0));
        assert_eq!(data.variance_floors(), [CONTINUOUS_FLOOR, DISCRETE_FLOOR, CONTINUOUS_FLOOR]);
        let train: Vec<f32> = data.train().gather(data.train().chosen, 3).collect();
        assert_eq!((train.len(), data.holdout.len()), (240, 60));
        assert_eq!(data.holdout[0], 1000.0);
        let holdout = data.holdout.chunks(3).flat_map(|x| data.schema.standardiser.apply(x));
        let all: Vec<f64> = train.iter().copied().chain(holdout).map(f64::from).collect();
        for column in [0, 2] {
            let values = || all.iter().skip(column).step_by(3);
            let mean = values().sum::<f64>() / 100.0;
            let variance = values().map(|v| v * v).sum::<f64>() / 100.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
        }
    }

    #[test]
    fn drift_widens_the_scale_of_what_drifts_and_keeps_held_out_rows_apart() {
        // One channel swings about its level, the other rises by 0.01 a row: by 1.25 in an eighth of the rows.
        let value = |r: usize, c: usize| if c == 0 { (r % 2) as f32 } else { 0.01 * r as f32 };
        let mut config = Config::default();
        config.data.drift = 4.0;
        for split in [Split::Time, Split::Seeded] {
            config.data.split = Some(split);
            let data = Dataset::prepare(table(2, 1000, value), &config).unwrap();
            let [swings, rises] = data.schema.standardiser.scale[..] else { panic!() };
            let expected = (10.0f32.powi(2) / 12.0 + (4.0 * 1.25f32).powi(2)).sqrt();
            assert!((swings - 0.5).abs() < 0.01 && (rises / expected - 1.0).abs() < 0.03, "{swings} {rises}");
            assert_eq!((data.train.len(), data.holdout_rows.len()), (8000, 2000));
            let trained: std::collections::HashSet<usize> =
                data.train.iter().map(|window| data.windows.last_row[*window]).collect();
            assert_eq!(trained.len(), 800);
            assert!(data.holdout_rows.iter().all(|row| !trained.contains(row)));
        }
        config.model.likelihood = Likelihood::Bernoulli;
        assert!(config.check().unwrap_err().to_string().contains("--drift"));
    }

    #[test]
    fn whole_recordings_are_held_out_where_one_begins_near() {
        let mut table = table(1, 1000, |r, _| (r * r % 97) as f32);
        let mut config = Config::default();
        (config.data.window, config.data.hop) = (4, Some(2));
        let held = |table: &Table| {
            let data = Dataset::prepare(table.clone(), &config).unwrap();
            (data.holdout_rows[0] - 3, data.windows.len())
        };
        // A fifth of 499 windows; the first begins with row 798.
        assert_eq!(held(&table), (798, 499));
        // With a recording that begins within half of that, and without one that begins beyond.
        table.starts = vec![300, 731];
        assert_eq!(held(&table), (731, 149 + 214 + 133));
        table.starts = vec![300];
        assert_eq!(held(&table).1, 149 + 349);
        assert!((790..810).contains(&held(&table).0));
    }

    #[test]
    fn too_little_or_nothing_to_learn_is_said() {
        let mut config = Config::default();
        for (rows, value, expected) in [(50, 1.0, "constant or empty"), (5, 0.0, "5 normal row(s)")] {
            let table = table(1, rows, |r, _| if value == 1.0 { 1.0 } else { r as f32 });
            let message = Dataset::prepare(table, &config).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        config.model.likelihood = Likelihood::Bernoulli;
        let message = Dataset::prepare(table(1, 100, |r, _| r as f32), &config).unwrap_err().to_string();
        assert!(message.contains("row 3, column `c0` is 2"), "{message}");
    }
}
