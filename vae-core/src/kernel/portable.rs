//! The kernels in plain Rust.

use super::{FLUSH_COLUMNS, ROW_BLOCK, ROW_WORDS};

/// Fraction bits of the fixed-point values that int8 models are scored with: their unit is 2⁻¹⁰ standard deviations.
pub const FRACTION_BITS: u32 = 10;

/// Successive parts of `weights`, all of this length. (`chunks_exact` divides, and could panic.)
pub(super) fn blocks<T>(mut weights: &[T], len: usize) -> impl Iterator<Item = &[T]> {
    core::iter::from_fn(move || {
        let (block, rest) = weights.split_at_checked(len)?;
        weights = rest;
        Some(block)
    })
}

/// Successive parts of this length; the last has what remains. (`chunks` divides, and could panic.)
pub(super) fn runs<T>(mut values: &[T], len: usize) -> impl Iterator<Item = &[T]> {
    core::iter::from_fn(move || {
        let (run, rest) = values.split_at_checked(len.min(values.len()))?;
        values = rest;
        (!run.is_empty()).then_some(run)
    })
}

/// Sets values to zero, by a loop: the compiler's function for that is larger than some kernels.
pub fn clear<T: Copy + Default>(values: &mut [T]) {
    // That it is zero is hidden, or the compiler would call that function after all.
    let zero = core::hint::black_box(T::default());
    for value in values {
        *value = zero;
    }
}

/// Dot products of rows with `x`, without the rows' biases.
///
/// `weights` holds blocks of four rows; in a block, for each column, the four rows' weights side by side. `sums` has a value
/// per row, `4 · blocks`. Each row is summed over ascending columns, starting from zero.
pub fn sums_f32(weights: &[f32], x: &[f32], sums: &mut [f32]) {
    if x.is_empty() {
        return clear(sums);
    }
    for (weights, sums) in blocks(weights, ROW_BLOCK * x.len()).zip(sums.as_chunks_mut::<ROW_BLOCK>().0) {
        let [mut a, mut b, mut c, mut d] = [0.0; ROW_BLOCK];
        for (column, &x) in weights.as_chunks::<ROW_BLOCK>().0.iter().zip(x) {
            a += column[0] * x;
            b += column[1] * x;
            c += column[2] * x;
            d += column[3] * x;
        }
        *sums = [a, b, c, d];
    }
}

/// Exact dot products of rows with `x`.
///
/// `weights` holds blocks of four rows A, B, C, D; in a block, for each four columns, four halfwords `256 · A + B`, one a
/// column, then four `256 · C + D`. `x` holds quantised activations in −256…256, two columns a word, four columns a group.
/// `sums` has a value per row, `4 · blocks`.
///
/// `Σ h · x` is `256 · ΣAx + ΣBx`, and summing the low bytes alone gives `ΣBx`, so two multiplications serve two products
/// that were loaded together.
pub fn sums_int8(weights: &[u32], x: &[u32], sums: &mut [i32]) {
    if x.is_empty() {
        return clear(sums);
    }
    let x: &[i16] = bytemuck::cast_slice(x);
    for (weights, sums) in
        blocks(bytemuck::cast_slice::<u32, i16>(weights), 2 * x.len()).zip(sums.as_chunks_mut::<ROW_BLOCK>().0)
    {
        let [mut a, mut b, mut c, mut d] = [0i32; ROW_BLOCK];
        for (weights, x) in runs(weights, 2 * FLUSH_COLUMNS).zip(runs(x, FLUSH_COLUMNS)) {
            let [mut ab, mut low_b, mut cd, mut low_d] = [0i32; 4];
            for (halfwords, x) in weights.as_chunks::<8>().0.iter().zip(x.as_chunks::<4>().0) {
                for (column, &x) in x.iter().enumerate() {
                    let (first, second, x) = (halfwords[column], halfwords[4 + column], i32::from(x));
                    ab = ab.wrapping_add(i32::from(first).wrapping_mul(x));
                    low_b = low_b.wrapping_add(i32::from(first as i8).wrapping_mul(x));
                    cd = cd.wrapping_add(i32::from(second).wrapping_mul(x));
                    low_d = low_d.wrapping_add(i32::from(second as i8).wrapping_mul(x));
                }
            }
            a = a.wrapping_add(ab.wrapping_sub(low_b) >> 8);
            b = b.wrapping_add(low_b);
            c = c.wrapping_add(cd.wrapping_sub(low_d) >> 8);
            d = d.wrapping_add(low_d);
        }
        *sums = [a, b, c, d];
    }
}

