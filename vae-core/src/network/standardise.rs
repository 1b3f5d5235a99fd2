//! Physical units to standardised ones.

use crate::{
    arithmetic::{number::clamp, vector::Samples},
    format::size::CHUNK,
    kernel,
};

/// Standardised inputs are limited to this magnitude, a billion standard deviations, so that their squares stay finite.
pub const STANDARDISED_LIMIT: f32 = 1e9;

/// Per-feature mean and reciprocal scale, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) struct Standardiser<'m> {
    pub(crate) mean: &'m [f32],
    pub(crate) inverse_scale: &'m [f32],
}

impl<'m> Standardiser<'m> {
    /// That of the features from `start` on.
    #[inline(always)]
    pub(crate) fn rest(&self, start: usize) -> Self {
        let rest = |values: &'m [f32]| values.get(start..).unwrap_or_default();
        Self { mean: rest(self.mean), inverse_scale: rest(self.inverse_scale) }
    }

    /// Standardises the features from `start` on, as many as there are, into `chunk`; NaN (not observed) stays NaN.
    /// None where there are not as many inverse scales or values in `x` as means.
    pub(crate) fn apply<'c>(&self, x: Samples<'_>, start: usize, chunk: &'c mut [f32; CHUNK]) -> Option<&'c mut [f32]> {
        let end = start + CHUNK.min(self.mean.len().saturating_sub(start));
        let mean = self.mean.get(start..end)?;
        let inverse_scale = self.inverse_scale.get(start..end)?;
        let chunk = chunk.get_mut(..mean.len())?;
        match x {
            Samples::F32(x) => kernel::standardise(x.get(start..end)?, mean, inverse_scale, chunk),
            Samples::I16(x) => {
                let slots = chunk.iter_mut().zip(mean.iter().zip(inverse_scale));
                for ((slot, (mean, inverse_scale)), x) in slots.zip(x.get(start..end)?) {
                    *slot = (f32::from(*x) - mean) * inverse_scale;
                }
            }
        }
        Some(chunk)
    }
}

/// A standardised value within ± [`STANDARDISED_LIMIT`].
pub(crate) fn limited(value: f32) -> f32 {
    clamp(value, (-STANDARDISED_LIMIT, STANDARDISED_LIMIT))
}
