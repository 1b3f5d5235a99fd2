//! A model, read in place from its file.

use crate::{
    AsVector, AsWindow, Calibration, InferError, LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, LoadError, Posterior, Samples,
    Scratch,
    activation::sigmoid,
    channel::CHANNEL_STATE,
    format::{
        self, CHUNK, Card, GoldenVector, Header, LayerRecord, LikelihoodKind, MAX_LAYER_SIDE, NamedArray, PRELUDE_LEN,
        PosteriorKind, Precision, Prelude, RawCard, Records, SecondStage, hidden_len, padded_rows, values,
    },
    layer::{Layer, Outputs},
    likelihood::{Likelihood, LogDensity, clamp},
    mixture::Mixture,
    prior::Prior,
    scratch::LayerBuffers,
    standardise::{First, Source, Standardiser},
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

    /// Values in an input: `channels · window`, or what front-ends make of them.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.prelude.features as usize
    }

    /// Samples' values in a window, `channels · window`: the capacity of a [`Detector`](crate::Detector)'s window.
    #[must_use]
    pub const fn window_len(&self) -> usize {
        self.channels().saturating_mul(self.window())
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

    /// Values (`f32`) that a [`Detector`](crate::Detector)'s state needs for this model.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        let front_end = if self.has_front_end() { self.window() + self.features() } else { 0 };
        CHANNEL_STATE * self.channels() + self.conditions() + self.adaptation_len() + front_end
    }

    /// Bytes of flash that the model takes.
    #[must_use]
    pub const fn flash_len(&self) -> usize {
        self.file.len()
    }

    /// The file's checksum: what tells this model from others.
    #[must_use]
    pub const fn fingerprint(&self) -> u32 {
        match self.file.split_first_chunk::<12>() {
            Some(([.., a, b, c, d], _)) => u32::from_le_bytes([*a, *b, *c, *d]),
            None => 0,
        }
    }

    /// The sizes at the start of the file.
    #[must_use]
    pub const fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    /// Checks everything that the file says: structure, sizes, alignment, ranges, and (again) the checksum, so that flash
    /// which decayed after the build is found too. Only its texts are not looked at, nor what [`Detector`](crate::Detector) asks of it beyond
    /// a score, which [`Detector::new`](crate::Detector::new) checks: that its front-ends make its features, among others.
    ///
    /// # Errors
    /// The first fault found. A model that passes never gives [`InferError::Model`], but by [`Self::extract`].
    #[inline(never)] // its frame must not stay on the stack while a window is scored
    pub fn verify(&self) -> Result<(), LoadError> {
        Prelude::parse(self.file)?;
        let (header, network) = (self.header()?, self.network()?);
        let (latent, features) = (self.latent(), self.features());
        let mut checks = Checks { fault: Ok(()), vector: 0, hidden: 0 };
        let records = checks.layers(network.encoder, features + self.conditions())?;
        checks.equal(self.prelude.decoder_at as usize, self.body.len() - records.0.len());
        let mut records = checks.layers(network.decoder, latent + self.conditions())?;
        checks.equal(self.prelude.extras_at as usize, self.body.len() - records.0.len());

        let (low, high) = header.log_variance_bounds;
        checks.finite(&[low, high, header.log_normaliser_sum]);
        checks.sound(low <= high);
        for Standardiser { mean, inverse_scale } in [network.standardiser, network.condition_standardiser] {
            checks.finite(mean);
            checks.positive(inverse_scale);
        }
        if let Likelihood::Gaussian { standardiser, log_normaliser, .. }
        | Likelihood::Predicted { standardiser, log_normaliser, .. } = network.likelihood
        {
            checks.positive(standardiser.inverse_scale);
            checks.finite(log_normaliser);
        }
        if let Prior::Mixture(mixture) = network.prior {
            checks.sound(header.posterior == PosteriorKind::DiagonalGaussian);
            checks.finite(mixture.parameters);
        }
        let NamedArray { array, .. } = records.read()?;
        checks.finite(all_values(array)?);
        if header.mixture_components > 0 {
            let NamedArray { array, .. } = records.read()?;
            checks.finite(Mixture::read(array, latent)?.parameters);
        }
        if header.second_stage_layers > 0 {
            let stage: SecondStage<'_> = records.read()?;
            checks.positive(values(stage.deviation, latent)?);
            checks.sound((1..=latent).contains(&(stage.latent as usize)));
            records = checks.layers(self.second_stage(&header, records), stage.latent as usize)?;
        }
        for _ in 0..header.attributes {
            let NamedArray { array, .. } = records.read()?;
            checks.finite(values(array, latent)?);
        }
        checks.equal(self.prelude.golden_at as usize, self.body.len() - records.0.len());
        for _ in 0..header.golden_vectors {
            let golden: GoldenVector<'_> = records.read()?;
            values::<f32>(golden.input, features + self.conditions())?;
        }
        let card: RawCard<'_> = records.read()?;
        checks.equal(self.channels(), lines(card.channels));
        checks.equal(self.conditions(), lines(card.conditions));
        checks.equal(self.prelude.vector_len as usize, checks.vector);
        checks.equal(self.prelude.hidden_len as usize, checks.hidden);
        checks.equal(self.prelude.posterior_len as usize, header.posterior.parameters(latent));
        checks.equal(0, records.0.len());
        checks.fault
    }

    /// Where the model comes from.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn card(&self) -> Result<Card<'m>, LoadError> {
        let mut records = self.records_at(self.prelude.golden_at)?;
        for _ in 0..self.header()?.golden_vectors {
            let _: GoldenVector<'m> = records.read()?;
        }
        records.read()
    }

    /// Per feature the mean, in the input's units, and what multiplies the difference from it: `(mean, inverse scale)`.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn standardiser(&self) -> Result<(&'m [f32], &'m [f32]), LoadError> {
        let Standardiser { mean, inverse_scale } = self.network()?.standardiser;
        Ok((mean, inverse_scale))
    }

    /// What the model considers normal, computed from held-out normal windows.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn calibration(&self) -> Result<Calibration<'m>, LoadError> {
        Calibration::new(all_values(self.calibration_record()?.array)?, self.channels())
    }

    fn calibration_record(&self) -> Result<NamedArray<'m>, LoadError> {
        self.records_at(self.prelude.extras_at)?.read()
    }

    /// The codes of the channels' front-ends; none for a model that sees samples.
    pub(crate) fn front_ends(&self) -> Result<&'m [u8], LoadError> {
        Ok(self.calibration_record()?.name)
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
    /// If the file is faulty; the iterator's items likewise, of which the first error is the last.
    pub fn layers(&self) -> Result<impl Iterator<Item = Result<LayerRecord<'m>, LoadError>> + use<'m>, LoadError> {
        let (header, records) = self.records()?;
        Ok(records.first(header.encoder_layers.saturating_add(header.decoder_layers)))
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
        x: &(impl AsWindow + ?Sized),
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Posterior<'s>, InferError> {
        let network = self.network()?;
        let mut x = network.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        network.encode(&mut x, &mut buffers)?;
        let posterior = network.posterior(self.latent(), buffers.posterior)?;
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
        self.decode_with(z, mean, scratch, &mut |likelihood, output, _| match likelihood {
            Likelihood::Bernoulli => sigmoid(output),
            Likelihood::Gaussian { .. } | Likelihood::Predicted { .. } => output,
        })
    }

    /// Decodes `z`, turns each feature's output and standard deviation (both in the likelihood's units; 0 for Bernoulli) into a
    /// value with `value`, and writes it to `x` in physical units.
    pub(crate) fn decode_with(
        &self,
        z: &(impl AsVector + ?Sized),
        x: &mut [f32],
        scratch: &mut Scratch<'_>,
        value: &mut dyn FnMut(&Likelihood<'m>, f32, f32) -> f32,
    ) -> Result<(), InferError> {
        let z = z.as_vector();
        for (needed, found) in [(self.latent(), z.len()), (self.features(), x.len())] {
            if needed != found {
                return Err(InferError::WrongLength { needed, found });
            }
        }
        let network = self.network()?;
        network.check_condition()?;
        let mut buffers = scratch.split(self)?;
        let likelihood = &network.likelihood;
        let Standardiser { mean, inverse_scale } = match likelihood {
            Likelihood::Gaussian { standardiser, .. } | Likelihood::Predicted { standardiser, .. } => standardiser,
            Likelihood::Bernoulli => &network.standardiser,
        };
        let mut slots = x.iter_mut().zip(mean.iter().zip(*inverse_scale));
        let mut pending = None;
        let mut is_finite = true;
        network.decode(z.as_slice(), &mut buffers.layers, &mut |_, outputs, _| {
            for &output in outputs.numbers() {
                let (output, deviation) = match (likelihood, pending.take()) {
                    (Likelihood::Bernoulli, _) => (output, 0.0),
                    (Likelihood::Gaussian { .. }, _) => (output, 1.0),
                    (Likelihood::Predicted { .. }, None) => {
                        pending = Some(output);
                        continue;
                    }
                    (Likelihood::Predicted { bounds, .. }, Some(mean)) => {
                        (mean, libm::expf(0.5 * clamp(output, *bounds)))
                    }
                };
                if let Some((slot, (mean, inverse_scale))) = slots.next() {
                    *slot = value(likelihood, output, deviation) / inverse_scale + mean;
                    is_finite &= slot.is_finite();
                }
            }
        })?;
        if is_finite { Ok(()) } else { Err(InferError::Overflow) }
    }

    /// Gives each observed feature and the nats that it costs to `each`: half its squared distance from the reconstruction at the
    /// posterior mean, in variances (for a Bernoulli model: the cross-entropy), which is what `ln p(x|z)` loses by it. About ½ for an
    /// ordinary feature. `x` is as for [`Self::encode`].
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn attribute(
        &self,
        x: &(impl AsWindow + ?Sized),
        scratch: &mut Scratch<'_>,
        each: &mut dyn FnMut(usize, f32),
    ) -> Result<(), InferError> {
        let network = self.network()?;
        let mut x = network.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        network.encode(&mut x, &mut buffers)?;
        network.posterior(self.latent(), buffers.posterior)?.mean(buffers.latent)?;
        let pass = network.begin_decoding(network.decoder, buffers.latent, &mut buffers.layers)?;
        network.finish_attribution(x.x, pass, &mut buffers.layers, each)
    }

    /// `ln p(z)`, in nats: the learned mixture, `N(0, I)`, or fair coins for Bernoulli latents.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has not [`Self::latent`] values; [`InferError::Overflow`].
    pub fn log_prior(&self, z: &(impl AsVector + ?Sized)) -> Result<f32, InferError> {
        let z = z.as_vector();
        self.fits_latent(z.as_slice())?;
        let nats = self.network()?.prior.log_density(z.as_slice());
        if nats.is_finite() { Ok(nats) } else { Err(InferError::Overflow) }
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
        x: &(impl AsWindow + ?Sized),
        z: &(impl AsVector + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<f32, InferError> {
        let log_prior = self.log_prior(z)?;
        let network = self.network()?;
        let mut x = network.observe(x.as_window())?;
        let mut buffers = scratch.split(self)?;
        x.source.read(LayerBuffers::chunk(buffers.layers.hidden)?.0, &mut |_, _| {})?;
        Ok(network.log_conditional(&x, z.as_vector().as_slice(), &mut buffers.layers)? + log_prior)
    }

    /// The file's hot records; `verify` finds every fault that this can return.
    pub(crate) fn network(&self) -> Result<Network<'m>, LoadError> {
        let (header, encoder) = self.records()?;
        let arrays = match header.likelihood {
            LikelihoodKind::Bernoulli => 2,
            LikelihoodKind::GaussianPredicted => 3,
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => 4,
        };
        let mut features = values(header.features, arrays * self.features())?.chunks_exact(self.features().max(1));
        let mut feature = || features.next().unwrap_or_default();
        let standardiser = Standardiser { mean: feature(), inverse_scale: feature() };
        let (mean, inverse_scale, prior) = self.conditions_and_prior(&header)?;
        Ok(Network {
            standardiser,
            condition_standardiser: Standardiser { mean, inverse_scale },
            condition: self.condition,
            likelihood: match header.likelihood {
                LikelihoodKind::Bernoulli => Likelihood::Bernoulli,
                LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => Likelihood::Gaussian {
                    standardiser: Standardiser { mean: standardiser.mean, inverse_scale: feature() },
                    log_normaliser: feature(),
                    log_normaliser_sum: header.log_normaliser_sum,
                },
                LikelihoodKind::GaussianPredicted => Likelihood::Predicted {
                    standardiser,
                    log_normaliser: feature(),
                    bounds: header.log_variance_bounds,
                },
            },
            encoder: Layers::new(
                encoder,
                header.precision,
                header.encoder_layers,
                header.posterior.parameters(self.latent()),
            ),
            decoder: Layers::new(
                self.records_at(self.prelude.decoder_at)?,
                header.precision,
                header.decoder_layers,
                header.likelihood.parameters(self.features()),
            ),
            kind: header.posterior,
            prior: if prior.parameters.is_empty() { Prior::standard(header.posterior) } else { Prior::Mixture(prior) },
        })
    }

    /// Mean and inverse scale of the conditions, and the learned prior.
    fn conditions_and_prior(&self, header: &Header<'m>) -> Result<(&'m [f32], &'m [f32], Mixture<'m>), LoadError> {
        let all = all_values(header.conditions_and_prior)?;
        let error = LoadError::Shape { expected: 2 * self.conditions(), found: all.len() };
        let (mean, rest) = all.split_at_checked(self.conditions()).ok_or(error)?;
        let (inverse_scale, parameters) = rest.split_at_checked(self.conditions()).ok_or(error)?;
        Ok((mean, inverse_scale, Mixture { latent: self.latent(), parameters }))
    }

    /// Components of the learned prior; 0 for a model with the standard one.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn prior_components(&self) -> Result<usize, LoadError> {
        Ok(self.conditions_and_prior(&self.header()?)?.2.components().count())
    }

    /// The file's records between layers and golden vectors.
    pub(crate) fn extras(&self) -> Result<Extras<'m>, LoadError> {
        let (header, mut records) = (self.header()?, self.records_at(self.prelude.extras_at)?);
        let _: NamedArray<'_> = records.read()?; // the calibration
        let mut aggregate = None;
        if header.mixture_components > 0 {
            let NamedArray { array, .. } = records.read()?;
            aggregate = Some(Mixture::read(array, self.latent())?);
        }
        let mut second_stage = None;
        if header.second_stage_layers > 0 {
            let stage: SecondStage<'_> = records.read()?;
            let mut layers = self.second_stage(&header, records);
            second_stage = Some((stage, layers));
            let mut width = stage.latent as usize;
            while let Some(layer) = layers.next(width) {
                width = layer?.rows;
            }
            records = layers.records;
        }
        Ok(Extras { aggregate, second_stage, attributes: records })
    }

    /// The layers of the second stage, whose records these are.
    fn second_stage(&self, header: &Header<'_>, records: Records<'m>) -> Layers<'m> {
        Layers::new(records, header.precision, header.second_stage_layers, self.latent())
    }

    /// The records from this place in the body on.
    fn records_at(&self, at: u32) -> Result<Records<'m>, LoadError> {
        let error = LoadError::Shape { expected: self.body.len(), found: at as usize };
        self.body.get(at as usize..).map(Records).ok_or(error)
    }

    /// The golden vectors: inputs in physical units and the scores that the exporting machine computed.
    pub(crate) fn golden_vectors(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'m [f32], GoldenVector<'m>), LoadError>> + use<'m>, LoadError> {
        let mut records = self.records_at(self.prelude.golden_at)?;
        let values_each = self.features() + self.conditions();
        Ok((0..self.header()?.golden_vectors).map(move |_| {
            let golden: GoldenVector<'m> = records.read()?;
            Ok((values(golden.input, values_each)?, golden))
        }))
    }

    fn records(&self) -> Result<(Header<'m>, Records<'m>), LoadError> {
        // The body starts behind the prelude, so that offsets in it keep their alignment in the file.
        const { assert!(PRELUDE_LEN.is_multiple_of(4)) };
        let mut records = Records(self.body);
        let header = records.read()?;
        Ok((header, records))
    }
}

