//! A model that was trained elsewhere.

use serde::{Deserialize, Serialize};
use vae_core::format::{LikelihoodKind, PosteriorKind, Precision};

use crate::{
    file::{calibration::CalibrationRecord, model_file::ModelFile},
    weights::dense::Dense,
};

/// A model that was trained elsewhere, as the model file takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Imported {
    /// The decoder's likelihood.
    pub likelihood: LikelihoodKind,
    /// Names of the channels, in order.
    pub channels: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Per feature, subtracted from the input.
    pub mean: Vec<f32>,
    /// Per feature, divides the difference.
    pub scale: Vec<f32>,
    /// Per feature, variance of a Gaussian likelihood in standardised units.
    pub variance: Vec<f32>,
    /// A predicted log-variance is limited to the range between these.
    pub log_variance_bounds: (f32, f32),
    /// Features to the posterior's parameters.
    pub encoder: Vec<Dense>,
    /// Latent vector to the likelihood's parameters.
    pub decoder: Vec<Dense>,
    /// Name and CRC-32 of the file of weights.
    pub weights: String,
}

impl Imported {
    /// The model file, not calibrated.
    #[must_use]
    pub fn model_file(&self) -> ModelFile {
        ModelFile {
            precision: Precision::F32,
            posterior: PosteriorKind::DiagonalGaussian,
            likelihood: self.likelihood,
            channels: self.channels.clone(),
            window: self.window,
            hop: self.hop,
            front_ends: Vec::new(),
            latent: self.latent,
            mean: self.mean.clone(),
            scale: self.scale.clone(),
            variance: self.variance.clone(),
            families: Vec::new(),
            log_variance_bounds: self.log_variance_bounds,
            conditions: Vec::new(),
            condition_mean: Vec::new(),
            condition_scale: Vec::new(),
            prior: None,
            relations: None,
            mixture: None,
            second_stage: None,
            attributes: Vec::new(),
            encoder: self.encoder.clone(),
            decoder: self.decoder.clone(),
            calibration: CalibrationRecord::default(),
            golden_inputs: Vec::new(),
            data: format!("imported, {}", self.weights),
            seed: 0,
            metrics: Vec::new(),
        }
    }
}
