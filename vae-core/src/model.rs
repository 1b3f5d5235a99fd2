//! A model, read in place from its file.

use crate::{
    AsVector, Calibration, InferError, LOG_VARIANCE_LIMIT, LoadError, Posterior, Scratch,
    activation::sigmoid,
    format::{
        self, Card, GoldenVector, Header, LayerRecord, LikelihoodKind, PRELUDE_LEN, Precision, Prelude, Records, values,
    },
    layer::Layer,
    likelihood::Likelihood,
    standardise::Standardiser,
};

/// A model in flash, RAM or a file's bytes: a view, copied freely and shared between threads.
///
/// It is made by [`include_model!`](crate::include_model) or [`Model::from_bytes`]. Inputs are in physical units: the
/// standardiser is part of the model.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    prelude: Prelude,
    file: &'m [u8],
    body: &'m [u8],
}

/// Gives the bytes inside it an address divisible by four.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug)]
pub struct Aligned<T: ?Sized>(pub T);

/// Embeds the model file at a path (relative to the source file) in the program as a `Model<'static>`.
///
/// The file is aligned, and its prelude and checksum are verified while the program is compiled: a damaged file fails the
/// build. Usable in `const` and `static` items.
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        const FILE: &$crate::Aligned<[u8]> = &$crate::Aligned(*::core::include_bytes!($path));
        #[allow(long_running_const_eval)]
        const MODEL: $crate::Model<'static> = match $crate::Model::from_bytes(&FILE.0) {
            Ok(model) => model,
            Err(error) => ::core::panic!("{}", error.reason()),
        };
        MODEL
    }};
}

impl<'m> Model<'m> {
    /// Reads a model file in place, checking its prelude, length and checksum.
    ///
    /// The records behind them are checked as they are used, and all at once by [`Self::verify`] and [`Self::self_test`].
    ///
    /// # Errors
    /// See [`LoadError`]; no input makes this function fail in another way.
    pub const fn from_bytes(file: &'m [u8]) -> Result<Self, LoadError> {
        match Prelude::parse(file) {
            Ok((prelude, body)) => Ok(Self { prelude, file, body }),
            Err(error) => Err(error),
        }
    }

