//! `vae-train score`: score a CSV file through vae-core.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    cli::context::{Context, ModelAndData, note},
    data::for_model::{DataForModel, cut_for_model, read_table_for_model},
    file::model_file::AlignedFile,
    scoring::{
        self,
        detection::{Verdicts, detect, verdict_in_words},
    },
    words::{
        foreign::Cell,
        output::{Csv, Existing, write_file},
    },
};

/// Score every window of a table, as the device will, and write one line for each window to a CSV file
///
/// The columns of the CSV file:
///   file            the file that the window is of, where several are given
///   row             the window's last row in its file, counted from 0
///   elbo, reconstruction, kl
///                   the evidence lower bound of the values that were observed, at the posterior's mean, and its two terms (elbo =
///                   reconstruction - kl); of a model with a learned prior, as is the default, kl is an upper bound of the divergence,
///                   and elbo below the evidence lower bound by as much
///   log_likelihood  the importance-weighted estimate by --samples
///   p_value         the share of normal windows that score as low or lower
///   anomaly         1 if the score is below the threshold
///   alarm           1 while the device's alarm is on, with the rows as a stream
///   score           what the device and `evaluate` judge by: the ELBO, unless `calibrate --score` said otherwise; for each missing
///                   value it has the share of an ordinary one
///   missing         the number of missing values
///   elbo_sampled    the evidence lower bound itself, without bias whatever the prior is, by the same --samples as log_likelihood, which
///                   exceeds it by about the divergence of the encoder's posterior from the exact one
///   verdict         what the device says: normal, anomalous, drifting or a sensor's fault, with the channel to blame
///
/// Names that a spreadsheet would take for formulas have an apostrophe before them (docs/tables.md).
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  vae-train score model.vae new.csv --out scores.csv
  zcat new.csv.gz | vae-train score model.vae - --out scores.csv")]
pub(super) struct Score {
    #[command(flatten)]
    input: ModelAndData,
    /// CSV file to write.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Number of samples for the columns log_likelihood and elbo_sampled.
    #[arg(long, help_heading = "Log-likelihood", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Replace an existing file.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cell>,
    row: usize,
    elbo: f32,
    reconstruction: f32,
    kl: f32,
    log_likelihood: f32,
    p_value: f32,
    anomaly: u8,
    alarm: u8,
    score: f32,
    missing: u32,
    elbo_sampled: f32,
    verdict: Cell,
}

#[derive(Serialize)]
struct Scored {
    out: PathBuf,
    windows: usize,
    anomalies: usize,
    mean_elbo: f64,
    #[serde(flatten)]
    verdicts: Verdicts,
}

impl Score {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        existing.check(&self.out)?;
        let file = AlignedFile::read(&self.input.model)?;
        let model = file.model()?;
        let DataForModel { table, files, notes } =
            read_table_for_model(&self.input.data, self.input.label.as_deref().into(), &self.input.reading, &model)?;
        let data = table.path.display().to_string();
        let judged = detect(model, &table)?;
        let windows = cut_for_model(table, &model)?;
        notes.iter().for_each(|message| note(message));
        let name = || data.clone();
        let calibration = model.calibration()?;
        let scores = scoring::elbo(&model, &windows.values).with_context(name)?;
        // What the threshold and the p-values are for.
        let judged_by = scoring::of_device(&model, &windows.values).with_context(name)?;
        let evidence =
            scoring::evidence(&model, &windows.values, self.samples, context.seed.unwrap_or(0)).with_context(name)?;
        let card = model.card()?;
        let channels: Vec<&str> = card.channels.lines().collect();
        write_file(&self.out, existing, |out| {
            let mut csv = Csv::new(out);
            let scored = windows.last_row.iter().zip(&scores).zip(&evidence).zip(&judged_by);
            for ((((row, score), evidence), device), judged) in scored.zip(&judged) {
                let (file, row) = files.place(*row).context("a window is of no file")?;
                csv.serialize(Row {
                    file: (files.len() > 1).then(|| Cell(file.display().to_string())),
                    row,
                    elbo: score.elbo,
                    reconstruction: score.reconstruction,
                    kl: score.kl,
                    log_likelihood: evidence.log_likelihood.value,
                    p_value: calibration.p_value(*device),
                    anomaly: calibration.is_anomalous(*device).into(),
                    alarm: judged.alarm.into(),
                    score: *device,
                    missing: score.missing,
                    elbo_sampled: evidence.elbo.elbo,
                    verdict: Cell(verdict_in_words(&judged.verdict, &channels)),
                })?;
            }
            csv.flush()
        })?;
        let anomalies = judged_by.iter().filter(|score| calibration.is_anomalous(**score)).count();
        let verdicts = Verdicts::of(&judged);
        let mean_elbo = scores.iter().map(|score| f64::from(score.elbo)).sum::<f64>() / scores.len() as f64;
        let text = format!(
            "{}: {} windows, {anomalies} below the threshold of {:.3} nats, mean ELBO {mean_elbo:.3} nats\n{} alarm(s); windows by \
             verdict: {} normal, {} anomalous, {} with a sensor's fault, {} drifting",
            self.out.display(),
            scores.len(),
            calibration.threshold(),
            verdicts.alarms,
            verdicts.normal,
            verdicts.anomalous,
            verdicts.sensor_fault,
            verdicts.drifting
        );
        context.print(&Scored { out: self.out.clone(), windows: scores.len(), anomalies, mean_elbo, verdicts }, &text)
    }
}