/// The values of an array, as many as there are.
fn all_values(array: &[u8]) -> Result<&[f32], LoadError> {
    values(array, array.len() / size_of::<f32>())
}

/// Lines of a text: the last has no end, and an empty text no lines.
fn lines(text: &[u8]) -> usize {
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    if text.is_empty() { 0 } else { ends + 1 }
}

/// The first fault found, and the scratch that layers need.
struct Checks {
    fault: Result<(), LoadError>,
    vector: usize,
    hidden: usize,
}

// Not inlined: each is called many times, and the loader's size counts on a device.
impl Checks {
    #[inline(never)]
    fn equal(&mut self, expected: usize, found: usize) {
        if expected != found {
            self.fault = self.fault.and(Err(LoadError::Shape { expected, found }));
        }
    }

    #[inline(never)]
    fn sound(&mut self, sound: bool) {
        if !sound {
            self.fault = self.fault.and(Err(LoadError::Value));
        }
    }

    #[inline(never)]
    fn finite(&mut self, values: &[f32]) {
        self.sound(values.iter().all(|value| value.is_finite()));
    }

    #[inline(never)]
    fn positive(&mut self, values: &[f32]) {
        self.finite(values);
        self.sound(values.iter().all(|value| *value > 0.0));
    }

    /// Checks layers that begin with so many inputs; returns the records behind them.
    #[inline(never)]
    fn layers<'m>(&mut self, mut layers: Layers<'m>, mut width: usize) -> Result<Records<'m>, LoadError> {
        let mut hidden = hidden_len(0);
        self.sound(layers.remaining > 0);
        while let Some(layer) = layers.next(width) {
            let layer = layer?;
            let (slope, weights, bias) = layer.numbers();
            self.sound(slope.is_finite());
            self.finite(weights);
            self.finite(bias);
            self.hidden = self.hidden.max(hidden);
            self.vector = self.vector.max(format::vector_len(layers.precision, layer.columns));
            width = layer.rows;
            hidden = hidden_len(width);
        }
        Ok(layers.records)
    }
}

