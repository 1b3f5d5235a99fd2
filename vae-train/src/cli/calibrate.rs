//! `vae-train calibrate`: from normal data to a threshold in false alarms per week.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use vae_core::{Alarms, ScoreKind};

use super::{export::Precision, rate::RateOfFile};
use crate::{
    calibration::{
        Normal, Report, Settings,
        asked::{parse_range, parse_score_kind, parse_votes},
    },
    cli::{
        context::{Context, GENERAL, Notes, note},
        progress,
    },
    data::{
        fingerprint::TrainingPrint,
        for_model::{categories_of, origins_of, reading_for},
        front_end::rate_of,
        outliers::outliers,
    },
    file::model_file::AlignedFile,
    run::{
        candidate::{Doubts, calibrate},
        export::RunModel,
        lock::Access,
    },
    tables::{
        long_recording::LongRecording,
        portions::Portions,
        reading::Reading,
        recording::{Label, Recording},
        several::note_on_pieces_of,
        table::LABEL,
    },
    words::{
        messages::{list, quoted},
        rates::{parse_alarms, rate_at_most, span},
    },
};

/// Set the threshold of a run's model by normal data that were not trained on, in the order of time.
///
/// `export` then writes it into the model file, together with what normal scores, sensors and slow changes are like.
///
/// It refuses a rate of alarms that the data cannot support (and says how much data would), the file that the model was trained on, and a
/// model that export would refuse.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train calibrate runs/a --normal holdout.csv --alarms 1/week --rate 1600
  vae-train calibrate runs/a --normal holdout.csv --alarms 1/day --votes 3/5 --range x=-16:16")]
pub(super) struct Calibrate {
    /// Run directory of a fit or an import.
    run: PathBuf,
    /// Table of normal data with the model's columns, row after row as they were recorded: CSV or another format, also compressed by gzip
    /// or zstd; `-` for standard input.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input.
    #[arg(long, required = true, num_args = 1.., help_heading = "Normal data")]
    normal: Vec<PathBuf>,
    /// The false alarms you accept: a number per hour, day, week, month or year, as in 1/week.
    ///
    /// Without it the threshold is the 1 % quantile of the windows' scores.
    #[arg(long, value_parser = parse_alarms, help_heading = "Alarms")]
    alarms: Option<Alarms>,
    /// Samples (rows) a second [default: what the file says; else, with --alarms, one].
    ///
    /// A WAV file and a column of times say it, and must not be contradicted.
    #[arg(long, value_parser = positive, help_heading = "Normal data")]
    rate: Option<f64>,
    /// How many of the last windows must be anomalous to raise an alarm: m/n, m of the last n.
    ///
    /// The alarm is cleared when none of the n is anomalous.
    #[arg(long, default_value = "2/3", value_parser = parse_votes, help_heading = "Alarms")]
    votes: (u32, u32),
    /// Range of a channel's sensor, for example x=-16:16; what lies outside is reported as a fault of the sensor.
    ///
    /// May be repeated, once for each channel.
    #[arg(long, value_parser = parse_range, value_name = "CHANNEL=LEAST:LARGEST", help_heading = "Alarms")]
    range: Vec<(String, f32, f32)>,
    /// How the device scores a window: mean, samples:L or importance:K.
    ///
    /// `mean` is the ELBO at the posterior's mean, which costs least; `samples:L` is the ELBO by L samples; `importance:K` is the log-likelihood
    /// by up to K samples.
    #[arg(long, default_value = "mean", value_parser = parse_score_kind, help_heading = "Model", hide_short_help = true)]
    score: ScoreKind,
    /// Column that says 0 normal / 1 anomaly; windows with anomalies are left out [default: `label`, if there is one].
    #[arg(long, help_heading = "Normal data")]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Precision in which the model will be exported.
    #[arg(long, value_enum, default_value_t = Precision::Int8, help_heading = "Model", hide_short_help = true)]
    precision: Precision,
    /// Calibrate even if that would be refused.
    ///
    /// Refused are a rate of alarms that the data do not support, the file that was trained on, a --rate that the file contradicts, and a model
    /// that export would refuse.
    #[arg(long, help_heading = GENERAL)]
    force: bool,
}

#[derive(Serialize)]
struct Calibrated {
    run: PathBuf,
    #[serde(flatten)]
    report: Report,
}

