//! The prior `p(z)`.

use rand_core::Rng;

use crate::{InferError, Posterior, format::PosteriorKind, mixture::Mixture, posterior::LN_TWO_PI, standard_normal};

/// What the latent vectors of normal windows are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prior<'m> {
    /// `N(0, I)`
    Normal,
    /// Fair coins, for Bernoulli latents.
    Coins,
    /// Learned with the model, beside diagonal posteriors. A single Gaussian around the origin calls the gaps between clusters of normal windows, and
    /// the middle of a ring of them, likely; a mixture does not.
    ///
    /// # Source
    /// Dilokthanakul et al. (2016), *Deep Unsupervised Clustering with Gaussian Mixture VAEs*; Tomczak & Welling (2018), *VAE with
    /// a VampPrior*, section 2 (a mixture as prior).
    Mixture(Mixture<'m>),
}

impl<'m> Prior<'m> {
    pub(crate) fn standard(kind: PosteriorKind) -> Self {
        match kind {
            PosteriorKind::DiagonalGaussian | PosteriorKind::FullGaussian => Self::Normal,
            PosteriorKind::Bernoulli => Self::Coins,
        }
    }

    /// `ln p(z)`, in nats.
    pub(crate) fn log_density(&self, z: &[f32]) -> f32 {
        match self {
            Self::Normal => -0.5 * z.iter().fold(0.0, |sum, z| sum + (z * z + LN_TWO_PI)),
            Self::Coins => -core::f32::consts::LN_2 * z.len() as f32,
            Self::Mixture(mixture) => {
                let squares = |centre: &[f32], precision: &[f32]| {
                    let terms = z.iter().zip(centre).zip(precision);
                    terms.fold(0.0, |sum, ((z, centre), precision)| sum + precision * (z - centre) * (z - centre))
                };
                mixture.log_sum(squares) - 0.5 * LN_TWO_PI * z.len() as f32
            }
        }
    }

    /// `KL(q ‖ p(z))` in nats, in closed form; of a diagonal Gaussian to a mixture, which has none, the upper bound
    /// `−ln Σ πₖ exp −KL(q ‖ pₖ)`. `work` has one value per latent dimension and is overwritten.
    #[inline(never)] // its frame need not be there while layers run
    pub(crate) fn kl(&self, posterior: &Posterior<'_>, work: &mut [f32]) -> f32 {
        let Self::Mixture(mixture) = self else { return posterior.kl() };
        let mut twice = 0.0;
        for (variance, log_variance) in work.iter_mut().zip(posterior.spread) {
            *variance = libm::expf(*log_variance);
            twice += log_variance + 1.0;
        }
        let expected_squares = |centre: &[f32], precision: &[f32]| {
            let moments = posterior.location.iter().zip(&*work);
            moments.zip(centre.iter().zip(precision)).fold(0.0, |sum, ((mean, variance), (centre, precision))| {
                sum + precision * ((mean - centre) * (mean - centre) + variance)
            })
        };
        -0.5 * twice - mixture.log_sum(expected_squares)
    }

    /// Draws from the prior into `z`.
    pub(crate) fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        match self {
            Self::Normal => z.iter_mut().for_each(|z| *z = standard_normal(rng)),
            Self::Coins => z.iter_mut().for_each(|z| *z = (rng.next_u32() >> 31) as f32),
            Self::Mixture(mixture) => mixture.sample(rng, z)?,
        }
        Ok(())
    }
}
