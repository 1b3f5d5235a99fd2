//! `vae-train score`: score a CSV file through vae-core.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use vae_core::{Calibration, Evidence, Model};

use crate::{
    cli::{
        context::{Context, ModelAndData, note},
        progress,
    },
    data::{
        stream_for_model::{Stretch, Stretches},
        windows::Buffer,
    },
    file::model_file::AlignedFile,
    scoring::{
        self,
        detection::{Detecting, Judged, Memory, Verdicts, verdict_in_words},
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
        let calibration = model.calibration()?;
        let (mut counts, mut failed) = (Counts::default(), None);
        let written = write_file(&self.out, existing, |out| {
            // What is wrong with the data is nothing that is wrong with the file that is written.
            self.write(model, context.seed.unwrap_or(0), out, &mut counts).map_err(|error| match error {
                Failure::Writing(error) => error,
                Failure::Scoring(error) => {
                    failed = Some(error);
                    anyhow!("the data cannot be scored")
                }
            })
        });
        failed.map_or(Ok(()), Err)?;
        written?;
        let Counts { windows, anomalies, elbo, verdicts, .. } = counts;
        let mean_elbo = elbo / windows as f64;
        let text = format!(
            "{}: {windows} windows, {anomalies} below the threshold of {:.3} nats, mean ELBO {mean_elbo:.3} nats\n{} alarm(s); windows by \
             verdict: {} normal, {} anomalous, {} with a sensor's fault, {} drifting",
            self.out.display(),
            calibration.threshold(),
            verdicts.alarms,
            verdicts.normal,
            verdicts.anomalous,
            verdicts.sensor_fault,
            verdicts.drifting
        );
        context.print(&Scored { out: self.out.clone(), windows, anomalies, mean_elbo, verdicts }, &text)
    }

    /// Writes a line for each window, some rows at a time, so that the memory does not grow with the table.
    fn write(&self, model: Model<'_>, seed: u64, out: &mut dyn Write, counts: &mut Counts) -> Result<(), Failure> {
        let (mut buffer, mut memory) = (Box::new(Buffer::new()), Memory::of(&model));
        let mut parts = Parts::open(&self.input, model, &mut buffer, &mut memory)?;
        let card = model.card().map_err(anyhow::Error::from)?;
        let channels: Vec<&str> = card.channels.lines().collect();
        let mut csv = Csv::new(out);
        while let Some(part) = parts.next(self.samples, seed, counts.windows)? {
            part.write(&mut csv, &channels, counts).map_err(Failure::Writing)?;
        }
        csv.flush().map_err(Failure::Writing)
    }
}

/// Why there are no more lines.
enum Failure {
    Scoring(anyhow::Error),
    Writing(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Scoring(error)
    }
}

/// The table, of which some rows at a time are read, judged and scored.
struct Parts<'m, 'b> {
    model: Model<'m>,
    calibration: Calibration<'m>,
    stretches: Stretches<'m, 'b>,
    detecting: Detecting<'m, 'b>,
    watch: Box<dyn FnMut(usize, Option<f64>)>,
}

impl<'m, 'b> Parts<'m, 'b> {
    fn open(input: &'b ModelAndData, model: Model<'m>, buffer: &'b mut Buffer, memory: &'b mut Memory) -> Result<Self> {
        let ModelAndData { data, label, reading, .. } = input;
        Ok(Self {
            detecting: Detecting::new(model, memory)?,
            stretches: Stretches::open(data, label.as_deref().into(), reading, model, buffer)?,
            calibration: model.calibration()?,
            watch: Box::new(progress::reading(Path::new(&data[0]))),
            model,
        })
    }

    /// The next windows, of which the first has the index `first`.
    fn next(&mut self, samples: u32, seed: u64, first: usize) -> Result<Option<Part<'m>>> {
        let stretch = self.stretches.next(&mut self.watch)?;
        self.stretches.take_notes().iter().for_each(|message| note(message));
        let Some(stretch) = stretch else { return Ok(None) };
        let Stretch { table, begins, file, first_row, windows, .. } = &stretch;
        let Self { model, detecting, .. } = self;
        let (judged, scores) = rayon::join(
            || detecting.judge(table, *begins, *first_row),
            || Scores::of(model, &windows.values, first, (samples, seed)),
        );
        // The detector names the row of what neither can take.
        let judged = judged?;
        let scores = scores.with_context(|| file.display().to_string())?;
        let is_of_several = self.stretches.files() > 1;
        Ok(Some(Part { judged, scores, stretch, is_of_several, calibration: self.calibration }))
    }
}

/// Some windows, judged and scored.
struct Part<'m> {
    stretch: Stretch,
    judged: Vec<Judged>,
    scores: Scores,
    is_of_several: bool,
    calibration: Calibration<'m>,
}

impl Part<'_> {
    /// Writes a line for each window, and counts it.
    fn write(&self, csv: &mut Csv<impl Write>, channels: &[&str], counts: &mut Counts) -> Result<()> {
        let Self { stretch, judged, scores, calibration, .. } = self;
        let Scores { at_mean, of_device, evidence } = scores;
        let scored = stretch.windows.last_row.iter().zip(at_mean).zip(evidence).zip(of_device);
        for ((((row, score), evidence), device), judged) in scored.zip(judged) {
            let is_anomalous = calibration.is_anomalous(*device);
            csv.serialize(Row {
                file: self.is_of_several.then(|| Cell(stretch.file.display().to_string())),
                row: row - stretch.before + stretch.first_row,
                elbo: score.elbo,
                reconstruction: score.reconstruction,
                kl: score.kl,
                log_likelihood: evidence.log_likelihood.value,
                p_value: calibration.p_value(*device),
                anomaly: is_anomalous.into(),
                alarm: judged.alarm.into(),
                score: *device,
                missing: score.missing,
                elbo_sampled: evidence.elbo.elbo,
                verdict: Cell(verdict_in_words(&judged.verdict, channels)),
            })?;
            counts.windows += 1;
            counts.anomalies += usize::from(is_anomalous);
            counts.elbo += f64::from(score.elbo);
            counts.verdicts.add(judged, &mut counts.is_raised);
        }
        Ok(())
    }
}

/// What the lines come to.
#[derive(Default)]
struct Counts {
    windows: usize,
    anomalies: usize,
    /// The sum of all, in nats.
    elbo: f64,
    verdicts: Verdicts,
    is_raised: bool,
}

/// The scores of some windows.
struct Scores {
    at_mean: Vec<vae_core::Score>,
    /// What the threshold and the p-values are for.
    of_device: Vec<f32>,
    evidence: Vec<Evidence>,
}

impl Scores {
    /// Of windows of which the first has this index.
    fn of(model: &Model<'_>, windows: &[f32], first: usize, (samples, seed): (u32, u64)) -> Result<Self> {
        Ok(Self {
            at_mean: scoring::elbo(model, windows)?,
            of_device: scoring::of_device_from(first, model, windows)?,
            evidence: scoring::evidence_from(first, model, windows, samples, seed)?,
        })
    }
}
