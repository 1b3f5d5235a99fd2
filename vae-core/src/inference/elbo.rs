//! The evidence lower bound.

use rand_core::Rng;

use crate::{
    arithmetic::vector::{AsWindow, Samples},
    inference::{estimator::Estimator, vae::Vae},
    model::Model,
    network::{
        error::InferError,
        scratch::{Buffers, LayerBuffers, Scratch},
    },
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
    /// of Hershey & Olsen (2007), section 7, so that `elbo` stays a lower bound, though a lower one than the ELBO;
    /// [`Model::evidence`] has both without bias, by samples.
    pub kl: f32,
    /// Standard error of `elbo`; 0 for a method without randomness, and for a single sample.
    pub standard_error: f32,
    /// Features that were not observed (NaN) and are left out of `reconstruction`.
    pub missing: u32,
}

/// An estimator of the expectation of `ln p(x|z)` over the posterior.
pub(crate) trait Expectation: Estimator {
    /// The expectation and its standard error, in nats.
    fn expectation(&self) -> (f32, f32);
}

/// The expectation's value at the posterior's mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtMean {
    nats: f32,
}

impl Estimator for AtMean {
    fn draw(
        &mut self,
        _: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        _: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        posterior.mean(z)
    }

    fn add(&mut self, nats: f32) -> bool {
        self.nats = nats;
        false
    }
}

impl Expectation for AtMean {
    fn expectation(&self) -> (f32, f32) {
        (self.nats, 0.0)
    }
}

/// A mean in the making, with its standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Average {
    count: u32,
    mean: f32,
    /// Sum of the squared deviations.
    deviations: f32,
}

impl Average {
    pub(crate) const EMPTY: Self = Self { count: 0, mean: 0.0, deviations: 0.0 };

    /// Welford (1962): mean and sum of squared deviations in one pass.
    pub(crate) fn add(&mut self, value: f32) {
        self.count += 1;
        let difference = value - self.mean;
        self.mean += difference / self.count as f32;
        self.deviations += difference * (value - self.mean);
    }

    pub(crate) fn mean_and_error(&self) -> (f32, f32) {
        let degrees = self.count.saturating_sub(1) as f32;
        let variance = self.deviations / (degrees * self.count as f32);
        (self.mean, if self.count > 1 { libm::sqrtf(variance) } else { 0.0 })
    }
}

/// The mean over draws from the posterior.
#[derive(Clone, Debug)]
pub(crate) struct BySamples<R> {
    rng: R,
    samples: u32,
    average: Average,
}

impl<R: Rng> BySamples<R> {
    pub(crate) fn new(samples: u32, rng: R) -> Self {
        Self { rng, samples, average: Average::EMPTY }
    }
}

impl<R: Rng> Estimator for BySamples<R> {
    fn draw(
        &mut self,
        _: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        _: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        posterior.draw(&mut self.rng, z).map(|_| ())
    }

    fn add(&mut self, nats: f32) -> bool {
        self.average.add(nats);
        self.average.count < self.samples
    }
}

impl<R: Rng> Expectation for BySamples<R> {
    fn expectation(&self) -> (f32, f32) {
        self.average.mean_and_error()
    }
}

/// The mean over the posterior's sigma points.
#[derive(Default)]
struct SigmaPoints {
    /// Two for each axis.
    drawn: usize,
    points: usize,
    sum: f32,
}

impl Estimator for SigmaPoints {
    fn draw(
        &mut self,
        _: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        _: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        self.points = 2 * z.len();
        let sign = if self.drawn.is_multiple_of(2) { 1.0 } else { -1.0 };
        posterior.sigma_point(self.drawn / 2, sign, z)
    }

    fn add(&mut self, nats: f32) -> bool {
        self.drawn += 1;
        self.sum += nats;
        self.drawn < self.points
    }
}

impl Expectation for SigmaPoints {
    fn expectation(&self) -> (f32, f32) {
        (self.sum / self.points as f32, 0.0)
    }
}

