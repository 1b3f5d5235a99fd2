//! Physical units to standardised ones.

use crate::{
    InferError, fixed::LEAST_EXPONENT, format::CHUNK, kernel, likelihood::clamp, model::Network, vector::Samples,
};

/// Standardised inputs are limited to this magnitude, a billion standard deviations, so that their squares stay finite.
pub const STANDARDISED_LIMIT: f32 = 1e9;

/// Per-feature mean and reciprocal scale, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) struct Standardiser<'m> {
    pub(crate) mean: &'m [f32],
    pub(crate) inverse_scale: &'m [f32],
}

impl Standardiser<'_> {
    /// Standardises the features from `start` on, as many as there are, into `chunk`; NaN (not observed) stays NaN.
    pub(crate) fn apply<'c>(&self, x: Samples<'_>, start: usize, chunk: &'c mut [f32; CHUNK]) -> &'c mut [f32] {
        let end = start + CHUNK.min(self.mean.len().saturating_sub(start));
        let constants = self.mean.get(start..end).zip(self.inverse_scale.get(start..end));
        let Some(((mean, inverse_scale), chunk)) = constants.zip(chunk.get_mut(..end - start)) else {
            return &mut [];
        };
        match x {
            Samples::F32(x) => {
                kernel::standardise(x.get(start..end).unwrap_or_default(), mean, inverse_scale, chunk);
            }
            Samples::I16(x) => {
                let slots = chunk.iter_mut().zip(mean.iter().zip(inverse_scale));
                for ((slot, (mean, inverse_scale)), x) in slots.zip(x.get(start..end).unwrap_or_default()) {
                    *slot = (f32::from(*x) - mean) * inverse_scale;
                }
            }
        }
        chunk
    }
}

/// What a network reads: features or latents, then the condition.
pub(crate) struct Source<'a> {
    first: First<'a>,
    /// Whose standardisers and condition apply; none for a second stage, which knows no condition.
    network: Option<&'a Network<'a>>,
    missing: u32,
    /// Whether values are missing or beyond [`STANDARDISED_LIMIT`].
    careful: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum First<'a> {
    Features(Samples<'a>),
    Latent(&'a [f32]),
}

impl<'a> Source<'a> {
    pub(crate) fn new(first: First<'a>, network: &'a Network<'a>) -> Self {
        Self { first, network: Some(network), missing: 0, careful: false }
    }

    /// As if it had been read before, with what was found then.
    pub(crate) fn resumed(self, careful: bool, missing: u32) -> Self {
        Self { careful, missing, ..self }
    }

    pub(crate) fn unconditional(latent: &'a [f32]) -> Self {
        Self { first: First::Latent(latent), network: None, missing: 0, careful: false }
    }

    /// How many values are read.
    pub(crate) fn len(&self) -> usize {
        let first = match self.first {
            First::Features(x) => x.len(),
            First::Latent(z) => z.len(),
        };
        first + self.network.map_or(0, |network| network.condition.len())
    }

    /// Gives the standardised values to `emit`, a chunk at a time, and returns the bits of their largest magnitude. What is
    /// not observed is the mean.
    ///
    /// Where a value turns out to be missing or too large, all are given once more, from place 0 on.
    ///
    /// # Errors
    /// [`InferError::Infinite`], and [`InferError::Overflow`] for a latent vector that is not finite.
    pub(crate) fn read(
        &mut self,
        chunk: &mut [f32; CHUNK],
        emit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<u32, InferError> {
        let mut largest = self.pass(chunk, emit);
        if largest > STANDARDISED_LIMIT.to_bits() && !self.careful {
            self.inspect()?;
            self.careful = true;
            largest = self.pass(chunk, emit);
        }
        Ok(largest)
    }

    fn pass(&self, chunk: &mut [f32; CHUNK], emit: &mut dyn FnMut(usize, &[f32])) -> u32 {
        let mut largest = 0;
        let place = match (self.first, self.network) {
            (First::Latent(z), _) => {
                largest = kernel::largest_bits(z, largest);
                emit(0, z);
                z.len()
            }
            (First::Features(x), Some(network)) => {
                self.standardise(x, &network.standardiser, 0, &mut largest, chunk, emit);
                x.len()
            }
            (First::Features(_), None) => 0,
        };
        if let Some(Network { condition, condition_standardiser, .. }) = self.network {
            self.standardise(Samples::F32(condition), condition_standardiser, place, &mut largest, chunk, emit);
        }
        largest
    }

    /// Gives a part of the values to `emit`, whose place begins at `place`.
    fn standardise(
        &self,
        x: Samples<'_>,
        standardiser: &Standardiser<'_>,
        place: usize,
        largest: &mut u32,
        chunk: &mut [f32; CHUNK],
        emit: &mut dyn FnMut(usize, &[f32]),
    ) {
        for start in (0..standardiser.mean.len()).step_by(CHUNK) {
            let values = standardiser.apply(x, start, chunk);
            if self.careful {
                for value in values.iter_mut() {
                    *value = if value.is_nan() { 0.0 } else { limited(*value) };
                }
            }
            *largest = kernel::largest_bits(values, *largest);
            emit(place + start, values);
        }
    }

    /// The least exponent at which this is quantised: features of 8 standard deviations and less, nearly all, then need no
    /// second pass, and steps of 1/32 are small beside the standard deviation of 1.
    pub(crate) fn least_exponent(&self) -> i32 {
        match self.first {
            First::Features(_) => -5,
            First::Latent(_) => LEAST_EXPONENT,
        }
    }

    /// Counts what is missing and refuses infinities.
    fn inspect(&mut self) -> Result<(), InferError> {
        match self.first {
            First::Features(Samples::F32(x)) => {
                for (feature, x) in x.iter().enumerate() {
                    if x.is_infinite() {
                        return Err(InferError::Infinite { feature });
                    }
                    self.missing += u32::from(x.is_nan());
                }
            }
            First::Features(Samples::I16(_)) => {}
            First::Latent(z) => {
                if !z.iter().all(|z| z.is_finite()) {
                    return Err(InferError::Overflow);
                }
            }
        }
        Ok(())
    }

    /// Whether values are missing or beyond [`STANDARDISED_LIMIT`], once they have been read.
    pub(crate) fn is_careful(&self) -> bool {
        self.careful
    }

    /// Features that are not observed, once they have been read.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }
}

/// A standardised value within ± [`STANDARDISED_LIMIT`].
pub(crate) fn limited(value: f32) -> f32 {
    clamp(value, (-STANDARDISED_LIMIT, STANDARDISED_LIMIT))
}
