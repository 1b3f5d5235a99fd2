//! What a network reads: features or latents, then the condition.

use crate::{
    arithmetic::vector::Samples,
    format::{error::LoadError, size::CHUNK},
    kernel,
    network::{
        error::InferError,
        fixed::LEAST_EXPONENT,
        standardise::{STANDARDISED_LIMIT, Standardiser, limited},
    },
};

/// What a network reads: features or latents, then the condition.
pub(crate) struct Source<'a> {
    first: First<'a>,
    /// None for a second stage that knows no condition.
    condition: Option<&'a Condition<'a>>,
    missing: u32,
    /// Whether values are missing or beyond [`STANDARDISED_LIMIT`].
    careful: bool,
}

/// Takes standardised values, a chunk at a time, with the first one's place; none where it has no room for them.
pub(crate) type Emit<'e> = &'e mut dyn FnMut(usize, &[f32]) -> Option<()>;

#[derive(Clone, Copy)]
pub(crate) enum First<'a> {
    Features(Samples<'a>, &'a Standardiser<'a>),
    Latent(&'a [f32]),
}

/// A condition's values, in physical units, and what standardises them.
#[derive(Clone, Copy)]
pub(crate) struct Condition<'m> {
    pub(crate) values: &'m [f32],
    pub(crate) standardiser: Standardiser<'m>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(first: First<'a>, condition: &'a Condition<'a>) -> Self {
        Self { first, condition: Some(condition), missing: 0, careful: false }
    }

    /// As if it had been read before, with what was found then.
    pub(crate) fn resumed(self, careful: bool, missing: u32) -> Self {
        Self { careful, missing, ..self }
    }

    pub(crate) fn unconditional(latent: &'a [f32]) -> Self {
        Self { first: First::Latent(latent), condition: None, missing: 0, careful: false }
    }

    /// How many values are read.
    pub(crate) fn len(&self) -> usize {
        let first = match self.first {
            First::Features(x, _) => x.len(),
            First::Latent(z) => z.len(),
        };
        first + self.condition.map_or(0, |condition| condition.values.len())
    }

    /// Gives the standardised values to `emit`, a chunk at a time, and returns the bits of their largest magnitude. What is
    /// not observed is the mean.
    ///
    /// Where a value turns out to be missing or too large, all are given once more, from place 0 on.
    ///
    /// # Errors
    /// [`InferError::Infinite`], [`InferError::Overflow`] for a latent vector that is not finite, and [`LoadError::Shape`] where `emit` has no
    /// room.
    pub(crate) fn read(&mut self, chunk: &mut [f32; CHUNK], emit: Emit<'_>) -> Result<u32, InferError> {
        let expected = self.len();
        let misfit = |found| LoadError::Shape { expected, found };
        let mut largest = self.pass(chunk, emit).map_err(misfit)?;
        if largest > STANDARDISED_LIMIT.to_bits() && !self.careful {
            self.inspect()?;
            self.careful = true;
            largest = self.pass(chunk, emit).map_err(misfit)?;
        }
        Ok(largest)
    }

    /// The bits of the largest magnitude, or the place from which on sizes do not fit.
    fn pass(&self, chunk: &mut [f32; CHUNK], emit: Emit<'_>) -> Result<u32, usize> {
        let mut largest = 0;
        let place = match self.first {
            First::Latent(z) => {
                largest = kernel::largest_bits(z, largest);
                emit(0, z).ok_or(0usize)?;
                z.len()
            }
            First::Features(x, standardiser) => {
                self.standardise(x, standardiser, 0, &mut largest, chunk, emit)?;
                x.len()
            }
        };
        if let Some(Condition { values, standardiser }) = self.condition {
            self.standardise(Samples::F32(values), standardiser, place, &mut largest, chunk, emit)?;
        }
        Ok(largest)
    }

    /// Gives a part of the values to `emit`, whose place begins at `place`.
    fn standardise(
        &self,
        x: Samples<'_>,
        standardiser: &Standardiser<'_>,
        place: usize,
        largest: &mut u32,
        chunk: &mut [f32; CHUNK],
        emit: Emit<'_>,
    ) -> Result<(), usize> {
        for start in (0..standardiser.mean.len()).step_by(CHUNK) {
            let values = standardiser.apply(x, start, chunk).ok_or(place + start)?;
            if self.careful {
                for value in values.iter_mut() {
                    *value = if value.is_nan() { 0.0 } else { limited(*value) };
                }
            }
            *largest = kernel::largest_bits(values, *largest);
            emit(place + start, values).ok_or(place + start)?;
        }
        Ok(())
    }

    /// The least exponent at which this is quantised: features of 8 standard deviations and less, nearly all, then need no
    /// second pass, and steps of 1/32 are small beside the standard deviation of 1.
    pub(crate) fn least_exponent(&self) -> i32 {
        match self.first {
            First::Features(..) => -5,
            First::Latent(_) => LEAST_EXPONENT,
        }
    }

    /// Counts what is missing and refuses infinities.
    fn inspect(&mut self) -> Result<(), InferError> {
        match self.first {
            First::Features(Samples::F32(x), _) => {
                for (feature, x) in x.iter().enumerate() {
                    if x.is_infinite() {
                        return Err(InferError::Infinite { feature });
                    }
                    self.missing += u32::from(x.is_nan());
                }
            }
            First::Features(Samples::I16(_), _) => {}
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
