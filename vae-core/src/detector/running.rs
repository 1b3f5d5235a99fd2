//! What a detector has learned of the scores: where they lie, and a new baseline in the making.

use crate::{arithmetic::number::held, calibration::Calibration};

/// A new baseline widens the scores' spread at most by the inverse of this.
const LEAST_FACTOR: f32 = 0.25;

/// −scores that are further apart than so many of the calibration's spreads are not of one normal machine.
const ABSURD: f32 = 64.0;

/// What a snapshot holds beside channels and votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Running {
    /// Windows so far: seeds what is drawn for the next one.
    pub(crate) windows: u32,
    pub(crate) is_drifting: bool,
    /// Maps −scores to those of the calibration: `centre + factor · (s − own centre)`.
    pub(crate) score_centre: f32,
    pub(crate) score_factor: f32,
    /// Windows that a new baseline is made from, and those that it has; 0 where none is made.
    pub(crate) baseline_windows: u32,
    pub(crate) baseline_done: u32,
    /// Windows that the channels' baseline was averaged over; 0 for the calibration's.
    pub(crate) baseline_size: u32,
    /// Mean and mean square deviation of the new baseline's −scores.
    pub(crate) baseline_mean: f32,
    pub(crate) baseline_variance: f32,
}

impl Running {
    pub(crate) fn new(calibration: &Calibration<'_>) -> Self {
        Self {
            windows: 0,
            is_drifting: false,
            score_centre: calibration.location_and_scale().0,
            score_factor: 1.0,
            baseline_windows: 0,
            baseline_done: 0,
            baseline_size: 0,
            baseline_mean: 0.0,
            baseline_variance: 0.0,
        }
    }

    /// What multiplies the drift's limits: averages over its memory are compared with a baseline that is an average itself.
    pub(crate) fn width(&self, calibration: &Calibration<'_>) -> f32 {
        match self.baseline_size {
            0 => 1.0,
            windows => libm::sqrtf(1.0 + 2.0 * calibration.drift_memory() / windows as f32),
        }
    }

    /// Whether a detector can have left this behind.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { score_centre, baseline_mean, baseline_variance, .. } = *self;
        [score_centre, baseline_mean, baseline_variance].iter().all(|value| value.is_finite())
            && (LEAST_FACTOR..=1.0).contains(&self.score_factor)
            && self.baseline_done <= self.baseline_windows
    }

    pub(crate) fn is_measuring(&self) -> bool {
        self.baseline_done < self.baseline_windows
    }

    /// Whether a new baseline is being made, and no score is measured yet.
    pub(crate) fn is_before_scores(&self) -> bool {
        self.baseline_done < self.baseline_windows / 2
    }

    /// Takes a −score into the new baseline; returns whether it is the last. Scores too far apart to be of one normal machine are no
    /// part of one baseline: the likelier ones are taken.
    pub(crate) fn measure_score(&mut self, nats: f32, calibration: &Calibration<'_>) -> bool {
        let half = self.baseline_windows / 2;
        let (_, spread) = calibration.location_and_scale();
        let apart = ABSURD * spread.max(1.0);
        // So that it comes to an end, whatever the scores are.
        if self.baseline_done > half && self.windows <= self.baseline_windows {
            if nats - self.baseline_mean > apart {
                return false;
            }
            if self.baseline_mean - nats > apart {
                (self.baseline_done, self.baseline_mean, self.baseline_variance) = (half, 0.0, 0.0);
            }
        }
        self.baseline_done += 1;
        let count = (self.baseline_done - half) as f32;
        // Welford (1962), of the mean square deviation.
        let distance = nats - self.baseline_mean;
        self.baseline_mean = held(self.baseline_mean, self.baseline_mean + distance / count);
        let change = (distance * (nats - self.baseline_mean) - self.baseline_variance) / count;
        self.baseline_variance = held(self.baseline_variance, self.baseline_variance + change);
        if self.is_measuring() {
            return false;
        }
        self.score_centre = self.baseline_mean;
        self.score_factor = factor(spread, self.baseline_variance);
        (self.baseline_windows, self.baseline_done) = (0, 0);
        true
    }
}

/// What maps scores of this variance to the calibration's spread, within [`LEAST_FACTOR`] and 1; the least of them where neither varies.
fn factor(spread: f32, variance: f32) -> f32 {
    let factor = spread / libm::sqrtf(variance.max(0.0));
    if factor > LEAST_FACTOR { factor.min(1.0) } else { LEAST_FACTOR }
}
