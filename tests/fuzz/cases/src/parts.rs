//! A model file taken apart into its records, to be changed and put together again with whatever they then hold.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use vae_core::{
    Activation,
    format::{
        GoldenVector, Header, LayerRecord, LikelihoodKind, NamedArray, PRELUDE_LEN, PosteriorKind, Precision,
        SecondStage, hidden_len, vector_len,
    },
};

use crate::File;

/// Words of the prelude that say sizes, and places of the body.
const SIZES: usize = 12;
/// The first of those, in bytes.
const SIZES_AT: usize = 16;

/// A model file's records; arrays without the bytes that align them.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Features, latent dimensions, channels, window, hop, vector, hidden and posterior length, conditions.
    pub(crate) sizes: [u32; 9],
    pub(crate) precision: Precision,
    pub(crate) posterior: PosteriorKind,
    pub(crate) likelihood: LikelihoodKind,
    /// Encoder and decoder layers, mixture components, layers of the second stage, attributes, golden vectors.
    pub(crate) counts: [u32; 6],
    /// Bounds of the log-variance, and the sum of the log normalisers.
    pub(crate) constants: [f32; 3],
    /// The features' constants, and those of conditions and prior.
    pub(crate) tables: [Vec<u8>; 2],
    pub(crate) encoder: Vec<LayerParts>,
    pub(crate) decoder: Vec<LayerParts>,
    /// The layer of relations.
    pub(crate) related_layers: Vec<LayerParts>,
    /// Codes of the front-ends, and the calibration.
    pub(crate) calibration: NamedParts,
    pub(crate) mixture: Vec<NamedParts>,
    /// Its latent dimensions, and its deviation.
    pub(crate) second_stage: Vec<(u32, Vec<u8>)>,
    pub(crate) second_layers: Vec<LayerParts>,
    pub(crate) attributes: Vec<NamedParts>,
    /// Inputs and scores.
    pub(crate) golden: Vec<(Vec<u8>, [f32; 3])>,
    /// The card, as it is.
    pub(crate) card: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct LayerParts {
    pub(crate) activation: Activation,
    /// Rows and columns.
    pub(crate) shape: [u32; 2],
    /// Weights, and the rows' constants.
    pub(crate) arrays: [Vec<u8>; 2],
    /// Of the scale and the bias.
    pub(crate) exponents: [i32; 2],
}

#[derive(Clone, Debug)]
pub(crate) struct NamedParts {
    pub(crate) name: Vec<u8>,
    pub(crate) array: Vec<u8>,
}

/// A cursor over the records of a file.
struct Reader<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Reader<'f> {
    fn read<T: Deserialize<'f>>(&mut self) -> Option<T> {
        let (record, rest) = postcard::take_from_bytes(self.file.get(self.at..)?).ok()?;
        self.at = self.file.len() - rest.len();
        Some(record)
    }

    /// The array, which is part of the file, less what aligns it.
    fn values(&self, array: &[u8]) -> Vec<u8> {
        let start = array.as_ptr().addr() - self.file.as_ptr().addr();
        array.get(start.wrapping_neg() % 4..).unwrap_or_default().to_vec()
    }

    fn named(&mut self) -> Option<NamedParts> {
        let NamedArray { name, array } = self.read()?;
        Some(NamedParts { name: name.to_vec(), array: self.values(array) })
    }

    fn layers(&mut self, count: u32) -> Option<Vec<LayerParts>> {
        let layer = |_| {
            let LayerRecord { activation, rows, columns, weights, row_constants, scale_exponent, bias_exponent } =
                self.read()?;
            let arrays = [weights, row_constants].map(|array| self.values(array));
            Some(LayerParts { activation, shape: [rows, columns], arrays, exponents: [scale_exponent, bias_exponent] })
        };
        (0..count).map(layer).collect()
    }
}

impl Parts {
    /// Of a file; none where its records cannot be read.
    #[must_use]
    pub fn of(file: &[u8]) -> Option<Self> {
        let words: Vec<u32> = file.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let sizes: [u32; 9] = *words.get(SIZES_AT / 4..)?.first_chunk()?;
        let mut reader = Reader { file, at: PRELUDE_LEN };
        let header: Header<'_> = reader.read()?;
        let tables = [header.features, header.conditions_and_prior].map(|array| reader.values(array));
        let encoder = reader.layers(header.encoder_layers)?;
        let decoder = reader.layers(header.decoder_layers)?;
        // What is behind the features' arrays are the constants of relations.
        let related = u32::from(tables[0].len() > 4 * header.likelihood.feature_arrays() * sizes[0] as usize);
        let related_layers = reader.layers(related)?;
        let calibration = reader.named()?;
        let mixture = (0..header.mixture_components.min(1)).map(|_| reader.named()).collect::<Option<_>>()?;
        let stage = |_| {
            let SecondStage { inputs, deviation } = reader.read()?;
            Some((inputs, reader.values(deviation)))
        };
        let second_stage = (0..header.second_stage_layers.min(1)).map(stage).collect::<Option<_>>()?;
        let second_layers = reader.layers(header.second_stage_layers)?;
        let attributes = (0..header.attributes).map(|_| reader.named()).collect::<Option<_>>()?;
        let golden = |_| {
            let GoldenVector { input, elbo, reconstruction, kl } = reader.read()?;
            Some((reader.values(input), [elbo, reconstruction, kl]))
        };
        let golden = (0..header.golden_vectors).map(golden).collect::<Option<_>>()?;
        Some(Self {
            sizes,
            precision: header.precision,
            posterior: header.posterior,
            likelihood: header.likelihood,
            counts: [
                header.encoder_layers,
                header.decoder_layers,
                header.mixture_components,
                header.second_stage_layers,
                header.attributes,
                header.golden_vectors,
            ],
            constants: [header.log_variance_bounds.0, header.log_variance_bounds.1, header.log_normaliser_sum],
            tables,
            encoder,
            decoder,
            related_layers,
            calibration,
            mixture,
            second_stage,
            second_layers,
            attributes,
            golden,
            card: file.get(reader.at..)?.to_vec(),
        })
    }

