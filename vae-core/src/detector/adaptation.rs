//! What the features of one machine lie off those of the machines that the model knows.

use crate::{
    arithmetic::{
        number::{clamp, held},
        vector::Samples,
    },
    inference::vae::Vae,
    network::{error::InferError, pass::Pass, scratch::LayerBuffers},
};

/// A window moves a feature's shift by at most so many of the likelihood's standard deviations, times its weight.
const REACH: f32 = 4.0;

/// The weight of the nth window is `WEIGHT / (n + HEAD)`: more than the average's, for the first windows were reconstructed from features
/// that were still off.
const WEIGHT: f32 = 2.0;

/// Windows by which the first ones count less, so that one that is absurd has no great weight.
const HEAD: f32 = 8.0;

/// Subtracts from each feature what it is off; one that is off by nothing keeps its bits, and NaN stays NaN.
pub(crate) fn adapt(features: &mut [f32], shifts: &[f32]) {
    for (feature, shift) in features.iter_mut().zip(shifts) {
        // Only what was infinite is refused, and not what the shift makes so.
        *feature = clamp(*feature - shift, (f32::MIN, f32::MAX));
    }
}

impl Vae<'_> {
    /// Takes the `count`th window of a new baseline, whose reconstruction `pass` is about to finish: moves each shift by what the feature is
    /// off its reconstruction.
    ///
    /// The mean of a feature would be off by where load and speed happened to be while it was measured, which takes thousands of windows to
    /// average out. The reconstruction has the same load and speed, as far as the features tell them, so that tens of windows are enough.
    /// What it follows, a machine of the kind does by itself, and no score is the lower for it.
    ///
    /// # Source
    /// H. Robbins, S. Monro (1951), *A stochastic approximation method*: finds the shifts with which nothing is off on average.
    pub(crate) fn measure_shifts(
        &self,
        x: Samples<'_>,
        pass: &mut Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
        count: u32,
        shifts: &mut [f32],
    ) -> Result<(), InferError> {
        let weight = WEIGHT / (count as f32 + HEAD);
        pass.finish(buffers, &mut |start, outputs, chunk| {
            self.likelihood.residuals(x, start, outputs, chunk, REACH, &mut |feature, off| {
                if let Some(shift) = shifts.get_mut(feature) {
                    *shift = held(*shift, *shift + weight * off);
                }
            })
        })
    }
}
