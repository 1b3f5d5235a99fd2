//! A dense layer, read in place.

use crate::{
    Activation, InferError, LoadError,
    format::{LayerRecord, MAX_LAYER_SIDE, Precision, Records, padded_columns, values},
    kernel::{dot_f32, dot_int8},
};

/// Below this magnitude a whole vector counts as zero when it is quantised; its reciprocal would overflow.
const QUANTISABLE: f32 = 1e-30;

/// `y = activation(W x + b)`.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'m> {
    activation: Activation,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    weights: Weights<'m>,
    bias: &'m [f32],
}

#[derive(Clone, Copy)]
enum Weights<'m> {
    F32(&'m [f32]),
    Int8 { pairs: &'m [i16], scale: &'m [f32] },
}

/// A layer's input, as its kernel reads it.
pub(crate) enum Input<'v> {
    F32(&'v [f32]),
    Int8 { values: &'v [i16], scale: f32 },
}

impl<'m> Layer<'m> {
    pub(crate) fn read(records: &mut Records<'m>, precision: Precision) -> Result<Self, LoadError> {
        let record: LayerRecord<'m> = records.read()?;
        let (rows, columns) = (record.rows as usize, record.columns as usize);
        for side in [rows, columns] {
            if side == 0 || side > MAX_LAYER_SIDE {
                return Err(LoadError::Shape { expected: MAX_LAYER_SIDE, found: side });
            }
        }
        let too_large = LoadError::Shape { expected: usize::MAX, found: record.weights.len() };
        let weights = match precision {
            Precision::F32 => Weights::F32(values(record.weights, rows.checked_mul(columns).ok_or(too_large)?)?),
            Precision::Int8 => {
                let halfwords = rows.div_ceil(2).checked_mul(padded_columns(columns)).ok_or(too_large)?;
                Weights::Int8 { pairs: values(record.weights, halfwords)?, scale: values(record.scale, rows)? }
            }
        };
        Ok(Self { activation: record.activation, rows, columns, weights, bias: values(record.bias, rows)? })
    }

    /// Whether every constant is finite.
    pub(crate) fn is_finite(&self) -> bool {
        let slope = match self.activation {
            Activation::LeakyRelu(slope) => slope,
            _ => 0.0,
        };
        let (Weights::F32(constants) | Weights::Int8 { scale: constants, .. }) = self.weights;
        constants.iter().chain(self.bias).chain([&slope]).all(|value| value.is_finite())
    }

    /// Brings `x` into `vector` in the form that this layer's kernel reads.
    pub(crate) fn load<'v>(
        &self,
        x: impl Iterator<Item = f32> + Clone,
        vector: &'v mut [f32],
    ) -> Result<Input<'v>, InferError> {
        let found = vector.len();
        match self.weights {
            Weights::F32(_) => {
                let needed = self.columns;
                let vector = vector.get_mut(..needed).ok_or(InferError::ScratchTooSmall { needed, found })?;
                for (slot, x) in vector.iter_mut().zip(x) {
                    *slot = x;
                }
                Ok(Input::F32(vector))
            }
            Weights::Int8 { .. } => {
                let padded = padded_columns(self.columns);
                let halfwords: &mut [i16] = bytemuck::try_cast_slice_mut(vector).map_err(|_| LoadError::Misaligned)?;
                let vector =
                    halfwords.get_mut(..padded).ok_or(InferError::ScratchTooSmall { needed: padded / 2, found })?;
                let scale = quantise(x, vector)?;
                Ok(Input::Int8 { values: vector, scale })
            }
        }
    }

    /// Gives each output to `emit`, with its row, in ascending order.
    pub(crate) fn for_each_row(&self, input: &Input<'_>, mut emit: impl FnMut(usize, f32)) {
        let activation = self.activation;
        match (self.weights, input) {
            (Weights::F32(weights), Input::F32(x)) => {
                let blocks = weights.chunks(4 * self.columns).zip(self.bias.chunks(4));
                for (block, (weights, bias)) in blocks.enumerate() {
                    let sums = match bias.len() {
                        4 => dot_f32::<4>(weights, x),
                        3 => widen(dot_f32::<3>(weights, x)),
                        2 => widen(dot_f32::<2>(weights, x)),
                        _ => widen(dot_f32::<1>(weights, x)),
                    };
                    for (lane, (sum, bias)) in sums.into_iter().zip(bias).enumerate() {
                        emit(4 * block + lane, activation.apply(sum + bias));
                    }
                }
            }
            (Weights::Int8 { pairs, scale }, Input::Int8 { values: x, scale: x_scale }) => {
                let blocks = pairs.chunks(2 * x.len()).zip(scale.chunks(4)).zip(self.bias.chunks(4));
                for (block, ((weights, scale), bias)) in blocks.enumerate() {
                    let sums = if bias.len() > 2 {
                        let [(a, b), (c, d)] = dot_int8::<2>(weights, x);
                        [a, b, c, d]
                    } else {
                        let [(a, b)] = dot_int8::<1>(weights, x);
                        [a, b, 0, 0]
                    };
                    for (lane, ((sum, scale), bias)) in sums.into_iter().zip(scale).zip(bias).enumerate() {
                        emit(4 * block + lane, activation.apply(sum as f32 * (scale * x_scale) + bias));
                    }
                }
            }
            // `load` of the same layer made the input, so that the two agree.
            (Weights::F32(_), Input::Int8 { .. }) | (Weights::Int8 { .. }, Input::F32(_)) => {}
        }
    }
}

