//! Sizes and kinds of a network.

use serde::{Deserialize, Serialize};
use vae_core::format::{FeatureFamily, LikelihoodKind};

use crate::weights::family::{HiddenActivation, Likelihood, Posterior};

/// Learned log-variances of the likelihood stay below this: ten times the spread of the data.
pub const LARGEST_LOG_VARIANCE: f32 = 4.6;

/// Sizes and kinds that the weights do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Values in a window.
    pub features: usize,
    /// Values of the condition.
    pub conditions: usize,
    /// Widths of the encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// Components of the learned prior; 0 for the standard one.
    pub prior: usize,
    /// Activation of the hidden layers.
    pub activation: HiddenActivation,
    /// Family of `q(z|x)`.
    pub posterior: Posterior,
    /// Likelihood `p(x|z)`.
    pub likelihood: Likelihood,
    /// Rank of a predicted covariance beside its diagonal.
    #[serde(default)]
    pub covariance_rank: u8,
    /// Variance of the fixed Gaussian, in standardised units.
    pub variance: f32,
    /// Least variance of the learned and the predicted Gaussian, of each feature by itself, in standardised units.
    pub variance_floor: f32,
    /// Least learned variance of each feature, in standardised units.
    pub variance_floors: Vec<f32>,
    /// The family of each feature, of a likelihood that has several; else none.
    pub families: Vec<FeatureFamily>,
}

impl Architecture {
    /// Values of a window and its condition.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.features + self.conditions
    }

    /// The likelihood's name in the model file.
    #[must_use]
    pub fn likelihood_kind(&self) -> LikelihoodKind {
        self.likelihood.kind(self.covariance_rank)
    }

    /// Range of the likelihood's log-variance.
    #[must_use]
    pub fn log_variance_bounds(&self) -> (f32, f32) {
        (libm::logf(self.variance_floor), LARGEST_LOG_VARIANCE)
    }

    /// Widths of the encoder, input to output, then of the decoder.
    pub(crate) fn widths(&self) -> [Vec<usize>; 2] {
        let mut encoder = vec![self.inputs()];
        encoder.extend(&self.hidden);
        encoder.push(self.posterior.kind().parameters(self.latent));
        let mut decoder = vec![self.latent + self.conditions];
        decoder.extend(self.hidden.iter().rev());
        decoder.push(self.likelihood_kind().parameters(self.features));
        [encoder, decoder]
    }
}
