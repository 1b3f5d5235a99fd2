//! A dense layer, read in place.

#[cfg(not(feature = "f32"))]
use crate::format::feature::Feature;
#[cfg(feature = "f32")]
use crate::format::size::padded_rows;
#[cfg(vae_fused)]
use crate::network::standardise::Standardiser;
use crate::{
    arithmetic::activation::Activation,
    format::{
        error::LoadError,
        feature::HasF32,
        kind::Precision,
        record::{LayerRecord, Records, values},
        size::{CHUNK, vector_len},
    },
    kernel::{COLUMN_GROUP, ROW_BLOCK, ROW_WORDS, clear, largest_bits, requantise, row_blocks, rows_int8, sums_f32},
    network::{
        curve,
        error::InferError,
        fixed::{self, Intake, LEAST_EXPONENT},
        input::{Sink, Source},
    },
};

/// `y = activation(W x + b)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'m> {
    activation: Activation,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    constants: Constants<'m>,
}

#[derive(Clone, Copy, Debug)]
enum Constants<'m> {
    #[cfg_attr(not(feature = "f32"), expect(dead_code, reason = "no file has them"))]
    F32 {
        weights: &'m [f32],
        bias: &'m [f32],
        _has: HasF32,
    },
    Int8 {
        weights: &'m [u32],
        rows: &'m [[i32; ROW_WORDS]],
        scale_exponent: i32,
        bias_exponent: i32,
    },
}

/// Outputs of successive rows.
pub(crate) enum Outputs<'c> {
    F32(&'c mut [f32]),
    /// Each value is worth `2^exponent`; `magnitude` is the bitwise or of their magnitudes.
    Fixed {
        values: &'c mut [i32],
        exponent: i32,
        magnitude: u32,
    },
}

impl<'c> Outputs<'c> {
    /// The outputs as numbers.
    pub(crate) fn numbers(self) -> &'c [f32] {
        self.numbers_mut()
    }

    /// The outputs' bits: zero is all zeros.
    pub(crate) fn words(&mut self) -> &mut [i32] {
        match self {
            Self::F32(values) => bytemuck::cast_slice_mut(values),
            Self::Fixed { values, .. } => values,
        }
    }

    fn numbers_mut(self) -> &'c mut [f32] {
        match self {
            Self::F32(values) => values,
            Self::Fixed { values, exponent, .. } => to_numbers(values, exponent),
        }
    }
}

impl<'m> Layer<'m> {
    /// Reads a layer that must have so many columns.
    pub(crate) fn read(records: &mut Records<'m>, precision: Precision, inputs: usize) -> Result<Self, LoadError> {
        let record = records.read(LayerRecord::take)?;
        record.fits(precision, inputs)?;
        let (rows, columns) = (record.rows as usize, record.columns as usize);
        let constants = match precision {
            #[cfg(not(feature = "f32"))]
            Precision::F32 => return Err(LoadError::NeedsFeature { feature: Feature::F32 }),
            #[cfg(feature = "f32")]
            Precision::F32 => Constants::F32 {
                // As many as no file has where that overflows.
                weights: values(record.weights, padded_rows(rows).saturating_mul(columns))?,
                bias: values(record.row_constants, rows)?,
                _has: (),
            },
            Precision::Int8 => {
                let blocks = rows.div_ceil(ROW_BLOCK);
                let constants = values(record.row_constants, blocks * ROW_WORDS)?;
                let misfit = LoadError::Shape { expected: blocks, found: 0 };
                Constants::Int8 {
                    weights: values(record.weights, 2 * blocks * vector_len(precision, columns))?, // see `LayerRecord::fits`
                    rows: row_blocks(constants, blocks).ok_or(misfit)?,
                    scale_exponent: record.scale_exponent,
                    bias_exponent: record.bias_exponent,
                }
            }
        };
        Ok(Self { activation: record.activation, rows, columns, constants })
    }

    /// Without rows.
    pub(crate) const EMPTY: Self = Self {
        activation: Activation::Identity,
        rows: 0,
        columns: 0,
        constants: Constants::Int8 { weights: &[], rows: &[], scale_exponent: 0, bias_exponent: 0 },
    };

