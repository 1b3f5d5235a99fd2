//! What a detector is told: how many false alarms, how many votes, how fast samples come.

use crate::detector::{
    Detector, alarm::Alarm, alarm_rule::AlarmRule, alarms::Alarms, error::DetectorError, running::Running, votes::Votes,
};

/// Two sample rates are the same if they differ by less than this share.
pub(crate) const RATE_TOLERANCE: f32 = 0.01;

impl Detector<'_, '_> {
    /// Raises at most so many false alarms, by the tails of alarms in the model's calibration.
    ///
    /// # Errors
    /// [`DetectorError::NoSampleRate`] where neither the model nor [`Self::sample_rate`] says how fast samples come;
    /// [`DetectorError::NotCalibrated`] where the calibration holds no tail of alarms, or `alarms` is no positive rate.
    pub fn alarm_rate(mut self, alarms: Alarms) -> Result<Self, DetectorError> {
        self.alarms = Some(alarms);
        self.set_rule()?;
        Ok(self)
    }

    /// Raises an alarm when `needed` of the last `of` windows are below the threshold.
    ///
    /// With other votes than those that the alarms were calibrated with, [`Self::alarm_rate`] keeps what it promises by the least that
    /// is certain: an alarm takes `needed` votes, so that there are at most as many alarms as votes divided by `needed`.
    ///
    /// # Errors
    /// [`DetectorError::Votes`] unless `1 ≤ needed ≤ of ≤ 32`.
    pub fn votes(mut self, needed: u32, of: u32) -> Result<Self, DetectorError> {
        self.alarm = Alarm::new(Votes::new(needed, of).ok_or(DetectorError::Votes { needed, of })?);
        self.set_rule()?;
        Ok(self)
    }

    /// Says how many samples come each second, in Hz.
    ///
    /// # Errors
    /// [`DetectorError::SampleRate`] if the model was trained at a rate that differs by more than a hundredth, or `hz` is no rate.
    pub fn sample_rate(mut self, hz: f32) -> Result<Self, DetectorError> {
        let model = self.calibration.sample_rate().unwrap_or(hz);
        if !(hz > 0.0 && hz.is_finite() && (hz / model - 1.0).abs() <= RATE_TOLERANCE) {
            return Err(DetectorError::SampleRate { model, found: hz });
        }
        self.sample_rate = hz;
        self.set_rule()?;
        Ok(self)
    }

    /// Locks what has been learned of the machine, for as long as the detector lives: [`Self::rebaseline`], [`Self::forget`] and
    /// [`Self::restore`] are refused from now on, and scores are no longer compensated for drift, which is still reported. To be called
    /// after a snapshot was restored, where rules for safety ask that a machine is judged as it was accepted.
    pub fn lock(&mut self) {
        self.is_locked = true;
        self.rule = self.rule.without_compensation();
        self.alarm.forget_drift();
    }

    /// Whether [`Self::lock`] has been called.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    pub(crate) fn check_unlocked(&self) -> Result<(), DetectorError> {
        if self.is_locked { Err(DetectorError::Locked) } else { Ok(()) }
    }

    /// By what is calibrated, asked for, and known of the baseline.
    pub(crate) fn set_rule(&mut self) -> Result<(), DetectorError> {
        let (threshold, per_window) = self.threshold_for_alarms()?;
        let rule = AlarmRule::new(&self.calibration, threshold, per_window);
        let rule = match self.running.baseline_size {
            0 => rule,
            windows => {
                let scores = if self.adapts_features() { windows.saturating_mul(2) } else { windows };
                rule.on_baseline(scores, self.running.width(&self.calibration), self.calibration.dependence())
            }
        };
        self.rule = if self.is_locked { rule.without_compensation() } else { rule };
        Ok(())
    }

    /// The −score above which windows vote, and the false alarms per window that there then are; 0 where they are not known.
    fn threshold_for_alarms(&self) -> Result<(f32, f32), DetectorError> {
        let (needed, of) = self.alarm.votes().rule();
        let is_calibrated = (needed, of) == self.calibration.votes();
        let Some(alarms) = self.alarms else {
            let per_window = if is_calibrated { self.calibration.alarms_per_window() } else { None };
            return Ok((-self.calibration.threshold(), per_window.unwrap_or(0.0)));
        };
        if self.sample_rate == 0.0 {
            return Err(DetectorError::NoSampleRate);
        }
        let per_window = alarms.per_second() * self.model.hop() as f32 / self.sample_rate;
        let by_votes = per_window * self.calibration.votes_share();
        let (tail, rate) = if is_calibrated {
            (self.calibration.alarm_tail(), by_votes)
        } else {
            (self.calibration.tail(), by_votes * needed as f32)
        };
        let is_usable = tail.rate > 0.0 && per_window > 0.0;
        if is_usable { Ok((tail.level(rate), per_window)) } else { Err(DetectorError::NotCalibrated) }
    }

    /// The score below which a window votes for an alarm, in nats; on a new baseline, where its scores have it.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        let Running { score_centre, score_factor, .. } = self.running;
        if self.is_on_own_scale() {
            return -self.rule.threshold;
        }
        -(score_centre + (self.rule.threshold - self.calibration.location_and_scale().0) / score_factor)
    }
}
