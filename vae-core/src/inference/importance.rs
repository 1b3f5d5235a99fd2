//! The log-likelihood by importance sampling.

use rand_core::Rng;

use crate::{
    arithmetic::{activation::softplus, random::uniform, vector::AsWindow},
    inference::{estimator::Estimator, vae::Vae},
    model::Model,
    network::{
        error::InferError,
        scratch::{Buffers, LayerBuffers, Scratch},
    },
    probability::{posterior::Posterior, prior::Prior},
};

/// What importance sampling draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// The encoder's posterior `q(z|x)`: where `p(x|z)` is high. Where features are missing, the encoder takes them for the mean and is as sure
    /// as if it had seen it; then each draw is, with a chance of a quarter, one from the prior, and the proposal the mixture of the two, so
    /// that no weight exceeds `4 p(x|z)`.
    ///
    /// # Source
    /// Hesterberg (1995), *Weighted average importance sampling and defensive mixture distributions*, section 3.
    Posterior,
    /// The prior `p(z)`: plain Monte Carlo, to show why it fails. Most draws land where `p(x|z)` is negligible, so that the
    /// estimate is far too low and its standard error, computed from the same draws, says nothing.
    Prior,
}

/// How to estimate `ln p(x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Importance {
    /// Most samples to draw.
    pub samples: u32,
    /// What to draw them from.
    pub proposal: Proposal,
    /// Stop early, after at least eight samples, once the estimate is more than `.1` standard errors away from the
    /// threshold `.0` (in nats): then more samples would hardly change the decision.
    pub decide: Option<(f32, f32)>,
}

/// An estimate of `ln p(x)`, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LogLikelihood {
    /// The estimate: in expectation a lower bound of `ln p(x)` that rises with the number of samples.
    pub value: f32,
    /// Its standard error, by the delta method; 0 for a single sample.
    pub standard_error: f32,
    /// Effective sample size, `(Σw)² / Σw²`: of the samples drawn, how many equally weighted ones they are worth.
    pub effective_samples: f32,
    /// Samples drawn.
    pub samples: u32,
}

/// Share of the draws from the prior where features are missing.
const DEFENSIVE: f32 = 0.25;

/// Fewest samples from which a standard error is believed.
const DECISIVE: u32 = 8;

/// Sums of weights relative to the largest so far, so that nothing overflows and nothing is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMeanExp {
    largest: f32,
    total: f32,
    squares: f32,
    pub(crate) count: u32,
}

impl LogMeanExp {
    pub(crate) const EMPTY: Self = Self { largest: f32::NEG_INFINITY, total: 0.0, squares: 0.0, count: 0 };

    pub(crate) fn add(&mut self, log_weight: f32) {
        if log_weight > self.largest {
            let shrink = libm::expf(self.largest - log_weight);
            self.total *= shrink;
            self.squares *= shrink * shrink;
            self.largest = log_weight;
        }
        let weight = libm::expf(log_weight - self.largest);
        self.total += weight;
        self.squares += weight * weight;
        self.count += 1;
    }

    /// Whether the estimate is so many standard errors away from the threshold that more samples would hardly change the decision.
    pub(crate) fn is_decided(&self, (threshold, errors): (f32, f32)) -> bool {
        let LogLikelihood { value, standard_error, samples, .. } = self.estimate();
        samples >= DECISIVE && (value - threshold).abs() > errors * standard_error
    }

    pub(crate) fn estimate(&self) -> LogLikelihood {
        let count = self.count as f32;
        let effective_samples = self.total * self.total / self.squares;
        let spread = count / effective_samples - 1.0;
        LogLikelihood {
            value: self.largest + libm::logf(self.total / count),
            standard_error: if self.count > 1 && spread > 0.0 { libm::sqrtf(spread / (count - 1.0)) } else { 0.0 },
            effective_samples,
            samples: self.count,
        }
    }
}

/// The mean of `p(x|z) p(z)` over draws from a proposal, each divided by the proposal's density.
#[derive(Clone, Debug)]
pub(crate) struct Weighted<R> {
    rng: R,
    importance: Importance,
    /// Whether features of the window are missing.
    is_missing: bool,
    /// `ln p(z)` less the proposal's, of the draw that is being decoded.
    log_ratio: f32,
    weights: LogMeanExp,
}

impl<R: Rng> Weighted<R> {
    pub(crate) fn new(importance: Importance, is_missing: bool, rng: R) -> Self {
        Self { rng, importance, is_missing, log_ratio: 0.0, weights: LogMeanExp::EMPTY }
    }

    /// The estimate, once enough is added.
    pub(crate) fn log_likelihood(&self) -> Result<LogLikelihood, InferError> {
        let estimate = self.weights.estimate();
        if estimate.value.is_finite() { Ok(estimate) } else { Err(InferError::Overflow) }
    }
}