    /// Takes over what another layer is, part by part where both are int8: as a whole it is a call of the compiler's memcpy, which is larger than a
    /// layer's code, and which a small image has no other use for.
    pub(crate) fn become_like(&mut self, other: &Self) {
        (self.activation, self.rows, self.columns) = (other.activation, other.rows, other.columns);
        match (&mut self.constants, &other.constants) {
            (
                Constants::Int8 { weights, rows, scale_exponent, bias_exponent },
                Constants::Int8 { weights: others, rows: their_rows, scale_exponent: scale, bias_exponent: bias },
            ) => {
                (*weights, *rows) = (others, their_rows);
                (*scale_exponent, *bias_exponent) = (*scale, *bias);
            }
            (constants, others) => *constants = *others,
        }
    }

    /// Brings a network's input into `vector` in the form that this layer's kernel reads; returns the exponent of its integers, if
    /// it has integers.
    pub(crate) fn load(
        &self,
        source: &mut Source<'_>,
        vector: &mut [f32],
        chunk: &mut [f32; CHUNK],
    ) -> Result<i32, InferError> {
        let vector = self.room(vector)?;
        match self.constants {
            Constants::F32 { .. } => {
                let mut copy = |place: usize, values: &[f32], _: u32| {
                    vector.iter_mut().skip(place).zip(values).for_each(|(slot, value)| *slot = *value);
                    Some(())
                };
                source.read(chunk, usize::MAX, &mut copy)?;
                Ok(0)
            }
            Constants::Int8 { .. } => {
                let intake = Intake::new(self.exponent(source.least_exponent())?);
                let halfwords = bytemuck::cast_slice_mut::<f32, i16>(vector);
                let mut input = Input { layer: self, intake, halfwords, overflow: None };
                let mut end = usize::MAX;
                // Once, and once more up to where integers were in a unit that turned out to be too fine.
                while end > 0 {
                    source.read(chunk, end, &mut input)?;
                    input.overflow.map_or(Ok(()), Err)?;
                    end = input.intake.finish(input.halfwords.get_mut(..self.columns).unwrap_or_default());
                }
                let exponent = input.intake.exponent;
                pad(vector, self.columns);
                Ok(exponent)
            }
        }
    }

    /// Brings the outputs of a hidden layer into `vector`, as [`Self::load`] does a network's input.
    pub(crate) fn load_outputs(&self, outputs: Outputs<'_>, vector: &mut [f32]) -> Result<i32, InferError> {
        let vector = self.room(vector)?;
        match (self.constants, outputs) {
            (Constants::F32 { .. }, outputs) => {
                vector.iter_mut().zip(outputs.numbers()).for_each(|(slot, value)| *slot = *value);
                Ok(0)
            }
            (Constants::Int8 { .. }, Outputs::F32(values)) => {
                let largest = largest_bits(values, 0);
                if largest > f32::MAX.to_bits() {
                    return Err(InferError::Overflow);
                }
                let exponent = self.exponent(fixed::exponent_of(largest))?;
                fixed::quantise(values, exponent, bytemuck::cast_slice_mut(vector));
                pad(vector, values.len());
                Ok(exponent)
            }
            (Constants::Int8 { .. }, Outputs::Fixed { values, exponent: unit, magnitude }) => {
                let exponent = self.exponent(unit + fixed::shift_of(magnitude).max(0))?;
                let halfwords = bytemuck::cast_slice_mut(vector);
                // A shift beyond the integers' length: next to the biases the input is nothing.
                match u32::try_from(exponent - unit) {
                    Ok(shift @ 0..=30) => requantise(values, shift, halfwords),
                    _ => clear(halfwords),
                }
                pad(vector, values.len());
                Ok(exponent)
            }
        }
    }

