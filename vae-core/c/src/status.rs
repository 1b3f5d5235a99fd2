//! How a call ended.

use core::ffi::CStr;

use vae_core::{DetectorError, InferError, LoadError, SelfTestError};

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal, $message:literal;)*) => {
        /// The message of a code.
        pub(crate) fn message(code: u32) -> &'static CStr {
            match code {
                $($number => $message,)*
                _ => c"no code of this library",
            }
        }
        const _: () = { $(assert!(vae_code::$code as u32 == $number);)* };
    };
}

/// How a call ended. Numbers are never given a new meaning.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum vae_code {
    /// Done.
    VAE_OK = 0,
    /// A pointer is null.
    VAE_NULL = 1,
    /// A pointer is not aligned for what it points to; found is what its address is beyond the last aligned one.
    VAE_UNALIGNED = 2,
    /// The object was not made, or its making failed, or (a detector) it was copied or moved.
    VAE_NOT_MADE = 3,
    /// A vector has found values where needed are.
    VAE_LENGTH = 4,
    /// The file has found bytes and should have needed.
    VAE_FILE_TRUNCATED = 10,
    /// The file is no model.
    VAE_NOT_A_MODEL = 11,
    /// The file has format version found; this library reads up to needed.
    VAE_FORMAT_VERSION = 12,
    /// The file has found bytes and should have needed.
    VAE_FILE_TOO_LONG = 13,
    /// The file's checksum is found where it says needed.
    VAE_FILE_DAMAGED = 14,
    /// The file's address is not divisible by four.
    VAE_FILE_UNALIGNED = 15,
    /// The file's body is malformed, found bytes before its end.
    VAE_FILE_MALFORMED = 16,
    /// A size in the file is found where needed is.
    VAE_FILE_SHAPE = 17,
    /// The file holds a constant that is not finite or out of range.
    VAE_FILE_VALUE = 18,
    /// Golden vector found scores found_value where the desktop had needed_value.
    VAE_SELF_TEST = 19,
    /// The processor flushes subnormal numbers to zero: clear FZ in FPSCR and FPDSCR (x86: FTZ and DAZ, which -ffast-math sets).
    VAE_FLUSHES_TO_ZERO = 20,
    /// The processor does not round to nearest: clear RMode in FPSCR and FPDSCR (or fesetround(FE_TONEAREST)).
    VAE_ROUNDING = 21,
    /// The model needs found bytes or more, and the machine can address needed.
    VAE_TOO_LARGE = 22,
    /// The scratch has found bytes of needed.
    VAE_SCRATCH_TOO_SMALL = 30,
    /// Feature found is infinite.
    VAE_INFINITE = 31,
    /// Feature found is found_value, outside 0 to 1.
    VAE_OUTSIDE_UNIT_INTERVAL = 32,
    /// An intermediate value exceeds the range of float.
    VAE_OVERFLOW = 33,
    /// The condition has found values of needed.
    VAE_CONDITION_LENGTH = 34,
    /// Value found of the condition is missing or not finite.
    VAE_CONDITION_VALUE = 35,
    /// The model asks for something that this library was built without.
    VAE_UNSUPPORTED = 36,
    /// The state has found bytes of needed.
    VAE_STATE_TOO_SMALL = 50,
    /// The model is not calibrated.
    VAE_NOT_CALIBRATED = 51,
    /// needed votes of found windows are impossible.
    VAE_VOTES = 52,
    /// Samples come at found_value Hz and the model was trained at needed_value.
    VAE_SAMPLE_RATE = 53,
    /// Nobody said how many samples come each second.
    VAE_NO_SAMPLE_RATE = 54,
    /// A window is still being judged.
    VAE_BUSY = 55,
    /// A new baseline of found windows where needed are the fewest.
    VAE_SHORT_BASELINE = 56,
    /// A snapshot has found bytes of needed.
    VAE_SNAPSHOT_LENGTH = 57,
    /// A snapshot is damaged.
    VAE_SNAPSHOT_DAMAGED = 58,
    /// A snapshot is of model found where this is model needed.
    VAE_OTHER_MODEL = 59,
    /// An alarm is raised, and no baseline is made of a machine that is not healthy.
    VAE_ALARMED = 60,
    /// vae_detector_lock was called.
    VAE_LOCKED = 61,
    /// A snapshot is of layout found; this library reads layout needed.
    VAE_SNAPSHOT_VERSION = 62,
    /// The window's buffer has found bytes of needed.
    VAE_WINDOW_TOO_SMALL = 63,
}

