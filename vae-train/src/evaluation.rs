//! A model judged on labelled data, window by window and as the detector that runs over them.

use anyhow::{Context, Result};
use serde::Serialize;
use vae_core::Model;

use crate::{
    dataset::{Windows, cut_for_model},
    detection::{Judged, Verdicts, detect},
    events::EventDetection,
    metrics::Detection,
    scoring,
    table::Table,
};

/// A table that went through a model, as it will go through the device.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Its windows.
    pub windows: Windows,
    /// Of each window, what the detector compares with the threshold.
    pub scores: Vec<f32>,
    /// What the detector says of each window.
    pub judged: Vec<Judged>,
    /// The rows' labels.
    rows: Option<Vec<bool>>,
}

impl Scored {
    /// Scores a table of a model's columns.
    ///
    /// # Errors
    /// If a row cannot be taken, or the table is shorter than a window.
    pub fn of(model: Model<'_>, table: Table) -> Result<Self> {
        let name = table.path.display().to_string();
        let judged = detect(model, &table)?;
        let rows = table.labels.clone();
        let windows = cut_for_model(table, &model)?;
        let scores = scoring::of_device(&model, &windows.values).context(name)?;
        Ok(Self { windows, scores, judged, rows })
    }
}

/// Figures of a model on labelled data, next to a baseline that knows the standardiser only.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// How well scores tell anomalous windows from normal ones.
    #[serde(flatten)]
    pub detection: Detection,
    /// ELBO below which a window is anomalous, in nats.
    pub threshold: f32,
    /// Fraction of the normal windows below the threshold.
    pub false_alarm_rate: f64,
    /// Fraction of the anomalies below the threshold.
    pub detection_rate: f64,
    /// What the device's detector makes of the rows as a stream: alarms against events, which are runs of rows labelled 1.
    pub events: EventDetection,
    /// What it said of the windows.
    pub verdicts: Verdicts,
    /// Independent Gaussians with the training data's mean and variance.
    pub baseline_independent_gaussians: Detection,
}

impl Evaluation {
    /// Whether limits on each column alone tell these anomalies better than the model does, by 0.01 of AUROC or more.
    #[must_use]
    pub fn is_beaten_by_limits(&self) -> bool {
        self.detection.auroc < self.baseline_independent_gaussians.auroc - 0.01
    }

    /// Judges a model by what it made of labelled data.
    ///
    /// # Errors
    /// If there are no labels, or all windows have the same.
    pub fn of(model: &Model<'_>, scored: &Scored) -> Result<Self> {
        let Scored { windows, scores: elbos, judged, rows } = scored;
        let calibration = model.calibration()?;
        let (ends, alarms): (Vec<usize>, Vec<bool>) = judged.iter().map(|judged| (judged.row, judged.alarm)).unzip();
        let rate = calibration.sample_rate().map(f64::from);
        let rows = rows.as_deref().context("the data have no labels")?;
        let events = EventDetection::of(rows, model.window(), &ends, &alarms, rate)?;
        let labels = windows.labels.as_deref().context("the data have no labels")?;
        let scores: Vec<f64> = elbos.iter().map(|elbo| -f64::from(*elbo)).collect();

        let (mean, inverse_scale) = model.standardiser()?;
        let distances: Vec<f64> = windows
            .iter()
            .map(|x| {
                let squares = x.iter().zip(mean.iter().zip(inverse_scale)).map(|(x, (mean, inverse_scale))| {
                    // What is missing counts as ordinary here, too: on average the square is 1.
                    if x.is_nan() { 1.0 } else { f64::from((x - mean) * inverse_scale).powi(2) }
                });
                squares.sum()
            })
            .collect();

        let below = |of: bool| {
            let chosen = elbos.iter().zip(labels).filter(|(_, label)| **label == of);
            let (below, all) = chosen.fold((0, 0), |(below, all), (elbo, _)| {
                (below + usize::from(calibration.is_anomalous(*elbo)), all + 1)
            });
            below as f64 / all as f64
        };
        Ok(Self {
            detection: Detection::of(&scores, labels)?,
            threshold: calibration.threshold(),
            false_alarm_rate: below(false),
            detection_rate: below(true),
            events,
            verdicts: Verdicts::of(judged),
            baseline_independent_gaussians: Detection::of(&distances, labels)?,
        })
    }
}
