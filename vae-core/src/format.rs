//! The model file: a fixed prelude and a postcard body, read in place. `FORMAT.md` specifies it byte by byte.
//!
//! The records here derive serde's traits and are what a writer serialises; `vae-train` holds the writer.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use crate::{
    Activation, LoadError,
    kernel::{COLUMN_GROUP, ROW_BLOCK},
};

/// The first four bytes of every model file.
pub const MAGIC: [u8; 4] = *b"VAE\0";
/// The version that this release writes, and the newest that it reads.
pub const VERSION: u16 = 1;
/// Bytes before the body.
pub const PRELUDE_LEN: usize = 64;
/// Bytes before the part of the file that the checksum covers; each of them is checked for itself.
const UNSUMMED_LEN: usize = 12;
/// Rows and columns of a layer, and features, are at most this.
pub const MAX_LAYER_SIDE: usize = 65_536;
/// Columns of an int8 layer are at most this, so that its sums are exact in 32 bits.
pub const MAX_INT8_COLUMNS: usize = 32_768;

/// Bit by bit: a table would be as large as a sixteenth of all other code, for what runs at boot alone.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The sizes that a caller needs at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// Values in a window: `channels · window`, or what front-ends make of them.
    pub features: u32,
    /// Latent dimensions.
    pub latent: u32,
    /// Values in one sample.
    pub channels: u32,
    /// Samples in a window; 1 for a model of rows.
    pub window: u32,
    /// Samples between the starts of successive windows.
    pub hop: u32,
    /// Scratch for a layer's input, in `f32`s.
    pub vector_len: u32,
    /// Scratch for a hidden layer's output, in `f32`s.
    pub hidden_len: u32,
    /// Scratch for the posterior's parameters, in `f32`s: [`PosteriorKind::parameters`].
    pub posterior_len: u32,
    /// Values of the condition `c` of a conditional model `p(x|c)`; 0 for a model without.
    pub conditions: u32,
    /// Where the decoder's layers begin, in bytes from the start of the body.
    pub decoder_at: u32,
    /// Where the records behind the layers begin, in bytes from the start of the body.
    pub extras_at: u32,
    /// Where the golden vectors begin, in bytes from the start of the body.
    pub golden_at: u32,
}

impl Prelude {
    /// The first [`PRELUDE_LEN`] bytes of a file with this `body`.
    ///
    /// # Errors
    /// [`LoadError::TooLong`] if the file would not fit into 4 GiB.
    pub fn to_bytes(&self, body: &[u8]) -> Result<[u8; PRELUDE_LEN], LoadError> {
        let found = PRELUDE_LEN + body.len();
        let len = u32::try_from(found).map_err(|_| LoadError::TooLong { needed: u32::MAX as usize, found })?;
        let mut bytes = [0; PRELUDE_LEN];
        let words = [
            u32::from_le_bytes(MAGIC),
            u32::from(VERSION),
            0, // the checksum, below
            len,
            self.features,
            self.latent,
            self.channels,
            self.window,
            self.hop,
            self.vector_len,
            self.hidden_len,
            self.posterior_len,
            self.conditions,
            self.decoder_at,
            self.extras_at,
            self.golden_at,
        ];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        let mut digest = CRC.digest();
        digest.update(&bytes[UNSUMMED_LEN..]);
        digest.update(body);
        bytes[UNSUMMED_LEN - 4..UNSUMMED_LEN].copy_from_slice(&digest.finalize().to_le_bytes());
        Ok(bytes)
    }

