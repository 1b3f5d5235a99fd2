//! The variational autoencoder as burn trains it.

use anyhow::{Context, Result};
use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    nn::Linear,
    tensor::{Device, Tensor, TensorData, activation},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::{LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, standard_normal};

use crate::{
    cpu::{
        elementwise::{exp, ln, log_softmax, softplus},
        fused::{self, Family},
        product::matmul,
    },
    weights::{
        dense::Dense,
        family::{HiddenActivation, Likelihood, Posterior},
        mixture::Mixture,
    },
};

const LN_TWO_PI: f32 = 1.837_877_1;

/// Learned log-variances of the likelihood stay below this: ten times the spread of the data.
pub const LARGEST_LOG_VARIANCE: f32 = 4.6;

/// Log-variances of the prior's components are limited to ± this value: σ between 0.0067 and 148.
const PRIOR_LOG_VARIANCE_LIMIT: f32 = 10.0;

/// Sizes and kinds that the weights do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Values in a window.
    pub features: usize,
    /// Values of the condition.
    pub conditions: usize,
    /// Widths of the encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// Components of the learned prior; 0 for the standard one.
    pub prior: usize,
    /// Activation of the hidden layers.
    pub activation: HiddenActivation,
    /// Family of `q(z|x)`.
    pub posterior: Posterior,
    /// Likelihood `p(x|z)`.
    pub likelihood: Likelihood,
    /// Variance of the fixed Gaussian, in standardised units.
    pub variance: f32,
    /// Least variance of the learned and the predicted Gaussian, in standardised units.
    pub variance_floor: f32,
    /// Least learned variance of each feature, in standardised units.
    pub variance_floors: Vec<f32>,
}

impl Architecture {
    /// Values of a window and its condition.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.features + self.conditions
    }

    /// Range of the likelihood's log-variance.
    #[must_use]
    pub fn log_variance_bounds(&self) -> (f32, f32) {
        (libm::logf(self.variance_floor), LARGEST_LOG_VARIANCE)
    }

    /// Widths of the encoder, input to output, then of the decoder.
    fn widths(&self) -> [Vec<usize>; 2] {
        let mut encoder = vec![self.inputs()];
        encoder.extend(&self.hidden);
        encoder.push(self.posterior.kind().parameters(self.latent));
        let mut decoder = vec![self.latent + self.conditions];
        decoder.extend(self.hidden.iter().rev());
        decoder.push(self.likelihood.kind().parameters(self.features));
        [encoder, decoder]
    }
}

/// Encoder, decoder and, for the learned Gaussian, the log-variance of each standardised feature.
#[derive(Module, Debug)]
pub struct Vae {
    pub(crate) encoder: Vec<Linear>,
    decoder: Vec<Linear>,
    log_variance: Param<Tensor<1>>,
    pub(crate) prior: Option<LearnedPrior>,
}

/// Numbers the parameters in order: burn draws their ids, by which a checkpoint's moments are found, at random.
struct Numbered(u64);

impl ModuleMapper for Numbered {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let (_, tensor, mapper) = parameter.consume();
        Param::from_mapped_value(ParamId::from(self.0), tensor, mapper)
    }
}

/// A mixture of diagonal Gaussians that is trained with the network.
#[derive(Module, Debug)]
pub(crate) struct LearnedPrior {
    /// `[1, components]`: the weights, before softmax.
    logits: Param<Tensor<2>>,
    /// `[components, latent]`
    mean: Param<Tensor<2>>,
    /// `[components, latent]`
    log_variance: Param<Tensor<2>>,
}

/// A batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `[windows, features]`; 0 where not observed.
    pub(crate) x: Tensor<2>,
    /// 1 where observed; `None` where everything is.
    pub(crate) observed: Option<Tensor<2>>,
    /// `[windows, conditions]`
    pub(crate) condition: Option<Tensor<2>>,
    /// `[windows, features]`: what the encoder sees, where that is not `x`.
    pub(crate) blurred: Option<Tensor<2>>,
}