codes! {
    VAE_OK = 0, c"done";
    VAE_NULL = 1, c"a pointer is null";
    VAE_UNALIGNED = 2, c"a pointer is not aligned for what it points to";
    VAE_NOT_MADE = 3, c"the object was not made (look at what open or init returned), or a detector was copied or moved";
    VAE_LENGTH = 4, c"a vector has not the length that the model needs: ask vae_model_sizes";
    VAE_FILE_TRUNCATED = 10, c"model file is truncated";
    VAE_NOT_A_MODEL = 11, c"not a model file";
    VAE_FORMAT_VERSION = 12, c"model file has a format version that this release does not read: export it again";
    VAE_FILE_TOO_LONG = 13, c"model file has bytes after its end";
    VAE_FILE_DAMAGED = 14, c"model file is damaged (its checksum does not match)";
    VAE_FILE_UNALIGNED = 15, c"model file is not 4-byte aligned in memory";
    VAE_FILE_MALFORMED = 16, c"model file's body is malformed";
    VAE_FILE_SHAPE = 17, c"sizes in the model file do not fit each other";
    VAE_FILE_VALUE = 18, c"model file holds a constant that is not finite or out of range";
    VAE_SELF_TEST = 19, c"a golden vector scores other bits than on the desktop";
    VAE_FLUSHES_TO_ZERO = 20, c"the processor flushes subnormal numbers to zero: clear FZ in FPSCR and FPDSCR (x86: FTZ and DAZ)";
    VAE_ROUNDING = 21, c"the processor does not round to nearest: clear RMode in FPSCR and FPDSCR";
    VAE_TOO_LARGE = 22, c"the model needs more memory than the machine can address";
    VAE_SCRATCH_TOO_SMALL = 30, c"the scratch is too small: ask vae_model_sizes";
    VAE_INFINITE = 31, c"a feature is infinite: give NaN for a value that was not observed";
    VAE_OUTSIDE_UNIT_INTERVAL = 32, c"a Bernoulli model needs values between 0 and 1";
    VAE_OVERFLOW = 33, c"an intermediate value exceeds the range of float: the model's weights are unusable";
    VAE_CONDITION_LENGTH = 34, c"the condition has not the length that the model needs";
    VAE_CONDITION_VALUE = 35, c"the condition is missing or not finite: give it with vae_detector_given";
    VAE_UNSUPPORTED = 36, c"the model asks for something that this library was built without: build it with the features spectrum, mixed, covariance or categorical";
    VAE_STATE_TOO_SMALL = 50, c"the detector's state is too small: ask vae_model_sizes";
    VAE_NOT_CALIBRATED = 51, c"the model file holds no calibration of alarms: run vae-train calibrate, then export again";
    VAE_VOTES = 52, c"votes must be 1 <= needed <= of <= 32";
    VAE_SAMPLE_RATE = 53, c"samples come at another rate than the model was trained at, or at none";
    VAE_NO_SAMPLE_RATE = 54, c"the model file does not say its sample rate: give it in the settings";
    VAE_BUSY = 55, c"a window is still being judged: call vae_detector_step until it is done, then give the sample again";
    VAE_SHORT_BASELINE = 56, c"too few windows for a new baseline";
    VAE_SNAPSHOT_LENGTH = 57, c"a snapshot of this detector has another length: ask vae_model_sizes";
    VAE_SNAPSHOT_DAMAGED = 58, c"the snapshot is damaged: start without it";
    VAE_OTHER_MODEL = 59, c"the snapshot is of another model: start without it";
    VAE_ALARMED = 60, c"an alarm is raised: call vae_detector_acknowledge once the fault is mended";
    VAE_LOCKED = 61, c"what has been learned of the machine is locked: make the detector anew to change it";
    VAE_SNAPSHOT_VERSION = 62, c"the snapshot was written by another release, in another layout: start without it";
    VAE_WINDOW_TOO_SMALL = 63, c"the window's buffer is too small: ask vae_model_sizes";
}

/// How a call ended, with the numbers that its code speaks of; the others are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vae_status {
    /// VAE_OK, or what went wrong.
    code: vae_code,
    /// What was needed.
    needed: u32,
    /// What was found.
    found: u32,
    /// What was needed, where it is no integer.
    needed_value: f32,
    /// What was found, where it is no integer.
    found_value: f32,
}

impl vae_status {
    pub(crate) fn lengths(code: vae_code, needed: usize, found: usize) -> Self {
        // Sizes of a device's memory; on the host what is beyond is cut to the largest.
        let word = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self { needed: word(needed), found: word(found), ..code.into() }
    }

    /// Of buffers, whose floats C counts in bytes.
    pub(crate) fn bytes(code: vae_code, needed: usize, found: usize) -> Self {
        let [needed, found] = [needed, found].map(|floats| floats.saturating_mul(size_of::<f32>()));
        Self::lengths(code, needed, found)
    }

    fn index(code: vae_code, index: usize) -> Self {
        Self::lengths(code, 0, index)
    }

    /// Of a pointer that is null or not aligned.
    pub(crate) fn pointer<T>(pointer: *const T) -> Self {
        if pointer.is_null() {
            vae_code::VAE_NULL.into()
        } else {
            Self::lengths(vae_code::VAE_UNALIGNED, align_of::<T>(), pointer.addr() % align_of::<T>())
        }
    }
}

impl From<vae_code> for vae_status {
    fn from(code: vae_code) -> Self {
        Self { code, needed: 0, found: 0, needed_value: 0.0, found_value: 0.0 }
    }
}

impl From<Result<(), vae_status>> for vae_status {
    fn from(result: Result<(), vae_status>) -> Self {
        match result {
            Ok(()) => vae_code::VAE_OK.into(),
            Err(status) => status,
        }
    }
}

