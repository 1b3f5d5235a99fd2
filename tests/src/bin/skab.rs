//! The Skoltech Anomaly Benchmark by its own protocol: 34 experiments on a water circuit, one model each, all test rows in one
//! confusion matrix.
//!
//! Usage: `skab FOLDER [--seeds N] [--config vae.toml] [--predictions OUT]`. `FOLDER` holds `valve1`, `valve2` and
//! `other` with files separated by semicolons, a row a second, whose last two columns are `anomaly` and `changepoint`. The
//! first 400 rows of a file train, with time in their order and without labels; the others are judged by the device's detector, a row
//! by the window that ends with it. `--predictions` writes score and alarm of each test row, as the first seed's int8 models give them.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use vae_train::{
    file::model_file::AlignedFile,
    scoring::detection::{Judged as Judgement, detect},
    statistics::metrics::Detection,
    tables::table::Table,
};

/// First argument that makes this program the trainer.
const TRAINER: &str = "vae-train";
const FOLDERS: [&str; 3] = ["valve1", "valve2", "other"];
/// Rows of each file that train.
const TRAINING: usize = 400;
/// Columns at the end that say what is an anomaly, and where one begins or ends.
const LABELS: usize = 2;
/// What differs from the default: the features are means over ten rows, ending with each row, and temperatures drift.
const RECIPE: &str = "window = 10\nhop = 1\nfront_end = [\"mean\"]\ndrift = 1.5\n";
const PRECISIONS: [&str; 2] = ["f32", "int8"];

/// One file: `channels` values a row.
struct Experiment {
    name: String,
    columns: Vec<String>,
    rows: Vec<f32>,
    labels: Vec<bool>,
}

/// Scores of an experiment's test rows, and whether an alarm is raised after each.
struct Judged {
    elbos: Vec<f32>,
    alarms: Vec<bool>,
}

/// Shares of rows, and areas under the ROC.
struct Figures {
    f1: f64,
    false_alarms: f64,
    missed: f64,
    pooled_auroc: f64,
    mean_auroc: f64,
}

struct Options {
    folder: PathBuf,
    seeds: u64,
    config: Option<PathBuf>,
    predictions: Option<PathBuf>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(TRAINER) {
        return vae_train::cli::run(std::env::args_os().skip(1));
    }
    match Options::parse().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse() -> Result<Self> {
        const USAGE: &str = "usage: skab FOLDER [--seeds N] [--config vae.toml] [--predictions OUT]";
        let (mut seeds, mut config, mut predictions, mut folders) = (3, None, None, Vec::new());
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match &argument[..] {
                "--seeds" => seeds = value()?.parse().context("--seeds takes a number")?,
                "--config" => config = Some(PathBuf::from(value()?)),
                "--predictions" => predictions = Some(PathBuf::from(value()?)),
                _ => folders.push(PathBuf::from(argument)),
            }
        }
        ensure!(folders.len() == 1 && seeds > 0, USAGE);
        Ok(Self { folder: folders.remove(0), seeds, config, predictions })
    }
}

fn run(options: &Options) -> Result<()> {
    let experiments = experiments(&options.folder)?;
    println!(
        "{} files; of all test rows: F1, false alarms (%), missed (%); AUROC pooled, and its mean over the files\n",
        experiments.len()
    );
    println!("{:>4}{:>6}{:>8}{:>8}{:>8}{:>8}{:>8}", "seed", "", "F1", "false", "missed", "pooled", "mean");
    for seed in 0..options.seeds {
        let judged: Vec<[Judged; 2]> =
            experiments.par_iter().map(|experiment| judge(experiment, seed, options)).collect::<Result<_>>()?;
        for (precision, name) in PRECISIONS.iter().enumerate() {
            let judged: Vec<&Judged> = judged.iter().map(|judged| &judged[precision]).collect();
            let Figures { f1, false_alarms, missed, pooled_auroc, mean_auroc } = Figures::of(&experiments, &judged)?;
            let (false_alarms, missed) = (100.0 * false_alarms, 100.0 * missed);
            println!("{seed:>4}{name:>6}{f1:>8.3}{false_alarms:>8.1}{missed:>8.1}{pooled_auroc:>8.3}{mean_auroc:>8.3}");
        }
        if let (0, Some(out)) = (seed, &options.predictions) {
            for (experiment, [_, int8]) in experiments.iter().zip(&judged) {
                write_predictions(&out.join(&experiment.name), int8)?;
            }
        }
    }
    Ok(())
}

