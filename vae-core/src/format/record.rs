//! The records of a body, and the cursor that reads them.

use serde::{Deserialize, Serialize};

use crate::{
    arithmetic::activation::Activation,
    format::{
        error::LoadError,
        kind::{LikelihoodKind, PosteriorKind, Precision},
    },
};

/// The body's first record. Arrays are aligned as [`LayerRecord`] says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Header<'a> {
    /// How all layers' weights are stored.
    pub precision: Precision,
    /// Family of `q(z|x)`.
    pub posterior: PosteriorKind,
    /// Family of `p(x|z)`.
    pub likelihood: LikelihoodKind,
    /// Layers from the features to the posterior's parameters.
    pub encoder_layers: u32,
    /// Layers from the latent vector to the likelihood's parameters.
    pub decoder_layers: u32,
    /// Components of the aggregated posterior's mixture, behind the layers; 0 where there is none.
    pub mixture_components: u32,
    /// Layers of the second stage's decoder, behind the mixture; 0 where there is none.
    pub second_stage_layers: u32,
    /// Attributes behind the second stage.
    pub attributes: u32,
    /// Golden vectors behind the attributes.
    pub golden_vectors: u32,
    /// A predicted variance's logarithm is limited to the range between these, in standardised units.
    pub log_variance_bounds: (f32, f32),
    /// The sum of the log normalisers; 0 where there are none.
    pub log_normaliser_sum: f32,
    /// Arrays of an `f32` per feature, one after the other:
    /// - the mean, subtracted from the input,
    /// - the inverse scale, which multiplies the difference,
    /// - fixed and learned variances and mixed features only, the inverse deviation, `inverse scale / σ`: multiplies the difference where the
    ///   likelihood compares the input with the decoder's outputs, whose unit is the likelihood's standard deviation,
    /// - Gaussian likelihoods only, the log normaliser, `−½ ln(2πσ²) − ln(scale)`: the log density at the mean in physical units;
    ///   for a predicted variance or covariance that of σ² = 1; 0 for a mixed feature of zeros and ones,
    /// - mixed features only, the family, as `FeatureFamily::code` has it,
    /// - with relations, the least and the largest value of the training windows, in physical units; and behind these arrays
    ///   [`RELATION_CONSTANTS`] and, for at most [`MAX_MIXED_INPUTS`] features, the components of a mixture of Gaussians of the input, as
    ///   [`input_mixture_len`] says, or none.
    #[serde(borrow)]
    pub features: &'a [u8],
    /// Arrays of an `f32` per condition, one after the other: the mean and the inverse scale. Then the prior's components, as
    /// [`mixture_len`] says; none for `N(0, I)` and with a discrete posterior.
    pub conditions_and_prior: &'a [u8],
}

/// One dense layer, `y = activation(W x + b)`.
///
/// An array of n values is a byte string whose last bytes are the values, little-endian; zero to three zero bytes before
/// them put the first value at a multiple of four from the start of the file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LayerRecord<'a> {
    /// Applied to each output.
    pub activation: Activation,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// The weights, in blocks of four rows (zero rows fill the last). `f32`: in a block column after column. `Int8`:
    /// halfwords `256 · A + B` of the pair of rows A and B; in a block groups of four columns, in a group the first pair's
    /// four halfwords, then the second's; columns are padded with zeros to a multiple of four.
    #[serde(borrow)]
    pub weights: &'a [u8],
    /// `F32`: the biases, `f32` per row. `Int8`: for each block of four rows four biases (`i32`, in units of
    /// `2^bias_exponent`), then four multipliers (`i16`): what one step of the row's weights is worth, in units of
    /// `2^scale_exponent`.
    pub row_constants: &'a [u8],
    /// `Int8` only.
    pub scale_exponent: i32,
    /// `Int8` only.
    pub bias_exponent: i32,
}

/// Numbers of relations, behind the features' arrays, in nats of densities in physical units:
/// - the score that a window outside the range of the training windows has at most,
/// - an offset: with a layer `A r + b` behind the decoder's, of as many rows and columns as features, `offset − ½ ‖A r + b‖²` is the
///   log-likelihood of the features given each other, shifted so that of normal windows it is about that of independent features. Row j is the
///   difference of feature j from what all others make expect of it, in its standard deviation given them,
/// - a ceiling: what the log-likelihood of a reconstruction counts at most, so that one that is better than those of normal windows does not
///   make up for a latent vector that is not,
/// - 0 where `r` is the window's difference from its reconstruction, else from the mean; in the likelihood's standard deviations, as the inverse
///   deviations make it.
pub const RELATION_CONSTANTS: usize = 4;

/// Features for which there may be a mixture of Gaussians of the input, at most.
pub const MAX_MIXED_INPUTS: usize = 16;

/// `f32`s of a component of the mixture of the input `y`, the window's difference from the mean in the likelihood's standard deviations:
/// its constant `c`, then for each feature `i` the `i + 1` entries of the row of a lower triangular `U`, and `bᵢ`. The log-density of
/// the component is `c − ½ ‖U y − b‖²`.
#[must_use]
pub const fn input_mixture_len(features: usize) -> usize {
    features.saturating_mul(features.saturating_add(3)) / 2 + 1
}