impl Calibrate {
    pub(super) fn run(self, context: Context) -> Result<()> {
        for (index, (name, low, high)) in self.range.iter().enumerate() {
            if let Some((_, first_low, first_high)) = self.range[..index].iter().find(|(other, ..)| other == name) {
                bail!(
                    "--range gives channel `{name}` twice, as {first_low} to {first_high} and as {low} to {high}: give it once"
                );
            }
        }
        let run = RunModel::open(&self.run, Access::Write)?;
        let columns: Vec<&str> = run.file.channels.iter().chain(&run.file.conditions).map(String::as_str).collect();
        let asked = Label::of(self.label.as_deref(), &columns);
        let Rows { recording: LongRecording { head: recording, table }, left_out, fingerprint } =
            self.rows(&run, &columns, asked)?;
        recording.remarks(asked).for_each(|message| note(&message));
        note_on_pieces_of(table.path(), table.pieces().len()).iter().for_each(|message| note(message));
        let of_file = RateOfFile::of(&recording, &run.file.channels)?;
        let sample_rate = self.sample_rate(&recording, of_file, &run)?;
        let is_new = run.check_that_it_is_new(fingerprint.as_deref(), table.path());
        let label = recording.label;
        if !left_out.is_empty() {
            note(&format!("{}: columns that the model does not use: {}", table.path().display(), list(&left_out)));
        }
        self.doubts().pass(is_new, &mut Notes)?;
        // Before what comes of such a value: limits of drift that hold nothing back, or scores without a tail.
        outliers(&table, run.file.channels.len())?.iter().for_each(|message| note(message));
        let settings = Settings {
            alarms: self.alarms.map(|alarms| f64::from(alarms.per_second())),
            votes: self.votes,
            sample_rate,
            score: self.score,
            ranges: self.range.clone(),
        };
        let normal = Normal { table, settings };
        let report = calibrate(run, &normal, self.precision.into(), self.doubts(), &mut Notes)?;
        let mut text = String::new();
        report_lines(&report, self.votes, &mut text)?;
        let precision = if self.precision == Precision::F32 { " --precision f32" } else { "" };
        writeln!(text, "next       vae-train export {} --out model.vae{precision}", quoted(self.run.display()))?;
        writeln!(
            text,
            "then       vae-train evaluate model.vae TEST.csv --label {}, if TEST.csv holds faults, labelled 1",
            quoted(label.as_deref().unwrap_or(LABEL))
        )?;
        context.print(&Calibrated { run: self.run, report }, &text)
    }
}

/// What the normal data are read into.
struct Rows {
    /// Of the model's columns, relative to its origins.
    recording: LongRecording,
    /// Columns that the model does not use.
    left_out: Vec<String>,
    /// What tells whether the model was trained on them; none where that cannot be.
    fingerprint: Option<String>,
}

impl Calibrate {
    /// Reads the normal data, of which some rows at a time are in memory.
    fn rows(&self, run: &RunModel, columns: &[&str], label: Label<'_>) -> Result<Rows> {
        let bytes = AlignedFile::new(&run.file.to_bytes()?);
        let model = bytes.model()?;
        let (categories, origins) = (categories_of(&model)?, origins_of(&model)?);
        let portions = Portions::open(&self.normal, label, &reading_for(&self.reading, &categories), PORTION)?;
        let (mut left_out, mut print) = (None, None);
        let mut watch = progress::reading(&self.normal[0]);
        let recording = LongRecording::read(portions, &self.run, &mut watch, |mut recording| {
            recording.spread(&categories)?;
            if let Some(config) = &run.config {
                print.get_or_insert_with(|| TrainingPrint::of(&recording, config)).add(&recording);
            }
            let (mut table, others) = recording.select(columns)?;
            left_out.get_or_insert(others);
            table.rebase(&origins);
            Ok(table)
        })?;
        let fingerprint = print.and_then(|print| print.end(recording.table.starts(), recording.table.rows()));
        Ok(Rows { recording, left_out: left_out.unwrap_or_default(), fingerprint })
    }

    fn doubts(&self) -> Doubts {
        Doubts::from_force(self.force)
    }

    /// Refuses a rate of alarms by the day where the recording does not tell how long it took.
    fn check_that_alarms_have_a_rate(&self, recording: &Recording, of_file: Option<&RateOfFile>) -> Result<()> {
        let name = recording.table.path.display();
        let unclear = recording.clocks.iter().find(|clock| clock.question.is_some()).filter(|_| of_file.is_none());
        if let Some(clock) = unclear {
            bail!(
                "{name}: --alarms needs the rows a second, and column `{}` does not tell them: {}; or give --rate",
                clock.column,
                clock.question.as_deref().unwrap_or_default()
            );
        }
        if let Some(column) = of_file.filter(|of_file| of_file.scatters).and_then(|of_file| of_file.column.as_ref()) {
            let refusal = anyhow!(
                "{name}: the intervals of column `{column}` scatter by more than twice their mean, so that a number of rows says little of the \
                 time that they take, and no rate of alarms by the day can be promised: log at even intervals, or leave --alarms out"
            );
            self.doubts().pass(Err(refusal), &mut Notes)?;
        }
        Ok(())
    }

