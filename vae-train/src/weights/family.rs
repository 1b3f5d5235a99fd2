//! Families of distributions, and activations: what weights are for.

use serde::{Deserialize, Serialize};
use vae_core::{
    Activation,
    format::{LikelihoodKind, PosteriorKind},
};

/// Likelihood `p(x|z)` of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Gaussian with a learned variance per feature.
    Gaussian,
    /// Gaussian with one fixed variance, in standardised units.
    GaussianFixed,
    /// Gaussian whose variance the decoder predicts, window by window.
    GaussianPredicted,
    /// Gaussian whose covariance the decoder predicts, window by window: a variance for each feature, and factors that features share
    /// (--covariance-rank).
    GaussianCovariance,
    /// Bernoulli, for data between 0 and 1; nothing is standardised.
    Bernoulli,
    /// By column: Gaussian with a learned variance, Bernoulli or categorical.
    #[value(skip)]
    Mixed,
}

impl Likelihood {
    /// The family's name in the model file; a covariance is of this rank beside its diagonal.
    #[must_use]
    pub fn kind(self, covariance_rank: u8) -> LikelihoodKind {
        match self {
            Self::Gaussian => LikelihoodKind::GaussianPerFeature,
            Self::GaussianFixed => LikelihoodKind::GaussianFixed,
            Self::GaussianPredicted => LikelihoodKind::GaussianPredicted,
            Self::GaussianCovariance => LikelihoodKind::GaussianCovariance(covariance_rank),
            Self::Bernoulli => LikelihoodKind::Bernoulli,
            Self::Mixed => LikelihoodKind::Mixed,
        }
    }
}

/// Family of the encoder's posterior `q(z|x)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Posterior {
    /// Gaussian with a diagonal covariance.
    Diagonal,
    /// Gaussian with a full covariance.
    Full,
    /// Independent Bernoulli latents: zeros and ones.
    Bernoulli,
    /// Independent categorical latents: of each a one and zeros, side by side.
    Categorical {
        /// Of each latent, and so many of a latent vector's values.
        categories: usize,
    },
}

impl Posterior {
    /// The family's name in the model file.
    #[must_use]
    pub fn kind(self) -> PosteriorKind {
        match self {
            Self::Diagonal => PosteriorKind::DiagonalGaussian,
            Self::Full => PosteriorKind::FullGaussian,
            Self::Bernoulli => PosteriorKind::Bernoulli,
            Self::Categorical { categories } => PosteriorKind::Categorical { categories: categories as u32 },
        }
    }

    /// Of a latent vector of `latent` values, how many discrete latents it has, and how many states each has; none of Gaussian ones.
    #[must_use]
    pub fn discrete(self, latent: usize) -> Option<(usize, usize)> {
        match self {
            Self::Diagonal | Self::Full => None,
            Self::Bernoulli => Some((latent, 2)),
            Self::Categorical { categories } => Some((latent / categories, categories)),
        }
    }
}

/// The posterior's family by name, without its categories.
pub(crate) fn posterior_name(kind: PosteriorKind) -> String {
    match kind {
        PosteriorKind::Categorical { .. } => "Categorical".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Activation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenActivation {
    /// None: a linear model.
    Identity,
    /// max(v, 0)
    Relu,
    /// v, or 0.01 v where negative
    LeakyRelu,
    /// Hyperbolic tangent
    Tanh,
    /// v · sigmoid(v)
    Silu,
    /// 1 / (1 + e⁻ᵛ)
    Sigmoid,
    /// ln(1 + eᵛ)
    Softplus,
}

impl HiddenActivation {
    /// The activation as the core applies it.
    #[must_use]
    pub fn core(self) -> Activation {
        match self {
            Self::Identity => Activation::Identity,
            Self::Relu => Activation::Relu,
            Self::LeakyRelu => Activation::LeakyRelu(0.01),
            Self::Tanh => Activation::Tanh,
            Self::Silu => Activation::Silu,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Softplus => Activation::Softplus,
        }
    }
}
