//! Diagonal Gaussians `N(μ, diag exp v)`, by their means and log-variances.

use rand_core::Rng;

use crate::arithmetic::{number::LN_TWO_PI, random::standard_normal};

/// Draws `μ + σ ⊙ ε` into `z`; returns its log-density, in nats.
pub(super) fn draw<R: Rng + ?Sized>(mean: &[f32], log_variance: &[f32], rng: &mut R, z: &mut [f32]) -> f32 {
    let mut twice = 0.0;
    for (z, (mean, log_variance)) in z.iter_mut().zip(mean.iter().zip(log_variance)) {
        let noise = standard_normal(rng);
        twice += noise * noise + log_variance + LN_TWO_PI;
        *z = mean + libm::expf(0.5 * log_variance) * noise;
    }
    -0.5 * twice
}

/// The log-density at `z`, in nats.
pub(super) fn log_density(mean: &[f32], log_variance: &[f32], z: &[f32]) -> f32 {
    let mut twice = 0.0;
    for (z, (mean, log_variance)) in z.iter().zip(mean.iter().zip(log_variance)) {
        let difference = z - mean;
        twice += difference * difference * libm::expf(-log_variance) + log_variance + LN_TWO_PI;
    }
    -0.5 * twice
}

/// Moves `z` by `step` standard deviations along an axis.
pub(super) fn step_along(axis: usize, step: f32, log_variance: &[f32], z: &mut [f32]) {
    if let (Some(z), Some(log_variance)) = (z.get_mut(axis), log_variance.get(axis)) {
        *z += step * libm::expf(0.5 * log_variance);
    }
}