impl<R: Rng> Estimator for Weighted<R> {
    fn draw(
        &mut self,
        vae: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        layers: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        self.log_ratio = match self.importance.proposal {
            Proposal::Posterior => {
                // Where its room is too small, for a latent vector larger than all layers, the encoder is trusted.
                let work = layers.hidden.get_mut(..z.len()).filter(|_| self.is_missing);
                propose(posterior, &vae.prior, work, &mut self.rng, z)?
            }
            Proposal::Prior => {
                vae.prior.sample(&mut self.rng, z)?;
                0.0
            }
        };
        Ok(())
    }

    fn add(&mut self, nats: f32) -> bool {
        self.weights.add(nats + self.log_ratio);
        self.weights.count < self.importance.samples
            && !self.importance.decide.is_some_and(|decide| self.weights.is_decided(decide))
    }
}

/// Draws a latent vector from [`Proposal::Posterior`] into `z`, and returns its `ln p(z)` less the proposal's. `work` has one value per
/// latent dimension, and is there where features are missing.
fn propose<R: Rng + ?Sized>(
    posterior: &Posterior<'_>,
    prior: &Prior<'_>,
    work: Option<&mut [f32]>,
    rng: &mut R,
    z: &mut [f32],
) -> Result<f32, InferError> {
    const LN_3: f32 = 1.098_612_3;
    let Some(work) = work else {
        let log_density = posterior.draw(rng, z)?;
        return Ok(prior.log_density(z) - log_density);
    };
    let log_density = if uniform(rng) < DEFENSIVE {
        prior.sample(rng, z)?;
        posterior.log_density(&*z, work)?
    } else {
        posterior.draw(rng, z)?
    };
    // ln p − ln (¾ q + ¼ p)
    Ok(2.0 * core::f32::consts::LN_2 - softplus(log_density - prior.log_density(z) + LN_3))
}

impl Model<'_> {
    /// `ln p(x)` by importance sampling with `samples` draws from the posterior: `ln (1/K) Σ p(x|z) p(z) / q(z|x)`.
    ///
    /// `x` is as for [`Model::encode`]; of a window of which features are missing, this is the density of those that were observed.
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; see [`InferError`].
    ///
    /// # Source
    /// Burda, Grosse & Salakhutdinov (2016), *Importance Weighted Autoencoders*, equation 8; seed texts, "sample
    /// probability estimation".
    pub fn log_likelihood<R: Rng + ?Sized>(
        &self,
        x: &(impl AsWindow + ?Sized),
        samples: u32,
        rng: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<LogLikelihood, InferError> {
        self.log_likelihood_by(x, &Importance { samples, proposal: Proposal::Posterior, decide: None }, rng, scratch)
    }

    /// The log-likelihood as [`Self::log_likelihood`] has it, with a choice of proposal and an early end.
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; see [`InferError`].
    pub fn log_likelihood_by<R: Rng + ?Sized>(
        &self,
        x: &(impl AsWindow + ?Sized),
        importance: &Importance,
        rng: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<LogLikelihood, InferError> {
        if importance.samples == 0 {
            return Err(InferError::NoSamples);
        }
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut x, &mut buffers)?;
        let mut estimator = Weighted::new(*importance, x.missing() > 0, rng);
        let Buffers { posterior, latent: z, mut layers } = buffers;
        let posterior = vae.posterior(z.len(), posterior)?;
        vae.estimate(&posterior, z, &mut layers, &mut estimator, |vae, pass, layers| {
            vae.finish_log_conditional(&x, pass, layers)?.nats()
        })?;
        estimator.log_likelihood()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_sums_agree_with_f64() {
        let weights: [f32; 6] = [-1000.0, -998.5, -999.0, -1010.0, -997.0, -998.0];
        let mut mean = LogMeanExp::EMPTY;
        weights.iter().for_each(|weight| mean.add(*weight));
        let w = weights.map(|weight| libm::exp(f64::from(weight) + 997.0));
        let (total, squares) = w.iter().fold((0.0, 0.0), |(t, s), w| (t + w, s + w * w));
        let average = total / 6.0;
        let variance = w.iter().map(|w| (w - average) * (w - average)).sum::<f64>() / 5.0 / 6.0;
        let found = mean.estimate();
        assert!((f64::from(found.value) - (libm::log(average) - 997.0)).abs() < 1e-4);
        assert!((f64::from(found.standard_error) - libm::sqrt(variance) / average).abs() < 1e-5);
        assert!((f64::from(found.effective_samples) - total * total / squares).abs() < 1e-5);
    }
}
