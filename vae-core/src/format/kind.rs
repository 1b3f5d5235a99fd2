//! The kinds of numbers, posteriors and likelihoods that a file may hold.

use serde::{Deserialize, Serialize};

/// How weights are stored and products computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// `f32` weights and activations.
    F32,
    /// `i8` weights with one scale per output row; activations quantised with one scale per vector.
    Int8,
}

/// The family of the encoder's posterior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PosteriorKind {
    /// The encoder's last layer gives the means, then the log-variances.
    DiagonalGaussian,
    /// The encoder's last layer gives the means, then the rows of the covariance's Cholesky factor up to the diagonal, whose
    /// entries are logarithms.
    FullGaussian,
    /// The encoder's last layer gives the logits of independent Bernoulli latents.
    Bernoulli,
}

impl PosteriorKind {
    /// Outputs of the encoder's last layer, for a number of latent dimensions.
    #[must_use]
    pub const fn parameters(self, latent: usize) -> usize {
        match self {
            Self::DiagonalGaussian => latent.saturating_mul(2),
            Self::FullGaussian => latent.saturating_add(latent.saturating_mul(latent.saturating_add(1)) / 2),
            Self::Bernoulli => latent,
        }
    }
}

/// The family of the decoder's likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LikelihoodKind {
    /// The decoder gives a logit per feature.
    Bernoulli,
    /// The decoder gives the means; one variance for all standardised features.
    GaussianFixed,
    /// The decoder gives the means; each feature has its own learned variance.
    GaussianPerFeature,
    /// The decoder gives, for each feature in turn, its mean and its log-variance.
    GaussianPredicted,
}

impl LikelihoodKind {
    /// Outputs of the decoder's last layer, for a number of features.
    #[must_use]
    pub const fn parameters(self, features: usize) -> usize {
        match self {
            Self::Bernoulli | Self::GaussianFixed | Self::GaussianPerFeature => features,
            Self::GaussianPredicted => features.saturating_mul(2),
        }
    }
}