    /// The part of `vector` that this layer's input takes.
    fn room<'v>(&self, vector: &'v mut [f32]) -> Result<&'v mut [f32], InferError> {
        let precision = match self.constants {
            Constants::F32 { .. } => Precision::F32,
            Constants::Int8 { .. } => Precision::Int8,
        };
        let (needed, found) = (vector_len(precision, self.columns), vector.len());
        vector.get_mut(..needed).ok_or(InferError::ScratchTooSmall { needed, found })
    }

    /// The exponent for an input that itself needs `exponent`: large enough that the biases fit into 32 bits.
    fn exponent(&self, exponent: i32) -> Result<i32, InferError> {
        let least = match self.constants {
            Constants::F32 { .. } => LEAST_EXPONENT,
            Constants::Int8 { scale_exponent, bias_exponent, .. } => {
                (bias_exponent - scale_exponent - 16).max(LEAST_EXPONENT)
            }
        };
        if exponent > -LEAST_EXPONENT { Err(InferError::Overflow) } else { Ok(exponent.max(least)) }
    }

    /// The outputs of the rows from `start` on that `room` has slots for; both are multiples of the kernels' block. The input is what `load`
    /// or `load_outputs` has brought into `vector`, with the exponent that they returned.
    /// None where the layer has no such rows, or `vector` no room for its input.
    pub(crate) fn run<'c>(
        &self,
        vector: &mut [f32],
        exponent: i32,
        start: usize,
        room: &'c mut [i32],
    ) -> Option<Outputs<'c>> {
        let rows = room.len().min(self.rows.saturating_sub(start));
        let x = self.room(vector).ok()?;
        match self.constants {
            Constants::F32 { weights, bias, _has: _ } => {
                let room: &mut [f32] = bytemuck::cast_slice_mut(room);
                sums_f32(weights.get(start * x.len()..)?, x, room);
                let outputs = room.get_mut(..rows)?;
                for (output, bias) in outputs.iter_mut().zip(bias.get(start..)?) {
                    *output += bias;
                }
                let mut outputs = Outputs::F32(outputs);
                activate(self.activation, &mut outputs);
                Some(outputs)
            }
            Constants::Int8 { weights, rows: constants, scale_exponent, bias_exponent } => {
                let exponent = scale_exponent + 16 + exponent;
                let shift = (exponent - bias_exponent).clamp(0, 31) as u32;
                let constants = constants.get(start / ROW_BLOCK..)?;
                let weights = weights.get(start / 2 * x.len()..)?;
                let relu = self.activation == Activation::Relu;
                let magnitude = rows_int8(weights, bytemuck::cast_slice(x), constants, shift, relu, room);
                let outputs = room.get_mut(..rows)?;
                let mut outputs = Outputs::Fixed { values: outputs, exponent, magnitude };
                // Others than the kernel's are refused where records are read, if they are not there.
                if cfg!(feature = "activations") && !matches!(self.activation, Activation::Identity | Activation::Relu)
                {
                    activate(self.activation, &mut outputs);
                }
                Some(outputs)
            }
        }
    }
}

/// An int8 layer's input, as a network's is read.
struct Input<'l, 'm> {
    layer: &'l Layer<'m>,
    intake: Intake,
    halfwords: &'l mut [i16],
    overflow: Option<InferError>,
}

impl Sink for Input<'_, '_> {
    fn add(&mut self, place: usize, values: &[f32], largest: u32) -> Option<()> {
        match self.layer.exponent(fixed::exponent_of(largest)) {
            Ok(needed) => self.intake.add(values, needed, self.halfwords, place)?,
            Err(error) => self.overflow = Some(error),
        }
        Some(())
    }

    #[cfg(vae_fused)]
    fn take(&mut self, place: usize, x: &[f32], standardiser: Standardiser<'_>) -> usize {
        self.intake.take(x, standardiser, self.halfwords.get_mut(place..).unwrap_or_default())
    }
}

/// Applies an activation that the kernel has not.
#[inline(never)] // so that layers without one pay nothing
fn activate(activation: Activation, outputs: &mut Outputs<'_>) {
    *outputs = match (activation, core::mem::replace(outputs, Outputs::F32(&mut []))) {
        (Activation::LeakyRelu(_), outputs) | (_, outputs @ Outputs::F32(_)) => {
            let outputs = outputs.numbers_mut();
            outputs.iter_mut().for_each(|output| *output = activation.apply(*output));
            Outputs::F32(outputs)
        }
        (_, Outputs::Fixed { values, exponent, magnitude }) => {
            let (exponent, magnitude) = curve::activate(activation, values, exponent, magnitude);
            Outputs::Fixed { values, exponent, magnitude }
        }
    };
}

/// Turns integers that are worth `2^exponent` into numbers, in place.
fn to_numbers(values: &mut [i32], exponent: i32) -> &mut [f32] {
    let unit = fixed::power_of_two(exponent);
    for value in values.iter_mut() {
        *value = (*value as f32 * unit).to_bits() as i32;
    }
    bytemuck::cast_slice_mut(values)
}

/// Sets the padding of the quantised input in `vector`, behind `len` halfwords, to zero.
fn pad(vector: &mut [f32], len: usize) {
    let halfwords = bytemuck::cast_slice_mut::<f32, i16>(vector);
    halfwords.iter_mut().skip(len).take(COLUMN_GROUP).for_each(|halfword| *halfword = 0);
}
