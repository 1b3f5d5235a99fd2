//! The evidence and what its lower bound lacks of it, by the same draws.

use rand_core::Rng;

use crate::{
    arithmetic::vector::AsWindow,
    inference::{
        elbo::{Average, Score},
        estimator::Estimator,
        importance::{LogLikelihood, LogMeanExp},
        vae::Vae,
    },
    model::Model,
    network::{
        error::InferError,
        scratch::{Buffers, LayerBuffers, Scratch},
    },
    probability::posterior::Posterior,
};

/// The terms of `ln p(x) = ELBO + KL(q(z|x) ‖ p(z|x))`, in nats, each by the same draws from `q(z|x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Evidence {
    /// The ELBO, whose KL is here the mean of `ln q(z|x) − ln p(z)`: without bias whatever prior and posterior are, where [`Model::elbo`] has
    /// a bound for a learned prior. `standard_error` is that of `elbo`.
    pub elbo: Score,
    /// `ln p(x)`, importance-weighted: in expectation a lower bound of it.
    pub log_likelihood: LogLikelihood,
}

impl Evidence {
    /// `KL(q(z|x) ‖ p(z|x))`, in nats: how far the encoder is from the exact posterior. It is too small by as much as `log_likelihood` is,
    /// and, being of the same draws, negative by rounding at most.
    #[must_use]
    pub fn gap(&self) -> f32 {
        self.log_likelihood.value - self.elbo.elbo
    }
}

/// Both terms by the same draws.
struct Decomposed<R> {
    rng: R,
    samples: u32,
    /// `ln q(z|x) − ln p(z)` of the draw that is being decoded.
    divergence: f32,
    reconstruction: Average,
    kl: Average,
    elbo: Average,
    weights: LogMeanExp,
}

impl<R: Rng> Estimator for Decomposed<R> {
    fn draw(
        &mut self,
        vae: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        _: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError> {
        self.divergence = posterior.draw(&mut self.rng, z)? - vae.prior.log_density(z);
        Ok(())
    }

    fn add(&mut self, nats: f32) -> bool {
        let log_weight = nats - self.divergence;
        self.reconstruction.add(nats);
        self.kl.add(self.divergence);
        self.elbo.add(log_weight);
        self.weights.add(log_weight);
        self.weights.count < self.samples
    }
}

impl Model<'_> {
    /// The ELBO and `ln p(x)` by the same `samples` draws from `q(z|x)`, without a bound of either's KL.
    ///
    /// `x` is as for [`Model::encode`]; of a window of which features are missing, both are of those that were observed, and
    /// [`Model::log_likelihood`], which draws from the prior too, comes closer to theirs.
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; see [`InferError`].
    ///
    /// # Source
    /// ELBO: Kingma & Welling (2014), equation 8. Log-likelihood: Burda, Grosse & Salakhutdinov (2016), equation 8. The decomposition: seed text
    /// "Variational autoencoders", "Deriving the lower bound".
    pub fn evidence<R: Rng + ?Sized>(
        &self,
        x: &(impl AsWindow + ?Sized),
        samples: u32,
        rng: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<Evidence, InferError> {
        if samples == 0 {
            return Err(InferError::NoSamples);
        }
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut x, &mut buffers)?;
        let Buffers { posterior, latent: z, mut layers } = buffers;
        let posterior = vae.posterior(z.len(), posterior)?;
        let [reconstruction, kl, elbo] = [Average::EMPTY; 3];
        let weights = LogMeanExp::EMPTY;
        let mut terms = Decomposed { rng, samples, divergence: 0.0, reconstruction, kl, elbo, weights };
        vae.estimate(&posterior, z, &mut layers, &mut terms, |vae, pass, layers| {
            vae.finish_log_conditional(&x, pass, layers)?.nats()
        })?;
        let (elbo, standard_error) = terms.elbo.mean_and_error();
        let log_likelihood = terms.weights.estimate();
        if !elbo.is_finite() || !log_likelihood.value.is_finite() {
            return Err(InferError::Overflow);
        }
        let (reconstruction, kl) = (terms.reconstruction.mean_and_error().0, terms.kl.mean_and_error().0);
        let elbo = Score { elbo, reconstruction, kl, standard_error, missing: x.missing() };
        Ok(Evidence { elbo, log_likelihood })
    }
}