    /// Rows a second, as they are given, or as the file says; where neither does, those of the model's mel bands, else one if alarms are asked
    /// for by the hour, which need a rate.
    fn sample_rate(&self, recording: &Recording, of_file: Option<RateOfFile>, run: &RunModel) -> Result<Option<f64>> {
        let rate = self.rate_of_data(recording, of_file, rate_of(&run.file.front_ends))?;
        if let Some(rate) = rate {
            self.doubts().pass(run.check_rate(rate, &recording.table.path), &mut Notes)?;
        }
        Ok(rate)
    }

    fn rate_of_data(
        &self,
        recording: &Recording,
        of_file: Option<RateOfFile>,
        of_mel: Option<u32>,
    ) -> Result<Option<f64>> {
        let path = &recording.table.path;
        let name = path.display();
        if self.rate.is_none() && self.alarms.is_some() {
            self.check_that_alarms_have_a_rate(recording, of_file.as_ref())?;
        }
        match (self.rate, of_file) {
            (Some(rate), Some(of_file)) => {
                self.doubts().pass(of_file.check(rate, path), &mut Notes)?;
                Ok(Some(rate))
            }
            (None, Some(RateOfFile { rate, column: None, .. })) => {
                note(&format!("no --rate: {rate} rows a second, as {name} says"));
                Ok(Some(rate))
            }
            (None, Some(RateOfFile { rate, column: Some(column), .. })) => {
                note(&format!("no --rate: {}, by column `{column}`", rows_a_second(rate)));
                Ok(Some(rate))
            }
            (None, None) if of_mel.is_some() => Ok(of_mel.map(f64::from)),
            (None, None) if self.alarms.is_some() => {
                note(
                    "no --rate: one row a second is assumed, here and of the samples on the device; give --rate if that is wrong",
                );
                Ok(Some(1.0))
            }
            (rate, None) => Ok(rate),
        }
    }
}

/// Bytes of the rows that are read at once.
const PORTION: usize = 1 << 23;

fn report_lines(report: &Report, (needed, of): (u32, u32), text: &mut String) -> Result<()> {
    let Report { windows, pieces, windows_per_second, threshold, alarms, drift_memory, has_sequential_test, .. } =
        report;
    write!(text, "windows    {windows} normal")?;
    if *pieces > 1 {
        write!(text, " in {pieces} pieces")?;
    }
    match windows_per_second {
        Some(rate) => writeln!(text, ", {} {}", span(*windows as f64 / rate), pace(*rate))?,
        None => writeln!(text)?,
    }
    write!(text, "threshold  {threshold:.3} nats: {needed} of the last {of} windows below it raise an alarm")?;
    let small = if *has_sequential_test { "; a sum over the scores finds small lasting changes" } else { "" };
    writeln!(text, "{small}")?;
    if let Some((asked, (low, high))) = alarms {
        writeln!(
            text,
            "alarms     {} asked for; with 90 % confidence between {} and {} on normal data like these",
            rate_at_most(*asked),
            rate_at_most(*low),
            rate_at_most(*high)
        )?;
    }
    if let Some(memory) = drift_memory {
        let time = windows_per_second.map_or(String::new(), |rate| format!(" ({})", span(memory / rate)));
        writeln!(
            text,
            "drift      followed with a memory of {memory:.0} windows{time}: a change over 20 such memories is drift, a change within 5 \
             is an alarm; a healthy machine drifts in at most 1 % of the windows"
        )?;
    }
    Ok(())
}

/// How often a window comes, behind how long all took.
fn pace(rate: f64) -> String {
    if rate >= RARE { format!("at {rate:.3} a second") } else { format!("with one every {}", span(1.0 / rate)) }
}

fn rows_a_second(rate: f64) -> String {
    if rate >= RARE { format!("{rate:.6} rows a second") } else { format!("a row every {}", span(1.0 / rate)) }
}

/// What comes less often, in Hz, has an interval and no rate.
const RARE: f64 = 0.01;

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && value.is_finite());
    let value = value.ok_or_else(|| format!("`{text}` is not a positive number"))?;
    // As the device has it.
    if !(value as f32).is_normal() {
        return Err(format!("`{text}` is beyond the range of 32-bit numbers"));
    }
    Ok(value)
}
