//! Sums of squared differences, in integers where they are small.

use crate::{
    kernel::{FRACTION_BITS, squared_differences},
    network::layer::Outputs,
};

/// Where a chunk has a fixed-point difference as large as this (64 standard deviations), it is summed in `f32`.
const NEAR: u32 = 1 << 16;

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
    /// Adds those between `x` and a layer's outputs, of which there are as many.
    pub(crate) fn add(&mut self, x: &[f32], outputs: Outputs<'_>) {
        if !self.add_near(x, &outputs) {
            x.iter().zip(outputs.numbers()).for_each(|(x, mean)| self.add_far((x - mean) * (x - mean)));
        }
    }

    /// Adds those of integers where all are small; else returns false.
    #[inline(always)]
    pub(crate) fn add_near(&mut self, x: &[f32], outputs: &Outputs<'_>) -> bool {
        // Means in a unit so coarse that they would have to be shifted left are far from everything.
        if let Outputs::Fixed { values, exponent, .. } = outputs
            && let Ok(shift) = u32::try_from(-(FRACTION_BITS as i32) - exponent)
            && let (sum, magnitude) = squared_differences(x, values, shift.min(31))
            && magnitude < NEAR
        {
            self.near += sum;
            return true;
        }
        false
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
