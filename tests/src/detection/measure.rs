//! Fits, exports and evaluates through the trainer's own command line, and fits what it is compared with to the same rows.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use vae_train::{
    data::for_model::{cut_for_model, read_table_for_model},
    file::model_file::AlignedFile,
    scoring,
    statistics::metrics::Detection,
    tables::{reading::Reading, recording::Label, table::Table},
};

use crate::{
    baselines::{MIXTURE_FEATURES, gaussian_mixture, mahalanobis, nearest_neighbours},
    detection::{
        figures::{Classical, Figures, Flips, Judged, Report, Seed},
        stream::{self, Lengths, Streamed},
    },
    trainer::{output, trainer},
};

/// The column that says what is an anomaly.
pub const LABEL: &str = "label";
/// Training rows are left out by so many parts, for scores of rows that a detector was not fitted to.
const PARTS: usize = 5;

/// Fits training rows and scores others: the higher, the more anomalous.
type Detector<'d> = &'d dyn Fn(&[f32], &[f32]) -> Result<Vec<f64>>;

/// How tables are judged.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Fits of each table, seeded 0, 1, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// A recipe other than the default.
    #[arg(long, value_name = "vae.toml")]
    pub config: Option<PathBuf>,
    /// Where test rows are in the order of time, their pieces: they are ranked by evidence over time as well, and fits hold out the last rows.
    #[arg(skip)]
    pub stream: Option<Lengths>,
    /// Print figures of each seed as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A test table and what its report is called.
#[derive(Clone, Debug)]
pub struct Test {
    /// The report's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// Fits a training table once for each seed, and judges the models on each of the test tables.
///
/// # Errors
/// If a table cannot be read, or one of the commands fails: says what it said.
pub fn measure(train: &Path, tests: &[Test], settings: &Settings) -> Result<Vec<Report>> {
    let table = Table::read(train, Some(LABEL))?;
    let mut reports: Vec<Report> = tests.iter().map(|test| compared(&table, test, settings)).collect::<Result<_>>()?;
    for seed in 0..settings.seeds {
        let found = fit(train, tests, seed, settings).with_context(|| format!("seed {seed}"))?;
        reports.iter_mut().zip(found).for_each(|(report, seed)| report.seeds.push(seed));
    }
    Ok(reports)
}

/// A report without models.
fn compared(train: &Table, test: &Test, settings: &Settings) -> Result<Report> {
    let rows = Table::read(&test.path, Some(LABEL))?;
    let labels = rows.labels.as_deref().context("no labels")?;
    let (train_rows, test_rows, features) = standardise(train, &rows)?;
    let judge = |name, scores: Detector<'_>| -> Result<Classical> {
        let of_test = scores(&train_rows, &test_rows)?;
        let stream = match &settings.stream {
            Some(lengths) => {
                let reference = left_out(&train_rows, features, scores)?;
                Some(stream::of_scores(&of_test, &reference, labels, lengths)?)
            }
            None => None,
        };
        Ok(Classical { name, figures: Some(Detection::of(&of_test, labels)?.into()), stream })
    };
    Ok(Report {
        table: test.name.clone(),
        features: train.columns.len(),
        training_rows: train_rows.len() / features,
        test_rows: labels.len(),
        anomalies: labels.iter().filter(|label| **label).count(),
        classical: [
            judge("Mahalanobis", &|train, test| mahalanobis(train, test, features))?,
            match features {
                0..=MIXTURE_FEATURES => judge("mixture", &|train, test| gaussian_mixture(train, test, features, 0))?,
                _ => Classical { name: "mixture", figures: None, stream: None },
            },
            judge("5th neighbour", &|train, test| Ok(nearest_neighbours(train, test, features)))?,
        ],
        seeds: Vec::new(),
    })
}