    /// Makes numbers of records, and lengths of scratch, what the records are.
    pub(crate) fn count(&mut self) {
        let [encoder, decoder, second] = [&self.encoder, &self.decoder, &self.second_layers].map(Vec::len);
        let components = if self.mixture.is_empty() { 0 } else { self.counts[2].max(1) };
        self.counts = [
            encoder as u32,
            decoder as u32,
            components,
            second as u32,
            self.attributes.len() as u32,
            self.golden.len() as u32,
        ];
        let mut lens = [0, hidden_len(0)];
        for layers in [&self.encoder, &self.decoder, &self.second_layers] {
            for (index, layer) in layers.iter().enumerate() {
                let [rows, columns] = layer.shape.map(|side| side.min(1 << 20) as usize);
                lens[0] = lens[0].max(vector_len(self.precision, columns));
                if index + 1 < layers.len() {
                    lens[1] = lens[1].max(hidden_len(rows));
                }
            }
        }
        for layer in &self.related_layers {
            let features = layer.shape[1].min(1 << 20) as usize;
            lens = [lens[0].max(vector_len(self.precision, features)), lens[1].max(hidden_len(0) + features)];
        }
        self.sizes[5..7].copy_from_slice(&lens.map(|len| len as u32));
        self.sizes[7] = self.posterior.parameters(self.sizes[1].min(1 << 10) as usize) as u32;
    }

    /// The file, sealed.
    #[must_use]
    pub fn file(&self) -> File {
        let mut writer = Writer(Vec::from([0; PRELUDE_LEN]));
        writer.write(&(self.precision, self.posterior, self.likelihood, self.counts, self.constants));
        self.tables.iter().for_each(|table| writer.array(table));
        writer.layers(&self.encoder);
        let decoder_at = writer.place();
        writer.layers(&self.decoder);
        writer.layers(&self.related_layers);
        let extras_at = writer.place();
        writer.named(&self.calibration);
        self.mixture.iter().for_each(|mixture| writer.named(mixture));
        for (inputs, deviation) in &self.second_stage {
            writer.write(inputs);
            writer.array(deviation);
        }
        writer.layers(&self.second_layers);
        self.attributes.iter().for_each(|attribute| writer.named(attribute));
        let golden_at = writer.place();
        for (input, scores) in &self.golden {
            writer.array(input);
            writer.write(scores);
        }
        writer.0.extend_from_slice(&self.card);
        let words: Vec<u32> = self.sizes.into_iter().chain([decoder_at, extras_at, golden_at]).collect();
        writer.0[SIZES_AT..SIZES_AT + 4 * SIZES].copy_from_slice(bytemuck::cast_slice(&words));
        File::sealed(&writer.0)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// Where the next record begins in the body.
    fn place(&self) -> u32 {
        (self.0.len() - PRELUDE_LEN) as u32
    }

    fn write(&mut self, record: &impl Serialize) {
        self.0 = postcard::to_extend(record, core::mem::take(&mut self.0)).unwrap();
    }

    /// An array, and before it what aligns it.
    fn array(&mut self, values: &[u8]) {
        let ends_aligned = |padding: &usize| {
            let length = 1 + (values.len() + padding).max(1).ilog2() as usize / 7;
            (self.0.len() + length + padding).is_multiple_of(4)
        };
        // Where a longer varint would undo what it is for, there is none: then the array is not aligned, which is a case, too.
        let padding = (0..4).find(ends_aligned).unwrap_or(0);
        self.write(&(values.len() + padding));
        self.0.resize(self.0.len() + padding, 0);
        self.0.extend_from_slice(values);
    }

    fn named(&mut self, named: &NamedParts) {
        self.write(&named.name.len());
        self.0.extend_from_slice(&named.name);
        self.array(&named.array);
    }

    fn layers(&mut self, layers: &[LayerParts]) {
        for layer in layers {
            self.write(&layer.activation);
            self.write(&layer.shape);
            layer.arrays.iter().for_each(|array| self.array(array));
            self.write(&layer.exponents);
        }
    }
}