/// Calls `run` for each run of columns of each two blocks, with the weights of both, the activations and the sums to add to; a
/// last block without a partner is its own, and its second sums go nowhere.
#[cfg(any(vae_v7m, vae_riscv32))]
pub(super) fn sums_of_two_blocks(
    weights: &[u32],
    x: &[u32],
    sums: &mut [i32],
    run: impl Fn(&[u32], &[u32], &[u32], &mut [i32; ROW_BLOCK], &mut [i32; ROW_BLOCK]),
) {
    clear(sums);
    let block = 2 * x.len();
    if block == 0 || !x.len().is_multiple_of(2) {
        return;
    }
    let mut weights = blocks(weights, block);
    for sums in sums.as_chunks_mut::<ROW_BLOCK>().0.chunks_mut(2) {
        let mut unused = [0; ROW_BLOCK];
        let Some(first) = weights.next() else { return };
        let (second, sums, more) = match sums {
            [one, two] => (weights.next(), one, two),
            [one] => (Some(first), one, &mut unused),
            _ => return,
        };
        let Some(second) = second else { return };
        let both = runs(first, FLUSH_COLUMNS).zip(runs(second, FLUSH_COLUMNS));
        for (x, (first, second)) in runs(x, FLUSH_COLUMNS / 2).zip(both) {
            run(first, second, x, sums, more);
        }
    }
}

/// The outputs of an int8 layer's rows, before any activation but ReLU.
///
/// `weights` and `x` are as for [`sums_int8`]; `rows` holds the constants of each block. `out` has a value per row,
/// `4 · blocks`: `sum · multiplier / 2¹⁶ + bias / 2^shift`, each term rounded down; `relu` sets negative ones to zero. Returns the
/// bitwise or of the outputs' magnitudes.
pub fn rows_int8(
    weights: &[u32],
    x: &[u32],
    rows: &[[i32; ROW_WORDS]],
    shift: u32,
    relu: bool,
    out: &mut [i32],
) -> u32 {
    sums_int8(weights, x, out);
    scale_rows(out, rows, shift, relu)
}

/// The outputs of [`rows_int8`] from the rows' sums, in place.
pub(crate) fn scale_rows(sums: &mut [i32], rows: &[[i32; ROW_WORDS]], shift: u32, relu: bool) -> u32 {
    if relu { scale::<true>(sums, rows, shift) } else { scale::<false>(sums, rows, shift) }
}

fn scale<const RELU: bool>(sums: &mut [i32], rows: &[[i32; ROW_WORDS]], shift: u32) -> u32 {
    let mut magnitude = 0;
    let mut row = |sum: &mut i32, bias: i32, multiplier: i32| {
        let value = shifted_product(*sum, multiplier as i16).wrapping_add(bias >> shift);
        let sign = value >> 31;
        *sum = if RELU { value & !sign } else { value };
        // The length of the or in bits is that of the largest.
        magnitude |= if RELU { *sum } else { value ^ sign };
    };
    for ([a, b, c, d], constants) in sums.as_chunks_mut::<ROW_BLOCK>().0.iter_mut().zip(rows) {
        let [bias_a, bias_b, bias_c, bias_d, first, second] = *constants;
        row(a, bias_a, first);
        row(b, bias_b, first >> 16);
        row(c, bias_c, second);
        row(d, bias_d, second >> 16);
    }
    magnitude as u32
}

/// `sum · multiplier / 2¹⁶`, rounded down.
#[inline(always)]
fn shifted_product(sum: i32, multiplier: i16) -> i32 {
    if cfg!(vae_v6m) {
        // There is only a multiplication with a 32-bit result.
        let multiplier = i32::from(multiplier);
        (sum >> 16).wrapping_mul(multiplier).wrapping_add(((sum & 0xFFFF) * multiplier) >> 16)
    } else {
        ((i64::from(sum) * i64::from(multiplier)) >> 16) as i32
    }
}

/// `(x − mean) · inverse_scale`, as many as fit into `out`.
pub fn standardise(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [f32]) {
    for ((out, x), (mean, inverse_scale)) in out.iter_mut().zip(x).zip(mean.iter().zip(inverse_scale)) {
        *out = (x - mean) * inverse_scale;
    }
}

/// The low halfwords of `values + rounder`, as many as fit into `out`.
pub fn quantise(values: &[f32], rounder: f32, out: &mut [i16]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = (value + rounder).to_bits() as i16;
    }
}

