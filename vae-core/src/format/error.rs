//! Why a model file was refused.

use core::fmt;

use crate::format::feature::Feature;

/// Why a model file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LoadError {
    /// The file is shorter than its own header or body says.
    TooShort {
        /// Bytes that the file should have.
        needed: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// The file does not begin with `VAE\0`: it is not a model.
    NotAModel,
    /// The file was written by another version of the format.
    UnsupportedVersion {
        /// The file's version.
        found: usize,
        /// The newest version that this crate reads.
        supported: usize,
    },
    /// There are bytes after the end of the model.
    TooLong {
        /// Bytes that the file should have.
        needed: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// The file was damaged after it was written.
    Checksum {
        /// CRC-32 stored in the file.
        stored: u32,
        /// CRC-32 of the bytes as they are.
        computed: u32,
    },
    /// The file does not start at an address divisible by four.
    Misaligned,
    /// The model needs a Cargo feature of this crate that this build leaves out.
    NeedsFeature {
        /// Which one.
        feature: Feature,
    },
    /// The body is not what this version of the format prescribes.
    Malformed {
        /// Bytes of the file that were still unread when the fault was met.
        remaining: usize,
    },
    /// A size in the body does not fit its neighbour.
    Shape {
        /// The size that is needed.
        expected: usize,
        /// The size that was found.
        found: usize,
    },
    /// A weight, scale or other constant of the model is NaN, infinite or out of its range.
    Value,
}

impl LoadError {
    /// What went wrong, without the numbers: usable in `const` context.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "model file is truncated",
            Self::NotAModel => "not a model file (it does not begin with `VAE\\0`)",
            Self::UnsupportedVersion { .. } => "model file has a format version that this release does not read",
            Self::TooLong { .. } => "model file has bytes after its end",
            Self::Checksum { .. } => "model file is damaged (its checksum does not match)",
            Self::Misaligned => "model file is not 4-byte aligned in memory (embed it with include_model!)",
            Self::NeedsFeature { feature } => feature.reason(),
            Self::Malformed { .. } => "model file's body is malformed",
            Self::Shape { .. } => "sizes in the model file do not fit each other",
            Self::Value => "model file holds a constant that is not finite or out of range",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match *self {
            Self::TooShort { needed, found } | Self::TooLong { needed, found } => {
                write!(f, ": it should have {needed} bytes and has {found}")
            }
            Self::UnsupportedVersion { found, supported } => {
                write!(f, ": it is version {found}, read up to {supported}; export the model again")
            }
            Self::Checksum { stored, computed } => write!(f, ": stored {stored:#010x}, computed {computed:#010x}"),
            Self::Malformed { remaining } => write!(f, ", {remaining} bytes before its end"),
            Self::Shape { expected, found } => write!(f, ": expected {expected}, found {found}"),
            Self::NotAModel | Self::Misaligned | Self::NeedsFeature { .. } | Self::Value => Ok(()),
        }
    }
}

impl core::error::Error for LoadError {}
