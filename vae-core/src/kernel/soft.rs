//! What stands between the layers' products, for cores without an FPU: the same bits as [`super::portable`] without the
//! general functions of the compiler, which unpack and pack every operand, and call one another.

use super::portable;

const MANTISSA: u32 = 0x007F_FFFF;
const HIDDEN_BIT: u32 = 0x0080_0000;
const SIGN: u32 = 1 << 31;

/// What [`portable::standardise`] computes, in instructions of this core.
pub fn standardise(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [f32]) {
    for ((out, x), (mean, inverse_scale)) in out.iter_mut().zip(x).zip(mean.iter().zip(inverse_scale)) {
        *out = match difference(x.to_bits(), mean.to_bits()) {
            Some(difference) => product(difference, inverse_scale.to_bits()),
            None => None,
        }
        .unwrap_or_else(|| unusual(*x, *mean, *inverse_scale));
    }
}

/// `(x − mean) · inverse_scale` where that is not made of normal numbers: of what is missing or equal to the mean at once, of anything else by the
/// compiler's functions.
#[inline(never)]
fn unusual(x: f32, mean: f32, inverse_scale: f32) -> f32 {
    const INFINITY: u32 = f32::INFINITY.to_bits();
    let (x_bits, scale_bits) = (x.to_bits(), inverse_scale.to_bits());
    if x_bits & !SIGN > INFINITY {
        x
    } else if x_bits == mean.to_bits() && x_bits & !SIGN < INFINITY && scale_bits & !SIGN < INFINITY {
        f32::from_bits(scale_bits & SIGN)
    } else {
        (x - mean) * inverse_scale
    }
}

/// A normal number, `mantissa · 2^(exponent − 150)` with the hidden bit set.
#[derive(Clone, Copy)]
struct Unpacked {
    sign: u32,
    exponent: u32,
    mantissa: u32,
}

/// `a − b`, rounded to the nearest, ties to even, of normal numbers with a normal difference; else `None`.
#[inline(always)]
fn difference(a: u32, b: u32) -> Option<Unpacked> {
    let b = b ^ SIGN;
    let (large, small) = if (a & !SIGN) >= (b & !SIGN) { (a, b) } else { (b, a) };
    let (mut exponent, mut small_exponent) = ((large >> 23) & 255, (small >> 23) & 255);
    // Three bits more than a mantissa: two that a shift by one may bring back, and one for whatever is shifted out.
    let mut small_mantissa = ((small & MANTISSA) | HIDDEN_BIT) << 3;
    if small_exponent == 0 {
        // Zero, or a subnormal number, which has the exponent 1 and no hidden bit.
        (small_exponent, small_mantissa) = (1, (small & MANTISSA) << 3);
    }
    if exponent == 0 || exponent == 255 {
        return None;
    }
    let apart = exponent - small_exponent;
    let shifted = if apart > 26 {
        u32::from(small_mantissa != 0)
    } else {
        let kept = small_mantissa >> apart;
        kept | u32::from(kept << apart != small_mantissa)
    };
    let mut mantissa = ((large & MANTISSA) | HIDDEN_BIT) << 3;
    if (large ^ small) & SIGN == 0 {
        mantissa += shifted;
        if mantissa >= HIDDEN_BIT << 4 {
            mantissa = (mantissa >> 1) | (mantissa & 1);
            exponent += 1;
        }
    } else {
        mantissa -= shifted;
        if mantissa < HIDDEN_BIT << 3 {
            let up = mantissa.leading_zeros() - 5;
            // A difference that is zero or not normal is left to the compiler's functions.
            if up >= exponent || mantissa == 0 {
                return None;
            }
            mantissa <<= up;
            exponent -= up;
        }
    }
    mantissa = (mantissa + 3 + ((mantissa >> 3) & 1)) >> 3;
    if mantissa > MANTISSA | HIDDEN_BIT {
        mantissa >>= 1;
        exponent += 1;
    }
    if exponent > 254 { None } else { Some(Unpacked { sign: large & SIGN, exponent, mantissa }) }
}

/// `a · b`, rounded likewise, of normal numbers with a normal product or one that is infinite; else `None`.
#[inline(always)]
fn product(a: Unpacked, b: u32) -> Option<f32> {
    let b_exponent = (b >> 23) & 255;
    // What could come near the range's lower end is left to the compiler's functions.
    let sum = a.exponent + b_exponent;
    if b_exponent == 0 || b_exponent == 255 || sum < 130 {
        return None;
    }
    if sum > 378 {
        return Some(large_product(a, b, sum));
    }
    Some(ordinary_product(a, b, sum))
}

