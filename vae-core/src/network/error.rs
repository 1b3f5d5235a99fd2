//! Why an input could not be encoded, decoded or scored.

use core::fmt;

use crate::format::error::LoadError;

/// Why an input could not be encoded, decoded or scored.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InferError {
    /// The scratch buffer is smaller than [`Model::scratch_len`](crate::Model::scratch_len).
    ScratchTooSmall {
        /// Values (`f32`) that are needed.
        needed: usize,
        /// Values that were given.
        found: usize,
    },
    /// A vector does not have the length that the model needs.
    WrongLength {
        /// Values that are needed.
        needed: usize,
        /// Values that were given.
        found: usize,
    },
    /// An input is infinite. (NaN is not an error: it means *not observed*.)
    Infinite {
        /// Index of the feature.
        feature: usize,
    },
    /// A Bernoulli model was given a value outside `[0, 1]`.
    OutsideUnitInterval {
        /// Index of the feature.
        feature: usize,
        /// Its value.
        value: f32,
    },
    /// An intermediate value exceeds the range of `f32`: the model's weights are unusable.
    Overflow,
    /// Zero samples were asked for.
    NoSamples,
    /// The condition has not the length that the model needs; see [`Model::given`](crate::Model::given).
    WrongCondition {
        /// Values that the model's condition has.
        needed: usize,
        /// Values that were given.
        found: usize,
    },
    /// A value of the condition is NaN or infinite.
    BadCondition {
        /// Its index.
        condition: usize,
    },
    /// The model file does not hold what was asked for: a mixture, a second stage, or an attribute of that name.
    Absent,
    /// What was asked for is not defined for the model's kind of posterior.
    Unsupported,
    /// The model file is faulty; [`Model::verify`](crate::Model::verify) finds this before the first score.
    Model(LoadError),
}

impl From<LoadError> for InferError {
    fn from(error: LoadError) -> Self {
        Self::Model(error)
    }
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ScratchTooSmall { needed, found } => {
                write!(
                    f,
                    "scratch holds {found} values and the model needs {needed}: size it with Model::scratch_len()"
                )
            }
            Self::WrongLength { needed, found } => {
                write!(f, "a vector has {found} values where the model needs {needed}")
            }
            Self::Infinite { feature } => {
                write!(f, "feature {feature} is infinite: give NaN for a value that was not observed")
            }
            Self::OutsideUnitInterval { feature, value } => {
                write!(f, "feature {feature} is {value}: a Bernoulli model needs values between 0 and 1")
            }
            Self::Overflow => {
                f.write_str("an intermediate value exceeds the range of f32: the model's weights are unusable")
            }
            Self::NoSamples => f.write_str("at least one sample is needed"),
            Self::WrongCondition { needed, found } => {
                write!(
                    f,
                    "the condition has {found} values where the model needs {needed}: give them with Model::given()"
                )
            }
            Self::BadCondition { condition } => {
                write!(f, "condition {condition} is not a finite number: give all of them")
            }
            Self::Absent => {
                f.write_str("the model file does not hold what was asked for (mixture, second stage or attribute)")
            }
            Self::Unsupported => f.write_str("not defined for the model's kind of posterior"),
            Self::Model(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for InferError {}