/// The file's hot records.
#[derive(Clone, Copy)]
pub(crate) struct Network<'m> {
    pub(crate) kind: PosteriorKind,
    pub(crate) prior: Prior<'m>,
    pub(crate) standardiser: Standardiser<'m>,
    pub(crate) likelihood: Likelihood<'m>,
    pub(crate) encoder: Layers<'m>,
    pub(crate) decoder: Layers<'m>,
    pub(crate) condition_standardiser: Standardiser<'m>,
    pub(crate) condition: &'m [f32],
}

/// What generation needs beside the network.
pub(crate) struct Extras<'m> {
    pub(crate) aggregate: Option<Mixture<'m>>,
    pub(crate) second_stage: Option<(SecondStage<'m>, Layers<'m>)>,
    pub(crate) attributes: Records<'m>,
}

/// A window that can be scored.
pub(crate) struct Observation<'a> {
    x: Samples<'a>,
    source: Source<'a>,
}

impl Observation<'_> {
    /// As if it had been encoded before, with what was found then.
    pub(crate) fn resumed(self, careful: bool, missing: u32) -> Self {
        Self { source: self.source.resumed(careful, missing), ..self }
    }

    /// Whether values are missing or beyond the limit, once it is encoded.
    pub(crate) fn is_careful(&self) -> bool {
        self.source.is_careful()
    }

    /// Brings it into the buffers, for the encoder's first layer.
    pub(crate) fn begin_encoding<'m>(
        &mut self,
        encoder: Layers<'m>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Pass<'m>, InferError> {
        Pass::begin(encoder, &mut self.source, buffers)
    }

    /// Features that are not observed, once it is encoded.
    pub(crate) fn missing(&self) -> u32 {
        self.source.missing()
    }
}

