//! From a table to standardised windows.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::{FrontEnd, Model};

use crate::{
    config::{
        Config,
        data::{Binarise, Split},
        model::{CONTINUOUS_FLOOR, DISCRETE_FLOOR},
    },
    data::{
        drift,
        front_end::{front_ends, of_model},
        part::{Part, binarise},
        windows::Windows,
    },
    statistics::moments::Moments,
    tables::table::Table,
    weights::family::Likelihood,
    words::messages::list,
};

/// The scale of a channel that is constant in normal data, as a fraction of its magnitude, or of the smallest standard
/// deviation of the others where that is larger: what differs by more has never been seen, and scores so.
const CONSTANT_SCALE: f64 = 0.01;

/// Fewest normal windows for a fit.
const LEAST_WINDOWS: usize = 10;

/// Most held-out windows that are used, evenly spaced over those that are held out: enough to tell a false-alarm rate of 1e-4
/// within a tenth or so, and little to validate on after each epoch.
pub const MOST_HELD_OUT: usize = 100_000;

/// A feature mostly has one value if more than this share of the windows has it.
const MOSTLY: f64 = 0.3;
/// Most windows that this is counted in.
const MOST_COUNTED: usize = 10_000;

/// Mean and standard deviation per feature, fitted on the normal windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardiser {
    /// Subtracted from each feature.
    pub mean: Vec<f32>,
    /// Divides the difference.
    pub scale: Vec<f32>,
}

impl Standardiser {
    /// Mean and standard deviation of each channel over all windows, repeated for each sample of the window; 0 and 1 for
    /// a Bernoulli likelihood, whose data stay as they are.
    fn fit<'a>(
        windows: impl Iterator<Item = &'a [f32]>,
        channels: usize,
        window: usize,
        likelihood: Likelihood,
    ) -> Self {
        if likelihood == Likelihood::Bernoulli {
            return Self { mean: vec![0.0; channels * window], scale: vec![1.0; channels * window] };
        }
        let moments = Moments::of(windows.flat_map(|values| values.chunks_exact(channels.max(1))), channels);
        let varying = moments.iter().filter(|m| !m.is_constant()).map(Moments::deviation);
        let smallest = varying.fold(f64::INFINITY, f64::min);
        let scale = |m: &Moments| match m.is_constant() {
            false => m.deviation(),
            true if m.mean.abs() > smallest => CONSTANT_SCALE * m.mean.abs(),
            true => CONSTANT_SCALE * smallest,
        };
        let repeat = |values: Vec<f32>| values.iter().copied().cycle().take(channels * window).collect();
        Self {
            mean: repeat(moments.iter().map(|m| m.mean as f32).collect()),
            scale: repeat(moments.iter().map(|m| scale(m) as f32).collect()),
        }
    }

    /// The first feature that does not vary, or so far from 1 that standardised values times its scale leave the range of
    /// `f32`.
    fn unusable(&self) -> Option<usize> {
        /// Standard deviations that must be in range.
        const ROOM: f32 = 1000.0;
        self.mean.iter().zip(&self.scale).position(|(mean, scale)| {
            !(*scale > 0.0 && (ROOM / scale).is_finite() && (mean.abs() + ROOM * scale).is_finite())
        })
    }

    /// A window in standardised units.
    pub fn apply(&self, x: &[f32]) -> impl Iterator<Item = f32> {
        x.iter().zip(self.mean.iter().zip(&self.scale)).map(|(x, (mean, scale))| (x - mean) / scale)
    }
}

/// What a model knows of its data: kept with the run and written into the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The columns that are trained on, in order.
    pub channels: Vec<String>,
    /// Columns that were left out, because they were constant or empty.
    pub dropped: Vec<String>,
    /// The columns that the model is conditional on, in order.
    pub conditions: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// The channels' front-ends, by their codes in the model file; none where the model sees samples.
    pub front_ends: Vec<u8>,
    /// CRC-32 of the training table and its number of rows.
    pub data: String,
    /// Fitted on the normal windows.
    pub standardiser: Standardiser,
    /// Likewise, of the condition.
    pub condition_standardiser: Standardiser,
}

impl Schema {
    /// A name for each feature.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        let front_ends: Vec<FrontEnd> = self.front_ends.iter().map(|code| FrontEnd::from_code(*code)).collect();
        feature_names(&self.channels, &front_ends, self.window)
    }

    /// A window and its condition in standardised units.
    pub fn standardise(&self, inputs: &[f32]) -> impl Iterator<Item = f32> {
        let (x, condition) = inputs.split_at(self.standardiser.mean.len());
        self.standardiser.apply(x).chain(self.condition_standardiser.apply(condition))
    }
}

