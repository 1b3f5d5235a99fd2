//! The variational autoencoder as burn trains it.

use anyhow::{Context, Result};
use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData, activation},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::LOG_VARIANCE_LIMIT;

use crate::{
    config::{Config, HiddenActivation, Likelihood},
    model_file::Dense,
};

/// Learned log-variances of the likelihood stay below this: ten times the spread of the data.
const LARGEST_LOG_VARIANCE: f32 = 4.6;
const LN_TWO_PI: f32 = 1.837_877_1;

/// Sizes and kinds that the weights do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Values in a window.
    pub features: usize,
    /// Widths of the encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// Activation of the hidden layers.
    pub activation: HiddenActivation,
    /// Likelihood `p(x|z)`.
    pub likelihood: Likelihood,
    /// Variance of the fixed Gaussian, in standardised units.
    pub variance: f32,
    /// Least variance of the learned Gaussian, in standardised units.
    pub variance_floor: f32,
}

impl Architecture {
    /// What a configuration asks for, for windows of `features` values.
    #[must_use]
    pub fn new(config: &Config, features: usize) -> Self {
        Self {
            features,
            hidden: config.hidden.clone(),
            latent: config.latent_for(features),
            activation: config.activation,
            likelihood: config.likelihood,
            variance: config.variance,
            variance_floor: config.variance_floor(),
        }
    }

    /// Widths of the encoder, input to output, then of the decoder.
    fn widths(&self) -> [Vec<usize>; 2] {
        let mut encoder = vec![self.features];
        encoder.extend(&self.hidden);
        encoder.push(2 * self.latent);
        let mut decoder = vec![self.latent];
        decoder.extend(self.hidden.iter().rev());
        decoder.push(self.features);
        [encoder, decoder]
    }
}

/// Encoder, decoder and, for the learned Gaussian, the log-variance of each standardised feature.
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Vec<Linear>,
    decoder: Vec<Linear>,
    log_variance: Param<Tensor<1>>,
}

/// The negative ELBO of a batch and its parts, each the mean over the batch, in nats of standardised units.
#[derive(Debug)]
pub struct Loss {
    /// `kl − reconstruction`
    pub negative_elbo: Tensor<1>,
    /// `E_q[ln p(x|z)]`, by one sample a window.
    pub reconstruction: Tensor<1>,
    /// `KL(q(z|x) ‖ p(z))`
    pub kl: Tensor<1>,
}

/// A batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `[windows, features]`; 0 where not observed.
    x: Tensor<2>,
    /// 1 where observed; `None` where everything is.
    observed: Option<Tensor<2>>,
    /// `[windows, latent]`: the noise of the reparameterisation.
    noise: Tensor<2>,
}

