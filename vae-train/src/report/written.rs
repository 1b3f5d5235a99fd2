//! A run's page as a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use vae_core::{Model, ScoreKind, format::Precision};

use crate::{
    calibration,
    file::model_file::AlignedFile,
    fitness::Fitness,
    report::material::{Data, Material},
    run::{candidate::Candidate, directory::RunDirectory, export::RunModel, lock::Access, quantisation::Quantisation},
    scoring::{
        self, cost,
        evaluation::{Evaluation, Scored},
    },
    tables::table::Table,
    training::listener::Listener,
    words::output::{Existing, write_file},
};

/// The page's numbers, for machines.
#[derive(Debug, Serialize)]
pub struct Reported {
    /// The page.
    pub report: PathBuf,
    /// Of the page.
    pub bytes: usize,
    /// The run directory.
    pub run: PathBuf,
    /// What it all comes to.
    pub verdict: Fitness,
    /// Of the weights: int8 or f32.
    pub precision: &'static str,
    /// Epochs that were trained.
    pub epochs: usize,
    /// The one whose weights are used; counted from 1.
    pub best_epoch: usize,
    /// Nats per window, standardised units.
    pub validation_elbo: f64,
    /// ELBO below which a window is anomalous, in nats.
    pub threshold: f32,
    /// `None` where the run has not been calibrated.
    pub calibration: Option<calibration::Report>,
    /// `None` without labelled data.
    pub evaluation: Option<Evaluation>,
    /// What int8 changes, also where the model is f32 for that reason.
    pub quantisation: Option<Quantisation>,
    /// Bytes of flash that the model takes.
    pub flash: usize,
    /// Bytes of scratch that scoring needs.
    pub scratch: usize,
    /// Bytes of a window of samples.
    pub window_bytes: usize,
    /// Bytes of a detector's state.
    pub detector_state: usize,
    /// Of a score, by core.
    pub instructions: Value,
}

impl Reported {
    /// Writes the page of a model, tried on a table of its columns.
    ///
    /// # Errors
    /// If the run is of an import, a window cannot be scored, or the file exists or cannot be written.
    pub fn write(
        candidate: Candidate,
        data: Option<Table>,
        seed: u64,
        out: &Path,
        existing: Existing,
        listener: &mut dyn Listener,
    ) -> Result<Self> {
        let Candidate { run: RunModel { directory, holdout, .. }, file, calibration, quantisation } = candidate;
        let (_, state) = RunDirectory::open(directory.path(), Access::Read)?;
        let bytes = AlignedFile::new(&file.to_bytes()?);
        let model = bytes.model()?;
        let data = data.map(|table| tried(model, table, listener)).transpose()?;
        let held_out_scores;
        let normal_scores = match &calibration {
            Some(report) => &report.scores,
            None => {
                held_out_scores = scoring::by_kind(&model, &holdout, ScoreKind::AtMean, None)?;
                &held_out_scores
            }
        };
        let material = Material {
            run: directory.path().display().to_string(),
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
        Ok(Self {
            report: out.to_owned(),
            bytes: page.len(),
            run: directory.path().to_owned(),
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
}

/// What the model makes of a table, judged by its labels where it has both kinds.
fn tried(model: Model<'_>, table: Table, listener: &mut dyn Listener) -> Result<Data> {
    let name = table.path.display().to_string();
    let scored = Scored::of(model, table)?;
    let labels = scored.windows.labels.as_deref().unwrap_or_default();
    let evaluation = match (labels.contains(&true), labels.contains(&false)) {
        (true, true) => Some(Evaluation::of(&model, &scored).with_context(|| name.clone())?),
        _ => {
            listener.note(&format!("{name}: labels of both kinds, 0 and 1, would tell how well anomalies are found"));
            None
        }
    };
    Ok(Data { name, scored, evaluation })
}
