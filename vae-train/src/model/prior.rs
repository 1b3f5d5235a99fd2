//! A prior that is learned with the network.

use anyhow::Result;
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::{
    cpu::{
        elementwise::{exp, ln, log_softmax},
        kernel::LN_TWO_PI,
        product::matmul,
        tensor::read,
    },
    weights::mixture::Mixture,
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

    #[cfg(test)]
    pub(crate) fn with(self, logits: Tensor<2>, log_variance: Tensor<2>) -> Self {
        let [logits, log_variance] =
            [logits, log_variance].map(|values| Param::initialized(burn::module::ParamId::new(), values));
        Self { logits, log_variance, ..self }
    }

    /// The prior outside burn.
    pub(crate) fn read(&self) -> Result<Mixture> {
        Ok(Mixture {
            weight: read(exp(log_softmax(self.logits.val())))?,
            mean: read(self.mean.val())?,
            deviation: read(exp(self.log_variance().mul_scalar(0.5)))?,
        })
    }
}
