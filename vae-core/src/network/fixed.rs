//! Integer arithmetic between int8 layers: vectors of integers with one exponent, a power of two, for the whole vector.
//! `FORMAT.md`, "`Int8` arithmetic", says what is computed; the loops are kernels.
//!
//! Integers round the same everywhere, and cores without an FPU pay no more for them than the others. An integer `v` stands
//! for `v · 2^exponent`.

use crate::kernel;
#[cfg(vae_fused)]
use crate::network::standardise::Standardiser;

/// Bits of a quantised activation beside its sign: the largest magnitude is 256.
const ACTIVATION_BITS: u32 = 8;

/// Exponents of activations are kept at or above this, so that everything computed from them is a normal `f32`.
pub(crate) const LEAST_EXPONENT: i32 = -80;

/// The least exponent at which features are quantised: those of 8 standard deviations and less, nearly all, then need no second pass, and steps of 1/32
/// are small beside the standard deviation of 1.
pub(crate) const FEATURES_EXPONENT: i32 = -5;

/// The least exponent at which a vector, the largest magnitude in which has these bits, can be quantised.
pub(crate) fn exponent_of(largest: u32) -> i32 {
    (largest >> 23) as i32 - 126 - ACTIVATION_BITS as i32
}

/// `2^exponent`, limited to the normal `f32`s.
pub(crate) fn power_of_two(exponent: i32) -> f32 {
    let biased = match exponent {
        ..-126 => 1,
        -126..128 => (exponent + 127) as u32,
        128.. => 254,
    };
    f32::from_bits(biased << 23)
}

/// Quantises `values` to the nearest multiples of `2^exponent`, ties to even.
pub(crate) fn quantise(values: &[f32], exponent: i32, out: &mut [i16]) {
    // 1.5 · 2²³ steps: adding it leaves the nearest integer in the low bits of the sum.
    kernel::quantise(values, 1.5 * power_of_two(exponent + 23), out);
}

/// Quantises a vector that comes in parts, before its largest magnitude is known.
#[cfg(not(vae_soft))]
pub(crate) struct Intake {
    pub(crate) exponent: i32,
    /// What is before this place has a smaller exponent.
    stale: usize,
}

#[cfg(not(vae_soft))]
impl Intake {
    pub(crate) fn new(exponent: i32) -> Self {
        Self { exponent, stale: 0 }
    }

    /// Standardises and quantises as many values as need no larger exponent, where the exponent is that of nearly all windows, and returns their number.
    #[cfg(vae_fused)]
    pub(crate) fn take(&self, x: &[f32], standardiser: Standardiser<'_>, out: &mut [i16]) -> usize {
        let Standardiser { mean, inverse_scale } = standardiser;
        if self.exponent == FEATURES_EXPONENT { kernel::take_in(x, mean, inverse_scale, out) } else { 0 }
    }

    /// Takes the values from `place` on, which with those before them need an exponent. None where `out` has no such place.
    #[inline(always)]
    pub(crate) fn add(&mut self, values: &[f32], needed: i32, out: &mut [i16], place: usize) -> Option<()> {
        if needed > self.exponent {
            (self.exponent, self.stale) = (needed, place);
        }
        quantise(values, self.exponent, out.get_mut(place..)?);
        Some(())
    }

    /// Finishes the integers; returns the place up to which they must be taken once more.
    #[inline(always)]
    pub(crate) fn finish(&mut self, _out: &mut [i16]) -> usize {
        core::mem::take(&mut self.stale)
    }
}

/// Quantises a vector that comes in parts, before its largest magnitude is known; as without an FPU all else costs more than integers do: in a unit that is
/// at least four times as fine as it will be, rounded to odd, from which each coarser rounding is the same as that of the numbers.
#[cfg(any(test, vae_soft))]
pub(crate) struct OddIntake {
    pub(crate) exponent: i32,
    unit: i32,
}

#[cfg(vae_soft)]
pub(crate) use OddIntake as Intake;

#[cfg(any(test, vae_soft))]
impl OddIntake {
    pub(crate) fn new(exponent: i32) -> Self {
        Self { exponent, unit: exponent - 2 }
    }

    /// Takes the values from `place` on, which with those before them need an exponent. None where `out` has no such place.
    pub(crate) fn add(&mut self, values: &[f32], needed: i32, out: &mut [i16], place: usize) -> Option<()> {
        let (before, out) = out.split_at_mut_checked(place)?;
        self.exponent = self.exponent.max(needed);
        // So many bits more than a quantised value has a halfword.
        if needed - 7 > self.unit {
            kernel::soft::coarsen(before, needed - 2 - self.unit);
            self.unit = needed - 2;
        }
        kernel::soft::round_to_odd(values, self.unit, out);
        Some(())
    }

