//! How well models find anomalies, next to classical detectors: fits, exports and evaluates every table of a folder through the
//! trainer's own command line, with no other option than the label.
//!
//! Usage: `detection FOLDER [--json] [--seeds N] [--config vae.toml] [table…]`. Each subfolder of `FOLDER` (or only the tables
//! named) holds `train.csv` and `test.csv`, with a column `label`: 0 normal, 1 anomaly.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;
use vae_tests::baselines::{MIXTURE_FEATURES, gaussian_mixture, mahalanobis, nearest_neighbours};
use vae_train::{file::model_file::AlignedFile, statistics::metrics::Detection, tables::table::Table};

const LABEL: &str = "label";
/// First argument that makes this program the trainer.
const TRAINER: &str = "vae-train";

/// Area under the ROC, average precision, and partial AUROC up to a false-positive rate of 0.1.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    auroc: f64,
    average_precision: f64,
    pauc: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Seed {
    seed: u64,
    f32: Figures,
    int8: Figures,
    /// Of the int8 model file.
    bytes: u64,
    fit_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Report {
    table: String,
    features: usize,
    training_rows: usize,
    test_rows: usize,
    anomalies: usize,
    seeds: Vec<Seed>,
    mahalanobis: Figures,
    /// Not for more than [`MIXTURE_FEATURES`] features.
    gaussian_mixture: Option<Figures>,
    nearest_neighbours: Figures,
}

impl Report {
    fn mean(&self, of: impl Fn(&Seed) -> f64) -> f64 {
        self.seeds.iter().map(of).sum::<f64>() / self.seeds.len() as f64
    }

    fn figures(&self, of: impl Fn(&Seed) -> Figures) -> Figures {
        Figures {
            auroc: self.mean(|seed| of(seed).auroc),
            average_precision: self.mean(|seed| of(seed).average_precision),
            pauc: self.mean(|seed| of(seed).pauc),
        }
    }

    /// Means over the seeds, then the detectors to compare with.
    fn columns(&self) -> [Figures; 5] {
        let (f32, int8) = (self.figures(|seed| seed.f32), self.figures(|seed| seed.int8));
        let none = Figures { auroc: f64::NAN, average_precision: f64::NAN, pauc: f64::NAN };
        [f32, int8, self.mahalanobis, self.gaussian_mixture.unwrap_or(none), self.nearest_neighbours]
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(TRAINER) {
        return vae_train::cli::run(std::env::args_os().skip(1));
    }
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<()> {
    let (mut json, mut seeds, mut config) = (false, 3, None);
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match &argument[..] {
            "--json" => json = true,
            "--seeds" => seeds = value()?.parse().context("--seeds takes a number")?,
            "--config" => config = Some(PathBuf::from(value()?)),
            _ => names.push(argument),
        }
    }
    ensure!(
        !names.is_empty() && seeds > 0,
        "usage: detection FOLDER [--json] [--seeds N] [--config vae.toml] [table…]"
    );
    let folder = PathBuf::from(names.remove(0));
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    if !json {
        println!(
            "AUROC / average precision / partial AUROC (FPR ≤ 0.1); models: mean of {seeds} seeds, range of their AUROC\n"
        );
        println!(
            "{:<18}{:>19}{:>19}{:>15}{:>19}{:>19}{:>19}{:>7}{:>7}",
            "table", "f32", "int8", "range", "Mahalanobis", "mixture", "5th neighbour", "bytes", "fit, s"
        );
    }
    for name in tables(&folder, &names)? {
        match measure(&folder.join(&name), name.clone(), seeds, config.as_deref()) {
            Ok(report) => {
                if !json {
                    print(&report);
                }
                reports.push(report);
            }
            // The others are judged all the same.
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else if !reports.is_empty() {
        print_means(&reports);
    }
    ensure!(failed.is_empty(), "{} table(s) could not be judged: {}", failed.len(), failed.join(", "));
    Ok(())
}

fn print_means(reports: &[Report]) {
    print!("{:<18}", "mean");
    for column in 0..5 {
        let mean = |figure: fn(&Figures) -> f64| {
            let values: Vec<f64> =
                reports.iter().map(|r| figure(&r.columns()[column])).filter(|value| !value.is_nan()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let means = Figures {
            auroc: mean(|f| f.auroc),
            average_precision: mean(|f| f.average_precision),
            pauc: mean(|f| f.pauc),
        };
        print!("{:>19}", three(means));
        if column == 1 {
            print!("{:>15}", "");
        }
    }
    println!();
}

/// The subfolders with both files, or those of them that are named.
fn tables(folder: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let entries = folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("train.csv").is_file() && entry.path().join("test.csv").is_file() {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    if let Some(absent) = wanted.iter().find(|name| !found.contains(name)) {
        bail!("{} has no table `{absent}`: it has {}", folder.display(), found.join(", "));
    }
    found.retain(|name| wanted.is_empty() || wanted.contains(name));
    ensure!(!found.is_empty(), "{} has no subfolder with train.csv and test.csv", folder.display());
    Ok(found)
}

fn measure(data: &Path, table: String, seeds: u64, config: Option<&Path>) -> Result<Report> {
    let read = |name: &str| Table::read(&data.join(name), Some(LABEL));
    let (train, test) = (read("train.csv")?, read("test.csv")?);
    let (train_rows, test_rows, features) = standardise(&train, &test)?;
    let labels = test.labels.as_deref().context("no labels")?;
    let judge = |scores: &[f64]| -> Result<Figures> {
        let found = Detection::of(scores, labels)?;
        Ok(Figures { auroc: found.auroc, average_precision: found.average_precision, pauc: found.partial_auroc })
    };
    Ok(Report {
        features: train.columns.len(),
        training_rows: train_rows.len() / features,
        test_rows: labels.len(),
        anomalies: labels.iter().filter(|label| **label).count(),
        mahalanobis: judge(&mahalanobis(&train_rows, &test_rows, features)?)?,
        gaussian_mixture: match features {
            0..=MIXTURE_FEATURES => Some(judge(&gaussian_mixture(&train_rows, &test_rows, features, 0)?)?),
            _ => None,
        },
        nearest_neighbours: judge(&nearest_neighbours(&train_rows, &test_rows, features))?,
        seeds: (0..seeds).map(|seed| fit(data, seed, config).with_context(|| table.clone())).collect::<Result<_>>()?,
        table,
    })
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

fn fit(data: &Path, seed: u64, config: Option<&Path>) -> Result<Seed> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    let (train, test, run) = (data.join("train.csv"), data.join("test.csv"), path("run"));
    let mut command = trainer();
    command.arg("fit").arg(&train).args(["--label", LABEL, "--seed", &seed.to_string(), "--out"]).arg(&run);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let start = Instant::now();
    output(&mut command)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let evaluate = |precision: &str| -> Result<(Figures, u64)> {
        let model = path(precision);
        output(trainer().arg("export").arg(&run).args(["--precision", precision, "--force", "--out"]).arg(&model))?;
        let printed = output(trainer().arg("evaluate").arg(&model).arg(&test).args(["--label", LABEL, "--json"]))?;
        let found: Value = serde_json::from_slice(&printed)?;
        let figure = |name: &str| found[name].as_f64().with_context(|| format!("`evaluate` gives no {name}"));
        let figures =
            Figures { auroc: figure("auroc")?, average_precision: figure("average_precision")?, pauc: figure("pauc")? };
        Ok((figures, AlignedFile::read(&model)?.model()?.flash_len() as u64))
    };
    let (f32, _) = evaluate("f32")?;
    let (int8, bytes) = evaluate("int8")?;
    Ok(Seed { seed, f32, int8, bytes, fit_seconds })
}

fn trainer() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg(TRAINER);
    command
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("the trainer cannot be started")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn three(figures: Figures) -> String {
    format!("{:.3}/{:.3}/{:.3}", figures.auroc, figures.average_precision, figures.pauc)
}

fn print(report: &Report) {
    let [f32, int8, rest @ ..] = report.columns();
    print!("{:<18}{:>19}{:>19}", report.table, three(f32), three(int8));
    let aurocs = || report.seeds.iter().map(|seed| seed.int8.auroc);
    print!("{:>15}", format!("{:.3}–{:.3}", aurocs().fold(1.0, f64::min), aurocs().fold(0.0, f64::max)));
    for figures in rest {
        print!("{:>19}", three(figures));
    }
    println!("{:>7.0}{:>7.1}", report.mean(|seed| seed.bytes as f64), report.mean(|seed| seed.fit_seconds));
}