/// Training and held-out windows of normal data.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Where it came from.
    pub path: PathBuf,
    /// What the model knows of it.
    pub schema: Schema,
    /// All windows, in standardised units.
    windows: Windows,
    /// Those that are trained on, by index.
    train: Vec<usize>,
    /// Held-out windows, each followed by its condition, in physical units.
    pub holdout: Vec<f32>,
    /// For each of them, the index of its last row in the table.
    pub holdout_rows: Vec<usize>,
    /// What the user should know: rows and columns left out.
    pub notes: Vec<String>,
    /// Least and largest value of each channel in the normal rows.
    pub ranges: Vec<(f64, f64)>,
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
        let mut notes = Vec::new();
        let data = fingerprint(&table);

        let normal = |row: &usize| table.labels.as_ref().is_none_or(|labels| !labels[*row]);
        let normal_rows = (0..table.rows()).filter(normal).count();
        ensure!(normal_rows > 0, "{name}: every row is labelled 1 (anomaly): a fit needs normal rows, labelled 0");
        ensure!(
            normal_rows >= LEAST_WINDOWS,
            "{name}: {normal_rows} normal row(s): a fit needs at least {LEAST_WINDOWS}, and some hundreds to be of use"
        );
        // Constant columns are judged by the rows that will be trained on.
        let rows = table.values.chunks_exact(table.columns.len()).enumerate().filter(|(row, _)| normal(row));
        let moments = Moments::of(rows.map(|(_, values)| values), table.columns.len());
        let (conditions, condition_names) =
            (config.data.condition.len(), config.data.condition.iter().collect::<HashSet<_>>());
        let (mut dropped, mut kept, mut constant, mut outliers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut ranges = Vec::new();
        for (index, (column, moments)) in table.columns.iter().zip(&moments).enumerate() {
            if condition_names.contains(column) {
                continue;
            }
            if config.model.likelihood != Likelihood::Bernoulli {
                if moments.count == 0.0 {
                    dropped.push(column.clone());
                    continue;
                }
                if moments.is_constant() {
                    constant.push(column.clone());
                } else {
                    outliers.extend(outlier(&table, index, moments));
                }
            }
            kept.push(column.clone());
            ranges.push((moments.least, moments.largest));
        }
        ensure!(
            kept.len() + dropped.len() > 0,
            "{name}: every column is a condition: there is nothing to model; name fewer in --condition"
        );
        ensure!(
            kept.len() > constant.len(),
            "{name}: every column is constant or empty in the {normal_rows} normal row(s): there is nothing to learn"
        );
        if !dropped.is_empty() {
            notes.push(format!("{name}: {} empty column(s) left out: {}", dropped.len(), list(&dropped)));
        }
        if !constant.is_empty() {
            notes.push(format!(
                "{name}: {} column(s) never vary in normal data, and any other value in them will count as an anomaly (remove \
                 them if they may differ, as a serial number does): {}",
                constant.len(),
                list(&constant)
            ));
        }
        notes.extend(note_on_outliers(&table.path, &outliers));
        let (table, _) = table
            .select(&kept.iter().chain(&config.data.condition).collect::<Vec<_>>())
            .context("--condition names columns of the data")?;
        if config.model.likelihood == Likelihood::Bernoulli {
            check_unit_interval(&table, kept.len())?;
        }

        let front_ends = front_ends(&config.data.front_end, &kept, config.data.window)?;
        ensure!(
            front_ends.is_empty() || config.model.likelihood != Likelihood::Bernoulli,
            "a Bernoulli likelihood is for zeros and ones, which a front-end does not make: leave out --front-end"
        );
        let mut windows = Windows::cut(table, conditions, config.data.window, config.data.hop())?;
        let mut chosen: Vec<usize> = (0..windows.len()).collect();
        if let Some(labels) = &windows.labels {
            chosen.retain(|&index| !labels[index]);
            let anomalous = windows.len() - chosen.len();
            if anomalous > 0 {
                notes.push(format!("{name}: {anomalous} window(s) labelled 1 (anomaly) left out of the training"));
            }
        }
        // Before they are shuffled.
        let reach: Option<Vec<f64>> = (config.data.drift > 0.0).then(|| {
            let steps = drift::level_steps(&windows, &chosen, kept.len());
            steps.iter().map(|step| f64::from(config.data.drift) * step).collect()
        });
        match config.data.split() {
            Split::Time => {}
            Split::Seeded => chosen.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed)),
        }
        let held = ((chosen.len() as f64 * config.data.validation).round() as usize).max(1);
        let mut training = chosen.len().saturating_sub(held);
        ensure!(
            chosen.len() >= LEAST_WINDOWS && training >= 2,
            "{name}: {} normal window(s) leave {training} for training and {held} for validation: a fit needs at least \
             {LEAST_WINDOWS}; give more data or a shorter --hop",
            chosen.len()
        );
        if let Some(reach) = reach {
            training *= drift::copies(chosen.len());
            windows = drift::carried(&windows, &chosen, &reach, config.seed);
            chosen = (0..windows.len()).collect();
        }
        // Behind the drift, which moves samples.
        let mut windows = windows.through(&front_ends)?;
        let width = windows.features + conditions;
        let values = |index: &usize| &windows.values[index * width..][..width];
        let x = |index: &usize| &values(index)[..windows.features];
        let condition = |index: &usize| &values(index)[windows.features..];
        if let Some(index) = chosen.iter().find(|index| condition(index).iter().any(|value| value.is_nan())) {
            bail!(
                "{name}: a condition is missing in row {}: a conditional model needs all of {}",
                windows.last_row[*index] + 1,
                list(&config.data.condition)
            );
        }
        // On all normal windows: a column that varies only in the held-out part would otherwise have no scale.
        let (columns, repeats) =
            if front_ends.is_empty() { (kept.len(), config.data.window) } else { (windows.features, 1) };
        let standardiser = Standardiser::fit(chosen.iter().map(x), columns, repeats, config.model.likelihood);
        let condition_standardiser =
            Standardiser::fit(chosen.iter().map(condition), conditions, 1, Likelihood::Gaussian);
        let features = feature_names(&kept, &front_ends, config.data.window);
        for (standardiser, names) in [(&standardiser, &features), (&condition_standardiser, &config.data.condition)] {
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
        let (training, held) = chosen.split_at(training);
        let schema = Schema {
            channels: kept,
            conditions: config.data.condition.clone(),
            dropped,
            window: config.data.window,
            hop: config.data.hop(),
            front_ends: front_ends.iter().map(|front_end| front_end.code()).collect(),
            data,
            standardiser,
            condition_standardiser,
        };
        let used = held.len().min(MOST_HELD_OUT);
        if used < held.len() {
            notes.push(format!("{name}: {used} of the {} held-out windows are used, evenly spaced", held.len()));
        }
        let held: Vec<usize> = (0..used).map(|index| held[index * held.len() / used]).collect();
        let mut holdout: Vec<f32> = held.iter().flat_map(|index| values(index).iter().copied()).collect();
        let holdout_rows = held.iter().map(|index| windows.last_row[*index]).collect();
        let train = training.to_vec();
        let mut standardised = Vec::with_capacity(width);
        for window in windows.values.chunks_exact_mut(width) {
            standardised.clear();
            standardised.extend(schema.standardise(window));
            window.copy_from_slice(&standardised);
        }
        if let Some(how) = config.data.binarise {
            ensure!(conditions == 0, "binarise does not know grey values from conditions: leave out --condition");
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            holdout = binarise(holdout.into_iter(), &mut rng);
            if how == Binarise::Static {
                for index in &train {
                    let window = &mut windows.values[index * width..][..width];
                    let binary = binarise(window.iter().copied(), &mut rng);
                    window.copy_from_slice(&binary);
                }
            }
        }
        Ok(Self { path, schema, windows, train, holdout, holdout_rows, notes, ranges })
    }

    /// The windows to train on.
    #[must_use]
    pub fn train(&self) -> Part<'_> {
        Part { values: &self.windows.values, chosen: &self.train, last_row: &self.windows.last_row }
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

