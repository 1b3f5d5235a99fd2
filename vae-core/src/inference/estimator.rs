//! How a score is estimated: latent vectors are drawn and decoded, and what the window's log-likelihoods add up to is the score.

use crate::{
    inference::vae::Vae,
    network::{error::InferError, pass::Pass, scratch::LayerBuffers},
    probability::posterior::Posterior,
};

/// A score in the making. Drawing and adding take turns; between them the decoder runs, which may be interrupted.
pub(crate) trait Estimator {
    /// Writes the latent vector that is to be decoded next to `z`. No layer is running: what `layers` holds is not needed.
    fn draw(
        &mut self,
        vae: &Vae<'_>,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        layers: &mut LayerBuffers<'_>,
    ) -> Result<(), InferError>;

    /// Takes the log-likelihood of the latent vector that was decoded; returns whether another one is to be drawn.
    fn add(&mut self, nats: f32) -> bool;
}

impl Vae<'_> {
    /// Draws, decodes and adds until the estimator has enough, for an observation's posterior; `z` has room for a latent vector. `nats` finishes the
    /// decoder's pass and is what counts of the log-likelihood of each latent vector.
    pub(crate) fn estimate(
        &self,
        posterior: &Posterior<'_>,
        z: &mut [f32],
        layers: &mut LayerBuffers<'_>,
        estimator: &mut impl Estimator,
        nats: impl Fn(&Self, &mut Pass<'_>, &mut LayerBuffers<'_>) -> Result<f32, InferError>,
    ) -> Result<(), InferError> {
        loop {
            estimator.draw(self, posterior, z, layers)?;
            // Not `?`, as in `Vae::encode`.
            let nats = match &mut self.begin_decoding(self.decoder, z, layers) {
                Ok(pass) => nats(self, pass, layers)?,
                Err(error) => return Err(*error),
            };
            if !estimator.add(nats) {
                return Ok(());
            }
        }
    }
}
