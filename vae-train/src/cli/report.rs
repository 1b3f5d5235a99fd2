//! `vae-train report`: a run as a page for people.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use vae_core::{ScoreKind, format::Precision};

use super::export::Candidate;
use crate::{
    cli::context::{Context, find_label, note},
    data::dataset::read_table_for_model,
    file::model_file::AlignedFile,
    fitness::Fitness,
    report::material::{Data, Material},
    run::{Access, RunDirectory, export::RunModel, quantisation::Quantisation},
    scoring::{
        self, cost,
        evaluation::{Evaluation, Scored},
    },
    words::output::{Existing, write_file},
};

/// Write what is known of a run as one HTML page that needs nothing else: whether it is fit for use, how it was trained, what its
/// threshold means, what it costs; with --data also what it finds there.
///
/// The model is the one that `export` would write: int8, or f32 where int8 changes too many verdicts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vae-train report runs/a --out report.html\n  vae-train report runs/a --out report.html --data test.csv"
)]
pub(super) struct Report {
    /// Run directory of a fit.
    run: PathBuf,
    /// HTML file to write.
    #[arg(long)]
    out: PathBuf,
    /// CSV file with the model's columns, in any order, to try the model on.
    #[arg(long)]
    data: Option<PathBuf>,
    /// With --data: column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long, requires = "data")]
    label: Option<String>,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

/// The page's numbers, for machines.
#[derive(Debug, Serialize)]
pub(super) struct Reported {
    pub(super) report: PathBuf,
    bytes: usize,
    run: PathBuf,
    pub(super) verdict: Fitness,
    precision: &'static str,
    epochs: usize,
    best_epoch: usize,
    /// Nats per window, standardised units.
    validation_elbo: f64,
    threshold: f32,
    /// `None` where the run has not been calibrated.
    calibration: Option<crate::calibration::Report>,
    /// `None` without labelled data.
    pub(super) evaluation: Option<Evaluation>,
    quantisation: Option<Quantisation>,
    flash: usize,
    scratch: usize,
    window_bytes: usize,
    detector_state: usize,
    instructions: Value,
}

impl Report {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        existing.check(&self.out)?;
        ensure!(
            RunDirectory::open_imported(&self.run, Access::Read)?.is_none(),
            "{} holds an imported model, and report needs a run of fit: export the model and try it by vae-train evaluate",
            self.run.display()
        );
        let mut candidate = Candidate::of(&self.run, Precision::Int8)?;
        if candidate.quantisation.as_ref().is_some_and(|quantisation| quantisation.check().is_err()) {
            candidate = Candidate { quantisation: candidate.quantisation, ..Candidate::of(&self.run, Precision::F32)? };
        }
        let file = &candidate.file;
        let columns: Vec<&str> = file.channels.iter().chain(&file.conditions).map(String::as_str).collect();
        let labelled = |data| find_label(self.label.as_deref(), data, &columns).map(|label| (data, label));
        let data = self.data.as_deref().map(labelled).transpose()?;
        let reported = report(candidate, &self.run, data, &self.out, existing, context.seed.unwrap_or(0))?;
        let text = format!("{}: {} bytes\n{}", reported.report.display(), reported.bytes, reported.verdict.lines());
        context.print(&reported, &text)
    }
}

/// Writes the page of a model, tried on `data` (file and label).
pub(super) fn report(
    candidate: Candidate,
    run: &Path,
    data: Option<(&Path, Option<&str>)>,
    out: &Path,
    existing: Existing,
    seed: u64,
) -> Result<Reported> {
    let (_, state) = RunDirectory::open(run, Access::Read)?;
    let Candidate { run: RunModel { directory, holdout, .. }, file, calibration, quantisation } = candidate;
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let data = match data {
        None => None,
        Some((path, label)) => {
            let (table, left_out) = read_table_for_model(path, label, &model)?;
            left_out.iter().for_each(|message| note(message));
            let name = || path.display().to_string();
            let scored = Scored::of(model, table)?;
            let labels = scored.windows.labels.as_deref().unwrap_or_default();
            let evaluation = match (labels.contains(&true), labels.contains(&false)) {
                (true, true) => Some(Evaluation::of(&model, &scored).with_context(name)?),
                _ => {
                    note(&format!(
                        "{}: labels of both kinds, 0 and 1, would tell how well anomalies are found",
                        name()
                    ));
                    None
                }
            };
            Some(Data { name: name(), scored, evaluation })
        }
    };
    let held_out_scores;
    let normal_scores = match &calibration {
        Some(report) => &report.scores,
        None => {
            held_out_scores = scoring::by_kind(&model, &holdout, ScoreKind::AtMean, None)?;
            &held_out_scores
        }
    };
    let material = Material {
        run: run.display().to_string(),
        state: &state,
        fit: directory.summary()?,
        file: &file,
        model,
        holdout: &holdout,
        calibration: calibration.as_ref(),
        normal_scores,
        quantisation: quantisation.as_ref(),
        data,
        seed,
    };
    let page = material.page()?;
    write_file(out, existing, |out| Ok(out.write_all(page.as_bytes())?))?;
    let instructions = cost::instructions(&model)?;
    Ok(Reported {
        report: out.to_owned(),
        bytes: page.len(),
        run: run.to_owned(),
        verdict: material.verdict(),
        precision: match file.precision {
            Precision::Int8 => "int8",
            Precision::F32 => "f32",
        },
        epochs: state.checkpoint.metrics.len(),
        best_epoch: state.checkpoint.best_epoch,
        validation_elbo: state.checkpoint.best_elbo(),
        threshold: file.calibration.threshold,
        evaluation: material.data.and_then(|data| data.evaluation),
        calibration,
        quantisation,
        flash: model.flash_len(),
        scratch: 4 * model.scratch_len(),
        window_bytes: 4 * model.window_len(),
        detector_state: 4 * model.state_len(),
        instructions: instructions.into_iter().map(|(core, count)| (core.to_owned(), json!(count))).collect(),
    })
}
