//! Which features a window's score is owed to.

use crate::{
    arithmetic::vector::{AsWindow, Samples},
    inference::{related::Attribution, vae::Vae},
    model::Model,
    network::{
        error::InferError,
        input::Seen,
        pass::Pass,
        scratch::{Buffers, LayerBuffers, Scratch},
    },
    probability::{
        likelihood::{Costs, Open},
        posterior::Posterior,
    },
};

impl Model<'_> {
    /// Gives each observed feature and the nats that it costs to `each`: half its squared distance from the reconstruction at the
    /// posterior mean, in variances (for a Bernoulli model: the cross-entropy), which is what `ln p(x|z)` loses by it. About ½ for an
    /// ordinary feature. Of a column of categories, the category that was seen costs `−ln p` of it and the others 0; where none of them was, what
    /// a category costs that training has not seen is owed to the first. Of features with a predicted covariance, what one is off its expectation given
    /// the features before it, in its variance given them: its surprise, so that the sum is what the window costs, and a feature that goes with others
    /// costs what it adds to them. A feature is given at most once, in ascending order but for those of one column of categories. `x` is as for
    /// [`Self::encode`].
    ///
    /// Where the score is owed to how features go together, half the squared distance from what all other features make expect of this one, in
    /// its variance given them: what would be regained if this one were as expected. If two features that belong together do not, both
    /// are off by that, and no other feature need be.
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
        let Buffers { posterior, latent: z, mut layers } = buffers;
        let posterior = vae.posterior(z.len(), posterior)?;
        posterior.mean(&mut *z)?;
        let mut pass = vae.begin_decoding(vae.decoder, z, &mut layers)?;
        vae.finish_attribution(x.x, (&posterior, z), &mut pass, &mut layers, &mut |feature, nats| each(feature, nats))
    }
}

impl Vae<'_> {
    /// The rest of [`Model::attribute`]; `z` is room for a latent vector.
    pub(crate) fn finish_attribution(
        &self,
        x: Samples<'_>,
        (posterior, z): (&Posterior<'_>, &mut [f32]),
        pass: &mut Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
        each: &mut impl Costs,
    ) -> Result<(), InferError> {
        let mut open = Open::default();
        if self.is_related() && (0..x.len()).all(|feature| !x.get(feature).is_nan()) {
            let attribution =
                Attribution { kl: self.prior.kl(posterior, z), each: &mut |feature, nats| each.add(feature, nats) };
            if self.relate(x, Seen { beyond: true, missing: 0 }, pass, buffers, Some(attribution))?.1 {
                return Ok(());
            }
            // What the pass was to run on has been overwritten.
            posterior.mean(&mut *z)?;
            return self.decode(z, buffers, &mut |start, outputs, chunk| {
                self.likelihood.costs(x, start, outputs, chunk, &mut open, each)
            });
        }
        pass.finish(buffers, &mut |start, outputs, chunk| {
            self.likelihood.costs(x, start, outputs, chunk, &mut open, each)
        })
    }
}
