//! Physical units to standardised ones and back.

use nalgebra::DVectorView;

use crate::InferError;

/// Standardised inputs are limited to this magnitude, a billion standard deviations, so that their squares stay finite.
pub const STANDARDISED_LIMIT: f32 = 1e9;

/// Per-feature mean and reciprocal scale, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) struct Standardiser<'m> {
    pub(crate) mean: &'m [f32],
    pub(crate) inverse_scale: &'m [f32],
}

impl Standardiser<'_> {
    /// The standardised features; NaN (not observed) stays NaN.
    pub(crate) fn apply<'a>(&'a self, x: &'a [f32]) -> impl Iterator<Item = f32> + Clone + 'a {
        let features = self.mean.iter().zip(self.inverse_scale).zip(x);
        features.map(|((&mean, &inverse_scale), &x)| {
            ((x - mean) * inverse_scale).clamp(-STANDARDISED_LIMIT, STANDARDISED_LIMIT)
        })
    }

    /// Refuses an input of the wrong length or with infinite values; returns how many features are not observed.
    pub(crate) fn check(&self, x: &DVectorView<'_, f32>) -> Result<u32, InferError> {
        if x.len() != self.mean.len() {
            return Err(InferError::WrongLength { needed: self.mean.len(), found: x.len() });
        }
        let mut missing = 0;
        for (feature, x) in x.as_slice().iter().enumerate() {
            if !x.is_finite() {
                if x.is_infinite() {
                    return Err(InferError::Infinite { feature });
                }
                missing += 1;
            }
        }
        Ok(missing)
    }
}