    /// Checks magic, version, length and checksum of a file and splits it into prelude and body.
    pub(crate) const fn parse(file: &[u8]) -> Result<(Self, &[u8]), LoadError> {
        let Some((head, body)) = file.split_first_chunk::<PRELUDE_LEN>() else {
            // Whatever is there is judged, so that a foreign short file is not called a truncated model.
            return Err(match file.first_chunk::<4>() {
                Some(magic) if u32::from_le_bytes(*magic) != u32::from_le_bytes(MAGIC) => LoadError::NotAModel,
                _ => LoadError::TooShort { needed: PRELUDE_LEN, found: file.len() },
            });
        };
        if word(head, 0) != u32::from_le_bytes(MAGIC) {
            return Err(LoadError::NotAModel);
        }
        // Two bytes of version and two that are zero in every version so far.
        let version = word(head, 1);
        if version != VERSION as u32 {
            return Err(LoadError::UnsupportedVersion { found: version as u16 as usize, supported: VERSION as usize });
        }
        let needed = word(head, 3) as usize;
        if file.len() < needed {
            return Err(LoadError::TooShort { needed, found: file.len() });
        }
        if file.len() > needed {
            return Err(LoadError::TooLong { needed, found: file.len() });
        }
        let stored = word(head, 2);
        let computed = checksum(file);
        if stored != computed {
            return Err(LoadError::Checksum { stored, computed });
        }
        let prelude = Self {
            features: word(head, 4),
            latent: word(head, 5),
            channels: word(head, 6),
            window: word(head, 7),
            hop: word(head, 8),
            vector_len: word(head, 9),
            hidden_len: word(head, 10),
            posterior_len: word(head, 11),
            conditions: word(head, 12),
            decoder_at: word(head, 13),
            extras_at: word(head, 14),
            golden_at: word(head, 15),
        };
        match prelude.check() {
            Ok(()) => Ok((prelude, body)),
            Err(error) => Err(error),
        }
    }

    /// Refuses sizes that contradict each other or that would overflow sums of them.
    const fn check(&self) -> Result<(), LoadError> {
        let sizes = [
            self.features,
            self.latent,
            self.channels,
            self.window,
            self.hop,
            self.vector_len,
            self.posterior_len,
            self.hidden_len,
            self.conditions,
        ];
        let mut index = 0;
        while index < sizes.len() {
            // Only the last two may be zero: a model of one layer each way has no hidden layer, most have no condition.
            if sizes[index] > MAX_LAYER_SIDE as u32 || (sizes[index] == 0 && index + 2 < sizes.len()) {
                return Err(LoadError::Shape { expected: MAX_LAYER_SIDE, found: sizes[index] as usize });
            }
            index += 1;
        }
        // Front-ends make less of the samples; `verify` knows how much.
        let most = self.channels as u64 * self.window as u64;
        if self.features as u64 > most {
            return Err(LoadError::Shape { expected: most as usize, found: self.features as usize });
        }
        Ok(())
    }
}

/// CRC-32 (ISO-HDLC, as in zip and PNG) over everything behind the checksum.
const fn checksum(file: &[u8]) -> u32 {
    match file.split_at_checked(UNSUMMED_LEN) {
        Some((_, summed)) => CRC.checksum(summed),
        None => 0,
    }
}

/// The same, over all of a record.
pub(crate) fn checksum_of(record: &[u8]) -> u32 {
    CRC.checksum(record)
}

/// A record's little-endian word; 0 behind its end.
pub(crate) fn word_at(words: &[[u8; 4]], index: usize) -> u32 {
    words.get(index).map_or(0, |word| u32::from_le_bytes(*word))
}

/// The little-endian word at `4 · index`.
const fn word(head: &[u8; PRELUDE_LEN], index: usize) -> u32 {
    let Some((_, rest)) = head.split_at_checked(4 * index) else { return 0 };
    match rest.first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}

/// How weights are stored and products computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// `f32` weights and activations.
    F32,
    /// `i8` weights with one scale per output row; activations quantised with one scale per vector.
    Int8,
}

/// The family of the encoder's posterior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PosteriorKind {
    /// The encoder's last layer gives the means, then the log-variances.
    DiagonalGaussian,
    /// The encoder's last layer gives the means, then the rows of the covariance's Cholesky factor up to the diagonal, whose
    /// entries are logarithms.
    FullGaussian,
    /// The encoder's last layer gives the logits of independent Bernoulli latents.
    Bernoulli,
}

impl PosteriorKind {
    /// Outputs of the encoder's last layer, for a number of latent dimensions.
    #[must_use]
    pub const fn parameters(self, latent: usize) -> usize {
        match self {
            Self::DiagonalGaussian => latent.saturating_mul(2),
            Self::FullGaussian => latent.saturating_add(latent.saturating_mul(latent.saturating_add(1)) / 2),
            Self::Bernoulli => latent,
        }
    }
}

