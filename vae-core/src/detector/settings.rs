//! What a detector is told: how many false alarms, how many votes, how fast samples come.

use crate::{
    calibration::Calibration,
    detector::{alarm_rule::AlarmRule, alarms::Alarms, error::DetectorError, running::Running, votes::Votes},
    model::Model,
};

/// Two sample rates are the same if they differ by less than this share.
pub(crate) const RATE_TOLERANCE: f32 = 0.01;

/// What a detector is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) alarms: Option<Alarms>,
    /// Samples a second; 0 where not known.
    pub(crate) sample_rate: f32,
    /// Whether what has been learned of the machine may not be changed any more.
    pub(crate) is_locked: bool,
}

impl Settings {
    /// The sample rate of a stream for this calibration: its own, where it has one.
    ///
    /// # Errors
    /// [`DetectorError::SampleRate`] where the stream is known to have another.
    pub(crate) fn rate_for(&self, calibration: &Calibration<'_>) -> Result<f32, DetectorError> {
        let model = calibration.sample_rate().unwrap_or(self.sample_rate);
        if self.sample_rate != 0.0 && (model / self.sample_rate - 1.0).abs() > RATE_TOLERANCE {
            return Err(DetectorError::SampleRate { model, found: self.sample_rate });
        }
        Ok(model)
    }

    /// The rule by what is calibrated, asked for, and known of the baseline.
    pub(crate) fn rule(
        &self,
        model: &Model<'_>,
        calibration: &Calibration<'_>,
        votes: &Votes,
        running: &Running,
        adapts_features: bool,
    ) -> Result<AlarmRule, DetectorError> {
        let (threshold, per_window) = self.threshold(model.hop(), calibration, votes)?;
        let rule = AlarmRule::new(calibration, threshold, per_window);
        let rule = match running.baseline_size {
            0 => rule,
            windows => {
                let scores = if adapts_features { windows.saturating_mul(2) } else { windows };
                rule.on_baseline(scores, running.width(calibration), calibration.dependence())
            }
        };
        Ok(if self.is_locked { rule.without_compensation() } else { rule })
    }

    /// The −score above which windows vote, and the false alarms per window that there then are; 0 where they are not known.
    fn threshold(&self, hop: usize, calibration: &Calibration<'_>, votes: &Votes) -> Result<(f32, f32), DetectorError> {
        let (needed, of) = votes.rule();
        let is_calibrated = (needed, of) == calibration.votes();
        let Some(alarms) = self.alarms else {
            let per_window = if is_calibrated { calibration.alarms_per_window() } else { None };
            return Ok((-calibration.threshold(), per_window.unwrap_or(0.0)));
        };
        if self.sample_rate == 0.0 {
            return Err(DetectorError::NoSampleRate);
        }
        let per_window = alarms.per_second() * hop as f32 / self.sample_rate;
        let by_votes = per_window * calibration.votes_share();
        let (tail, rate) = if is_calibrated {
            (calibration.alarm_tail(), by_votes)
        } else {
            (calibration.tail(), by_votes * needed as f32)
        };
        let is_usable = tail.rate > 0.0 && per_window > 0.0;
        if is_usable { Ok((tail.level(rate), per_window)) } else { Err(DetectorError::NotCalibrated) }
    }
}
