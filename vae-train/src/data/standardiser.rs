//! Mean and scale of each feature, by which a network sees its data.

use serde::{Deserialize, Serialize};

use crate::{
    statistics::moments::{Moments, smallest_deviation},
    weights::family::Likelihood,
};

/// The scale of a condition that is constant in normal data, as a fraction of its magnitude, or of the smallest standard deviation of the
/// others where that is larger: a condition is not judged, and a setpoint that is a little different is the same.
const CONSTANT_CONDITION: f64 = 0.01;

/// Mean and standard deviation per feature, fitted on the normal windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardiser {
    /// Subtracted from each feature.
    pub mean: Vec<f32>,
    /// Divides the difference.
    pub scale: Vec<f32>,
}

impl Standardiser {
    /// Mean and standard deviation of each channel over all windows, repeated for each sample of the window; 0 and 1 for
    /// a Bernoulli likelihood, whose data stay as they are. A channel that is constant has a scale by which any other value stands out.
    pub(crate) fn fit<'a>(
        windows: impl Iterator<Item = &'a [f32]>,
        channels: usize,
        window: usize,
        likelihood: Likelihood,
    ) -> Self {
        if likelihood == Likelihood::Bernoulli {
            return Self { mean: vec![0.0; channels * window], scale: vec![1.0; channels * window] };
        }
        Self::of_channels(&moments(windows, channels), window)
    }

    /// [`Self::fit`] by the moments of each channel over all windows.
    pub(crate) fn of_channels(moments: &[Moments], window: usize) -> Self {
        Self::of(moments, window, Moments::constant_scale)
    }

    /// Mean and standard deviation of each condition over all windows, which each have it once.
    pub(crate) fn of_conditions<'a>(windows: impl Iterator<Item = &'a [f32]>, conditions: usize) -> Self {
        Self::of_condition_moments(&moments(windows, conditions))
    }

    /// [`Self::of_conditions`] by the moments of each condition over all windows.
    pub(crate) fn of_condition_moments(moments: &[Moments]) -> Self {
        Self::of(moments, 1, |constant, smallest| CONSTANT_CONDITION * constant.mean.abs().max(smallest))
    }

    /// The scale of what does not vary is told by its moments and the smallest standard deviation of what varies.
    fn of(moments: &[Moments], window: usize, of_constant: fn(&Moments, f64) -> f64) -> Self {
        let smallest = smallest_deviation(moments);
        let scale = |m: &Moments| if m.is_constant() { of_constant(m, smallest) } else { m.deviation() };
        let repeat = |values: Vec<f32>| values.iter().copied().cycle().take(moments.len() * window).collect();
        Self {
            mean: repeat(moments.iter().map(|m| m.mean as f32).collect()),
            scale: repeat(moments.iter().map(|m| scale(m) as f32).collect()),
        }
    }

    /// Leaves these features as they are.
    pub(crate) fn leave(&mut self, features: impl Iterator<Item = usize>) {
        for feature in features {
            (self.mean[feature], self.scale[feature]) = (0.0, 1.0);
        }
    }

    /// The first feature that does not vary, or so far from 1 that standardised values times its scale leave the range of
    /// `f32`.
    pub(crate) fn unusable(&self) -> Option<usize> {
        /// Standard deviations that must be in range.
        const ROOM: f32 = 1000.0;
        self.mean.iter().zip(&self.scale).position(|(mean, scale)| {
            !(*scale > 0.0 && (ROOM / scale).is_finite() && (mean.abs() + ROOM * scale).is_finite())
        })
    }

    /// A window in standardised units.
    pub fn apply(&self, x: &[f32]) -> impl Iterator<Item = f32> {
        x.iter().zip(self.mean.iter().zip(&self.scale)).map(|(x, (mean, scale))| (x - mean) / scale)
    }
}

/// Of each of so many columns, over the rows of all windows.
fn moments<'a>(windows: impl Iterator<Item = &'a [f32]>, columns: usize) -> Vec<Moments> {
    Moments::of(windows.flat_map(|values| values.chunks_exact(columns.max(1))), columns)
}