impl Network<'_> {
    /// Refuses an input that cannot be scored; infinite values are found by `encode`.
    pub(crate) fn observe<'a>(&'a self, x: Samples<'a>) -> Result<Observation<'a>, InferError> {
        self.check_condition()?;
        let (needed, found) = (self.standardiser.mean.len(), x.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        self.likelihood.check(x)?;
        Ok(Observation { x, source: Source::new(First::Features(x), self) })
    }

    /// Refuses a conditional model without its condition.
    fn check_condition(&self) -> Result<(), InferError> {
        let (needed, found) = (self.condition_standardiser.mean.len(), self.condition.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongCondition { needed, found }) }
    }

    /// What the encoder has put out, as a distribution over so many latent dimensions.
    pub(crate) fn posterior<'s>(&self, latent: usize, parameters: &'s [f32]) -> Result<Posterior<'s>, InferError> {
        Posterior::from_parameters(self.kind, latent, parameters)
    }

    /// Writes the parameters of `q(z|x)` to `buffers.posterior`.
    pub(crate) fn encode(
        &self,
        x: &mut Observation<'_>,
        buffers: &mut crate::scratch::Buffers<'_>,
    ) -> Result<(), InferError> {
        let pass = x.begin_encoding(self.encoder, &mut buffers.layers)?;
        self.finish_encoding(pass, buffers)
    }

    /// The rest of [`Self::encode`].
    pub(crate) fn finish_encoding(
        &self,
        pass: Pass<'_>,
        buffers: &mut crate::scratch::Buffers<'_>,
    ) -> Result<(), InferError> {
        let (kind, latent) = (self.kind, buffers.latent.len());
        let mut slots = buffers.posterior.iter_mut().enumerate();
        // Of the Cholesky factor: the row that is being written, and the outputs until its diagonal.
        let (mut row, mut until_diagonal) = (0, 0);
        pass.finish(&mut buffers.layers, &mut |_, outputs, _| {
            for (&output, (index, slot)) in outputs.numbers().iter().zip(&mut slots) {
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
                *slot = clamp(output, (-limit, limit));
            }
        })
    }

    /// Gives the decoder's outputs for `z` to `emit`, chunk by chunk, each with its first row.
    pub(crate) fn decode(&self, z: &[f32], buffers: &mut LayerBuffers<'_>, emit: Emit<'_>) -> Result<(), InferError> {
        self.begin_decoding(self.decoder, z, buffers)?.finish(buffers, emit)
    }

    /// Brings `z` into the buffers, for the first layer of `decoder`, this network's own.
    pub(crate) fn begin_decoding<'l>(
        &self,
        decoder: Layers<'l>,
        z: &[f32],
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Pass<'l>, InferError> {
        Pass::begin(decoder, &mut Source::new(First::Latent(z), self), buffers)
    }

    /// `ln p(x|z)` in physical units, in nats; the decoder's outputs are compared with `x` as they are produced.
    pub(crate) fn log_conditional(
        &self,
        x: &Observation<'_>,
        z: &[f32],
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<f32, InferError> {
        let pass = self.begin_decoding(self.decoder, z, buffers)?;
        self.finish_log_conditional(x, pass, buffers)?.nats()
    }

    /// The rest of [`Model::attribute`].
    pub(crate) fn finish_attribution(
        &self,
        x: Samples<'_>,
        pass: Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
        each: &mut dyn FnMut(usize, f32),
    ) -> Result<(), InferError> {
        pass.finish(buffers, &mut |start, outputs, chunk| self.likelihood.costs(x, start, outputs, chunk, each))
    }

    /// The rest of [`Self::log_conditional`], to be summed.
    pub(crate) fn finish_log_conditional<'a>(
        &'a self,
        x: &'a Observation<'_>,
        pass: Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<LogDensity<'a>, InferError> {
        let mut density = self.likelihood.log_density(x.x, x.source.is_careful());
        pass.finish(buffers, &mut |start, outputs, chunk| density.add(start, outputs, chunk))?;
        Ok(density)
    }
}

