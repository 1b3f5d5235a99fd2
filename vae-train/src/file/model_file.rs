//! Writes model files; `vae-core/FORMAT.md` specifies them.

use anyhow::{Context, Result, ensure};
use vae_core::{
    Activation, FrontEnd, Model, Score, Scratch,
    format::{FeatureFamily, LikelihoodKind, PosteriorKind, Precision, Prelude, hidden_len, vector_len},
};

use crate::{
    data::front_end::record,
    file::{body::Body, calibration::CalibrationRecord, signing::divided},
    weights::{attribute::Attribute, dense::Dense, mixture::Mixture, relations::Relations, second_stage::SecondStage},
    words::input::{MOST_BINARY, read_file},
};

/// Everything that goes into a model file.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// How weights are stored.
    pub precision: Precision,
    /// The encoder's posterior.
    pub posterior: PosteriorKind,
    /// The decoder's likelihood.
    pub likelihood: LikelihoodKind,
    /// Names of the channels, in order.
    pub channels: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// Of each channel; none where the model sees samples.
    pub front_ends: Vec<FrontEnd>,
    /// Latent dimensions.
    pub latent: usize,
    /// Per feature, subtracted from the input.
    pub mean: Vec<f32>,
    /// Per feature, divides the difference.
    pub scale: Vec<f32>,
    /// Per feature, variance of a Gaussian likelihood in standardised units; not used where it is predicted.
    pub variance: Vec<f32>,
    /// Per feature its family, where the likelihood is mixed; else none.
    pub families: Vec<FeatureFamily>,
    /// A predicted log-variance is limited to the range between these.
    pub log_variance_bounds: (f32, f32),
    /// Names of the conditions, in order.
    pub conditions: Vec<String>,
    /// Per condition, subtracted from it.
    pub condition_mean: Vec<f32>,
    /// Per condition, divides the difference.
    pub condition_scale: Vec<f32>,
    /// Features and conditions to the posterior's parameters.
    pub encoder: Vec<Dense>,
    /// Latent vector and conditions to the likelihood's parameters.
    pub decoder: Vec<Dense>,
    /// How features go together; of a learned variance per feature only.
    pub relations: Option<Relations>,
    /// The learned prior `p(z)`; `N(0, I)` or fair coins where there is none.
    pub prior: Option<Mixture>,
    /// The aggregated posterior, to generate from.
    pub mixture: Option<Mixture>,
    /// To generate from.
    pub second_stage: Option<SecondStage>,
    /// To resynthesise along.
    pub attributes: Vec<Attribute>,
    /// From held-out normal windows.
    pub calibration: CalibrationRecord,
    /// Inputs whose scores are stored for the self-test, in physical units: features, then conditions.
    pub golden_inputs: Vec<Vec<f32>>,
    /// Tells whether two models saw the same data.
    pub data: String,
    /// Seed of the training.
    pub seed: u64,
    /// `name value` pairs that the trainer measured.
    pub metrics: Vec<String>,
}

