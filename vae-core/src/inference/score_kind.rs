//! The kinds of scores that a calibration may be of, and the estimator of each.

use rand_pcg::{Pcg32, rand_core::SeedableRng};

use crate::{
    inference::{
        elbo::{AtMean, BySamples, Expectation},
        estimator::Estimator,
        importance::{Importance, Proposal, Weighted},
        vae::Vae,
    },
    network::{error::InferError, scratch::LayerBuffers},
    probability::posterior::Posterior,
};

/// A detector takes an importance-weighted score for decided once it is so many standard errors away from the threshold, and draws no more.
pub const DECIDED: f32 = 3.0;

/// What the detector's score of a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ScoreKind {
    /// [`Model::elbo_at_mean`](crate::Model::elbo_at_mean).
    AtMean,
    /// [`Model::elbo`](crate::Model::elbo) with so many samples.
    Samples(u32),
    /// [`Model::log_likelihood`](crate::Model::log_likelihood) with at most so many samples, fewer once the decision is clear.
    Importance(u32),
}

/// The estimator of a kind of score.
#[derive(Clone, Debug)]
pub(crate) enum Estimate {
    AtMean(AtMean),
    Samples(BySamples<Pcg32>),
    Importance(Weighted<Pcg32>),
}

impl Estimate {
    /// The estimator of this kind, which draws from `seed`. Whether features are missing, and the threshold beside which no more samples are
    /// taken than decide, matter to an importance-weighted one.
    pub(crate) fn new(kind: ScoreKind, seed: u32, is_missing: bool, threshold: Option<f32>) -> Self {
        let rng = Pcg32::seed_from_u64(seed.into());
        match kind {
            ScoreKind::AtMean => Self::AtMean(AtMean::default()),
            ScoreKind::Samples(samples) => Self::Samples(BySamples::new(samples, rng)),
            ScoreKind::Importance(samples) => {
                let decide = threshold.map(|threshold| (threshold, DECIDED));
                let importance = Importance { samples, proposal: Proposal::Posterior, decide };
                Self::Importance(Weighted::new(importance, is_missing, rng))
            }
        }
    }

    /// The score, once enough is added; `z` is overwritten.
    pub(crate) fn score(&self, vae: &Vae<'_>, posterior: &Posterior<'_>, z: &mut [f32]) -> Result<f32, InferError> {
        let (reconstruction, _) = match self {
            Self::AtMean(estimator) => estimator.expectation(),
            Self::Samples(estimator) => estimator.expectation(),
            Self::Importance(estimator) => return Ok(estimator.log_likelihood()?.value),
        };
        Ok(vae.bound(reconstruction, posterior, z)?.0)
    }
}

impl Estimator for Estimate {
    fn draw(
        &mut self,
        vae: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        layers: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        match self {
            Self::AtMean(estimator) => estimator.draw(vae, posterior, z, layers),
            Self::Samples(estimator) => estimator.draw(vae, posterior, z, layers),
            Self::Importance(estimator) => estimator.draw(vae, posterior, z, layers),
        }
    }

    fn add(&mut self, nats: f32) -> bool {
        match self {
            Self::AtMean(estimator) => estimator.add(nats),
            Self::Samples(estimator) => estimator.add(nats),
            Self::Importance(estimator) => estimator.add(nats),
        }
    }
}