    /// Values in an input: `channels · window`.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.prelude.features as usize
    }

    /// Dimensions of the latent vector.
    #[must_use]
    pub const fn latent(&self) -> usize {
        self.prelude.latent as usize
    }

    /// Values in one sample.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.prelude.channels as usize
    }

    /// Samples in a window; 1 for a model of rows.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.prelude.window as usize
    }

    /// Samples between the starts of successive windows.
    #[must_use]
    pub const fn hop(&self) -> usize {
        self.prelude.hop as usize
    }

    /// Values (`f32`) that [`Scratch`] needs for this model: multiply by four for bytes.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        let Prelude { latent, vector_len, hidden_len, .. } = self.prelude;
        3 * latent as usize + vector_len as usize + hidden_len as usize
    }

    /// Bytes of flash that the model takes.
    #[must_use]
    pub const fn flash_len(&self) -> usize {
        self.file.len()
    }

    /// The sizes at the start of the file.
    #[must_use]
    pub const fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    /// Checks everything that the file says: structure, sizes, alignment, ranges, and (again) the checksum, so that flash
    /// which decayed after the build is found too.
    ///
    /// # Errors
    /// The first fault found. A model that passes never gives [`InferError::Model`].
    pub fn verify(&self) -> Result<(), LoadError> {
        Prelude::parse(self.file)?;
        let network = self.network()?;
        let precision = network.header.precision;
        let (mut vector_len, mut hidden_len) = (0, 0);
        let halves =
            [(network.encoder, self.features(), 2 * self.latent()), (network.decoder, self.latent(), self.features())];
        for (layers, inputs, outputs) in halves {
            let mut width = inputs;
            for (index, layer) in layers.enumerate() {
                let layer = layer?;
                expect(width, layer.columns)?;
                if index > 0 {
                    hidden_len = hidden_len.max(width);
                }
                vector_len = vector_len.max(format::vector_len(precision, layer.columns));
                if !layer.is_finite() {
                    return Err(LoadError::Value);
                }
                width = layer.rows;
            }
            expect(outputs, width)?;
        }
        expect(vector_len, self.prelude.vector_len as usize)?;
        expect(hidden_len, self.prelude.hidden_len as usize)?;

        let Standardiser { mean, inverse_scale } = network.standardiser;
        let mut sound = mean.iter().all(|mean| mean.is_finite()) && inverse_scale.iter().all(is_positive);
        if let Likelihood::Gaussian { precision, log_normaliser } = network.likelihood {
            sound &= precision.iter().all(is_positive) && log_normaliser.iter().all(|nats| nats.is_finite());
        }
        let calibration = self.calibration()?;
        sound &= calibration.is_sound();
        if !sound {
            return Err(LoadError::Value);
        }
        for golden in self.golden_vectors()? {
            golden?;
        }
        expect(self.channels(), self.card()?.channels.lines().count())?;
        expect(0, self.behind_golden_vectors()?.0.len())
    }

    /// Where the model comes from.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn card(&self) -> Result<Card<'m>, LoadError> {
        self.behind_golden_vectors().map(|(_, card)| card)
    }

    /// What the model considers normal, computed from held-out normal windows.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn calibration(&self) -> Result<Calibration<'m>, LoadError> {
        let header = self.header()?;
        let quantiles = values(header.quantiles, header.quantile_count as usize)?;
        Ok(Calibration::new(quantiles, header.calibration_scores, header.threshold))
    }

    /// The file's first record: kinds, sizes and constants.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn header(&self) -> Result<Header<'m>, LoadError> {
        Ok(self.records()?.0)
    }

    /// The layers' records, first the encoder's, then the decoder's.
    ///
    /// # Errors
    /// If the file is faulty; the iterator's items likewise.
    pub fn layers(&self) -> Result<impl Iterator<Item = Result<LayerRecord<'m>, LoadError>> + use<'m>, LoadError> {
        let (header, mut records) = self.records()?;
        Ok((0..header.encoder_layers.saturating_add(header.decoder_layers)).map(move |_| records.read()))
    }

    /// Encodes a window: the parameters of `q(z|x)`, which lie in `scratch`.
    ///
    /// `x` has [`Self::features`] values in physical units, samples in order, the channels of a sample side by side. NaN
    /// means *not observed*: the encoder sees the feature's mean instead.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn encode<'s>(
        &self,
        x: &(impl AsVector + ?Sized),
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Posterior<'s>, InferError> {
        let x = x.as_vector();
        let network = self.network()?;
        network.check(&x)?;
        let mut buffers = scratch.split(self)?;
        network.encode(x.as_slice(), &mut buffers)?;
        Ok(Posterior::from_parameters(buffers.posterior))
    }

    /// Decodes a latent vector `z` into `mean`, the mean of `p(x|z)` in physical units (for a Bernoulli model: the
    /// probabilities).
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn decode(
        &self,
        z: &(impl AsVector + ?Sized),
        mean: &mut [f32],
        scratch: &mut Scratch<'_>,
    ) -> Result<(), InferError> {
        let z = z.as_vector();
        for (needed, found) in [(self.latent(), z.len()), (self.features(), mean.len())] {
            if needed != found {
                return Err(InferError::WrongLength { needed, found });
            }
        }
        let network = self.network()?;
        let buffers = scratch.split(self)?;
        let mut slots = mean.iter_mut().zip(network.standardiser.mean.iter().zip(network.standardiser.inverse_scale));
        let bernoulli = matches!(network.likelihood, Likelihood::Bernoulli);
        network.decoder.forward(z.iter().copied(), buffers.vector, buffers.hidden, |_, output| {
            if let Some((slot, (mean, inverse_scale))) = slots.next() {
                *slot = if bernoulli { sigmoid(output) } else { output / inverse_scale + mean };
            }
        })
    }

    /// Splits the file's records; `verify` finds every fault that this can return.
    pub(crate) fn network(&self) -> Result<Network<'m>, LoadError> {
        let (header, mut records) = self.records()?;
        let features = self.features();
        let layers = |records: &mut Records<'m>, count| {
            let layers = Layers { records: *records, precision: header.precision, remaining: count };
            for _ in 0..count {
                Layer::read(records, header.precision)?;
            }
            if count == 0 { Err(LoadError::Shape { expected: 1, found: 0 }) } else { Ok(layers) }
        };
        Ok(Network {
            standardiser: Standardiser {
                mean: values(header.mean, features)?,
                inverse_scale: values(header.inverse_scale, features)?,
            },
            likelihood: match header.likelihood {
                LikelihoodKind::Bernoulli => Likelihood::Bernoulli,
                LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => Likelihood::Gaussian {
                    precision: values(header.likelihood_precision, features)?,
                    log_normaliser: values(header.log_normaliser, features)?,
                },
            },
            encoder: layers(&mut records, header.encoder_layers)?,
            decoder: layers(&mut records, header.decoder_layers)?,
            behind_layers: records,
            header,
        })
    }

    /// The golden vectors: inputs in physical units and the scores that the exporting machine computed.
    pub(crate) fn golden_vectors(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'m [f32], GoldenVector<'m>), LoadError>> + use<'m>, LoadError> {
        let network = self.network()?;
        let features = self.features();
        let mut records = network.behind_layers;
        Ok((0..network.header.golden_vectors).map(move |_| {
            let golden: GoldenVector<'m> = records.read()?;
            Ok((values(golden.input, features)?, golden))
        }))
    }

    fn behind_golden_vectors(&self) -> Result<(&'m [u8], Card<'m>), LoadError> {
        let network = self.network()?;
        let mut records = network.behind_layers;
        for _ in 0..network.header.golden_vectors {
            let _: GoldenVector<'m> = records.read()?;
        }
        let card = records.read()?;
        Ok((records.0, card))
    }

    fn records(&self) -> Result<(Header<'m>, Records<'m>), LoadError> {
        // The body starts behind the prelude, so that offsets in it keep their alignment in the file.
        const { assert!(PRELUDE_LEN.is_multiple_of(4)) };
        let mut records = Records(self.body);
        let header = records.read()?;
        Ok((header, records))
    }
}

