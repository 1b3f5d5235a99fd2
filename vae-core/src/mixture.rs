//! Mixtures of diagonal Gaussians over the latent space: a learned prior, and the aggregated posterior.

use rand_core::Rng;

use crate::{
    InferError, LoadError,
    format::{mixture_len, values},
    posterior::{LN_TWO_PI, uniform},
    standard_normal,
};

/// `Σ πₖ N(mₖ, diag 1/pₖ)`, as the file holds it: for each component `ln πₖ + ½ Σ ln pₖ`, then the means `mₖ`, then the
/// precisions `pₖ`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture<'m> {
    latent: usize,
    parameters: &'m [f32],
}

impl<'m> Mixture<'m> {
    pub(crate) fn new(array: &'m [u8], components: u32, latent: usize) -> Result<Self, LoadError> {
        Ok(Self { latent, parameters: values(array, (components as usize).saturating_mul(mixture_len(latent)))? })
    }

    /// Each component's constant, means and precisions.
    pub(crate) fn components(&self) -> impl Iterator<Item = (f32, &'m [f32], &'m [f32])> + use<'m> {
        let latent = self.latent;
        self.parameters.chunks_exact(mixture_len(latent)).filter_map(move |component| {
            let (constant, rest) = component.split_first()?;
            let (mean, precision) = rest.split_at_checked(latent)?;
            Some((*constant, mean, precision))
        })
    }

    /// `ln Σ πₖ exp E[ln N(z; mₖ, 1/pₖ)]` for `z` of this mean and these variances per dimension, in nats: for no variances
    /// the log-density of the mean. Between them lies nothing but Jensen's inequality: `E[ln Σ …]` is at least as large.
    ///
    /// # Source
    /// Hershey & Olsen (2007), *Approximating the Kullback Leibler divergence between Gaussian mixture models*, section 7.
    pub(crate) fn log_density(&self, mean: &[f32], variance: &[f32]) -> f32 {
        // Relative to the largest term so far, so that nothing overflows and nothing is stored.
        let (mut largest, mut total) = (f32::NEG_INFINITY, 0.0);
        for (constant, centre, precision) in self.components() {
            let variances = variance.iter().copied().chain(core::iter::repeat(0.0));
            let mut twice = 0.0;
            for (((mean, centre), precision), variance) in mean.iter().zip(centre).zip(precision).zip(variances) {
                let difference = mean - centre;
                twice += precision * (difference * difference + variance);
            }
            let term = constant - 0.5 * twice;
            if term > largest {
                total = total * libm::expf(largest - term) + 1.0;
                largest = term;
            } else {
                total += libm::expf(term - largest);
            }
        }
        largest + libm::logf(total) - 0.5 * LN_TWO_PI * mean.len() as f32
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
            *z = mean + standard_normal(rng) / libm::sqrtf(*precision);
        }
        Ok(())
    }
}
