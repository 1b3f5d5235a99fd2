//! Writes model files; `vae-core/FORMAT.md` specifies them.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use vae_core::{
    Activation, ChannelCalibration, FrontEnd, Model, ScoreKind, SignedModel, Tail,
    format::{
        LikelihoodKind, MAX_INT8_COLUMNS, MAX_LAYER_SIDE, PRELUDE_LEN, PosteriorKind, Precision, Prelude, hidden_len,
        padded_rows, vector_len,
    },
};

use crate::{
    weights::{attribute::Attribute, dense::Dense, mixture::Mixture, second_stage::SecondStage},
    words::input::{MOST_BINARY, read_file},
};

/// What a model considers normal; what the values mean, [`vae_core::Calibration`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Quantiles of the ELBO of held-out normal windows, ascending, evenly spaced in probability.
    pub quantiles: Vec<f32>,
    /// Number of windows that they were computed from.
    pub scores: usize,
    /// ELBO below which a window is anomalous.
    pub threshold: f32,
    /// Samples a second; 0 where it is not known.
    pub sample_rate: f32,
    /// (m, n): m of the last n windows raise an alarm.
    pub votes: (u32, u32),
    /// Of −ELBO.
    pub tail: Tail,
    /// Of the highest voted −ELBO of each alarm; a rate of 0 where alarms are not calibrated.
    pub alarms: Tail,
    /// Mean and standard deviation of −ELBO.
    pub location_and_scale: (f32, f32),
    /// What the scores are.
    pub score_kind: ScoreKind,
    /// Successive windows that tell as much as one independent one; 0 where the windows' order is not known.
    pub dependence: f32,
    /// Of the cumulative sum's peaks; a rate of 0 where there is no sequential test.
    pub changes: Tail,
    /// Windows in which averages follow a slow drift; 0 where none is compensated.
    pub drift_memory: f32,
    /// Nats by which the shift of the scores follows a window, at most.
    pub drift_step: f32,
    /// Greatest ordinary shift of the scores, in nats, and greatest ordinary widening of their spread.
    pub drift_limits: (f32, f32),
    /// Of each channel; may be left out.
    pub channels: Vec<ChannelCalibration>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            quantiles: Vec::new(),
            scores: 0,
            threshold: 0.0,
            sample_rate: 0.0,
            votes: (1, 1),
            tail: Tail::default(),
            alarms: Tail::default(),
            location_and_scale: (0.0, 1.0),
            score_kind: ScoreKind::AtMean,
            dependence: 0.0,
            changes: Tail::default(),
            drift_memory: 0.0,
            drift_step: 0.0,
            drift_limits: (f32::MAX, f32::MAX),
            channels: Vec::new(),
        }
    }
}