    /// Finishes the integers; returns the place up to which they must be taken once more.
    pub(crate) fn finish(&mut self, out: &mut [i16]) -> usize {
        kernel::soft::round_to_even(out, self.exponent - self.unit);
        0
    }
}

/// By how many bits integers must be shifted right to be quantised, the bitwise or of whose magnitudes this is.
pub(crate) fn shift_of(magnitude: u32) -> i32 {
    u32::BITS as i32 - magnitude.leading_zeros() as i32 - ACTIVATION_BITS as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{largest_bits, requantise};

    #[test]
    fn f32_vectors_are_quantised_to_the_nearest_steps_of_a_power_of_two() {
        let x = [0.5, -1.0, 0.0, 0.003_9, 0.998, -0.25, 0.001_953_125, 0.005_859_375];
        let mut out = [99; 9];
        let exponent = exponent_of(largest_bits(&x, 0));
        assert_eq!(exponent, -7, "1.0 lies in [1, 2): its steps are 2/256");
        quantise(&x, exponent, &mut out[..8]);
        assert_eq!(out, [64, -128, 0, 0, 128, -32, 0, 1, 99]); // the last: 0.75 steps
        for exponent in [-80, -20, 0, 30, 100] {
            let step = power_of_two(exponent);
            assert_eq!(f64::from(step), libm::exp2(f64::from(exponent)));
            // Ties go to even.
            for (steps, q) in [(255.4, 255), (-256.0, -256), (1.5, 2), (2.5, 2), (-2.5, -2), (-0.6, -1)] {
                let mut out = [0];
                quantise(&[steps * step], exponent, &mut out);
                assert_eq!(out, [q], "{steps} steps of 2^{exponent}");
            }
        }
    }

    #[test]
    fn vectors_that_come_in_parts_are_quantised_as_they_would_be_at_once() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for case in 0..if cfg!(miri) { 30 } else { 3000 } {
            // Of one size, or larger and larger ones, with neighbours of halves of a step among them, and zeros.
            let growth = [0, 1, 3, 6, 30][case % 5];
            let x: [f32; 20] = core::array::from_fn(|index| {
                let size = power_of_two((growth * index / 20) as i32 - 8);
                let steps = (random() % 4096) as f32 - 2048.0;
                let value = steps * size * if random() % 2 == 0 { 0.5 } else { 0.123 };
                if random() % 3 == 0 { f32::from_bits(value.to_bits() + random() % 3) } else { value }
            });
            let (least, mut largest) = (-5, 0);
            let (mut plain, mut odd) = (Intake::new(least), OddIntake::new(least));
            let (mut found, mut expected) = ([[0; 20]; 2], [0; 20]);
            for (place, part) in [0, 7, 14].into_iter().zip(x.chunks(7)) {
                largest = largest_bits(part, largest);
                let needed = exponent_of(largest).max(least);
                plain.add(part, needed, &mut found[0], place).unwrap();
                odd.add(part, needed, &mut found[1], place).unwrap();
            }
            let exponent = exponent_of(largest).max(least);
            quantise(&x, exponent, &mut expected);
            let stale = plain.finish(&mut found[0]);
            quantise(&x[..stale], exponent, &mut found[0]);
            assert_eq!((odd.finish(&mut found[1]), plain.exponent, odd.exponent), (0, exponent, exponent));
            assert_eq!(found, [expected; 2], "{x:?}");
        }
    }

    #[test]
    fn largest_magnitudes_are_found_and_nan_exceeds_all() {
        assert_eq!(f32::from_bits(largest_bits(&[1.0, -3.5, 2.0], 0)), 3.5);
        assert_eq!(f32::from_bits(largest_bits(&[1.0], 5.0f32.to_bits())), 5.0);
        assert!(largest_bits(&[f32::NAN, 1.0], 0) > f32::INFINITY.to_bits());
        assert!(largest_bits(&[-f32::NAN, 1.0], 0) > f32::INFINITY.to_bits());
        assert_eq!(largest_bits(&[], 0), 0);
    }

    #[test]
    fn integers_are_quantised_to_256_levels_a_sign() {
        for (largest, shift) in [(0, -8), (255, 0), (256, 1), (1 << 29, 22), (u32::MAX >> 1, 23)] {
            assert_eq!(shift_of(largest), shift, "{largest}");
        }
        let mut out = [0; 5];
        requantise(&[1023, -1024, 5, 6, -6], 2, &mut out);
        assert_eq!(out, [256, -256, 1, 2, -1]);
        requantise(&[7, -7], 0, &mut out);
        assert_eq!(out[..2], [7, -7]);
    }
}
