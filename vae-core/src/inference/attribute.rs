//! Which features a window's score is owed to.

use crate::{
    arithmetic::vector::{AsWindow, Samples},
    inference::vae::Vae,
    model::Model,
    network::{
        error::InferError,
        pass::Pass,
        scratch::{LayerBuffers, Scratch},
    },
};

impl Model<'_> {
    /// Gives each observed feature and the nats that it costs to `each`: half its squared distance from the reconstruction at the
    /// posterior mean, in variances (for a Bernoulli model: the cross-entropy), which is what `ln p(x|z)` loses by it. About ½ for an
    /// ordinary feature. `x` is as for [`Self::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn attribute(
        &self,
        x: &(impl AsWindow + ?Sized),
        scratch: &mut Scratch<'_>,
        each: &mut dyn FnMut(usize, f32),
    ) -> Result<(), InferError> {
        let vae = Vae::of(self)?;
        let mut x = vae.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut x, &mut buffers)?;
        vae.posterior(self.latent(), buffers.posterior)?.mean(buffers.latent)?;
        let pass = vae.begin_decoding(vae.decoder, buffers.latent, &mut buffers.layers)?;
        vae.finish_attribution(x.x, pass, &mut buffers.layers, each)
    }
}

impl Vae<'_> {
    /// The rest of [`Model::attribute`].
    pub(crate) fn finish_attribution(
        &self,
        x: Samples<'_>,
        pass: Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
        each: &mut dyn FnMut(usize, f32),
    ) -> Result<(), InferError> {
        pass.finish(buffers, &mut |start, outputs, chunk| self.likelihood.costs(x, start, outputs, chunk, each))
    }
}
