//! A prior that is learned with the network.

use anyhow::Result;
use burn::{
    backend::{Flex, flex::FlexTensor},
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::{
    cpu::{
        elementwise::{exp, ln, log_softmax},
        kernel::LN_TWO_PI,
        latent::{Latents, Mixture},
        product::matmul,
        tensor::{in_one_buffer, read},
    },
    weights::mixture,
};

/// Log-variances of the prior's components are limited to ± this value: σ between 0.0067 and 148.
const PRIOR_LOG_VARIANCE_LIMIT: f32 = 10.0;

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

impl LearnedPrior {
    /// Components of equal weight and width, about means that are drawn from `N(0, I)`.
    pub(crate) fn init(components: usize, latent: usize, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let shape = [components, latent];
        let mean: Vec<f32> = (0..components * latent).map(|_| standard_normal(rng)).collect();
        Self {
            logits: Param::from_data(TensorData::zeros::<f32, _>([1, components]), device),
            mean: Param::from_data(TensorData::new(mean, shape), device),
            log_variance: Param::from_data(TensorData::zeros::<f32, _>(shape), device),
        }
    }

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

    /// Registers this prior's gradients by the KL of a posterior to it, which weighs `weight`; gives the KL's sum over the windows, and its gradient
    /// by the posterior's means and log-variances. `None` where the prior is not on the CPU.
    pub(crate) fn backpropagate(
        &self,
        latents: &Latents<'_>,
        weight: f32,
        gradients: &mut GradientsParams,
    ) -> Option<(f32, [Vec<f32>; 2])> {
        let parameters = [&self.logits, &self.mean, &self.log_variance];
        let values = parameters.map(|parameter| in_one_buffer(parameter.val()));
        let [Some(logits), Some(mean), Some(log_variance)] = &values else { return None };
        let mixture = Mixture::new(logits.storage(), mean.storage(), log_variance.storage(), PRIOR_LOG_VARIANCE_LIMIT);
        let kl = mixture.kl(latents, weight);
        for (parameter, gradient) in parameters.into_iter().zip(kl.by_prior) {
            let gradient = FlexTensor::from_data(TensorData::new(gradient, parameter.val().dims()));
            gradients.register(parameter.id, Tensor::<2>::from_primitive::<Flex>(gradient));
        }
        Some((kl.nats, kl.by_latents))
    }

    #[cfg(test)]
    pub(crate) fn with(self, logits: Tensor<2>, log_variance: Tensor<2>) -> Self {
        let [logits, log_variance] =
            [logits, log_variance].map(|values| Param::initialized(burn::module::ParamId::new(), values));
        Self { logits, log_variance, ..self }
    }

    /// The prior outside burn.
    pub(crate) fn read(&self) -> Result<mixture::Mixture> {
        Ok(mixture::Mixture {
            weight: read(exp(log_softmax(self.logits.val())))?,
            mean: read(self.mean.val())?,
            deviation: read(exp(self.log_variance().mul_scalar(0.5)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            architecture::Architecture,
            batch::Batch,
            network::Vae,
            objective::{Bound, Objective},
            posterior::Estimator,
        },
        weights::family::{HiddenActivation, Likelihood, Posterior},
    };

    const X: [f32; 4] = [0.7, -1.2, 0.3, 1.0];

    #[test]
    fn the_kl_to_a_learned_prior_is_the_core_s() {
        // Behind the means: two log-variances, or the factor's rows, of which the first and the last are logarithms of its diagonal.
        compare(Posterior::Diagonal, |spread| 0.5 * (spread[0] + spread[1]));
        compare(Posterior::Full, |spread| spread[0] + spread[2]);
    }

    /// With what the posterior's spread says of `½ ln |Σ|`.
    fn compare(posterior: Posterior, log_deviations: impl Fn(&[f32]) -> f32) {
        let architecture = Architecture {
            features: 4,
            conditions: 0,
            hidden: Vec::new(),
            latent: 2,
            prior: 3,
            activation: HiddenActivation::Identity,
            posterior,
            likelihood: Likelihood::GaussianFixed,
            variance: 0.5,
            variance_floor: 0.1,
            covariance_rank: 0,
            variance_floors: vec![0.1; 4],
            families: Vec::new(),
        };
        let mut network = Vae::init(&architecture, 3, &Device::flex());
        if let Some(prior) = &mut network.prior {
            // Unequal weights and widths, which training would bring.
            let values =
                |values: [f32; 6]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [3, 2]), &Device::flex());
            let logits = TensorData::new(vec![0.5f32, -1.0, 0.2], [1, 3]);
            *prior = prior
                .clone()
                .with(Tensor::from_data(logits, &Device::flex()), values([0.3, -1.0, 0.8, 0.1, -2.0, 1.0]));
        }
        let weights = network.weights().unwrap();
        let file = crate::file::model_file::ModelFile {
            precision: vae_core::format::Precision::F32,
            posterior: posterior.kind(),
            likelihood: Likelihood::GaussianFixed.kind(0),
            channels: (0..4).map(|i| format!("x{i}")).collect(),
            window: 1,
            hop: 1,
            front_ends: Vec::new(),
            latent: 2,
            mean: vec![0.0; 4],
            scale: vec![1.0; 4],
            variance: weights.variance,
            families: Vec::new(),
            log_variance_bounds: architecture.log_variance_bounds(),
            conditions: Vec::new(),
            condition_mean: Vec::new(),
            condition_scale: Vec::new(),
            encoder: weights.encoder,
            decoder: weights.decoder,
            prior: weights.prior,
            relations: None,
            mixture: None,
            second_stage: None,
            attributes: Vec::new(),
            calibration: crate::file::calibration::CalibrationRecord::default(),
            golden_inputs: Vec::new(),
            data: String::new(),
            seed: 0,
            metrics: Vec::new(),
        };
        let file = crate::file::model_file::AlignedFile::new(&file.to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = vae_core::Scratch::new(&mut memory);
        let score = model.elbo_at_mean(&X, &mut scratch).unwrap();
        let objective = Objective {
            bound: Bound::Elbo,
            samples: 1,
            beta: 1.0,
            free_bits: 0.0,
            estimator: Estimator::Reparameterised,
        };
        let batch = || Batch::new(X.to_vec(), &architecture, &Device::flex());
        let noise = Tensor::from_data(TensorData::new(vec![0.0f32; 2], [1, 2]), &Device::flex());
        let loss = objective.loss(&network, batch(), noise);
        let kl = loss.kl.into_scalar::<f32>();
        assert!((kl - score.kl).abs() < 1e-5 * kl.abs().max(1.0), "{kl} and {}", score.kl);
        // With one sample at the mean, the importance weight is the joint less the density of q at its mean.
        let z = read(network.encode(&batch())).unwrap();
        let prior = model.log_prior(&z[..2]).unwrap();
        let objective = Objective { bound: Bound::Importance, ..objective };
        let noise = Tensor::from_data(TensorData::new(vec![0.0f32; 2], [1, 2]), &Device::flex());
        let bound = objective.loss(&network, batch(), noise).bound.into_scalar::<f32>();
        let q = -log_deviations(&z[2..]) - LN_TWO_PI;
        assert!((bound - (score.reconstruction + prior - q)).abs() < 1e-4, "{bound}");
    }
}
