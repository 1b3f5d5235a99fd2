//! The records of a body, and the cursor that reads them.

use serde::{Deserialize, Serialize};

use crate::{
    arithmetic::activation::Activation,
    format::{
        cursor::Cursor,
        error::LoadError,
        feature::Feature,
        kind::{LikelihoodKind, PosteriorKind, Precision},
        size::{MAX_INT8_COLUMNS, MAX_LAYER_SIDE},
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

impl<'a> Header<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        Self {
            precision: Precision::take(cursor),
            posterior: PosteriorKind::take(cursor),
            likelihood: LikelihoodKind::take(cursor),
            encoder_layers: cursor.word(),
            decoder_layers: cursor.word(),
            mixture_components: cursor.word(),
            second_stage_layers: cursor.word(),
            attributes: cursor.word(),
            golden_vectors: cursor.word(),
            log_variance_bounds: (cursor.number(), cursor.number()),
            log_normaliser_sum: cursor.number(),
            features: cursor.array(),
            conditions_and_prior: cursor.array(),
        }
    }
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

/// Exponents in a file are within ± this.
const EXPONENT_LIMIT: u32 = 100;

impl<'a> LayerRecord<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        Self {
            activation: take_activation(cursor),
            rows: cursor.word(),
            columns: cursor.word(),
            weights: cursor.array(),
            row_constants: cursor.array(),
            scale_exponent: cursor.signed(),
            bias_exponent: cursor.signed(),
        }
    }

    /// Refuses a layer that has not so many columns, or what no layer has.
    pub(crate) const fn fits(&self, precision: Precision, inputs: usize) -> Result<(), LoadError> {
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        if columns != inputs {
            return Err(LoadError::Shape { expected: inputs, found: columns });
        }
        if rows == 0 || rows > MAX_LAYER_SIDE {
            return Err(LoadError::Shape { expected: MAX_LAYER_SIDE, found: rows });
        }
        if let Precision::Int8 = precision {
            if columns > MAX_INT8_COLUMNS {
                return Err(LoadError::Shape { expected: MAX_INT8_COLUMNS, found: columns });
            }
            if self.scale_exponent.unsigned_abs() > EXPONENT_LIMIT || self.bias_exponent.unsigned_abs() > EXPONENT_LIMIT
            {
                return Err(LoadError::Value);
            }
        }
        Ok(())
    }
}

const fn take_activation(cursor: &mut Cursor<'_>) -> Activation {
    let kind = cursor.word();
    if kind > 1 {
        cursor.need(Feature::Activations);
    }
    match kind {
        0 => Activation::Identity,
        1 => Activation::Relu,
        2 => Activation::LeakyRelu(cursor.number()),
        3 => Activation::Tanh,
        4 => Activation::Silu,
        5 => Activation::Sigmoid,
        6 => Activation::Softplus,
        _ => {
            cursor.fail();
            Activation::Identity
        }
    }
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

impl<'a> SecondStage<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        Self { inputs: cursor.word(), deviation: cursor.array() }
    }
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

impl<'a> NamedArray<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        Self { name: cursor.bytes(), array: cursor.array() }
    }
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

impl<'a> GoldenVector<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        Self { input: cursor.array(), elbo: cursor.number(), reconstruction: cursor.number(), kl: cursor.number() }
    }
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

/// [`Card`] without a look at its texts: names of the channels, and of the conditions.
pub(crate) struct RawCard<'a> {
    pub(crate) channels: &'a [u8],
    pub(crate) conditions: &'a [u8],
}

impl<'a> RawCard<'a> {
    pub(crate) const fn take(cursor: &mut Cursor<'a>) -> Self {
        let card = Self { channels: cursor.bytes(), conditions: cursor.bytes() };
        cursor.bytes(); // creator
        cursor.bytes(); // data
        cursor.skip_long(); // seed
        cursor.bytes(); // metrics
        card
    }
}

/// A cursor over the records of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'m>(pub(crate) &'m [u8]);

impl<'m> Records<'m> {
    /// Reads a record by its `take`.
    pub(crate) fn read<T>(&mut self, take: impl FnOnce(&mut Cursor<'m>) -> T) -> Result<T, LoadError> {
        let mut cursor = Cursor::new(self.0, 0); // whether arrays are aligned is seen where they are read
        let record = take(&mut cursor);
        self.0 = cursor.end(self.0.len())?;
        Ok(record)
    }

    /// The next `count` records, and no more after one that cannot be read: a file of some hundred bytes may announce millions.
    pub(crate) fn first<T>(
        mut self,
        count: u32,
        take: impl Fn(&mut Cursor<'m>) -> T,
    ) -> impl Iterator<Item = Result<T, LoadError>> {
        let mut left = count;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = self.read(&take);
            if record.is_err() {
                left = 0;
            }
            Some(record)
        })
    }

    /// The body's last record, with its texts.
    pub(crate) fn card(self) -> Result<Card<'m>, LoadError> {
        postcard::from_bytes(self.0).map_err(|_| LoadError::Malformed { remaining: self.0.len() })
    }
}

/// The `count` values at the end of an aligned byte string, in place.
///
/// # Errors
/// [`LoadError::Shape`] if the string does not hold that many, [`LoadError::Misaligned`] if the file is not aligned in
/// memory.
pub fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8], count: usize) -> Result<&[T], LoadError> {
    match last(bytes, count.saturating_mul(size_of::<T>())) {
        Ok(values) => bytemuck::try_cast_slice(values).map_err(|_| LoadError::Misaligned),
        Err(error) => Err(error), // as a whole: see `Model::elbo_by`
    }
}

/// The values of an array, as many as there are.
pub(crate) fn all_values(array: &[u8]) -> Result<&[f32], LoadError> {
    values(array, array.len() / size_of::<f32>())
}

/// The last `expected` bytes, before which there are at most three.
#[inline(never)] // by all kinds of values
pub(crate) const fn last(bytes: &[u8], expected: usize) -> Result<&[u8], LoadError> {
    let found = bytes.len();
    match bytes.split_at_checked(found.wrapping_sub(expected)) {
        Some((padding, values)) if padding.len() < 4 => Ok(values),
        _ => Err(LoadError::Shape { expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