impl Batch {
    /// Moves a batch to a device: `inputs` has, for each window, its standardised features (NaN for those not observed) and
    /// then its condition.
    #[must_use]
    pub fn new(mut inputs: Vec<f32>, architecture: &Architecture, device: &Device) -> Self {
        let (features, width) = (architecture.features, architecture.inputs());
        let windows = inputs.len() / width;
        // By blocks without an exit inside, so that it is vectorised.
        let missing = inputs.chunks(1024).any(|block| block.iter().fold(false, |found, x| found | x.is_nan()));
        let observed = missing.then(|| {
            let rows = inputs.chunks_exact(width).flat_map(|row| &row[..features]);
            let mask: Vec<f32> = rows.map(|x| if x.is_nan() { 0.0 } else { 1.0 }).collect();
            inputs.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
            Tensor::from_data(TensorData::new(mask, [windows, features]), device)
        });
        let all: Tensor<2> = Tensor::from_data(TensorData::new(inputs, [windows, width]), device);
        if architecture.conditions == 0 {
            return Self { x: all, observed, condition: None, blurred: None };
        }
        let condition = all.clone().narrow(1, features, architecture.conditions);
        Self { x: all.narrow(1, 0, features), observed, condition: Some(condition), blurred: None }
    }

    /// The batch with `blur` (`[windows, features]`; empty for nothing) added to what the encoder sees of it; what is not observed stays the
    /// mean, as on the device.
    ///
    /// # Source
    /// Im, Ahn, Memisevic & Bengio (2017), *Denoising Criterion for Variational Auto-Encoding Framework*, section 3.
    #[must_use]
    pub(crate) fn blurred(mut self, blur: &[f32], device: &Device) -> Self {
        self.blurred = (!blur.is_empty()).then(|| {
            let blur = Tensor::from_data(TensorData::new(blur.to_vec(), self.x.dims()), device);
            self.x.clone()
                + match &self.observed {
                    Some(observed) => blur * observed.clone(),
                    None => blur,
                }
        });
        self
    }
}

impl Vae {
    /// A network with fresh weights, uniform within `± 1/√inputs` as PyTorch's, from the seed alone.
    #[must_use]
    pub fn init(architecture: &Architecture, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let [encoder, decoder] = architecture.widths().map(|widths| {
            widths
                .windows(2)
                .map(|pair| {
                    let bound = 1.0 / (pair[0] as f32).sqrt();
                    let mut uniform = |count| (0..count).map(|_| rng.random_range(-bound..bound)).collect::<Vec<f32>>();
                    let weight = TensorData::new(uniform(pair[0] * pair[1]), [pair[0], pair[1]]);
                    let bias = TensorData::new(uniform(pair[1]), [pair[1]]);
                    Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
                })
                .collect()
        });
        let start = match architecture.likelihood {
            Likelihood::GaussianFixed => libm::logf(architecture.variance),
            Likelihood::Gaussian | Likelihood::GaussianPredicted | Likelihood::Bernoulli => 0.0,
        };
        let log_variance = TensorData::new(vec![start; architecture.features], [architecture.features]);
        let prior = (architecture.prior > 0).then(|| {
            let shape = [architecture.prior, architecture.latent];
            let mean: Vec<f32> = (0..shape[0] * shape[1]).map(|_| standard_normal(&mut rng)).collect();
            LearnedPrior {
                logits: Param::from_data(TensorData::zeros::<f32, _>([1, shape[0]]), device),
                mean: Param::from_data(TensorData::new(mean, shape), device),
                log_variance: Param::from_data(TensorData::zeros::<f32, _>(shape), device),
            }
        });
        let network = Self { encoder, decoder, log_variance: Param::from_data(log_variance, device), prior };
        network.map(&mut Numbered(0))
    }

