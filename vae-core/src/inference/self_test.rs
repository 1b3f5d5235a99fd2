//! The desktop's bits, checked on the device.

use core::{fmt, hint::black_box};

use crate::{
    format::{error::LoadError, prelude::check_sum},
    model::Model,
    network::{error::InferError, scratch::Scratch},
};

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

impl Model<'_> {
    /// Checks how the machine rounds and the whole file, then scores its golden vectors and compares with the exporting machine's results
    /// bit for bit.
    ///
    /// Run it at boot, and before a model received over the air replaces another, where windows are scored: each task and interrupt has
    /// a floating-point mode of its own. It must be the one that all processors start in: round to nearest, subnormal numbers kept
    /// (on Arm `FPSCR` with `FZ` and `RMode` 0, in `FPDSCR` too; on x86 `MXCSR` without `FTZ` and `DAZ`; on RISC-V `frm` 0). Which NaN is
    /// computed (`DN`) does not matter.
    ///
    /// # Errors
    /// See [`SelfTestError`]; a model that fails must not be used.
    #[inline(always)] // so that the compiler sees which of the two it is, and links no other
    pub fn self_test(&self, scratch: &mut Scratch<'_>) -> Result<(), SelfTestError> {
        check_mode()?;
        if self.is_verified() {
            // By the compiler, all but what the flash has kept of it.
            check_sum(self.file())?;
        } else {
            self.verify()?;
        }
        self.score_golden_vectors(scratch)
    }

    fn score_golden_vectors(&self, scratch: &mut Scratch<'_>) -> Result<(), SelfTestError> {
        for (vector, golden) in self.golden_vectors()?.enumerate() {
            let (input, golden) = golden?;
            let error = LoadError::Shape { expected: self.features(), found: input.len() };
            let (x, condition) = input.split_at_checked(self.features()).ok_or(error)?;
            let found = self.elbo_given(condition, x, scratch)?;
            let same =
                [(found.elbo, golden.elbo), (found.reconstruction, golden.reconstruction), (found.kl, golden.kl)]
                    .iter()
                    .all(|(found, expected)| found.to_bits() == expected.to_bits());
            if !same {
                return Err(SelfTestError::Differs { vector, expected: golden.elbo, found: found.elbo });
            }
        }
        Ok(())
    }
}

/// Refuses a floating-point mode in which scores have other bits, though golden vectors may have the same.
fn check_mode() -> Result<(), SelfTestError> {
    // In units of the least subnormal: 3 / 2, a tie, is 2, and 2 · 1.25 is 2 again. What is flushed is 0; towards zero or down the first
    // is 1 and stays so; up, and ties away from zero, the second is 3. The compiler assumes the usual mode, and must not compute it.
    match (f32::from_bits(black_box(3)) * 0.5 * 1.25).to_bits() {
        2 => Ok(()),
        0 => Err(SelfTestError::FlushesToZero),
        _ => Err(SelfTestError::Rounding),
    }
}