impl From<LoadError> for vae_status {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::TooShort { needed, found } => Self::lengths(vae_code::VAE_FILE_TRUNCATED, needed, found),
            LoadError::NotAModel => vae_code::VAE_NOT_A_MODEL.into(),
            LoadError::UnsupportedVersion { found, supported } => {
                Self::lengths(vae_code::VAE_FORMAT_VERSION, supported, found)
            }
            LoadError::TooLong { needed, found } => Self::lengths(vae_code::VAE_FILE_TOO_LONG, needed, found),
            LoadError::Checksum { stored, computed } => {
                Self { needed: stored, found: computed, ..vae_code::VAE_FILE_DAMAGED.into() }
            }
            LoadError::Misaligned => vae_code::VAE_FILE_UNALIGNED.into(),
            LoadError::NeedsFeature { .. } => vae_code::VAE_UNSUPPORTED.into(),
            LoadError::Malformed { remaining } => Self::index(vae_code::VAE_FILE_MALFORMED, remaining),
            LoadError::Shape { expected, found } => Self::lengths(vae_code::VAE_FILE_SHAPE, expected, found),
            LoadError::Value => vae_code::VAE_FILE_VALUE.into(),
        }
    }
}

impl From<InferError> for vae_status {
    fn from(error: InferError) -> Self {
        match error {
            InferError::ScratchTooSmall { needed, found } => {
                Self::bytes(vae_code::VAE_SCRATCH_TOO_SMALL, needed, found)
            }
            InferError::WrongLength { needed, found } => Self::lengths(vae_code::VAE_LENGTH, needed, found),
            InferError::Infinite { feature } => Self::index(vae_code::VAE_INFINITE, feature),
            InferError::OutsideUnitInterval { feature, value } => {
                Self { found_value: value, ..Self::index(vae_code::VAE_OUTSIDE_UNIT_INTERVAL, feature) }
            }
            InferError::Overflow => vae_code::VAE_OVERFLOW.into(),
            InferError::WrongCondition { needed, found } => {
                Self::lengths(vae_code::VAE_CONDITION_LENGTH, needed, found)
            }
            InferError::BadCondition { condition } => Self::index(vae_code::VAE_CONDITION_VALUE, condition),
            InferError::NoSamples | InferError::Absent | InferError::Unsupported => vae_code::VAE_UNSUPPORTED.into(),
            InferError::Model(error) => error.into(),
        }
    }
}

impl From<SelfTestError> for vae_status {
    fn from(error: SelfTestError) -> Self {
        match error {
            SelfTestError::FlushesToZero => vae_code::VAE_FLUSHES_TO_ZERO.into(),
            SelfTestError::Rounding => vae_code::VAE_ROUNDING.into(),
            SelfTestError::Model(error) => error.into(),
            SelfTestError::Infer(error) => error.into(),
            SelfTestError::Differs { vector, expected, found } => {
                Self { needed_value: expected, found_value: found, ..Self::index(vae_code::VAE_SELF_TEST, vector) }
            }
        }
    }
}

impl From<DetectorError> for vae_status {
    fn from(error: DetectorError) -> Self {
        match error {
            DetectorError::Infer(error) => error.into(),
            DetectorError::SelfTest(error) => error.into(),
            DetectorError::StateTooSmall { needed, found } => Self::bytes(vae_code::VAE_STATE_TOO_SMALL, needed, found),
            // Other channels are found by a replacement alone, which is not offered here.
            DetectorError::NotCalibrated | DetectorError::OtherChannels { .. } => vae_code::VAE_NOT_CALIBRATED.into(),
            DetectorError::Votes { needed, of } => Self { needed, found: of, ..vae_code::VAE_VOTES.into() },
            DetectorError::SampleRate { model, found } => {
                Self { needed_value: model, found_value: found, ..vae_code::VAE_SAMPLE_RATE.into() }
            }
            DetectorError::NoSampleRate => vae_code::VAE_NO_SAMPLE_RATE.into(),
            DetectorError::Busy => vae_code::VAE_BUSY.into(),
            DetectorError::ShortBaseline { needed, found } => {
                Self { needed, found, ..vae_code::VAE_SHORT_BASELINE.into() }
            }
            DetectorError::SnapshotLength { needed, found } => {
                Self::lengths(vae_code::VAE_SNAPSHOT_LENGTH, needed, found)
            }
            DetectorError::SnapshotDamaged => vae_code::VAE_SNAPSHOT_DAMAGED.into(),
            DetectorError::OtherModel { model, found } => {
                Self { needed: model, found, ..vae_code::VAE_OTHER_MODEL.into() }
            }
            DetectorError::Alarmed => vae_code::VAE_ALARMED.into(),
            DetectorError::Locked => vae_code::VAE_LOCKED.into(),
            DetectorError::SnapshotVersion { supported, found } => {
                Self { needed: supported.into(), found: found.into(), ..vae_code::VAE_SNAPSHOT_VERSION.into() }
            }
        }
    }
}