/// `f32`s of a component of a mixture `Σ πₖ N(mₖ, diag 1/pₖ)`: `ln πₖ + ½ Σ ln pₖ`, then the means, then the precisions.
#[must_use]
pub const fn mixture_len(latent: usize) -> usize {
    latent.saturating_mul(2).saturating_add(1)
}

/// The second stage of Dai & Wipf (2019): a decoder from `u ~ N(0, I)` to the first stage's latent vector `z`; its layers follow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SecondStage<'a> {
    /// What its first layer reads: the dimensions of `u`, at most those of `z`; or, given the condition of a conditional model, as many as `z`
    /// has and behind them the condition's values.
    pub inputs: u32,
    /// `f32` per latent dimension of the first stage: the standard deviation of `p(z|u)`.
    #[serde(borrow)]
    pub deviation: &'a [u8],
}

/// An array with a name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NamedArray<'a> {
    /// Of the calibration the channels' front-ends, as [`FrontEnd::of_record`](crate::FrontEnd::of_record) reads them; of an attribute what changes along its direction,
    /// in UTF-8; of the aggregated posterior empty.
    #[serde(borrow)]
    pub name: &'a [u8],
    /// Of an attribute an `f32` per latent dimension: the mean latent vector with it less the mean without. Of the aggregated
    /// posterior `(1/N) Σ q(z|xₙ)` its components, as [`mixture_len`] says. Of the calibration what
    /// [`Calibration`](crate::Calibration) reads.
    pub array: &'a [u8],
}

/// An input and the score that the exporting machine computed for it at the posterior mean, bit for bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct GoldenVector<'a> {
    /// `f32` per feature, then per condition, in physical units, aligned as [`LayerRecord`] says.
    #[serde(borrow)]
    pub input: &'a [u8],
    /// In nats.
    pub elbo: f32,
    /// In nats.
    pub reconstruction: f32,
    /// In nats.
    pub kl: f32,
}

/// Where a model comes from: the body's last record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card<'a> {
    /// Names of the channels, one a line, in the order in which a sample lists them.
    pub channels: &'a str,
    /// Names of the conditions, one a line, in order.
    pub conditions: &'a str,
    /// Program and version that wrote the file.
    pub creator: &'a str,
    /// CRC-32 of the training data, with its number of rows: tells whether two models saw the same data.
    pub data: &'a str,
    /// Seed of everything random in the training.
    pub seed: u64,
    /// What the trainer measured, one `name value` pair a line.
    pub metrics: &'a str,
}

impl<'a> Card<'a> {
    /// What is subtracted from a channel's or a condition's values, as integers or in 64 bits, before they become the `f32`s that the model
    /// is given: a number in decimal digits, to be parsed as the type that the device samples in. `None` where nothing is, as for most.
    #[must_use]
    pub fn origin(&self, column: &str) -> Option<&'a str> {
        self.metrics.lines().find_map(|line| {
            let (origin, name) = line.strip_prefix("origin ")?.split_once(' ')?;
            (name == column).then_some(origin)
        })
    }
}

/// [`Card`] without a look at its texts.
#[derive(Deserialize)]
pub(crate) struct RawCard<'a> {
    #[serde(borrow)]
    pub(crate) channels: &'a [u8],
    pub(crate) conditions: &'a [u8],
    _creator: &'a [u8],
    _data: &'a [u8],
    _seed: u64,
    _metrics: &'a [u8],
}

/// A cursor over the records of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'m>(pub(crate) &'m [u8]);

impl<'m> Records<'m> {
    pub(crate) fn read<T: Deserialize<'m>>(&mut self) -> Result<T, LoadError> {
        let (record, rest) =
            postcard::take_from_bytes(self.0).map_err(|_| LoadError::Malformed { remaining: self.0.len() })?;
        self.0 = rest;
        Ok(record)
    }

    /// The next record, of a layer: what [`Self::read`] makes of it, in a quarter of the instructions, as each score reads all of them.
    pub(crate) fn layer(&mut self) -> Result<LayerRecord<'m>, LoadError> {
        let malformed = LoadError::Malformed { remaining: self.0.len() };
        let mut rest = self.0;
        let record = layer(&mut rest).ok_or(malformed)?;
        self.0 = rest;
        Ok(record)
    }

    /// The next `count` records, and no more after one that cannot be read: a file of some hundred bytes may announce millions.
    pub(crate) fn first<T>(
        mut self,
        count: u32,
        read: fn(&mut Self) -> Result<T, LoadError>,
    ) -> impl Iterator<Item = Result<T, LoadError>> {
        let mut left = count;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = read(&mut self);
            if record.is_err() {
                left = 0;
            }
            Some(record)
        })
    }
}

