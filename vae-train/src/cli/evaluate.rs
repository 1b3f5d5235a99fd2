//! `vae-train evaluate`: judge a model on labelled data.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{Context, LABEL, ModelAndData, note};
use crate::{
    dataset::{Windows, read_for_model},
    metrics::Detection,
    model_file::AlignedFile,
    scoring,
};

/// Score labelled data through vae-core and print how well anomalies are told from normal windows.
///
/// Example: vae-train evaluate model.vae test.csv --label label
#[derive(Debug, clap::Args)]
pub(super) struct Evaluate {
    #[command(flatten)]
    input: ModelAndData,
}

/// Figures of a model on labelled data, next to a baseline that knows the standardiser only.
#[derive(Debug, Serialize)]
pub(super) struct Evaluation {
    model: PathBuf,
    #[serde(flatten)]
    pub(super) detection: Detection,
    /// ELBO below which a window is anomalous, in nats.
    threshold: f32,
    /// Fraction of the normal windows below the threshold.
    pub(super) false_alarm_rate: f64,
    /// Fraction of the anomalies below the threshold.
    pub(super) detection_rate: f64,
    /// Independent Gaussians with the training data's mean and variance.
    baseline_independent_gaussians: Detection,
}

impl Evaluate {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let label = self.input.label.as_deref().unwrap_or(LABEL);
        let evaluation = evaluate(&self.input.model, &self.input.data, label)?;
        let Evaluation { detection, baseline_independent_gaussians: baseline, .. } = &evaluation;
        let mut text = format!("{} windows, {} of them anomalies\n\n", detection.windows, detection.anomalies);
        text += &format!("{:<28}{:>9}{:>16}\n", "", "model", "independent");
        text += &format!("{:<28}{:>9}{:>16}\n", "", "", "Gaussians");
        let rows = [
            ("AUROC", detection.auroc, baseline.auroc),
            ("average precision", detection.average_precision, baseline.average_precision),
            ("partial AUROC (FPR ≤ 0.1)", detection.partial_auroc, baseline.partial_auroc),
            ("best F1", detection.best_f1, baseline.best_f1),
        ];
        for (name, model, baseline) in rows {
            text += &format!("{name:<28}{model:>9.4}{baseline:>16.4}\n");
        }
        text += &format!(
            "\nat the model's threshold of {:.3} nats: false-alarm rate {:.4}, detection rate {:.4}",
            evaluation.threshold, evaluation.false_alarm_rate, evaluation.detection_rate
        );
        context.print(&evaluation, &text)
    }
}

pub(super) fn evaluate(model_path: &std::path::Path, data: &std::path::Path, label: &str) -> Result<Evaluation> {
    let file = AlignedFile::read(model_path)?;
    let model = file.model()?;
    let channels: Vec<&str> = model.card()?.channels.lines().collect();
    let (table, left_out) = read_for_model(data, Some(label), &channels)?;
    left_out.iter().for_each(|message| note(message));
    let windows = Windows::cut(&table, model.window(), model.hop())?;
    let labels = windows.labels.as_deref().context("the data have no labels")?;
    let name = || data.display().to_string();
    let elbos: Vec<f32> =
        scoring::elbo(&model, &windows.values).with_context(name)?.iter().map(|score| score.elbo).collect();
    let scores: Vec<f64> = elbos.iter().map(|elbo| -f64::from(*elbo)).collect();

    let header = model.header()?;
    let mean: &[f32] = vae_core::format::values(header.mean, model.features())?;
    let inverse_scale: &[f32] = vae_core::format::values(header.inverse_scale, model.features())?;
    let distances: Vec<f64> = windows
        .iter()
        .map(|x| {
            let features = x.iter().zip(mean.iter().zip(inverse_scale)).filter(|(x, _)| !x.is_nan());
            features.map(|(x, (mean, inverse_scale))| f64::from((x - mean) * inverse_scale).powi(2)).sum()
        })
        .collect();

    let calibration = model.calibration()?;
    let below = |of: bool| {
        let chosen = elbos.iter().zip(labels).filter(|(_, label)| **label == of);
        let (below, all) = chosen
            .fold((0, 0), |(below, all), (elbo, _)| (below + usize::from(calibration.is_anomalous(*elbo)), all + 1));
        below as f64 / all as f64
    };
    let detection = Detection::of(&scores, labels).with_context(name)?;
    Ok(Evaluation {
        model: model_path.to_owned(),
        detection,
        threshold: calibration.threshold(),
        false_alarm_rate: below(false),
        detection_rate: below(true),
        baseline_independent_gaussians: Detection::of(&distances, labels).with_context(name)?,
    })
}
