//! A model, read in place from its file.

use crate::{
    AsVector, Calibration, InferError, LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, LoadError, Posterior, Scratch,
    activation::sigmoid,
    format::{
        self, Card, GoldenVector, Header, LayerRecord, LikelihoodKind, Mixture, PRELUDE_LEN, PosteriorKind, Precision,
        Prelude, Records, SecondStage, values,
    },
    layer::Layer,
    likelihood::{Likelihood, clamp},
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
    /// Of a conditional model, in physical units: see [`Model::given`].
    condition: &'m [f32],
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
            Ok((prelude, body)) => Ok(Self { prelude, file, body, condition: &[] }),
            Err(error) => Err(error),
        }
    }

    /// The conditional model `p(x|c)` for this condition `c`, in physical units, in the order of the card's names.
    ///
    /// Everything that is asked of the model that it returns is asked given `c`: `MODEL.given(&[speed])?.elbo_at_mean(…)`.
    ///
    /// # Errors
    /// [`InferError::WrongCondition`] or [`InferError::BadCondition`] (a condition is never missing).
    pub fn given<'c>(self, condition: &'c [f32]) -> Result<Model<'c>, InferError>
    where
        'm: 'c,
    {
        let (needed, found) = (self.prelude.conditions as usize, condition.len());
        if needed != found {
            return Err(InferError::WrongCondition { needed, found });
        }
        match condition.iter().position(|value| !value.is_finite()) {
            Some(condition) => Err(InferError::BadCondition { condition }),
            None => Ok(Model { condition, ..self }),
        }
    }

    /// Values of the condition; 0 for a model that is not conditional.
    #[must_use]
    pub const fn conditions(&self) -> usize {
        self.prelude.conditions as usize
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
        let Prelude { latent, vector_len, hidden_len, posterior_len, .. } = self.prelude;
        latent as usize + posterior_len as usize + vector_len as usize + hidden_len as usize
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
        let (network, extras) = (self.network()?, self.extras()?);
        let header = &network.header;
        let posterior = header.posterior.parameters(self.latent());
        let second = extras.second_stage.map(|(stage, layers)| (layers, stage.latent as usize, self.latent()));
        let halves = [
            Some((network.encoder, self.features() + self.conditions(), posterior)),
            Some((network.decoder, self.latent() + self.conditions(), header.likelihood.parameters(self.features()))),
            second,
        ];
        let (mut vector_len, mut hidden_len) = (0, 0);
        for (layers, inputs, outputs) in halves.into_iter().flatten() {
            let mut width = inputs;
            for (index, layer) in layers.enumerate() {
                let layer = layer?;
                expect(width, layer.columns)?;
                if index > 0 {
                    hidden_len = hidden_len.max(width);
                }
                vector_len = vector_len.max(format::vector_len(header.precision, layer.columns));
                if !layer.is_finite() {
                    return Err(LoadError::Value);
                }
                width = layer.rows;
            }
            expect(outputs, width)?;
        }
        expect(vector_len, self.prelude.vector_len as usize)?;
        expect(hidden_len, self.prelude.hidden_len as usize)?;
        expect(posterior, self.prelude.posterior_len as usize)?;

        let (low, high) = header.log_variance_bounds;
        let mut sound = low.is_finite() && high.is_finite() && low <= high && self.calibration()?.is_sound();
        for Standardiser { mean, inverse_scale } in [network.standardiser, network.condition_standardiser] {
            sound &= mean.iter().all(|mean| mean.is_finite()) && inverse_scale.iter().all(is_positive);
        }
        if let Likelihood::Gaussian { precision, .. } = network.likelihood {
            sound &= precision.iter().all(is_positive);
        }
        if let Likelihood::Gaussian { log_normaliser, .. } | Likelihood::Predicted { log_normaliser, .. } =
            network.likelihood
        {
            sound &= log_normaliser.iter().all(|nats| nats.is_finite());
        }
        if let Some(mixture) = extras.mixture {
            let size = extras.components.saturating_mul(self.latent());
            let weights: &[f32] = values(mixture.weight, extras.components)?;
            let means: &[f32] = values(mixture.mean, size)?;
            let deviations: &[f32] = values(mixture.deviation, size)?;
            sound &= weights.iter().chain(deviations).all(is_positive) && means.iter().all(|mean| mean.is_finite());
        }
        if let Some((stage, _)) = extras.second_stage {
            let deviations: &[f32] = values(stage.deviation, self.latent())?;
            sound &= deviations.iter().all(is_positive) && stage.latent as usize <= self.latent();
        }
        for attribute in self.attributes()? {
            sound &= attribute?.1.iter().all(|step| step.is_finite());
        }
        if !sound {
            return Err(LoadError::Value);
        }
        for golden in self.golden_vectors()? {
            golden?;
        }
        let (rest, card) = self.behind_golden_vectors()?;
        expect(self.channels(), card.channels.lines().count())?;
        expect(self.conditions(), card.conditions.lines().count())?;
        expect(0, rest.len())
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
        let posterior = Posterior::from_parameters(network.header.posterior, self.latent(), buffers.posterior)?;
        // A covariance or mean that overflows is of no use to the caller.
        if posterior.kl().is_finite() { Ok(posterior) } else { Err(InferError::Overflow) }
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
        self.decode_with(z, mean, scratch, |likelihood, output, _| match likelihood {
            Likelihood::Bernoulli => sigmoid(output),
            Likelihood::Gaussian { .. } | Likelihood::Predicted { .. } => output,
        })
    }

    /// Decodes `z`, turns each feature's output and variance (standardised; 0 for Bernoulli) into a value with `value`, and
    /// writes it to `x` in physical units.
    pub(crate) fn decode_with(
        &self,
        z: &(impl AsVector + ?Sized),
        x: &mut [f32],
        scratch: &mut Scratch<'_>,
        mut value: impl FnMut(&Likelihood<'m>, f32, f32) -> f32,
    ) -> Result<(), InferError> {
        let z = z.as_vector();
        for (needed, found) in [(self.latent(), z.len()), (self.features(), x.len())] {
            if needed != found {
                return Err(InferError::WrongLength { needed, found });
            }
        }
        let network = self.network()?;
        network.check_condition()?;
        let buffers = scratch.split(self)?;
        let Standardiser { mean, inverse_scale } = network.standardiser;
        let mut slots = x.iter_mut().zip(mean.iter().zip(inverse_scale)).enumerate();
        let mut pending = None;
        network.decode(z.as_slice(), buffers.vector, buffers.hidden, |output| {
            let (output, variance) = match (&network.likelihood, pending.take()) {
                (Likelihood::Bernoulli, _) => (output, None),
                (Likelihood::Gaussian { .. }, _) => (output, None),
                (Likelihood::Predicted { .. }, None) => {
                    pending = Some(output);
                    return;
                }
                (Likelihood::Predicted { bounds, .. }, Some(mean)) => (mean, Some(libm::expf(clamp(output, *bounds)))),
            };
            if let Some((feature, (slot, (mean, inverse_scale)))) = slots.next() {
                let variance = match (variance, &network.likelihood) {
                    (None, Likelihood::Gaussian { precision, .. }) => precision.get(feature).map_or(0.0, |p| 1.0 / p),
                    (variance, _) => variance.unwrap_or_default(),
                };
                *slot = value(&network.likelihood, output, variance) / inverse_scale + mean;
            }
        })
    }

    /// `ln p(z)`, in nats: `N(0, I)`, or fair coins for Bernoulli latents.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has not [`Self::latent`] values.
    pub fn log_prior(&self, z: &(impl AsVector + ?Sized)) -> Result<f32, InferError> {
        let z = z.as_vector();
        self.fits_latent(z.as_slice())?;
        Ok(crate::posterior::log_prior(self.header()?.posterior, z.as_slice()))
    }

    /// `ln p(x, z) = ln p(x|z) + ln p(z)`, in nats of a density in the input's units. `x` is as for [`Self::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    ///
    /// # Source
    /// Seed texts, "the joint distribution p(x, z)".
    pub fn log_joint(
        &self,
        x: &(impl AsVector + ?Sized),
        z: &(impl AsVector + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<f32, InferError> {
        let log_prior = self.log_prior(z)?;
        let (x, z) = (x.as_vector(), z.as_vector());
        let network = self.network()?;
        network.check(&x)?;
        let buffers = scratch.split(self)?;
        Ok(network.log_conditional(x.as_slice(), z.as_slice(), buffers.vector, buffers.hidden)? + log_prior)
    }

    /// Splits the file's records; `verify` finds every fault that this can return.
    pub(crate) fn network(&self) -> Result<Network<'m>, LoadError> {
        let (header, mut records) = self.records()?;
        let (features, conditions) = (self.features(), self.conditions());
        Ok(Network {
            standardiser: Standardiser {
                mean: values(header.mean, features)?,
                inverse_scale: values(header.inverse_scale, features)?,
            },
            condition_standardiser: Standardiser {
                mean: values(header.condition_mean, conditions)?,
                inverse_scale: values(header.condition_inverse_scale, conditions)?,
            },
            condition: self.condition,
            likelihood: match header.likelihood {
                LikelihoodKind::Bernoulli => Likelihood::Bernoulli,
                LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => Likelihood::Gaussian {
                    precision: values(header.likelihood_precision, features)?,
                    log_normaliser: values(header.log_normaliser, features)?,
                },
                LikelihoodKind::GaussianPredicted => Likelihood::Predicted {
                    log_normaliser: values(header.log_normaliser, features)?,
                    bounds: header.log_variance_bounds,
                },
            },
            encoder: Layers::pass(&mut records, header.precision, header.encoder_layers)?,
            decoder: Layers::pass(&mut records, header.precision, header.decoder_layers)?,
            behind_layers: records,
            header,
        })
    }

    /// The file's records between layers and golden vectors.
    pub(crate) fn extras(&self) -> Result<Extras<'m>, LoadError> {
        let Network { header, behind_layers: mut records, .. } = self.network()?;
        let mixture = if header.mixture_components > 0 { Some(records.read()?) } else { None };
        let second_stage = if header.second_stage_layers > 0 {
            let stage = records.read()?;
            Some((stage, Layers::pass(&mut records, header.precision, header.second_stage_layers)?))
        } else {
            None
        };
        Ok(Extras { components: header.mixture_components as usize, mixture, second_stage, attributes: records })
    }

    fn behind_attributes(&self) -> Result<(Header<'m>, Records<'m>), LoadError> {
        let header = self.header()?;
        let mut records = self.extras()?.attributes;
        for _ in 0..header.attributes {
            let _: format::Attribute<'m> = records.read()?;
        }
        Ok((header, records))
    }

    /// The golden vectors: inputs in physical units and the scores that the exporting machine computed.
    pub(crate) fn golden_vectors(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'m [f32], GoldenVector<'m>), LoadError>> + use<'m>, LoadError> {
        let (header, mut records) = self.behind_attributes()?;
        let values_each = self.features() + self.conditions();
        Ok((0..header.golden_vectors).map(move |_| {
            let golden: GoldenVector<'m> = records.read()?;
            Ok((values(golden.input, values_each)?, golden))
        }))
    }

    fn behind_golden_vectors(&self) -> Result<(&'m [u8], Card<'m>), LoadError> {
        let (header, mut records) = self.behind_attributes()?;
        for _ in 0..header.golden_vectors {
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
    encoder: Layers<'m>,
    decoder: Layers<'m>,
    condition_standardiser: Standardiser<'m>,
    condition: &'m [f32],
    behind_layers: Records<'m>,
}

/// What generation needs beside the network.
pub(crate) struct Extras<'m> {
    pub(crate) components: usize,
    pub(crate) mixture: Option<Mixture<'m>>,
    pub(crate) second_stage: Option<(SecondStage<'m>, Layers<'m>)>,
    pub(crate) attributes: Records<'m>,
}

