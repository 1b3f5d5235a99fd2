//! The calibration that a model file holds.

use anyhow::{Result, ensure};
use vae_core::{ChannelCalibration, ScoreKind, Tail};

/// What a model considers normal; what the values mean, [`vae_core::Calibration`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationRecord {
    /// Quantiles of the ELBO of held-out normal windows, ascending, evenly spaced in probability.
    pub quantiles: Vec<f32>,
    /// Number of windows that they were computed from.
    pub scores: usize,
    /// ELBO below which a window is anomalous.
    pub threshold: f32,
    /// Samples a second; 0 where it is not known.
    pub sample_rate: f32,
    /// (m, n): m of the last n windows raise an alarm.
    pub votes: (u32, u32),
    /// Of −ELBO.
    pub tail: Tail,
    /// Of the highest voted −ELBO of each alarm; a rate of 0 where alarms are not calibrated.
    pub alarms: Tail,
    /// Mean and standard deviation of −ELBO.
    pub location_and_scale: (f32, f32),
    /// What the scores are.
    pub score_kind: ScoreKind,
    /// Successive windows that tell as much as one independent one; 0 where the windows' order is not known.
    pub dependence: f32,
    /// Of the cumulative sum's peaks; a rate of 0 where there is no sequential test.
    pub changes: Tail,
    /// Windows in which averages follow a slow drift; 0 where none is compensated.
    pub drift_memory: f32,
    /// Nats by which the shift of the scores follows a window, at most.
    pub drift_step: f32,
    /// Greatest ordinary shift of the scores, in nats, and greatest ordinary widening of their spread.
    pub drift_limits: (f32, f32),
    /// Of each channel; may be left out.
    pub channels: Vec<ChannelCalibration>,
}

impl Default for CalibrationRecord {
    fn default() -> Self {
        Self {
            quantiles: Vec::new(),
            scores: 0,
            threshold: 0.0,
            sample_rate: 0.0,
            votes: (1, 1),
            tail: Tail::default(),
            alarms: Tail::default(),
            location_and_scale: (0.0, 1.0),
            score_kind: ScoreKind::AtMean,
            dependence: 0.0,
            changes: Tail::default(),
            drift_memory: 0.0,
            drift_step: 0.0,
            drift_limits: (f32::MAX, f32::MAX),
            channels: Vec::new(),
        }
    }
}

impl CalibrationRecord {
    /// The array of the model file.
    ///
    /// # Errors
    /// If it is of other channels.
    pub fn array(&self, channels: usize) -> Result<Vec<f32>> {
        ensure!(
            [0, channels].contains(&self.channels.len()),
            "the calibration has {} channels and the model {channels}",
            self.channels.len()
        );
        let samples = match self.score_kind {
            ScoreKind::AtMean => 0.0,
            ScoreKind::Samples(samples) => samples as f32,
            ScoreKind::Importance(samples) => -(samples as f32),
        };
        let tail = |tail: &Tail| [tail.start, tail.rate, tail.scale, tail.shape, tail.base];
        let mut values = vec![self.threshold, self.scores as f32, self.sample_rate];
        values.extend([self.votes.0 as f32, self.votes.1 as f32]);
        values.extend(tail(&self.tail).into_iter().chain(tail(&self.alarms)));
        values.extend([self.location_and_scale.0, self.location_and_scale.1, samples]);
        values.push(self.dependence);
        values.extend(tail(&self.changes));
        values.extend([self.drift_memory, self.drift_step, self.drift_limits.0, self.drift_limits.1]);
        values.push(self.quantiles.len() as f32);
        let nats_alone =
            |c: &ChannelCalibration| *c == ChannelCalibration { nats: c.nats, ..ChannelCalibration::UNKNOWN };
        let is_known = !self.channels.iter().all(nats_alone);
        values.extend(self.channels.iter().filter(|_| !is_known).map(|c| c.nats));
        for c in self.channels.iter().filter(|_| is_known) {
            values.extend([c.range.0, c.range.1, c.longest_run, c.longest_gap, c.nats]);
            values.extend([c.mean, c.power]);
            values.extend([c.level, c.strength].iter().flat_map(|of| [of.centre, of.spread, of.limit]));
        }
        values.extend(&self.quantiles);
        Ok(values)
    }
}
