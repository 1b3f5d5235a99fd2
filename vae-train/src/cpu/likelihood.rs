//! The likelihood as one operation, in which burn's CPU backend would run a long chain, each link with its own derivative.

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{Tensor, TensorData},
};
use vae_core::format::FeatureFamily;

use crate::cpu::{
    kernel::{
        self, covariance,
        log_likelihood::{self, Observations},
    },
    tensor::{OnCpu, in_one_buffer, matrix, on_cpu},
};

/// As a whole contiguous buffer, not copied if it is one.
fn whole(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// Which likelihood a decoder's output parametrises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family<'f> {
    /// Logits.
    Bernoulli,
    /// Means; the log-variances are given.
    Gaussian,
    /// Means, then log-variances, which are held within the bounds.
    GaussianPredicted((f32, f32)),
    /// Means, then log-variances, which are held within the bounds, then the columns of a covariance's product `U Uᵀ`.
    GaussianCovariance((f32, f32)),
    /// Means, whose log-variances are given, and logits, by the family of each feature.
    Mixed(&'f [FeatureFamily]),
}

/// `ln p(x|z)` of each row, `[rows, 1]`; gives `output` back where it is not on the CPU. `log_variance` is that of
/// [`Family::Gaussian`] and of Gaussian features, and unused by the others.
#[expect(clippy::result_large_err, reason = "the tensor goes back to where it came from")]
pub(crate) fn log_likelihood(
    family: Family<'_>,
    output: Tensor<2>,
    x: &Tensor<2>,
    observed: Option<&Tensor<2>>,
    log_variance: Tensor<1>,
) -> Result<Tensor<2>, Tensor<2>> {
    let (Some(x), observed, Ok(log_variance)) =
        (in_one_buffer(x.clone()), observed.cloned().map(in_one_buffer), on_cpu(log_variance))
    else {
        return Err(output);
    };
    let data = |log_variance| Data::new(family, x, observed.flatten(), whole(log_variance));
    match (on_cpu(output)?, log_variance) {
        (OnCpu::Plain(output), OnCpu::Plain(log_variance)) => {
            Ok(Tensor::from_primitive::<Flex>(data(log_variance).judge(family, output).0))
        }
        (OnCpu::Differentiable(output), OnCpu::Differentiable(log_variance)) => {
            let preparation = LogLikelihood
                .prepare::<NoCheckpointing>([output.node(), log_variance.node()])
                .compute_bound()
                .stateful();
            let data = data(log_variance.into_primitive());
            let (nats, judged) = data.judge(family, output.into_primitive());
            let nats = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(judged, nats),
                OpsKind::UnTracked(preparation) => preparation.finish(nats),
            };
            Ok(Tensor::from_primitive::<Autodiff<Flex>>(nats))
        }
        (OnCpu::Plain(output), OnCpu::Differentiable(_)) => Err(Tensor::from_primitive::<Flex>(output)),
        (OnCpu::Differentiable(output), OnCpu::Plain(_)) => Err(Tensor::from_primitive::<Autodiff<Flex>>(output)),
    }
}

/// What a likelihood is of.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    /// `[rows, features]`
    x: FlexTensor,
    /// 1 where observed; `None` where everything is.
    observed: Option<FlexTensor>,
    log_variance: FlexTensor,
    /// The features whose log-variance is no parameter.
    not_gaussian: Vec<usize>,
}

impl Data {
    pub(crate) fn new(
        family: Family<'_>,
        x: FlexTensor,
        observed: Option<FlexTensor>,
        log_variance: FlexTensor,
    ) -> Self {
        let not_gaussian = match family {
            Family::Mixed(families) => (0..families.len()).filter(|feature| families[*feature].is_discrete()).collect(),
            _ => Vec::new(),
        };
        Self { x, observed, log_variance, not_gaussian }
    }

    /// The rows' nats, `[rows, 1]`, and what their derivatives need.
    pub(crate) fn judge(self, family: Family<'_>, output: FlexTensor) -> (FlexTensor, Judged) {
        let mut derivatives = whole(output);
        let shape = self.x.layout().shape();
        let (rows, features) = (shape[0], shape[1]);
        let observed = self.observed.as_ref().map(FlexTensor::storage);
        let data = Observations { x: self.x.storage(), observed, features };
        let values = derivatives.storage_mut();
        let nats = match family {
            Family::Bernoulli => log_likelihood::bernoulli(values, data),
            Family::Gaussian => log_likelihood::gaussian(values, data, self.log_variance.storage()),
            Family::GaussianPredicted(bounds) => log_likelihood::gaussian_predicted(values, data, bounds),
            Family::GaussianCovariance(bounds) => covariance::gaussian_covariance(values, data, bounds),
            Family::Mixed(families) => log_likelihood::mixed(values, data, self.log_variance.storage(), families),
        };
        (matrix(nats, [rows, 1]), Judged { data: self, derivatives })
    }
}

/// Data with the derivatives of their nats.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    data: Data,
    /// By the decoder's output, in its shape.
    derivatives: FlexTensor,
}