/// The same near the range's upper end or beyond it, the sum of the exponents being given: by a smaller factor first.
#[inline(never)]
fn large_product(a: Unpacked, b: u32, sum: u32) -> f32 {
    const SMALLER: u32 = 124;
    let infinity = f32::INFINITY.copysign(f32::from_bits(a.sign ^ b));
    if sum > 381 {
        return infinity;
    }
    let small = ordinary_product(a, b - (SMALLER << 23), sum - SMALLER).to_bits();
    if (small >> 23) & 255 < 255 - SMALLER { f32::from_bits(small + (SMALLER << 23)) } else { infinity }
}

/// The same where the sum of the exponents is within 130 to 378.
#[inline(always)]
fn ordinary_product(a: Unpacked, b: u32, sum: u32) -> f32 {
    let (mut high, mut low) = wide_product(a.mantissa << 8, ((b & MANTISSA) | HIDDEN_BIT) << 8);
    let mut exponent = sum - 127;
    if high & SIGN == 0 {
        high = (high << 1) | (low >> 31);
        low <<= 1;
    } else {
        exponent += 1;
    }
    high |= u32::from(low != 0);
    let mantissa = (high >> 8) + u32::from((high & 255) + ((high >> 8) & 1) > 128);
    // The hidden bit adds one to the exponent, a carry out of the mantissa another.
    f32::from_bits(((a.sign ^ b) & SIGN) | (((exponent - 1) << 23) + mantissa))
}

/// The two words of `a · b`.
#[inline(always)]
fn wide_product(a: u32, b: u32) -> (u32, u32) {
    if cfg!(vae_v6m) {
        // There is only a multiplication with a 32-bit result.
        let (a_high, a_low, b_high, b_low) = (a >> 16, a & 0xFFFF, b >> 16, b & 0xFFFF);
        let (low, first, second) = (a_low * b_low, a_high * b_low, a_low * b_high);
        // No carry is lost: each of the three summands is below 2¹⁶ or (first) below 2³² − 2¹⁷.
        let middle = first + (low >> 16) + (second & 0xFFFF);
        (a_high * b_high + (middle >> 16) + (second >> 16), (middle << 16) | (low & 0xFFFF))
    } else {
        let product = u64::from(a) * u64::from(b);
        ((product >> 32) as u32, product as u32)
    }
}

/// What [`portable::quantise`] computes, in instructions of this core, where the results are within ±256.
pub fn quantise(values: &[f32], rounder: f32, out: &mut [i16]) {
    // The rounder's exponent is that of a number as many bits above one step as a mantissa has.
    let exponent = (rounder.to_bits() >> 23) & 255;
    for (out, value) in out.iter_mut().zip(values) {
        let bits = value.to_bits();
        let shift = exponent.wrapping_sub((bits >> 23) & 255);
        let mantissa = (bits & MANTISSA) | HIDDEN_BIT;
        // Behind 24 bits there is less than half a step. Above 2⁹ steps the vector is quantised again in larger ones.
        let steps = if shift.wrapping_sub(14) > 10 {
            0
        } else {
            let down = mantissa >> shift;
            (mantissa + (1 << (shift - 1)) - 1 + (down & 1)) >> shift
        };
        *out = if bits & SIGN == 0 { steps as i16 } else { -(steps as i16) };
    }
}

/// Integers of `2^unit` that `values` are or lie between, of the latter the odd one; below 2¹⁵ where the values are below as many units.
pub fn round_to_odd(values: &[f32], unit: i32, out: &mut [i16]) {
    // The exponent of a number whose mantissa's last bit is worth a unit.
    let exponent = (unit + 150) as u32;
    for (out, value) in out.iter_mut().zip(values) {
        let bits = value.to_bits();
        let shift = exponent.wrapping_sub((bits >> 23) & 255);
        // Behind 24 bits there is less than a unit; zero has no last bit that is set.
        let steps = if shift > 24 {
            u32::from(bits << 1 != 0)
        } else {
            let mantissa = (bits & MANTISSA) | HIDDEN_BIT;
            let down = mantissa >> shift;
            down | u32::from(down << shift != mantissa)
        };
        *out = if bits & SIGN == 0 { steps as i16 } else { -(steps as i16) };
    }
}

/// Integers, rounded to odd, in a unit that is coarser by so many bits, at least 1.
pub fn coarsen(values: &mut [i16], shift: i32) {
    let shift = shift.clamp(1, 16) as u32;
    for value in values {
        let wide = i32::from(*value);
        // What is shifted out is taken off downwards.
        let down = wide >> shift;
        *value = (down | i32::from(down << shift != wide)) as i16;
    }
}

/// Integers that were rounded to odd, to the nearest of a unit that is coarser by so many bits, at least 2; ties to even.
pub fn round_to_even(values: &mut [i16], shift: i32) {
    let shift = shift.clamp(2, 17) as u32;
    let half = (1 << (shift - 1)) - 1;
    for value in values {
        let wide = i32::from(*value);
        *value = ((wide + half + ((wide >> shift) & 1)) >> shift) as i16;
    }
}

