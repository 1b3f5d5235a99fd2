//! The prior `p(z)`.

use rand_core::Rng;

#[cfg(not(feature = "learned-prior"))]
use crate::format::feature::Feature;
use crate::{
    arithmetic::{number::LN_TWO_PI, random::standard_normal},
    format::{error::LoadError, feature::HasLearnedPrior, kind::PosteriorKind},
    network::error::InferError,
    probability::mixture::Mixture,
};

/// What the latent vectors of normal windows are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prior<'m> {
    /// `N(0, I)`
    Normal,
    /// Fair coins, for Bernoulli latents.
    #[cfg(feature = "families")]
    Coins,
    /// One of so many categories, each as likely as the others, for each categorical latent.
    #[cfg(feature = "categorical")]
    Categories(u32),
    /// Learned with the model, beside Gaussian posteriors. A single Gaussian around the origin calls the gaps between clusters of normal windows, and
    /// the middle of a ring of them, likely; a mixture does not.
    ///
    /// # Source
    /// Dilokthanakul et al. (2016), *Deep Unsupervised Clustering with Gaussian Mixture VAEs*; Tomczak & Welling (2018), *VAE with
    /// a VampPrior*, section 2 (a mixture as prior).
    #[cfg_attr(not(feature = "learned-prior"), expect(dead_code, reason = "no file has one"))]
    Mixture(Mixture<'m>, HasLearnedPrior),
}

impl<'m> Prior<'m> {
    /// A mixture, where this build knows them.
    pub(crate) fn learned(mixture: Mixture<'m>) -> Result<Self, LoadError> {
        #[cfg(feature = "learned-prior")]
        return Ok(Self::Mixture(mixture, ()));
        #[cfg(not(feature = "learned-prior"))]
        {
            let Mixture { .. } = mixture;
            Err(LoadError::NeedsFeature { feature: Feature::LearnedPrior })
        }
    }
}

impl Prior<'_> {
    pub(crate) fn standard(kind: PosteriorKind) -> Self {
        match kind {
            PosteriorKind::DiagonalGaussian => Self::Normal,
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => Self::Normal,
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => Self::Coins,
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { categories } => Self::Categories(categories),
        }
    }

    /// `ln p(z)`, in nats.
    pub(crate) fn log_density(&self, z: &[f32]) -> f32 {
        match self {
            Self::Normal => -0.5 * z.iter().fold(0.0, |sum, z| sum + (z * z + LN_TWO_PI)),
            #[cfg(feature = "families")]
            Self::Coins => -core::f32::consts::LN_2 * z.len() as f32,
            #[cfg(feature = "categorical")]
            Self::Categories(categories) => -libm::logf(*categories as f32) * (z.len() as f32 / *categories as f32),
            Self::Mixture(mixture, _) => {
                let squares = |centre: &[f32], precision: &[f32]| {
                    let terms = z.iter().zip(centre).zip(precision);
                    terms.fold(0.0, |sum, ((z, centre), precision)| sum + precision * (z - centre) * (z - centre))
                };
                mixture.log_sum(squares) - 0.5 * LN_TWO_PI * z.len() as f32
            }
        }
    }

    /// Draws from the prior into `z`.
    pub(crate) fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        match self {
            Self::Normal => z.iter_mut().for_each(|z| *z = standard_normal(rng)),
            #[cfg(feature = "families")]
            Self::Coins => z.iter_mut().for_each(|z| *z = (rng.next_u32() >> 31) as f32),
            #[cfg(feature = "categorical")]
            Self::Categories(categories) => {
                for z in z.chunks_exact_mut((*categories as usize).max(1)) {
                    // The upper half of the product: no category has more than one of 2³² numbers more than another.
                    let drawn = (u64::from(rng.next_u32()) * z.len() as u64) >> 32;
                    (0..).zip(z).for_each(|(category, z)| *z = if category == drawn { 1.0 } else { 0.0 });
                }
            }
            Self::Mixture(mixture, _) => mixture.sample(rng, z)?,
        }
        Ok(())
    }
}
