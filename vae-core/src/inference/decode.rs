//! From a latent vector to features and their likelihood.

use nalgebra::DVectorView;

#[cfg(feature = "mixed")]
use crate::format::kind::FeatureFamily;
#[cfg(feature = "covariance")]
use crate::probability::covariance::Factors;
use crate::{
    arithmetic::{
        activation::sigmoid,
        number::clamp,
        vector::{AsVector, AsVectorMut, AsWindow},
    },
    inference::vae::{Observation, Vae},
    model::Model,
    network::{
        error::InferError,
        input::{First, Source},
        pass::{Emit, Layers, Pass},
        scratch::{LayerBuffers, Scratch},
        standardise::Standardiser,
    },
    probability::{likelihood::Likelihood, log_density::LogDensity},
};

impl<'m> Model<'m> {
    /// Decodes a latent vector `z` into `mean`, the mean of `p(x|z)` in physical units (for a Bernoulli model: the
    /// probabilities; for a column of categories: the probability of each, given that it is one of them).
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn decode(
        &self,
        z: &(impl AsVector + ?Sized),
        mean: &mut (impl AsVectorMut + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<(), InferError> {
        self.decode_with(z.as_vector(), mean.values_mut(), scratch, &mut |likelihood, output, _| match likelihood {
            Likelihood::Bernoulli(_) => sigmoid(output),
            _ => output,
        })
    }

    /// Decodes `z`, turns each feature's output and standard deviation (both in the likelihood's units; 0 for Bernoulli) into a
    /// value with `value`, and writes it to `x` in physical units. Of features that vary together both are given the values of those before it.
    pub(crate) fn decode_with(
        &self,
        z: DVectorView<'_, f32>,
        x: &mut [f32],
        scratch: &mut Scratch<'_>,
        value: &mut dyn FnMut(&Likelihood<'m>, f32, f32) -> f32,
    ) -> Result<(), InferError> {
        for (needed, found) in [(self.latent(), z.len()), (self.features(), x.len())] {
            if needed != found {
                return Err(InferError::WrongLength { needed, found });
            }
        }
        let vae = Vae::of(self)?;
        vae.check_condition()?;
        let mut buffers = scratch.split(self)?;
        let likelihood = &vae.likelihood;
        let Standardiser { mean, inverse_scale } = match likelihood {
            Likelihood::Gaussian { standardiser, .. } | Likelihood::Predicted { standardiser, .. } => standardiser,
            Likelihood::Bernoulli(_) => &vae.standardiser,
            #[cfg(feature = "mixed")]
            Likelihood::Mixed(mixed) => &mixed.standardiser,
            #[cfg(feature = "covariance")]
            Likelihood::Covariance(covariance) => &covariance.standardiser,
        };
        let mut slots = x.iter_mut().zip(mean.iter().zip(*inverse_scale));
        let mut pending = None;
        let mut is_finite = true;
        #[cfg(feature = "covariance")]
        let mut factors = Factors::default();
        #[cfg_attr(not(feature = "mixed"), expect(unused_variables, reason = "the features of a Mixed differ"))]
        vae.decode(z.as_slice(), &mut buffers.layers, &mut |start, outputs, _| {
            #[cfg(feature = "mixed")]
            if let Likelihood::Mixed(mixed) = likelihood {
                for ((feature, output), (slot, (mean, inverse_scale))) in
                    (start..).zip(outputs.numbers()).zip(&mut slots)
                {
                    *slot = match mixed.family(feature)? {
                        FeatureFamily::Gaussian => value(likelihood, *output, 1.0) / inverse_scale + mean,
                        FeatureFamily::Bernoulli => value(&Likelihood::Bernoulli(()), *output, 0.0),
                        FeatureFamily::FirstCategory { .. } | FeatureFamily::NextCategory => *output,
                    };
                    is_finite &= slot.is_finite();
                }
                return Some(());
            }
            #[cfg(feature = "covariance")]
            if let Likelihood::Covariance(covariance) = likelihood {
                let mut value = |mean, deviation| value(likelihood, mean, deviation);
                return covariance.draw(outputs, &mut factors, &mut value, &mut |drawn| {
                    if let Some((slot, (mean, inverse_scale))) = slots.next() {
                        *slot = drawn / inverse_scale + mean;
                        is_finite &= slot.is_finite();
                    }
                });
            }
            for &output in outputs.numbers() {
                let (output, deviation) = match (likelihood, pending.take()) {
                    (Likelihood::Bernoulli(_), _) => (output, 0.0),
                    (Likelihood::Gaussian { .. }, _) => (output, 1.0),
                    #[cfg(feature = "mixed")]
                    (Likelihood::Mixed(_), _) => continue,
                    #[cfg(feature = "covariance")]
                    (Likelihood::Covariance(_), _) => continue,
                    (Likelihood::Predicted { .. }, None) => {
                        pending = Some(output);
                        continue;
                    }
                    (Likelihood::Predicted { bounds, .. }, Some(mean)) => {
                        (mean, libm::expf(0.5 * clamp(output, *bounds)))
                    }
                };
                if let Some((slot, (mean, inverse_scale))) = slots.next() {
                    *slot = value(likelihood, output, deviation) / inverse_scale + mean;
                    is_finite &= slot.is_finite();
                }
            }
            Some(())
        })?;
        #[cfg(feature = "mixed")]
        if let Likelihood::Mixed(mixed) = likelihood {
            mixed.finish(x);
        }
        if is_finite { Ok(()) } else { Err(InferError::Overflow) }
    }

    /// `ln p(z)`, in nats: the learned mixture, `N(0, I)`, or for discrete latents fair coins
    /// or categories of which each is as likely as the others.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has not [`Self::latent`] values; [`InferError::Overflow`].
    pub fn log_prior(&self, z: &(impl AsVector + ?Sized)) -> Result<f32, InferError> {
        let z = z.as_vector();
        self.fits_latent(z.as_slice())?;
        let nats = Vae::of(self)?.prior.log_density(z.as_slice());
        if nats.is_finite() { Ok(nats) } else { Err(InferError::Overflow) }
    }

    /// `ln p(x, z) = ln p(x|z) + ln p(z)`, in nats of a density in the input's units. `x` is as for [`Self::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    ///
    /// # Source
    /// Seed texts, "the joint distribution p(x, z)".
    pub fn log_joint(
        &self,
        x: &(impl AsWindow + ?Sized),
        z: &(impl AsVector + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<f32, InferError> {
        let log_prior = self.log_prior(z)?;
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        let mut ignore = |_: usize, _: &[f32], _: u32| Some(());
        x.source.read(LayerBuffers::chunk(buffers.layers.hidden)?.0, usize::MAX, &mut ignore)?;
        Ok(vae.log_conditional(&x, z.as_vector().as_slice(), &mut buffers.layers)? + log_prior)
    }

    pub(crate) fn fits_latent(&self, z: &[f32]) -> Result<(), InferError> {
        let (needed, found) = (self.latent(), z.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongLength { needed, found }) }
    }
}

impl Vae<'_> {
    /// Gives the decoder's outputs for `z` to `emit`, chunk by chunk, each with its first row.
    pub(crate) fn decode(&self, z: &[f32], buffers: &mut LayerBuffers<'_>, emit: Emit<'_>) -> Result<(), InferError> {
        self.begin_decoding(self.decoder, z, buffers)?.finish(buffers, emit)
    }

    /// Brings `z` into the buffers, for the first layer of `decoder`, this network's own.
    pub(crate) fn begin_decoding<'l>(
        &self,
        decoder: Layers<'l>,
        z: &[f32],
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Pass<'l>, InferError> {
        Pass::begin(decoder, &mut Source::new(First::Latent(z), &self.condition), buffers)
    }

    /// `ln p(x|z)` in physical units, in nats; the decoder's outputs are compared with `x` as they are produced.
    pub(crate) fn log_conditional(
        &self,
        x: &Observation<'_>,
        z: &[f32],
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<f32, InferError> {
        let mut pass = self.begin_decoding(self.decoder, z, buffers)?;
        self.finish_log_conditional(x, &mut pass, buffers)?.nats()
    }

    /// The rest of [`Self::log_conditional`], to be summed.
    pub(crate) fn finish_log_conditional<'a>(
        &'a self,
        x: &'a Observation<'_>,
        pass: &mut Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<LogDensity<'a>, InferError> {
        let mut density = LogDensity::new(&self.likelihood, x.x, x.seen());
        pass.finish(buffers, &mut |start, outputs, chunk| density.add(start, outputs, chunk))?;
        Ok(density)
    }
}
