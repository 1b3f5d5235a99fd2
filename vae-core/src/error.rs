//! What can go wrong, with the numbers in it.

use core::fmt;

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
            Self::NotAModel | Self::Misaligned | Self::Value => Ok(()),
        }
    }
}

impl core::error::Error for LoadError {}

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

/// Why a detector refused what was asked of it; it is then as it was before.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DetectorError {
    /// A sample, window, condition or scratch cannot be used.
    Infer(InferError),
    /// A model that was to replace another failed its self-test.
    SelfTest(SelfTestError),
    /// The state buffer is smaller than [`Model::state_len`](crate::Model::state_len).
    StateTooSmall {
        /// Values (`f32`) that are needed.
        needed: usize,
        /// Values that were given.
        found: usize,
    },
    /// The model file holds no calibration, or none of alarms.
    NotCalibrated,
    /// Votes must be `1 ≤ needed ≤ of ≤ 32`.
    Votes {
        /// Votes that raise an alarm.
        needed: u32,
        /// Windows that vote.
        of: u32,
    },
    /// The stream's sample rate is not the model's, or no rate at all.
    SampleRate {
        /// Of the model, in Hz.
        model: f32,
        /// Of the stream, in Hz.
        found: f32,
    },
    /// Nobody said how many samples come each second: alarms per week cannot be turned into a threshold.
    NoSampleRate,
    /// A window is still being judged: call [`Detector::step`](crate::Detector::step) until it is ready, then give the sample again.
    Busy,
    /// Too few windows for a new baseline.
    ShortBaseline {
        /// Fewest windows.
        needed: u32,
        /// Windows that were given.
        found: u32,
    },
    /// No baseline is made of a machine for which an alarm is raised: call [`Detector::acknowledge`](crate::Detector::acknowledge) once the
    /// fault is mended.
    Alarmed,
    /// [`Detector::lock`](crate::Detector::lock) was called: what has been learned of the machine is not changed any more.
    Locked,
    /// A model that was to replace another has other channels or conditions, or has them in another order.
    OtherChannels {
        /// Channels of the model in use.
        model: usize,
        /// Channels of the new one.
        found: usize,
    },
    /// The buffer for a snapshot is too small, or a snapshot is truncated.
    SnapshotLength {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// A snapshot was written by another version of this crate, in another layout.
    SnapshotVersion {
        /// Version that this one reads.
        supported: u8,
        /// Version of the snapshot.
        found: u8,
    },
    /// A snapshot was damaged after it was written, or is none.
    SnapshotDamaged,
    /// A snapshot was taken with another model.
    OtherModel {
        /// Fingerprint of the model in use.
        model: u32,
        /// Fingerprint of the snapshot's model.
        found: u32,
    },
}

impl From<InferError> for DetectorError {
    fn from(error: InferError) -> Self {
        Self::Infer(error)
    }
}

impl From<SelfTestError> for DetectorError {
    fn from(error: SelfTestError) -> Self {
        Self::SelfTest(error)
    }
}

impl fmt::Display for DetectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Infer(error) => write!(f, "{error}"),
            Self::SelfTest(error) => write!(f, "{error}"),
            Self::StateTooSmall { needed, found } => {
                write!(f, "the detector's state has {found} values and needs {needed}: size it with Model::state_len()")
            }
            Self::NotCalibrated => f.write_str(
                "the model file holds no calibration of alarms: make one with `vae-train calibrate`, then export again",
            ),
            Self::Votes { needed, of } => {
                write!(f, "{needed} votes of {of}: at least 1 is needed, at most as many as windows, and at most 32 windows")
            }
            Self::SampleRate { model, found } => {
                write!(f, "samples come at {found} Hz and the model was trained at {model} Hz: resample, or train at that rate")
            }
            Self::NoSampleRate => f.write_str(
                "the model file does not say its sample rate: give it with Detector::sample_rate(), or to `vae-train fit --rate`",
            ),
            Self::Busy => f.write_str("a window is still being judged: call step() until it is ready, then give the sample again"),
            Self::ShortBaseline { needed, found } => {
                write!(f, "{found} windows are too few for a new baseline: give at least {needed}")
            }
            Self::OtherChannels { model, found } if model != found => {
                write!(f, "the new model has {found} channels where the one in use has {model}")
            }
            Self::OtherChannels { .. } => {
                f.write_str("the new model's channels or conditions differ in name or order from those of the one in use")
            }
            Self::SnapshotLength { needed, found } => {
                write!(f, "a snapshot of this detector has {needed} bytes, not {found}: size it with Model::snapshot_len()")
            }
            Self::Alarmed => f.write_str(
                "an alarm is raised, and a machine that may be faulty makes no baseline: mend it, then call acknowledge() first",
            ),
            Self::Locked => f.write_str("the detector is locked: what it has learned of the machine is not changed any more"),
            Self::SnapshotVersion { supported, found } => {
                write!(f, "the snapshot is of version {found} and this detector reads version {supported}: start without it")
            }
            Self::SnapshotDamaged => f.write_str("the snapshot is damaged: start without it"),
            Self::OtherModel { model, found } => {
                write!(f, "the snapshot is of model {found:08x}, and this is model {model:08x}: start without it")
            }
        }
    }
}

impl core::error::Error for DetectorError {}

/// Why a self-test failed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SelfTestError {
    /// The processor takes subnormal numbers for zero.
    FlushesToZero,
    /// The processor does not round to the nearest number, ties to even.
    Rounding,
    /// The file, or the flash it lies in, is faulty.
    Model(LoadError),
    /// A golden vector could not be scored.
    Infer(InferError),
    /// A golden vector's score differs from the exporting machine's.
    Differs {
        /// Index of the golden vector.
        vector: usize,
        /// ELBO stored at export, in nats.
        expected: f32,
        /// ELBO computed here, in nats.
        found: f32,
    },
}

impl From<LoadError> for SelfTestError {
    fn from(error: LoadError) -> Self {
        Self::Model(error)
    }
}

impl From<InferError> for SelfTestError {
    fn from(error: InferError) -> Self {
        Self::Infer(error)
    }
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlushesToZero => f.write_str(
                "the processor flushes subnormal numbers to zero, and would score other bits: clear FZ in FPSCR and FPDSCR (x86: FTZ and DAZ)",
            ),
            Self::Rounding => f.write_str(
                "the processor does not round to nearest, and would score other bits: clear RMode in FPSCR and FPDSCR (RISC-V: frm)",
            ),
            Self::Model(error) => write!(f, "{error}"),
            Self::Infer(error) => write!(f, "{error}"),
            Self::Differs { vector, expected, found } => {
                write!(f, "golden vector {vector} scores {found} nats where the exporting machine had {expected}")
            }
        }
    }
}

impl core::error::Error for SelfTestError {}
