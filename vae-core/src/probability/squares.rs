//! Sums of squared differences, in integers where they are small.

#[cfg(vae_fused)]
use crate::{kernel::near_squares, network::standardise::Standardiser};
use crate::{
    kernel::{FRACTION_BITS, largest_bits, squared_differences},
    network::{fixed::power_of_two, layer::Outputs},
};

/// Where a chunk has a fixed-point difference as large as this (64 standard deviations), it is summed for itself.
const NEAR: u32 = 1 << 16;

/// Bits before the point of the fixed-point numbers that such a chunk is summed in: their differences then have no more than 26.
const FAR_BITS: i32 = 15;

/// The nearest `f32`, ties to even, as `as` has it: the highest 32 bits, the last of them set where one below is, are rounded as all are. The compiler's
/// function for it is larger, and cores with an FPU have it for 32 bits.
fn nearest(sum: u64) -> f32 {
    let (high, low) = ((sum >> 32) as u32, sum as u32);
    if high == 0 {
        return low as f32;
    }
    let up = high.leading_zeros();
    let top = (high << up) | (low >> 1 >> (31 - up)) | u32::from(low << up != 0);
    top as f32 * f32::from_bits((127 + 32 - up) << 23)
}

/// The sum of squared differences between numbers and a layer's outputs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Squares {
    /// Those of an int8 model, in units of `2^(−2 · FRACTION_BITS)`, where they are small.
    near: u64,
    /// The others.
    far: f32,
}

impl Squares {
    /// Adds those between standardised values and a layer's outputs, where all of them are near; true if it has.
    #[cfg(vae_fused)]
    pub(crate) fn add_near(&mut self, x: &[f32], standardiser: Standardiser<'_>, outputs: &Outputs<'_>) -> bool {
        let Standardiser { mean, inverse_scale } = standardiser;
        if let Outputs::Fixed { values, exponent, magnitude } = outputs
            && let Ok(shift @ 1..32) = u32::try_from(-(FRACTION_BITS as i32) - exponent)
            && (magnitude >> shift) < NEAR / 2
            && let Some(sum) = near_squares(x, mean, inverse_scale, values, shift)
        {
            self.near += u64::from(sum);
            return true;
        }
        false
    }

    /// Adds those between `x` and a layer's outputs, of which there are as many; `x` is overwritten. `largest` are the bits of the largest magnitude in `x`,
    /// where that is known.
    pub(crate) fn add(&mut self, x: &mut [f32], outputs: Outputs<'_>, largest: Option<u32>) {
        match outputs {
            Outputs::F32(means) => x.iter().zip(means).for_each(|(x, mean)| self.add_far((x - *mean) * (x - *mean))),
            Outputs::Fixed { values, exponent, magnitude } => {
                // Means in a unit so coarse that they would have to be shifted left are far from everything.
                if let Ok(shift) = u32::try_from(-(FRACTION_BITS as i32) - exponent)
                    && let (sum, magnitude) = squared_differences(x, values, shift.min(31))
                    && magnitude < NEAR
                {
                    self.near += sum;
                } else {
                    let largest = largest.unwrap_or_else(|| largest_bits(x, 0));
                    self.far += far_squares((x, largest), values, exponent, magnitude);
                }
            }
        }
    }

    /// Adds a square.
    pub(crate) fn add_far(&mut self, square: f32) {
        self.far += square;
    }

    /// Half the sum.
    pub(crate) fn half(&self) -> f32 {
        const UNIT: f32 = 1.0 / (1u64 << (2 * FRACTION_BITS)) as f32;
        0.5 * (nearest(self.near) * UNIT + self.far)
    }
}

/// The sum of squared differences between `x`, with the bits of its largest magnitude, and `means`, which are worth `2^exponent`, `magnitude` being the bitwise or of their magnitudes: in
/// integers of a unit so coarse that both have room. Both are overwritten.
#[inline(never)] // few windows need it
fn far_squares((x, largest): (&mut [f32], u32), means: &mut [i32], exponent: i32, magnitude: u32) -> f32 {
    if largest > f32::MAX.to_bits() {
        return f32::INFINITY;
    }
    let bits_of_means = (u32::BITS - magnitude.leading_zeros()) as i32 + exponent;
    let coarser = ((largest >> 23) as i32 - 126).max(bits_of_means).saturating_sub(FAR_BITS).max(0);
    if coarser > 0 && cfg!(vae_soft) {
        // A product, but for numbers that are zero in this unit.
        for bits in bytemuck::cast_slice_mut::<f32, u32>(x) {
            let is_small = ((*bits >> 23) & 255) as i32 <= coarser;
            *bits = if is_small { 0 } else { bits.wrapping_sub((coarser as u32) << 23) };
        }
    } else if coarser > 0 {
        let scale = power_of_two(-coarser);
        // Four at a time cost an FPU half as much.
        let (fours, rest) = x.as_chunks_mut::<4>();
        for [a, b, c, d] in fours {
            (*a, *b, *c, *d) = (*a * scale, *b * scale, *c * scale, *d * scale);
        }
        rest.iter_mut().for_each(|x| *x *= scale);
    }
    let shift = coarser - FRACTION_BITS as i32 - exponent;
    if shift < 0 {
        // They have room, or are all zero.
        let left = shift.unsigned_abs().min(31);
        let (fours, rest) = means.as_chunks_mut::<4>();
        for [a, b, c, d] in fours {
            (*a, *b, *c, *d) = (*a << left, *b << left, *c << left, *d << left);
        }
        rest.iter_mut().for_each(|mean| *mean <<= left);
    }
    let (sum, _) = squared_differences(x, means, shift.clamp(0, 31) as u32);
    nearest(sum) * power_of_two(2 * (coarser - FRACTION_BITS as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_become_the_nearest_numbers() {
        let mut sums = [0u64; 64 * 7];
        for (shift, sums) in (0..).zip(sums.as_chunks_mut::<7>().0) {
            let one = 1u64 << shift;
            let tie = one | one >> 24;
            let any = 0x9E37_79B9_7F4A_7C15u64.rotate_left(shift) >> (shift / 2);
            *sums = [one - 1, one, one + 1, tie, tie | 1, tie | one >> 23, any];
        }
        for sum in sums {
            assert_eq!(nearest(sum).to_bits(), (sum as f32).to_bits(), "{sum:#x}");
        }
    }
}
