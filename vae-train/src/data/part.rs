//! Windows to train or to validate on.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Windows to train or to validate on, and where they come from.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Standardised windows, each followed by its condition; not all of them need belong to the part.
    pub values: &'a [f32],
    /// Those that do, by index, in the part's order.
    pub chosen: &'a [usize],
    /// For each of `values`' windows, the index of its last row in the data.
    pub last_row: &'a [usize],
}

impl Part<'_> {
    /// The windows with these indices, one after the other; `inputs` values each.
    pub fn gather(&self, indices: &[usize], inputs: usize) -> impl Iterator<Item = f32> {
        self.windows(indices, inputs).flatten().copied()
    }

    /// The windows with these indices, each by itself; `inputs` values each.
    pub(crate) fn windows(&self, indices: &[usize], inputs: usize) -> impl Iterator<Item = &[f32]> {
        indices.iter().map(move |index| &self.values[index * inputs..][..inputs])
    }

    /// At most `most` of its windows, evenly spaced, and of these the ones without missing values.
    pub(crate) fn whole_windows(&self, most: usize, inputs: usize) -> Vec<&[f32]> {
        let step = self.chosen.len().div_ceil(most).max(1);
        let some: Vec<usize> = self.chosen.iter().copied().step_by(step).collect();
        self.windows(&some, inputs).filter(|window| window.iter().all(|value| value.is_finite())).collect()
    }
}

/// Zeros and ones, each 1 with the chance that its grey value says.
pub fn binarise(grey: impl Iterator<Item = f32>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    grey.map(|grey| if rng.random::<f32>() < grey { 1.0 } else { 0.0 }).collect()
}