impl Batch {
    /// Moves a batch to a device: `x` has `features` values a window, NaN for those not observed, `noise` one draw from
    /// `N(0, 1)` per window and latent dimension.
    #[must_use]
    pub fn new(mut x: Vec<f32>, noise: Vec<f32>, windows: usize, device: &Device) -> Self {
        let shape = |values: &[f32]| [windows, values.len() / windows];
        let observed = x.iter().any(|x| x.is_nan()).then(|| {
            let mask: Vec<f32> = x.iter().map(|x| if x.is_nan() { 0.0 } else { 1.0 }).collect();
            x.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
            Tensor::from_data(TensorData::new(mask, shape(&x)), device)
        });
        let (x_shape, noise_shape) = (shape(&x), shape(&noise));
        Self {
            x: Tensor::from_data(TensorData::new(x, x_shape), device),
            observed,
            noise: Tensor::from_data(TensorData::new(noise, noise_shape), device),
        }
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
            Likelihood::GaussianFixed => architecture.variance.ln(),
            Likelihood::Gaussian | Likelihood::Bernoulli => 0.0,
        };
        let log_variance = TensorData::new(vec![start; architecture.features], [architecture.features]);
        Self { encoder, decoder, log_variance: Param::from_data(log_variance, device) }
    }

    /// The negative ELBO of a batch, differentiable by the reparameterisation `z = μ + σ ⊙ ε`.
    ///
    /// # Source
    /// Kingma & Welling (2014), equation 10 with L = 1; the seed derivations' "final training objective".
    #[must_use]
    pub fn loss(&self, architecture: &Architecture, batch: Batch) -> Loss {
        let [windows, _] = batch.x.dims();
        let hidden = architecture.activation;
        let parameters = forward(&self.encoder, batch.x.clone(), hidden);
        let mean = parameters.clone().narrow(1, 0, architecture.latent);
        let log_variance = parameters
            .narrow(1, architecture.latent, architecture.latent)
            .clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT);
        let z = mean.clone() + log_variance.clone().mul_scalar(0.5).exp() * batch.noise;
        let output = forward(&self.decoder, z, hidden);

        let nats = match architecture.likelihood {
            Likelihood::Bernoulli => batch.x * output.clone() - softplus(output),
            Likelihood::Gaussian | Likelihood::GaussianFixed => {
                let log_variance = self.likelihood_log_variance(architecture).unsqueeze::<2>();
                let difference = batch.x - output;
                let quadratic = difference.clone() * difference * log_variance.clone().neg().exp();
                (quadratic + log_variance).add_scalar(LN_TWO_PI).mul_scalar(-0.5)
            }
        };
        let nats = match batch.observed {
            None => nats,
            Some(observed) => nats * observed,
        };
        let scale = 1.0 / windows as f32;
        let reconstruction = nats.sum().mul_scalar(scale);
        let twice_kl = log_variance.clone().exp() + mean.clone() * mean - log_variance.add_scalar(1.0);
        let kl = twice_kl.sum().mul_scalar(0.5 * scale);
        Loss { negative_elbo: kl.clone() - reconstruction.clone(), reconstruction, kl }
    }

    fn likelihood_log_variance(&self, architecture: &Architecture) -> Tensor<1> {
        let log_variance = self.log_variance.val();
        match architecture.likelihood {
            Likelihood::Gaussian => log_variance.clamp(architecture.variance_floor.ln(), LARGEST_LOG_VARIANCE),
            Likelihood::GaussianFixed | Likelihood::Bernoulli => log_variance.detach(),
        }
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
                    Ok(Dense {
                        activation,
                        rows,
                        columns,
                        weights: read(layer.weight.val().transpose())?,
                        bias: read(bias.val())?,
                    })
                })
                .collect()
        };
        let variance = read(self.likelihood_log_variance(architecture).exp())?;
        Ok(Weights { encoder: dense(&self.encoder)?, decoder: dense(&self.decoder)?, variance })
    }
}

/// Trained weights outside burn.
#[derive(Clone, Debug)]
pub struct Weights {
    /// From features to the posterior's means and log-variances.
    pub encoder: Vec<Dense>,
    /// From the latent vector to the likelihood's means or logits.
    pub decoder: Vec<Dense>,
    /// The Gaussian likelihood's variance per standardised feature.
    pub variance: Vec<f32>,
}

fn forward(layers: &[Linear], mut x: Tensor<2>, hidden: HiddenActivation) -> Tensor<2> {
    for (index, layer) in layers.iter().enumerate() {
        x = layer.forward(x);
        if index + 1 < layers.len() {
            x = match hidden {
                HiddenActivation::Identity => x,
                HiddenActivation::Relu => activation::relu(x),
                HiddenActivation::LeakyRelu => activation::leaky_relu(x, 0.01),
                HiddenActivation::Tanh => activation::tanh(x),
                HiddenActivation::Silu => activation::silu(x),
                HiddenActivation::Sigmoid => activation::sigmoid(x),
                HiddenActivation::Softplus => softplus(x),
            };
        }
    }
    x
}

/// `max(v, 0) + ln(1 + e^−|v|)`, as the core computes it; burn's own overflows for large logits.
fn softplus(v: Tensor<2>) -> Tensor<2> {
    let tail = v.clone().abs().neg().exp().log1p();
    activation::relu(v) + tail
}

fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data_as::<f32>().try_to_vec().map_err(|error| anyhow::anyhow!("cannot read weights: {error:?}"))
}