impl ModelFile {
    /// The file's bytes. The same model gives the same bytes; the golden vectors' scores are computed by the core.
    ///
    /// # Errors
    /// If sizes contradict each other, or a golden input cannot be scored.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let unscored = AlignedFile::new(&self.assemble(&[])?);
        let model = unscored.model()?;
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let mut score = |input: &Vec<f32>| -> Result<Score> {
            let (x, condition) = input
                .split_at_checked(model.features())
                .with_context(|| format!("it has {} values for {} features", input.len(), model.features()))?;
            Ok(model.given(condition)?.elbo_at_mean(x, &mut scratch)?)
        };
        let scores: Vec<Score> = self
            .golden_inputs
            .iter()
            .map(&mut score)
            .collect::<Result<_>>()
            .context("a golden input cannot be scored")?;
        let bytes = self.assemble(&scores)?;
        AlignedFile::new(&bytes).model()?.verify().context("the model that was written is not sound")?;
        Ok(bytes)
    }

    fn assemble(&self, scores: &[Score]) -> Result<Vec<u8>> {
        let features = self.features()?;
        let mut body = Body::default();
        self.write_header(&mut body, scores.len())?;
        self.write_constants(&mut body)?;
        let mut room = Room { vectors: 0, hiddens: hidden_len(0) };
        room.write(&self.encoder, self.precision, &mut body)?;
        let decoder_at = body.0.len();
        room.write(&self.decoder_in_deviations()?, self.precision, &mut body)?;
        self.write_relations(&mut body, &mut room)?;
        let extras_at = body.0.len();
        self.write_extras(&mut body, &mut room)?;
        let golden_at = body.0.len();
        for (input, score) in self.golden_inputs.iter().zip(scores) {
            body.array(input)?;
            body.value(&(score.elbo, score.reconstruction, score.kl))?;
        }
        // The fields of `Card`, in order.
        let creator = concat!("vae-train ", env!("CARGO_PKG_VERSION"));
        let (channels, conditions) = (self.channels.join("\n"), self.conditions.join("\n"));
        body.value(&(channels, conditions, creator, &self.data, self.seed, self.metrics.join("\n")))?;

        let size = |value: usize| u32::try_from(value).context("a size exceeds 32 bits");
        let prelude = Prelude {
            features: size(features)?,
            latent: size(self.latent)?,
            channels: size(self.channels.len())?,
            window: size(self.window)?,
            hop: size(self.hop)?,
            vector_len: size(room.vectors)?,
            hidden_len: size(room.hiddens)?,
            posterior_len: size(self.posterior.parameters(self.latent))?,
            conditions: size(self.conditions.len())?,
            decoder_at: size(decoder_at)?,
            extras_at: size(extras_at)?,
            golden_at: size(golden_at)?,
        };
        let mut file = prelude.to_bytes(&body.0)?.to_vec();
        file.append(&mut body.0);
        Ok(file)
    }

    /// Values in a window, for each of which there are a mean, a scale and a variance.
    fn features(&self) -> Result<usize> {
        let features = match &self.front_ends[..] {
            [] => self.channels.len() * self.window,
            front_ends => front_ends.iter().map(|front_end| front_end.features(self.window)).sum(),
        };
        ensure!(
            [0, self.channels.len()].contains(&self.front_ends.len()),
            "{} front-ends for {} channels",
            self.front_ends.len(),
            self.channels.len()
        );
        for (name, values) in [("mean", &self.mean), ("scale", &self.scale), ("variance", &self.variance)] {
            ensure!(values.len() == features, "{name} has {} values for {features} features", values.len());
        }
        let families = if self.likelihood == LikelihoodKind::Mixed { features } else { 0 };
        ensure!(self.families.len() == families, "{} features have a family, not {families}", self.families.len());
        Ok(features)
    }

    /// Standard deviation of the standardiser, and variance of the likelihood that its normaliser is for, of each feature of a Gaussian.
    fn spreads(&self) -> Vec<(f64, f64)> {
        let pairs = || self.scale.iter().zip(&self.variance).map(|(&s, &v)| (f64::from(s), f64::from(v)));
        match self.likelihood {
            LikelihoodKind::Bernoulli => Vec::new(),
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => pairs().collect(),
            LikelihoodKind::GaussianPredicted | LikelihoodKind::GaussianCovariance(_) => {
                pairs().map(|(scale, _)| (scale, 1.0)).collect()
            }
            // Of zeros and ones both are 1.
            LikelihoodKind::Mixed => pairs().collect(),
        }
    }

    /// The constant terms of the features' log-densities, of those that have one.
    fn normalisers(&self) -> Vec<f64> {
        let spreads = self.spreads();
        let is_discrete = |feature: usize| self.families.get(feature).is_some_and(|family| family.is_discrete());
        let each = spreads.iter().enumerate();
        each.map(|(feature, spread)| if is_discrete(feature) { 0.0 } else { normaliser(spread) }).collect()
    }

    /// The fields of `Header` up to the likelihood's normaliser, in order.
    fn write_header(&self, body: &mut Body, golden: usize) -> Result<()> {
        body.value(&(self.precision, self.posterior, self.likelihood))?;
        body.value(&(self.encoder.len() as u32, self.decoder.len() as u32))?;
        body.value(&(
            self.mixture.as_ref().map_or(0, |mixture| mixture.weight.len() as u32),
            self.second_stage.as_ref().map_or(0, |stage| stage.decoder.len() as u32),
            self.attributes.len() as u32,
            golden as u32,
        ))?;
        body.value(&self.log_variance_bounds)?;
        body.value(&(self.log_normaliser() as f32))
    }

    /// The sum of the features' log normalisers, in nats.
    pub(crate) fn log_normaliser(&self) -> f64 {
        self.normalisers().iter().sum()
    }

    /// What is behind the decoder's layers, if features are judged together.
    fn write_relations(&self, body: &mut Body, room: &mut Room) -> Result<()> {
        let Some(Relations { given_others, .. }) = &self.relations else { return Ok(()) };
        let (features, found) = (self.mean.len(), (given_others.rows, given_others.columns));
        ensure!(
            found == (features, features) && self.likelihood == LikelihoodKind::GaussianPerFeature,
            "relations of {found:?} features for {features} of a likelihood {:?}: they are for a learned variance per feature",
            self.likelihood
        );
        given_others.write(self.precision, body)?;
        room.vectors = room.vectors.max(vector_len(self.precision, features));
        room.hiddens = room.hiddens.max(hidden_len(0) + features);
        Ok(())
    }

    /// The constants of the features, then those of the conditions and the prior.
    fn write_constants(&self, body: &mut Body) -> Result<()> {
        let spreads = self.spreads();
        let inverses = |scale: &[f32]| scale.iter().map(|scale| 1.0 / scale).collect::<Vec<_>>();
        let deviations = self.deviations();
        let inverse_deviations =
            spreads.iter().zip(&deviations).map(|((scale, _), deviation)| (1.0 / (scale * deviation)) as f32);
        let normalisers = self.normalisers().into_iter().map(|nats| nats as f32);
        let families = self.families.iter().map(|family| family.code());
        let constants = self.mean.iter().copied().chain(inverses(&self.scale)).chain(inverse_deviations);
        let relations = self.relations.iter().flat_map(|relations| {
            let [least, largest] = relations.limits(&self.mean, &self.scale);
            let nats = |nats: f32| (f64::from(nats) + self.log_normaliser()) as f32;
            let Relations { outside, offset, ceiling, of_inputs, .. } = *relations;
            let constants = vec![nats(outside), nats(offset), nats(ceiling), f32::from(u8::from(of_inputs))];
            [least, largest, constants].concat().into_iter().chain(relations.mixture_over(self.log_normaliser()))
        });
        body.array(&constants.chain(normalisers).chain(families).chain(relations).collect::<Vec<_>>())?;
        let constants = self.condition_mean.iter().copied().chain(inverses(&self.condition_scale));
        let prior = self.prior.as_ref().map_or(Ok(Vec::new()), |prior| prior.array(self.latent))?;
        body.array(&constants.chain(prior).collect::<Vec<_>>())
    }

    /// Front-ends, calibration, and what is there to generate from.
    fn write_extras(&self, body: &mut Body, room: &mut Room) -> Result<()> {
        body.value(&record(&self.front_ends)?)?;
        body.array(&self.calibration.array(self.channels.len())?)?;
        if let Some(mixture) = &self.mixture {
            body.value(&"")?;
            body.array(&mixture.array(self.latent)?)?;
        }
        if let Some(SecondStage { decoder, deviation }) = &self.second_stage {
            body.value(&(decoder.first().map_or(0, |layer| layer.columns) as u32))?;
            body.array(deviation)?;
            room.write(decoder, self.precision, body)?;
        }
        for Attribute { name, direction } in &self.attributes {
            body.value(name)?;
            body.array(direction)?;
        }
        Ok(())
    }

    /// Standard deviations in standardised units, where the decoder's outputs are in units of them; else none.
    fn deviations(&self) -> Vec<f64> {
        match self.likelihood {
            LikelihoodKind::Bernoulli | LikelihoodKind::GaussianPredicted | LikelihoodKind::GaussianCovariance(_) => {
                Vec::new()
            }
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature | LikelihoodKind::Mixed => {
                self.variance.iter().map(|variance| f64::from(*variance).sqrt()).collect()
            }
        }
    }

    /// The decoder as the file holds it: its last layer's outputs divided by the likelihood's standard deviations, if any.
    pub(crate) fn decoder_in_deviations(&self) -> Result<Vec<Dense>> {
        let deviations = self.deviations();
        let mut decoder = self.decoder.clone();
        if let Some(last) = decoder.last_mut().filter(|_| !deviations.is_empty()) {
            ensure!(
                matches!(last.activation, Activation::Identity | Activation::Relu | Activation::LeakyRelu(_)),
                "a Gaussian likelihood needs a decoder whose last layer is linear, not {:?}: use Identity",
                last.activation
            );
            ensure!(
                last.rows == deviations.len(),
                "the decoder has {} outputs for {} features",
                last.rows,
                deviations.len()
            );
            let rows = last.weights.chunks_mut(last.columns.max(1)).zip(&mut last.bias);
            for ((row, bias), deviation) in rows.zip(deviations) {
                for value in row.iter_mut().chain([bias]) {
                    *value = (f64::from(*value) / deviation) as f32;
                }
            }
        }
        Ok(decoder)
    }
}