    /// The posterior's parameters `[windows, parameters]`, within their limits.
    #[must_use]
    pub fn encode(&self, architecture: &Architecture, batch: &Batch) -> Tensor<2> {
        let latent = architecture.latent;
        let seen = batch.blurred.as_ref().unwrap_or(&batch.x).clone();
        let outputs = forward(&self.encoder, join(seen, &batch.condition), architecture.activation);
        match architecture.posterior {
            Posterior::Diagonal => {
                let spread = outputs.clone().narrow(1, latent, latent);
                Tensor::cat(
                    vec![outputs.narrow(1, 0, latent), spread.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)],
                    1,
                )
            }
            Posterior::Full => {
                let mut parts = vec![outputs.clone().narrow(1, 0, latent)];
                for row in 0..latent {
                    let start = latent + row * (row + 1) / 2;
                    if row > 0 {
                        parts.push(outputs.clone().narrow(1, start, row));
                    }
                    let diagonal = outputs.clone().narrow(1, start + row, 1);
                    parts.push(diagonal.clamp(-0.5 * LOG_VARIANCE_LIMIT, 0.5 * LOG_VARIANCE_LIMIT));
                }
                Tensor::cat(parts, 1)
            }
            Posterior::Bernoulli => outputs.clamp(-LATENT_LOGIT_LIMIT, LATENT_LOGIT_LIMIT),
        }
    }

    /// `ln p(x|z)` of each of `z`'s rows, `[rows, 1]`, in nats of standardised units; `batch` has as many rows.
    #[must_use]
    pub fn log_conditional(&self, architecture: &Architecture, batch: Batch, z: Tensor<2>) -> Tensor<2> {
        let output = forward(&self.decoder, join(z, &batch.condition), architecture.activation);
        let family = match architecture.likelihood {
            Likelihood::Bernoulli => Family::Bernoulli,
            Likelihood::Gaussian | Likelihood::GaussianFixed => Family::Gaussian,
            Likelihood::GaussianPredicted => Family::GaussianPredicted(architecture.log_variance_bounds()),
        };
        let log_variance = self.likelihood_log_variance(architecture);
        fused::log_likelihood(family, output, &batch.x, batch.observed.as_ref(), log_variance.clone())
            .unwrap_or_else(|output| log_likelihood(family, output, batch, log_variance))
    }

    fn likelihood_log_variance(&self, architecture: &Architecture) -> Tensor<1> {
        let log_variance = self.log_variance.val();
        match architecture.likelihood {
            Likelihood::Gaussian => {
                let floors: Vec<f32> = architecture.variance_floors.iter().map(|floor| libm::logf(*floor)).collect();
                let device = log_variance.device();
                let floors = Tensor::from_data(TensorData::new(floors, [architecture.features]), &device);
                log_variance.max_pair(floors).clamp_max(LARGEST_LOG_VARIANCE)
            }
            Likelihood::GaussianFixed | Likelihood::GaussianPredicted | Likelihood::Bernoulli => log_variance.detach(),
        }
    }

    /// This network with its weights rounded as an int8 model file rounds them, under the same parameter ids: the gradient of
    /// its loss, applied to the weights that were not rounded, is the straight-through estimate.
    ///
    /// The file also divides the last layer's rows by the likelihood's standard deviations, which each row's own scale undoes.
    ///
    /// # Errors
    /// If the device cannot give the weights back.
    ///
    /// # Source
    /// Bengio, Léonard & Courville (2013), section 2.3; for weights: Jacob et al. (2018), section 3.
    pub fn quantised(&self) -> Result<Self> {
        let mut network = self.clone();
        for layer in network.encoder.iter_mut().chain(&mut network.decoder) {
            let weight = layer.weight.val();
            let ([columns, rows], device) = (weight.dims(), weight.device());
            let weights = read(weight.transpose())?;
            let dense = Dense { activation: vae_core::Activation::Identity, rows, columns, weights, bias: Vec::new() };
            let rounded = TensorData::new(dense.quantise().dequantise(), [rows, columns]);
            let rounded = Tensor::<2>::from_data(rounded, &device).transpose();
            layer.weight = layer.weight.clone().map(|weight| rounded.set_require_grad(weight.is_require_grad()));
        }
        Ok(network)
    }

    /// The weights, as the model file takes them.
    ///
    /// # Errors
    /// If the device cannot give them back.
    pub fn weights(&self, architecture: &Architecture) -> Result<Weights> {
        let dense = |layers: &[Linear]| -> Result<Vec<Dense>> {
            let last = layers.len() - 1;
            layers
                .iter()
                .enumerate()
                .map(|(index, layer)| {
                    let [columns, rows] = layer.weight.val().dims();
                    let bias = layer.bias.as_ref().context("a layer without bias")?;
                    let activation =
                        if index == last { vae_core::Activation::Identity } else { architecture.activation.core() };
                    let weights = read(layer.weight.val().transpose())?;
                    Ok(Dense { activation, rows, columns, weights, bias: read(bias.val())? })
                })
                .collect()
        };
        let variance = read(exp(self.likelihood_log_variance(architecture)))?;
        let mut decoder = dense(&self.decoder)?;
        if architecture.likelihood == Likelihood::GaussianPredicted
            && let Some(last) = decoder.last_mut()
        {
            last.interleave_halves();
        }
        let prior = self.prior.as_ref().map(LearnedPrior::read).transpose()?;
        Ok(Weights { encoder: dense(&self.encoder)?, decoder, variance, prior })
    }
}

impl LearnedPrior {
    fn log_variance(&self) -> Tensor<2> {
        self.log_variance.val().clamp(-PRIOR_LOG_VARIANCE_LIMIT, PRIOR_LOG_VARIANCE_LIMIT)
    }

