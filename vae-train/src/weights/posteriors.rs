//! Posteriors of some windows, kept: the aggregated posterior as it is defined.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use vae_core::{AsVector, InferError, Posterior};

use crate::weights::family;

/// Posteriors `q(z|xᵢ)` of N windows. Each as likely as the others they are the aggregated posterior `1/N Σ q(z|xᵢ)`.
///
/// # Source
/// Seed text "Variational autoencoders", "Applications"; Makhzani et al. (2015), *Adversarial Autoencoders*, section 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posteriors {
    /// The family.
    pub family: family::Posterior,
    /// Latent dimensions.
    pub latent: usize,
    /// Of each window what the encoder puts out, as [`Posterior`] takes it: the means or logits, then log-variances or the Cholesky factor's rows.
    pub parameters: Vec<f32>,
}

impl Posteriors {
    /// How many windows they are of.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parameters.len() / self.width()
    }

    fn width(&self) -> usize {
        self.family.kind().parameters(self.latent)
    }

    /// Each window's means (of discrete latents: logits).
    pub fn locations(&self) -> impl Iterator<Item = &[f32]> {
        self.parameters.chunks_exact(self.width()).map(|parameters| &parameters[..self.latent])
    }

    /// Each window's latent vector in the mean, one behind the other; of discrete latents probabilities.
    ///
    /// # Errors
    /// If the parameters are of another family.
    pub fn means(&self) -> Result<Vec<f32>, InferError> {
        let mut means = vec![0.0; self.count() * self.latent];
        for (index, z) in means.chunks_exact_mut(self.latent).enumerate() {
            self.at(index)?.mean(z)?;
        }
        Ok(means)
    }

    /// Each window's variances, on the diagonal of its covariance; of discrete latents zeros.
    pub fn variances(&self) -> impl Iterator<Item = f32> {
        let of_axis = |spread: &[f32], axis: usize| match self.family {
            family::Posterior::Diagonal => libm::expf(spread[axis]),
            family::Posterior::Full => {
                let entries = &spread[axis * (axis + 1) / 2..][..=axis];
                entries[..axis].iter().map(|entry| entry * entry).sum::<f32>() + libm::expf(2.0 * entries[axis])
            }
            family::Posterior::Bernoulli | family::Posterior::Categorical { .. } => 0.0,
        };
        let spreads = self.parameters.chunks_exact(self.width()).map(|parameters| &parameters[self.latent..]);
        spreads.flat_map(move |spread| (0..self.latent).map(move |axis| of_axis(spread, axis)))
    }

    /// That of one window.
    ///
    /// # Errors
    /// If there are fewer windows.
    pub fn at(&self, index: usize) -> Result<Posterior<'_>, InferError> {
        let error = InferError::WrongLength { needed: (index + 1) * self.width(), found: self.parameters.len() };
        let parameters = self.parameters.chunks_exact(self.width()).nth(index).ok_or(error)?;
        let (location, spread) = parameters.split_at(self.latent);
        match self.family {
            family::Posterior::Diagonal => Posterior::diagonal(location.as_vector(), spread.as_vector()),
            family::Posterior::Full => Posterior::full(location.as_vector(), spread.as_vector()),
            family::Posterior::Bernoulli => Ok(Posterior::bernoulli(location.as_vector())),
            family::Posterior::Categorical { categories } => {
                Posterior::categorical(location.as_vector(), categories as u32)
            }
        }
    }

    /// At most so many of them, evenly spaced.
    #[must_use]
    pub fn thinned(&self, most: usize) -> Self {
        let step = self.count().div_ceil(most.max(1)).max(1);
        let parameters = self.parameters.chunks_exact(self.width()).step_by(step).flatten().copied().collect();
        Self { parameters, ..*self }
    }

    /// Draws from the aggregated posterior into `z`: from that of a window, each as likely as the others.
    ///
    /// # Errors
    /// If there are none, or `z` has not [`Self::latent`] values.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        self.at(rng.random_range(0..self.count().max(1)))?.sample(rng, z)
    }

    /// `ln 1/N Σ q(z|xᵢ)`, in nats.
    ///
    /// # Errors
    /// If `z` has not [`Self::latent`] values.
    pub fn log_density(&self, z: &[f32]) -> Result<f64, InferError> {
        let mut work = vec![0.0; self.latent];
        let nats = (0..self.count()).map(|index| Ok(f64::from(self.at(index)?.log_density(z, &mut work[..])?)));
        let nats: Vec<f64> = nats.collect::<Result<_, InferError>>()?;
        let largest = nats.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = nats.iter().map(|nats| libm::exp(nats - largest)).sum();
        Ok(largest + libm::log(sum / nats.len() as f64))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Three posteriors with full covariances over two dimensions: means, then ln L₁₁, L₂₁ and ln L₂₂.
    fn posteriors() -> Posteriors {
        let parameters = vec![1.0, -2.0, -0.5, 0.3, 0.2, -3.0, 0.5, 0.1, -0.4, -1.0, 0.2, 2.0, -1.2, 0.0, 0.4];
        Posteriors { family: family::Posterior::Full, latent: 2, parameters }
    }

    #[test]
    fn the_aggregate_s_density_is_the_sum_of_the_posteriors() {
        let posteriors = posteriors();
        for z in [[0.5f32, -1.0], [-3.2, 0.1], [8.0, 9.0]] {
            let density = |p: &[f32]| {
                let p: Vec<f64> = p.iter().map(|value| f64::from(*value)).collect();
                // L v = z − μ by substitution: the density is exp(−½ v²) / (2π L₁₁ L₂₂).
                let first = (f64::from(z[0]) - p[0]) / p[2].exp();
                let second = (f64::from(z[1]) - p[1] - p[3] * first) / p[4].exp();
                (-0.5 * (first * first + second * second) - p[2] - p[4]).exp() / std::f64::consts::TAU
            };
            let exact = (posteriors.parameters.chunks(5).map(density).sum::<f64>() / 3.0).ln();
            let found = posteriors.log_density(&z).unwrap();
            assert!((found - exact).abs() < 2e-5 * exact.abs().max(1.0), "{found} for {exact}");
        }
        assert!(posteriors.log_density(&[0.0]).is_err());
    }

    #[test]
    fn draws_are_of_all_windows_alike_and_thinning_keeps_evenly_spaced_ones() {
        let posteriors = posteriors();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (draws, mut sum, mut z) = (20_000, [0.0; 2], [0.0; 2]);
        for _ in 0..draws {
            posteriors.sample(&mut rng, &mut z).unwrap();
            sum = [sum[0] + f64::from(z[0]), sum[1] + f64::from(z[1])];
        }
        // The mean of the means, within five standard errors of draws whose variance is below 6.
        for (sum, exact) in sum.iter().zip([-1.8 / 3.0, 0.5 / 3.0]) {
            assert!(
                (sum / f64::from(draws) - exact).abs() < 5.0 * (6.0 / f64::from(draws)).sqrt(),
                "{sum} for {exact}"
            );
        }
        let thinned = posteriors.thinned(2);
        assert_eq!((thinned.count(), posteriors.thinned(5)), (2, posteriors.clone()));
        assert_eq!(thinned.parameters, [&posteriors.parameters[..5], &posteriors.parameters[10..]].concat());
        assert!(posteriors.at(3).is_err() && Posteriors { parameters: Vec::new(), ..posteriors }.at(0).is_err());
    }
}
