//! Sums of squared differences, in integers where they are small.

use crate::{
    kernel::{FRACTION_BITS, squared_differences},
    network::layer::Outputs,
};

/// Where a chunk has a fixed-point difference as large as this (64 standard deviations), it is summed in `f32`.
const NEAR: u32 = 1 << 16;

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
        0.5 * (self.near as f32 * UNIT + self.far)
    }
}
