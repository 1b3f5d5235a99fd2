//! Mixtures of diagonal Gaussians over the latent space: a learned prior, and the aggregated posterior.

use rand_core::Rng;

use crate::{InferError, LoadError, activation::softplus, format::values, posterior::uniform, standard_normal};

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
        Ok(Self { latent, parameters: values(array, array.len() / size_of::<f32>())? })
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
        let mut total = f32::NEG_INFINITY;
        for (constant, centre, precision) in self.components() {
            let term = constant - 0.5 * squares(centre, precision);
            // ln(eᵃ + eᵇ), by the larger one, so that nothing overflows.
            let (larger, smaller) = if total > term { (total, term) } else { (term, total) };
            total = larger + softplus(smaller - larger);
        }
        total
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AsVector, Posterior, posterior::tests::SplitMix, prior::Prior};

    /// Weights 0.2, 0.5 and 0.3, means, and standard deviations of three components in two dimensions.
    const COMPONENTS: [(f64, [f64; 2], [f64; 2]); 3] =
        [(0.2, [-2.0, 0.5], [0.3, 1.0]), (0.5, [1.0, 1.0], [0.5, 0.2]), (0.3, [0.0, -3.0], [2.0, 0.7])];

    fn parameters() -> [f32; 15] {
        let mut parameters = [0.0; 15];
        for (slots, (weight, mean, deviation)) in parameters.chunks_exact_mut(5).zip(COMPONENTS) {
            let [a, b] = deviation;
            let values = [libm::log(weight / (a * b)), mean[0], mean[1], 1.0 / (a * a), 1.0 / (b * b)];
            slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = value as f32);
        }
        parameters
    }

    /// `ln Σ πₖ exp(E[ln N(z; mₖ, sₖ²)])` from the definitions, in f64.
    fn exact(mean: [f64; 2], variance: [f64; 2]) -> f64 {
        let each = COMPONENTS.map(|(weight, centre, deviation)| {
            let nats = (0..2).map(|axis| {
                let s = deviation[axis] * deviation[axis];
                let square = (mean[axis] - centre[axis]) * (mean[axis] - centre[axis]) + variance[axis];
                -0.5 * (libm::log(core::f64::consts::TAU * s) + square / s)
            });
            weight * libm::exp(nats.sum::<f64>())
        });
        libm::log(each.iter().sum())
    }

    #[test]
    fn densities_are_those_of_the_definition() {
        let parameters = parameters();
        let mixture = Mixture { latent: 2, parameters: &parameters };
        for z in [[0.0, 0.0], [-2.0, 0.4], [5.0, -3.0], [1.0, 1.1]] {
            let found = Prior::Mixture(mixture).log_density(&z.map(|z: f64| z as f32));
            assert!((f64::from(found) - exact(z, [0.0; 2])).abs() < 1e-4, "{found} at {z:?}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many samples for an interpreter")]
    fn the_kl_is_the_bound_and_that_is_above_the_kl_by_samples() {
        let parameters = parameters();
        let prior = Prior::Mixture(Mixture { latent: 2, parameters: &parameters });
        let (mean, log_variance) = ([0.4f32, 0.2], [-1.0f32, 0.3]);
        let diagonal = Posterior::diagonal(mean.as_slice().as_vector(), log_variance.as_slice().as_vector()).unwrap();
        let variances = log_variance.map(|v| libm::exp(f64::from(v)));
        let entropy: f64 =
            variances.iter().map(|v| 0.5 * libm::log(core::f64::consts::TAU * core::f64::consts::E * v)).sum();
        let bound = -entropy - exact(mean.map(f64::from), variances);
        let mut work = [0.0; 2];
        let found = f64::from(prior.kl(&diagonal, &mut work));
        assert!((found - bound).abs() < 1e-5, "{found} for {bound}");
        let mut rng = SplitMix(6);
        let samples = 20_000;
        let sampled: f64 = (0..samples)
            .map(|_| f64::from(diagonal.draw(&mut rng, &mut work).unwrap() - prior.log_density(&work)))
            .sum::<f64>()
            / f64::from(samples);
        // ln q − ln p has a standard deviation below 2: the mean of 20,000 is within 0.06.
        assert!(sampled < bound + 0.06 && sampled > 0.0, "{sampled} above {bound}");
    }

    #[test]
    fn one_standard_component_is_the_standard_prior() {
        let parameters = [0.0, 0.0, 0.0, 1.0, 1.0];
        let prior = Prior::Mixture(Mixture { latent: 2, parameters: &parameters });
        let (mean, log_variance) = ([0.4f32, -1.2], [-1.0f32, 0.3]);
        let posterior = Posterior::diagonal(mean.as_slice().as_vector(), log_variance.as_slice().as_vector()).unwrap();
        assert!((prior.kl(&posterior, &mut [0.0; 2]) - posterior.kl()).abs() < 1e-6);
        assert!((prior.log_density(&mean) - Prior::Normal.log_density(&mean)).abs() < 1e-6);
    }
}
