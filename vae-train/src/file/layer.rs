//! A layer as a model file holds it.

use anyhow::{Result, ensure};
use vae_core::format::{MAX_INT8_COLUMNS, MAX_LAYER_SIDE, Precision, padded_rows};

use crate::{
    file::body::Body,
    weights::{dense::Dense, quantised::Quantised},
};

impl Dense {
    /// The fields of `LayerRecord`, in order.
    pub(super) fn write(&self, precision: Precision, body: &mut Body) -> Result<()> {
        let Self { activation, rows, columns, .. } = *self;
        ensure!(
            self.weights.len() == rows * columns && self.bias.len() == rows && rows.max(columns) <= MAX_LAYER_SIDE,
            "a layer of {rows} × {columns} has {} weights and {} biases",
            self.weights.len(),
            self.bias.len()
        );
        body.value(&(activation, rows as u32, columns as u32))?;
        match precision {
            Precision::F32 => self.write_f32(body),
            Precision::Int8 => self.write_int8(body),
        }
    }

    /// Four rows side by side, column after column; the last block is filled up with zeros.
    fn write_f32(&self, body: &mut Body) -> Result<()> {
        let Self { rows, columns, .. } = *self;
        let mut padded = self.weights.clone();
        padded.resize(padded_rows(rows) * columns, 0.0);
        let blocks = padded.chunks(4 * columns);
        let interleaved: Vec<f32> =
            blocks.flat_map(|block| (0..columns).flat_map(|c| block[c..].iter().step_by(columns))).copied().collect();
        body.array(&interleaved)?;
        body.array(&self.bias)?;
        body.value(&(0i32, 0i32))
    }

    /// Pairs of rows in halfwords, then each block's biases and multipliers.
    fn write_int8(&self, body: &mut Body) -> Result<()> {
        let Self { rows, columns, .. } = *self;
        ensure!(columns <= MAX_INT8_COLUMNS, "an int8 layer has at most {MAX_INT8_COLUMNS} inputs, not {columns}");
        let Quantised { weights, mut multiplier, scale_exponent } = self.quantise();
        let (mut bias, bias_exponent) = self.quantise_bias();
        multiplier.resize(padded_rows(rows), 0);
        bias.resize(padded_rows(rows), 0);
        let constants: Vec<i32> = bias
            .chunks(4)
            .zip(multiplier.chunks(4))
            .flat_map(|(bias, multiplier)| {
                let pairs = multiplier.chunks(2).map(|pair| i32::from(pair[1]) << 16 | i32::from(pair[0] as u16));
                bias.iter().copied().chain(pairs)
            })
            .collect();
        body.array(&pack_pairs(&weights, columns))?;
        body.array(&constants)?;
        body.value(&(scale_exponent, bias_exponent))
    }
}

/// Two rows a halfword, in the order in which the kernels read them: see `LayerRecord::weights`.
fn pack_pairs(weights: &[i8], columns: usize) -> Vec<i16> {
    let padded = columns.next_multiple_of(4);
    let zeros: &[i8] = &[];
    let mut halfwords = Vec::new();
    for block in weights.chunks(4 * columns) {
        let rows: Vec<&[i8]> = block.chunks(columns).collect();
        for group in (0..padded).step_by(4) {
            for pair in [0, 2] {
                let row = |index: usize| *rows.get(index).unwrap_or(&zeros);
                let (a, b) = (row(pair), row(pair + 1));
                for column in group..group + 4 {
                    let weight = |row: &[i8]| i16::from(row.get(column).copied().unwrap_or(0));
                    halfwords.push(256 * weight(a) + weight(b));
                }
            }
        }
    }
    halfwords
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_packed_as_the_format_says() {
        // Three rows of five columns: one block of two pairs, the second pair's B row is zero.
        let weights: Vec<i8> = (1..=15).map(|w| if w % 2 == 0 { -w } else { w }).collect();
        let halfwords = pack_pairs(&weights, 5);
        let pair = |a: i16, b: i16| 256 * a + b;
        let expected = [
            [pair(1, -6), pair(-2, 7), pair(3, -8), pair(-4, 9)],
            [pair(11, 0), pair(-12, 0), pair(13, 0), pair(-14, 0)],
            [pair(5, -10), 0, 0, 0],
            [pair(15, 0), 0, 0, 0],
        ];
        assert_eq!(halfwords, expected.concat());
    }
}
