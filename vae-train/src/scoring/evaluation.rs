//! A model judged on labelled data, window by window and as the detector that runs over them.

use anyhow::{Context, Result};
use serde::Serialize;
use vae_core::Model;

use crate::{
    data::{for_model::cut_for_model, windows::Windows},
    scoring::{
        self,
        detection::{Judged, Verdicts, detect},
        event_outcome::EventOutcome,
        events::EventDetection,
        false_alarm_test::FalseAlarmTest,
    },
    statistics::metrics::Detection,
    tables::table::Table,
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
    pub(crate) rows: Option<Vec<bool>>,
    /// The rows at which another recording begins.
    pub(crate) starts: Vec<usize>,
}

impl Scored {
    /// Scores a table of a model's columns.
    ///
    /// # Errors
    /// If a row cannot be taken, or the table is shorter than a window.
    pub fn of(model: Model<'_>, table: Table) -> Result<Self> {
        let name = table.path.display().to_string();
        let judged = detect(model, &table)?;
        let (rows, starts) = (table.labels.clone(), table.starts.clone());
        let windows = cut_for_model(table, &model)?;
        let scores = scoring::of_device(&model, &windows.values).context(name)?;
        Ok(Self { windows, scores, judged, rows, starts })
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
    /// What became of each of these events, in their order.
    pub event_outcomes: Vec<EventOutcome>,
    /// The false alarms next to those that the threshold was set for; none where the model's file states no rate.
    pub false_alarm_test: Option<FalseAlarmTest>,
    /// What the detector said of the windows.
    pub verdicts: Verdicts,
    /// What it said of those outside events.
    pub verdicts_outside_events: Verdicts,
    /// Rows of a window.
    pub window: usize,
    /// Rows a second; none where the model's file does not say.
    pub rows_per_second: Option<f64>,
    /// Independent Gaussians with the training data's mean and variance.
    pub baseline_independent_gaussians: Detection,
}

impl Evaluation {
    /// Whether limits on each column alone tell these anomalies better than the model does, by 0.01 of AUROC or more.
    #[must_use]
    pub fn is_beaten_by_limits(&self) -> bool {
        self.detection.auroc < self.baseline_independent_gaussians.auroc - 0.01
    }

    /// Whether the rows follow each other in time, as far as the model knows, so that they have events and alarms: it judges
    /// several at once, or knows how many there are a second.
    #[must_use]
    pub fn is_of_stream(&self) -> bool {
        self.window > 1 || self.rows_per_second.is_some()
    }

    /// Share of the windows outside events that the detector calls drifting; none without such windows.
    #[must_use]
    pub fn drifting_outside_events(&self) -> Option<f64> {
        let Verdicts { normal, anomalous, sensor_fault, drifting, .. } = self.verdicts_outside_events;
        let windows = normal + anomalous + sensor_fault + drifting;
        (windows > 0).then(|| drifting as f64 / windows as f64)
    }
}