fn layer<'m>(rest: &mut &'m [u8]) -> Option<LayerRecord<'m>> {
    Some(LayerRecord {
        activation: match varint(rest)? {
            0 => Activation::Identity,
            1 => Activation::Relu,
            2 => {
                let (slope, behind) = rest.split_first_chunk()?;
                *rest = behind;
                Activation::LeakyRelu(f32::from_le_bytes(*slope))
            }
            3 => Activation::Tanh,
            4 => Activation::Silu,
            5 => Activation::Sigmoid,
            6 => Activation::Softplus,
            _ => return None,
        },
        rows: varint(rest)?,
        columns: varint(rest)?,
        weights: bytes(rest)?,
        row_constants: bytes(rest)?,
        scale_exponent: zigzag(rest)?,
        bias_exponent: zigzag(rest)?,
    })
}

/// A number of up to 32 bits, seven a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u32> {
    let (mut bytes, mut value, mut shift) = (rest.iter(), 0, 0);
    loop {
        let byte = u32::from(*bytes.next()?);
        value |= (byte & 0x7F) << shift;
        if byte < 0x80 {
            *rest = bytes.as_slice();
            // The fifth byte has four bits.
            return (shift < 28 || byte < 0x10).then_some(value);
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
}

fn zigzag(rest: &mut &[u8]) -> Option<i32> {
    let value = varint(rest)?;
    Some((value >> 1) as i32 ^ -((value & 1) as i32))
}

fn bytes<'m>(rest: &mut &'m [u8]) -> Option<&'m [u8]> {
    let len = varint(rest)?;
    let (bytes, behind) = rest.split_at_checked(len as usize)?;
    *rest = behind;
    Some(bytes)
}

/// The `count` values at the end of an aligned byte string, in place.
///
/// # Errors
/// [`LoadError::Shape`] if the string does not hold that many, [`LoadError::Misaligned`] if the file is not aligned in
/// memory.
pub fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8], count: usize) -> Result<&[T], LoadError> {
    let values = last(bytes, count.saturating_mul(size_of::<T>()))?;
    bytemuck::try_cast_slice(values).map_err(|_| LoadError::Misaligned)
}

/// The values of an array, as many as there are.
pub(crate) fn all_values(array: &[u8]) -> Result<&[f32], LoadError> {
    values(array, array.len() / size_of::<f32>())
}

/// The last `expected` bytes, before which there are at most three.
#[inline(never)] // by all kinds of values
fn last(bytes: &[u8], expected: usize) -> Result<&[u8], LoadError> {
    let padding = bytes.len().checked_sub(expected).filter(|padding| *padding < 4);
    padding.and_then(|padding| bytes.get(padding..)).ok_or(LoadError::Shape { expected, found: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_postcard_reads_them() {
        let activations = [
            Activation::Identity,
            Activation::Relu,
            Activation::LeakyRelu(0.1),
            Activation::Tanh,
            Activation::Silu,
            Activation::Sigmoid,
            Activation::Softplus,
        ];
        for (index, activation) in activations.into_iter().enumerate() {
            let (weights, row_constants) = ([7; 300], [3; 5]);
            let record = LayerRecord {
                activation,
                rows: [0, 1, 127, 128, 16_384, u32::MAX, 7][index],
                columns: 300,
                weights: &weights[..50 * index],
                row_constants: &row_constants,
                scale_exponent: [0, -1, 1, -64, 64, i32::MIN, i32::MAX][index],
                bias_exponent: -30,
            };
            let mut file = [0; 400];
            let written = postcard::to_slice(&record, &mut file).unwrap().len();
            // Cut short anywhere, and with any byte changed, it is refused where postcard refuses it, and else the same.
            for len in 0..=written {
                for (place, change) in [(0, 0), (len / 2, 0x80), (len.saturating_sub(1), 0xFF), (index, 0x7F)] {
                    let mut file = file;
                    file[place] ^= change;
                    let mut records = [Records(&file[..len]); 2];
                    let expected = records[0].read::<LayerRecord<'_>>();
                    let found = records[1].layer();
                    let parts = |record: LayerRecord<'_>| {
                        let LayerRecord { rows, columns, scale_exponent, bias_exponent, .. } = record;
                        let slope =
                            if let Activation::LeakyRelu(slope) = record.activation { slope.to_bits() } else { 0 };
                        let kind = core::mem::discriminant(&record.activation);
                        let lens = [record.weights.len(), record.row_constants.len()];
                        (kind, slope, rows, columns, lens, scale_exponent, bias_exponent)
                    };
                    assert_eq!(found.map(parts), expected.map(parts));
                    assert_eq!(records[0].0.len(), records[1].0.len());
                }
            }
        }
    }

    #[test]
    fn an_origin_is_found_by_its_column() {
        let card = Card {
            channels: "f\nf hz\nt",
            conditions: "",
            creator: "",
            data: "",
            seed: 0,
            metrics: "epoch 3\norigin 9999980 f hz\norigin 52.1235 t\norigin\norigin 1",
        };
        assert_eq!(card.origin("f hz").and_then(|origin| origin.parse::<i32>().ok()), Some(9_999_980));
        assert_eq!([card.origin("t"), card.origin("f"), card.origin("")], [Some("52.1235"), None, None]);
    }
}
