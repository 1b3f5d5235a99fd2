//! Gaussians with a full covariance, `N(μ, L Lᵀ)`, by their means and the Cholesky factor L.

use rand_core::Rng;

use crate::arithmetic::{number::LN_TWO_PI, random::standard_normal};

/// The rows of a Cholesky factor up to the diagonal, one after the other, with `ln Lᵢᵢ` in place of `Lᵢᵢ`.
#[derive(Clone, Copy)]
pub(crate) struct Cholesky<'s> {
    pub(crate) dimensions: usize,
    pub(crate) entries: &'s [f32],
}

impl<'s> Cholesky<'s> {
    /// Each row: its entries below the diagonal, and the logarithm of the one on it.
    pub(crate) fn rows(self) -> impl DoubleEndedIterator<Item = (&'s [f32], f32)> {
        (0..self.dimensions).filter_map(move |row| self.row(row))
    }

    pub(crate) fn row(self, row: usize) -> Option<(&'s [f32], f32)> {
        let start = row * (row + 1) / 2;
        let (log_diagonal, below) = self.entries.get(start..=start + row)?.split_last()?;
        Some((below, *log_diagonal))
    }
}

/// Draws `μ + L ε` into `z`; returns its log-density, in nats.
pub(super) fn draw<R: Rng + ?Sized>(mean: &[f32], cholesky: Cholesky<'_>, rng: &mut R, z: &mut [f32]) -> f32 {
    let mut twice = 0.0;
    for (noise, (_, log_diagonal)) in z.iter_mut().zip(cholesky.rows()) {
        *noise = standard_normal(rng);
        twice += *noise * *noise + 2.0 * log_diagonal + LN_TWO_PI;
    }
    // From the last row up, so that each row still finds the noise of those before it.
    let mut rest = z;
    for ((below, log_diagonal), mean) in cholesky.rows().rev().zip(mean.iter().rev()) {
        let Some((own, before)) = rest.split_last_mut() else { break };
        let mut value = libm::expf(log_diagonal) * *own + mean;
        for (entry, noise) in below.iter().zip(before.iter()) {
            value += entry * noise;
        }
        *own = value;
        rest = before;
    }
    -0.5 * twice
}

/// The log-density at `z`, in nats; `ε` with `L ε = z − μ`, by forward substitution, is left in `work`.
pub(super) fn log_density(mean: &[f32], cholesky: Cholesky<'_>, z: &[f32], work: &mut [f32]) -> f32 {
    let mut twice = 0.0;
    for (row, ((below, log_diagonal), (z, mean))) in cholesky.rows().zip(z.iter().zip(mean)).enumerate() {
        let mut rest = z - mean;
        for (entry, noise) in below.iter().zip(work.iter()) {
            rest -= entry * noise;
        }
        let noise = rest * libm::expf(-log_diagonal);
        if let Some(slot) = work.get_mut(row) {
            *slot = noise;
        }
        twice += noise * noise + 2.0 * log_diagonal + LN_TWO_PI;
    }
    -0.5 * twice
}

/// Moves `z` by `step` times a column of the factor.
pub(super) fn step_along(axis: usize, step: f32, cholesky: Cholesky<'_>, z: &mut [f32]) {
    for (row, (z, (below, log_diagonal))) in z.iter_mut().zip(cholesky.rows()).enumerate() {
        if row == axis {
            *z += step * libm::expf(log_diagonal);
        } else if let Some(entry) = below.get(axis) {
            *z += step * entry;
        }
    }
}
