//! From a window to the posterior.

#[cfg(feature = "families")]
use crate::probability::posterior::LATENT_LOGIT_LIMIT;
use crate::{
    arithmetic::{number::clamp, vector::AsWindow},
    format::kind::PosteriorKind,
    inference::vae::{Observation, Vae},
    model::Model,
    network::{
        error::InferError,
        pass::Pass,
        scratch::{Buffers, Scratch},
    },
    probability::posterior::{LOG_VARIANCE_LIMIT, Posterior},
};

impl Model<'_> {
    /// Encodes a window: the parameters of `q(z|x)`, which lie in `scratch`.
    ///
    /// `x` has [`Self::features`] values in physical units, samples in order, the channels of a sample side by side. NaN
    /// means *not observed*: the encoder sees the feature's mean instead.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn encode<'s>(
        &self,
        x: &(impl AsWindow + ?Sized),
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Posterior<'s>, InferError> {
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut x, &mut buffers)?;
        let posterior = vae.posterior(self.latent(), buffers.posterior)?;
        // A covariance or mean that overflows is of no use to the caller.
        if posterior.kl().is_finite() { Ok(posterior) } else { Err(InferError::Overflow) }
    }
}

impl Vae<'_> {
    /// Writes the parameters of `q(z|x)` to `buffers.posterior`.
    pub(crate) fn encode(&self, x: &mut Observation<'_>, buffers: &mut Buffers<'_>) -> Result<(), InferError> {
        // Not `?`, which would move the pass once more: copies of its size are calls of a function that is larger than all that encodes.
        match &mut x.begin_encoding(self.encoder, &mut buffers.layers) {
            Ok(pass) => self.finish_encoding(pass, buffers),
            Err(error) => Err(*error),
        }
    }

    /// The rest of [`Self::encode`].
    pub(crate) fn finish_encoding(&self, pass: &mut Pass<'_>, buffers: &mut Buffers<'_>) -> Result<(), InferError> {
        let (kind, latent) = (self.kind, buffers.latent.len());
        let mut slots = buffers.posterior.iter_mut().enumerate();
        #[cfg(feature = "families")]
        // Of the Cholesky factor: where the next entry on the diagonal is, and how many entries its row has.
        let (mut diagonal, mut entries) = (latent, 1);
        pass.finish(&mut buffers.layers, &mut |_, outputs, _| {
            for (&output, (index, slot)) in outputs.numbers().iter().zip(&mut slots) {
                let limit = match kind {
                    #[cfg(feature = "families")]
                    PosteriorKind::Bernoulli => LATENT_LOGIT_LIMIT,
                    #[cfg(feature = "categorical")]
                    PosteriorKind::Categorical { .. } => LATENT_LOGIT_LIMIT,
                    PosteriorKind::DiagonalGaussian if index >= latent => LOG_VARIANCE_LIMIT,
                    #[cfg(feature = "families")]
                    PosteriorKind::FullGaussian if index == diagonal => {
                        entries += 1;
                        diagonal += entries;
                        0.5 * LOG_VARIANCE_LIMIT
                    }
                    _ => f32::MAX,
                };
                *slot = clamp(output, (-limit, limit));
            }
            Some(())
        })
    }
}
