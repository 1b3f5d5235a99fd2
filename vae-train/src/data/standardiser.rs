//! Mean and scale of each feature, by which a network sees its data.

use serde::{Deserialize, Serialize};

use crate::{statistics::moments::Moments, weights::family::Likelihood};

/// The scale of a channel that is constant in normal data, as a fraction of its magnitude, or of the smallest standard
/// deviation of the others where that is larger: what differs by more has never been seen, and scores so.
const CONSTANT_SCALE: f64 = 0.01;

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
    /// a Bernoulli likelihood, whose data stay as they are.
    pub(crate) fn fit<'a>(
        windows: impl Iterator<Item = &'a [f32]>,
        channels: usize,
        window: usize,
        likelihood: Likelihood,
    ) -> Self {
        if likelihood == Likelihood::Bernoulli {
            return Self { mean: vec![0.0; channels * window], scale: vec![1.0; channels * window] };
        }
        let moments = Moments::of(windows.flat_map(|values| values.chunks_exact(channels.max(1))), channels);
        let varying = moments.iter().filter(|m| !m.is_constant()).map(Moments::deviation);
        let smallest = varying.fold(f64::INFINITY, f64::min);
        let scale = |m: &Moments| match m.is_constant() {
            false => m.deviation(),
            true if m.mean.abs() > smallest => CONSTANT_SCALE * m.mean.abs(),
            true => CONSTANT_SCALE * smallest,
        };
        let repeat = |values: Vec<f32>| values.iter().copied().cycle().take(channels * window).collect();
        Self {
            mean: repeat(moments.iter().map(|m| m.mean as f32).collect()),
            scale: repeat(moments.iter().map(|m| scale(m) as f32).collect()),
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