/// [`standardise`] and [`quantise`] in one, in steps of 1/32: of as many eights as have a halfword each and lie within ± 4, up to the first that has one
/// that is not observed or does not. Returns how many values that are.
pub fn take_in(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [i16]) -> usize {
    const ROUNDER: f32 = 1.5 * (1 << 23) as f32 / 32.0;
    let constants = mean.as_chunks::<8>().0.iter().zip(inverse_scale.as_chunks::<8>().0);
    let mut taken = 0;
    for ((out, x), (mean, inverse_scale)) in
        out.as_chunks_mut::<8>().0.iter_mut().zip(x.as_chunks::<8>().0).zip(constants)
    {
        let mut values = [0.0; 8];
        standardise(x, mean, inverse_scale, &mut values);
        if !values.iter().all(|value| (-4.0..4.0).contains(value)) {
            break;
        }
        quantise(&values, ROUNDER, out);
        taken += 8;
    }
    taken
}

/// The sum of [`squared_differences`] between standardised values and `means / 2^shift`, of which there are at most as many, where all the former fit 16 bits with
/// the other sign, and the sum 32; else none. It is meant for means that fit 16 bits too: no difference then has more than 16.
pub fn near_squares(x: &[f32], mean: &[f32], inverse_scale: &[f32], means: &[i32], shift: u32) -> Option<u32> {
    let mut sum = 0u32;
    for ((x, mean), (own, inverse_scale)) in x.iter().zip(means).zip(mean.iter().zip(inverse_scale)) {
        let value = (x - own) * inverse_scale;
        let opposite = i16::try_from(to_fixed(-value)).ok().filter(|_| !value.is_nan())?;
        let square = square((mean >> shift).wrapping_add(i32::from(opposite)));
        sum = sum.checked_add(u32::try_from(square).ok()?)?;
    }
    Some(sum)
}

/// `value` in units of `2^−FRACTION_BITS`, rounded towards zero; what is too large becomes the largest, NaN zero.
#[inline]
pub fn to_fixed(value: f32) -> i32 {
    const ONE: f32 = (1 << FRACTION_BITS) as f32;
    (value * ONE) as i32
}

/// The sum of squared differences between `x` in units of `2^−FRACTION_BITS` and `means / 2^shift`, and the bitwise or of the
/// differences' magnitudes. The sum is meant for magnitudes below 2²⁸.
pub fn squared_differences(x: &[f32], means: &[i32], shift: u32) -> (u64, u32) {
    squared_differences_by(to_fixed, x, means, shift)
}

/// [`squared_differences`] with another way to the same fixed point.
#[inline(always)]
pub(crate) fn squared_differences_by(
    to_fixed: impl Fn(f32) -> i32,
    x: &[f32],
    means: &[i32],
    shift: u32,
) -> (u64, u32) {
    let (mut sum, mut magnitude) = (0u64, 0);
    for (x, mean) in x.iter().zip(means) {
        let difference = to_fixed(*x).wrapping_sub(mean >> shift);
        magnitude |= difference ^ (difference >> 31);
        sum = sum.wrapping_add(square(difference));
    }
    (sum, magnitude as u32)
}

#[inline(always)]
fn square(difference: i32) -> u64 {
    let magnitude = difference.unsigned_abs();
    if cfg!(vae_v6m) && magnitude < 1 << 16 {
        // There is only a multiplication with a 32-bit result, and most are small.
        u64::from(magnitude * magnitude)
    } else {
        u64::from(magnitude) * u64::from(magnitude)
    }
}

/// The bits of the largest magnitude in `values`, at least `largest`; NaN counts as more than infinity.
///
/// The bits of `f32`s without their signs, as integers, are in the order of the magnitudes.
pub fn largest_bits(values: &[f32], mut largest: u32) -> u32 {
    for value in values {
        let bits = value.to_bits() & (u32::MAX >> 1);
        if bits > largest {
            largest = bits;
        }
    }
    largest
}

/// Brings what is NaN to 0 and what is beyond ± `limit` to that. Returns how many were NaN, the bits of the largest magnitude that is left, and
/// whether a value that was infinite is so in `x` too, which has as many.
pub fn mend(values: &mut [f32], x: &[f32], limit: f32) -> (u32, u32, bool) {
    const MAGNITUDE: u32 = u32::MAX >> 1;
    const INFINITY: u32 = f32::INFINITY.to_bits();
    let (mut missing, mut largest, mut is_infinite) = (0, 0, false);
    for (bits, x) in bytemuck::cast_slice_mut::<f32, u32>(values).iter_mut().zip(x) {
        let mut magnitude = *bits & MAGNITUDE;
        if magnitude > INFINITY {
            missing += 1;
            (magnitude, *bits) = (0, 0);
        } else if magnitude > limit.to_bits() {
            is_infinite |= magnitude == INFINITY && x.to_bits() & MAGNITUDE == INFINITY;
            *bits = *bits & !MAGNITUDE | limit.to_bits();
            magnitude = limit.to_bits();
        }
        if magnitude > largest {
            largest = magnitude;
        }
    }
    (missing, largest, is_infinite)
}