    /// `ln Σ πₖ exp E[ln N(z; mₖ, sₖ²)]` for `z` of this `mean` and second moment `square`, both `[rows, latent]`: `[rows, 1]`,
    /// in nats. The core's `Mixture::log_density`, here by matrix products.
    pub(crate) fn log_density(&self, mean: Tensor<2>, square: Tensor<2>) -> Tensor<2> {
        let (centre, log_variance) = (self.mean.val(), self.log_variance());
        let precision = exp(log_variance.clone().neg());
        let scaled = centre.clone() * precision.clone();
        // Of each component: −½ Σ (ln 2π s² + m² / s²) + ln π
        let own = (log_variance + centre * scaled.clone()).add_scalar(LN_TWO_PI).sum_dim(1);
        let constant = log_softmax(self.logits.val()) - own.mul_scalar(0.5).transpose();
        let terms = matmul(mean, scaled.transpose()) - matmul(square, precision.transpose()).mul_scalar(0.5) + constant;
        let largest = terms.clone().detach().max_dim(1);
        ln(exp(terms - largest.clone()).sum_dim(1)) + largest
    }

    #[cfg(test)]
    pub(crate) fn with(self, logits: Tensor<2>, log_variance: Tensor<2>) -> Self {
        let [logits, log_variance] = [logits, log_variance].map(|values| Param::initialized(ParamId::new(), values));
        Self { logits, log_variance, ..self }
    }

    fn read(&self) -> Result<Mixture> {
        Ok(Mixture {
            weight: read(exp(log_softmax(self.logits.val())))?,
            mean: read(self.mean.val())?,
            deviation: read(exp(self.log_variance().mul_scalar(0.5)))?,
        })
    }
}

/// Trained weights outside burn.
#[derive(Clone, Debug)]
pub struct Weights {
    /// From features and conditions to the posterior's parameters.
    pub encoder: Vec<Dense>,
    /// From the latent vector and conditions to the likelihood's parameters.
    pub decoder: Vec<Dense>,
    /// The Gaussian likelihood's variance per standardised feature.
    pub variance: Vec<f32>,
    /// The learned prior.
    pub prior: Option<Mixture>,
}

/// The chains of operations that [`fused::log_likelihood`] does in one.
pub(crate) fn log_likelihood(family: Family, output: Tensor<2>, batch: Batch, log_variance: Tensor<1>) -> Tensor<2> {
    let gaussian = |mean: Tensor<2>, log_variance: Tensor<2>| {
        let difference = batch.x.clone() - mean;
        let quadratic = difference.clone() * difference * log_variance.clone().neg().exp();
        (quadratic + log_variance).add_scalar(LN_TWO_PI).mul_scalar(-0.5)
    };
    let nats = match family {
        Family::Bernoulli => batch.x.clone() * output.clone() - softplus(output),
        Family::Gaussian => gaussian(output, log_variance.unsqueeze::<2>()),
        Family::GaussianPredicted((low, high)) => {
            let [_, features] = batch.x.dims();
            let log_variance = output.clone().narrow(1, features, features).clamp(low, high);
            gaussian(output.narrow(1, 0, features), log_variance)
        }
    };
    match batch.observed {
        None => nats.sum_dim(1),
        Some(observed) => (nats * observed).sum_dim(1),
    }
}

fn join(values: Tensor<2>, condition: &Option<Tensor<2>>) -> Tensor<2> {
    match condition {
        None => values,
        Some(condition) => Tensor::cat(vec![values, condition.clone()], 1),
    }
}

fn forward(layers: &[Linear], mut x: Tensor<2>, hidden: HiddenActivation) -> Tensor<2> {
    for (index, layer) in layers.iter().enumerate() {
        let activation = if index + 1 < layers.len() { hidden } else { HiddenActivation::Identity };
        x = match fused::dense(layer, &x, activation) {
            Some(output) => output,
            None => activate(layer.forward(x), activation),
        };
    }
    x
}

/// The activation as burn has it.
pub(crate) fn activate(x: Tensor<2>, activation: HiddenActivation) -> Tensor<2> {
    match activation {
        HiddenActivation::Identity => x,
        HiddenActivation::Relu => activation::relu(x),
        HiddenActivation::LeakyRelu => activation::leaky_relu(x, 0.01),
        HiddenActivation::Tanh => activation::tanh(x),
        HiddenActivation::Silu => activation::silu(x),
        HiddenActivation::Sigmoid => activation::sigmoid(x),
        HiddenActivation::Softplus => softplus(x),
    }
}

/// A tensor's values.
///
/// # Errors
/// If the device cannot give them.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor
        .into_data_as::<f32>()
        .try_to_vec()
        .map_err(|error| anyhow::anyhow!("values cannot be read from the device: {error:?}"))
}