fn widen<const R: usize>(sums: [f32; R]) -> [f32; 4] {
    let mut wide = [0.0; 4];
    for (wide, sum) in wide.iter_mut().zip(sums) {
        *wide = sum;
    }
    wide
}

/// Quantises `x` to −127…127 with its own scale, pads with zeros, and returns what one step is worth: `max|x| / 127`.
///
/// NaN (not observed) becomes 0, the mean of a standardised feature.
fn quantise(x: impl Iterator<Item = f32> + Clone, out: &mut [i16]) -> Result<f32, InferError> {
    // 1.5 · 2²³: adding it leaves the nearest integer (ties to even) in the low bits of the sum.
    const ROUNDER: f32 = 12_582_912.0;
    let mut largest = 0.0;
    for x in x.clone() {
        let magnitude = x.abs();
        if magnitude > largest {
            largest = magnitude;
        }
    }
    if largest > f32::MAX {
        return Err(InferError::Overflow);
    }
    out.fill(0);
    if largest < QUANTISABLE {
        return Ok(0.0);
    }
    let steps_per_unit = 127.0 / largest;
    for (out, x) in out.iter_mut().zip(x) {
        if !x.is_nan() {
            *out = (x * steps_per_unit + ROUNDER).to_bits() as i16;
        }
    }
    Ok(largest / 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantised_values_are_the_nearest_steps() {
        let x = [0.5, -1.0, 0.0, 0.003_9, 1.0, f32::NAN, -0.25];
        let mut out = [99; 8];
        let scale = quantise(x.iter().copied(), &mut out).unwrap();
        assert_eq!(out, [64, -127, 0, 0, 127, 0, -32, 0]); // 63.5 and 31.75 round to even and to nearest
        assert!((scale - 1.0 / 127.0).abs() < 1e-9);
        for (&q, &x) in out.iter().zip(&x).filter(|(_, x)| !x.is_nan()) {
            assert!((f32::from(q) * scale - x).abs() <= 0.5 * scale * 1.000_01);
        }
    }

    #[test]
    fn quantising_never_divides_by_zero_and_refuses_overflow() {
        let mut out = [7; 4];
        assert_eq!(quantise([0.0, 1e-40, -1e-31].into_iter(), &mut out), Ok(0.0));
        assert_eq!(out, [0; 4]);
        assert_eq!(quantise([1.0, f32::INFINITY].into_iter(), &mut out), Err(InferError::Overflow));
        assert!(quantise([f32::MAX, -1.0].into_iter(), &mut out).unwrap() > 1e36);
        assert_eq!(out, [127, 0, 0, 0]);
    }
}
