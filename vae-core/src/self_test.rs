//! The desktop's bits, checked on the device.

use crate::{Model, Scratch, SelfTestError};

impl Model<'_> {
    /// Checks the whole file, then scores its golden vectors and compares with the exporting machine's results bit for bit.
    ///
    /// Run it at boot, and before a model received over the air replaces another.
    ///
    /// # Errors
    /// See [`SelfTestError`]; a model that fails must not be used.
    pub fn self_test(&self, scratch: &mut Scratch<'_>) -> Result<(), SelfTestError> {
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