impl Vae<'_> {
    /// The bound by an expectation of `ln p(x|z)`, and the divergence that it loses; `z` is overwritten.
    pub(crate) fn bound(
        &self,
        reconstruction: f32,
        posterior: &Posterior<'_>,
        z: &mut [f32],
    ) -> Result<(f32, f32), InferError> {
        let kl = self.prior.kl(posterior, z);
        let elbo = reconstruction - kl;
        if elbo.is_finite() { Ok((elbo, kl)) } else { Err(InferError::Overflow) }
    }
}

impl Model<'_> {
    /// The ELBO with the expectation over `q(z|x)` replaced by its value at the posterior mean: one decoding, no randomness.
    ///
    /// It exceeds the ELBO of a linear decoder by `½ tr(W Σ Wᵀ) / σ²` and ranks windows nearly as the ELBO does.
    /// `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn elbo_at_mean(&self, x: &(impl AsWindow + ?Sized), scratch: &mut Scratch<'_>) -> Result<Score, InferError> {
        self.elbo_by(x.as_window(), self.condition(), AtMean::default(), scratch)
    }

    /// The ELBO by the mean of `ln p(x|z)` over `samples` draws from `q(z|x)`, less the KL of [`Score::kl`]: without bias, but for a learned
    /// prior, of whose KL that is an upper bound; [`Self::evidence`] is without bias for that too.
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
        self.elbo_by(x.as_window(), self.condition(), BySamples::new(samples, rng), scratch)
    }

    /// The ELBO by symmetric sigma points, `μ ± √d Lᵢ` for each column `Lᵢ` of the covariance's Cholesky factor (for a diagonal
    /// posterior, σ along each axis): `2d` decodings, no randomness.
    ///
    /// Exact where `ln p(x|z)` is quadratic in `z`, as it is for a linear decoder with a Gaussian likelihood.
    /// `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// [`InferError::Unsupported`] for discrete latents; see [`InferError`].
    ///
    /// # Source
    /// Julier & Uhlmann (2004), *Unscented filtering and nonlinear estimation*, equation 12 with κ = 0.
    pub fn elbo_sigma_points(
        &self,
        x: &(impl AsWindow + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<Score, InferError> {
        self.elbo_by(x.as_window(), self.condition(), SigmaPoints::default(), scratch)
    }

    /// [`Self::elbo_at_mean`] of this model, given a condition.
    pub(crate) fn elbo_given(
        &self,
        condition: &[f32],
        x: &[f32],
        scratch: &mut Scratch<'_>,
    ) -> Result<Score, InferError> {
        self.check_condition(condition)?;
        self.elbo_by(Samples::F32(x), condition, AtMean::default(), scratch)
    }

    /// Encodes `x` and scores it, given a condition.
    #[expect(
        clippy::question_mark,
        reason = "`?` takes an error apart and copies it by the compiler's memcpy, which nothing else calls here"
    )]
    fn elbo_by(
        &self,
        x: Samples<'_>,
        condition: &[f32],
        mut estimator: impl Expectation,
        scratch: &mut Scratch<'_>,
    ) -> Result<Score, InferError> {
        let mut vae = Vae::of(self)?;
        vae.condition.values = condition;
        let mut x = vae.observe(x)?;
        let mut buffers = match scratch.split(self) {
            Ok(buffers) => buffers,
            Err(error) => return Err(error),
        };
        if let Err(error) = vae.encode(&mut x, &mut buffers) {
            return Err(error);
        }
        let Buffers { posterior, latent: z, mut layers } = buffers;
        let posterior = vae.posterior(z.len(), posterior)?;
        vae.estimate(&posterior, z, &mut layers, &mut estimator, |vae, pass, layers| {
            vae.finish_log_conditional(&x, pass, layers)?.nats()
        })?;
        let (reconstruction, standard_error) = estimator.expectation();
        let (elbo, kl) = vae.bound(reconstruction, &posterior, z)?;
        Ok(Score { elbo, reconstruction, kl, standard_error, missing: x.missing() })
    }
}