impl Judged {
    /// The gradient of `Σ weight · nats` over the rows by the log-variance.
    pub(crate) fn log_variance_gradient(&self, weights: &[f32]) -> FlexTensor {
        let mut sums = log_likelihood::log_variance_gradient(
            self.derivatives.storage(),
            self.data.observed.as_ref().map(FlexTensor::storage),
            weights,
            self.data.log_variance.storage(),
        );
        self.data.not_gaussian.iter().for_each(|feature| sums[*feature] = 0.0);
        let width = sums.len();
        FlexTensor::from_data(TensorData::new(sums, [width]))
    }

    /// The gradient of `Σ weight · nats` over the rows by the decoder's output.
    pub(crate) fn output_gradient(self, weights: &[f32]) -> FlexTensor {
        let mut derivatives = self.derivatives;
        kernel::scale_rows(derivatives.storage_mut(), weights);
        derivatives
    }
}

#[derive(Debug)]
struct LogLikelihood;

impl Backward<Flex, 2> for LogLikelihood {
    type State = Judged;

    fn backward(self, ops: Ops<Judged, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let weights = whole(gradients.consume::<Flex>(&ops.node));
        let [output_node, log_variance_node] = ops.parents;
        if let Some(node) = log_variance_node {
            gradients.register::<Flex>(node.id, ops.state.log_variance_gradient(weights.storage()));
        }
        if let Some(node) = output_node {
            gradients.register::<Flex>(node.id, ops.state.output_gradient(weights.storage()));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{
        cpu::tensor::read,
        model::{batch::Batch, network},
    };

    const ROWS: usize = 5;

    /// Values on both sides of zero and none at it, where burn's chains have no derivative.
    fn leaf<const D: usize>(shape: [usize; D], scale: f32, device: &Device) -> Tensor<D> {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|i| scale * ((i * 37 % 101) as f32 / 50.0 - 1.003)).collect::<Vec<f32>>();
        Tensor::from_data(TensorData::new(values, shape), device).require_grad()
    }

    fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, what: &str) {
        for (found, expected) in read(found).unwrap().into_iter().zip(read(expected).unwrap()) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{what}: {found} for {expected}");
        }
    }

    #[test]
    fn likelihoods_and_their_gradients_are_those_of_burns_operations() {
        // More than one block of lanes, and some over.
        const FEATURES: usize = 37;
        let device = Device::flex().autodiff();
        // Columns of 2, 3 and 1 categories between numbers and zeros and ones.
        let mixed: Vec<FeatureFamily> = (0..FEATURES)
            .map(|feature| match feature % 9 {
                0 | 6 => FeatureFamily::Gaussian,
                1 | 3 | 8 => FeatureFamily::FirstCategory { log_other: -3.0 },
                7 => FeatureFamily::Bernoulli,
                _ => FeatureFamily::NextCategory,
            })
            .collect();
        let families = [
            Family::Bernoulli,
            Family::Gaussian,
            Family::GaussianPredicted((-0.8, 0.9)),
            Family::GaussianCovariance((-0.8, 0.9)),
            Family::Mixed(&mixed),
        ];
        for (family, masked) in families.into_iter().flat_map(|family| [(family, false), (family, true)]) {
            let run = |fused: bool| {
                let width = match family {
                    Family::GaussianPredicted(_) => 2 * FEATURES,
                    Family::GaussianCovariance(_) => 5 * FEATURES,
                    _ => FEATURES,
                };
                let (output, log_variance) = (leaf([ROWS, width], 1.5, &device), leaf([FEATURES], 0.7, &device));
                let x = leaf([ROWS, FEATURES], 1.0, &device).detach().abs();
                let observed = masked.then(|| x.clone().lower_elem(0.6).float());
                // As a batch has it: 0 where it was not observed.
                let x = match (&observed, family) {
                    (Some(observed), Family::Mixed(_)) => x * observed.clone(),
                    _ => x,
                };
                let nats = if fused {
                    log_likelihood(family, output.clone(), &x, observed.as_ref(), log_variance.clone()).unwrap()
                } else {
                    let batch = Batch { x, observed, condition: None, blurred: None };
                    network::log_likelihood(family, output.clone(), batch, log_variance.clone())
                };
                let gradients = (nats.clone() * leaf([ROWS, 1], 1.0, &device).detach()).sum().backward();
                let has_variances = matches!(family, Family::Gaussian | Family::Mixed(_));
                let by_variance = if has_variances { log_variance.grad(&gradients) } else { None };
                (nats.inner(), output.grad(&gradients).unwrap(), by_variance)
            };
            let (found, expected) = (run(true), run(false));
            assert_close(found.0, expected.0, &format!("{family:?}"));
            assert_close(found.1, expected.1, &format!("{family:?} by the output"));
            if let (Some(found), Some(expected)) = (found.2, expected.2) {
                assert_close(found, expected, "by the log-variance");
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_so() {
        let device = Device::flex();
        let nan = Tensor::<2>::full([1, 3], f32::NAN, &device);
        let x = Tensor::<2>::zeros([1, 3], &device);
        for family in [Family::Bernoulli, Family::Gaussian] {
            let nats = log_likelihood(family, nan.clone(), &x, None, Tensor::zeros([3], &device)).unwrap();
            assert!(nats.into_scalar::<f32>().is_nan(), "{family:?}");
        }
    }
}
