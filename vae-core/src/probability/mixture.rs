//! Mixtures of diagonal Gaussians over the latent space: a learned prior, and the aggregated posterior.

use rand_core::Rng;

use crate::{
    arithmetic::random::{standard_normal, uniform},
    format::{error::LoadError, record::all_values},
    network::error::InferError,
};

/// `Σ πₖ N(mₖ, diag 1/pₖ)`, as the file holds it: for each component `ln πₖ + ½ Σ ln pₖ`, then the means `mₖ`, then the
/// precisions `pₖ`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture<'m> {
    pub(crate) latent: usize,
    /// What is not a whole component is not read.
    pub(crate) parameters: &'m [f32],
}

impl<'m> Mixture<'m> {
    /// An array of the file, which up to three bytes align.
    pub(crate) fn read(array: &'m [u8], latent: usize) -> Result<Self, LoadError> {
        Ok(Self { latent, parameters: all_values(array)? })
    }

    /// Each component's constant, means and precisions.
    pub(crate) fn components(&self) -> impl Iterator<Item = (f32, &'m [f32], &'m [f32])> + use<'m> {
        let Self { latent, parameters: mut rest } = *self;
        core::iter::from_fn(move || {
            let (constant, parameters) = rest.split_first()?;
            let (mean, parameters) = parameters.split_at_checked(latent)?;
            let (precision, parameters) = parameters.split_at_checked(latent)?;
            rest = parameters;
            Some((*constant, mean, precision))
        })
    }

    /// `ln Σ exp(cₖ − ½ squares(mₖ, pₖ))` with the components' constants `cₖ`: for `squares = Σ p (z − m)²` the log-density of
    /// `z`, and for their expectation over `z` a lower bound of the expected log-density; `½ d ln 2π` more than either.
    ///
    /// # Source
    /// Hershey & Olsen (2007), *Approximating the Kullback Leibler divergence between Gaussian mixture models*, section 7.
    pub(crate) fn log_sum(&self, squares: impl Fn(&[f32], &[f32]) -> f32) -> f32 {
        // e to the greatest term, so that nothing overflows, times a sum that is at least 1.
        let (mut largest, mut sum) = (f32::NEG_INFINITY, 0.0);
        for (constant, centre, precision) in self.components() {
            let term = constant - 0.5 * squares(centre, precision);
            if term > largest {
                (largest, sum) = (term, sum * libm::expf(largest - term) + 1.0);
            } else {
                sum += libm::expf(term - largest);
            }
        }
        largest + libm::logf(sum)
    }

    /// Draws from the mixture into `z`.
    pub(crate) fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        let uniform = uniform(rng);
        // The last component stands in where rounding leaves the sum of the weights below the draw.
        let (mut sum, mut chosen) = (0.0, None);
        for (constant, mean, precision) in self.components() {
            let log_weight = precision.iter().fold(constant, |sum, precision| sum - 0.5 * libm::logf(*precision));
            sum += libm::expf(log_weight);
            chosen = Some((mean, precision));
            if uniform < sum {
                break;
            }
        }
        let (mean, precision) = chosen.ok_or(InferError::Absent)?;
        for (z, (mean, precision)) in z.iter_mut().zip(mean.iter().zip(precision)) {
            // A hostile file's precision may be 0 or less.
            *z = mean + standard_normal(rng) / libm::sqrtf(precision.max(f32::MIN_POSITIVE));
        }
        Ok(())
    }
}