impl Network<'_> {
    /// Refuses an input that cannot be scored; returns how many features are not observed.
    pub(crate) fn check(&self, x: &nalgebra::DVectorView<'_, f32>) -> Result<u32, InferError> {
        self.check_condition()?;
        let missing = self.standardiser.check(x)?;
        self.likelihood.check(x.as_slice())?;
        Ok(missing)
    }

    /// Refuses a conditional model without its condition.
    fn check_condition(&self) -> Result<(), InferError> {
        let (needed, found) = (self.condition_standardiser.mean.len(), self.condition.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongCondition { needed, found }) }
    }

    /// Writes the parameters of `q(z|x)` to `buffers.posterior`.
    pub(crate) fn encode(&self, x: &[f32], buffers: &mut crate::scratch::Buffers<'_>) -> Result<(), InferError> {
        let observed = self.standardiser.apply(x).map(|x| if x.is_nan() { 0.0 } else { x });
        let input = observed.chain(self.condition_standardiser.apply(self.condition));
        let (kind, latent) = (self.header.posterior, buffers.latent.len());
        let mut slots = buffers.posterior.iter_mut();
        // Of the Cholesky factor: the row that is being written, and the outputs until its diagonal.
        let (mut row, mut until_diagonal) = (0, 0);
        self.encoder.forward(input, buffers.vector, buffers.hidden, |index, output| {
            let limit = match kind {
                PosteriorKind::Bernoulli => LATENT_LOGIT_LIMIT,
                PosteriorKind::DiagonalGaussian if index >= latent => LOG_VARIANCE_LIMIT,
                PosteriorKind::FullGaussian if index >= latent => {
                    if until_diagonal == 0 {
                        row += 1;
                        until_diagonal = row;
                        0.5 * LOG_VARIANCE_LIMIT
                    } else {
                        until_diagonal -= 1;
                        f32::MAX
                    }
                }
                _ => f32::MAX,
            };
            if let Some(slot) = slots.next() {
                *slot = clamp(output, (-limit, limit));
            }
        })
    }

    /// Gives the decoder's outputs for `z` to `emit`, in order.
    pub(crate) fn decode(
        &self,
        z: &[f32],
        vector: &mut [f32],
        hidden: &mut [f32],
        mut emit: impl FnMut(f32),
    ) -> Result<(), InferError> {
        let input = z.iter().copied().chain(self.condition_standardiser.apply(self.condition));
        self.decoder.forward(input, vector, hidden, |_, output| emit(output))
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
        self.decode(z, vector, hidden, |output| density.add(output))?;
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

impl<'m> Layers<'m> {
    /// The next `count` layers, which `records` is moved past.
    fn pass(records: &mut Records<'m>, precision: Precision, count: u32) -> Result<Self, LoadError> {
        if count == 0 {
            return Err(LoadError::Shape { expected: 1, found: 0 });
        }
        let layers = Self { records: *records, precision, remaining: count };
        for _ in 0..count {
            Layer::read(records, precision)?;
        }
        Ok(layers)
    }

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
