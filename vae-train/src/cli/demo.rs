//! `vae-train demo`: the whole journey, from a simulated motor to a scored model file.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Serialize;
use vae_core::{Alarms, Model, format::Precision};

use super::{fit::fit, report::read_data};
use crate::{
    calibration::{Normal, Settings},
    cli::context::{Context, Notes, note},
    config::Config,
    data::windows::Windows,
    file::model_file::AlignedFile,
    fitness::Fitness,
    report::written::Reported,
    run::{
        candidate::{Candidate, Exported, Files},
        directory::RunDirectory,
        lock::Access,
    },
    scoring::{self, event_outcome::EventOutcome, events::Event},
    simulator::{
        files::{TRAINING_SECONDS, test_samples, write_motor},
        motor::{CHANNELS, Condition, SAMPLE_RATE, simulate},
    },
    statistics::metrics::Detection,
    tables::{
        reading::Reading,
        table::{LABEL, Table},
    },
    words::{messages::quoted, numbers::percent, output::Existing},
};

const DIRECTORY: &str = "vae-demo";
const WINDOW: usize = 64;
const HOP: usize = 32;
const CALIBRATION_SECONDS: f64 = 4500.0;
const VOTES: (u32, u32) = (2, 3);

/// Simulate a motor, fit a model on its normal running, export it, and score every fault through vae-core.
///
/// Needs no input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train demo
  vae-train demo --out motor --seed 1")]