impl Figures {
    fn of(experiments: &[Experiment], judged: &[&Judged]) -> Result<Self> {
        let (mut scores, mut labels, mut each, mut counts) = (Vec::new(), Vec::new(), Vec::new(), [[0.0f64; 2]; 2]);
        for (experiment, judged) in experiments.iter().zip(judged) {
            let expected = &experiment.labels[TRAINING..];
            let found: Vec<f64> = judged.elbos.iter().map(|elbo| -f64::from(*elbo)).collect();
            each.push(Detection::of(&found, expected).with_context(|| experiment.name.clone())?.auroc);
            for (alarm, anomaly) in judged.alarms.iter().zip(expected) {
                counts[usize::from(*anomaly)][usize::from(*alarm)] += 1.0;
            }
            scores.extend(found);
            labels.extend_from_slice(expected);
        }
        let [[quiet, falsely], [missed, found]] = counts;
        Ok(Self {
            f1: found / (found + (falsely + missed) / 2.0),
            false_alarms: falsely / (falsely + quiet),
            missed: missed / (missed + found),
            pooled_auroc: Detection::of(&scores, &labels)?.auroc,
            mean_auroc: each.iter().sum::<f64>() / each.len() as f64,
        })
    }
}

fn experiments(folder: &Path) -> Result<Vec<Experiment>> {
    let mut found = Vec::new();
    for part in FOLDERS {
        let entries = folder.join(part).read_dir().with_context(|| format!("{} has no {part}", folder.display()))?;
        for entry in entries {
            let name = format!("{part}/{}", entry?.file_name().to_string_lossy());
            if name.ends_with(".csv") {
                found.push(Experiment::read(folder, name)?);
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    ensure!(!found.is_empty(), "{} holds no CSV file", folder.display());
    Ok(found)
}

impl Experiment {
    /// Reads a file whose first column is the time.
    fn read(folder: &Path, name: String) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join(&name)).with_context(|| format!("{name} cannot be read"))?;
        let mut lines = text.lines();
        let mut columns: Vec<String> = lines.next().unwrap_or_default().split(';').skip(1).map(str::to_owned).collect();
        ensure!(columns.len() > LABELS, "{name} has {} columns after the time", columns.len());
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for (row, line) in lines.enumerate() {
            let values: Vec<f32> = line.split(';').skip(1).map(str::parse).collect::<Result<_, _>>()?;
            ensure!(values.len() == columns.len(), "{name}: row {} has {} values", row + 1, values.len());
            let (values, label) = values.split_at(columns.len() - LABELS);
            rows.extend_from_slice(values);
            labels.push(label[0] > 0.5);
        }
        columns.truncate(columns.len() - LABELS);
        ensure!(labels.len() > TRAINING, "{name} has no more than {TRAINING} rows");
        Ok(Self { name, columns, rows, labels })
    }
}

/// Fits a model to the training rows, and scores the test rows as the device will, at each of the precisions.
fn judge(experiment: &Experiment, seed: u64, options: &Options) -> Result<[Judged; 2]> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    let channels = experiment.columns.len();
    let mut table = experiment.columns.join(",");
    for row in experiment.rows.chunks_exact(channels).take(TRAINING) {
        let values: Vec<String> = row.iter().map(ToString::to_string).collect();
        write!(table, "\n{}", values.join(","))?;
    }
    std::fs::write(path("train.csv"), table)?;
    std::fs::write(path("recipe.toml"), RECIPE)?;
    let config = options.config.clone().unwrap_or_else(|| path("recipe.toml"));
    let mut fit = trainer();
    fit.arg("fit").arg(path("train.csv")).arg("--config").arg(config).args(["--seed", &seed.to_string()]);
    call(fit.arg("--out").arg(path("run")))?;
    let judge = |precision: &str| -> Result<Judged> {
        let out = path(precision);
        call(trainer().arg("export").arg(path("run")).args(["--precision", precision, "--force", "--out"]).arg(&out))?;
        let file = AlignedFile::read(&out)?;
        let model = file.model()?;
        let table = Table {
            path: PathBuf::from(&experiment.name),
            columns: experiment.columns.clone(),
            values: experiment.rows.clone(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let judged: Vec<Judgement> =
            detect(model, &table)?.into_iter().filter(|judged| judged.row >= TRAINING).collect();
        ensure!(judged.len() + TRAINING == experiment.labels.len(), "{} needs a hop of 1", experiment.name);
        let score = |judged: &Judgement| judged.verdict.assessment().map(|assessment| assessment.score);
        let elbos = judged.iter().map(score).collect::<Option<_>>().context("a sensor is called faulty")?;
        Ok(Judged { elbos, alarms: judged.iter().map(|judged| judged.alarm).collect() })
    };
    let [f32, int8] = PRECISIONS;
    Ok([judge(f32)?, judge(int8)?])
}

fn trainer() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg(TRAINER);
    command
}

fn call(command: &mut Command) -> Result<()> {
    let output = command.output().context("the trainer cannot be started")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Columns `score`, higher where more anomalous, and `pred`.
fn write_predictions(path: &Path, judged: &Judged) -> Result<()> {
    let mut text = "score,pred".to_owned();
    for (elbo, alarm) in judged.elbos.iter().zip(&judged.alarms) {
        write!(text, "\n{},{}", -elbo, u8::from(*alarm))?;
    }
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))
}
