//! The log-likelihood by importance sampling.

use rand_core::Rng;

use crate::{AsVector, InferError, Model, Posterior, Scratch};

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
}

impl Model<'_> {
    /// `ln p(x)` by importance sampling with `samples` draws from the posterior: `ln (1/K) Σ p(x|z) p(z) / q(z|x)`.
    ///
    /// Weights are summed as they come, relative to the largest so far, in fixed memory. `x` is as for [`Model::encode`].
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; see [`InferError`].
    ///
    /// # Source
    /// Burda, Grosse & Salakhutdinov (2016), *Importance Weighted Autoencoders*, equation 8; seed texts, "sample
    /// probability estimation".
    pub fn log_likelihood<R: Rng + ?Sized>(
        &self,
        x: &(impl AsVector + ?Sized),
        samples: u32,
        rng: &mut R,
        scratch: &mut Scratch<'_>,
    ) -> Result<LogLikelihood, InferError> {
        if samples == 0 {
            return Err(InferError::NoSamples);
        }
        let x = x.as_vector();
        let network = self.network()?;
        network.check(&x)?;
        let mut buffers = scratch.split(self)?;
        network.encode(x.as_slice(), &mut buffers)?;
        let posterior = Posterior::from_parameters(buffers.posterior);
        let half_log_determinant = 0.5 * sum(posterior.log_variance().iter().copied());

        let (mut largest, mut total, mut squares) = (f32::NEG_INFINITY, 0.0, 0.0);
        for _ in 0..samples {
            let noise = posterior.sample_with_noise(rng, buffers.latent)?;
            // ln p(z) − ln q(z|x): the factors of 2π cancel.
            let prior = -0.5 * sum(buffers.latent.iter().map(|z| z * z));
            let conditional = network.log_conditional(x.as_slice(), buffers.latent, buffers.vector, buffers.hidden)?;
            let log_weight = conditional + prior + noise + half_log_determinant;
            if log_weight > largest {
                let shrink = libm::expf(largest - log_weight);
                total *= shrink;
                squares *= shrink * shrink;
                largest = log_weight;
            }
            let weight = libm::expf(log_weight - largest);
            total += weight;
            squares += weight * weight;
        }

        let count = samples as f32;
        let value = largest + libm::logf(total / count);
        let effective_samples = total * total / squares;
        let spread = count / effective_samples - 1.0;
        let standard_error = if samples > 1 && spread > 0.0 { libm::sqrtf(spread / (count - 1.0)) } else { 0.0 };
        if value.is_finite() {
            Ok(LogLikelihood { value, standard_error, effective_samples })
        } else {
            Err(InferError::Overflow)
        }
    }
}

fn sum(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |sum, value| sum + value)
}
