//! Variational autoencoders that were trained elsewhere: `docs/import.md` says how a mapping names their tensors.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use vae_core::{
    Activation,
    format::{LikelihoodKind, PosteriorKind, Precision},
};

use crate::{
    file::model_file::{Calibration, ModelFile},
    tables::table::MAX_FEATURES,
    weights::{dense::Dense, family::HiddenActivation},
    words::{input::read_text, messages::list},
};

/// Range of a predicted log-variance, unless the mapping gives one.
const LOG_VARIANCE_BOUNDS: (f32, f32) = (-20.0, 20.0);

/// Which tensor of a safetensors file is what, as a TOML file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Names of the channels, in the order of the model's inputs.
    pub channels: Option<Vec<String>>,
    /// Samples in a window; 1 for a model of rows.
    #[serde(default = "one")]
    pub window: usize,
    /// Samples between the starts of successive windows; half a window, if not given.
    hop: Option<usize>,
    /// Whether a window's inputs are channel after channel, instead of sample after sample.
    #[serde(default)]
    channels_first: bool,
    /// Whether weights are `[inputs, outputs]`, as Keras has them, instead of `[outputs, inputs]`.
    #[serde(default)]
    transposed: bool,
    #[serde(default)]
    standardise: Standardise,
    encoder: Encoder,
    decoder: Decoder,
}

fn one() -> usize {
    1
}

/// What is done to the inputs before the encoder sees them: `(x − mean) / scale`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standardise {
    mean: Option<Values>,
    scale: Option<Values>,
    /// Of which the scale is the root.
    variance: Option<Values>,
}

/// Constants: one for all features, one for each channel or each feature, or the tensor of this name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a list of numbers, or the name of a tensor")]
enum Values {
    One(f64),
    Each(Vec<f64>),
    Tensor(String),
}

/// Heads: `mean` and one of `log_variance` and `log_scale`, or both in one layer, the means first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoder {
    #[serde(default)]
    layers: Vec<Layer>,
    mean: Option<Linear>,
    log_variance: Option<Linear>,
    log_scale: Option<Linear>,
    mean_and_log_variance: Option<Linear>,
    mean_and_log_scale: Option<Linear>,
}

/// Outputs: `logits` or `probabilities` of a Bernoulli likelihood; else those of a Gaussian one, whose spread is either constants or,
/// if it is predicted, a layer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decoder {
    #[serde(default)]
    layers: Vec<Layer>,
    logits: Option<Linear>,
    /// The layer before a sigmoid.
    probabilities: Option<Linear>,
    mean: Option<Linear>,
    variance: Option<Values>,
    scale: Option<Values>,
    log_variance: Option<Spread>,
    log_scale: Option<Spread>,
    mean_and_log_variance: Option<Linear>,
    mean_and_log_scale: Option<Linear>,
    /// A predicted log-variance is limited to the range between these.
    log_variance_bounds: Option<(f32, f32)>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a list of numbers, the name of a tensor, or a layer { weight = …, bias = … }")]
enum Spread {
    Constant(Values),
    Predicted(Linear),
}

/// A hidden layer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    weight: String,
    bias: Option<String>,
    norm: Option<Norm>,
    activation: HiddenActivation,
    /// Of a leaky ReLU.
    slope: Option<f32>,
}

/// A layer without activation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    weight: String,
    bias: Option<String>,
}

/// A batch normalisation between a layer's products and its activation, by the moments that training left.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Norm {
    weight: Option<String>,
    bias: Option<String>,
    mean: String,
    variance: String,
    epsilon: f64,
}

impl Mapping {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// If it cannot be read, or names something unknown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let mapping: Self = toml::from_str(&text)
            .with_context(|| format!("{} is not a valid mapping (docs/import.md)", path.display()))?;
        ensure!(mapping.window > 0 && mapping.hop != Some(0), "{}: window and hop are at least 1", path.display());
        Ok(mapping)
    }
}

