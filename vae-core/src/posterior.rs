//! The encoder's posterior `q(z|x)`.

use nalgebra::DVectorView;
use rand_core::Rng;

use crate::{AsVector, InferError, standard_normal};

/// Log-variances of the posterior are limited to ± this value: σ between 0.0067 and 148.
///
/// The trainer applies the same limit, so that it is part of the model and not a correction made afterwards.
pub const LOG_VARIANCE_LIMIT: f32 = 10.0;

const LN_TWO_PI: f32 = 1.837_877_1;

/// A diagonal Gaussian `N(μ, diag σ²)` over the latent vector, viewed in the scratch that it was encoded into.
///
/// # Source
/// Kingma & Welling (2014), *Auto-Encoding Variational Bayes*, section 3 and appendix B.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'s> {
    mean: DVectorView<'s, f32>,
    log_variance: DVectorView<'s, f32>,
}

impl<'s> Posterior<'s> {
    /// A posterior from its parameters: `mean` and `log_variance`, one value per latent dimension.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the two differ in length.
    pub fn new(mean: DVectorView<'s, f32>, log_variance: DVectorView<'s, f32>) -> Result<Self, InferError> {
        if mean.len() == log_variance.len() {
            Ok(Self { mean, log_variance })
        } else {
            Err(InferError::WrongLength { needed: mean.len(), found: log_variance.len() })
        }
    }

    /// A view of `parameters`: the means, then as many log-variances.
    pub(crate) fn from_parameters(parameters: &'s [f32]) -> Self {
        let (mean, rest) = parameters.split_at(parameters.len() / 2);
        Self {
            mean: DVectorView::from_slice(mean, mean.len()),
            log_variance: DVectorView::from_slice(rest, mean.len()),
        }
    }

