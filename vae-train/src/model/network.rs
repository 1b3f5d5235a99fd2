//! The variational autoencoder as burn trains it.

use std::ops::Range;

use anyhow::{Context, Result};
use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    nn::Linear,
    tensor::{Device, Tensor, TensorData, activation},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, format::FeatureFamily};

use crate::{
    cpu::{
        elementwise::{exp, softplus},
        kernel::{LN_TWO_PI, log_likelihood},
        likelihood::{self, Family},
        tensor::read,
    },
    model::{
        architecture::{Architecture, LARGEST_LOG_VARIANCE},
        baseline::Baseline,
        batch::Batch,
        covariance,
        layers::{forward, join},
        prior::LearnedPrior,
    },
    weights::{
        dense::Dense,
        family::{Likelihood, Posterior},
        mixture::Mixture,
    },
};

/// Encoder, decoder and, for the learned Gaussian, the log-variance of each standardised feature.
#[derive(Module, Debug)]
pub struct Vae {
    #[module(skip)]
    architecture: Architecture,
    pub(crate) encoder: Vec<Linear>,
    pub(crate) decoder: Vec<Linear>,
    pub(crate) log_variance: Param<Tensor<1>>,
    pub(crate) prior: Option<LearnedPrior>,
    /// Of training alone.
    pub(crate) baseline: Option<Baseline>,
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
            _ => 0.0,
        };
        let log_variance = TensorData::new(vec![start; architecture.features], [architecture.features]);
        let prior = (architecture.prior > 0)
            .then(|| LearnedPrior::init(architecture.prior, architecture.latent, &mut rng, device));
        let log_variance = Param::from_data(log_variance, device);
        let network =
            Self { architecture: architecture.clone(), encoder, decoder, log_variance, prior, baseline: None };
        network.map(&mut Numbered(0))
    }

    /// This network with a baseline for the score function's gradient.
    #[must_use]
    pub(crate) fn with_baseline(self, baseline: Baseline) -> Self {
        Self { baseline: Some(baseline), ..self }.map(&mut Numbered(0))
    }

    /// Its sizes and kinds.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The posterior's parameters `[windows, parameters]`, within their limits.
    #[must_use]
    pub fn encode(&self, batch: &Batch) -> Tensor<2> {
        let Architecture { latent, activation, posterior, .. } = self.architecture;
        let seen = batch.blurred.as_ref().unwrap_or(&batch.x).clone();
        let outputs = forward(&self.encoder, join(seen, &batch.condition), activation);
        match posterior {
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
            Posterior::Bernoulli | Posterior::Categorical { .. } => {
                outputs.clamp(-LATENT_LOGIT_LIMIT, LATENT_LOGIT_LIMIT)
            }
        }
    }

    /// `ln p(x|z)` of each of `z`'s rows, `[rows, 1]`, in nats of standardised units; `batch` has as many rows.
    #[must_use]
    pub fn log_conditional(&self, batch: Batch, z: Tensor<2>) -> Tensor<2> {
        let output = forward(&self.decoder, join(z, &batch.condition), self.architecture.activation);
        let family = self.family();
        let log_variance = self.likelihood_log_variance();
        likelihood::log_likelihood(family, output, &batch.x, batch.observed.as_ref(), log_variance.clone())
            .unwrap_or_else(|output| log_likelihood(family, output, batch, log_variance))
    }

    /// What the decoder's output parametrises.
    pub(crate) fn family(&self) -> Family<'_> {
        match self.architecture.likelihood {
            Likelihood::Bernoulli => Family::Bernoulli,
            Likelihood::Gaussian | Likelihood::GaussianFixed => Family::Gaussian,
            Likelihood::GaussianPredicted => Family::GaussianPredicted(self.architecture.log_variance_bounds()),
            Likelihood::GaussianCovariance => Family::GaussianCovariance(self.architecture.log_variance_bounds()),
            Likelihood::Mixed => Family::Mixed(&self.architecture.families),
        }
    }

    /// The least log-variance of each feature, where these are learned; at most they are [`LARGEST_LOG_VARIANCE`].
    pub(crate) fn log_variance_floors(&self) -> Option<Vec<f32>> {
        let Architecture { likelihood, variance_floors, .. } = &self.architecture;
        let is_learned = matches!(likelihood, Likelihood::Gaussian | Likelihood::Mixed);
        is_learned.then(|| variance_floors.iter().map(|floor| libm::logf(*floor)).collect())
    }

    fn likelihood_log_variance(&self) -> Tensor<1> {
        let log_variance = self.log_variance.val();
        let Some(floors) = self.log_variance_floors() else { return log_variance.detach() };
        let device = log_variance.device();
        let floors = Tensor::from_data(TensorData::new(floors, [self.architecture.features]), &device);
        log_variance.max_pair(floors).clamp_max(LARGEST_LOG_VARIANCE)
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
    pub fn weights(&self) -> Result<Weights> {
        let Architecture { activation: hidden, features, .. } = self.architecture;
        let dense = |layers: &[Linear]| -> Result<Vec<Dense>> {
            let last = layers.len() - 1;
            layers
                .iter()
                .enumerate()
                .map(|(index, layer)| {
                    let [columns, rows] = layer.weight.val().dims();
                    let bias = layer.bias.as_ref().context("a layer without bias")?;
                    let activation = if index == last { vae_core::Activation::Identity } else { hidden.core() };
                    let weights = read(layer.weight.val().transpose())?;
                    Ok(Dense { activation, rows, columns, weights, bias: read(bias.val())? })
                })
                .collect()
        };
        let mut variance = read(exp(self.likelihood_log_variance()))?;
        // Zeros and ones have none.
        let discrete = variance.iter_mut().zip(&self.architecture.families).filter(|(_, family)| family.is_discrete());
        discrete.for_each(|(variance, _)| *variance = 1.0);
        let mut decoder = dense(&self.decoder)?;
        if let Some(last) = decoder.last_mut() {
            // What is predicted for a feature.
            last.interleave(last.rows / features);
        }
        let prior = self.prior.as_ref().map(LearnedPrior::read).transpose()?;
        Ok(Weights { encoder: dense(&self.encoder)?, decoder, variance, prior })
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

/// The chains of operations that [`likelihood::log_likelihood`] does in one.
pub(crate) fn log_likelihood(
    family: Family<'_>,
    output: Tensor<2>,
    batch: Batch,
    log_variance: Tensor<1>,
) -> Tensor<2> {
    let gaussian = |x: Tensor<2>, mean: Tensor<2>, log_variance: Tensor<2>| {
        let difference = x - mean;
        let quadratic = difference.clone() * difference * log_variance.clone().neg().exp();
        (quadratic + log_variance).add_scalar(LN_TWO_PI).mul_scalar(-0.5)
    };
    let nats = match family {
        Family::Bernoulli => batch.x * output.clone() - softplus(output),
        Family::Gaussian => gaussian(batch.x, output, log_variance.unsqueeze::<2>()),
        Family::GaussianPredicted((low, high)) => {
            let [_, features] = batch.x.dims();
            let log_variance = output.clone().narrow(1, features, features).clamp(low, high);
            gaussian(batch.x, output.narrow(1, 0, features), log_variance)
        }
        Family::GaussianCovariance(bounds) => return covariance::log_likelihood(output, &batch, bounds),
        Family::Mixed(families) => {
            // Column by column: this is for devices whose operations are not fused.
            let of_column = |range: Range<usize>| {
                let narrow = |all: &Tensor<2>| all.clone().narrow(1, range.start, range.len());
                let (x, output) = (narrow(&batch.x), narrow(&output));
                match families[range.start] {
                    FeatureFamily::Gaussian => gaussian(x, output, narrow(&log_variance.clone().unsqueeze::<2>())),
                    FeatureFamily::FirstCategory { log_other } => {
                        let known = libm::log1pf(-libm::expf(log_other));
                        x * activation::log_softmax(output, 1).add_scalar(known)
                    }
                    FeatureFamily::Bernoulli | FeatureFamily::NextCategory => x * output.clone() - softplus(output),
                }
            };
            Tensor::cat(log_likelihood::columns(families).map(of_column).collect(), 1)
        }
    };
    match batch.observed {
        None => nats.sum_dim(1),
        Some(observed) => (nats * observed).sum_dim(1),
    }
}