/// What [`portable::to_fixed`] computes, in instructions of this core.
#[inline(always)]
pub fn to_fixed(value: f32) -> i32 {
    let bits = value.to_bits();
    let exponent = (bits >> 23) & 255;
    let mantissa = (bits & MANTISSA) | HIDDEN_BIT;
    let magnitude = match 150 - portable::FRACTION_BITS {
        unit if exponent <= unit => mantissa.checked_shr(unit - exponent).unwrap_or(0),
        unit if exponent - unit <= 7 => mantissa << (exponent - unit),
        _ if exponent == 255 && bits & MANTISSA != 0 => 0,
        _ => return if bits & SIGN == 0 { i32::MAX } else { i32::MIN },
    };
    if bits & SIGN == 0 { magnitude as i32 } else { -(magnitude as i32) }
}

/// What [`portable::squared_differences`] computes, without an FPU.
pub fn squared_differences(x: &[f32], means: &[i32], shift: u32) -> (u64, u32) {
    portable::squared_differences_by(to_fixed, x, means, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit patterns of all kinds: ordinary numbers, neighbours of powers of two, extremes, zeros, infinities, NaN.
    fn patterns() -> impl Iterator<Item = u32> {
        let mut state = 7u64;
        core::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = (state >> 32) as u32;
            match random % 8 {
                0 => (random >> 3).wrapping_mul(0x9E37_79B9),
                1 => (random & 0xFF80_0000) | [0, 1, MANTISSA][(random >> 3) as usize % 3],
                // Close to each other, so that differences cancel.
                2 => 0x3F80_0000 + ((random >> 3) & 0xFFF),
                kind => (random & (SIGN | MANTISSA)) | ((127 - 2 * kind + (random >> 8) % 20) << 23),
            }
        })
    }

    #[test]
    fn standardise_gives_the_bits_of_the_fpu() {
        let mut patterns = patterns();
        let mut next = || f32::from_bits(patterns.next().unwrap());
        let (mut fast, repeats) = (0, if cfg!(miri) { 300 } else { 3_000_000 });
        for _ in 0..repeats {
            let (x, mean, inverse_scale) = (next(), next(), next());
            let expected = (x - mean) * inverse_scale;
            let mut found = [0.0];
            standardise(&[x], &[mean], &[inverse_scale], &mut found);
            assert!(
                found[0].to_bits() == expected.to_bits() || (found[0].is_nan() && expected.is_nan()),
                "({x:e} - {mean:e}) * {inverse_scale:e}: {:e} for {expected:e}",
                found[0]
            );
            let unpacked = difference(x.to_bits(), mean.to_bits());
            fast += u32::from(unpacked.and_then(|unpacked| product(unpacked, inverse_scale.to_bits())).is_some());
        }
        assert!(fast > repeats / 2, "the compiler's functions did most of it: {fast}");
    }

    #[test]
    fn wide_products_of_halves_are_those_of_words() {
        for (a, b) in [(u32::MAX << 8, u32::MAX << 8), (1 << 31, 1 << 31), (0xABCD_EF00, 0x8765_4300)] {
            let exact = u64::from(a) * u64::from(b);
            assert_eq!(wide_product(a, b), ((exact >> 32) as u32, exact as u32));
        }
    }

    #[test]
    fn quantise_rounds_as_the_fpu_does_where_it_counts() {
        for exponent in [-40i32, -7, 0, 30] {
            let step = f32::from_bits(((exponent + 127) as u32) << 23);
            let rounder = 1.5 * step * 8_388_608.0;
            let quarters = (-1026..=1026).map(|quarter| 0.25 * quarter as f32 * step);
            let near = (1..60).map(|bits| f32::from_bits((0.5 * step).to_bits() - 30 + bits));
            for value in quarters.chain(near).chain([0.0, -0.0, f32::MIN_POSITIVE, 1e-42]) {
                let (mut found, mut expected) = ([0], [0]);
                quantise(&[value], rounder, &mut found);
                portable::quantise(&[value], rounder, &mut expected);
                assert_eq!(found, expected, "{value:e} in steps of {step:e}");
            }
        }
    }

    #[test]
    fn to_fixed_truncates_and_saturates_as_a_cast_does() {
        for bits in patterns().take(if cfg!(miri) { 300 } else { 1_000_000 }).chain([
            0,
            SIGN,
            0x7F80_0000,
            0xFF80_0000,
            0x7FC0_0000,
            1,
        ]) {
            let value = f32::from_bits(bits);
            assert_eq!(to_fixed(value), portable::to_fixed(value), "{value:e}");
        }
        for value in [2_097_151.9f32, 2_097_152.0, -2_097_152.0, -2_097_152.5, 0.000_976, -0.000_977] {
            assert_eq!(to_fixed(value), portable::to_fixed(value), "{value}");
        }
    }
}
