//! Integer arithmetic between int8 layers: vectors of integers with one exponent, a power of two, for the whole vector.
//! `FORMAT.md`, "`Int8` arithmetic", says what is computed; the loops are kernels.
//!
//! Integers round the same everywhere, and cores without an FPU pay no more for them than the others. An integer `v` stands
//! for `v · 2^exponent`.

use crate::kernel;

/// Bits of a quantised activation beside its sign: the largest magnitude is 256.
const ACTIVATION_BITS: u32 = 8;

/// Exponents of activations are kept at or above this, so that everything computed from them is a normal `f32`.
pub(crate) const LEAST_EXPONENT: i32 = -80;

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