/// A note on those of a table's first `channels` columns of whose variance in normal rows a single value makes up nearly all.
#[must_use]
pub fn outliers(table: &Table, channels: usize) -> Option<String> {
    let is_normal = |row: usize| table.labels.as_ref().is_none_or(|labels| !labels[row]);
    let rows = table.values.chunks_exact(table.columns.len()).enumerate().filter(|(row, _)| is_normal(*row));
    let moments = Moments::of(rows.map(|(_, values)| values), channels);
    let varying = moments.iter().enumerate().filter(|(_, moments)| !moments.is_constant());
    note_on_outliers(
        &table.path,
        &varying.filter_map(|(index, moments)| outlier(table, index, moments)).collect::<Vec<_>>(),
    )
}

/// Column, row and value of the one that makes up nearly all of a column's variance.
fn outlier(table: &Table, column: usize, moments: &Moments) -> Option<String> {
    let outlier = moments.outlier()?;
    let mut values = table.values.iter().skip(column).step_by(table.columns.len());
    let row = values.position(|value| f64::from(*value) == outlier).map_or(0, |row| row + 1);
    Some(format!("{}, row {row}: {:e}", table.columns[column], outlier as f32))
}

fn note_on_outliers(path: &Path, outliers: &[String]) -> Option<String> {
    (!outliers.is_empty()).then(|| {
        format!(
            "{}: a single value outweighs all others in {} column(s): {}; leave a field empty if the value is missing",
            path.display(),
            outliers.len(),
            list(outliers)
        )
    })
}

