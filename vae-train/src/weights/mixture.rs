//! Mixtures of Gaussians over the latent space.

use anyhow::{Result, ensure};
use serde::Serialize;

/// A mixture of diagonal Gaussians over the latent space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct Mixture {
    /// One per component; they sum to 1.
    pub weight: Vec<f32>,
    /// `latent` values per component.
    pub mean: Vec<f32>,
    /// `latent` standard deviations per component.
    pub deviation: Vec<f32>,
}

impl Mixture {
    /// The array of the model file: see [`mixture_len`](vae_core::format::mixture_len).
    pub(crate) fn array(&self, latent: usize) -> Result<Vec<f32>> {
        let Self { weight, mean, deviation } = self;
        ensure!(
            [mean.len(), deviation.len()] == [weight.len() * latent; 2],
            "a mixture of {} components has {} means and {} deviations for {latent} latent dimensions",
            weight.len(),
            mean.len(),
            deviation.len()
        );
        let components = weight.iter().zip(mean.chunks_exact(latent).zip(deviation.chunks_exact(latent)));
        Ok(components
            .flat_map(|(weight, (mean, deviation))| {
                let log_deviations: f64 = deviation.iter().map(|s| libm::log(f64::from(*s))).sum();
                let constant = (libm::log(f64::from(*weight)) - log_deviations) as f32;
                let precisions = deviation.iter().map(|s| f64::from(*s).powi(-2) as f32);
                std::iter::once(constant).chain(mean.iter().copied()).chain(precisions)
            })
            .collect())
    }
}