/// A model that was trained elsewhere, as the model file takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Imported {
    /// The decoder's likelihood.
    pub likelihood: LikelihoodKind,
    /// Names of the channels, in order.
    pub channels: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Per feature, subtracted from the input.
    pub mean: Vec<f32>,
    /// Per feature, divides the difference.
    pub scale: Vec<f32>,
    /// Per feature, variance of a Gaussian likelihood in standardised units.
    pub variance: Vec<f32>,
    /// A predicted log-variance is limited to the range between these.
    pub log_variance_bounds: (f32, f32),
    /// Features to the posterior's parameters.
    pub encoder: Vec<Dense>,
    /// Latent vector to the likelihood's parameters.
    pub decoder: Vec<Dense>,
    /// Name and CRC-32 of the file of weights.
    pub weights: String,
}

impl Imported {
    /// The model file, not calibrated.
    #[must_use]
    pub fn model_file(&self) -> ModelFile {
        ModelFile {
            precision: Precision::F32,
            posterior: PosteriorKind::DiagonalGaussian,
            likelihood: self.likelihood,
            channels: self.channels.clone(),
            window: self.window,
            hop: self.hop,
            front_ends: Vec::new(),
            latent: self.latent,
            mean: self.mean.clone(),
            scale: self.scale.clone(),
            variance: self.variance.clone(),
            log_variance_bounds: self.log_variance_bounds,
            conditions: Vec::new(),
            condition_mean: Vec::new(),
            condition_scale: Vec::new(),
            prior: None,
            mixture: None,
            second_stage: None,
            attributes: Vec::new(),
            encoder: self.encoder.clone(),
            decoder: self.decoder.clone(),
            calibration: Calibration::default(),
            golden_inputs: Vec::new(),
            data: format!("imported, {}", self.weights),
            seed: 0,
            metrics: Vec::new(),
        }
    }
}

/// Weights and biases in `f64`, so that what is folded into them is rounded once.
#[derive(Clone)]
struct Affine {
    /// Row after row.
    weights: Vec<f64>,
    bias: Vec<f64>,
    columns: usize,
}

impl Affine {
    /// Each output times its factor, plus its term.
    fn then(&mut self, factors: &[f64], terms: &[f64]) {
        let rows = self.weights.chunks_mut(self.columns).zip(&mut self.bias).zip(factors.iter().zip(terms));
        for ((row, bias), (factor, term)) in rows {
            row.iter_mut().for_each(|weight| *weight *= factor);
            *bias = *bias * factor + term;
        }
    }

    /// This layer's outputs, then the others'.
    fn stack(mut self, other: Self) -> Self {
        self.weights.extend(other.weights);
        self.bias.extend(other.bias);
        self
    }

    /// The layer whose outputs are these, in this order.
    fn rows(&self, order: impl Iterator<Item = usize>) -> Self {
        let (weights, bias) = order
            .map(|row| (&self.weights[row * self.columns..][..self.columns], self.bias[row]))
            .unzip::<_, _, Vec<_>, _>();
        Self { weights: weights.concat(), bias, columns: self.columns }
    }

    fn dense(self, activation: Activation) -> Dense {
        let to_f32 = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        let (weights, bias) = (to_f32(&self.weights), to_f32(&self.bias));
        Dense { activation, rows: self.bias.len(), columns: self.columns, weights, bias }
    }
}

/// The tensors of a safetensors file, and those that were asked for.
struct Tensors<'a> {
    path: PathBuf,
    file: SafeTensors<'a>,
    used: BTreeSet<String>,
    transposed: bool,
}