/// The scores of the training rows, each by a detector that is fitted without it and without every fifth row before and after it.
fn left_out(rows: &[f32], features: usize, scores: Detector<'_>) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for part in 0..PARTS {
        let (mut fitted, mut judged) = (Vec::new(), Vec::new());
        for (row, x) in rows.chunks_exact(features).enumerate() {
            if row % PARTS == part { judged.extend(x) } else { fitted.extend(x) }
        }
        all.extend(scores(&fitted, &judged)?);
    }
    Ok(all)
}

/// Normal training rows and test rows, standardised on the former, without constant columns; what is missing is the mean.
fn standardise(train: &Table, test: &Table) -> Result<(Vec<f32>, Vec<f32>, usize)> {
    let (test, _) = test.clone().select(&train.columns)?;
    let columns = train.columns.len();
    let is_normal = |row: usize| train.labels.as_ref().is_none_or(|labels| !labels[row]);
    let normal: Vec<&[f32]> =
        train.values.chunks_exact(columns).enumerate().filter(|(row, _)| is_normal(*row)).map(|(_, x)| x).collect();
    let mut kept = Vec::new();
    for column in 0..columns {
        let values: Vec<f64> = normal.iter().map(|x| f64::from(x[column])).filter(|v| !v.is_nan()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        if deviation > 1e-6 * mean.abs().max(f64::MIN_POSITIVE) {
            kept.push((column, mean, deviation));
        }
    }
    let apply = |x: &[f32]| -> Vec<f32> {
        let standardised = kept.iter().map(|(column, mean, deviation)| (f64::from(x[*column]) - mean) / deviation);
        standardised.map(|v| if v.is_nan() { 0.0 } else { v as f32 }).collect()
    };
    let train = normal.iter().flat_map(|x| apply(x)).collect();
    Ok((train, test.values.chunks_exact(columns).flat_map(apply).collect(), kept.len()))
}

/// A model file, and what the trainer says of it.
struct Exported {
    path: PathBuf,
    said: Value,
}

/// One fit, exported at both precisions and judged on each of the test tables.
fn fit(train: &Path, tests: &[Test], seed: u64, settings: &Settings) -> Result<Vec<Seed>> {
    let place = tempfile::tempdir()?;
    let run = place.path().join("run");
    let mut command = trainer();
    command.arg("fit").arg(train).args(["--label", LABEL, "--seed", &seed.to_string(), "--out"]).arg(&run);
    if let Some(config) = &settings.config {
        command.arg("--config").arg(config);
    }
    // Of rows in time, those between rows that are trained on are no new ones.
    if settings.stream.is_some() {
        command.args(["--split", "time"]);
    }
    let start = Instant::now();
    output(&mut command)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let export = |precision: &str| -> Result<Exported> {
        let path = place.path().join(precision);
        let mut command = trainer();
        command.arg("export").arg(&run).args(["--precision", precision, "--force", "--json", "--out"]).arg(&path);
        Ok(Exported { said: serde_json::from_slice(&output(&mut command)?)?, path })
    };
    let (f32, int8) = (export("f32")?, export("int8")?);
    let judge = |test: &Test| -> Result<Seed> {
        Ok(Seed {
            seed,
            f32: f32.evaluate(&test.path)?,
            int8: int8.evaluate(&test.path)?,
            flips: flips(&f32, &int8, &test.path)?,
            stream: match &settings.stream {
                Some(lengths) => Some(int8.stream(&test.path, lengths)?),
                None => None,
            },
            bytes: AlignedFile::read(&int8.path)?.model()?.flash_len() as u64,
            fit_seconds,
        })
    };
    tests.iter().map(|test| judge(test).with_context(|| test.name.clone())).collect()
}

fn number(said: &Value, pointer: &str) -> Result<f64> {
    said.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("the trainer gives no {pointer}"))
}

