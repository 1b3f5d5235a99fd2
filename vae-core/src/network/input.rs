//! What a network reads: features or latents, then the condition.

use core::ops::Range;

use crate::{
    arithmetic::vector::Samples,
    format::{error::LoadError, size::CHUNK},
    kernel,
    network::{
        error::InferError,
        fixed::{FEATURES_EXPONENT, LEAST_EXPONENT},
        standardise::{STANDARDISED_LIMIT, Standardiser},
    },
};

/// What a network reads: features or latents, then the condition.
pub(crate) struct Source<'a> {
    first: First<'a>,
    /// None for a second stage that knows no condition.
    condition: Option<&'a Condition<'a>>,
    seen: Seen,
}

/// What reading a window has found out about it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Whether values are beyond [`STANDARDISED_LIMIT`].
    pub(crate) beyond: bool,
    /// Features that are not observed.
    pub(crate) missing: u32,
}

const LARGEST: u32 = STANDARDISED_LIMIT.to_bits();

/// What a network's input is given to.
pub(crate) trait Sink {
    /// Takes standardised values, at most a chunk of them, with the first one's place and the bits of the largest magnitude so far; none where it has
    /// no room for them.
    fn add(&mut self, place: usize, values: &[f32], largest: u32) -> Option<()>;

    /// Takes values from this place on that are not standardised yet, and returns how many it has taken: all are observed, and none is so large that
    /// it counts as the largest.
    fn take(&mut self, _place: usize, _x: &[f32], _standardiser: Standardiser<'_>) -> usize {
        0
    }
}

impl<F: FnMut(usize, &[f32], u32) -> Option<()>> Sink for F {
    fn add(&mut self, place: usize, values: &[f32], largest: u32) -> Option<()> {
        self(place, values, largest)
    }
}

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
        Self { first, condition: Some(condition), seen: Seen::default() }
    }

    /// As if it had been read before, with what was found then.
    pub(crate) fn resumed(self, seen: Seen) -> Self {
        Self { seen, ..self }
    }

    pub(crate) fn unconditional(latent: &'a [f32]) -> Self {
        Self { first: First::Latent(latent), condition: None, seen: Seen::default() }
    }

    /// How many values are read.
    pub(crate) fn len(&self) -> usize {
        let first = match self.first {
            First::Features(x, _) => x.len(),
            First::Latent(z) => z.len(),
        };
        first + self.condition.map_or(0, |condition| condition.values.len())
    }

    /// Gives the standardised values of the chunks that begin before place `end` to `sink`, and returns the bits of their largest magnitude. What is
    /// not observed is the mean.
    ///
    /// # Errors
    /// [`InferError::Infinite`], [`InferError::Overflow`] for a latent vector that is not finite, and [`LoadError::Shape`] where `sink` has no
    /// room.
    pub(crate) fn read(
        &mut self,
        chunk: &mut [f32; CHUNK],
        end: usize,
        sink: &mut dyn Sink,
    ) -> Result<u32, InferError> {
        let misfit = |found| LoadError::Shape { expected: self.len(), found };
        let mut seen = Seen::default();
        let mut largest = 0;
        let place = match self.first {
            First::Latent(z) => {
                largest = kernel::largest_bits(z, largest);
                if largest > f32::MAX.to_bits() {
                    return Err(InferError::Overflow);
                }
                sink.add(0, z, largest).ok_or(misfit(0))?;
                z.len()
            }
            First::Features(x, standardiser) => {
                self.standardise((x, standardiser), 0..end, (&mut seen, &mut largest), chunk, sink)?;
                x.len()
            }
        };
        if let Some(Condition { values, standardiser }) = self.condition {
            self.standardise((Samples::F32(values), standardiser), place..end, (&mut seen, &mut largest), chunk, sink)?;
        }
        if end >= self.len() {
            self.seen = seen;
        }
        Ok(largest)
    }

    /// Gives a part of the values to `sink`, those at these places.
    fn standardise(
        &self,
        (x, standardiser): (Samples<'_>, &Standardiser<'_>),
        places: Range<usize>,
        (seen, largest): (&mut Seen, &mut u32),
        chunk: &mut [f32; CHUNK],
        sink: &mut dyn Sink,
    ) -> Result<(), InferError> {
        let len = standardiser.mean.len().min(places.end.saturating_sub(places.start));
        let (mut start, mut takes) = (0, true); // not `step_by`, which divides: see `row_blocks`
        while start < len {
            // Where one chunk needs it, the next ones may as well.
            let are_sound = !seen.beyond && seen.missing == 0;
            if let Samples::F32(x) = x
                && takes
                && are_sound
            {
                let x = x.get(start..len).unwrap_or_default();
                let taken = sink.take(places.start + start, x, standardiser.rest(start));
                takes = taken > 0;
                start += taken;
                if start >= len {
                    break;
                }
            }
            let place = places.start + start;
            let misfit = LoadError::Shape { expected: self.len(), found: place };
            let values = standardiser.apply(x, start, chunk).ok_or(misfit)?;
            let found = if are_sound { kernel::largest_bits(values, *largest) } else { u32::MAX };
            *largest = match found {
                0..=LARGEST => found,
                _ => mend(values, x, start, seen)?.max(*largest),
            };
            sink.add(place, values, *largest).ok_or(misfit)?;
            start += CHUNK;
        }
        Ok(())
    }

    /// The least exponent at which this is quantised.
    pub(crate) fn least_exponent(&self) -> i32 {
        match self.first {
            First::Features(..) => FEATURES_EXPONENT,
            First::Latent(_) => LEAST_EXPONENT,
        }
    }

    /// What has been found out about it, once it has been read.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }
}

/// Brings what is missing among standardised values to 0 and what is too large to the limit, counts the former and refuses infinities; `x` has the
/// values as they were, from `start` on. Returns the bits of the largest magnitude that is left.
#[inline(never)] // few windows need it
fn mend(values: &mut [f32], x: Samples<'_>, start: usize, seen: &mut Seen) -> Result<u32, InferError> {
    let before = match x {
        Samples::F32(x) => x.get(start..).unwrap_or_default(),
        // None of these is infinite.
        Samples::I16(_) => &[0.0; CHUNK],
    };
    let (missing, largest, is_infinite) = kernel::mend(values, before, STANDARDISED_LIMIT);
    if is_infinite {
        let feature = before.iter().position(|x| x.is_infinite()).unwrap_or_default();
        return Err(InferError::Infinite { feature: start + feature });
    }
    seen.beyond |= largest == STANDARDISED_LIMIT.to_bits();
    seen.missing += missing;
    Ok(largest)
}