pub(super) struct Demo {
    /// Directory for everything that is made [default: vae-demo, where an earlier demo is replaced].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace what is in --out.
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Fault {
    fault: &'static str,
    windows: usize,
    auroc: f64,
    /// Fraction of its windows below the threshold.
    detection_rate: f64,
    /// What the alarm did where the fault is an event of data/test.csv; none where there is no such event.
    event: Option<Event>,
    /// What became of this event.
    outcome: Option<EventOutcome>,
}

#[derive(Serialize)]
struct Result_ {
    faults: Vec<Fault>,
    normal_windows: usize,
    /// Fraction of the held-out normal windows below the threshold.
    false_alarm_rate: f64,
    /// Bytes of RAM for the samples of one window.
    window_ram: usize,
    #[serde(flatten)]
    exported: Exported,
    files: PathBuf,
    report: PathBuf,
    /// Whether it is fit for use, as the report says.
    verdict: Fitness,
}

impl Demo {
    pub(super) fn run(self, context: Context) -> Result<()> {
        // An earlier demo in the default directory is ours to replace.
        let existing = if self.out.is_none() { Existing::Replace } else { Existing::from_force(self.force) };
        let out = self.out.unwrap_or_else(|| DIRECTORY.into());
        let seed = context.seed.unwrap_or(0);
        let [data, run] = ["data", "run"].map(|name| out.join(name));
        let (model_path, report_path) = (out.join("motor.vae"), out.join("report.html"));
        [&model_path, &report_path].into_iter().try_for_each(|path| existing.check(path))?;

        note(&format!("simulating {TRAINING_SECONDS} s of a motor's normal running, and five faults"));
        write_motor(&data, TRAINING_SECONDS, seed, existing)?;
        train(&data.join("train.csv"), &run, seed, existing)?;
        note(&format!(
            "calibrating on {CALIBRATION_SECONDS} s more of normal running: two false alarms a day are accepted"
        ));
        let (directory, _) = RunDirectory::open(&run, Access::Write)?;
        directory.save_normal(&normal(seed))?;
        drop(directory); // and its lock, for export
        let candidate = Candidate::of(&run, Precision::Int8)?;
        let exported = candidate.write(Files::model(&model_path), existing, &mut Notes)?;
        let test = Some(read_data(&candidate, &[data.join("test.csv")], Some(LABEL), &Reading::default())?);
        let reported = Reported::write(candidate, test, seed, &report_path, existing, &mut Notes)?;

        let file = AlignedFile::read(&model_path)?;
        let model = file.model()?;
        let normal = elbos(&model, Condition::Normal, seed)?;
        let result = Result_ {
            false_alarm_rate: share_below(exported.threshold, &normal),
            normal_windows: normal.len(),
            window_ram: 4 * model.features(),
            faults: faults(&model, exported.threshold, &normal, &reported, seed)?,
            exported,
            files: out,
            report: reported.report,
            verdict: reported.verdict,
        };
        context.print(&result, &text(&result)?)
    }
}

/// Fits a model that is small, so that it costs little to try on a device.
fn train(data: &Path, run: &Path, seed: u64, existing: Existing) -> Result<()> {
    note("fitting");
    let mut config = Config { seed, ..Config::default() };
    config.data.window = WINDOW;
    config.data.hop = Some(HOP);
    config.model.hidden = Some(vec![64, 32]);
    (config.training.epochs, config.training.patience) = (Some(120), Some(15));
    let fitted = fit(&[data.to_owned()], run, config, existing)?;
    note(&format!(
        "best epoch {} of {}: validation ELBO {:.3}",
        fitted.best_epoch, fitted.epochs, fitted.validation_elbo
    ));
    Ok(())
}

/// Other normal running to calibrate on, and what is asked for.
fn normal(seed: u64) -> Normal {
    let settings = Settings {
        alarms: Some(f64::from(Alarms::per_day(2.0).per_second())),
        votes: VOTES,
        sample_rate: Some(SAMPLE_RATE.into()),
        // What such an accelerometer can give, in g.
        ranges: CHANNELS.map(|channel| (channel.to_owned(), -16.0, 16.0)).to_vec(),
        ..Settings::default()
    };
    let samples = simulate(Condition::Normal, CALIBRATION_SECONDS, seed ^ 0xCA11);
    Normal { table: motor_table(Condition::Normal, samples).into(), settings }
}

/// Scores of a condition's windows.
fn elbos(model: &Model<'_>, condition: Condition, seed: u64) -> Result<Vec<f32>> {
    let samples = test_samples(condition, TRAINING_SECONDS, seed);
    let windows = Windows::cut(motor_table(condition, samples), 0, WINDOW, HOP)?;
    scoring::of_device(model, &windows.values)
}

fn share_below(threshold: f32, elbos: &[f32]) -> f64 {
    elbos.iter().filter(|elbo| **elbo < threshold).count() as f64 / elbos.len() as f64
}

/// What became of each fault, which is an event of its own in test.csv, in their order.
fn faults(model: &Model<'_>, threshold: f32, normal: &[f32], reported: &Reported, seed: u64) -> Result<Vec<Fault>> {
    let evaluation = reported.evaluation.as_ref();
    let fault = |(index, condition): (usize, Condition)| -> Result<Fault> {
        let faulty = elbos(model, condition, seed)?;
        let scores: Vec<f64> = normal.iter().chain(&faulty).map(|elbo| -f64::from(*elbo)).collect();
        let labels: Vec<bool> = (0..scores.len()).map(|index| index >= normal.len()).collect();
        Ok(Fault {
            fault: condition.name(),
            windows: faulty.len(),
            auroc: Detection::of(&scores, &labels)?.auroc,
            detection_rate: share_below(threshold, &faulty),
            event: evaluation.and_then(|evaluation| evaluation.events.events.get(index).copied()),
            outcome: evaluation.and_then(|evaluation| evaluation.event_outcomes.get(index).copied()),
        })
    };
    Condition::FAULTS.into_iter().enumerate().map(fault).collect()
}

fn motor_table(condition: Condition, samples: Vec<[f32; 3]>) -> Table {
    Table {
        path: condition.name().into(),
        columns: CHANNELS.map(str::to_owned).to_vec(),
        values: samples.into_flattened(),
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    }
}

fn text(result: &Result_) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{:<14}{:>8}{:>9}{:>12}{:>11}{:>12}",
        "fault", "windows", "AUROC", "detected", "alarm on", "alarm after"
    )?;
    for fault in &result.faults {
        let Fault { fault, windows, auroc, detection_rate, event, outcome } = fault;
        let on = event.and_then(|event| event.alarm_share).map_or("none".to_owned(), percent);
        let after =
            event.and_then(|event| event.delay_seconds).map_or("never".to_owned(), |delay| format!("{delay:.2} s"));
        let fate = outcome.map_or("", |outcome| outcome.fate.words());
        let found = format!("{:.1} %", 100.0 * detection_rate);
        writeln!(text, "{fault:<14}{windows:>8}{auroc:>9.4}{found:>12}{on:>11}{after:>12}  {fate}")?;
    }
    let Exported { model, flash, scratch, threshold, .. } = &result.exported;
    writeln!(
        text,
        "\nthreshold  {threshold:.3} nats: {:.1} % of {} held-out normal windows are below it",
        100.0 * result.false_alarm_rate,
        result.normal_windows
    )?;
    write!(text, "verdict    {}", result.verdict.lines())?;
    writeln!(text, "flash      {flash} bytes for the model")?;
    writeln!(text, "RAM        {scratch} bytes of scratch, {} bytes of window", result.window_ram)?;
    writeln!(text, "files      {}: data/*.csv, run/, motor.vae, report.html", result.files.display())?;
    writeln!(text, "report     {}: open it in a browser", result.report.display())?;
    writeln!(text, "next       vae-train info {}", quoted(model.display()))?;
    Ok(text)
}