/// The constant term of a feature's log-density.
fn normaliser((scale, variance): &(f64, f64)) -> f64 {
    -0.5 * libm::log(std::f64::consts::TAU * variance) - libm::log(*scale)
}

/// What the layers that were written need of the scratch.
struct Room {
    vectors: usize,
    hiddens: usize,
}

impl Room {
    fn write(&mut self, half: &[Dense], precision: Precision, body: &mut Body) -> Result<()> {
        for (index, layer) in half.iter().enumerate() {
            layer.write(precision, body)?;
            self.vectors = self.vectors.max(vector_len(precision, layer.columns));
            if index + 1 < half.len() {
                self.hiddens = self.hiddens.max(hidden_len(layer.rows));
            }
        }
        Ok(())
    }
}

/// A model file in memory, at an address divisible by four.
#[derive(Clone, Debug)]
pub struct AlignedFile {
    words: Vec<u32>,
    len: usize,
}

impl AlignedFile {
    /// Copies a file's bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, len: bytes.len() }
    }

    /// Reads a file and checks everything in it. Of a signed model the signature is left out, and not verified.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        Self::checked(divided(&read_file(path, MOST_BINARY)?).0, path)
    }

    /// Copies a model file's bytes and checks everything in it.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn checked(model: &[u8], path: &std::path::Path) -> Result<Self> {
        let file = Self::new(model);
        let checked = file.model().and_then(|model| Ok(model.verify()?));
        checked.with_context(|| format!("{} cannot be used as a model; export it again", path.display()))?;
        Ok(file)
    }

    /// The model in it.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn model(&self) -> Result<Model<'_>> {
        Ok(Model::from_bytes(self.bytes())?)
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}
