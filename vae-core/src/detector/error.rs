//! Why a detector refused what was asked of it.

use core::fmt;

use crate::{inference::self_test::SelfTestError, network::error::InferError};

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
