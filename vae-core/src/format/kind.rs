//! The kinds of numbers, posteriors and likelihoods that a file may hold.

use serde::{Deserialize, Serialize};

use crate::format::{cursor::Cursor, feature::Feature};

/// How weights are stored and products computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// `f32` weights and activations.
    F32,
    /// `i8` weights with one scale per output row; activations quantised with one scale per vector.
    Int8,
}

impl Precision {
    pub(crate) const fn take(cursor: &mut Cursor<'_>) -> Self {
        match cursor.word() {
            0 => {
                cursor.need(Feature::F32);
                Self::F32
            }
            1 => Self::Int8,
            _ => {
                cursor.fail();
                Self::Int8
            }
        }
    }
}

/// The family of the encoder's posterior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PosteriorKind {
    /// The encoder's last layer gives the means, then the log-variances.
    DiagonalGaussian,
    /// The encoder's last layer gives the means, then the rows of the covariance's Cholesky factor up to the diagonal, whose
    /// entries are logarithms.
    #[cfg(feature = "families")]
    FullGaussian,
    /// The encoder's last layer gives the logits of independent Bernoulli latents.
    #[cfg(feature = "families")]
    Bernoulli,
    /// The encoder's last layer gives the logits of independent categorical latents. Of the latent vector each has as many values, side by side, as
    /// there are categories: a one and zeros.
    #[cfg(feature = "categorical")]
    Categorical {
        /// Categories of each latent: the latent vector's length is a multiple of them.
        categories: u32,
    },
}

impl PosteriorKind {
    #[allow(unreachable_patterns, reason = "the numbers of what this build leaves out stand behind those that it has")]
    pub(crate) const fn take(cursor: &mut Cursor<'_>) -> Self {
        match cursor.word() {
            0 => return Self::DiagonalGaussian,
            #[cfg(feature = "families")]
            1 => return Self::FullGaussian,
            #[cfg(feature = "families")]
            2 => return Self::Bernoulli,
            #[cfg(feature = "categorical")]
            3 => return Self::Categorical { categories: cursor.word() },
            1 | 2 => cursor.need(Feature::Families),
            3 => cursor.need(Feature::Categorical),
            _ => cursor.fail(),
        }
        Self::DiagonalGaussian
    }

    /// Outputs of the encoder's last layer, for a number of latent dimensions.
    #[must_use]
    pub const fn parameters(self, latent: usize) -> usize {
        match self {
            Self::DiagonalGaussian => latent.saturating_mul(2),
            #[cfg(feature = "families")]
            Self::FullGaussian => latent.saturating_add(latent.saturating_mul(latent.saturating_add(1)) / 2),
            #[cfg(feature = "families")]
            Self::Bernoulli => latent,
            #[cfg(feature = "categorical")]
            Self::Categorical { .. } => latent,
        }
    }