impl Tensors<'_> {
    /// Shape and values of a tensor.
    fn read(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let path = self.path.display();
        let Ok(tensor) = self.file.tensor(name) else {
            let mut names: Vec<&str> = self.file.names();
            names.sort_unstable();
            bail!("{path} has no tensor `{name}`: it has {}", list(&names));
        };
        let data = tensor.data();
        let values: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            other => bail!("{path}: tensor `{name}` is {other:?}: save it as F32 (in PyTorch, tensor.float())"),
        };
        if let Some(index) = values.iter().position(|value| !(*value as f32).is_finite()) {
            bail!(
                "{path}: tensor `{name}` holds {} at position {index}: weights are finite 32-bit numbers",
                values[index]
            );
        }
        self.used.insert(name.to_owned());
        Ok((tensor.shape().to_vec(), values))
    }

    /// A vector of so many values, whatever its shape is.
    fn vector(&mut self, name: &str, expected: usize, of: &str) -> Result<Vec<f64>> {
        let (shape, values) = self.read(name)?;
        ensure!(
            values.len() == expected,
            "{}: tensor `{name}` has shape {shape:?} where {expected} values are expected, one for each {of}",
            self.path.display()
        );
        Ok(values)
    }

    /// A layer, whose inputs are `inputs` where that is known, and outputs `outputs`.
    fn linear(&mut self, linear: &Linear, inputs: Option<usize>, outputs: Option<usize>) -> Result<Affine> {
        let Linear { weight, bias } = linear;
        let (shape, mut weights) = self.read(weight)?;
        let convention = if self.transposed { "[inputs, outputs]" } else { "[outputs, inputs]" };
        let size = |size: Option<usize>| size.map_or("any".to_owned(), |size| size.to_string());
        let expected = if self.transposed { [inputs, outputs] } else { [outputs, inputs] };
        let fits = |shape: &[usize], expected: [Option<usize>; 2]| {
            shape.len() == 2
                && shape.iter().zip(expected).all(|(size, known)| *size > 0 && known.is_none_or(|known| *size == known))
        };
        if !fits(&shape, expected) {
            let hint = match (fits(&shape, [expected[1], expected[0]]), self.transposed) {
                (true, false) => "; if weights are [inputs, outputs], as Keras has them, say `transposed = true`",
                (true, true) => "; if weights are [outputs, inputs], as PyTorch has them, leave out `transposed`",
                (false, _) => "",
            };
            bail!(
                "{}: tensor `{weight}` has shape {shape:?} where [{}, {}] is expected, {convention}{hint}",
                self.path.display(),
                size(expected[0]),
                size(expected[1])
            );
        }
        let (rows, columns) = if self.transposed { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
        if self.transposed {
            weights = (0..rows).flat_map(|row| weights[row..].iter().step_by(rows)).copied().collect();
        }
        let bias = match bias {
            Some(bias) => {
                let way = if self.transposed { "with" } else { "without" };
                self.vector(bias, rows, &format!("output of `{weight}`, {shape:?} {way} `transposed = true`"))?
            }
            None => vec![0.0; rows],
        };
        Ok(Affine { weights, bias, columns })
    }

    fn hidden(&mut self, layers: &[Layer], mut inputs: Option<usize>) -> Result<Vec<(Affine, Activation)>> {
        let mut found = Vec::new();
        for Layer { weight, bias, norm, activation, slope } in layers {
            let mut affine = self.linear(&Linear { weight: weight.clone(), bias: bias.clone() }, inputs, None)?;
            let rows = affine.bias.len();
            if let Some(Norm { weight, bias, mean, variance, epsilon }) = norm {
                let mut vector =
                    |name: &String| self.vector(name, rows, &format!("output of `{}`", layers[found.len()].weight));
                let gain = weight.as_ref().map_or(Ok(vec![1.0; rows]), &mut vector)?;
                let offset = bias.as_ref().map_or(Ok(vec![0.0; rows]), &mut vector)?;
                let (mean, variance) = (vector(mean)?, vector(variance)?);
                let factors: Vec<f64> =
                    gain.iter().zip(&variance).map(|(gain, v)| gain / (v + epsilon).sqrt()).collect();
                ensure!(
                    factors.iter().all(|factor| factor.is_finite()),
                    "the normalisation behind `{}` has a variance that is not positive",
                    layers[found.len()].weight
                );
                let terms =
                    offset.iter().zip(factors.iter().zip(&mean)).map(|(offset, (factor, mean))| offset - factor * mean);
                affine.then(&factors, &terms.collect::<Vec<_>>());
            }
            let activation = match (activation.core(), slope) {
                (Activation::LeakyRelu(_), Some(slope)) => Activation::LeakyRelu(*slope),
                (_, Some(_)) => bail!("`slope` behind `{weight}` is for the activation leaky-relu"),
                (activation, None) => activation,
            };
            inputs = Some(rows);
            found.push((affine, activation));
        }
        Ok(found)
    }

    /// The two halves of a layer whose outputs come in pairs: means, then spreads.
    fn halves(&mut self, linear: &Linear, inputs: Option<usize>, outputs: Option<usize>) -> Result<(Affine, Affine)> {
        let both = self.linear(linear, inputs, outputs.map(|outputs| 2 * outputs))?;
        let rows = both.bias.len();
        ensure!(
            rows.is_multiple_of(2),
            "{}: tensor `{}` has {rows} outputs, which are no pairs of a mean and a spread",
            self.path.display(),
            linear.weight
        );
        Ok((both.rows(0..rows / 2), both.rows(rows / 2..rows)))
    }
}

