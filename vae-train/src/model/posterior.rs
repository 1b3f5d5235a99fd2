//! The posterior in training: samples of it, and its distance from the prior.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::{
    cpu::{
        elementwise::{exp, ln, log_softmax, sigmoid, softplus},
        kernel::LN_TWO_PI,
    },
    model::{architecture::Architecture, prior::LearnedPrior},
    weights::family::Posterior,
};

/// How the gradient of an expectation over `q(z|x)` is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Through the sample: `z = μ + σ ε`.
    Reparameterised,
    /// By the score function (REINFORCE), of latents that are zeros and ones, too.
    ScoreFunction,
    /// Exactly, by all latent vectors that there are of zeros and ones: at most 256.
    Enumeration,
}

/// Latent samples and their densities, one row a sample.
pub(crate) struct Samples {
    pub(crate) z: Tensor<2>,
    /// `ln q(z|x)`, `[rows, 1]`
    pub(crate) log_density: Tensor<2>,
}

/// Draws from the posterior: differentiably by the reparameterisation, or as constants whose log density is differentiable. By enumeration the noise
/// is what is drawn.
pub(crate) fn sample(
    architecture: &Architecture,
    estimator: Estimator,
    parameters: Tensor<2>,
    noise: Tensor<2>,
) -> Samples {
    let latent = architecture.latent;
    let location = parameters.clone().narrow(1, 0, latent);
    match architecture.posterior {
        Posterior::Diagonal => {
            let log_variance = parameters.narrow(1, latent, latent);
            let mut z = location.clone() + exp(log_variance.clone().mul_scalar(0.5)) * noise.clone();
            let mut deviation = noise;
            if estimator == Estimator::ScoreFunction {
                z = z.detach();
                deviation = (z.clone() - location) * exp(log_variance.clone().mul_scalar(-0.5));
            }
            let twice = deviation.clone() * deviation + log_variance;
            Samples { z, log_density: twice.add_scalar(LN_TWO_PI).sum_dim(1).mul_scalar(-0.5) }
        }
        Posterior::Full => {
            let mut columns = Vec::with_capacity(latent);
            let mut twice = noise.clone() * noise.clone();
            let mut log_diagonals = Vec::with_capacity(latent);
            for row in 0..latent {
                let start = latent + row * (row + 1) / 2;
                let log_diagonal = parameters.clone().narrow(1, start + row, 1);
                let mut value = exp(log_diagonal.clone()) * noise.clone().narrow(1, row, 1);
                if row > 0 {
                    let below = parameters.clone().narrow(1, start, row);
                    value = value + (below * noise.clone().narrow(1, 0, row)).sum_dim(1);
                }
                columns.push(value + location.clone().narrow(1, row, 1));
                log_diagonals.push(log_diagonal);
            }
            twice = twice + Tensor::cat(log_diagonals, 1).mul_scalar(2.0);
            let log_density = twice.add_scalar(LN_TWO_PI).sum_dim(1).mul_scalar(-0.5);
            Samples { z: Tensor::cat(columns, 1), log_density }
        }
        Posterior::Bernoulli => {
            let z = match estimator {
                Estimator::Enumeration => noise,
                _ => noise.lower(sigmoid(location.clone())).float().detach(),
            };
            let log_density = (z.clone() * location.clone() - softplus(location)).sum_dim(1);
            Samples { z, log_density }
        }
        Posterior::Categorical { categories } => {
            let log_chances = log_chances(location, categories);
            let z = match estimator {
                Estimator::Enumeration => noise,
                _ => drawn(log_chances.clone().detach(), categories, noise),
            };
            Samples { log_density: (z.clone() * log_chances).sum_dim(1), z }
        }
    }
}

/// `ln p` of the categories of each latent, `[rows, latent]`.
fn log_chances(logits: Tensor<2>, categories: usize) -> Tensor<2> {
    let [rows, latent] = logits.dims();
    log_softmax(logits.reshape([rows * latent / categories, categories])).reshape([rows, latent])
}

/// A category of each latent, as a one among zeros, by a uniform number for each category.
///
/// # Source
/// Gumbel (1954); Maddison, Tarlow & Minka (2014), *A\* sampling*, section 2.
fn drawn(log_chances: Tensor<2>, categories: usize, uniform: Tensor<2>) -> Tensor<2> {
    let [rows, latent] = log_chances.dims();
    let largest = (log_chances - ln(ln(uniform).neg())).reshape([rows * latent / categories, categories]).argmax(1);
    let all = Tensor::<1, Int>::arange(0..categories as i64, &largest.device()).unsqueeze::<2>();
    largest.equal(all).float().reshape([rows, latent])
}