/// The family of the decoder's likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LikelihoodKind {
    /// The decoder gives a logit per feature.
    Bernoulli,
    /// The decoder gives the means; one variance for all standardised features.
    GaussianFixed,
    /// The decoder gives the means; each feature has its own learned variance.
    GaussianPerFeature,
    /// The decoder gives, for each feature in turn, its mean and its log-variance.
    GaussianPredicted,
}

impl LikelihoodKind {
    /// Outputs of the decoder's last layer, for a number of features.
    #[must_use]
    pub const fn parameters(self, features: usize) -> usize {
        match self {
            Self::Bernoulli | Self::GaussianFixed | Self::GaussianPerFeature => features,
            Self::GaussianPredicted => features.saturating_mul(2),
        }
    }
}

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
    /// - fixed and learned variances only, the inverse deviation, `inverse scale / σ`: multiplies the difference where the
    ///   likelihood compares the input with the decoder's outputs, whose unit is the likelihood's standard deviation,
    /// - Gaussian likelihoods only, the log normaliser, `−½ ln(2πσ²) − ln(scale)`: the log density at the mean in physical units;
    ///   for a predicted variance that of σ² = 1.
    #[serde(borrow)]
    pub features: &'a [u8],
    /// Arrays of an `f32` per condition, one after the other: the mean and the inverse scale. Then the prior's components, as
    /// [`mixture_len`] says; none for `N(0, I)` or fair coins.
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

/// `f32`s of a component of a mixture `Σ πₖ N(mₖ, diag 1/pₖ)`: `ln πₖ + ½ Σ ln pₖ`, then the means, then the precisions.
#[must_use]
pub const fn mixture_len(latent: usize) -> usize {
    latent.saturating_mul(2).saturating_add(1)
}

/// The second stage of Dai & Wipf (2019): a decoder from `u ~ N(0, I)` to the first stage's latent vector; its layers follow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SecondStage<'a> {
    /// Dimensions of `u`, at most those of `z`.
    pub latent: u32,
    /// `f32` per latent dimension of the first stage: the standard deviation of `p(z|u)`.
    #[serde(borrow)]
    pub deviation: &'a [u8],
}

/// An array with a name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NamedArray<'a> {
    /// Of the calibration the channels' front-ends, a byte each (none: all raw); of an attribute what changes along its direction,
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

/// `f32`s of scratch that the input of a layer with this many columns takes.
#[must_use]
pub const fn vector_len(precision: Precision, columns: usize) -> usize {
    match precision {
        Precision::F32 => columns,
        Precision::Int8 => columns.next_multiple_of(COLUMN_GROUP) / 2,
    }
}

/// `f32`s of scratch that the output of a hidden layer with this many rows takes; two chunks have room in it too.
#[must_use]
pub const fn hidden_len(rows: usize) -> usize {
    let padded = padded_rows(rows);
    if padded < 2 * CHUNK { 2 * CHUNK } else { padded }
}

/// Rows of a layer, with the zero rows that fill its last block.
#[must_use]
pub const fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(ROW_BLOCK)
}

/// Features, and rows of a last layer, that are computed at a time.
pub(crate) const CHUNK: usize = 48;

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

    /// The next `count` records, and no more after one that cannot be read: a file of some hundred bytes may announce millions.
    pub(crate) fn first<T: Deserialize<'m>>(mut self, count: u32) -> impl Iterator<Item = Result<T, LoadError>> {
        let mut left = count;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = self.read();
            if record.is_err() {
                left = 0;
            }
            Some(record)
        })
    }
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

/// The last `expected` bytes, before which there are at most three.
#[inline(never)] // by all kinds of values
fn last(bytes: &[u8], expected: usize) -> Result<&[u8], LoadError> {
    match bytes.len().checked_sub(expected) {
        Some(padding @ 0..4) => Ok(bytes.get(padding..).unwrap_or_default()),
        _ => Err(LoadError::Shape { expected, found: bytes.len() }),
    }
}