/// Takes the model of a safetensors file; `names` are its channels' where the mapping does not name them. Also returns the names of
/// the tensors that were not used.
///
/// # Accuracy
/// Weights are rounded to `f32` once, so that scores differ from the original's by what `f32` arithmetic differs by: about 1e-5 of their
/// own size.
///
/// # Errors
/// Names the tensor, what was found and what is expected.
pub fn import(path: &Path, mapping: &Mapping, names: &[String]) -> Result<(Imported, Vec<String>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        !bytes.starts_with(b"PK\x03\x04") && !bytes.starts_with(b"\x89HDF"),
        "{} is {}, not safetensors: convert it as docs/import.md shows",
        path.display(),
        if bytes.starts_with(b"PK") {
            "a zip archive, as PyTorch's or Keras' own files are"
        } else {
            "HDF5, as Keras' .h5 files are"
        }
    );
    let file = SafeTensors::deserialize(&bytes).with_context(|| {
        format!("{} cannot be read as safetensors (docs/import.md shows how to write it)", path.display())
    })?;
    let mut tensors = Tensors { path: path.to_owned(), file, used: BTreeSet::new(), transposed: mapping.transposed };

    let mut encoder = tensors.hidden(&mapping.encoder.layers, None)?;
    let inputs = encoder.last().map(|(layer, _)| layer.bias.len());
    let (mean, spread) = mapping.encoder.heads(&mut tensors, inputs)?;
    let latent = mean.bias.len();
    encoder.push((mean.stack(spread), Activation::Identity));
    let features = encoder[0].0.columns;
    ensure!(
        features.is_multiple_of(mapping.window) && features <= MAX_FEATURES,
        "{}: the encoder has {features} inputs, which are no whole channels of `window = {}` samples (at most {MAX_FEATURES} in all)",
        path.display(),
        mapping.window
    );
    let channels = mapping.channels.clone().unwrap_or_else(|| names.to_vec());
    ensure!(
        channels.len() == features / mapping.window,
        "{}: the encoder has {features} inputs, {} channels of {} sample(s), and {} names are {}: {}",
        path.display(),
        features / mapping.window,
        mapping.window,
        channels.len(),
        if mapping.channels.is_some() {
            "in the mapping"
        } else {
            "columns of the data (`channels` in the mapping chooses some)"
        },
        list(&channels)
    );
    // For each feature as the core has them, sample after sample, its place in the original.
    let order: Vec<usize> = (0..features)
        .map(|feature| match mapping.channels_first {
            true => feature % channels.len() * mapping.window + feature / channels.len(),
            false => feature,
        })
        .collect();
    let first = &mut encoder[0].0;
    first.weights = first.weights.chunks(features).flat_map(|row| order.iter().map(|place| row[*place])).collect();

    let mut decoder = tensors.hidden(&mapping.decoder.layers, Some(latent))?;
    let inputs = decoder.last().map_or(latent, |(layer, _)| layer.bias.len());
    let constants = |tensors: &mut Tensors<'_>, values: &Values, what: &str| -> Result<Vec<f64>> {
        let found = match values {
            Values::One(value) => vec![*value],
            Values::Each(values) => values.clone(),
            Values::Tensor(name) => tensors.read(name)?.1,
        };
        match found.len() {
            count if count == features && mapping.window > 1 => Ok(order.iter().map(|place| found[*place]).collect()),
            count if count == channels.len() || count == 1 => {
                Ok(found.iter().copied().cycle().take(features).collect())
            }
            count => {
                bail!("{what} has {count} values: give one, {} (channels) or {features} (features)", channels.len())
            }
        }
    };
    let Outputs { last, likelihood, variance } = mapping.decoder.outputs(&mut tensors, inputs, features, &constants)?;
    let last = match likelihood {
        // Means and log-variances side by side.
        LikelihoodKind::GaussianPredicted => last.rows(order.iter().flat_map(|place| [*place, features + *place])),
        _ => last.rows(order.iter().copied()),
    };
    decoder.push((last, Activation::Identity));

    let Standardise { mean, scale, variance: squared } = &mapping.standardise;
    ensure!(scale.is_none() || squared.is_none(), "standardise: give scale or variance, not both");
    let is_plain = mean.is_none() && scale.is_none() && squared.is_none();
    ensure!(
        is_plain || likelihood != LikelihoodKind::Bernoulli,
        "a Bernoulli likelihood is of data between 0 and 1 as they are: leave out standardise"
    );
    let mean = constants(&mut tensors, mean.as_ref().unwrap_or(&Values::One(0.0)), "the mean of standardise")?;
    let scale = match squared {
        Some(squared) => constants(&mut tensors, squared, "the variance of standardise")?
            .iter()
            .map(|v| v.abs().sqrt().copysign(*v))
            .collect(),
        None => constants(&mut tensors, scale.as_ref().unwrap_or(&Values::One(1.0)), "the scale of standardise")?,
    };
    for (what, values) in [("scale", &scale), ("variance", &variance)] {
        if let Some(value) = values.iter().find(|value| !(**value > 0.0 && (**value as f32).is_normal())) {
            bail!("a {what} is {value}: it must be positive");
        }
    }
    let to_f32 = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    let dense = |layers: Vec<(Affine, Activation)>| layers.into_iter().map(|(layer, of)| layer.dense(of)).collect();
    let unused =
        tensors.file.names().into_iter().filter(|name| !tensors.used.contains(*name)).map(str::to_owned).collect();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let imported = Imported {
        likelihood,
        channels,
        window: mapping.window,
        hop: mapping.hop.unwrap_or((mapping.window / 2).max(1)),
        latent,
        mean: to_f32(mean),
        scale: to_f32(scale),
        variance: to_f32(variance),
        log_variance_bounds: mapping.decoder.log_variance_bounds.unwrap_or(LOG_VARIANCE_BOUNDS),
        encoder: dense(encoder),
        decoder: dense(decoder),
        weights: format!("{name} crc32 {crc:08x}"),
    };
    Ok((imported, unused))
}

