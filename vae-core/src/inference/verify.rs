//! Whether all that a file says is sound.

use crate::{
    format::{check::check_body, error::LoadError, prelude::check_file},
    model::Model,
};

impl Model<'_> {
    /// Checks everything that the file says: structure, sizes, alignment, ranges, and (again) the checksum, so that flash
    /// which decayed after the build is found too. Only its texts are not looked at, nor what [`Detector`](crate::Detector) asks of it beyond
    /// a score, which [`Detector::new`](crate::Detector::new) checks: that its front-ends make its features, among others.
    ///
    /// # Errors
    /// The first fault found. A model that passes never gives [`InferError::Model`](crate::InferError::Model), but by [`Self::extract`].
    pub fn verify(&self) -> Result<(), LoadError> {
        check_file(self.file())?;
        // The compiler knows no addresses: what the body checks is relative to the file's.
        let _: &[u32] =
            bytemuck::try_cast_slice(self.file().get(..4).unwrap_or_default()).map_err(|_| LoadError::Misaligned)?;
        check_body(self.prelude(), self.body())
    }
}