/// `KL(q(z|x) ‖ p(z))` by latent dimension, `[windows, latent]`; that of a full covariance by row of the factor, and of categorical latents by
/// latent, each of which has several dimensions.
pub(crate) fn kl_per_dimension(architecture: &Architecture, parameters: Tensor<2>) -> Tensor<2> {
    let latent = architecture.latent;
    let location = parameters.clone().narrow(1, 0, latent);
    let gaussian = |squares: Tensor<2>, log_variance: Tensor<2>| {
        (exp(log_variance.clone()) - log_variance.add_scalar(1.0) + squares).mul_scalar(0.5)
    };
    match architecture.posterior {
        Posterior::Diagonal => gaussian(location.clone() * location, parameters.narrow(1, latent, latent)),
        Posterior::Full => {
            let rows = (0..latent).map(|row| {
                let start = latent + row * (row + 1) / 2;
                let mean = location.clone().narrow(1, row, 1);
                let mut squares = mean.clone() * mean;
                if row > 0 {
                    let below = parameters.clone().narrow(1, start, row);
                    squares = squares + (below.clone() * below).sum_dim(1);
                }
                gaussian(squares, parameters.clone().narrow(1, start + row, 1).mul_scalar(2.0))
            });
            Tensor::cat(rows.collect(), 1)
        }
        Posterior::Bernoulli => {
            let negative_entropy = sigmoid(location.clone()) * location.clone() - softplus(location);
            negative_entropy.add_scalar(std::f32::consts::LN_2)
        }
        Posterior::Categorical { categories } => {
            let latents = latent / categories;
            let log_chances = log_chances(location, categories);
            let [windows, _] = log_chances.dims();
            let nats = exp(log_chances.clone()) * log_chances.add_scalar(libm::logf(categories as f32));
            nats.reshape([windows * latents, categories]).sum_dim(1).reshape([windows, latents])
        }
    }
}

/// The upper bound `−ln Σ πₖ exp −KL(q(z|x) ‖ pₖ)` of a Gaussian's KL to a mixture of diagonal ones, `[windows, 1]`.
///
/// # Source
/// Hershey & Olsen (2007), *Approximating the Kullback Leibler divergence between Gaussian mixture models*, section 7.
pub(crate) fn kl_to_mixture(prior: &LearnedPrior, architecture: &Architecture, parameters: Tensor<2>) -> Tensor<2> {
    let mean = parameters.clone().narrow(1, 0, architecture.latent);
    let (variance, log_determinant) = variances(architecture, parameters);
    let entropy = log_determinant.add_scalar(architecture.latent as f32 * (1.0 + LN_TWO_PI)).mul_scalar(0.5);
    entropy.neg() - prior.log_density(mean.clone(), mean.clone() * mean + variance)
}

/// Of a Gaussian posterior, the variance of each latent dimension, `[windows, latent]`, and the logarithm of the covariance's determinant,
/// `[windows, 1]`.
fn variances(architecture: &Architecture, parameters: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let latent = architecture.latent;
    if architecture.posterior != Posterior::Full {
        let log_variance = parameters.narrow(1, latent, latent);
        return (exp(log_variance.clone()), log_variance.sum_dim(1));
    }
    let rows = (0..latent).map(|row| {
        let start = latent + row * (row + 1) / 2;
        let log_variance = parameters.clone().narrow(1, start + row, 1).mul_scalar(2.0);
        let own = exp(log_variance.clone());
        if row == 0 {
            return (own, log_variance);
        }
        let below = parameters.clone().narrow(1, start, row);
        (own + (below.clone() * below).sum_dim(1), log_variance)
    });
    let (variances, log_variances): (Vec<_>, Vec<_>) = rows.unzip();
    (Tensor::cat(variances, 1), Tensor::cat(log_variances, 1).sum_dim(1))
}

/// `ln p(z)` of the standard prior, `[rows, 1]`.
pub(crate) fn log_prior(architecture: &Architecture, z: Tensor<2>) -> Tensor<2> {
    match architecture.posterior {
        Posterior::Diagonal | Posterior::Full => (z.clone() * z).add_scalar(LN_TWO_PI).sum_dim(1).mul_scalar(-0.5),
        Posterior::Bernoulli => z.zeros_like().sub_scalar(std::f32::consts::LN_2).sum_dim(1),
        // Of each latent one value is 1.
        Posterior::Categorical { categories } => z.sum_dim(1).mul_scalar(-libm::logf(categories as f32)),
    }
}