impl Encoder {
    /// Means and log-variances of the posterior.
    fn heads(&self, tensors: &mut Tensors<'_>, inputs: Option<usize>) -> Result<(Affine, Affine)> {
        let Self { mean, log_variance, log_scale, mean_and_log_variance, mean_and_log_scale, .. } = self;
        let mut apart = |mean: &Linear, spread: &Linear| -> Result<(Affine, Affine)> {
            let mean = tensors.linear(mean, inputs, None)?;
            let spread = tensors.linear(spread, Some(mean.columns), Some(mean.bias.len()))?;
            Ok((mean, spread))
        };
        match (mean, log_variance, log_scale, mean_and_log_variance, mean_and_log_scale) {
            (Some(mean), Some(spread), None, None, None) => apart(mean, spread),
            (Some(mean), None, Some(spread), None, None) => apart(mean, spread).map(doubled),
            (None, None, None, Some(both), None) => tensors.halves(both, inputs, None),
            (None, None, None, None, Some(both)) => tensors.halves(both, inputs, None).map(doubled),
            _ => bail!(
                "encoder: give `mean` and one of `log_variance` and `log_scale`, or else `mean_and_log_variance` or \
                 `mean_and_log_scale`"
            ),
        }
    }
}

/// `ln σ² = 2 ln σ`
fn doubled((mean, mut spread): (Affine, Affine)) -> (Affine, Affine) {
    let rows = spread.bias.len();
    spread.then(&vec![2.0; rows], &vec![0.0; rows]);
    (mean, spread)
}