/// Takes the outputs of a last layer, chunk by chunk, with the first one's row and room for as many features.
type Emit<'e> = &'e mut dyn FnMut(usize, Outputs<'_>, &mut [f32; CHUNK]);

/// One half of the network: its layers are read one by one, so that their number is not limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers<'m> {
    records: Records<'m>,
    precision: Precision,
    remaining: u32,
    /// Outputs of the last layer, less one: they are 1 to 2¹⁶, and two bytes take no room beside the precision.
    last: u16,
}

impl<'m> Layers<'m> {
    /// `count` layers, the last of which has so many outputs; none where no layer can have as many.
    fn new(records: Records<'m>, precision: Precision, count: u32, outputs: usize) -> Self {
        const { assert!(MAX_LAYER_SIDE == u16::MAX as usize + 1) };
        let remaining = if outputs > MAX_LAYER_SIDE { 0 } else { count };
        let last = outputs.wrapping_sub(1) as u16;
        Self { records, precision, remaining, last }
    }

    /// The next layer, which must have so many inputs. One that does not fit those around it is refused: it would read what was left in the
    /// scratch, or leave it there.
    fn next(&mut self, inputs: usize) -> Option<Result<Layer<'m>, LoadError>> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(self.read(inputs))
    }

    fn read(&mut self, inputs: usize) -> Result<Layer<'m>, LoadError> {
        let layer = Layer::read(&mut self.records, self.precision, inputs)?;
        let (expected, found) = (usize::from(self.last) + 1, layer.rows);
        if self.remaining == 0 && expected != found {
            return Err(LoadError::Shape { expected, found });
        }
        Ok(layer)
    }
}