fn expect(expected: usize, found: usize) -> Result<(), LoadError> {
    if expected == found { Ok(()) } else { Err(LoadError::Shape { expected, found }) }
}

fn is_positive(value: &f32) -> bool {
    value.is_finite() && *value > 0.0
}

/// The file's hot records.
pub(crate) struct Network<'m> {
    pub(crate) header: Header<'m>,
    pub(crate) standardiser: Standardiser<'m>,
    pub(crate) likelihood: Likelihood<'m>,
    pub(crate) encoder: Layers<'m>,
    pub(crate) decoder: Layers<'m>,
    behind_layers: Records<'m>,
}

impl Network<'_> {
    /// Refuses an input that cannot be scored; returns how many features are not observed.
    pub(crate) fn check(&self, x: &nalgebra::DVectorView<'_, f32>) -> Result<u32, InferError> {
        let missing = self.standardiser.check(x)?;
        self.likelihood.check(x.as_slice())?;
        Ok(missing)
    }

    /// Writes the parameters of `q(z|x)` to `buffers.posterior`.
    pub(crate) fn encode(&self, x: &[f32], buffers: &mut crate::scratch::Buffers<'_>) -> Result<(), InferError> {
        let observed = self.standardiser.apply(x).map(|x| if x.is_nan() { 0.0 } else { x });
        let (posterior, latent) = (&mut *buffers.posterior, buffers.latent.len());
        self.encoder.forward(observed, buffers.vector, buffers.hidden, |row, output| {
            if let Some(parameter) = posterior.get_mut(row) {
                *parameter = if row < latent { output } else { output.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT) };
            }
        })
    }

    /// `ln p(x|z)` in physical units, in nats; the decoder's outputs are compared with `x` as they are produced.
    pub(crate) fn log_conditional(
        &self,
        x: &[f32],
        z: &[f32],
        vector: &mut [f32],
        hidden: &mut [f32],
    ) -> Result<f32, InferError> {
        let mut density = self.likelihood.log_density(self.standardiser.apply(x));
        self.decoder.forward(z.iter().copied(), vector, hidden, |_, output| density.add(output))?;
        let nats = density.nats();
        if nats.is_finite() { Ok(nats) } else { Err(InferError::Overflow) }
    }
}

/// One half of the network: an iterator over its layers, so that their number is not limited.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'m> {
    records: Records<'m>,
    precision: Precision,
    remaining: u32,
}

impl<'m> Iterator for Layers<'m> {
    type Item = Result<Layer<'m>, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(Layer::read(&mut self.records, self.precision))
    }
}

impl Layers<'_> {
    /// Runs the layers on `x` and gives the last one's outputs to `emit`, each with its row, in ascending order.
    pub(crate) fn forward(
        mut self,
        x: impl Iterator<Item = f32> + Clone,
        vector: &mut [f32],
        hidden: &mut [f32],
        emit: impl FnMut(usize, f32),
    ) -> Result<(), InferError> {
        let Some(first) = self.next() else { return Ok(()) };
        let mut layer = first?;
        let mut input = layer.load(x, vector)?;
        for next in self {
            let found = hidden.len();
            let outputs =
                hidden.get_mut(..layer.rows).ok_or(InferError::ScratchTooSmall { needed: layer.rows, found })?;
            let mut slots = outputs.iter_mut();
            layer.for_each_row(&input, |_, output| {
                if let Some(slot) = slots.next() {
                    *slot = output;
                }
            });
            layer = next?;
            input = layer.load(outputs.iter().copied(), vector)?;
        }
        layer.for_each_row(&input, emit);
        Ok(())
    }
}