/// The decoder's last layer, and what its outputs mean.
struct Outputs {
    last: Affine,
    likelihood: LikelihoodKind,
    /// Of each feature; 1 where it is not used.
    variance: Vec<f64>,
}

impl Decoder {
    fn outputs(
        &self,
        tensors: &mut Tensors<'_>,
        inputs: usize,
        features: usize,
        constants: &impl Fn(&mut Tensors<'_>, &Values, &str) -> Result<Vec<f64>>,
    ) -> Result<Outputs> {
        let Self { logits, probabilities, mean, variance, scale, log_variance, log_scale, .. } = self;
        let Self { mean_and_log_variance, mean_and_log_scale, .. } = self;
        let given = [
            logits.is_some(),
            probabilities.is_some(),
            mean.is_some(),
            mean_and_log_variance.is_some(),
            mean_and_log_scale.is_some(),
        ];
        ensure!(
            given.into_iter().filter(|given| *given).count() == 1,
            "decoder: give one of `logits`, `probabilities`, `mean`, `mean_and_log_variance` and `mean_and_log_scale`"
        );
        let spreads = [variance.is_some(), scale.is_some(), log_variance.is_some(), log_scale.is_some()];
        ensure!(
            spreads.into_iter().filter(|given| *given).count() == usize::from(mean.is_some()),
            "decoder: with `mean`, and only with it, give one of `variance`, `scale`, `log_variance` and `log_scale`"
        );
        let (inputs, outputs) = (Some(inputs), Some(features));
        let ones = vec![1.0; features];
        let bernoulli = |last| Outputs { last, likelihood: LikelihoodKind::Bernoulli, variance: ones.clone() };
        let predicted = |(mean, spread): (Affine, Affine)| Outputs {
            last: mean.stack(spread),
            likelihood: LikelihoodKind::GaussianPredicted,
            variance: ones.clone(),
        };
        if let Some(last) = logits.as_ref().or(probabilities.as_ref()) {
            return tensors.linear(last, inputs, outputs).map(bernoulli);
        }
        if let Some(both) = mean_and_log_variance {
            return tensors.halves(both, inputs, outputs).map(predicted);
        }
        if let Some(both) = mean_and_log_scale {
            return tensors.halves(both, inputs, outputs).map(doubled).map(predicted);
        }
        let Some(mean) = mean else { bail!("decoder: no outputs are given") };
        let last = tensors.linear(mean, inputs, outputs)?;
        let mut variances = |values: &Values, variance: &dyn Fn(f64) -> f64| -> Result<Outputs> {
            let variance = constants(tensors, values, "the decoder's spread")?.into_iter().map(variance).collect();
            Ok(Outputs { last: last.clone(), likelihood: LikelihoodKind::GaussianPerFeature, variance })
        };
        match (variance, scale, log_variance, log_scale) {
            (Some(variance), ..) => variances(variance, &|variance| variance),
            (_, Some(scale), ..) => variances(scale, &|scale| scale * scale),
            (_, _, Some(Spread::Constant(values)), _) => variances(values, &libm::exp),
            (_, _, _, Some(Spread::Constant(values))) => variances(values, &|value| libm::exp(2.0 * value)),
            (_, _, Some(Spread::Predicted(spread)), _) => {
                Ok(predicted((last, tensors.linear(spread, inputs, outputs)?)))
            }
            (_, _, _, Some(Spread::Predicted(spread))) => {
                Ok(predicted(doubled((last, tensors.linear(spread, inputs, outputs)?))))
            }
            (None, None, None, None) => bail!("decoder: no spread is given"),
        }
    }
}