/// A half of the network that has been run up to a layer, whose input lies in the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass<'m> {
    layer: Layer<'m>,
    /// Of the input's integers, in an int8 layer.
    exponent: i32,
    behind: Layers<'m>,
}

impl<'m> Pass<'m> {
    /// Brings `source` into the buffers, for the first of the layers.
    pub(crate) fn begin(
        mut layers: Layers<'m>,
        source: &mut Source<'_>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Self, InferError> {
        let first = layers.next(source.len()).unwrap_or(Err(LoadError::Shape { expected: 1, found: 0 }));
        let layer = first?;
        let exponent = layer.load(source, buffers.vector, LayerBuffers::chunk(buffers.hidden)?.0)?;
        Ok(Self { layer, exponent, behind: layers })
    }

    /// Runs a hidden layer; false where only the last layer is left.
    pub(crate) fn advance(&mut self, buffers: &mut LayerBuffers<'_>) -> Result<bool, InferError> {
        let LayerBuffers { vector, hidden } = buffers;
        let Some(next) = self.behind.next(self.layer.rows) else { return Ok(false) };
        let (needed, found) = (padded_rows(self.layer.rows), hidden.len());
        let room = hidden.get_mut(..needed).ok_or(InferError::ScratchTooSmall { needed, found })?;
        let input = self.layer.input(vector, self.exponent)?;
        let outputs = self.layer.run(&input, 0, bytemuck::cast_slice_mut(room));
        self.layer = next?;
        self.exponent = self.layer.load_outputs(outputs, vector)?;
        Ok(true)
    }

    /// Runs the layers that are left and gives the last one's outputs to `emit`, chunk by chunk, each with its first row.
    pub(crate) fn finish(mut self, buffers: &mut LayerBuffers<'_>, emit: Emit<'_>) -> Result<(), InferError> {
        while self.advance(buffers)? {}
        let LayerBuffers { vector, hidden } = buffers;
        let Self { layer, exponent, .. } = self;
        let input = layer.input(vector, exponent)?;
        let (chunk, room) = LayerBuffers::chunk(hidden)?;
        let room: &mut [i32] = bytemuck::cast_slice_mut(room);
        for start in (0..layer.rows).step_by(CHUNK) {
            let rows = CHUNK.min(padded_rows(layer.rows - start));
            emit(start, layer.run(&input, start, room.get_mut(..rows).unwrap_or_default()), chunk);
        }
        Ok(())
    }
}