impl Exported {
    fn evaluate(&self, test: &Path) -> Result<Judged> {
        let mut command = trainer();
        command.arg("evaluate").arg(&self.path).arg(test).args(["--label", LABEL, "--json"]);
        let said: Value = serde_json::from_slice(&output(&mut command)?)?;
        Ok(Judged {
            figures: Figures {
                auroc: number(&said, "/auroc")?,
                average_precision: number(&said, "/average_precision")?,
                pauc: number(&said, "/pauc")?,
            },
            detection_rate: number(&said, "/detection_rate")?,
            false_alarm_rate: number(&said, "/false_alarm_rate")?,
        })
    }

    fn stream(&self, test: &Path, lengths: &Lengths) -> Result<Streamed> {
        let file = AlignedFile::read(&self.path)?;
        stream::of_model(file.model()?, self.table(test)?, lengths)
    }

    /// A table of the model's columns.
    fn table(&self, test: &Path) -> Result<Table> {
        let file = AlignedFile::read(&self.path)?;
        let model = file.model()?;
        Ok(read_table_for_model(&[test.to_owned()], Label::Column(LABEL), &Reading::default(), &model)?.table)
    }

    /// Of the normal windows of a table: whether the model calls them anomalous.
    fn verdicts(&self, test: &Path) -> Result<Vec<bool>> {
        let file = AlignedFile::read(&self.path)?;
        let model = file.model()?;
        let windows = cut_for_model(self.table(test)?, &model)?;
        let labels = windows.labels.as_deref().context("no labels")?;
        let calibration = model.calibration()?;
        let scores = scoring::of_device(&model, &windows.values)?;
        let normal = scores.iter().zip(labels).filter(|(_, label)| !**label);
        Ok(normal.map(|(score, _)| calibration.is_anomalous(*score)).collect())
    }
}

fn flips(f32: &Exported, int8: &Exported, test: &Path) -> Result<Flips> {
    let said = |name: &str| number(&int8.said, &format!("/quantisation/{name}"));
    let (of_f32, of_int8) = (f32.verdicts(test)?, int8.verdicts(test)?);
    Ok(Flips {
        held_out: said("windows")? as usize,
        flipped: said("flipped")? as usize,
        shift: said("score_shift/mean_magnitude")?,
        spread: said("spread")?,
        fresh: of_f32.len(),
        fresh_flipped: of_f32.iter().zip(&of_int8).filter(|(a, b)| a != b).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_scored_by_a_fit_without_its_part() {
        let rows: Vec<f32> = (0..11).map(|row| row as f32).collect();
        // The "score" of a row counts the rows that were fitted, plus a hundred for each that is itself.
        let count = |fitted: &[f32], judged: &[f32]| -> Result<Vec<f64>> {
            let same = |x: &f32| fitted.iter().filter(|other| *other == x).count();
            Ok(judged.iter().map(|x| (fitted.len() + 100 * same(x)) as f64).collect())
        };
        let found = left_out(&rows, 1, &count).unwrap();
        // Rows 0, 5 and 10, then four pairs.
        assert_eq!(found, [vec![8.0; 3], vec![9.0; 8]].concat());
    }

    #[test]
    fn rows_are_standardised_by_normal_training_rows() {
        let table = |values: &[f32], labels: &[bool]| Table {
            columns: ["a", "constant", "b"].map(str::to_owned).to_vec(),
            values: values.to_vec(),
            labels: Some(labels.to_vec()),
            ..Table::default()
        };
        let train = table(&[1.0, 5.0, 0.0, 3.0, 5.0, 4.0, 100.0, 5.0, 0.0], &[false, false, true]);
        let test = table(&[2.0, 7.0, 6.0, f32::NAN, 5.0, 2.0], &[true, false]);
        let (train, test, features) = standardise(&train, &test).unwrap();
        // Means 2 and 2, deviations 1 and 2; the row that is labelled 1 is none of them, nor is the constant column.
        assert_eq!((train, features), (vec![-1.0, -1.0, 1.0, 1.0], 2));
        assert_eq!(test, [0.0, 2.0, 0.0, 0.0]);
    }
}