    /// The means μ, one per latent dimension.
    #[must_use]
    pub fn mean(&self) -> DVectorView<'s, f32> {
        self.mean
    }

    /// The log-variances `ln σ²`, one per latent dimension, within ±[`LOG_VARIANCE_LIMIT`].
    #[must_use]
    pub fn log_variance(&self) -> DVectorView<'s, f32> {
        self.log_variance
    }

    /// `KL(q(z|x) ‖ N(0, I)) = ½ Σ (σ² + μ² − 1 − ln σ²)`, in nats.
    ///
    /// # Accuracy
    /// Error below `1e-6 · KL + 6e-8 · Σ |ln σ²|`; `σ² − 1` is computed as `expm1`, so that little cancels where the
    /// posterior is close to the prior.
    ///
    /// # Source
    /// Kingma & Welling (2014), appendix B.
    #[must_use]
    pub fn kl(&self) -> f32 {
        let mut twice = 0.0;
        for (mean, log_variance) in self.mean.iter().zip(self.log_variance.iter()) {
            twice += mean * mean + (libm::expm1f(*log_variance) - log_variance);
        }
        0.5 * twice
    }

    /// Draws `z = μ + σ ⊙ ε`, `ε ~ N(0, I)`, into `z` (one value per latent dimension).
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    ///
    /// # Source
    /// The reparameterisation of Kingma & Welling (2014), section 2.4.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        self.sample_with_noise(rng, z).map(|_| ())
    }

    /// As [`Self::sample`]; returns `½ Σ ε²`.
    pub(crate) fn sample_with_noise<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<f32, InferError> {
        if z.len() != self.mean.len() {
            return Err(InferError::WrongLength { needed: self.mean.len(), found: z.len() });
        }
        let mut energy = 0.0;
        for (z, (mean, log_variance)) in z.iter_mut().zip(self.mean.iter().zip(self.log_variance.iter())) {
            let noise = standard_normal(rng);
            energy += 0.5 * noise * noise;
            *z = mean + libm::expf(0.5 * log_variance) * noise;
        }
        Ok(energy)
    }

    /// `ln q(z|x)`, in nats.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    pub fn log_density(&self, z: &(impl AsVector + ?Sized)) -> Result<f32, InferError> {
        let z = z.as_vector();
        if z.len() != self.mean.len() {
            return Err(InferError::WrongLength { needed: self.mean.len(), found: z.len() });
        }
        let mut twice = 0.0;
        for (z, (mean, log_variance)) in z.iter().zip(self.mean.iter().zip(self.log_variance.iter())) {
            let difference = z - mean;
            twice += difference * difference * libm::expf(-log_variance) + log_variance + LN_TWO_PI;
        }
        Ok(-0.5 * twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::{TryRng, utils};

    /// SplitMix64 (Steele, Lea & Flood 2014): small, seeded, good enough to sample from.
    struct SplitMix(u64);

    impl TryRng for SplitMix {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.try_next_u64().map(|word| (word >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Ok(z ^ (z >> 31))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
        }
    }

    fn posterior<'a>(mean: &'a [f32], log_variance: &'a [f32]) -> Posterior<'a> {
        Posterior::new(mean.as_vector(), log_variance.as_vector()).unwrap()
    }

    #[test]
    fn kl_agrees_with_f64_and_vanishes_at_the_prior() {
        assert_eq!(posterior(&[0.0; 5], &[0.0; 5]).kl(), 0.0);
        for (mean, log_variance) in
            [(0.3f32, -2.0f32), (-4.0, 0.5), (1e-3, 1e-3), (0.0, -1e-2), (2.0, 10.0), (0.1, -10.0)]
        {
            let (m, v) = (f64::from(mean), f64::from(log_variance));
            let exact = 0.5 * (libm::exp(v) + m * m - 1.0 - v);
            let found = f64::from(posterior(&[mean], &[log_variance]).kl());
            assert!((found - exact).abs() <= 1e-6 * exact + 6e-8 * v.abs(), "{found} for {exact}");
            assert!(found >= 0.0);
        }
    }

    #[test]
    fn sampled_moments_agree_with_the_parameters() {
        let q = posterior(&[0.5, -2.0], &[0.0, -3.0]);
        let (mut rng, mut z) = (SplitMix(7), [0.0; 2]);
        const DRAWS: usize = 200_000;
        let (mut sum, mut square, mut cross) = ([0.0f64; 2], [0.0f64; 2], 0.0f64);
        for _ in 0..DRAWS {
            q.sample(&mut rng, &mut z).unwrap();
            let deviation = [f64::from(z[0]) - 0.5, (f64::from(z[1]) + 2.0) / libm::exp(-1.5)];
            for d in 0..2 {
                sum[d] += deviation[d];
                square[d] += deviation[d] * deviation[d];
            }
            cross += deviation[0] * deviation[1];
        }
        // Standard errors of mean, variance and correlation are 1, √2 and 1 over √DRAWS; five of them are allowed.
        let allowed = 5.0 / libm::sqrt(DRAWS as f64);
        for d in 0..2 {
            assert!((sum[d] / DRAWS as f64).abs() < allowed);
            assert!((square[d] / DRAWS as f64 - 1.0).abs() < allowed * core::f64::consts::SQRT_2);
        }
        assert!((cross / DRAWS as f64).abs() < allowed);
    }

    #[test]
    fn log_density_is_the_gaussian_formula() {
        let q = posterior(&[0.5, -2.0], &[0.4, -3.0]);
        let mut exact = 0.0;
        for (z, m, v) in [(1.0f64, 0.5f64, f64::from(0.4f32)), (-2.5, -2.0, -3.0)] {
            exact -= 0.5 * ((z - m) * (z - m) / libm::exp(v) + v + libm::log(core::f64::consts::TAU));
        }
        assert!((f64::from(q.log_density(&[1.0, -2.5]).unwrap()) - exact).abs() < 1e-5);
        assert_eq!(q.log_density(&[1.0]), Err(InferError::WrongLength { needed: 2, found: 1 }));
        assert_eq!(q.sample(&mut SplitMix(1), &mut [0.0]), Err(InferError::WrongLength { needed: 2, found: 1 }));
        assert!(Posterior::new([0.0].as_slice().as_vector(), [0.0, 1.0].as_slice().as_vector()).is_err());
    }
}
