//! The evidence lower bound.

use rand_core::Rng;

use crate::{
    arithmetic::vector::{AsWindow, Samples},
    inference::vae::Vae,
    model::Model,
    network::{error::InferError, scratch::Scratch},
    probability::posterior::Posterior,
};

/// A window's score. All values are in nats, of densities in the units of the input: of what was observed of it, so that windows of which
/// different features are missing compare by [`Model::score`] alone.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Score {
    /// The evidence lower bound, `reconstruction − kl`: the lower, the less the window is like the training data.
    pub elbo: f32,
    /// `E_q[ln p(x|z)]`, or the approximation that the method's name says.
    pub reconstruction: f32,
    /// `KL(q(z|x) ‖ p(z))`, in closed form. To a learned prior, a mixture, it is the upper bound `−ln Σ πₖ exp −KL(q ‖ pₖ)`
    /// of Hershey & Olsen (2007), section 7, so that `elbo` stays a lower bound.
    pub kl: f32,
    /// Standard error of `elbo` and `reconstruction`; 0 for a method without randomness, and for a single sample.
    pub standard_error: f32,
    /// Features that were not observed (NaN) and are left out of `reconstruction`.
    pub missing: u32,
}

/// The expectation of `ln p(x|z)` and its standard error, from the posterior, a latent buffer and `z ↦ ln p(x|z)`.
type Expectation<'e> = &'e mut dyn FnMut(
    &Posterior<'_>,
    &mut [f32],
    &mut dyn FnMut(&[f32]) -> Result<f32, InferError>,
) -> Result<(f32, f32), InferError>;

impl Model<'_> {
    /// The ELBO with the expectation over `q(z|x)` replaced by its value at the posterior mean: one decoding, no randomness.
    ///
    /// It exceeds the ELBO of a linear decoder by `½ tr(W Σ Wᵀ) / σ²` and ranks windows nearly as the ELBO does.
    /// `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn elbo_at_mean(&self, x: &(impl AsWindow + ?Sized), scratch: &mut Scratch<'_>) -> Result<Score, InferError> {
        self.expect(x.as_window(), scratch, &mut |posterior, z, decode| {
            posterior.mean(z)?;
            Ok((decode(z)?, 0.0))
        })
    }

    /// The ELBO by the mean over `samples` draws from `q(z|x)`.
    ///
    /// `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; see [`InferError`].
    ///
    /// # Source
    /// Kingma & Welling (2014), equation 10.
    pub fn elbo<R: Rng + ?Sized>(
        &self,
        x: &(impl AsWindow + ?Sized),
        samples: u32,
        rng: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<Score, InferError> {
        if samples == 0 {
            return Err(InferError::NoSamples);
        }
        self.expect(x.as_window(), scratch, &mut |posterior, z, decode| {
            // Welford (1962): mean and sum of squared deviations in one pass.
            let (mut mean, mut deviations) = (0.0, 0.0);
            for count in 1..=samples {
                posterior.sample(rng, z)?;
                let nats = decode(z)?;
                let difference = nats - mean;
                mean += difference / count as f32;
                deviations += difference * (nats - mean);
            }
            let degrees = (samples - 1) as f32;
            Ok((mean, if samples == 1 { 0.0 } else { libm::sqrtf(deviations / (degrees * samples as f32)) }))
        })
    }

    /// The ELBO by symmetric sigma points, `μ ± √d Lᵢ` for each column `Lᵢ` of the covariance's Cholesky factor (for a diagonal
    /// posterior, σ along each axis): `2d` decodings, no randomness.
    ///
    /// Exact where `ln p(x|z)` is quadratic in `z`, as it is for a linear decoder with a Gaussian likelihood.
    /// `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// [`InferError::Unsupported`] for Bernoulli latents; see [`InferError`].
    ///
    /// # Source
    /// Julier & Uhlmann (2004), *Unscented filtering and nonlinear estimation*, equation 12 with κ = 0.
    pub fn elbo_sigma_points(
        &self,
        x: &(impl AsWindow + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<Score, InferError> {
        self.expect(x.as_window(), scratch, &mut |posterior, z, decode| {
            let mut sum = 0.0;
            for axis in 0..z.len() {
                for sign in [1.0, -1.0] {
                    posterior.sigma_point(axis, sign, z)?;
                    sum += decode(z)?;
                }
            }
            Ok((sum / (2 * z.len()) as f32, 0.0))
        })
    }

    /// Encodes `x` and scores it.
    fn expect(
        &self,
        x: Samples<'_>,
        scratch: &mut Scratch<'_>,
        expectation: Expectation<'_>,
    ) -> Result<Score, InferError> {
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x)?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut x, &mut buffers)?;
        let posterior = vae.posterior(self.latent(), buffers.posterior)?;
        let mut decode = |z: &[f32]| vae.log_conditional(&x, z, &mut buffers.layers);
        let (reconstruction, standard_error) = expectation(&posterior, buffers.latent, &mut decode)?;
        // The decoder is done with the latent vector.
        let kl = vae.prior.kl(&posterior, buffers.latent);
        let elbo = reconstruction - kl;
        if elbo.is_finite() {
            Ok(Score { elbo, reconstruction, kl, standard_error, missing: x.missing() })
        } else {
            Err(InferError::Overflow)
        }
    }
}
