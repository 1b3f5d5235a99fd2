//! The desktop's bits, checked on the device.

use core::hint::black_box;

use crate::{Model, Scratch, SelfTestError};

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
    pub fn self_test(&self, scratch: &mut Scratch<'_>) -> Result<(), SelfTestError> {
        check_mode()?;
        self.verify()?;
        for (vector, golden) in self.golden_vectors()?.enumerate() {
            let (input, golden) = golden?;
            let (x, condition) = input.split_at_checked(self.features()).unwrap_or_default();
            let found = self.given(condition)?.elbo_at_mean(x, scratch)?;
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
