//! A score in the making, sample by sample.

use rand_pcg::{Pcg32, rand_core::SeedableRng};

use crate::{
    inference::{importance::LogMeanExp, vae::Vae},
    network::{error::InferError, scratch::Buffers},
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

/// A score in the making.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    rng: Pcg32,
    /// Whether features of the window are.
    is_missing: bool,
    /// `ln p(z) − ln q(z|x)` of the sample that is being decoded.
    log_ratio: f32,
    /// Of the log-likelihoods so far.
    mean: f32,
    weights: LogMeanExp,
}

impl Estimate {
    pub(crate) fn new(seed: u32, is_missing: bool) -> Self {
        let rng = Pcg32::seed_from_u64(seed.into());
        Self { rng, is_missing, log_ratio: 0.0, mean: 0.0, weights: LogMeanExp::EMPTY }
    }

    /// Writes the sample of the latent vector that is to be decoded next.
    pub(crate) fn draw(&mut self, kind: ScoreKind, vae: &Vae<'_>, buffers: &mut Buffers<'_>) -> Result<(), InferError> {
        let posterior = vae.posterior(buffers.latent.len(), buffers.posterior)?;
        match kind {
            ScoreKind::AtMean => posterior.mean(buffers.latent)?,
            ScoreKind::Samples(_) => posterior.sample(&mut self.rng, buffers.latent)?,
            ScoreKind::Importance(_) => self.log_ratio = vae.propose(self.is_missing, &mut self.rng, buffers)?,
        }
        Ok(())
    }

    /// Adds the log-likelihood of the sample that was decoded; returns whether another one is needed to know on which side of
    /// `threshold` the score is.
    pub(crate) fn add(&mut self, nats: f32, kind: ScoreKind, threshold: f32) -> bool {
        self.weights.add(nats + self.log_ratio);
        self.mean += (nats - self.mean) / self.weights.count as f32;
        match kind {
            ScoreKind::AtMean => false,
            ScoreKind::Samples(samples) => self.weights.count < samples,
            ScoreKind::Importance(samples) => {
                self.weights.count < samples && !self.weights.is_decided((threshold, DECIDED))
            }
        }
    }

    /// The score, of this kind.
    pub(crate) fn score(&self, kind: ScoreKind, vae: &Vae<'_>, buffers: &mut Buffers<'_>) -> Result<f32, InferError> {
        let score = match kind {
            ScoreKind::AtMean | ScoreKind::Samples(_) => {
                let posterior = vae.posterior(buffers.latent.len(), buffers.posterior)?;
                self.mean - vae.prior.kl(&posterior, buffers.latent)
            }
            ScoreKind::Importance(_) => self.weights.estimate().value,
        };
        if score.is_finite() { Ok(score) } else { Err(InferError::Overflow) }
    }
}