    /// Whether latent vectors are of zeros and ones.
    #[must_use]
    pub const fn is_discrete(self) -> bool {
        match self {
            Self::DiagonalGaussian => false,
            #[cfg(feature = "families")]
            Self::FullGaussian => false,
            #[cfg(feature = "families")]
            Self::Bernoulli => true,
            #[cfg(feature = "categorical")]
            Self::Categorical { .. } => true,
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
    /// Each feature has a family of its own, see `FeatureFamily`; the decoder gives a mean or a logit per feature.
    #[cfg(any(feature = "mixed", feature = "covariance"))]
    // refused without the former, but counted for the numbers of those behind it
    Mixed,
    /// The covariance is a diagonal and a product `U Uᵀ` of this rank, one of [`COVARIANCE_RANKS`]. The decoder gives, for each feature in turn, its
    /// mean, the logarithm of its own variance, which is on the diagonal, and its row of U.
    #[cfg(feature = "covariance")]
    GaussianCovariance(u8),
}

/// Ranks of a predicted covariance beside its diagonal, ascending: those for which a chunk of the decoder's outputs has whole features. One less than
/// there are features is enough for any covariance.
#[cfg(feature = "covariance")]
pub const COVARIANCE_RANKS: [u8; 6] = [1, 2, 4, 6, 10, 14];

impl LikelihoodKind {
    #[allow(unreachable_patterns, reason = "the numbers of what this build leaves out stand behind those that it has")]
    pub(crate) const fn take(cursor: &mut Cursor<'_>) -> Self {
        match cursor.word() {
            0 => {
                cursor.need(Feature::Families);
                return Self::Bernoulli;
            }
            1 => return Self::GaussianFixed,
            2 => return Self::GaussianPerFeature,
            3 => {
                cursor.need(Feature::Families);
                return Self::GaussianPredicted;
            }
            #[cfg(feature = "mixed")]
            4 => return Self::Mixed,
            #[cfg(feature = "covariance")]
            5 => return Self::GaussianCovariance(cursor.byte()),
            4 => cursor.need(Feature::Mixed),
            5 => cursor.need(Feature::Covariance),
            _ => cursor.fail(),
        }
        Self::GaussianFixed
    }

    /// Outputs of the decoder's last layer, for a number of features.
    #[must_use]
    pub const fn parameters(self, features: usize) -> usize {
        match self {
            Self::Bernoulli | Self::GaussianFixed | Self::GaussianPerFeature => features,
            Self::GaussianPredicted => features.saturating_mul(2),
            #[cfg(any(feature = "mixed", feature = "covariance"))]
            Self::Mixed => features,
            #[cfg(feature = "covariance")]
            Self::GaussianCovariance(rank) => features.saturating_mul(2 + rank as usize),
        }
    }

    /// Arrays of an `f32` per feature that [`Header::features`](crate::format::Header::features) begins with.
    #[must_use]
    pub const fn feature_arrays(self) -> usize {
        match self {
            Self::Bernoulli => 2,
            Self::GaussianPredicted => 3,
            Self::GaussianFixed | Self::GaussianPerFeature => 4,
            #[cfg(any(feature = "mixed", feature = "covariance"))]
            Self::Mixed => 5,
            #[cfg(feature = "covariance")]
            Self::GaussianCovariance(_) => 3,
        }
    }
}

/// Most that [`FeatureFamily::FirstCategory`] may have: above, `f32` leaves nothing to the categories that training has seen.
#[cfg(feature = "mixed")]
pub(crate) const MOST_LOG_OTHER: f32 = -1e-6;

/// The family of one feature of [`LikelihoodKind::Mixed`].
///
/// A column of K categories is K features of zeros and ones, one behind the other: the first is a [`Self::FirstCategory`], the others are
/// [`Self::NextCategory`]. All of them are NaN where the category was not observed.
#[cfg(feature = "mixed")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum FeatureFamily {
    /// The decoder gives the mean; the feature has its own learned variance.
    Gaussian,
    /// 0 or 1; the decoder gives its logit.
    Bernoulli,
    /// Whether the first category of a column was seen; the decoder gives its logit.
    FirstCategory {
        /// `ln p` of none of the column's categories, in nats, below 0: what a category costs that training has not seen.
        log_other: f32,
    },
    /// Whether the next category of the column of the feature before was seen; the decoder gives its logit.
    NextCategory,
}

#[cfg(feature = "mixed")]
impl FeatureFamily {
    /// As the file has it: 0 Gaussian, 1 Bernoulli, 2 a next category, a negative number the `log_other` of a first one.
    #[must_use]
    pub const fn code(self) -> f32 {
        match self {
            Self::Gaussian => 0.0,
            Self::Bernoulli => 1.0,
            Self::NextCategory => 2.0,
            Self::FirstCategory { log_other } => log_other,
        }
    }

    /// What a file means; `None` for what no file has.
    #[must_use]
    pub const fn of_code(code: f32) -> Option<Self> {
        if code == 0.0 {
            Some(Self::Gaussian)
        } else if code == 1.0 {
            Some(Self::Bernoulli)
        } else if code == 2.0 {
            Some(Self::NextCategory)
        } else if code <= MOST_LOG_OTHER && code.is_finite() {
            Some(Self::FirstCategory { log_other: code })
        } else {
            None
        }
    }

    /// Whether it is of values that are 0 or 1, and no measured numbers.
    #[must_use]
    pub const fn is_discrete(self) -> bool {
        !matches!(self, Self::Gaussian)
    }
}