impl Calibration {
    /// The array of the model file.
    ///
    /// # Errors
    /// If it is of other channels.
    pub fn array(&self, channels: usize) -> Result<Vec<f32>> {
        ensure!(
            [0, channels].contains(&self.channels.len()),
            "the calibration has {} channels and the model {channels}",
            self.channels.len()
        );
        let samples = match self.score_kind {
            ScoreKind::AtMean => 0.0,
            ScoreKind::Samples(samples) => samples as f32,
            ScoreKind::Importance(samples) => -(samples as f32),
        };
        let tail = |tail: &Tail| [tail.start, tail.rate, tail.scale, tail.shape, tail.base];
        let mut values = vec![self.threshold, self.scores as f32, self.sample_rate];
        values.extend([self.votes.0 as f32, self.votes.1 as f32]);
        values.extend(tail(&self.tail).into_iter().chain(tail(&self.alarms)));
        values.extend([self.location_and_scale.0, self.location_and_scale.1, samples]);
        values.push(self.dependence);
        values.extend(tail(&self.changes));
        values.extend([self.drift_memory, self.drift_step, self.drift_limits.0, self.drift_limits.1]);
        values.push(self.quantiles.len() as f32);
        let nats_alone =
            |c: &ChannelCalibration| *c == ChannelCalibration { nats: c.nats, ..ChannelCalibration::UNKNOWN };
        let is_known = !self.channels.iter().all(nats_alone);
        values.extend(self.channels.iter().filter(|_| !is_known).map(|c| c.nats));
        for c in self.channels.iter().filter(|_| is_known) {
            values.extend([c.range.0, c.range.1, c.longest_run, c.longest_gap, c.nats]);
            values.extend([c.mean, c.power]);
            values.extend([c.level, c.strength].iter().flat_map(|of| [of.centre, of.spread, of.limit]));
        }
        values.extend(&self.quantiles);
        Ok(values)
    }
}

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
    /// The learned prior `p(z)`; `N(0, I)` or fair coins where there is none.
    pub prior: Option<Mixture>,
    /// The aggregated posterior, to generate from.
    pub mixture: Option<Mixture>,
    /// To generate from.
    pub second_stage: Option<SecondStage>,
    /// To resynthesise along.
    pub attributes: Vec<Attribute>,
    /// From held-out normal windows.
    pub calibration: Calibration,
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
        let mut scratch = vae_core::Scratch::new(&mut memory);
        let scores: Vec<_> = self
            .golden_inputs
            .iter()
            .map(|input| {
                let (x, condition) = input.split_at_checked(model.features()).unwrap_or_default();
                model.given(condition)?.elbo_at_mean(x, &mut scratch)
            })
            .collect::<Result<_, _>>()
            .context("a golden input cannot be scored")?;
        let bytes = self.assemble(&scores)?;
        AlignedFile::new(&bytes).model()?.verify().context("the model that was written is not sound")?;
        Ok(bytes)
    }

    fn assemble(&self, scores: &[vae_core::Score]) -> Result<Vec<u8>> {
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
        // Standard deviation of the standardiser, and variance of the likelihood that its normaliser is for.
        let pairs = || self.scale.iter().zip(&self.variance).map(|(&s, &v)| (f64::from(s), f64::from(v)));
        let pairs: Vec<(f64, f64)> = match self.likelihood {
            LikelihoodKind::Bernoulli => Vec::new(),
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => pairs().collect(),
            LikelihoodKind::GaussianPredicted => pairs().map(|(scale, _)| (scale, 1.0)).collect(),
        };
        let deviations = self.deviations();
        let inverses = |scale: &[f32]| scale.iter().map(|scale| 1.0 / scale).collect::<Vec<_>>();

        // The fields of `Header`, in order.
        let mut body = Body::default();
        body.value(&(self.precision, self.posterior, self.likelihood))?;
        body.value(&(self.encoder.len() as u32, self.decoder.len() as u32))?;
        let components = |mixture: &Option<Mixture>| mixture.as_ref().map_or(0, |mixture| mixture.weight.len() as u32);
        body.value(&(
            components(&self.mixture),
            self.second_stage.as_ref().map_or(0, |stage| stage.decoder.len()) as u32,
            self.attributes.len() as u32,
            scores.len() as u32,
        ))?;
        body.value(&self.log_variance_bounds)?;
        let normaliser =
            |(scale, variance): &(f64, f64)| -0.5 * libm::log(std::f64::consts::TAU * variance) - libm::log(*scale);
        body.value(&(pairs.iter().map(normaliser).sum::<f64>() as f32))?;
        let inverse_deviations =
            pairs.iter().zip(&deviations).map(|((scale, _), deviation)| (1.0 / (scale * deviation)) as f32);
        let normalisers = pairs.iter().map(|pair| normaliser(pair) as f32);
        let constants = self.mean.iter().copied().chain(inverses(&self.scale)).chain(inverse_deviations);
        body.array(&constants.chain(normalisers).collect::<Vec<_>>())?;
        let constants = self.condition_mean.iter().copied().chain(inverses(&self.condition_scale));
        let prior = self.prior.as_ref().map_or(Ok(Vec::new()), |prior| prior.array(self.latent))?;
        body.array(&constants.chain(prior).collect::<Vec<_>>())?;

        let (mut vectors, mut hiddens) = (0, hidden_len(0));
        let mut layers = |half: &[Dense], body: &mut Body| -> Result<()> {
            for (index, layer) in half.iter().enumerate() {
                layer.write(self.precision, body)?;
                vectors = vectors.max(vector_len(self.precision, layer.columns));
                if index + 1 < half.len() {
                    hiddens = hiddens.max(hidden_len(layer.rows));
                }
            }
            Ok(())
        };
        layers(&self.encoder, &mut body)?;
        let decoder_at = body.0.len();
        layers(&self.decoder_in_deviations()?, &mut body)?;
        let extras_at = body.0.len();
        body.value(&self.front_ends.iter().map(|front_end| front_end.code()).collect::<Vec<u8>>())?;
        body.array(&self.calibration.array(self.channels.len())?)?;
        if let Some(mixture) = &self.mixture {
            body.value(&"")?;
            body.array(&mixture.array(self.latent)?)?;
        }
        if let Some(SecondStage { decoder, deviation }) = &self.second_stage {
            body.value(&(decoder.first().map_or(0, |layer| layer.columns) as u32))?;
            body.array(deviation)?;
            layers(decoder, &mut body)?;
        }
        for Attribute { name, direction } in &self.attributes {
            body.value(name)?;
            body.array(direction)?;
        }
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
            vector_len: size(vectors)?,
            hidden_len: size(hiddens)?,
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

    /// Standard deviations in standardised units, where the decoder's outputs are in units of them; else none.
    fn deviations(&self) -> Vec<f64> {
        match self.likelihood {
            LikelihoodKind::Bernoulli | LikelihoodKind::GaussianPredicted => Vec::new(),
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => {
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

impl Dense {
    /// The fields of `LayerRecord`, in order.
    fn write(&self, precision: Precision, body: &mut Body) -> Result<()> {
        let Self { activation, rows, columns, .. } = *self;
        ensure!(
            self.weights.len() == rows * columns && self.bias.len() == rows && rows.max(columns) <= MAX_LAYER_SIDE,
            "a layer of {rows} × {columns} has {} weights and {} biases",
            self.weights.len(),
            self.bias.len()
        );
        body.value(&(activation, rows as u32, columns as u32))?;
        match precision {
            Precision::F32 => {
                let mut padded = self.weights.clone();
                padded.resize(padded_rows(rows) * columns, 0.0);
                let blocks = padded.chunks(4 * columns);
                let interleaved: Vec<f32> = blocks
                    .flat_map(|block| (0..columns).flat_map(|c| block[c..].iter().step_by(columns)))
                    .copied()
                    .collect();
                body.array(&interleaved)?;
                body.array(&self.bias)?;
                body.value(&(0i32, 0i32))
            }
            Precision::Int8 => {
                ensure!(
                    columns <= MAX_INT8_COLUMNS,
                    "an int8 layer has at most {MAX_INT8_COLUMNS} inputs, not {columns}"
                );
                let Quantised { weights, mut multiplier, scale_exponent } = self.quantise();
                let (mut bias, bias_exponent) = self.quantise_bias();
                multiplier.resize(padded_rows(rows), 0);
                bias.resize(padded_rows(rows), 0);
                let blocks = bias.chunks(4).zip(multiplier.chunks(4));
                let constants: Vec<i32> = blocks
                    .flat_map(|(bias, multiplier)| {
                        bias.iter().copied().chain(
                            multiplier.chunks(2).map(|pair| i32::from(pair[1]) << 16 | i32::from(pair[0] as u16)),
                        )
                    })
                    .collect();
                body.array(&pack_pairs(&weights, columns))?;
                body.array(&constants)?;
                body.value(&(scale_exponent, bias_exponent))
            }
        }
    }

    /// Moves the rows of the second half between those of the first: 0, n/2, 1, n/2 + 1, …
    pub fn interleave_halves(&mut self) {
        let half = self.rows / 2;
        let order = (0..half).flat_map(|row| [row, row + half]);
        let (weights, bias) = (std::mem::take(&mut self.weights), std::mem::take(&mut self.bias));
        for row in order {
            self.weights.extend_from_slice(&weights[row * self.columns..][..self.columns]);
            self.bias.push(bias[row]);
        }
    }

    /// Weights in −127…127; one step of each row's is worth at least `max|w| / 127`, rounded up to what its multiplier can say.
    #[must_use]
    pub fn quantise(&self) -> Quantised {
        let largest = |row: &[f32]| row.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        let scale_exponent = exponent(f64::from(largest(&self.weights)) / 127.0, f64::from(i16::MAX));
        let unit = libm::exp2(f64::from(scale_exponent));
        let mut weights = Vec::with_capacity(self.weights.len());
        let mut multiplier = Vec::with_capacity(self.rows);
        for row in self.weights.chunks(self.columns) {
            let units = (f64::from(largest(row)) / 127.0 / unit).ceil().clamp(1.0, f64::from(i16::MAX));
            weights.extend(row.iter().map(|weight| (f64::from(*weight) / (units * unit)).round() as i8));
            multiplier.push(units as i16);
        }
        Quantised { weights, multiplier, scale_exponent }
    }

    /// Biases as integers, and the exponent of their unit.
    fn quantise_bias(&self) -> (Vec<i32>, i32) {
        /// Leaves two bits for what is added to a bias.
        const LARGEST: f64 = ((1 << 29) - 1) as f64;
        let largest = self.bias.iter().fold(0.0f32, |largest, bias| largest.max(bias.abs()));
        let exponent = exponent(f64::from(largest), LARGEST);
        let unit = libm::exp2(f64::from(exponent));
        (self.bias.iter().map(|bias| (f64::from(*bias) / unit).round() as i32).collect(), exponent)
    }
}

/// Weights as an int8 layer holds them: weight w of row r stands for `w · multiplier[r] · 2^scale_exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// `[rows][columns]`, in −127…127.
    pub weights: Vec<i8>,
    /// `[rows]`, from 1 on.
    pub multiplier: Vec<i16>,
    /// Of two.
    pub scale_exponent: i32,
}

impl Quantised {
    /// The weights that these stand for, `[rows][columns]`: exact, as 22 bits are enough for each.
    #[must_use]
    pub fn dequantise(&self) -> Vec<f32> {
        let unit = libm::exp2(f64::from(self.scale_exponent));
        let columns = self.weights.len() / self.multiplier.len().max(1);
        let rows = self.weights.chunks(columns.max(1)).zip(&self.multiplier);
        rows.flat_map(|(row, &multiplier)| {
            row.iter().map(move |&weight| (f64::from(weight) * f64::from(multiplier) * unit) as f32)
        })
        .collect()
    }
}

/// The least exponent, within the format's limits, of a unit of which `most` are enough for `value`.
fn exponent(value: f64, most: f64) -> i32 {
    const LIMIT: f64 = 100.0;
    libm::log2(value / most).ceil().clamp(-LIMIT, LIMIT) as i32
}

/// Two rows a halfword, in the order in which the kernels read them: see `LayerRecord::weights`.
fn pack_pairs(weights: &[i8], columns: usize) -> Vec<i16> {
    let padded = columns.next_multiple_of(4);
    let zeros: &[i8] = &[];
    let mut halfwords = Vec::new();
    for block in weights.chunks(4 * columns) {
        let rows: Vec<&[i8]> = block.chunks(columns).collect();
        for group in (0..padded).step_by(4) {
            for pair in [0, 2] {
                let row = |index: usize| *rows.get(index).unwrap_or(&zeros);
                let (a, b) = (row(pair), row(pair + 1));
                for column in group..group + 4 {
                    let weight = |row: &[i8]| i16::from(row.get(column).copied().unwrap_or(0));
                    halfwords.push(256 * weight(a) + weight(b));
                }
            }
        }
    }
    halfwords
}

/// A postcard message in the making.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn value(&mut self, value: &impl Serialize) -> Result<()> {
        self.0 = postcard::to_extend(value, std::mem::take(&mut self.0)).context("cannot serialise a record")?;
        Ok(())
    }

    /// A byte string that ends with `values`, the first of which lies at a multiple of four from the start of the file.
    fn array<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        // The length is a varint whose own length grows at multiples of four (128, 16384, …), which padding cannot cross
        // as long as the values' length is a multiple of four; halfwords come in fours.
        let length = postcard::to_allocvec(&(bytes.len() as u64)).context("cannot serialise a length")?.len();
        let padding = (4 - (PRELUDE_LEN + self.0.len() + length) % 4) % 4;
        self.value(&((bytes.len() + padding) as u64))?;
        self.0.extend(std::iter::repeat_n(0, padding));
        self.0.extend_from_slice(bytes);
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
        let bytes = read_file(path, MOST_BINARY)?;
        let model = match SignedModel::from_bytes(&bytes) {
            Ok(signed) if Model::from_bytes(signed.unverified()).is_ok() => signed.unverified(),
            _ => &bytes,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_packed_as_the_format_says() {
        // Three rows of five columns: one block of two pairs, the second pair's B row is zero.
        let weights: Vec<i8> = (1..=15).map(|w| if w % 2 == 0 { -w } else { w }).collect();
        let halfwords = pack_pairs(&weights, 5);
        let pair = |a: i16, b: i16| 256 * a + b;
        let expected = [
            [pair(1, -6), pair(-2, 7), pair(3, -8), pair(-4, 9)],
            [pair(11, 0), pair(-12, 0), pair(13, 0), pair(-14, 0)],
            [pair(5, -10), 0, 0, 0],
            [pair(15, 0), 0, 0, 0],
        ];
        assert_eq!(halfwords, expected.concat());
    }

    #[test]
    fn quantised_weights_are_within_half_a_step() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let layer = Dense { activation: Activation::Identity, rows: 3, columns: 20, weights, bias: vec![0.0; 3] };
        let quantised = layer.quantise();
        let unit = f64::from(quantised.scale_exponent).exp2();
        for (index, (&q, w)) in quantised.weights.iter().zip(&layer.weights).enumerate() {
            let step = unit * f64::from(quantised.multiplier[index / 20]);
            assert!((f64::from(q) * step - f64::from(*w)).abs() <= 0.5 * step * 1.0001);
        }
        assert!(quantised.weights.chunks(20).all(|row| row.iter().any(|q| q.unsigned_abs() == 127)));
        assert!(quantised.multiplier.iter().any(|units| *units > i16::MAX / 2), "{quantised:?}");
    }

    #[test]
    fn zero_and_tiny_rows_are_quantised_too() {
        let weights = vec![0.0, 0.0, 1e-9, -1e-9, 5.0, 1.0];
        let layer = Dense { activation: Activation::Identity, rows: 3, columns: 2, weights, bias: vec![0.0; 3] };
        let Quantised { weights, multiplier, .. } = layer.quantise();
        assert_eq!(weights, [0, 0, 0, 0, 127, 25]);
        assert_eq!(multiplier[..2], [1, 1]);
        assert_eq!(layer.quantise_bias(), (vec![0; 3], -100));
        let layer = Dense { bias: vec![1.0, -0.25, 0.0], ..layer };
        assert_eq!(layer.quantise_bias(), (vec![1 << 28, -(1 << 26), 0], -28));
    }
}