fn check_unit_interval(table: &Table, features: usize) -> Result<()> {
    for (row, values) in table.values.chunks_exact(table.columns.len()).enumerate() {
        let outside = |value: &f32| !value.is_nan() && !(0.0..=1.0).contains(value);
        if let Some(column) = values[..features].iter().position(outside) {
            bail!(
                "{}: row {}, column `{}` is {}: a Bernoulli likelihood needs values between 0 and 1; rescale the data or use \
                 --likelihood gaussian",
                table.path.display(),
                row + 1,
                table.columns[column],
                values[column]
            )
        }
    }
    Ok(())
}

/// A name for each feature: of a model of rows the channel's.
fn feature_names(channels: &[String], front_ends: &[FrontEnd], window: usize) -> Vec<String> {
    const STATISTICS: [&str; 6] = ["mean", "ln RMS", "ln peak", "crest factor", "kurtosis", "zero crossings"];
    if front_ends.is_empty() {
        let samples = (0..window).flat_map(|sample| channels.iter().map(move |channel| (sample, channel)));
        let name = |(sample, channel): (usize, &String)| match window {
            1 => channel.clone(),
            _ => format!("{channel}, sample {sample}"),
        };
        return samples.map(name).collect();
    }
    let names = channels.iter().zip(front_ends).flat_map(|(channel, front_end)| {
        (0..front_end.features(window)).map(move |index| match front_end {
            FrontEnd::Raw => format!("{channel}, sample {index}"),
            FrontEnd::Mean => format!("{channel}, mean"),
            FrontEnd::Statistics => format!("{channel}, {}", STATISTICS[index]),
            FrontEnd::Bands(_) => format!("{channel}, band {index}"),
        })
    });
    names.collect()
}

/// CRC-32 of names and values, and the number of rows.
#[must_use]
pub fn fingerprint(table: &Table) -> String {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    for name in &table.columns {
        digest.update(name.as_bytes());
        digest.update(b"\n");
    }
    for values in table.values.chunks(1024) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(&bytes);
    }
    format!("crc32 {:08x}, {} rows", digest.finalize(), table.rows())
}

/// Reads a file and cuts it into the windows of a model, with a note on the columns that the model does not use.
///
/// # Errors
/// If the file is bad or lacks a column of the model.
pub fn read_for_model(path: &Path, label: Option<&str>, model: &Model<'_>) -> Result<(Windows, Option<String>)> {
    let (table, note) = read_table_for_model(path, label, model)?;
    Ok((cut_for_model(table, model)?, note))
}

/// Cuts a table of a model's columns into its windows.
///
/// # Errors
/// If it is shorter than one.
pub fn cut_for_model(table: Table, model: &Model<'_>) -> Result<Windows> {
    Windows::cut(table, model.conditions(), model.window(), model.hop())?.through(&of_model(model)?)
}

/// The names of a model's columns, channels then conditions.
///
/// # Errors
/// If the model's card is damaged.
pub fn columns_of<'m>(model: &Model<'m>) -> Result<Vec<&'m str>> {
    let card = model.card()?;
    Ok(card.channels.lines().chain(card.conditions.lines()).collect())
}

/// Reads the columns of a model, channels then conditions, with a note on those that it does not use.
///
/// # Errors
/// If the file is bad or lacks a column of the model.
pub fn read_table_for_model(path: &Path, label: Option<&str>, model: &Model<'_>) -> Result<(Table, Option<String>)> {
    let (table, left_out) =
        Table::read_columns(path, label, &columns_of(model)?, |_, _| {}).context("the data do not fit the model")?;
    let note = (!left_out.is_empty()).then(|| {
        format!("{}: {} column(s) that the model does not use: {}", path.display(), left_out.len(), list(&left_out))
    });
    Ok((table, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f32) -> Table {
        Table {
            path: "t.csv".into(),
            columns: (0..columns).map(|c| format!("c{c}")).collect(),
            values: (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))).map(|(r, c)| value(r, c)).collect(),
            labels: None,
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
        // A hundredth of the constant.
        assert_eq!((data.schema.standardiser.mean[1], data.schema.standardiser.scale[1]), (7.0, 0.07));
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