/// Brings what is NaN to 0, and the means that belong to it. Returns the sums of the constants that belong to what was NaN, and of the others.
pub fn forget(values: &mut [f32], means: &mut [i32], constants: &[f32]) -> (f32, f32) {
    let (mut missing, mut observed) = (0.0, 0.0);
    for ((value, mean), constant) in values.iter_mut().zip(means).zip(constants) {
        // By its bits, which costs little without an FPU.
        if value.to_bits() << 1 > f32::INFINITY.to_bits() << 1 {
            (*value, *mean) = (0.0, 0);
            missing += constant;
        } else {
            observed += constant;
        }
    }
    (missing, observed)
}

/// Integers divided by `2^shift` (at most 2³⁰) and rounded to the nearest, ties up, as many as fit into `out`.
pub fn requantise(values: &[i32], shift: u32, out: &mut [i16]) {
    let Some(before) = shift.checked_sub(1) else {
        out.iter_mut().zip(values).for_each(|(out, value)| *out = *value as i16);
        return;
    };
    for (out, value) in out.iter_mut().zip(values) {
        // With one bit left to round by, nothing overflows.
        *out = (((value >> before) + 1) >> 1) as i16;
    }
}

/// SiLU of integers, in place: `max(v, 0) − (|v| σ(−|v|) + ½)`, rounded down, in units of which `|v| · 2^left` is 2¹⁶ at 1 once it is shifted right by
/// `down`. Returns the bitwise or of the magnitudes of what that makes.
///
/// `near` has an entry for each quarter from 0 to 16: `½ − s` in its low half, of the sigmoid `s` there, and `s (1 − s)` in its high one, both times 2¹⁶; the last
/// two are of a sigmoid of 0. A value shifted by `down` is at most 2¹⁵, and `left` at most 16.
pub fn silu(values: &mut [i32], down: u32, left: u32, near: &[u32; 65]) -> u32 {
    const STEP_BITS: u32 = 14;
    const HALF_STEP: u32 = 1 << (STEP_BITS - 1);
    const UNUSED: u32 = u32::BITS - STEP_BITS;
    const HALF: i32 = 1 << 15;
    let mut magnitude = 0;
    for value in values {
        let (size, sign) = (value.unsigned_abs() >> down, *value >> 31);
        let argument = (size << left).min((64 << STEP_BITS) - HALF_STEP - 1);
        let entry = near[((argument + HALF_STEP) >> STEP_BITS) as usize % 64];
        let (slope, offset) = ((entry >> 16) as i32, (entry & 0xFFFF) as i32);
        // From there on by Taylor's series to the second order: the derivatives are `−s (1 − s)` and `s (1 − s) (1 − 2 s)`.
        let distance = (argument << UNUSED) as i32 >> UNUSED;
        let step = (slope * distance) >> 16;
        let bend = (step * distance) >> 17;
        let tail = HALF - offset - step + ((bend * offset) >> 15);
        *value = (size as i32 & !sign) - ((size as i32 * tail + HALF) >> 16);
        magnitude |= (*value ^ (*value >> 31)) as u32;
    }
    magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_as_real_numbers_are() {
        let pair = |low: i16, high: i16| i32::from(high) << 16 | i32::from(low as u16);
        let rows = [[-4096, 4097, 0, -1, pair(32_767, 1), pair(-3, 5)], [0, 0, 0, 0, pair(32_767, 1), pair(1, 1)]];
        let sums = [1_000_000, -1_000_000, 7, 0, i32::MAX, 65_536, -1, 0];
        let mut scaled = sums;
        let magnitude = scale::<false>(&mut scaled, &rows, 12);
        assert_eq!(scaled, [499_984 - 1, -16 + 1, -1, -1, 1_073_709_055, 1, -1, 0]);
        assert_eq!(magnitude.leading_zeros(), 1_073_709_055u32.leading_zeros());
        scaled = sums;
        scaled[4] = 70_000;
        let magnitude = scale::<true>(&mut scaled, &rows, 12);
        assert_eq!(scaled, [499_983, 0, 0, 0, 34_998, 1, 0, 0]);
        assert_eq!(magnitude, 499_983 | 34_998 | 1);
    }
}
