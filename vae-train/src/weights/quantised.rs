//! Weights rounded to int8, as a model file rounds them.

use crate::weights::dense::Dense;

impl Dense {
    /// Puts the rows of so many equal parts side by side: of two 0, n/2, 1, n/2 + 1, …
    pub fn interleave(&mut self, parts: usize) {
        let part = self.rows / parts.max(1);
        let order = (0..part).flat_map(|row| (row..).step_by(part).take(parts));
        let (weights, bias) = (std::mem::take(&mut self.weights), std::mem::take(&mut self.bias));
        for row in order {
            self.weights.extend_from_slice(&weights[row * self.columns..][..self.columns]);
            self.bias.push(bias[row]);
        }
    }

    /// Weights in −127…127; one step of each row's is worth at least `max|w| / 127`, rounded up to what its multiplier can say.
    #[must_use]
    pub fn quantise(&self) -> Quantised {
        let largest = |row: &[f32]| row.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        let scale_exponent = exponent(f64::from(largest(&self.weights)) / 127.0, f64::from(i16::MAX));
        let unit = libm::exp2(f64::from(scale_exponent));
        let mut weights = Vec::with_capacity(self.weights.len());
        let mut multiplier = Vec::with_capacity(self.rows);
        for row in self.weights.chunks(self.columns) {
            let units = (f64::from(largest(row)) / 127.0 / unit).ceil().clamp(1.0, f64::from(i16::MAX));
            weights.extend(row.iter().map(|weight| (f64::from(*weight) / (units * unit)).round() as i8));
            multiplier.push(units as i16);
        }
        Quantised { weights, multiplier, scale_exponent }
    }

    /// Biases as integers, and the exponent of their unit.
    pub(crate) fn quantise_bias(&self) -> (Vec<i32>, i32) {
        /// Leaves two bits for what is added to a bias.
        const LARGEST: f64 = ((1 << 29) - 1) as f64;
        let largest = self.bias.iter().fold(0.0f32, |largest, bias| largest.max(bias.abs()));
        let exponent = exponent(f64::from(largest), LARGEST);
        let unit = libm::exp2(f64::from(exponent));
        (self.bias.iter().map(|bias| (f64::from(*bias) / unit).round() as i32).collect(), exponent)
    }
}

/// Weights as an int8 layer holds them: weight w of row r stands for `w · multiplier[r] · 2^scale_exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// `[rows][columns]`, in −127…127.
    pub weights: Vec<i8>,
    /// `[rows]`, from 1 on.
    pub multiplier: Vec<i16>,
    /// Of two.
    pub scale_exponent: i32,
}

impl Quantised {
    /// The weights that these stand for, `[rows][columns]`: exact, as 22 bits are enough for each.
    #[must_use]
    pub fn dequantise(&self) -> Vec<f32> {
        let unit = libm::exp2(f64::from(self.scale_exponent));
        let columns = self.weights.len() / self.multiplier.len().max(1);
        let rows = self.weights.chunks(columns.max(1)).zip(&self.multiplier);
        rows.flat_map(|(row, &multiplier)| {
            row.iter().map(move |&weight| (f64::from(weight) * f64::from(multiplier) * unit) as f32)
        })
        .collect()
    }
}

/// The least exponent, within the format's limits, of a unit of which `most` are enough for `value`.
fn exponent(value: f64, most: f64) -> i32 {
    const LIMIT: f64 = 100.0;
    libm::log2(value / most).ceil().clamp(-LIMIT, LIMIT) as i32
}

#[cfg(test)]
mod tests {
    use vae_core::Activation;

    use super::*;

    #[test]
    fn quantised_weights_are_within_half_a_step() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let layer = Dense { activation: Activation::Identity, rows: 3, columns: 20, weights, bias: vec![0.0; 3] };
        let quantised = layer.quantise();
        let unit = f64::from(quantised.scale_exponent).exp2();
        for (index, (&q, w)) in quantised.weights.iter().zip(&layer.weights).enumerate() {
            let step = unit * f64::from(quantised.multiplier[index / 20]);
            assert!((f64::from(q) * step - f64::from(*w)).abs() <= 0.5 * step * 1.0001);
        }
        assert!(quantised.weights.chunks(20).all(|row| row.iter().any(|q| q.unsigned_abs() == 127)));
        assert!(quantised.multiplier.iter().any(|units| *units > i16::MAX / 2), "{quantised:?}");
    }

    #[test]
    fn zero_and_tiny_rows_are_quantised_too() {
        let weights = vec![0.0, 0.0, 1e-9, -1e-9, 5.0, 1.0];
        let layer = Dense { activation: Activation::Identity, rows: 3, columns: 2, weights, bias: vec![0.0; 3] };
        let Quantised { weights, multiplier, .. } = layer.quantise();
        assert_eq!(weights, [0, 0, 0, 0, 127, 25]);
        assert_eq!(multiplier[..2], [1, 1]);
        assert_eq!(layer.quantise_bias(), (vec![0; 3], -100));
        let layer = Dense { bias: vec![1.0, -0.25, 0.0], ..layer };
        assert_eq!(layer.quantise_bias(), (vec![1 << 28, -(1 << 26), 0], -28));
    }
}
